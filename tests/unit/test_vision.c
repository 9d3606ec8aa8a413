/* test_vision.c - the vision tower and the decoder with pictures against the golden numbers of the tiny model T. */
#include "runtime/image/patch.h"
#include "runtime/model/forward.h"
#include "runtime/model/vision.h"
#include "tests/helpers/t_plan.h"
#include "tests/unit/test.h"

#define PAGES 4u

static struct t_loaded model;

static const struct hold_patch_rule rule = { .patch = 14, .temporal = 2, .merge = 2, .min_pixels = 12544, .max_pixels = 9633792,
                                             .mean = { 0.48145466f, 0.4578275f, 0.40821073f }, .std = { 0.26862954f, 0.26130258f, 0.27577711f } };

/* The synthetic picture of G2, or the corner of it that G3 flips. */
static float *picture_patches(bool is_corner, struct hold_grid *ret_grid) {
    const uint32_t height = is_corner ? 30 : 60, width = is_corner ? 30 : 90;
    static uint8_t rgb[60 * 90 * 3];
    struct hold_patch_size size;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint32_t from = is_corner ? 29 - y : y;
            uint8_t *to = rgb + 3 * (y * width + x);
            to[0] = (uint8_t) (7 * x + 3 * from), to[1] = (uint8_t) (5 * x + 11 * from), to[2] = (uint8_t) (x * from);
        }
    assert_int_equal(hold_patch_plan(&rule, height, width, &size, NULL), 0);
    float *patches = calloc((size_t) size.n_patches * size.patch_dim, sizeof *patches);
    assert_int_equal(hold_patchify(&rule, rgb, height, width, &size, patches, NULL), 0);
    *ret_grid = (struct hold_grid) { 1, size.grid_h, size.grid_w };
    return patches;
}

static struct hold_t2 encode(bool is_corner, struct hold_grid *ret_grid) {
    struct hold_t2 rows = { 0 };
    struct hold_err err = { 0 };
    float *patches = picture_patches(is_corner, ret_grid);
    if (hold_vision_encode(&model.loaded.weights, &model.stream, patches, *ret_grid, &rows, &err) < 0)
        fail_msg("%s", err.text);
    free(patches);
    return rows;
}

static double value(struct hold_t2 rows, size_t at) {
    return rows.dtype == HOLD_F32 ? (double) ((float *) rows.data)[at] : (double) hold_bf16_to_f32(((uint16_t *) rows.data)[at]);
}

static void load(const struct hold_backend *backend, enum hold_dtype act) {
    struct hold_err err = { 0 };
    const struct hold_backend_options options = { .n_threads = 2 };
    if (t_load(&model, backend, &options, act, &err) < 0)
        fail_msg("%s", err.text);
}

/* T25 */
static void check_rows(const struct hold_backend *backend, enum hold_dtype act, double each, double sum_allowed, double squares_allowed) {
    static const double first[4] = { 0.048951, 0.164304, -0.018382, -0.267960 }, last[4] = { -0.102772, -0.383702, 0.090537, -0.246287 };
    struct hold_grid grid;
    double sum = 0, squares = 0;
    load(backend, act);
    struct hold_t2 rows = encode(false, &grid);
    assert_true(grid.h == 6 && grid.w == 8 && rows.rows == 12 && rows.cols == 128);
    for (size_t i = 0; i < 12 * 128; i++) {
        sum += value(rows, i);
        squares += value(rows, i) * value(rows, i);
    }
    for (size_t i = 0; i < 4; i++)
        if (!(fabs(value(rows, i) - first[i]) <= each && fabs(value(rows, 11 * 128 + i) - last[i]) <= each))
            fail_msg("%s %s: column %zu is %f and %f", backend->name, hold_dtype_name(act), i, value(rows, i), value(rows, 11 * 128 + i));
    assert_true(fabs(sum + 1.539900) <= sum_allowed);
    assert_true(fabs(squares - 81.365707) <= squares_allowed);
    hold_vision_free(&model.stream, &rows);
    t_unload(&model);
}

static void rows_agree_in_f32(void **unused) {
    (void) unused;
    check_rows(&hold_backend_ref, HOLD_F32, 2e-6, 2e-4, 1e-4);
    check_rows(&hold_backend_cpu, HOLD_F32, 1e-5, 1e-3, 1e-3);
}

static void rows_agree_in_bf16(void **unused) {
    (void) unused;
    check_rows(&hold_backend_ref, HOLD_BF16, 0.02, 1, 1);
    check_rows(&hold_backend_cpu, HOLD_BF16, 0.02, 1, 1);
}

