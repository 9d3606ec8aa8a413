/* prop_engine.c - the engine against any front, HOLD_SEEDS times (200). A hostile one: random frames in any order and bytes that are
 * no frames never crash it, never hold a page, and get at most one end for each session. A busy one: a session's tokens
 * do not depend on what else runs, when it came, or how its prompt was cut. */
#include "tests/unit/test.h"

#include "base/auto.h"
#include "base/log.h"
#include "runtime/engine/engine.h"
#include "runtime/wire/link.h"
#include "tests/helpers/t_plan.h"

#include <sys/mman.h>
#include <sys/socket.h>

#define RING_BYTES (256u << 10)
#define N_SESSIONS 6

static struct t_loaded t;
static struct hold_engine *engine;
static struct hold_link front;
static uint64_t state, generation;
static const struct hold_engine_limits limits = {
    .max_context = 150, .max_sessions = 3, .max_waiting = 3, .max_rows = 13, .max_patches = 64, .n_pages = 6,
};

static uint64_t next(void) {
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(uint32_t n) {
    return (uint32_t) (next() % n);
}

static uint64_t n_seeds(void) {
    const char *text = getenv("HOLD_SEEDS");
    const uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    return n ? n : 200;
}

static void pair(void) {
    int fds[2], ring = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct hold_err err = { 0 };
    assert_true(ring >= 0 && ftruncate(ring, RING_BYTES) == 0 && fcntl(ring, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    generation++;
    if (hold_link_take(&front, generation, fds[0], dup(ring), &err) < 0 || hold_engine_pair(engine, generation, fds[1], ring, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **unused) {
    const struct hold_backend_options options = { .n_threads = 2 };
    struct hold_err err = { 0 };
    (void) unused;
    hold_log_set_level(HOLD_LV_ERROR);
    t_make(&t, (struct t_options) { .dtype = T_BF16 });
    hold_link_init(&front, true);
    if (t_load(&t, &hold_backend_cpu, &options, HOLD_BF16, &err) < 0 || hold_engine_open(&t.loaded.weights, &t.stream, &limits, &engine, &err) < 0 ||
        hold_engine_warm(engine, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    return 0;
}

static int teardown(void **unused) {
    (void) unused;
    hold_link_drop(&front);
    hold_engine_close(&engine);
    t_unload(&t);
    t_drop(&t);
    return 0;
}

/* ---- a hostile front ---- */

static float any_float(void) {
    static const float values[] = { 0, 1, -1, 0.5f, 2, -2, 100, 1e-30f, 1e30f };
    return values[below(9)];
}

static struct hold_frame_open opened[5]; /* the last OPEN of each session */

/* Mostly what a front would say, now and then not. The session is one of a few, so that frames meet each other. */
static struct hold_frame any_frame(void) {
    static const enum hold_frame_kind kinds[] = { HOLD_FRAME_OPEN, HOLD_FRAME_OPEN, HOLD_FRAME_IDS, HOLD_FRAME_IDS, HOLD_FRAME_IDS,
                                                  HOLD_FRAME_PATCHES, HOLD_FRAME_CANCEL };
    struct hold_frame f = { .kind = kinds[below(7)], .session = 1 + below(4) };
    switch (f.kind) {
    case HOLD_FRAME_OPEN:
        f.open = (struct hold_frame_open) {
            .n_ids = 1 + below(40), .max_tokens = 1 + below(20), .want_logprobs = below(2), .ignore_eos = below(2), .n_images = below(5) ? 0 : 1 + below(2),
            .sampling = { .temperature = below(2) ? 0 : 1, .top_p = 1, .repetition_penalty = 1, .frequency_penalty = below(2) ? 0 : 1, .seed = next() },
        };
        if (!below(30))
            f.open.n_ids = limits.max_context - 1 + below(3);
        f.open.n_top = f.open.want_logprobs ? below(HOLD_FRAME_MAX_TOP + 1) : 0;
        f.open.min_tokens = below(f.open.max_tokens + 1);
        for (uint32_t i = 0; i < f.open.n_images; i++)
            f.open.images[i] = (struct hold_frame_grid) { 1, 2 * (1 + below(3)), below(6) ? 2 : 1 + below(9) };
        f.open.n_bias = below(3);
        for (uint32_t i = 0; i < f.open.n_bias; i++)
            f.open.bias[i] = (struct hold_frame_bias) { below(below(2) ? T_VOCAB : UINT32_MAX), any_float() };
        opened[f.session] = f.open;
        break;
    case HOLD_FRAME_IDS:
        f.ids.offset = below(6) ? 0 : below(60);
        f.ids.n = opened[f.session].n_ids && below(5) ? opened[f.session].n_ids : 1 + below(40);
        for (uint32_t i = 0; i < f.ids.n; i++)
            f.ids.ids[i] = below(4) || opened[f.session].n_images == 0 ? below(T_IMAGE_TOKEN) : below(20) ? below(T_VOCAB) : below(2) ? T_IMAGE_TOKEN : below(T_VOCAB + 2);
        break;
    case HOLD_FRAME_PATCHES:
        f.patches = (struct hold_frame_patches) { .image = below(3), .bytes = below(2) ? 4 * 1176 * 4 : 4 * (1 + below(5000)), .offset = below(3) ? 0 : below(9999) };
        break;
    case HOLD_FRAME_CANCEL:
    case HOLD_FRAME_NONE:
    case HOLD_FRAME_STATUS:
    case HOLD_FRAME_GAVE:
    case HOLD_FRAME_TOKEN:
    case HOLD_FRAME_END:
    case HOLD_FRAME_FAIL:
    case HOLD_FRAME_KIND_COUNT: break;
    }
    return f;
}

static void send_hostile(void) {
    struct hold_err err = { 0 };
    struct hold_frame f = any_frame();
    if (f.kind == HOLD_FRAME_PATCHES) {
        void *place;
        if (hold_ring_claim(&front.ring, f.patches.bytes, &f.patches.position, &place, &err) == 0)
            memset(place, below(4) ? 0 : (int) below(256), f.patches.bytes);
        if (!below(30))
            f.patches.position += 64 * below(100);
    }
    if (!below(60)) { /* no frame at all */
        unsigned char junk[200];
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (unsigned char) next();
        (void) !send(front.fd, junk, 1 + below(sizeof junk), MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    (void) !hold_link_send(&front, &f, &err);
}

/* Reads what came; the number of pages that the engine says are in use. */
static void listen_to(uint32_t *pages_used) {
    struct hold_frame f;
    struct hold_err err = { 0 };
    int got;
    while ((got = hold_link_recv(&front, &f, &err)) == 1) {
        if (f.kind == HOLD_FRAME_STATUS)
            *pages_used = f.status.pages_used;
        if (f.kind == HOLD_FRAME_GAVE)
            assert_int_equal(hold_ring_gave(&front.ring, f.gave.position, &err), 0);
        if (f.kind == HOLD_FRAME_TOKEN)
            assert_true(f.token.id < T_VOCAB);
    }
    if (got < 0) {
        assert_int_equal(err.code, HOLD_E_MISSING); /* it let go of us: never a frame that breaks a rule */
        hold_link_drop(&front);
    }
}

static void hostile_front_harms_nothing(void **unused) {
    (void) unused;
    for (uint64_t seed = 0; seed < n_seeds(); seed++) {
        uint32_t pages_used = 0;
        struct hold_err err = { 0 };
        state = seed;
        pair();
        for (int i = 0; i < 60; i++) {
            if (!hold_link_is_up(&front))
                pair();
            send_hostile();
            hold_engine_talk(engine);
            if (below(3) && hold_engine_has_work(engine) && hold_engine_step(engine, &err) < 0)
                fail_msg("seed %ju: %s", (uintmax_t) seed, err.text);
            listen_to(&pages_used);
        }
        if (!hold_link_is_up(&front))
            pair();
        memset(opened, 0, sizeof opened);
        for (uint64_t id = 1; id <= 4; id++) {
            struct hold_frame cancel = { .kind = HOLD_FRAME_CANCEL, .session = id };
            assert_int_equal(hold_link_send(&front, &cancel, &err), 0);
        }
        hold_engine_talk(engine);
        listen_to(&pages_used);
        if (hold_engine_sessions(engine) != 0 || pages_used != 0)
            fail_msg("seed %ju: %zu sessions and %u pages are left", (uintmax_t) seed, hold_engine_sessions(engine), pages_used);
    }
    assert_true(hold_engine_is_healthy(engine));
    print_message("%ju tokens for a hostile front\n", (uintmax_t) hold_engine_tokens(engine));
    assert_true(hold_engine_tokens(engine) > n_seeds()); /* some of it was good enough to run */
}

/* ---- a busy front ---- */

struct wish {
    struct hold_frame open;
    struct hold_frame_ids ids;
    float patches[8 * 1176];
    size_t n_patches;
};

struct answer {
    uint32_t ids[64];
    size_t n;
    bool is_over;
    enum hold_end_reason reason;
};

static void wish_make(struct wish *w, uint64_t id) {
    *w = (struct wish) { .open = { .kind = HOLD_FRAME_OPEN, .session = id } };
    struct hold_frame_open *o = &w->open.open;
    *o = (struct hold_frame_open) {
        .max_tokens = 1 + below(12), .ignore_eos = below(2),
        .sampling = { .temperature = below(2) ? 0 : 1, .top_p = below(2) ? 1 : 0.9f, .repetition_penalty = 1, .frequency_penalty = 0.2f, .seed = next() },
    };
    if (below(2)) {
        uint32_t h = 2 * (1 + below(2));
        o->n_images = 1;
        o->images[0] = (struct hold_frame_grid) { 1, h, 2 };
        w->n_patches = 2 * h;
        w->ids.ids[w->ids.n++] = 7;
        for (uint32_t i = 0; i < h / 2; i++)
            w->ids.ids[w->ids.n++] = T_IMAGE_TOKEN;
        for (size_t i = 0; i < w->n_patches * 1176; i++)
            w->patches[i] = (float) below(4000) / 1000 - 2;
    }
    for (uint32_t n = 1 + below(60); n > 0; n--)
        w->ids.ids[w->ids.n++] = below(T_IMAGE_TOKEN);
    o->n_ids = w->ids.n;
}

static void wish_send(const struct wish *w) {
    struct hold_err err = { 0 };
    struct hold_frame f = w->open;
    assert_int_equal(hold_link_send(&front, &f, &err), 0);
    f = (struct hold_frame) { .kind = HOLD_FRAME_IDS, .session = w->open.session, .ids = w->ids };
    assert_int_equal(hold_link_send(&front, &f, &err), 0);
    if (!w->n_patches)
        return;
    void *place;
    f = (struct hold_frame) { .kind = HOLD_FRAME_PATCHES, .session = w->open.session };
    f.patches.bytes = (uint32_t) (w->n_patches * 1176 * sizeof(float));
    assert_int_equal(hold_ring_claim(&front.ring, f.patches.bytes, &f.patches.position, &place, &err), 0);
    memcpy(place, w->patches, f.patches.bytes);
    assert_int_equal(hold_link_send(&front, &f, &err), 0);
}

static void collect(struct answer *answers) {
    struct hold_frame f;
    struct hold_err err = { 0 };
    while (hold_link_recv(&front, &f, &err) == 1) {
        struct answer *a = f.session ? &answers[f.session - 1] : NULL;
        if (f.kind == HOLD_FRAME_GAVE)
            assert_int_equal(hold_ring_gave(&front.ring, f.gave.position, &err), 0);
        if (a)
            assert_false(a->is_over);
        if (f.kind == HOLD_FRAME_TOKEN) {
            assert_int_equal(f.token.index, a->n);
            a->ids[a->n++] = f.token.id;
        }
        if (f.kind == HOLD_FRAME_END) {
            a->is_over = true;
            a->reason = f.end.reason;
            assert_int_equal(f.end.completion_tokens, a->n + (f.end.reason == HOLD_END_STOP));
        }
        if (f.kind == HOLD_FRAME_FAIL)
            fail_msg("session %ju failed: %s", (uintmax_t) f.session, f.fail.text);
    }
}

static void step(struct answer *answers) {
    struct hold_err err = { 0 };
    hold_engine_talk(engine);
    if (hold_engine_has_work(engine))
        assert_int_equal(hold_engine_step(engine, &err), 0);
    collect(answers);
}

static void session_does_not_depend_on_its_company(void **unused) {
    static struct wish wishes[N_SESSIONS];
    (void) unused;
    for (uint64_t seed = 0; seed < n_seeds() / 4 + 1; seed++) {
        struct answer alone[N_SESSIONS] = { 0 }, together[N_SESSIONS] = { 0 };
        state = seed * 77;
        pair();
        for (uint64_t i = 0; i < N_SESSIONS; i++) {
            wish_make(&wishes[i], i + 1);
            wish_send(&wishes[i]);
            while (!alone[i].is_over)
                step(alone);
        }
        pair();
        for (uint64_t i = 0; i < N_SESSIONS; i++) {
            wish_send(&wishes[i]);
            for (uint32_t n = below(6); n > 0; n--)
                step(together);
        }
        for (int n = 0; n < 2000 && (n == 0 || hold_engine_sessions(engine)); n++)
            step(together);
        for (size_t i = 0; i < N_SESSIONS; i++) {
            if (!together[i].is_over || alone[i].n != together[i].n || alone[i].reason != together[i].reason ||
                memcmp(alone[i].ids, together[i].ids, alone[i].n * sizeof(uint32_t)) != 0)
                fail_msg("seed %ju: session %zu differs: %zu tokens alone, %zu together", (uintmax_t) seed, i, alone[i].n, together[i].n);
        }
    }
}

static void front_that_goes_takes_its_sessions_with_it(void **unused) {
    static struct wish wish;
    struct answer answers[N_SESSIONS] = { 0 };
    (void) unused;
    state = 3;
    pair();
    wish_make(&wish, 1);
    wish.open.open.max_tokens = 60;
    wish.open.open.ignore_eos = true;
    wish_send(&wish);
    step(answers);
    step(answers);
    assert_int_equal(hold_engine_sessions(engine), 1);
    hold_link_drop(&front);
    hold_engine_talk(engine);
    assert_int_equal(hold_engine_sessions(engine), 0);
    pair();
    memset(answers, 0, sizeof answers);
    wish.open.open.max_tokens = 3;
    wish_send(&wish);
    while (!answers[0].is_over)
        step(answers);
    assert_int_equal(answers[0].n, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_front_harms_nothing),
        cmocka_unit_test(session_does_not_depend_on_its_company),
        cmocka_unit_test(front_that_goes_takes_its_sessions_with_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
