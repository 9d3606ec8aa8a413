/* member.c - one member's total table. Floor: policy, pure. */
#include "supervisor/policy/member.h"

#include "base/list.h"

#define GO(st, a) { HOLD_CELL_GO, HOLD_MEMBER_##st, (a) }
#define STAY(a) { HOLD_CELL_STAY, 0, (a) }
#define NEVER { HOLD_CELL_NEVER, 0, 0 }
#define EV(id) [HOLD_MEMBER_EV_##id]

#define START (HOLD_MEMBER_ACT_OPEN_RECORD | HOLD_MEMBER_ACT_SPAWN | HOLD_MEMBER_ACT_PAIR | HOLD_MEMBER_ACT_ARM_PROGRESS | HOLD_MEMBER_ACT_ARM_BACKSTOP)
#define SWEEP (HOLD_MEMBER_ACT_SWEEP | HOLD_MEMBER_ACT_ARM_SWEEP)
#define KILL (HOLD_MEMBER_ACT_KILL | HOLD_MEMBER_ACT_ARM_KILL)
#define DRAIN (HOLD_MEMBER_ACT_TERM | HOLD_MEMBER_ACT_ARM_DRAIN)
#define SAY HOLD_MEMBER_ACT_ANNOUNCE
#define CLOSE HOLD_MEMBER_ACT_CLOSE_RECORD

/* Late news of a life that is over, or news that changes nothing here: harmless, and said so cell by cell. */
#define LATE STAY(0)

