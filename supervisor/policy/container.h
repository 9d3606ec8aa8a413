/* container.h - the container's states, events, actions and its total table. Floor: policy, pure.
 *
 * Three stages prepare (PREFLIGHT, FETCHING, VERIFYING), each by one job; a stage that has nothing to do answers JOB_OK at
 * once. With `--on-fatal hold` a final verdict comes as JOB_HOLD or MEMBER_HOLD: the members end, then MEMBERS_ENDED leads to
 * HELD, where without it the container drains, reaps and exits. */
#ifndef HOLD_POLICY_CONTAINER_H
#define HOLD_POLICY_CONTAINER_H

#include "supervisor/policy/member.h"

enum hold_container_state {
#define CONTAINER(id, name, meaning) HOLD_CONTAINER_##id,
#include "base/phase.def"
#undef CONTAINER
    HOLD_CONTAINER_COUNT
};

#define HOLD_CONTAINER_EVENTS(X)                                                                                   \
    X(JOB_OK, "job_ok")               /* the stage's job succeeded, or there is nothing to do */                   \
    X(JOB_RETRY, "job_retry")         /* it failed and may succeed when tried again */                             \
    X(JOB_FATAL, "job_fatal")         /* it failed for good */                                                     \
    X(JOB_HOLD, "job_hold")           /* the same with --on-fatal hold */                                          \
    X(HEAL, "heal")                   /* a dead member's weights were found damaged */                             \
    X(MEMBER_FATAL, "member_fatal")   /* a member ended for good */                                                \
    X(MEMBER_HOLD, "member_hold")     /* the same with --on-fatal hold, when the end was a failure */              \
    X(MEMBERS_ENDED, "members_ended") /* every member is ENDED and no job runs */                                  \
    X(DEADLINE, "deadline")           /* retry, pre-stop delay or sweep time is over */                            \
    X(STOP, "stop")                   /* the first request to end */                                               \
    X(HURRY, "hurry")                 /* a further one */                                                          \
    X(TREE_GONE, "tree_gone")         /* no process of ours is left */                                             \
    X(UNKILLABLE, "unkillable")       /* the kill bound passed and something still lives */

enum hold_container_event {
#define X(id, name) HOLD_CONTAINER_EV_##id,
    HOLD_CONTAINER_EVENTS(X)
#undef X
    HOLD_CONTAINER_EV_COUNT
};

#define HOLD_CONTAINER_DEADLINES(X) \
    X(RETRY, "retry")               \
    X(PRESTOP, "pre-stop")          \
    X(SWEEP, "sweep")               \
    X(KILL, "kill")

enum hold_container_deadline {
#define X(id, name) HOLD_CONTAINER_DL_##id,
    HOLD_CONTAINER_DEADLINES(X)
#undef X
    HOLD_CONTAINER_DL_COUNT
};

#define HOLD_CONTAINER_ACTIONS(X)                                                            \
    X(ANNOUNCE_UNREADY, "announce_unready") /* readiness is 503 before anything else */      \
    X(START_JOB, "start_job")                                                                \
    X(END_JOB, "end_job") /* TERM to the job; its end makes no event; no retry stays armed */ \
    X(STOP_MEMBERS, "stop_members")                                                          \
    X(HURRY_MEMBERS, "hurry_members")                                                        \
    X(SWEEP, "sweep")                                                                        \
    X(KILL, "kill")                                                                          \
    X(REPORT, "report")                                                                      \
    X(ANNOUNCE, "announce")                                                                  \
    X(ARM_RETRY, "arm_retry")                                                                \
    X(ARM_PRESTOP, "arm_prestop")                                                            \
    X(ARM_SWEEP, "arm_sweep")                                                                \
    X(ARM_KILL, "arm_kill")

enum hold_container_action_bit {
#define X(id, name) HOLD_CONTAINER_BIT_##id,
    HOLD_CONTAINER_ACTIONS(X)
#undef X
    HOLD_CONTAINER_BIT_COUNT
};

enum hold_container_action {
#define X(id, name) HOLD_CONTAINER_ACT_##id = 1 << HOLD_CONTAINER_BIT_##id,
    HOLD_CONTAINER_ACTIONS(X)
#undef X
};

extern const struct hold_cell hold_container_table[HOLD_CONTAINER_COUNT][HOLD_CONTAINER_EV_COUNT];
extern const uint32_t hold_container_deadlines[HOLD_CONTAINER_COUNT];

/* As hold_member_step. The first state is PREFLIGHT, entered with START_JOB | ANNOUNCE. */
struct hold_cell hold_container_step(enum hold_container_state state, enum hold_container_event event);

const char *hold_container_state_name(enum hold_container_state state);
const char *hold_container_event_name(enum hold_container_event event);
const char *hold_container_deadline_name(enum hold_container_deadline deadline);
const char *hold_container_action_name(enum hold_container_action_bit bit);

#endif
