/* world.h - the small world that the two state tables are tested in: members with main processes and helpers, some of which
 * ignore TERM or KILL, a job, deadlines, stop requests; and what must hold after every step. The includer says what chance
 * is: random numbers (prop_tables.c) or every choice in turn (prop_walk.c). Pure: no clock, no process. */
#ifndef HOLD_TESTS_PROPERTY_WORLD_H
#define HOLD_TESTS_PROPERTY_WORLD_H

#include "tests/unit/test.h"

#include "supervisor/policy/container.h"
#include "supervisor/policy/phase.h"

#define N_MEMBERS 2
#ifndef MAX_HELPERS
#define MAX_HELPERS 3
#endif
#define N_QUEUE 128

struct life {
    enum hold_member_state state;
    uint32_t armed; /* bits of deadlines */
    bool main_lives, record_is_open, is_named_unkillable, is_stubborn; /* stubborn: KILL does not reach it */
    unsigned helpers, lives;
    bool needs_up;
};

struct world {
    uint64_t random;
    enum hold_container_state state;
    uint32_t armed;
    bool job_lives, job_is_ending, stop_asked, holds, was_draining, job_is_stubborn;
    struct life members[N_MEMBERS];
    unsigned generation;
    struct {
        int member, event;
    } queue[N_QUEUE];
    unsigned n_queue;
    uint64_t seed;
};

/* Chance, as the includer makes it: one of 0 .. below - 1; true one time in one_in. */
static uint32_t roll(struct world *w, uint32_t below);
static bool chance(struct world *w, uint32_t one_in);

static void post(struct world *w, int member, int event) {
    assert_true(w->n_queue < N_QUEUE);
    w->queue[w->n_queue].member = member;
    w->queue[w->n_queue++].event = event;
}

#define PROMISE(condition)                                                                                                     \
    do {                                                                                                                       \
        if (!(condition))                                                                                                      \
            fail_msg("seed %llu: broken: %s (container %s, members %s %s)", (unsigned long long) w->seed, #condition,          \
                     hold_container_state_name(w->state), hold_member_state_name(w->members[0].state),                         \
                     hold_member_state_name(w->members[1].state));                                                             \
    } while (0)

static bool lives(const struct life *m) {
    return m->main_lives || m->helpers > 0;
}

/* ---- what the actions do to the world ---- */

static void act_member(struct world *w, int i, uint32_t actions) {
    struct life *m = &w->members[i];
    if (actions & HOLD_MEMBER_ACT_OPEN_RECORD) {
        PROMISE(!m->record_is_open);
        m->record_is_open = true;
    }
    if (actions & HOLD_MEMBER_ACT_SPAWN) {
        PROMISE(!lives(m));              /* never two lives, and none before the last tree is gone */
        PROMISE(!m->is_named_unkillable);
        PROMISE(m->record_is_open);
        PROMISE(!w->was_draining);
        m->lives++;
        m->main_lives = !chance(w, 10);
        m->is_stubborn = chance(w, 12);
        if (!m->main_lives)
            post(w, i, roll(w, 2) ? HOLD_MEMBER_EV_EXIT_RETRY : HOLD_MEMBER_EV_EXIT_FATAL);
    }
    if ((actions & HOLD_MEMBER_ACT_PAIR) && m->main_lives) {
        struct life *other = &w->members[1 - i];
        if (hold_member_is_serving(other->state) && other->main_lives) {
            PROMISE(other->main_lives && m->main_lives); /* no pairing with the dead */
            w->generation++;
        }
    }
    if (actions & HOLD_MEMBER_ACT_WARMUP && roll(w, 2))
        post(w, i, HOLD_MEMBER_EV_WARM);
    if (actions & HOLD_MEMBER_ACT_TERM)
        PROMISE(m->main_lives || m->state == HOLD_MEMBER_DRAINING);
    if (actions & (HOLD_MEMBER_ACT_KILL | HOLD_MEMBER_ACT_SWEEP))
        PROMISE(hold_member_has_tree(m->state));
    if ((actions & HOLD_MEMBER_ACT_KILL) && !m->is_stubborn) {
        m->helpers = 0;
        if (m->main_lives) {
            m->main_lives = false;
            post(w, i, roll(w, 2) ? HOLD_MEMBER_EV_EXIT_RETRY : HOLD_MEMBER_EV_EXIT_FATAL);
        }
    }
    if (actions & HOLD_MEMBER_ACT_CLOSE_RECORD) {
        PROMISE(m->record_is_open);
        m->record_is_open = false;
    }
    for (int d = 0; d < HOLD_MEMBER_DL_COUNT; d++)
        if (actions & (1u << (HOLD_MEMBER_BIT_ARM_PROGRESS + d)))
            m->armed |= 1u << d;
}

