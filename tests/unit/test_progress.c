/* test_progress.c - what counts as movement and what only looks like it. Pure: time is made up. */
#include "supervisor/policy/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct hold_progress begun(void) {
    struct hold_progress p;
    hold_progress_begin(&p, 1000, 5000);
    return p;
}

static void silence_fails_after_the_no_progress_time(void **unused) {
    (void) unused;
    struct hold_progress p = begun();
    assert_int_equal(hold_progress_deadline_ms(&p), 6000);
    hold_progress_begin(&p, 0, 5000);
    assert_true(hold_progress_deadline_ms(&p) == UINT64_MAX);
    assert_true(hold_progress_sample_ms(&p) == UINT64_MAX);
}

static void told_number_counts_only_when_it_grows(void **unused) {
    (void) unused;
    struct hold_progress p = begun();
    assert_true(hold_progress_told(&p, 10, 100, 5500));
    assert_false(hold_progress_told(&p, 10, 100, 5900));
    assert_false(hold_progress_told(&p, 5, 100, 5950)); /* a loop that starts over is not progress */
    assert_int_equal(hold_progress_deadline_ms(&p), 6500);
    assert_true(hold_progress_told(&p, 11, 100, 6000));
    assert_int_equal(hold_progress_deadline_ms(&p), 7000);
    assert_true(hold_progress_told(&p, 1, 7, 6100)); /* another file: a new count */
}

static void milestone_counts_when_new_or_further(void **unused) {
    (void) unused;
    struct hold_progress p = begun();
    assert_true(hold_progress_milestone(&p, 3, 20, 100, 5100));
    assert_false(hold_progress_milestone(&p, 3, 20, 100, 5200));
    assert_true(hold_progress_milestone(&p, 3, 40, 100, 5300));
    assert_true(hold_progress_milestone(&p, 4, 0, 0, 5400));
    assert_int_equal(p.done, 40); /* a line without a number leaves the shown one */
    assert_int_equal(p.moved_by, HOLD_MOVED_LOG);
}

static void told_number_is_shown_before_a_logged_one(void **unused) {
    (void) unused;
    struct hold_progress p = begun();
    hold_progress_told(&p, 700, 1000, 5100);
    hold_progress_milestone(&p, 1, 10, 100, 5200);
    assert_int_equal(p.done, 700);
    assert_int_equal(p.total, 1000);
}

static void sample_counts_past_its_mark_by_a_step(void **unused) {
    (void) unused;
    struct hold_progress p = begun();
    struct hold_progress_sample s = { .read_bytes = 100 << 20, .memory_bytes = 50 << 20 };
    assert_false(hold_progress_sample(&p, &s, 5250)); /* the first look sets the marks */
    s.read_bytes += 1000;
    s.memory_bytes -= 40 << 20;
    assert_false(hold_progress_sample(&p, &s, 5500));
    s.read_bytes += HOLD_PROGRESS_READ_STEP;
    assert_true(hold_progress_sample(&p, &s, 5750));
    assert_int_equal(p.moved_by, HOLD_MOVED_READ);
    s.memory_bytes = (50 << 20) + HOLD_PROGRESS_MEMORY_STEP - 1; /* a heap that breathes */
    assert_false(hold_progress_sample(&p, &s, 6000));
    s.memory_bytes++;
    assert_true(hold_progress_sample(&p, &s, 6100));
    assert_int_equal(p.moved_by, HOLD_MOVED_MEMORY);
    assert_int_equal(hold_progress_deadline_ms(&p), 7100);
}

static void slow_trickle_is_not_lost(void **unused) {
    (void) unused;
    struct hold_progress p = begun();
    struct hold_progress_sample s = { 0 };
    hold_progress_sample(&p, &s, 5000);
    int moves = 0;
    for (uint64_t i = 1; i <= 16; i++) { /* a quarter of a step a look: every fourth look has moved */
        s.read_bytes += HOLD_PROGRESS_READ_STEP / 4;
        moves += hold_progress_sample(&p, &s, 5000 + i * 250);
    }
    assert_int_equal(moves, 4);
}

static void look_is_due_a_quarter_after_the_last_news(void **unused) {
    (void) unused;
    struct hold_progress p = begun();
    assert_int_equal(hold_progress_sample_ms(&p), 5250);
    hold_progress_told(&p, 1, 2, 5200);
    assert_int_equal(hold_progress_sample_ms(&p), 5450);
    const struct hold_progress_sample s = { 0 };
    hold_progress_sample(&p, &s, 5450);
    assert_int_equal(hold_progress_sample_ms(&p), 5700);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_fails_after_the_no_progress_time),
        cmocka_unit_test(told_number_counts_only_when_it_grows),
        cmocka_unit_test(milestone_counts_when_new_or_further),
        cmocka_unit_test(told_number_is_shown_before_a_logged_one),
        cmocka_unit_test(sample_counts_past_its_mark_by_a_step),
        cmocka_unit_test(slow_trickle_is_not_lost),
        cmocka_unit_test(look_is_due_a_quarter_after_the_last_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
