/* test_words.c - a command line and an environment while they are put together. */
#include "tests/unit/test.h"

#include "supervisor/host/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hold_words w;

static void words_and_variables_are_as_many_as_somebody_has(void **unused) {
    (void) unused;
    enum { N = 20000 };
    char (*text)[16] = calloc(N, sizeof(*text));
    assert_non_null(text);
    hold_words_begin(&w);
    for (size_t i = 0; i < N; i++) {
        (void) snprintf(text[i], sizeof(text[i]), "V%zu=x", i);
        hold_words_add(&w, text[i]);
    }
    for (size_t i = 0; i < N; i++)
        hold_words_pass(&w, text[i]);
    struct hold_err err = { 0 };
    assert_int_equal(hold_words_check(&w, &err), 0);
    for (size_t i = 0; i < N; i++) {
        assert_ptr_equal(w.argv[i], text[i]);
        assert_ptr_equal(w.envp[i], text[i]);
    }
    assert_null(w.argv[N]);
    assert_null(w.envp[N]);
    free(text);
}

static void a_variable_is_there_once(void **unused) {
    (void) unused;
    hold_words_begin(&w);
    hold_words_add(&w, "a");
    hold_words_pass(&w, "PATH=/bin");
    hold_words_pass(&w, "PATHS=/");
    hold_words_put(&w, "PATH=/usr/bin");
    assert_string_equal(hold_words_value(&w, "PATH"), "/usr/bin");
    assert_string_equal(w.envp[0], "PATHS=/");
    assert_string_equal(w.envp[1], "PATH=/usr/bin");
    assert_null(w.envp[2]);
    hold_words_drop(&w, "PATHS");
    assert_string_equal(w.envp[0], "PATH=/usr/bin");
    assert_null(w.envp[1]);
    assert_null(hold_words_value(&w, "PATHS"));
    assert_string_equal(w.argv[0], "a");
    assert_null(w.argv[1]);
}

static void texts_of_ours_live_until_the_next_begin_and_are_bounded(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    hold_words_begin(&w);
    const char *first = hold_words_text(&w, "%d", 1), *second = hold_words_text(&w, "%s", "two");
    assert_string_equal(first, "1");
    assert_string_equal(second, "two");
    hold_words_option(&w, "--none", "");
    hold_words_option(&w, "--none", NULL);
    hold_words_option_ms(&w, "--time", 1500);
    assert_int_equal(w.n_argv, 2);
    assert_string_equal(w.argv[1], "1.5s");
    for (int i = 0; i < 2000; i++)
        (void) hold_words_text(&w, "0123456789");
    assert_int_equal(hold_words_check(&w, &err), -1);
    hold_words_begin(&w);
    assert_int_equal(hold_words_check(&w, &err), 0);
    assert_null(w.argv[0]);
    assert_null(w.envp[0]);
}

static void a_line_is_split_as_a_shell_splits_it(void **unused) {
    (void) unused;
    static const struct {
        const char *line;
        int n;
        const char *words[4];
    } all[] = {
        { "", 0, { NULL } }, { " \t ", 0, { NULL } }, { "curl", 1, { "curl" } }, { "  test  -e\t/x ", 3, { "test", "-e", "/x" } },
        { "sh -c 'a b; exit 1'", 3, { "sh", "-c", "a b; exit 1" } }, { "sh -c \"a 'b' \\\"c\\\\\"", 3, { "sh", "-c", "a 'b' \"c\\" } },
        { "a\\ b c\\\\", 2, { "a b", "c\\" } }, { "--x='a b'c", 1, { "--x=a bc" } }, { "a '' \"\"", 3, { "a", "", "" } },
        { "a\\", 1, { "a\\" } }, { "'\\n'", 1, { "\\n" } }, { "\"\\n\"", 1, { "\\n" } },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const char *words[4];
        char line[64];
        struct hold_err err = { 0 };
        (void) snprintf(line, sizeof(line), "%s", all[i].line);
        int n = hold_words_split(line, words, 4, &err);
        if (n != all[i].n)
            fail_msg("'%s': %d words", all[i].line, n);
        for (int k = 0; k < n; k++)
            assert_string_equal(words[k], all[i].words[k]);
    }
}

static void a_quote_without_end_and_too_many_words_are_refused(void **unused) {
    (void) unused;
    static const char *const bad[] = { "a 'b", "a \"b", "a \"b\\\"", "a b c d e" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *words[4];
        char line[64];
        struct hold_err err = { 0 };
        (void) snprintf(line, sizeof(line), "%s", bad[i]);
        assert_int_equal(hold_words_split(line, words, 4, &err), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_variables_are_as_many_as_somebody_has),
        cmocka_unit_test(a_variable_is_there_once),
        cmocka_unit_test(texts_of_ours_live_until_the_next_begin_and_are_bounded),
        cmocka_unit_test(a_line_is_split_as_a_shell_splits_it),
        cmocka_unit_test(a_quote_without_end_and_too_many_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
