/* test_forward.c - the decoder against the golden numbers of the tiny model T, made in float64 and confirmed against the
 * published model class. Every promise is asked of the reference and of the cpu backend. */
#include "runtime/model/forward.h"
#include "runtime/model/sample.h"
#include "tests/helpers/t_plan.h"

#include "tests/unit/test.h"

#define CONTEXT 256u

/* One sequence that grows. */
struct run {
    struct t_loaded *t;
    struct hold_kv kv;
    struct hold_forward *forward;
    int32_t pages[4 * CONTEXT / HOLD_PAGE_TOKENS];
    uint32_t n;
};

static struct t_loaded model;

static void run_open(struct run *r, struct t_loaded *t, uint32_t max_rows) {
    struct hold_err err = { 0 };
    const struct hold_forward_limits limits = { .max_rows = max_rows, .max_seqs = 4, .max_pages = CONTEXT / HOLD_PAGE_TOKENS, .max_logits = max_rows };
    *r = (struct run) { .t = t };
    if (hold_kv_open(&t->loaded.weights, 16, &t->stream, &r->kv, &err) < 0 ||
        hold_forward_open(&t->loaded.weights, &r->kv, &t->stream, &limits, &r->forward, &err) < 0)
        fail_msg("%s", err.text);
    for (int32_t i = 0; i < 16; i++)
        r->pages[i] = (i * 5 + 3) % 16; /* pages in no order */
}

static void run_close(struct run *r) {
    hold_forward_free(r->forward);
    hold_kv_close(&r->kv, &r->t->stream);
}

/* Feeds ids to the sequence in one batch; logits of the last row. Text: position = index. */
static const float *run_feed(struct run *r, const uint32_t *ids, uint32_t n) {
    int32_t pos[CONTEXT][3];
    uint32_t seq[CONTEXT] = { 0 }, index[CONTEXT], want = n - 1;
    for (uint32_t i = 0; i < n; i++) {
        index[i] = r->n + i;
        pos[i][0] = pos[i][1] = pos[i][2] = (int32_t) index[i];
    }
    const struct hold_batch batch = { .n_rows = n, .ids = ids, .pos = (const int32_t(*)[3]) pos, .seq = seq, .index = index, .n_seqs = 1, .pages = r->pages, .want = &want, .n_want = 1 };
    const float *logits = NULL;
    struct hold_err err = { 0 };
    if (hold_forward_run(r->forward, &batch, &logits, &err) < 0)
        fail_msg("%s", err.text);
    r->n += n;
    return logits;
}

