/* test_pretok.c - the hand-written splitter against the real one on fixed and generated strings; every byte belongs to a word. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/text/pretok.h"
#include "tests/helpers/golden.h"

static size_t check_file(const char *name, enum hold_pretok splitter) {
    size_t n_file, rows = 0;
    char *file = (char *) golden_read(name, &n_file), *save = NULL;
    for (char *line = strtok_r(file, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        static char text[8192];
        size_t n;
        if (*line == '#')
            continue;
        const char *words = golden_hex(line, text, &n);
        for (size_t at = 0; at < n;) {
            char *end;
            const size_t found = hold_pretok_next(splitter, text + at, n - at), wanted = strtoul(words, &end, 10);
            words = end;
            if (found != wanted)
                fail_msg("%s: '%.*s': word at byte %zu has %zu bytes, wanted %zu", name, (int) n, text, at, found, wanted);
            at += found;
        }
        rows++;
    }
    free(file);
    return rows;
}

static void words_are_those_of_the_original(void **unused) {
    (void) unused;
    assert_in_range(check_file("text/split3.txt", HOLD_PRETOK_DIGITS3), 530, 1000);
    assert_in_range(check_file("text/split1.txt", HOLD_PRETOK_DIGITS1), 530, 1000);
}

static void only_known_patterns_are_found(void **unused) {
    (void) unused;
    enum hold_pretok found = 0;
    static const char three[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    static const char one[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    assert_true(hold_pretok_find(three, &found));
    assert_int_equal(found, HOLD_PRETOK_DIGITS3);
    assert_true(hold_pretok_find(one, &found));
    assert_int_equal(found, HOLD_PRETOK_DIGITS1);
    assert_false(hold_pretok_find("", &found));
    assert_false(hold_pretok_find("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", &found));
}

static void bytes_that_are_no_text_still_make_progress(void **unused) {
    (void) unused;
    unsigned char *bytes = golden_noise(20000, 5);
    for (size_t at = 0, n; at < 20000; at += n) {
        n = hold_pretok_next(HOLD_PRETOK_DIGITS3, (const char *) bytes + at, 20000 - at);
        assert_in_range(n, 1, 20000 - at);
    }
    assert_int_equal(hold_pretok_next(HOLD_PRETOK_DIGITS3, "", 0), 0);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_the_original),
        cmocka_unit_test(only_known_patterns_are_found),
        cmocka_unit_test(bytes_that_are_no_text_still_make_progress),
    };
    return cmocka_run_group_tests_name("pretok", tests, NULL, NULL);
}
