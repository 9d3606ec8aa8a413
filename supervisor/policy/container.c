/* container.c - the container's total table. Floor: policy, pure. */
#include "supervisor/policy/container.h"

#include "base/list.h"

#define GO(st, a) { HOLD_CELL_GO, HOLD_CONTAINER_##st, (a) }
#define STAY(a) { HOLD_CELL_STAY, 0, (a) }
#define NEVER { HOLD_CELL_NEVER, 0, 0 }
#define EV(id) [HOLD_CONTAINER_EV_##id]
#define ACT(id) HOLD_CONTAINER_ACT_##id

#define STOPPING (ACT(ANNOUNCE_UNREADY) | ACT(END_JOB) | ACT(ARM_PRESTOP) | ACT(REPORT) | ACT(ANNOUNCE))
#define FAILING (ACT(ANNOUNCE_UNREADY) | ACT(END_JOB) | ACT(STOP_MEMBERS) | ACT(REPORT) | ACT(ANNOUNCE))
#define NEXT_STAGE (ACT(START_JOB) | ACT(REPORT) | ACT(ANNOUNCE))
#define HOLDING (ACT(REPORT) | ACT(ANNOUNCE))
#define LATE STAY(0)

/* One row for each preparing stage: at most one job runs; members without needs may live; retry is armed only between two
 * tries. The three differ in where success leads and in what a failed try means. */
#define STAGE(on_ok, on_retry, on_deadline)                   \
    {                                                         \
        EV(JOB_OK) = on_ok,                                   \
        EV(JOB_RETRY) = on_retry,                             \
        EV(JOB_FATAL) = GO(DRAINING, FAILING),                \
        EV(JOB_HOLD) = STAY(FAILING),                         \
        EV(HEAL) = LATE,                                      \
        EV(MEMBER_FATAL) = GO(DRAINING, FAILING),             \
        EV(MEMBER_HOLD) = STAY(FAILING),                      \
        EV(MEMBERS_ENDED) = GO(HELD, HOLDING),                \
        EV(DEADLINE) = on_deadline,                           \
        EV(STOP) = GO(DRAINING, STOPPING),                    \
        EV(HURRY) = NEVER,                                    \
        EV(TREE_GONE) = NEVER,                                \
        EV(UNKILLABLE) = NEVER,                               \
    }

