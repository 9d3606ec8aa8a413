/* prop_walk.c - a model check of both state tables: every reachable state of the small world (world.h), by every choice that
 * the world can make, breadth first. What holds after each step holds for all histories then, not for the random ones alone.
 * From every state found, an adversary who helps with nothing (no process ends unless it is killed, every deadline runs out)
 * cannot keep a dying tree past its bound nor a stop from ending. Pure: no clock, no process. */
#define MAX_HELPERS 1
#include "tests/property/world.h"

/* ---- every choice in turn: a tape of the choices of one step, counted up like an odometer ---- */

#define TAPE 64
static struct {
    uint8_t choice[TAPE], below[TAPE];
    unsigned n, at;
} tape;

static uint32_t roll(struct world *w, uint32_t below) {
    (void) w;
    assert_true(tape.at < TAPE);
    if (tape.at == tape.n) {
        tape.choice[tape.n] = 0;
        tape.below[tape.n++] = (uint8_t) below;
    }
    return tape.choice[tape.at++];
}

static bool chance(struct world *w, uint32_t one_in) {
    (void) one_in;
    return roll(w, 2) == 0;
}

static bool next_tape(void) {
    while (tape.n > 0 && tape.choice[tape.n - 1] + 1 == tape.below[tape.n - 1])
        tape.n--;
    tape.at = 0;
    if (tape.n == 0)
        return false;
    tape.choice[tape.n - 1]++;
    return true;
}

static void rewind_tape(void) {
    tape.n = tape.at = 0;
}

/* ---- a state as one number, and the set of those seen ---- */

static uint64_t pack(const struct world *w) {
    uint64_t key = (uint64_t) w->state | (uint64_t) w->armed << 3 | (uint64_t) w->job_lives << 7 | (uint64_t) w->job_is_ending << 8 |
                   (uint64_t) w->stop_asked << 9 | (uint64_t) w->holds << 10 | (uint64_t) w->was_draining << 11 |
                   (uint64_t) w->job_is_stubborn << 12 | UINT64_C(1) << 63;
    for (unsigned i = 0; i < N_MEMBERS; i++) {
        const struct life *m = &w->members[i];
        uint64_t part = (uint64_t) m->state | (uint64_t) m->armed << 4 | (uint64_t) m->main_lives << 12 | (uint64_t) m->record_is_open << 13 |
                        (uint64_t) m->is_named_unkillable << 14 | (uint64_t) m->is_stubborn << 15 | (uint64_t) m->helpers << 16;
        key |= part << (13 + 17 * i);
    }
    return key;
}

static struct world unpack(uint64_t key) {
    struct world w = {
        .state = (enum hold_container_state) (key & 7), .armed = key >> 3 & 15, .job_lives = key >> 7 & 1, .job_is_ending = key >> 8 & 1,
        .stop_asked = key >> 9 & 1, .holds = key >> 10 & 1, .was_draining = key >> 11 & 1, .job_is_stubborn = key >> 12 & 1,
    };
    for (unsigned i = 0; i < N_MEMBERS; i++) {
        uint64_t part = key >> (13 + 17 * i);
        w.members[i] = (struct life) {
            .state = (enum hold_member_state) (part & 15), .armed = part >> 4 & 255, .main_lives = part >> 12 & 1,
            .record_is_open = part >> 13 & 1, .is_named_unkillable = part >> 14 & 1, .is_stubborn = part >> 15 & 1,
            .helpers = part >> 16 & 1,
        };
    }
    w.members[1].needs_up = true;
    return w;
}

#define SLOTS (1u << 23)
static uint64_t *seen, *queue;
static size_t n_seen;

static void found(const struct world *w) {
    uint64_t key = pack(w);
    for (uint64_t at = key * UINT64_C(0x9e3779b97f4a7c15) >> 41;; at = (at + 1) % SLOTS) {
        if (seen[at] == key)
            return;
        if (seen[at] == 0) {
            assert_true(n_seen < SLOTS / 2);
            seen[at] = key;
            queue[n_seen++] = key;
            return;
        }
    }
}

