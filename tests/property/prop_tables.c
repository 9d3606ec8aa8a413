/* prop_tables.c - both state tables under random histories of a small world: members with main processes and helpers, some
 * of which ignore TERM or KILL, a job, deadlines, stop requests. Every event is one that the world can produce, so a NEVER
 * cell may not be met; after every step the promises of the tables hold; a stop always ends. Pure: no clock, no process. */
#include "tests/property/world.h"

#define STEPS 400

static uint32_t roll(struct world *w, uint32_t below) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t) (w->random >> 33) % below;
}

static bool chance(struct world *w, uint32_t one_in) {
    return roll(w, one_in) == 0;
}

static void member_deadline(struct world *w, int i) {
    for (unsigned d = 0; d < HOLD_MEMBER_DL_COUNT; d++)
        if ((w->members[i].armed & 1u << d) && roll(w, 2))
            one_member_deadline(w, i, d);
}

static void container_deadline(struct world *w) {
    for (unsigned d = 0; d < HOLD_CONTAINER_DL_COUNT; d++)
        if ((w->armed & 1u << d) && roll(w, 2))
            one_container_deadline(w, d);
}

static void happen(struct world *w, bool may_stop) {
    int i = (int) roll(w, N_MEMBERS);
    struct life *m = &w->members[i];
    switch (roll(w, 9)) {
    case 0:
        if (m->main_lives && !m->is_stubborn)
            die(w, i);
        break;
    case 1:
        if (m->main_lives && m->helpers < MAX_HELPERS)
            m->helpers++;
        break;
    case 2:
        if (m->helpers > 0 && !m->is_stubborn)
            m->helpers--;
        break;
    case 3:
    case 4:
        news(w, i);
        break;
    case 5:
        member_deadline(w, i);
        break;
    case 6:
        container_deadline(w);
        break;
    case 7:
        job_ends(w);
        break;
    case 8:
        if (may_stop && chance(w, 30))
            stop(w);
        break;
    }
    settle(w);
}

static struct world begin(uint64_t seed) {
    struct world w = { .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1, .seed = seed };
    w.holds = roll(&w, 2);
    begin_world(&w);
    return w;
}

static uint64_t n_seeds(void) {
    const char *text = getenv("HOLD_SEEDS");
    return text ? strtoull(text, NULL, 10) : 200;
}

static void promises_hold_after_every_step(void **unused) {
    (void) unused;
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        struct world w = begin(seed);
        for (int i = 0; i < STEPS && w.state != HOLD_CONTAINER_EXITED; i++)
            happen(&w, true);
    }
}

static void stop_always_ends(void **unused) {
    (void) unused;
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        struct world world = begin(seed), *w = &world;
        uint32_t before = roll(w, 60);
        for (uint32_t i = 0; i < before; i++)
            happen(w, false);
        if (w->state != HOLD_CONTAINER_EXITED && !w->stop_asked)
            stop(w);
        settle(w);
        for (int i = 0; i < 4000 && w->state != HOLD_CONTAINER_EXITED; i++)
            happen(w, false);
        PROMISE(w->state == HOLD_CONTAINER_EXITED);
    }
}

static void every_state_is_reached(void **unused) {
    (void) unused;
    unsigned seen_container = 0, seen_member = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world w = begin(seed);
        for (int i = 0; i < STEPS; i++) {
            seen_container |= 1u << w.state;
            for (int k = 0; k < N_MEMBERS; k++)
                seen_member |= 1u << w.members[k].state;
            happen(&w, true);
        }
    }
    assert_int_equal(seen_container, (1u << HOLD_CONTAINER_COUNT) - 1);
    assert_int_equal(seen_member, (1u << HOLD_MEMBER_COUNT) - 1);
}

static void generations_only_grow(void **unused) {
    (void) unused;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world w = begin(seed);
        for (unsigned i = 0, last = 0; i < STEPS; i++, last = w.generation) {
            happen(&w, true);
            assert_true(w.generation >= last);
        }
        assert_true(w.generation <= w.members[0].lives + w.members[1].lives);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promises_hold_after_every_step),
        cmocka_unit_test(stop_always_ends),
        cmocka_unit_test(every_state_is_reached),
        cmocka_unit_test(generations_only_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