static const uint32_t g1_ids[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static const uint32_t g1_next[8] = { 959, 830, 164, 365, 124, 588, 1015, 5 };
static const double g1_first[4] = { -1.898598, 0.072384, -0.176223, 0.471055 };

static double sum_of(const float *logits, bool squares) {
    double sum = 0;
    for (int i = 0; i < T_VOCAB; i++)
        sum += squares ? (double) logits[i] * (double) logits[i] : (double) logits[i];
    return sum;
}

static uint32_t top_of(const float *logits) {
    uint32_t top = 0;
    for (uint32_t i = 1; i < T_VOCAB; i++)
        top = logits[i] > logits[top] ? i : top;
    return top;
}

static void load(const struct hold_backend *backend, enum hold_dtype act) {
    struct hold_err err = { 0 };
    const struct hold_backend_options options = { .n_threads = 2 };
    if (t_load(&model, backend, &options, act, &err) < 0)
        fail_msg("%s", err.text);
}

static void check_g1(const struct hold_backend *backend, enum hold_dtype act, double each, double sum, double squares) {
    struct run r;
    load(backend, act);
    run_open(&r, &model, 64);
    const float *logits = run_feed(&r, g1_ids, 8);
    for (int i = 0; i < 4; i++)
        if (!(fabs((double) logits[i] - g1_first[i]) <= each))
            fail_msg("%s %s: logit %d is %f, expected %f", backend->name, hold_dtype_name(act), i, (double) logits[i], g1_first[i]);
    assert_true(fabs(sum_of(logits, false) - 38.131174) <= sum);
    assert_true(fabs(sum_of(logits, true) - 1050.673123) <= squares);
    assert_int_equal(top_of(logits), 959);
    run_close(&r);
    t_unload(&model);
}

static void g1_agrees_in_f32_on_the_reference(void **unused) {
    (void) unused;
    check_g1(&hold_backend_ref, HOLD_F32, 1e-5, 1e-3, 2e-3);
}

static void g1_agrees_in_bf16_on_the_reference(void **unused) {
    (void) unused;
    check_g1(&hold_backend_ref, HOLD_BF16, 0.1, 5, 30);
}

static void g1_agrees_in_f32_on_the_cpu(void **unused) {
    (void) unused;
    check_g1(&hold_backend_cpu, HOLD_F32, 1e-4, 1e-2, 2e-2);
}

static void g1_agrees_in_bf16_on_the_cpu(void **unused) {
    (void) unused;
    check_g1(&hold_backend_cpu, HOLD_BF16, 0.1, 5, 30);
}

static void check_greedy(const struct hold_backend *backend, uint32_t chunk) {
    struct run r;
    struct hold_err err = { 0 };
    struct hold_sample_space *space = NULL;
    const struct hold_sampler greedy = hold_sampler_greedy();
    load(backend, HOLD_F32);
    run_open(&r, &model, 64);
    assert_int_equal(hold_sample_space_new(T_VOCAB, &space, &err), 0);
    const float *logits = NULL;
    for (uint32_t at = 0; at < 8; at += chunk)
        logits = run_feed(&r, g1_ids + at, 8 - at < chunk ? 8 - at : chunk);
    for (uint32_t i = 0; i < 8; i++) {
        struct hold_sampled sampled;
        assert_int_equal(hold_sample(space, &greedy, logits, g1_ids, 8, g1_next, i, 0, &sampled, &err), 0);
        assert_int_equal(sampled.id, g1_next[i]);
        logits = run_feed(&r, &sampled.id, 1);
    }
    hold_sample_space_free(space);
    run_close(&r);
    t_unload(&model);
}

static void decode_with_the_cache_gives_the_golden_ids(void **unused) {
    (void) unused;
    check_greedy(&hold_backend_ref, 8);
    check_greedy(&hold_backend_cpu, 8);
}

static void prefill_in_pieces_gives_the_golden_ids(void **unused) {
    (void) unused;
    const uint32_t chunks[] = { 1, 3, 5 };
    for (int i = 0; i < 3; i++)
        check_greedy(&hold_backend_ref, chunks[i]), check_greedy(&hold_backend_cpu, chunks[i]);
}

/* T43: a row among seven others of other sequences, and the prompt cut differently, has the same bits on the cpu. */
static void logits_on_the_cpu_do_not_depend_on_the_batch(void **unused) {
    (void) unused;
    struct run r;
    struct hold_err err = { 0 };
    float alone[T_VOCAB];
    load(&hold_backend_cpu, HOLD_F32);
    run_open(&r, &model, 64);
    memcpy(alone, run_feed(&r, g1_ids, 8), sizeof alone);
    run_close(&r);

    run_open(&r, &model, 64);
    (void) run_feed(&r, g1_ids, 5);
    uint32_t ids[40], seq[40], index[40], n = 0, want = 0;
    int32_t pos[40][3];
    for (uint32_t q = 0; q < 4; q++)
        for (uint32_t i = q == 0 ? 5 : 0; i < 8; i++, n++) {
            ids[n] = q == 0 ? g1_ids[i] : 100 * q + 7 * i;
            seq[n] = q;
            index[n] = i;
            pos[n][0] = pos[n][1] = pos[n][2] = (int32_t) i;
            want = q == 0 ? n : want;
        }
    const struct hold_batch batch = { .n_rows = n, .ids = ids, .pos = (const int32_t(*)[3]) pos, .seq = seq, .index = index, .n_seqs = 4, .pages = r.pages, .want = &want, .n_want = 1 };
    const float *logits = NULL;
    if (hold_forward_run(r.forward, &batch, &logits, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(alone, logits, sizeof alone);
    run_close(&r);
    t_unload(&model);
}

/* A batch that reaches behind its pages, its vocabulary or its limits runs nothing. */
static void batch_that_lies_is_refused(void **unused) {
    (void) unused;
    struct run r;
    load(&hold_backend_ref, HOLD_F32);
    run_open(&r, &model, 8);
    uint32_t ids[9] = { 0 }, seq[9] = { 0 }, index[9] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 }, want = 0;
    int32_t pos[9][3] = { { 0 } };
    const float *logits = NULL;
    const struct hold_batch good = { .n_rows = 2, .ids = ids, .pos = (const int32_t(*)[3]) pos, .seq = seq, .index = index, .n_seqs = 1, .pages = r.pages, .want = &want, .n_want = 1 };
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), 0);
    struct hold_batch bad = good;
    bad.n_rows = 9;
    assert_int_equal(hold_forward_run(r.forward, &bad, &logits, NULL), -1);
    bad = good, bad.n_seqs = 5;
    assert_int_equal(hold_forward_run(r.forward, &bad, &logits, NULL), -1);
    want = 2;
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), -1);
    want = 0, ids[1] = T_VOCAB;
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), -1);
    ids[1] = 0, index[1] = CONTEXT;
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), -1);
    index[1] = 1, r.pages[0] = 16;
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), -1);
    r.pages[0] = -1;
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), -1);
    r.pages[0] = 3, seq[1] = 1;
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), -1);
    seq[1] = 0, pos[1][2] = -1;
    assert_int_equal(hold_forward_run(r.forward, &good, &logits, NULL), -1);
    run_close(&r);
    t_unload(&model);
}

static int make_model(void **unused) {
    (void) unused;
    t_make(&model, (struct t_options) { 0 });
    return 0;
}

static int drop_model(void **unused) {
    (void) unused;
    t_drop(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(g1_agrees_in_f32_on_the_reference),
        cmocka_unit_test(g1_agrees_in_bf16_on_the_reference),
        cmocka_unit_test(g1_agrees_in_f32_on_the_cpu),
        cmocka_unit_test(g1_agrees_in_bf16_on_the_cpu),
        cmocka_unit_test(logits_on_the_cpu_do_not_depend_on_the_batch),
        cmocka_unit_test(batch_that_lies_is_refused),
        cmocka_unit_test(decode_with_the_cache_gives_the_golden_ids),
        cmocka_unit_test(prefill_in_pieces_gives_the_golden_ids),
    };
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