/* ---- one move of the world, by every choice ---- */

enum move { DIES, HELPER_COMES, HELPER_GOES, NEWS, MEMBER_DEADLINE, CONTAINER_DEADLINE, JOB_ENDS, STOP, MOVES };

static void move(struct world *w, enum move which, int i) {
    struct life *m = &w->members[i];
    switch (which) {
    case DIES:
        if (m->main_lives && !m->is_stubborn)
            die(w, i);
        break;
    case HELPER_COMES:
        if (m->main_lives && m->helpers < MAX_HELPERS)
            m->helpers++;
        break;
    case HELPER_GOES:
        if (m->helpers > 0 && !m->is_stubborn)
            m->helpers--;
        break;
    case NEWS:
        news(w, i);
        break;
    case MEMBER_DEADLINE:
        if (m->armed != 0) {
            unsigned d = roll(w, HOLD_MEMBER_DL_COUNT);
            if (m->armed & 1u << d)
                one_member_deadline(w, i, d);
        }
        break;
    case CONTAINER_DEADLINE:
        if (i == 0 && w->armed != 0) {
            unsigned d = roll(w, HOLD_CONTAINER_DL_COUNT);
            if (w->armed & 1u << d)
                one_container_deadline(w, d);
        }
        break;
    case JOB_ENDS:
        if (i == 0)
            job_ends(w);
        break;
    case STOP:
        if (i == 0)
            stop(w);
        break;
    case MOVES:
        break;
    }
    settle(w);
}

static void walk_from(uint64_t key) {
    for (enum move which = 0; which < MOVES; which++) {
        for (int i = 0; i < N_MEMBERS; i++) {
            rewind_tape();
            do {
                struct world w = unpack(key);
                move(&w, which, i);
                found(&w);
            } while (next_tape());
        }
    }
}

static int set_up(void **unused) {
    (void) unused;
    seen = calloc(SLOTS, sizeof(*seen));
    queue = calloc(SLOTS / 2, sizeof(*queue));
    if (!seen || !queue)
        return -1;
    for (unsigned holds = 0; holds < 2; holds++) {
        rewind_tape();
        do {
            struct world w = { .holds = holds };
            begin_world(&w);
            found(&w);
        } while (next_tape());
    }
    for (size_t i = 0; i < n_seen; i++)
        walk_from(queue[i]);
    print_message("# %zu states\n", n_seen);
    return 0;
}

static int tear_down(void **unused) {
    (void) unused;
    free(seen);
    free(queue);
    return 0;
}

/* ---- what is asked of all of them ---- */

static void no_history_breaks_a_promise_and_no_state_is_unreachable(void **unused) {
    (void) unused;
    unsigned seen_container = 0, seen_member[N_MEMBERS] = { 0 };
    for (size_t i = 0; i < n_seen; i++) {
        struct world world = unpack(queue[i]), *w = &world;
        check(w);
        seen_container |= 1u << w->state;
        for (int k = 0; k < N_MEMBERS; k++)
            seen_member[k] |= 1u << w->members[k].state;
    }
    assert_int_equal(seen_container, (1u << HOLD_CONTAINER_COUNT) - 1);
    for (int k = 0; k < N_MEMBERS; k++)
        assert_int_equal(seen_member[k], (1u << HOLD_MEMBER_COUNT) - 1);
}

static void nothing_lives_after_the_end_but_what_was_named(void **unused) {
    (void) unused;
    for (size_t i = 0; i < n_seen; i++) {
        struct world world = unpack(queue[i]), *w = &world;
        if (w->state != HOLD_CONTAINER_EXITED && w->state != HOLD_CONTAINER_HELD)
            continue;
        PROMISE(!w->job_lives || w->job_is_stubborn);
        for (int k = 0; k < N_MEMBERS; k++)
            PROMISE(!lives(&w->members[k]) || w->members[k].is_named_unkillable);
    }
}