const struct hold_cell hold_member_table[HOLD_MEMBER_COUNT][HOLD_MEMBER_EV_COUNT] = {
    /* Nothing of this member lives, no deadline is armed, no record is open; it has never run, or its last tree is proven gone. */
    [HOLD_MEMBER_WAITING] = {
        EV(NEEDS_MET) = GO(LOADING, START | SAY),
        EV(PROGRESS) = LATE,
        EV(PROBE_READY) = LATE,
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = LATE,
        EV(EXIT_RETRY) = NEVER,
        EV(EXIT_FATAL) = NEVER,
        EV(DEADLINE) = NEVER,
        EV(STOP) = GO(ENDED, SAY),
        EV(HURRY) = GO(ENDED, SAY),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* Exactly one life runs and its record is open; it was never ready in this life; no-progress and backstop are armed.
     * Liveness is not judged here: a server that loads is busy, not dead. */
    [HOLD_MEMBER_LOADING] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = STAY(HOLD_MEMBER_ACT_ARM_PROGRESS),
        EV(PROBE_READY) = GO(WARMING, HOLD_MEMBER_ACT_WARMUP | HOLD_MEMBER_ACT_ARM_WARM | SAY),
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = GO(READY, HOLD_MEMBER_ACT_ARM_LIVE | SAY), /* told READY=1 without saying that it warms */
        EV(EXIT_RETRY) = GO(RECYCLING, SWEEP | SAY),
        EV(EXIT_FATAL) = GO(REAPING, SWEEP | SAY),
        EV(DEADLINE) = GO(RECYCLING, KILL | SAY),
        EV(STOP) = GO(DRAINING, DRAIN | SAY),
        EV(HURRY) = GO(REAPING, KILL | SAY),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* One life runs and answers; its first real inference is under way and bounded by one deadline. */
    [HOLD_MEMBER_WARMING] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = LATE,
        EV(PROBE_READY) = LATE,
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = GO(READY, HOLD_MEMBER_ACT_ARM_LIVE | SAY),
        EV(EXIT_RETRY) = GO(RECYCLING, SWEEP | SAY),
        EV(EXIT_FATAL) = GO(REAPING, SWEEP | SAY),
        EV(DEADLINE) = GO(RECYCLING, KILL | SAY),
        EV(STOP) = GO(DRAINING, DRAIN | SAY),
        EV(HURRY) = GO(REAPING, KILL | SAY),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* One life runs, has done a real inference and serves; only the watchdog, where one is asked for, is armed. */
    [HOLD_MEMBER_READY] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = STAY(HOLD_MEMBER_ACT_ARM_LIVE),
        EV(PROBE_READY) = STAY(0),
        EV(PROBE_UNREADY) = GO(UNREADY, SAY),
        EV(PROBE_DEAD) = GO(RECYCLING, KILL | SAY),
        EV(WARM) = STAY(0),
        EV(EXIT_RETRY) = GO(RECYCLING, SWEEP | SAY), /* helpers may live on */
        EV(EXIT_FATAL) = GO(REAPING, SWEEP | SAY),
        EV(DEADLINE) = GO(RECYCLING, KILL | SAY),
        EV(STOP) = GO(DRAINING, DRAIN | SAY),
        EV(HURRY) = GO(REAPING, KILL | SAY),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* One life runs that was ready and refuses now; the watchdog of READY runs on. */
    [HOLD_MEMBER_UNREADY] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = STAY(HOLD_MEMBER_ACT_ARM_LIVE),
        EV(PROBE_READY) = GO(READY, HOLD_MEMBER_ACT_ARM_LIVE | SAY),
        EV(PROBE_UNREADY) = STAY(0),
        EV(PROBE_DEAD) = GO(RECYCLING, KILL | SAY),
        EV(WARM) = STAY(0),
        EV(EXIT_RETRY) = GO(RECYCLING, SWEEP | SAY),
        EV(EXIT_FATAL) = GO(REAPING, SWEEP | SAY),
        EV(DEADLINE) = GO(RECYCLING, KILL | SAY),
        EV(STOP) = GO(DRAINING, DRAIN | SAY),
        EV(HURRY) = GO(REAPING, KILL | SAY),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* One life runs and has been asked to end; drain is armed; there is no way back to serving. */
    [HOLD_MEMBER_DRAINING] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = LATE,
        EV(PROBE_READY) = LATE,
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = LATE,
        EV(EXIT_RETRY) = GO(REAPING, SWEEP | SAY),
        EV(EXIT_FATAL) = GO(REAPING, SWEEP | SAY),
        EV(DEADLINE) = GO(REAPING, KILL | SAY),
        EV(STOP) = STAY(0),
        EV(HURRY) = GO(REAPING, KILL | SAY),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* A tree is dying, by itself after TERM (sweep armed) or by KILL (kill armed); the record stays open until it is gone;
     * nothing new starts before that. */
    [HOLD_MEMBER_RECYCLING] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = LATE,
        EV(PROBE_READY) = LATE,
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = LATE,
        EV(EXIT_RETRY) = STAY(0), /* the one we killed */
        EV(EXIT_FATAL) = GO(REAPING, KILL | SAY),
        EV(DEADLINE) = STAY(KILL),
        EV(STOP) = GO(REAPING, SAY), /* only what follows the corpse changes; the clocks run on */
        EV(HURRY) = GO(REAPING, KILL | SAY),
        EV(TREE_GONE) = GO(BACKOFF, CLOSE | HOLD_MEMBER_ACT_ARM_BACKOFF | SAY),
        EV(UNKILLABLE) = GO(ENDED, CLOSE | SAY), /* never a second life beside a living corpse */
    },
    /* A tree is dying and nothing follows it; sweep or kill is armed. */
    [HOLD_MEMBER_REAPING] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = LATE,
        EV(PROBE_READY) = LATE,
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = LATE,
        EV(EXIT_RETRY) = STAY(0),
        EV(EXIT_FATAL) = STAY(0),
        EV(DEADLINE) = STAY(KILL),
        EV(STOP) = STAY(0),
        EV(HURRY) = STAY(KILL),
        EV(TREE_GONE) = GO(ENDED, CLOSE | SAY),
        EV(UNKILLABLE) = GO(ENDED, CLOSE | SAY),
    },
    /* Nothing lives, the record is closed, the restart deadline is armed. */
    [HOLD_MEMBER_BACKOFF] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = LATE,
        EV(PROBE_READY) = LATE,
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = LATE,
        EV(EXIT_RETRY) = NEVER,
        EV(EXIT_FATAL) = NEVER,
        EV(DEADLINE) = GO(WAITING, 0), /* where the needs are still met, NEEDS_MET follows in the same batch */
        EV(STOP) = GO(ENDED, SAY),
        EV(HURRY) = GO(ENDED, SAY),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
    /* Final: nothing lives except what was named unkillable; nothing is armed; the record is closed. */
    [HOLD_MEMBER_ENDED] = {
        EV(NEEDS_MET) = NEVER,
        EV(PROGRESS) = LATE,
        EV(PROBE_READY) = LATE,
        EV(PROBE_UNREADY) = LATE,
        EV(PROBE_DEAD) = LATE,
        EV(WARM) = LATE,
        EV(EXIT_RETRY) = LATE, /* the unkillable one died after all */
        EV(EXIT_FATAL) = LATE,
        EV(DEADLINE) = NEVER,
        EV(STOP) = STAY(0),
        EV(HURRY) = STAY(0),
        EV(TREE_GONE) = NEVER,
        EV(UNKILLABLE) = NEVER,
    },
};