static void act_container(struct world *w, uint32_t actions) {
    if (actions & HOLD_CONTAINER_ACT_START_JOB) {
        PROMISE(!w->job_lives);
        PROMISE(!w->was_draining);
        if (chance(w, 3)) {
            post(w, -1, HOLD_CONTAINER_EV_JOB_OK);
        } else {
            w->job_lives = true;
            w->job_is_ending = false;
            w->job_is_stubborn = chance(w, 12);
        }
    }
    if (actions & HOLD_CONTAINER_ACT_END_JOB) {
        w->job_is_ending = w->job_lives;
        w->armed &= ~(1u << HOLD_CONTAINER_DL_RETRY);
    }
    for (int i = 0; i < N_MEMBERS; i++) {
        if (actions & HOLD_CONTAINER_ACT_STOP_MEMBERS)
            post(w, i, HOLD_MEMBER_EV_STOP);
        if (actions & HOLD_CONTAINER_ACT_HURRY_MEMBERS)
            post(w, i, HOLD_MEMBER_EV_HURRY);
    }
    if ((actions & HOLD_CONTAINER_ACT_KILL) && !w->job_is_stubborn)
        w->job_lives = false;
    static const int bits[] = { HOLD_CONTAINER_BIT_ARM_RETRY, HOLD_CONTAINER_BIT_ARM_PRESTOP, HOLD_CONTAINER_BIT_ARM_SWEEP, HOLD_CONTAINER_BIT_ARM_KILL };
    for (int d = 0; d < HOLD_CONTAINER_DL_COUNT; d++)
        if (actions & (1u << bits[d]))
            w->armed |= 1u << d;
}

/* ---- stepping, and what holds after every step ---- */

static void check(struct world *w) {
    for (int i = 0; i < N_MEMBERS; i++) {
        const struct life *m = &w->members[i];
        PROMISE((m->armed & ~hold_member_deadlines[m->state]) == 0); /* no deadline outlives its state */
        PROMISE(m->record_is_open == hold_member_has_tree(m->state)); /* open exactly while a life runs */
        PROMISE(hold_member_has_tree(m->state) || !lives(m) || m->is_named_unkillable);
        PROMISE((m->state != HOLD_MEMBER_RECYCLING && m->state != HOLD_MEMBER_REAPING) ||
                (m->armed & (1u << HOLD_MEMBER_DL_SWEEP | 1u << HOLD_MEMBER_DL_KILL))); /* ends within the kill bound */
        PROMISE(m->state != HOLD_MEMBER_DRAINING || (m->armed & 1u << HOLD_MEMBER_DL_DRAIN));
    }
    PROMISE((w->armed & ~hold_container_deadlines[w->state]) == 0);
    PROMISE(!w->was_draining || w->state >= HOLD_CONTAINER_DRAINING); /* no way back */
    if (w->state == HOLD_CONTAINER_HELD || w->state == HOLD_CONTAINER_EXITED) {
        PROMISE(w->armed == 0);
        for (int i = 0; i < N_MEMBERS; i++)
            PROMISE(w->members[i].armed == 0 && w->members[i].state == HOLD_MEMBER_ENDED);
    }
    w->was_draining |= w->state == HOLD_CONTAINER_DRAINING || w->state == HOLD_CONTAINER_REAPING;
}

static void step(struct world *w, int member, int event) {
    if (member < 0) {
        struct hold_cell cell = hold_container_step(w->state, (enum hold_container_event) event);
        if (cell.kind == HOLD_CELL_NEVER || cell.kind == HOLD_CELL_HOLE)
            fail_msg("seed %llu: container %s met %s", (unsigned long long) w->seed, hold_container_state_name(w->state),
                     hold_container_event_name((enum hold_container_event) event));
        w->state = (enum hold_container_state) cell.next;
        w->armed &= hold_container_deadlines[w->state];
        act_container(w, cell.actions);
    } else {
        struct life *m = &w->members[member];
        struct hold_cell cell = hold_member_step(m->state, (enum hold_member_event) event);
        if (cell.kind == HOLD_CELL_NEVER || cell.kind == HOLD_CELL_HOLE)
            fail_msg("seed %llu: member %s met %s", (unsigned long long) w->seed, hold_member_state_name(m->state),
                     hold_member_event_name((enum hold_member_event) event));
        if (m->state == HOLD_MEMBER_DRAINING)
            PROMISE(cell.next == HOLD_MEMBER_DRAINING || cell.next == HOLD_MEMBER_REAPING);
        m->state = (enum hold_member_state) cell.next;
        m->armed &= hold_member_deadlines[m->state];
        act_member(w, member, cell.actions);
    }
    check(w);
}

static bool all_ended(const struct world *w) {
    for (int i = 0; i < N_MEMBERS; i++)
        if (w->members[i].state != HOLD_MEMBER_ENDED)
            return false;
    return true;
}

static bool anything_lives(const struct world *w) {
    bool any = w->job_lives;
    for (int i = 0; i < N_MEMBERS; i++)
        any |= lives(&w->members[i]);
    return any;
}