/* Every move at once is a path of moves: that no single move leaves DRAINING for a serving state is the whole promise. */
static void no_path_leads_from_draining_back(void **unused) {
    (void) unused;
    for (int from = HOLD_MEMBER_DRAINING; from < HOLD_MEMBER_COUNT; from++) {
        if (from == HOLD_MEMBER_RECYCLING || from == HOLD_MEMBER_BACKOFF)
            continue; /* those two wait for a new life */
        for (enum hold_member_event e = 0; e < HOLD_MEMBER_EV_COUNT; e++) {
            unsigned next = hold_member_step((enum hold_member_state) from, e).next;
            assert_true(next == HOLD_MEMBER_DRAINING || next == HOLD_MEMBER_REAPING || next == HOLD_MEMBER_ENDED);
        }
    }
}

/* A living corpse is never followed by anything, whatever the container does about it. */
static void unkillable_is_the_end_of_a_member(void **unused) {
    (void) unused;
    for (enum hold_member_state from = 0; from < HOLD_MEMBER_COUNT; from++) {
        struct hold_cell cell = hold_member_step(from, HOLD_MEMBER_EV_UNKILLABLE);
        assert_true(cell.kind == HOLD_CELL_NEVER || cell.next == HOLD_MEMBER_ENDED);
    }
}

static void a_dying_tree_ends_within_its_two_deadlines(void **unused) {
    (void) unused;
    for (size_t i = 0; i < n_seen; i++) {
        for (int k = 0; k < N_MEMBERS; k++) {
            if (unpack(queue[i]).members[k].state != HOLD_MEMBER_RECYCLING && unpack(queue[i]).members[k].state != HOLD_MEMBER_REAPING)
                continue;
            rewind_tape();
            do {
                struct world world = unpack(queue[i]), *w = &world;
                struct life *m = &w->members[k];
                for (int fired = 0; fired < 2 && (m->state == HOLD_MEMBER_RECYCLING || m->state == HOLD_MEMBER_REAPING); fired++)
                    one_member_deadline(w, k, m->armed & 1u << HOLD_MEMBER_DL_SWEEP ? HOLD_MEMBER_DL_SWEEP : HOLD_MEMBER_DL_KILL);
                PROMISE(m->state != HOLD_MEMBER_RECYCLING && m->state != HOLD_MEMBER_REAPING);
            } while (next_tape());
        }
    }
}

/* Deadlines in their order alone: the container's first, then each member's. */
static void run_out(struct world *w) {
    for (unsigned d = 0; d < HOLD_CONTAINER_DL_COUNT; d++) {
        if (w->armed & 1u << d) {
            one_container_deadline(w, d);
            break;
        }
    }
    for (int k = 0; k < N_MEMBERS; k++) {
        for (unsigned d = 0; d < HOLD_MEMBER_DL_COUNT; d++) {
            if (w->members[k].armed & 1u << d) {
                one_member_deadline(w, k, d);
                break;
            }
        }
    }
}

static void a_stop_ends_from_everywhere_though_nothing_helps(void **unused) {
    (void) unused;
    for (size_t i = 0; i < n_seen; i++) {
        rewind_tape();
        do {
            struct world world = unpack(queue[i]), *w = &world;
            if (!w->stop_asked && w->state != HOLD_CONTAINER_EXITED)
                stop(w);
            settle(w);
            int rounds = 0;
            while (w->state != HOLD_CONTAINER_EXITED && rounds++ < 8)
                run_out(w);
            PROMISE(w->state == HOLD_CONTAINER_EXITED);
        } while (next_tape());
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_history_breaks_a_promise_and_no_state_is_unreachable),
        cmocka_unit_test(nothing_lives_after_the_end_but_what_was_named),
        cmocka_unit_test(no_path_leads_from_draining_back),
        cmocka_unit_test(unkillable_is_the_end_of_a_member),
        cmocka_unit_test(a_dying_tree_ends_within_its_two_deadlines),
        cmocka_unit_test(a_stop_ends_from_everywhere_though_nothing_helps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