#define DL(id) (1u << HOLD_MEMBER_DL_##id)
const uint32_t hold_member_deadlines[HOLD_MEMBER_COUNT] = {
    [HOLD_MEMBER_WAITING] = 0,
    [HOLD_MEMBER_LOADING] = DL(PROGRESS) | DL(BACKSTOP),
    [HOLD_MEMBER_WARMING] = DL(WARM),
    [HOLD_MEMBER_READY] = DL(LIVE),
    [HOLD_MEMBER_UNREADY] = DL(LIVE),
    [HOLD_MEMBER_DRAINING] = DL(DRAIN),
    [HOLD_MEMBER_RECYCLING] = DL(SWEEP) | DL(KILL),
    [HOLD_MEMBER_REAPING] = DL(SWEEP) | DL(KILL),
    [HOLD_MEMBER_BACKOFF] = DL(BACKOFF),
    [HOLD_MEMBER_ENDED] = 0,
};

bool hold_member_is_serving(enum hold_member_state state) {
    return state == HOLD_MEMBER_LOADING || state == HOLD_MEMBER_WARMING || state == HOLD_MEMBER_READY || state == HOLD_MEMBER_UNREADY;
}

bool hold_member_has_tree(enum hold_member_state state) {
    return hold_member_is_serving(state) || state == HOLD_MEMBER_DRAINING || state == HOLD_MEMBER_RECYCLING ||
           state == HOLD_MEMBER_REAPING;
}

struct hold_cell hold_member_step(enum hold_member_state state, enum hold_member_event event) {
    if ((unsigned) state >= HOLD_MEMBER_COUNT || (unsigned) event >= HOLD_MEMBER_EV_COUNT)
        return (struct hold_cell) NEVER;
    struct hold_cell cell = hold_member_table[state][event];
    if (cell.kind != HOLD_CELL_GO)
        cell.next = (uint8_t) state;
    return cell;
}

const char *hold_member_state_name(enum hold_member_state state) {
    static const char *const names[] = {
#define MEMBER(id, name, alive, meaning) name,
#include "base/phase.def"
#undef MEMBER
    };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) state);
}

#define X(id, name) name,
const char *hold_member_event_name(enum hold_member_event event) {
    static const char *const names[] = { HOLD_MEMBER_EVENTS(X) };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) event);
}

const char *hold_member_deadline_name(enum hold_member_deadline deadline) {
    static const char *const names[] = { HOLD_MEMBER_DEADLINES(X) };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) deadline);
}

const char *hold_member_action_name(enum hold_member_action_bit bit) {
    static const char *const names[] = { HOLD_MEMBER_ACTIONS(X) };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) bit);
}
#undef X
