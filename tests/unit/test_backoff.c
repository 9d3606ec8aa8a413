/* test_backoff.c - delays, streaks, the restart budget, fates and rungs. Pure. */
#include "tests/unit/test.h"

#include "supervisor/policy/backoff.h"
#include "supervisor/policy/fate.h"
#include "supervisor/policy/ladder.h"

static const struct hold_backoff usual = { .first_ms = 1000, .max_ms = 300000, .jitter_pct = 10 };

static void backoff_never_leaves_its_range(void **unused) {
    (void) unused;
    for (uint32_t attempt = 0; attempt < 70; attempt++) {
        assert_in_range(hold_backoff_delay_ms(&usual, attempt, 0), 1000, 300000);
        assert_in_range(hold_backoff_delay_ms(&usual, attempt, UINT32_MAX), 1100, 330000);
    }
}

static void backoff_doubles_up_to_the_cap(void **unused) {
    (void) unused;
    static const uint64_t want[] = { 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000 };
    for (uint32_t i = 0; i < 11; i++)
        assert_int_equal(hold_backoff_delay_ms(&usual, i, 0), want[i]);
}

static void backoff_survives_extreme_settings(void **unused) {
    (void) unused;
    const struct hold_backoff huge = { .first_ms = UINT64_MAX / 2, .max_ms = UINT64_MAX - 1, .jitter_pct = 100 };
    assert_true(hold_backoff_delay_ms(&huge, 5, UINT32_MAX) >= UINT64_MAX / 2);
    const struct hold_backoff nothing = { 0 };
    assert_int_equal(hold_backoff_delay_ms(&nothing, UINT32_MAX, UINT32_MAX), 0);
    const struct hold_backoff cap_below_first = { .first_ms = 500, .max_ms = 10 };
    assert_int_equal(hold_backoff_delay_ms(&cap_below_first, 9, 0), 500);
}

static void healthy_life_restarts_at_once_and_refills(void **unused) {
    (void) unused;
    struct hold_restarts r = { 0 };
    assert_int_equal(hold_restarts_next_ms(&r, &usual, false, 0), 1000);
    assert_int_equal(hold_restarts_next_ms(&r, &usual, false, 0), 2000);
    assert_int_equal(hold_restarts_next_ms(&r, &usual, true, 0), 0);
    assert_int_equal(hold_restarts_next_ms(&r, &usual, false, 0), 1000);
}

static void budget_counts_in_its_window(void **unused) {
    (void) unused;
    struct hold_budget b = { .max = 3, .window_ms = 100 };
    assert_true(hold_budget_spend(&b, 0));
    assert_true(hold_budget_spend(&b, 10));
    assert_true(hold_budget_spend(&b, 20));
    assert_false(hold_budget_spend(&b, 99));
    assert_int_equal(hold_budget_left(&b, 100), 1); /* the first one left the window */
    assert_true(hold_budget_spend(&b, 100));
    assert_false(hold_budget_spend(&b, 105));
    hold_budget_refill(&b);
    assert_int_equal(hold_budget_left(&b, 105), 3);
}

static void budget_of_zero_is_no_limit(void **unused) {
    (void) unused;
    struct hold_budget b = { .max = 0, .window_ms = 100 };
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(hold_budget_spend(&b, i));
    struct hold_budget full = { .max = UINT32_MAX, .window_ms = UINT64_MAX };
    for (uint64_t i = 0; i < HOLD_BUDGET_MAX; i++)
        assert_true(hold_budget_spend(&full, 1));
    assert_false(hold_budget_spend(&full, 0)); /* cut to what can be remembered */
}