/* T23: two slices in one call attend to themselves only; the same picture twice gives the same rows twice. */
static void slices_do_not_see_each_other(void **unused) {
    (void) unused;
    struct hold_grid grid;
    load(&hold_backend_cpu, HOLD_F32);
    float *patches = picture_patches(false, &grid);
    size_t n = (size_t) grid.h * grid.w * 1176;
    float *two = calloc(2 * n, sizeof *two);
    memcpy(two, patches, n * sizeof *two);
    for (size_t i = 0; i < n; i++)
        two[n + i] = -patches[n - 1 - i];
    struct hold_t2 alone = { 0 }, both = { 0 };
    const struct hold_grid twice = { 2, grid.h, grid.w };
    assert_int_equal(hold_vision_encode(&model.loaded.weights, &model.stream, patches, grid, &alone, NULL), 0);
    assert_int_equal(hold_vision_encode(&model.loaded.weights, &model.stream, two, twice, &both, NULL), 0);
    assert_int_equal(both.rows, 24);
    assert_memory_equal(alone.data, both.data, 12 * 128 * sizeof(float));
    hold_vision_free(&model.stream, &alone);
    hold_vision_free(&model.stream, &both);
    free(patches);
    free(two);
    t_unload(&model);
}

/* One prompt: ids with pictures in it, its own positions or plain ones, fed in pieces. */
struct prompt {
    uint32_t ids[64];
    int32_t pos[64][3];
    uint32_t n;
    int32_t delta;
    struct hold_grid grids[2];
    struct hold_t2 rows[2];
    size_t n_images;
    struct hold_kv kv;
    struct hold_forward *forward;
};

static void prompt_open(struct prompt *p) {
    const struct hold_forward_limits limits = { .max_rows = 64, .max_seqs = 1, .max_pages = PAGES, .max_logits = 1 };
    struct hold_err err = { 0 };
    if (hold_positions(&model.loaded.weights.record, p->ids, p->n, p->grids, p->n_images, p->pos, &p->delta, &err) < 0 ||
        hold_kv_open(&model.loaded.weights, PAGES, &model.stream, &p->kv, &err) < 0 ||
        hold_forward_open(&model.loaded.weights, &p->kv, &model.stream, &limits, &p->forward, &err) < 0)
        fail_msg("%s", err.text);
}

static void prompt_close(struct prompt *p) {
    hold_forward_free(p->forward);
    hold_kv_close(&p->kv, &model.stream);
    for (size_t i = 0; i < p->n_images; i++)
        hold_vision_free(&model.stream, &p->rows[i]);
}

static void add_text(struct prompt *p, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        p->ids[p->n++] = first + i;
}

static void add_picture(struct prompt *p, bool is_corner) {
    p->rows[p->n_images] = encode(is_corner, &p->grids[p->n_images]);
    for (uint32_t i = 0; i < p->rows[p->n_images].rows; i++)
        p->ids[p->n++] = T_IMAGE_TOKEN;
    p->n_images++;
}

static const float *feed(struct prompt *p, uint32_t first, uint32_t n) {
    static const int32_t pages[PAGES] = { 2, 0, 3, 1 };
    uint32_t seq[64] = { 0 }, index[64], want = n - 1, image = 0, at = 0;
    struct hold_image_span spans[2];
    size_t n_spans = 0;
    struct hold_err err = { 0 };
    const float *logits = NULL;
    for (uint32_t i = 0; i < n; i++)
        index[i] = first + i;
    while (at < p->n && image < p->n_images) {
        if (p->ids[at] != T_IMAGE_TOKEN) {
            at++;
            continue;
        }
        uint32_t end = at + p->rows[image].rows, from = at > first ? at : first, to = end < first + n ? end : first + n;
        if (from < to)
            spans[n_spans++] = (struct hold_image_span) { .row = from - first, .count = to - from, .image = p->rows[image], .from = from - at };
        at = end;
        image++;
    }
    const struct hold_batch batch = { .n_rows = n, .ids = p->ids + first, .pos = (const int32_t(*)[3]) (p->pos + first), .seq = seq, .index = index,
                                      .n_seqs = 1, .pages = pages, .spans = spans, .n_spans = n_spans, .want = &want, .n_want = 1 };
    if (hold_forward_run(p->forward, &batch, &logits, &err) < 0)
        fail_msg("%s", err.text);
    return logits;
}

static uint32_t top_of(const float *logits) {
    uint32_t top = 0;
    for (uint32_t i = 1; i < T_VOCAB; i++)
        top = logits[i] > logits[top] ? i : top;
    return top;
}

static void make_g2(struct prompt *p) {
    *p = (struct prompt) { 0 };
    add_text(p, 1, 3), add_picture(p, false), add_text(p, 4, 3);
    prompt_open(p);
}

