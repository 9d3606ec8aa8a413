/* test_forward.c - the decoder against the golden numbers of the tiny model T, made in float64 and confirmed against the
 * published model class. Every promise is asked of the reference and of the cpu backend. */
#include "runtime/model/forward.h"
#include "runtime/model/sample.h"
#include "tests/helpers/t_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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
}

static void prefill_in_pieces_gives_the_golden_ids(void **unused) {
    (void) unused;
    const uint32_t chunks[] = { 1, 3, 5 };
    for (int i = 0; i < 3; i++)
        check_greedy(&hold_backend_ref, chunks[i]);
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
        cmocka_unit_test(decode_with_the_cache_gives_the_golden_ids),
        cmocka_unit_test(prefill_in_pieces_gives_the_golden_ids),
    };
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