static void fate_follows_policy_diagnosis_and_budget(void **unused) {
    (void) unused;
    const struct hold_fate_facts crash = { .action = HOLD_ACTION_RETRY, .budget_left = true };
    struct hold_fate_facts f = crash;
    assert_int_equal(hold_fate_of(&f), HOLD_FATE_RETRY);
    f.budget_left = false;
    assert_int_equal(hold_fate_of(&f), HOLD_FATE_GAVE_UP);
    f = crash, f.may_never = true;
    assert_int_equal(hold_fate_of(&f), HOLD_FATE_FAILED);
    f = crash, f.is_clean = true, f.action = HOLD_ACTION_NONE;
    assert_int_equal(hold_fate_of(&f), HOLD_FATE_CLEAN);
    f.may_always = true;
    assert_int_equal(hold_fate_of(&f), HOLD_FATE_RETRY);
    f.is_stopping = true; /* nothing follows a stop */
    assert_int_equal(hold_fate_of(&f), HOLD_FATE_CLEAN);
    f = crash, f.is_interrupted = true, f.may_always = true;
    assert_int_equal(hold_fate_of(&f), HOLD_FATE_CLEAN);
}

static void fate_never_loops_on_what_no_restart_cures(void **unused) {
    (void) unused;
    static const enum hold_action final[] = { HOLD_ACTION_FIX_CONFIG, HOLD_ACTION_NEW_POD, HOLD_ACTION_NEW_NODE };
    for (size_t i = 0; i < 3; i++) {
        struct hold_fate_facts f = { .action = final[i], .may_always = true, .budget_left = true };
        assert_int_equal(hold_fate_of(&f), HOLD_FATE_FAILED);
    }
    for (int a = 0; a < HOLD_ACTION_COUNT; a++) { /* total */
        struct hold_fate_facts f = { .action = (enum hold_action) a, .budget_left = true };
        assert_true(hold_fate_of(&f) >= HOLD_FATE_RETRY);
    }
}

static const struct hold_ladder two = { .rungs = { { .name = "a" }, { .name = "b" } }, .n = 2 };

static void ladder_goes_down_for_memory_alone_and_stops_at_the_end(void **unused) {
    (void) unused;
    assert_int_equal(hold_ladder_next(&two, 0, false), 0);
    assert_int_equal(hold_ladder_next(&two, 0, true), 1);
    assert_int_equal(hold_ladder_next(&two, 2, true), 2);
    assert_int_equal(hold_ladder_next(&two, UINT32_MAX, true), 2);
    assert_null(hold_ladder_at(&two, 0));
    assert_string_equal(hold_ladder_at(&two, 2)->name, "b");
    assert_null(hold_ladder_at(&two, 3));
}

static void ladder_steps_down_above_ninety_per_cent(void **unused) {
    (void) unused;
    const uint64_t limit = 1000000;
    assert_int_equal(hold_ladder_from_record(&two, 0, 900001, limit, true), 1);
    assert_int_equal(hold_ladder_from_record(&two, 0, 900000, limit, true), 0);
    assert_int_equal(hold_ladder_from_record(&two, 0, 999999, limit, false), 0); /* closed: it ended by itself */
    assert_int_equal(hold_ladder_from_record(&two, 1, 1, limit, true), 1);
    assert_int_equal(hold_ladder_from_record(&two, 7, 1, 0, true), 2); /* a shorter ladder than then */
}

static void built_in_ladder_has_named_rungs(void **unused) {
    (void) unused;
    for (size_t i = 0; i < hold_ladder_runtime.n; i++) {
        assert_non_null(hold_ladder_runtime.rungs[i].name);
        assert_non_null(hold_ladder_runtime.rungs[i].args[0]);
    }
    assert_true(hold_ladder_runtime.n > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_never_leaves_its_range),
        cmocka_unit_test(backoff_doubles_up_to_the_cap),
        cmocka_unit_test(backoff_survives_extreme_settings),
        cmocka_unit_test(healthy_life_restarts_at_once_and_refills),
        cmocka_unit_test(budget_counts_in_its_window),
        cmocka_unit_test(budget_of_zero_is_no_limit),
        cmocka_unit_test(fate_follows_policy_diagnosis_and_budget),
        cmocka_unit_test(fate_never_loops_on_what_no_restart_cures),
        cmocka_unit_test(ladder_goes_down_for_memory_alone_and_stops_at_the_end),
        cmocka_unit_test(ladder_steps_down_above_ninety_per_cent),
        cmocka_unit_test(built_in_ladder_has_named_rungs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
