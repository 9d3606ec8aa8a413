/* test_tables.c - both state tables, cell by cell: total, well formed, and as the design draws them. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "supervisor/policy/container.h"
#include "supervisor/policy/phase.h"

static void member_table_has_no_hole(void **unused) {
    (void) unused;
    for (int s = 0; s < HOLD_MEMBER_COUNT; s++)
        for (int e = 0; e < HOLD_MEMBER_EV_COUNT; e++)
            if (hold_member_table[s][e].kind == HOLD_CELL_HOLE)
                fail_msg("%s x %s is undecided", hold_member_state_name((enum hold_member_state) s), hold_member_event_name((enum hold_member_event) e));
}

static void container_table_has_no_hole(void **unused) {
    (void) unused;
    for (int s = 0; s < HOLD_CONTAINER_COUNT; s++)
        for (int e = 0; e < HOLD_CONTAINER_EV_COUNT; e++)
            if (hold_container_table[s][e].kind == HOLD_CELL_HOLE)
                fail_msg("%s x %s is undecided", hold_container_state_name((enum hold_container_state) s),
                         hold_container_event_name((enum hold_container_event) e));
}

static void member_arms_only_what_the_next_state_owns(void **unused) {
    (void) unused;
    for (int s = 0; s < HOLD_MEMBER_COUNT; s++) {
        for (int e = 0; e < HOLD_MEMBER_EV_COUNT; e++) {
            struct hold_cell cell = hold_member_step((enum hold_member_state) s, (enum hold_member_event) e);
            for (int d = 0; d < HOLD_MEMBER_DL_COUNT; d++)
                if ((cell.actions & 1u << (HOLD_MEMBER_BIT_ARM_PROGRESS + d)) && !(hold_member_deadlines[cell.next] & 1u << d))
                    fail_msg("%s x %s arms %s in %s", hold_member_state_name((enum hold_member_state) s),
                             hold_member_event_name((enum hold_member_event) e), hold_member_deadline_name((enum hold_member_deadline) d),
                             hold_member_state_name((enum hold_member_state) cell.next));
        }
    }
}

static void container_arms_only_what_the_next_state_owns(void **unused) {
    (void) unused;
    static const int bits[] = { HOLD_CONTAINER_BIT_ARM_RETRY, HOLD_CONTAINER_BIT_ARM_PRESTOP, HOLD_CONTAINER_BIT_ARM_SWEEP, HOLD_CONTAINER_BIT_ARM_KILL };
    for (int s = 0; s < HOLD_CONTAINER_COUNT; s++) {
        for (int e = 0; e < HOLD_CONTAINER_EV_COUNT; e++) {
            struct hold_cell cell = hold_container_step((enum hold_container_state) s, (enum hold_container_event) e);
            for (int d = 0; d < HOLD_CONTAINER_DL_COUNT; d++)
                assert_false((cell.actions & 1u << bits[d]) && !(hold_container_deadlines[cell.next] & 1u << d));
        }
    }
}

static void member_starts_from_waiting_alone_and_with_an_open_record(void **unused) {
    (void) unused;
    for (int s = 0; s < HOLD_MEMBER_COUNT; s++) {
        for (int e = 0; e < HOLD_MEMBER_EV_COUNT; e++) {
            struct hold_cell cell = hold_member_table[s][e];
            if (!(cell.actions & HOLD_MEMBER_ACT_SPAWN))
                continue;
            assert_int_equal(s, HOLD_MEMBER_WAITING);
            assert_int_equal(e, HOLD_MEMBER_EV_NEEDS_MET);
            assert_true(cell.actions & HOLD_MEMBER_ACT_OPEN_RECORD);
        }
    }
}

static void every_death_goes_through_a_dying_state(void **unused) {
    (void) unused;
    for (int s = 0; s < HOLD_MEMBER_COUNT; s++) {
        for (int e = HOLD_MEMBER_EV_EXIT_RETRY; e <= HOLD_MEMBER_EV_EXIT_FATAL; e++) {
            struct hold_cell cell = hold_member_table[s][e];
            if (cell.kind == HOLD_CELL_GO)
                assert_true(cell.next == HOLD_MEMBER_RECYCLING || cell.next == HOLD_MEMBER_REAPING);
        }
    }
}

static void stop_leads_towards_the_end_from_every_state(void **unused) {
    (void) unused;
    for (int s = 0; s < HOLD_MEMBER_COUNT; s++) {
        struct hold_cell cell = hold_member_step((enum hold_member_state) s, HOLD_MEMBER_EV_STOP);
        assert_int_not_equal(cell.kind, HOLD_CELL_NEVER);
        assert_true(cell.next == HOLD_MEMBER_DRAINING || cell.next == HOLD_MEMBER_REAPING || cell.next == HOLD_MEMBER_ENDED);
    }
    for (int s = 0; s < HOLD_CONTAINER_COUNT; s++) {
        struct hold_cell cell = hold_container_step((enum hold_container_state) s, HOLD_CONTAINER_EV_STOP);
        assert_int_not_equal(cell.kind, HOLD_CELL_NEVER);
        assert_true(cell.next == HOLD_CONTAINER_DRAINING || cell.next == HOLD_CONTAINER_REAPING || cell.next == HOLD_CONTAINER_EXITED);
    }
}

static void readiness_is_withdrawn_wherever_a_stop_begins(void **unused) {
    (void) unused;
    for (int s = HOLD_CONTAINER_PREFLIGHT; s <= HOLD_CONTAINER_UP; s++)
        assert_true(hold_container_table[s][HOLD_CONTAINER_EV_STOP].actions & HOLD_CONTAINER_ACT_ANNOUNCE_UNREADY);
}

static void steps_outside_the_table_are_impossible_not_fatal(void **unused) {
    (void) unused;
    assert_int_equal(hold_member_step((enum hold_member_state) 99, HOLD_MEMBER_EV_STOP).kind, HOLD_CELL_NEVER);
    assert_int_equal(hold_container_step(HOLD_CONTAINER_UP, (enum hold_container_event) 99).kind, HOLD_CELL_NEVER);
}

static void names_are_unique_and_complete(void **unused) {
    (void) unused;
    for (int a = 0; a < HOLD_MEMBER_EV_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(hold_member_event_name((enum hold_member_event) a), hold_member_event_name((enum hold_member_event) b));
    for (int a = 0; a < HOLD_CONTAINER_EV_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(hold_container_event_name((enum hold_container_event) a), hold_container_event_name((enum hold_container_event) b));
    for (int b = 0; b < HOLD_MEMBER_BIT_COUNT; b++)
        assert_string_not_equal(hold_member_action_name((enum hold_member_action_bit) b), "?");
    for (int b = 0; b < HOLD_CONTAINER_BIT_COUNT; b++)
        assert_string_not_equal(hold_container_action_name((enum hold_container_action_bit) b), "?");
    for (int d = 0; d < HOLD_CONTAINER_DL_COUNT; d++)
        assert_string_not_equal(hold_container_deadline_name((enum hold_container_deadline) d), "?");
    assert_string_equal(hold_member_state_name((enum hold_member_state) 99), "?");
}

static void phase_is_the_containers_until_up_then_the_least_ready_members(void **unused) {
    (void) unused;
    const enum hold_member_state ready_loading[] = { HOLD_MEMBER_READY, HOLD_MEMBER_LOADING };
    const enum hold_member_state both[] = { HOLD_MEMBER_READY, HOLD_MEMBER_READY };
    const enum hold_member_state backoff[] = { HOLD_MEMBER_READY, HOLD_MEMBER_BACKOFF };
    assert_string_equal(hold_phase_fold(HOLD_CONTAINER_FETCHING, both, 2), "fetching");
    assert_string_equal(hold_phase_fold(HOLD_CONTAINER_UP, ready_loading, 2), "loading");
    assert_string_equal(hold_phase_fold(HOLD_CONTAINER_UP, backoff, 2), "backoff");
    assert_string_equal(hold_phase_fold(HOLD_CONTAINER_UP, both, 2), "ready");
    assert_true(hold_phase_is_ready(HOLD_CONTAINER_UP, both, 2));
    assert_false(hold_phase_is_ready(HOLD_CONTAINER_UP, ready_loading, 2));
    assert_false(hold_phase_is_ready(HOLD_CONTAINER_DRAINING, both, 2));
    assert_false(hold_phase_is_ready(HOLD_CONTAINER_UP, NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(member_table_has_no_hole),
        cmocka_unit_test(container_table_has_no_hole),
        cmocka_unit_test(member_arms_only_what_the_next_state_owns),
        cmocka_unit_test(container_arms_only_what_the_next_state_owns),
        cmocka_unit_test(member_starts_from_waiting_alone_and_with_an_open_record),
        cmocka_unit_test(every_death_goes_through_a_dying_state),
        cmocka_unit_test(stop_leads_towards_the_end_from_every_state),
        cmocka_unit_test(readiness_is_withdrawn_wherever_a_stop_begins),
        cmocka_unit_test(steps_outside_the_table_are_impossible_not_fatal),
        cmocka_unit_test(names_are_unique_and_complete),
        cmocka_unit_test(phase_is_the_containers_until_up_then_the_least_ready_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
