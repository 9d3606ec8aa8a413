/* test_pace.c - connections are added where they make a file faster, and nowhere else. */
#include "tests/unit/test.h"

#include "supervisor/policy/pace.h"

/* Runs a file for so long where n connections bring speed[n] bytes a millisecond; returns the number at the end. */
static uint32_t run(struct hold_pace *pace, uint64_t *now_ms, uint64_t *bytes, uint64_t for_ms, uint64_t each, uint64_t all) {
    uint32_t wanted = 1;
    for (uint64_t end = *now_ms + for_ms; *now_ms < end; *now_ms += 10) {
        wanted = hold_pace_step(pace, *now_ms, *bytes, 0, wanted);
        uint64_t speed = wanted * each;
        *bytes += 10 * (speed < all ? speed : all);
    }
    return wanted;
}

static void a_stream_that_nothing_limits_stays_alone(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 8, .window_ms = 250 };
    uint64_t now = 77, bytes = 0;
    assert_int_equal(run(&pace, &now, &bytes, 1000, 1000000, 1000000), 1);
}

static void limited_connections_grow_to_the_maximum_within_four_windows(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 8, .window_ms = 250 };
    uint64_t now = 0, bytes = 0;
    assert_int_equal(run(&pace, &now, &bytes, 1000, 200000, UINT64_MAX), 8);
    assert_int_equal(run(&pace, &now, &bytes, 100000, 200000, UINT64_MAX), 8);
}

static void growing_ends_where_it_stops_to_pay(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 16, .window_ms = 250 };
    uint64_t now = 0, bytes = 0;
    assert_int_equal(run(&pace, &now, &bytes, 2000, 100000, 400000), 4);
}

static void what_did_not_pay_is_tried_again_later_and_less_often(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 2, .window_ms = 250 };
    uint64_t now = 0, bytes = 0, tried = 0;
    uint32_t before = 1;
    for (uint64_t end = 3600000; now < end; now += 10, bytes += 10000) {
        uint32_t wanted = hold_pace_step(&pace, now, bytes, 0, before);
        tried += wanted > before;
        before = wanted;
    }
    assert_in_range(tried, 10, 20);
    assert_int_equal(run(&pace, &now, &bytes, HOLD_PACE_AGAIN_MAX_MS + 1000, 10000, UINT64_MAX), 2); /* and stays once it pays */
}

static void while_our_own_disk_limits_nothing_is_tried(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 8, .window_ms = 250 };
    uint64_t now = 0;
    for (; now < 20000; now += 10)
        assert_int_equal(hold_pace_step(&pace, now, now * 1000, now / 2, 1), 1);
    uint32_t wanted = 1;
    for (uint64_t own = now / 2; now < 21000; now += 10) /* the disk has caught up */
        wanted = hold_pace_step(&pace, now, now * 1000, own, 1);
    assert_int_equal(wanted, 2);
}

static void without_a_window_all_come_at_once(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 5 };
    assert_int_equal(hold_pace_step(&pace, 0, 0, 0, 1), 5);
}

static void helpers_that_are_busy_elsewhere_are_waited_for_without_measuring(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 8, .window_ms = 250 };
    uint32_t wanted = 0;
    for (uint64_t now = 0; now < 10000; now += 10)
        wanted = hold_pace_step(&pace, now, now * 1000, 0, 1);
    assert_int_equal(wanted, 2);
    assert_false(pace.is_settled);
}

static void bytes_that_shrink_and_a_maximum_of_one_are_fine(void **unused) {
    (void) unused;
    struct hold_pace pace = { .max = 1, .window_ms = 250 };
    for (uint64_t now = 0; now < 5000; now += 10)
        assert_int_equal(hold_pace_step(&pace, now, now % 700 * 1000, 0, 1), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_that_nothing_limits_stays_alone),
        cmocka_unit_test(limited_connections_grow_to_the_maximum_within_four_windows),
        cmocka_unit_test(growing_ends_where_it_stops_to_pay),
        cmocka_unit_test(what_did_not_pay_is_tried_again_later_and_less_often),
        cmocka_unit_test(while_our_own_disk_limits_nothing_is_tried),
        cmocka_unit_test(without_a_window_all_come_at_once),
        cmocka_unit_test(helpers_that_are_busy_elsewhere_are_waited_for_without_measuring),
        cmocka_unit_test(bytes_that_shrink_and_a_maximum_of_one_are_fine),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
