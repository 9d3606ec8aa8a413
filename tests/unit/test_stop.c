/* test_stop.c - stop strings: across any borders, nothing of them shown, nothing else lost; against the definition. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/text/stop.h"
#include "tests/helpers/golden.h"

static struct hold_stop stop;

static void begin(const char *const *strings, size_t n) {
    struct hold_err err = { 0 };
    if (hold_stop_init(&stop, strings, n, &err) < 0)
        fail_msg("%s", err.text);
}

static void a_stop_string_over_three_pieces_is_cut(void **unused) {
    (void) unused;
    hold_autobuf out = hold_buf_with_max(4096);
    begin((const char *const[]) { "</answer>" }, 1);
    assert_false(hold_stop_feed(&stop, "do it</a", 8, &out));
    assert_string_equal(out.data, "do it");
    assert_false(hold_stop_feed(&stop, "nsw", 3, &out));
    assert_true(hold_stop_feed(&stop, "er> more", 8, &out));
    assert_string_equal(out.data, "do it");
    assert_true(hold_stop_feed(&stop, "more", 4, &out));
    hold_stop_end(&stop, &out);
    assert_string_equal(out.data, "do it");
}

static void what_only_began_like_one_is_shown_at_once(void **unused) {
    (void) unused;
    hold_autobuf out = hold_buf_with_max(4096);
    begin((const char *const[]) { "aab" }, 1);
    assert_false(hold_stop_feed(&stop, "aa", 2, &out));
    assert_int_equal(out.n, 0);
    assert_false(hold_stop_feed(&stop, "a", 1, &out)); /* the first a cannot belong to it any more */
    assert_string_equal(out.data, "a");
    assert_false(hold_stop_feed(&stop, "c", 1, &out));
    assert_string_equal(out.data, "aaac");
    assert_false(hold_stop_feed(&stop, "xa", 2, &out));
    hold_stop_end(&stop, &out);
    assert_string_equal(out.data, "aaacxa");
}

static void a_character_of_several_bytes_may_be_a_stop_string(void **unused) {
    (void) unused;
    hold_autobuf out = hold_buf_with_max(4096);
    begin((const char *const[]) { "\xe3\x80\x82" }, 1);
    assert_false(hold_stop_feed(&stop, "a\xe3\x80\x81", 4, &out));
    assert_string_equal(out.data, "a\xe3\x80\x81");
    assert_true(hold_stop_feed(&stop, "b\xe3\x80\x82", 4, &out));
    assert_string_equal(out.data, "a\xe3\x80\x81" "b");
}

static void wrong_lists_are_refused(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    static char longest[HOLD_STOP_MAX_BYTES + 2];
    const char *many[HOLD_STOP_MAX_STRINGS + 1];
    memset(longest, 'x', HOLD_STOP_MAX_BYTES + 1);
    for (size_t i = 0; i < HOLD_COUNT_OF(many); i++)
        many[i] = "x";
    assert_int_equal(hold_stop_init(&stop, (const char *const[]) { "" }, 1, &err), -1);
    assert_int_equal(err.code, HOLD_E_CONFIG);
    assert_int_equal(hold_stop_init(&stop, (const char *const[]) { longest }, 1, &err), -1);
    assert_int_equal(hold_stop_init(&stop, many, HOLD_COUNT_OF(many), &err), -1);
    longest[HOLD_STOP_MAX_BYTES] = '\0';
    begin((const char *const[]) { longest }, 1);
    hold_autobuf out = hold_buf_with_max(4096);
    assert_false(hold_stop_feed(&stop, longest, HOLD_STOP_MAX_BYTES - 1, &out));
    assert_int_equal(out.n, 0);
    assert_true(hold_stop_feed(&stop, "x", 1, &out));
    assert_int_equal(out.n, 0);
}

/* By definition: the earliest end of any string, of those the longest, cut off; all text before it. */
static size_t by_definition(const char *text, size_t n, const char *const *strings, size_t n_strings, bool *ret_stopped) {
    for (size_t end = 1; end <= n; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n_strings; i++) {
            const size_t length = strlen(strings[i]);
            if (length <= end && length > longest && memcmp(text + end - length, strings[i], length) == 0)
                longest = length;
        }
        if (longest) {
            *ret_stopped = true;
            return end - longest;
        }
    }
    *ret_stopped = false;
    return n;
}

static void any_pieces_give_what_the_definition_gives(void **unused) {
    (void) unused;
    for (uint32_t seed = 1; seed <= 2000; seed++) {
        unsigned char *noise = golden_noise(256, seed);
        char text[120], words[4][8];
        const char *strings[4];
        const size_t n_strings = noise[0] % 5, n = noise[1] % 100;
        size_t at = 2;
        for (size_t i = 0; i < n_strings; i++) {
            const size_t length = 1 + noise[at++] % 6;
            for (size_t k = 0; k < length; k++)
                words[i][k] = (char) ('a' + noise[at++] % 2);
            words[i][length] = '\0';
            strings[i] = words[i];
        }
        for (size_t i = 0; i < n; i++)
            text[i] = (char) ('a' + (noise[at + i] % 16 == 0 ? 2 : noise[at + i] % 2));
        bool wanted_stop, stopped = false;
        const size_t wanted = by_definition(text, n, strings, n_strings, &wanted_stop);
        hold_autobuf out = hold_buf_with_max(4096);
        begin(strings, n_strings);
        for (size_t i = 0; i < n;) {
            const size_t step = HOLD_MIN((size_t) (1 + noise[200 + i % 50] % 7), n - i);
            stopped = hold_stop_feed(&stop, text + i, step, &out);
            i += step;
        }
        hold_stop_end(&stop, &out);
        if (stopped != wanted_stop || out.n != wanted || (wanted && memcmp(out.data, text, wanted) != 0))
            fail_msg("seed %u: '%.*s' gives %zu bytes, wanted %zu", seed, (int) n, text, out.n, wanted);
        free(noise);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_string_over_three_pieces_is_cut),
        cmocka_unit_test(what_only_began_like_one_is_shown_at_once),
        cmocka_unit_test(a_character_of_several_bytes_may_be_a_stop_string),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(any_pieces_give_what_the_definition_gives),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
