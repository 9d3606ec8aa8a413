/* test_tries.c - failure classes of fetching lead to the right next step and exit status. */
#include "tests/unit/test.h"

#include "base/exit.h"
#include "supervisor/policy/tries.h"

#define MIB (UINT64_C(1) << 20)

static struct hold_tries three(void) {
    return (struct hold_tries) { .max_in_row = 3, .first_ms = 1000, .max_ms = 60000, .max_retry_after_ms = 300000 };
}

static void three_in_a_row_that_bring_little_end_a_file(void **unused) {
    (void) unused;
    struct hold_tries t = three();
    assert_true(hold_tries_fold(&t, HOLD_TRY_NET, 10, 0, 0).again);
    assert_true(hold_tries_fold(&t, HOLD_TRY_NET, MIB - 1, 0, 0).again);
    assert_false(hold_tries_fold(&t, HOLD_TRY_NET, MIB - 1, 0, 0).again);
}

static void a_try_that_brought_more_starts_the_count_anew(void **unused) {
    (void) unused;
    struct hold_tries t = three();
    uint64_t at = 0;
    for (int i = 0; i < 1000; i++) {
        at += MIB;
        assert_true(hold_tries_fold(&t, HOLD_TRY_STALL, at, 0, 0).again);
        assert_int_equal(t.in_row, 0);
    }
}

static void beginning_again_at_zero_for_ever_is_no_progress(void **unused) {
    (void) unused;
    struct hold_tries t = three();
    assert_true(hold_tries_fold(&t, HOLD_TRY_NET, 5 * MIB, 0, 0).again);
    /* The same five again and again, since the server ignores ranges: nothing new. */
    assert_true(hold_tries_fold(&t, HOLD_TRY_NET, 5 * MIB, 0, 0).again);
    assert_true(hold_tries_fold(&t, HOLD_TRY_NET, 5 * MIB, 0, 0).again);
    assert_false(hold_tries_fold(&t, HOLD_TRY_NET, 5 * MIB, 0, 0).again);
}

static void delays_double_within_their_range(void **unused) {
    (void) unused;
    for (uint32_t in_row = 1; in_row < 80; in_row++)
        for (int high = 0; high < 2; high++) {
            struct hold_tries t = three();
            t.max_in_row = 100;
            t.in_row = in_row - 1;
            uint64_t whole = 1000;
            for (uint32_t i = 1; i < in_row && whole < 60000; i++)
                whole *= 2;
            whole = whole > 60000 ? 60000 : whole;
            struct hold_try_next next = hold_tries_fold(&t, HOLD_TRY_NET, 0, 0, high ? UINT32_MAX : 0);
            assert_true(next.again);
            assert_in_range(next.delay_ms, whole / 2, whole);
        }
}

static void retry_after_is_obeyed_and_capped(void **unused) {
    (void) unused;
    struct hold_tries t = three();
    assert_int_equal(hold_tries_fold(&t, HOLD_TRY_BUSY, 0, 7000, 0).delay_ms, 7000);
    t = three();
    assert_int_equal(hold_tries_fold(&t, HOLD_TRY_BUSY, 0, UINT64_C(86400000), 0).delay_ms, 300000);
}

static void every_class_has_a_status_of_the_table_and_a_name(void **unused) {
    (void) unused;
    for (int end = 0; end < HOLD_TRY_COUNT; end++) {
        int status = hold_try_status((enum hold_try_end) end);
        if (end != HOLD_TRY_DONE)
            assert_non_null(hold_exit_find(status));
        assert_string_not_equal(hold_try_name((enum hold_try_end) end), "?");
    }
    assert_string_equal(hold_try_name(HOLD_TRY_COUNT), "?");
}

static void what_no_try_can_cure_ends_at_once(void **unused) {
    (void) unused;
    static const enum hold_try_end final[] = { HOLD_TRY_TLS, HOLD_TRY_DENIED, HOLD_TRY_MISSING, HOLD_TRY_SPACE, HOLD_TRY_WRITE, HOLD_TRY_DEADLINE, HOLD_TRY_STOPPED };
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++) {
        struct hold_tries t = three();
        assert_false(hold_tries_fold(&t, final[i], 9 * MIB, 0, 0).again);
    }
}

