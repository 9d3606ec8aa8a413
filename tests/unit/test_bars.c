/* test_bars.c - a bar says label, share, bytes, rate and time left, and never more than its line. */
#include "tests/unit/test.h"

#include "base/bars.h"

#define GB UINT64_C(1000000000)

static void line_is(const struct hold_bar *bar, size_t width, const char *want) {
    hold_autobuf out = hold_buf_with_max(4096);
    hold_bar_text(bar, width, &out);
    hold_buf_addc(&out, '\0');
    assert_string_equal(out.data, want);
}

static void a_bar_says_everything_where_there_is_room(void **unused) {
    (void) unused;
    const struct hold_bar half = { .label = "model-00001-of-00004.safetensors", .done = 19 * GB / 10, .total = 5 * GB, .per_second = 210e6 };
    line_is(&half, 120, "l-00001-of-00004.safetensors [##########..............]  38%   1.9 GB / 5.0 GB    210 MB/s  15 s left");
    line_is(&half, 79, "0004.safetensors [####......]  38%   1.9 GB / 5.0 GB    210 MB/s  15 s left");
    const struct hold_bar done = { .label = "fetch", .done = 5 * GB, .total = 5 * GB, .per_second = 1.5e9 };
    line_is(&done, 120, "fetch                        [########################] 100%   5.0 GB / 5.0 GB    1.5 GB/s");
    const struct hold_bar unknown = { .label = "file", .done = 1234, .per_second = 99999 };
    line_is(&unknown, 120, "file                         [........................]    ?   1.2 kB / ?         100 kB/s");
    const struct hold_bar none = { .label = "empty" };
    line_is(&none, 120, "empty                        [........................]    ?      0 B / ?");
}

static void what_does_not_fit_goes_least_wanted_first(void **unused) {
    (void) unused;
    const struct hold_bar bar = { .label = "config.json", .done = 600, .total = 1000, .per_second = 10 };
    line_is(&bar, 75, "config.json       60%    600 B / 1.0 kB      10 B/s  40 s left");
    line_is(&bar, 60, "config.json       60%    600 B / 1.0 kB      10 B/s");
    line_is(&bar, 45, "config.json       60%    600 B / 1.0 kB");
    line_is(&bar, 20, "config.json   60%");
}

static void a_hundred_per_cent_means_all_of_it(void **unused) {
    (void) unused;
    const struct hold_bar nearly = { .label = "x", .done = GB - 1, .total = GB };
    line_is(&nearly, 90, "x                        [################]  99%   1.0 GB / 1.0 GB");
}

static void time_left_is_in_words_of_its_size(void **unused) {
    (void) unused;
    static const struct { double per_second; const char *words; } rows[] = {
        { 1e9, "  5 s left" }, { 20e6, "  4 min 10 s left" }, { 1e6, "  1 h 23 min left" }, { 1000, "  over 99 h left" }, { 0, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct hold_bar bar = { .label = "x", .total = 5 * GB, .per_second = rows[i].per_second };
        hold_autobuf out = hold_buf_with_max(4096);
        hold_bar_text(&bar, 200, &out);
        hold_buf_addc(&out, '\0');
        size_t n = strlen(out.data), m = strlen(rows[i].words);
        assert_string_equal(out.data + n - m, rows[i].words);
    }
}

static void no_line_is_wider_than_the_terminal(void **unused) {
    (void) unused;
    struct hold_bar bar = { .label = "a/rather/long/path/of/a/file/model-00001-of-00099.safetensors", .done = 12345678901234, .total = 99999999999999, .per_second = 1234567890 };
    for (size_t width = 20; width < 200; width++) {
        hold_autobuf out = hold_buf_with_max(4096);
        hold_bar_text(&bar, width, &out);
        assert_true(out.n <= width);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bar_says_everything_where_there_is_room),
        cmocka_unit_test(what_does_not_fit_goes_least_wanted_first),
        cmocka_unit_test(a_hundred_per_cent_means_all_of_it),
        cmocka_unit_test(time_left_is_in_words_of_its_size),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
