/* test_probe.c - the kubelet's meaning of period, thresholds and delay, and the startup back-off. Pure: time is made up. */
#include "supervisor/policy/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct hold_probe probe_of(struct hold_probe_rule rule) {
    struct hold_probe p;
    hold_probe_init(&p, &rule, 1000);
    return p;
}

static void first_question_waits_for_the_initial_delay(void **unused) {
    (void) unused;
    struct hold_probe p = probe_of((struct hold_probe_rule) { .initial_delay_ms = 500, .period_ms = 100 });
    assert_int_equal(hold_probe_next_ms(&p), 1500);
}

static void period_counts_from_start_to_start(void **unused) {
    (void) unused;
    struct hold_probe p = probe_of((struct hold_probe_rule) { .period_ms = 100, .timeout_ms = 300 });
    assert_int_equal(hold_probe_ask(&p, 2000), 2300);
    assert_true(hold_probe_next_ms(&p) == UINT64_MAX);
    hold_probe_fold(&p, true, 2040);
    assert_int_equal(hold_probe_next_ms(&p), 2100);
    hold_probe_ask(&p, 2100);
    hold_probe_fold(&p, true, 2390); /* slower than the period: at once, but never two at a time */
    assert_int_equal(hold_probe_next_ms(&p), 2390);
}

static void verdict_changes_only_at_its_threshold(void **unused) {
    (void) unused;
    struct hold_probe p = probe_of((struct hold_probe_rule) { .period_ms = 10, .failure_threshold = 3, .success_threshold = 2 });
    assert_false(hold_probe_fold(&p, true, 1));
    assert_true(hold_probe_fold(&p, true, 2));
    assert_int_equal(p.verdict, HOLD_VERDICT_UP);
    assert_false(hold_probe_fold(&p, false, 3));
    assert_false(hold_probe_fold(&p, false, 4));
    assert_false(hold_probe_fold(&p, true, 5)); /* the run is broken: counting begins anew */
    assert_false(hold_probe_fold(&p, false, 6));
    assert_false(hold_probe_fold(&p, false, 7));
    assert_true(hold_probe_fold(&p, false, 8));
    assert_int_equal(p.verdict, HOLD_VERDICT_DOWN);
    assert_false(hold_probe_fold(&p, false, 9)); /* said once, not at each failure */
    assert_false(hold_probe_fold(&p, true, 10));
    assert_true(hold_probe_fold(&p, true, 11));
}

static void startup_waits_double_up_to_the_cap(void **unused) {
    (void) unused;
    struct hold_probe p = probe_of((struct hold_probe_rule) {
        .period_ms = 10000, .timeout_ms = 1000, .failure_threshold = 1000, .backoff_first_ms = 100, .backoff_max_ms = 1000 });
    const uint64_t waits[] = { 100, 200, 400, 800, 1000, 1000 };
    uint64_t now = 1000;
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        hold_probe_ask(&p, now);
        assert_false(hold_probe_fold(&p, false, now + 5));
        assert_int_equal(hold_probe_next_ms(&p), now + 5 + waits[i]);
        now = hold_probe_next_ms(&p);
    }
    hold_probe_ask(&p, now);
    assert_true(hold_probe_fold(&p, true, now + 5));
    assert_int_equal(hold_probe_next_ms(&p), now + 10000);
}

static void waits_never_wrap(void **unused) {
    (void) unused;
    const struct hold_probe_rule r = { .period_ms = 1, .backoff_first_ms = UINT64_MAX / 2 + 1, .backoff_max_ms = UINT64_MAX };
    for (uint32_t n = 0; n < 70; n++)
        assert_true(hold_probe_wait_ms(&r, n) >= 1);
    struct hold_probe p = probe_of((struct hold_probe_rule) { .initial_delay_ms = UINT64_MAX, .period_ms = UINT64_MAX });
    assert_true(hold_probe_next_ms(&p) > 1000);
    hold_probe_fold(&p, true, 2000);
    assert_true(hold_probe_next_ms(&p) > 2000);
}

static void zero_rule_is_made_sound(void **unused) {
    (void) unused;
    struct hold_probe p = probe_of((struct hold_probe_rule) { 0 });
    assert_true(hold_probe_fold(&p, false, 1001));
    assert_int_equal(p.verdict, HOLD_VERDICT_DOWN);
    assert_true(hold_probe_next_ms(&p) >= 1001);
    assert_string_equal(hold_verdict_name(p.verdict), "down");
}

static void sign_of_life_begins_the_backoff_again(void **unused) {
    (void) unused;
    const struct hold_probe_rule rule = { .period_ms = 10000, .failure_threshold = UINT32_MAX, .backoff_first_ms = 250 };
    struct hold_probe p = probe_of(rule);
    hold_probe_hasten(&p, 1000);
    assert_int_equal(hold_probe_next_ms(&p), 1000); /* the initial delay is kept */
    for (int i = 0; i < 6; i++) {
        hold_probe_ask(&p, 2000);
        hold_probe_fold(&p, false, 2000);
    }
    assert_int_equal(hold_probe_next_ms(&p), 2000 + 8000);
    hold_probe_hasten(&p, 5000);
    assert_int_equal(hold_probe_next_ms(&p), 5250);
    hold_probe_hasten(&p, 5100);
    assert_int_equal(hold_probe_next_ms(&p), 5250); /* never later than it was */
    hold_probe_ask(&p, 5250);
    hold_probe_hasten(&p, 5300);
    assert_true(hold_probe_next_ms(&p) == UINT64_MAX); /* one is open */
    hold_probe_fold(&p, false, 5400);
    assert_int_equal(hold_probe_next_ms(&p), 5650);
    hold_probe_ask(&p, 5650);
    hold_probe_fold(&p, true, 5700);
    const uint64_t period = hold_probe_next_ms(&p);
    hold_probe_hasten(&p, 5800);
    assert_int_equal(hold_probe_next_ms(&p), period);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_question_waits_for_the_initial_delay),
        cmocka_unit_test(period_counts_from_start_to_start),
        cmocka_unit_test(verdict_changes_only_at_its_threshold),
        cmocka_unit_test(startup_waits_double_up_to_the_cap),
        cmocka_unit_test(waits_never_wrap),
        cmocka_unit_test(zero_rule_is_made_sound),
        cmocka_unit_test(sign_of_life_begins_the_backoff_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