/* T26: the right positions give the golden token, counting on gives the known wrong one. */
static void positions_of_a_picture_decide_the_token(void **unused) {
    (void) unused;
    struct prompt p;
    load(&hold_backend_cpu, HOLD_F32);
    make_g2(&p);
    const float *logits = feed(&p, 0, p.n);
    assert_int_equal(p.delta, -8);
    assert_int_equal(top_of(logits), 526);
    assert_true(fabs((double) logits[526] - 3.195641) < 1e-4 && fabs((double) logits[0] - 1.408847) < 1e-4);
    for (int32_t i = 0; i < (int32_t) p.n; i++)
        p.pos[i][0] = p.pos[i][1] = p.pos[i][2] = i;
    logits = feed(&p, 0, p.n);
    assert_int_equal(top_of(logits), 327);
    assert_true(fabs((double) logits[327] - 3.246324) < 1e-3);
    prompt_close(&p);
    t_unload(&model);
}

/* T27, and T14 for pictures: cut through the middle of both. */
static void two_pictures_agree_however_the_prompt_is_cut(void **unused) {
    (void) unused;
    static const uint32_t chunks[] = { 64, 1, 5, 7 };
    float whole[T_VOCAB] = { 0 };
    load(&hold_backend_cpu, HOLD_F32);
    for (int i = 0; i < 4; i++) {
        struct prompt p = { 0 };
        add_text(&p, 1, 2), add_picture(&p, true), add_text(&p, 3, 2), add_picture(&p, false), add_text(&p, 5, 3);
        prompt_open(&p);
        const float *logits = NULL;
        for (uint32_t at = 0; at < p.n; at += chunks[i])
            logits = feed(&p, at, p.n - at < chunks[i] ? p.n - at : chunks[i]);
        assert_int_equal(p.delta, -14);
        assert_int_equal(top_of(logits), 642);
        assert_true(fabs((double) logits[0] + 0.625469) < 1e-4);
        if (i == 0)
            memcpy(whole, logits, sizeof whole);
        assert_memory_equal(whole, logits, sizeof whole); /* the cpu promises the bits */
        prompt_close(&p);
    }
    t_unload(&model);
}

/* T28: decoding goes on at index + delta, and gives what a prefill of everything gives. */
static void decoding_after_a_picture_goes_on_at_index_plus_delta(void **unused) {
    (void) unused;
    struct prompt p, q;
    load(&hold_backend_cpu, HOLD_F32);
    make_g2(&p);
    const float *logits = feed(&p, 0, p.n);
    for (int step = 0; step < 8; step++) {
        p.ids[p.n] = top_of(logits);
        p.pos[p.n][0] = p.pos[p.n][1] = p.pos[p.n][2] = (int32_t) p.n + p.delta;
        if (step == 0)
            assert_int_equal(p.pos[p.n][0], 10);
        p.n++;
        logits = feed(&p, p.n - 1, 1);
    }
    q = (struct prompt) { 0 };
    add_text(&q, 1, 3), add_picture(&q, false), add_text(&q, 4, 3);
    for (int step = 0; step < 8; step++)
        q.ids[q.n] = p.ids[q.n], q.n++;
    prompt_open(&q);
    const float *again = feed(&q, 0, q.n);
    assert_int_equal(q.delta, -8);
    assert_memory_equal(logits, again, T_VOCAB * sizeof *again);
    prompt_close(&p);
    prompt_close(&q);
    t_unload(&model);
}

static void grids_that_cannot_be_are_refused(void **unused) {
    (void) unused;
    static const struct hold_grid bad[] = { { 0, 2, 2 }, { 1, 0, 2 }, { 1, 3, 2 }, { 1, 2, 5 }, { 1, 65538, 2 }, { 9999, 9998, 2 } };
    struct hold_t2 rows = { 0 };
    float none[1] = { 0 };
    load(&hold_backend_ref, HOLD_F32);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hold_vision_encode(&model.loaded.weights, &model.stream, none, bad[i], &rows, NULL), -1);
    assert_null(rows.data);
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
        cmocka_unit_test(rows_agree_in_f32),
        cmocka_unit_test(rows_agree_in_bf16),
        cmocka_unit_test(slices_do_not_see_each_other),
        cmocka_unit_test(positions_of_a_picture_decide_the_token),
        cmocka_unit_test(two_pictures_agree_however_the_prompt_is_cut),
        cmocka_unit_test(decoding_after_a_picture_goes_on_at_index_plus_delta),
        cmocka_unit_test(grids_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, make_model, drop_model);
}