const struct hold_cell hold_container_table[HOLD_CONTAINER_COUNT][HOLD_CONTAINER_EV_COUNT] = {
    /* The machine is being judged; what may still come is waited for. */
    [HOLD_CONTAINER_PREFLIGHT] = STAGE(GO(FETCHING, NEXT_STAGE), STAY(ACT(ARM_RETRY)), STAY(ACT(START_JOB))),
    /* The weights are being brought. */
    [HOLD_CONTAINER_FETCHING] = STAGE(GO(VERIFYING, NEXT_STAGE), STAY(ACT(ARM_RETRY)), STAY(ACT(START_JOB))),
    /* The weights are being proven; a piece found bad is fetched again (how often is the event maker's budget). */
    [HOLD_CONTAINER_VERIFYING] = STAGE(GO(UP, ACT(REPORT) | ACT(ANNOUNCE)), GO(FETCHING, NEXT_STAGE), NEVER),
    /* No job runs, nothing is armed, every need is met. */
    [HOLD_CONTAINER_UP] = {
        EV(JOB_OK) = NEVER,
        EV(JOB_RETRY) = NEVER,
        EV(JOB_FATAL) = NEVER,
        EV(JOB_HOLD) = NEVER,
        EV(HEAL) = GO(VERIFYING, NEXT_STAGE),
        EV(MEMBER_FATAL) = GO(DRAINING, FAILING),
        EV(MEMBER_HOLD) = STAY(FAILING),
        EV(MEMBERS_ENDED) = GO(HELD, HOLDING),
        EV(DEADLINE) = NEVER,
        EV(STOP) = GO(DRAINING, STOPPING),
        EV(HURRY) = NEVER,
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* Readiness is 503, no job starts, members end; the pre-stop delay is armed or over. There is no way back. */
    [HOLD_CONTAINER_DRAINING] = {
        EV(JOB_OK) = LATE,
        EV(JOB_RETRY) = LATE,
        EV(JOB_FATAL) = LATE,
        EV(JOB_HOLD) = LATE,
        EV(HEAL) = LATE,
        EV(MEMBER_FATAL) = STAY(ACT(STOP_MEMBERS)), /* during the pre-stop delay: the others need not wait for its end */
        EV(MEMBER_HOLD) = STAY(ACT(STOP_MEMBERS)),
        EV(MEMBERS_ENDED) = GO(REAPING, ACT(SWEEP) | ACT(ARM_SWEEP) | ACT(ANNOUNCE)),
        EV(DEADLINE) = STAY(ACT(STOP_MEMBERS)),
        EV(STOP) = STAY(ACT(STOP_MEMBERS)), /* drains already because of a verdict */
        EV(HURRY) = STAY(ACT(HURRY_MEMBERS)),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* Every member is ENDED; whatever else is ours has had TERM (sweep armed) or KILL (kill armed). */
    [HOLD_CONTAINER_REAPING] = {
        EV(JOB_OK) = LATE,
        EV(JOB_RETRY) = LATE,
        EV(JOB_FATAL) = LATE,
        EV(JOB_HOLD) = LATE,
        EV(HEAL) = LATE,
        EV(MEMBER_FATAL) = LATE,
        EV(MEMBER_HOLD) = LATE,
        EV(MEMBERS_ENDED) = NEVER,
        EV(DEADLINE) = STAY(ACT(KILL) | ACT(ARM_KILL)),
        EV(STOP) = STAY(0),
        EV(HURRY) = STAY(ACT(KILL) | ACT(ARM_KILL)),
        EV(TREE_GONE) = GO(EXITED, ACT(REPORT) | ACT(ANNOUNCE)),
        EV(UNKILLABLE) = GO(EXITED, ACT(REPORT) | ACT(ANNOUNCE)),
    },
    /* Nothing is alive and nothing is armed; the report says why; only STOP moves on. */
    [HOLD_CONTAINER_HELD] = {
        EV(JOB_OK) = NEVER,
        EV(JOB_RETRY) = NEVER,
        EV(JOB_FATAL) = NEVER,
        EV(JOB_HOLD) = NEVER,
        EV(HEAL) = LATE,
        EV(MEMBER_FATAL) = LATE,
        EV(MEMBER_HOLD) = LATE,
        EV(MEMBERS_ENDED) = NEVER,
        EV(DEADLINE) = NEVER,
        EV(STOP) = GO(REAPING, ACT(ANNOUNCE_UNREADY) | ACT(SWEEP) | ACT(ARM_SWEEP) | ACT(ANNOUNCE)),
        EV(HURRY) = NEVER,
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* Nothing is alive (except what was named unkillable), nothing is armed, code and report are fixed. */
    [HOLD_CONTAINER_EXITED] = {
        EV(JOB_OK) = LATE,
        EV(JOB_RETRY) = LATE,
        EV(JOB_FATAL) = LATE,
        EV(JOB_HOLD) = LATE,
        EV(HEAL) = LATE,
        EV(MEMBER_FATAL) = LATE,
        EV(MEMBER_HOLD) = LATE,
        EV(MEMBERS_ENDED) = NEVER,
        EV(DEADLINE) = NEVER,
        EV(STOP) = STAY(0),
        EV(HURRY) = STAY(0),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
};

#define DL(id) (1u << HOLD_CONTAINER_DL_##id)
const uint32_t hold_container_deadlines[HOLD_CONTAINER_COUNT] = {
    [HOLD_CONTAINER_PREFLIGHT] = DL(RETRY),
    [HOLD_CONTAINER_FETCHING] = DL(RETRY),
    [HOLD_CONTAINER_VERIFYING] = 0,
    [HOLD_CONTAINER_UP] = 0,
    [HOLD_CONTAINER_DRAINING] = DL(PRESTOP),
    [HOLD_CONTAINER_REAPING] = DL(SWEEP) | DL(KILL),
    [HOLD_CONTAINER_HELD] = 0,
    [HOLD_CONTAINER_EXITED] = 0,
};

struct hold_cell hold_container_step(enum hold_container_state state, enum hold_container_event event) {
    if ((unsigned) state >= HOLD_CONTAINER_COUNT || (unsigned) event >= HOLD_CONTAINER_EV_COUNT)
        return (struct hold_cell) NEVER;
    struct hold_cell cell = hold_container_table[state][event];
    if (cell.kind != HOLD_CELL_GO)
        cell.next = (uint8_t) state;
    return cell;
}

const char *hold_container_state_name(enum hold_container_state state) {
    static const char *const names[] = {
#define CONTAINER(id, name, meaning) name,
#include "base/phase.def"
#undef CONTAINER
    };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) state);
}

#define X(id, name) name,
const char *hold_container_event_name(enum hold_container_event event) {
    static const char *const names[] = { HOLD_CONTAINER_EVENTS(X) };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) event);
}

const char *hold_container_deadline_name(enum hold_container_deadline deadline) {
    static const char *const names[] = { HOLD_CONTAINER_DEADLINES(X) };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) deadline);
}

const char *hold_container_action_name(enum hold_container_action_bit bit) {
    static const char *const names[] = { HOLD_CONTAINER_ACTIONS(X) };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) bit);
}
#undef X