static void http_statuses_fall_into_their_classes(void **unused) {
    (void) unused;
    assert_int_equal(hold_try_of_http(401, false), HOLD_TRY_DENIED);
    assert_int_equal(hold_try_of_http(403, false), HOLD_TRY_DENIED);
    assert_int_equal(hold_try_of_http(403, true), HOLD_TRY_EXPIRED);
    assert_int_equal(hold_try_of_http(404, true), HOLD_TRY_MISSING);
    assert_int_equal(hold_try_of_http(410, false), HOLD_TRY_MISSING);
    assert_int_equal(hold_try_of_http(416, false), HOLD_TRY_RANGE);
    assert_int_equal(hold_try_of_http(429, false), HOLD_TRY_BUSY);
    assert_int_equal(hold_try_of_http(408, false), HOLD_TRY_SERVER);
    assert_int_equal(hold_try_of_http(500, false), HOLD_TRY_SERVER);
    assert_int_equal(hold_try_of_http(599, false), HOLD_TRY_SERVER);
    assert_int_equal(hold_try_of_http(418, false), HOLD_TRY_REFUSED);
    assert_int_equal(hold_try_of_http(-5, false), HOLD_TRY_REFUSED);
}

static void content_ranges_are_read_strictly(void **unused) {
    (void) unused;
    uint64_t first = 0, last = 0, total = 0;
    assert_true(hold_content_range("bytes 100-199/1234", &first, &last, &total));
    assert_int_equal(first, 100);
    assert_int_equal(last, 199);
    assert_int_equal(total, 1234);
    assert_true(hold_content_range("bytes 0-0/*", &first, &last, &total));
    assert_true(total == UINT64_MAX);
    static const char *const wrong[] = { "", "bytes", "bytes */10", "bytes 1-0/9", "bytes 0-9/9", "bytes 0-9/10 ", "bytes=0-9/10", "bytes -1-9/10",
                                         "bytes 0-99999999999999999999/*", "octets 0-1/2", "bytes 0-1/2/3", "bytes 0-1", "bytes 0- 1/2" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (hold_content_range(wrong[i], &first, &last, &total))
            fail_msg("accepted '%s'", wrong[i]);
}

static void the_next_page_is_found_however_its_link_is_written(void **unused) {
    (void) unused;
    char out[32];
    static const char *const right[] = { "</n>; rel=\"next\"", "</n>;rel=next", "<https://h/p>; rel=\"prev\", </n>; rel=\"next\"", "</n>; title=\"a, <b>\"; REL=\"last Next\"",
                                         "</x,y>; rel=first,</n> ; rel = x ; rel=\"next\" ; k", "</n>; rel=\"next\", </m>; rel=\"next\"" };
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (!hold_link_next(right[i], out, sizeof out) || strcmp(out, "/n") != 0)
            fail_msg("not found in '%s'", right[i]);
    static const char *const wrong[] = { "", "<", "</n", "</n>", "</n>; rel=\"prev\"", "</n>; rel=\"nextish\"", "</n>; title=\"rel=next\"", "</n>; rel=\"prev\", rel=\"next\"", "<>; rel=next",
                                         "<01234567890123456789012345678901>; rel=next", "</n>; rel=\"" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (hold_link_next(wrong[i], out, sizeof out))
            fail_msg("'%s' found in '%s'", out, wrong[i]);
}

static void pages_and_pointers_are_recognised(void **unused) {
    (void) unused;
#define BYTES(text) (const uint8_t *) (text), sizeof(text) - 1
    assert_true(hold_looks_like_page(BYTES("\xef\xbb\xbf \r\n<!DOCTYPE HTML><p>")));
    assert_true(hold_looks_like_page(BYTES("<html lang=en>")));
    assert_false(hold_looks_like_page(BYTES("<htm")));
    assert_false(hold_looks_like_page(BYTES("{\"<html\":1}")));
    assert_false(hold_looks_like_page(BYTES("")));
    assert_true(hold_looks_like_pointer(BYTES("version https://git-lfs.github.com/spec/v1\n")));
    assert_false(hold_looks_like_pointer(BYTES("version 2")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_in_a_row_that_bring_little_end_a_file),
        cmocka_unit_test(a_try_that_brought_more_starts_the_count_anew),
        cmocka_unit_test(beginning_again_at_zero_for_ever_is_no_progress),
        cmocka_unit_test(delays_double_within_their_range),
        cmocka_unit_test(retry_after_is_obeyed_and_capped),
        cmocka_unit_test(every_class_has_a_status_of_the_table_and_a_name),
        cmocka_unit_test(what_no_try_can_cure_ends_at_once),
        cmocka_unit_test(http_statuses_fall_into_their_classes),
        cmocka_unit_test(content_ranges_are_read_strictly),
        cmocka_unit_test(the_next_page_is_found_however_its_link_is_written),
        cmocka_unit_test(pages_and_pointers_are_recognised),
    };
    return cmocka_run_group_tests_name("tries", tests, NULL, NULL);
}
