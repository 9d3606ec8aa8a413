/* member.h - one member's states, events, actions and its total table. Floor: policy, pure.
 *
 * A member is one long-lived child (front, engine, a foreign server). Whoever makes an event has weighed it: a spawn that
 * failed is an EXIT; EXIT_RETRY or EXIT_FATAL is diagnosis, restart policy and budget folded into one word (FATAL means
 * final, a clean end included); PROBE_DEAD is a threshold passed. There is no flag beside the state. */
#ifndef HOLD_POLICY_MEMBER_H
#define HOLD_POLICY_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

enum hold_member_state {
#define MEMBER(id, name, alive, meaning) HOLD_MEMBER_##id,
#include "base/phase.def"
#undef MEMBER
    HOLD_MEMBER_COUNT
};

#define HOLD_MEMBER_EVENTS(X)                                                                                        \
    X(NEEDS_MET, "needs_met")         /* what this member waits for is there */                                      \
    X(PROGRESS, "progress")           /* the start moved, or a watchdog ping came */                                 \
    X(PROBE_READY, "probe_ready")     /* it answers (probe threshold, or it told so) */                              \
    X(PROBE_UNREADY, "probe_unready") /* it refuses, threshold passed */                                             \
    X(PROBE_DEAD, "probe_dead")       /* liveness threshold passed: it must be replaced */                           \
    X(WARM, "warm")                   /* one real inference is done, or none is configured */                        \
    X(EXIT_RETRY, "exit_retry")       /* its main process is gone; it may start again */                             \
    X(EXIT_FATAL, "exit_fatal")       /* its main process is gone for good */                                        \
    X(DEADLINE, "deadline")           /* the earliest of the state's deadlines, except `kill`, passed */             \
    X(STOP, "stop")                   /* the container asks it to end */                                             \
    X(HURRY, "hurry")                 /* the container asks it to end now */                                         \
    X(TREE_GONE, "tree_gone")         /* main process and every helper are proven gone */                            \
    X(UNKILLABLE, "unkillable")       /* the `kill` deadline passed and something still lives */

enum hold_member_event {
#define X(id, name) HOLD_MEMBER_EV_##id,
    HOLD_MEMBER_EVENTS(X)
#undef X
    HOLD_MEMBER_EV_COUNT
};

/* The named deadlines. Each state owns a set of them (hold_member_deadlines); a move clears every deadline that the next
 * state does not own. */
#define HOLD_MEMBER_DEADLINES(X)                                                        \
    X(PROGRESS, "no-progress") /* the start did not move for this long */               \
    X(BACKSTOP, "start-backstop")                                                       \
    X(WARM, "warm-up")                                                                  \
    X(LIVE, "liveness") /* a watchdog ping is overdue; armed only when one is asked for */ \
    X(DRAIN, "drain")                                                                   \
    X(SWEEP, "sweep") /* leftovers had their time after TERM */                         \
    X(KILL, "kill")   /* whatever lives after this ignores KILL; running, never extended */ \
    X(BACKOFF, "backoff")

enum hold_member_deadline {
#define X(id, name) HOLD_MEMBER_DL_##id,
    HOLD_MEMBER_DEADLINES(X)
#undef X
    HOLD_MEMBER_DL_COUNT
};

/* Action bits, done lowest first. */
#define HOLD_MEMBER_ACTIONS(X)                                                          \
    X(OPEN_RECORD, "open_record")                                                       \
    X(SPAWN, "spawn")                                                                   \
    X(PAIR, "pair")     /* join with the partner if that one lives */                   \
    X(WARMUP, "warmup") /* send the warm-up request, or say that there is none */       \
    X(TERM, "term")                                                                     \
    X(SWEEP, "sweep") /* TERM to what the dead left behind */                           \
    X(KILL, "kill")   /* evidence first, then KILL to the whole tree */                 \
    X(CLOSE_RECORD, "close_record")                                                     \
    X(ANNOUNCE, "announce")                                                             \
    X(ARM_PROGRESS, "arm_progress")                                                     \
    X(ARM_BACKSTOP, "arm_backstop")                                                     \
    X(ARM_WARM, "arm_warm")                                                             \
    X(ARM_LIVE, "arm_live")                                                             \
    X(ARM_DRAIN, "arm_drain")                                                           \
    X(ARM_SWEEP, "arm_sweep")                                                           \
    X(ARM_KILL, "arm_kill")                                                             \
    X(ARM_BACKOFF, "arm_backoff")

enum hold_member_action_bit {
#define X(id, name) HOLD_MEMBER_BIT_##id,
    HOLD_MEMBER_ACTIONS(X)
#undef X
    HOLD_MEMBER_BIT_COUNT
};

enum hold_member_action {
#define X(id, name) HOLD_MEMBER_ACT_##id = 1 << HOLD_MEMBER_BIT_##id,
    HOLD_MEMBER_ACTIONS(X)
#undef X
};

/* What a pair of state and event means. Zero is a hole: nobody decided, and a test fails. */
enum hold_cell_kind { HOLD_CELL_HOLE, HOLD_CELL_GO, HOLD_CELL_STAY, HOLD_CELL_NEVER };

struct hold_cell {
    uint8_t kind; /* enum hold_cell_kind */
    uint8_t next; /* the state after GO */
    uint32_t actions;
};

extern const struct hold_cell hold_member_table[HOLD_MEMBER_COUNT][HOLD_MEMBER_EV_COUNT];
/* The deadlines that a state owns, as bits 1 << enum hold_member_deadline. */
extern const uint32_t hold_member_deadlines[HOLD_MEMBER_COUNT];
/* True in the states in which the member's main process or its tree may live. */
bool hold_member_has_tree(enum hold_member_state state);
/* True from LOADING to UNREADY: a main process that may be paired, probed and spoken to. */
bool hold_member_is_serving(enum hold_member_state state);

/* The cell of the pair; a value outside the table gives NEVER. For GO, next is the new state; else the state stays. A NEVER
 * has no action: the caller logs it and goes on, since process 1 may not die of its own surprise. */
struct hold_cell hold_member_step(enum hold_member_state state, enum hold_member_event event);

const char *hold_member_state_name(enum hold_member_state state);
const char *hold_member_event_name(enum hold_member_event event);
const char *hold_member_deadline_name(enum hold_member_deadline deadline);
const char *hold_member_action_name(enum hold_member_action_bit bit);

#endif