/* What core.c does between two waits: the queue, then the conditions that make events. */
static void settle(struct world *w) {
    for (int guard = 0; guard < 1000; guard++) {
        while (w->n_queue > 0) {
            int member = w->queue[0].member, event = w->queue[0].event;
            w->n_queue--;
            memmove(&w->queue[0], &w->queue[1], w->n_queue * sizeof(w->queue[0]));
            step(w, member, event);
        }
        bool up = w->state <= HOLD_CONTAINER_UP;
        for (int i = 0; i < N_MEMBERS; i++) {
            struct life *m = &w->members[i];
            if (m->state == HOLD_MEMBER_WAITING && up && (!m->needs_up || w->state == HOLD_CONTAINER_UP))
                post(w, i, HOLD_MEMBER_EV_NEEDS_MET);
            if ((m->state == HOLD_MEMBER_RECYCLING || m->state == HOLD_MEMBER_REAPING) && !lives(m) && w->n_queue == 0)
                post(w, i, HOLD_MEMBER_EV_TREE_GONE);
        }
        if (w->n_queue == 0 && w->state == HOLD_CONTAINER_REAPING && !anything_lives(w))
            post(w, -1, HOLD_CONTAINER_EV_TREE_GONE);
        if (w->n_queue == 0 && all_ended(w) && (w->state == HOLD_CONTAINER_DRAINING || (up && !w->job_lives)))
            post(w, -1, HOLD_CONTAINER_EV_MEMBERS_ENDED);
        if (w->n_queue == 0)
            return;
    }
    fail_msg("seed %llu: never settles", (unsigned long long) w->seed);
}

/* ---- what can happen ---- */

static void die(struct world *w, int i) {
    struct life *m = &w->members[i];
    m->main_lives = false;
    bool final = w->stop_asked || w->state >= HOLD_CONTAINER_DRAINING || chance(w, 4);
    post(w, i, final ? HOLD_MEMBER_EV_EXIT_FATAL : HOLD_MEMBER_EV_EXIT_RETRY);
    if (final && w->state <= HOLD_CONTAINER_UP)
        post(w, -1, w->holds && !w->stop_asked ? HOLD_CONTAINER_EV_MEMBER_HOLD : HOLD_CONTAINER_EV_MEMBER_FATAL);
    else if (!final && chance(w, 6))
        post(w, -1, HOLD_CONTAINER_EV_HEAL);
}

static void news(struct world *w, int i) {
    static const enum hold_member_event late[] = { HOLD_MEMBER_EV_PROGRESS, HOLD_MEMBER_EV_PROBE_READY, HOLD_MEMBER_EV_PROBE_UNREADY,
                                                   HOLD_MEMBER_EV_PROBE_DEAD, HOLD_MEMBER_EV_WARM }; /* at any time, in any state */
    post(w, i, (int) late[roll(w, 5)]);
}

/* One armed deadline passes. */
static void one_member_deadline(struct world *w, int i, unsigned d) {
    struct life *m = &w->members[i];
    m->armed &= ~(1u << d);
    if (d != HOLD_MEMBER_DL_KILL) {
        post(w, i, HOLD_MEMBER_EV_DEADLINE);
    } else if (lives(m)) {
        m->is_named_unkillable = true;
        post(w, i, HOLD_MEMBER_EV_UNKILLABLE);
        if (w->state <= HOLD_CONTAINER_UP)
            post(w, -1, HOLD_CONTAINER_EV_MEMBER_FATAL);
    }
    settle(w);
}

static void one_container_deadline(struct world *w, unsigned d) {
    w->armed &= ~(1u << d);
    if (d != HOLD_CONTAINER_DL_KILL)
        post(w, -1, HOLD_CONTAINER_EV_DEADLINE);
    else if (anything_lives(w))
        post(w, -1, HOLD_CONTAINER_EV_UNKILLABLE);
    settle(w);
}

static void job_ends(struct world *w) {
    if (!w->job_lives || (w->job_is_ending && w->job_is_stubborn))
        return;
    w->job_lives = false;
    if (w->job_is_ending)
        return;
    uint32_t how = roll(w, 8);
    post(w, -1, how < 5 ? HOLD_CONTAINER_EV_JOB_OK : how < 7 ? HOLD_CONTAINER_EV_JOB_RETRY : w->holds ? HOLD_CONTAINER_EV_JOB_HOLD : HOLD_CONTAINER_EV_JOB_FATAL);
}

static void stop(struct world *w) {
    post(w, -1, w->stop_asked ? HOLD_CONTAINER_EV_HURRY : HOLD_CONTAINER_EV_STOP);
    w->stop_asked = true;
}

/* Where every history begins. */
static void begin_world(struct world *w) {
    w->state = HOLD_CONTAINER_PREFLIGHT;
    w->members[1].needs_up = true;
    act_container(w, HOLD_CONTAINER_ACT_START_JOB);
    settle(w);
}

#endif
