/* table.h - runs one row of shapes.h on a backend and holds it against the reference. Test part; static functions, so
 * that each test program (cpu, emulated and real GPU) includes it. */
#ifndef HOLD_TESTS_KERNELS_TABLE_H
#define HOLD_TESTS_KERNELS_TABLE_H

#include "tests/kernels/shapes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stream and everything a row took from it. */
struct table_run {
    struct hold_stream *s;
    void *taken[16];
    size_t n_taken;
    uint64_t random;
    bool failed;
};

static float table_uniform(struct table_run *run) {
    uint64_t z = hold_checksum_mix(0x5eed, run->random++);
    return (float) ((double) (z >> 40) / 8388608.0 - 1);
}

static uint32_t table_below(struct table_run *run, uint32_t n) {
    return (uint32_t) (hold_checksum_mix(0xb0b, run->random++) % n);
}

static void *table_host(size_t n, size_t bytes) {
    void *p = calloc(n ? n : 1, bytes);
    if (!p)
        abort();
    return p;
}

/* Device memory with the bytes of host memory, which is freed. */
static void *table_upload(struct table_run *run, void *host, size_t bytes) {
    void *data = NULL;
    if (run->s->ops->alloc(run->s, bytes, &data) < 0 || run->s->ops->copy_in(run->s, data, host, bytes) < 0 ||
        run->s->ops->sync(run->s) < 0) {
        fprintf(stderr, "%s\n", run->s->error);
        abort();
    }
    free(host);
    run->taken[run->n_taken++] = data;
    return data;
}

static void table_encode(void *host, enum hold_dtype dtype, size_t at, float value) {
    if (dtype == HOLD_F32)
        ((float *) host)[at] = value;
    else if (dtype == HOLD_BF16)
        ((uint16_t *) host)[at] = hold_f32_to_bf16(value);
    else if (dtype == HOLD_F16) /* any bit pattern will do; the value only seeds it */
        ((uint16_t *) host)[at] = (uint16_t) (int) (value * 31743.0f);
    else
        ((int32_t *) host)[at] = (int32_t) value;
}

static float table_decode(const void *host, enum hold_dtype dtype, size_t at) {
    if (dtype == HOLD_F32)
        return ((const float *) host)[at];
    if (dtype == HOLD_BF16)
        return hold_bf16_to_f32(((const uint16_t *) host)[at]);
    if (dtype == HOLD_F16)
        return hold_f16_to_f32(((const uint16_t *) host)[at]);
    return (float) ((const int32_t *) host)[at];
}

static float table_value(struct table_run *run, enum hold_shape_data data, uint32_t row, uint32_t col, uint32_t cols) {
    float u = table_uniform(run);
    if (data == SHAPE_ZEROS)
        return 0;
    if (data == SHAPE_SPIKE && col == (row * 7 + 3) % cols)
        return 1e4f;
    if (data == SHAPE_TIES)
        return roundf(u * 2);
    if (data == SHAPE_NAN && row == 0 && col == cols / 2)
        return NAN;
    return u;
}

static struct hold_t2 table_matrix(struct table_run *run, enum hold_dtype dtype, uint32_t rows, uint32_t cols, uint32_t pad,
                                   enum hold_shape_data data) {
    uint32_t stride = cols + pad;
    void *host = table_host((size_t) rows * stride, hold_dtype_bytes(dtype));
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            table_encode(host, dtype, (size_t) r * stride + c, table_value(run, data, r, c, cols));
    struct hold_t2 t = hold_t2_of(table_upload(run, host, (size_t) rows * stride * hold_dtype_bytes(dtype)), rows, cols, dtype);
    t.stride = stride;
    return t;
}

static struct hold_t2 table_ints(struct table_run *run, uint32_t rows, uint32_t cols, const int32_t *values) {
    int32_t *host = table_host((size_t) rows * cols, sizeof *host);
    memcpy(host, values, (size_t) rows * cols * sizeof *host);
    return hold_t2_of(table_upload(run, host, (size_t) rows * cols * sizeof *host), rows, cols, HOLD_I32);
}

/* Every element of a view as floats, which the caller frees. */
static float *table_download(struct table_run *run, struct hold_t2 t) {
    size_t bytes = ((size_t) (t.rows - 1) * t.stride + t.cols) * hold_dtype_bytes(t.dtype);
    void *raw = table_host(1, bytes);
    if (run->s->ops->copy_out(run->s, raw, t.data, bytes) < 0 || run->s->ops->sync(run->s) < 0)
        run->failed = true;
    float *out = table_host((size_t) t.rows * t.cols, sizeof *out);
    for (uint32_t r = 0; r < t.rows; r++)
        for (uint32_t c = 0; c < t.cols; c++)
            out[(size_t) r * t.cols + c] = table_decode(raw, t.dtype, (size_t) r * t.stride + c);
    free(raw);
    return out;
}

/* Pages in an order that is no order, for sequences as long as context, context - 1, ... Rows get places that differ;
 * is_write: no two rows the same place. */
static void table_places(struct table_run *run, const struct hold_shape *shape, uint32_t n_kv_heads, struct hold_kv *ret_kv,
                         struct hold_places *ret_places) {
    uint32_t n_seqs = shape->rows < 3 ? shape->rows : 3, pages = (shape->context + HOLD_PAGE_TOKENS - 1) / HOLD_PAGE_TOKENS;
    uint32_t n_pages = n_seqs * pages + 1;
    *ret_kv = (struct hold_kv) { .n_pages = n_pages, .n_layers = 2, .n_kv_heads = n_kv_heads, .head_dim = shape->dim, .dtype = shape->w };
    size_t elements = hold_kv_bytes(ret_kv) / hold_dtype_bytes(ret_kv->dtype);
    void *pool = table_host(elements, hold_dtype_bytes(ret_kv->dtype));
    for (size_t i = 0; i < elements; i++)
        table_encode(pool, ret_kv->dtype, i, table_uniform(run));
    ret_kv->pool = table_upload(run, pool, hold_kv_bytes(ret_kv));

    int32_t *table = table_host((size_t) n_seqs * pages, sizeof *table);
    for (uint32_t i = 0; i < n_seqs * pages; i++)
        table[i] = (int32_t) ((i * 7 + 3) % n_pages);
    if (n_pages % 7 == 0)
        for (uint32_t i = 0; i < n_seqs * pages; i++)
            table[i] = (int32_t) (n_pages - 1 - i);
    ret_places->table = table_ints(run, n_seqs, pages, table);
    free(table);

    int32_t *seq = table_host(shape->rows, sizeof *seq), *index = table_host(shape->rows, sizeof *index);
    for (uint32_t r = 0; r < shape->rows; r++) {
        seq[r] = (int32_t) (r % n_seqs);
        index[r] = (int32_t) (shape->context - 1 - (r / n_seqs) % shape->context);
    }
    ret_places->seq = table_ints(run, shape->rows, 1, seq);
    ret_places->index = table_ints(run, shape->rows, 1, index);
    free(seq);
    free(index);
}

/* One row on one backend; same numbers for every backend. ret_out: floats that the caller frees. ret_n their count.
 * ret_scale: sum |x w| of each element where the tolerance wants it (matmul on request), else NULL. */
static int table_run_op(struct table_run *run, const struct hold_shape *p, float **ret_out, size_t *ret_n, struct hold_t2 *ret_x,
                        struct hold_t2 *ret_w, struct hold_t2 *ret_b) {
    struct hold_stream *s = run->s;
    const struct hold_t2 none = { 0 };
    struct hold_t2 x = none, w = none, b = none, y = none;
    int rc = -1;
    switch (p->op) {
    case SHAPE_RMSNORM:
    case SHAPE_LAYERNORM:
        x = table_matrix(run, p->act, p->rows, p->cols, p->pad, p->data);
        w = table_matrix(run, p->w, 1, p->cols, 0, SHAPE_PLAIN);
        b = table_matrix(run, p->w, 1, p->cols, 0, SHAPE_PLAIN);
        y = table_matrix(run, p->act, p->rows, p->cols, 0, SHAPE_PLAIN);
        rc = p->op == SHAPE_RMSNORM ? hold_rmsnorm(s, y, x, w, 1e-5f) : hold_layernorm(s, y, x, w, b, 1e-5f);
        break;
    case SHAPE_ADD:
        x = table_matrix(run, p->act, p->rows, p->cols, p->pad, p->data);
        y = table_matrix(run, p->act, p->rows, p->cols, p->pad, p->data);
        rc = hold_add(s, y, y, x); /* in place, as residuals are */
        break;
    case SHAPE_SWIGLU:
        x = table_matrix(run, p->act, p->rows, 2 * p->cols, p->pad, p->data);
        y = table_matrix(run, p->act, p->rows, p->cols, 0, SHAPE_PLAIN);
        rc = hold_swiglu(s, y, hold_t2_cols(x, 0, p->cols), hold_t2_cols(x, p->cols, p->cols));
        break;
    case SHAPE_GELU:
        y = table_matrix(run, p->act, p->rows, p->cols, p->pad, p->data);
        rc = hold_gelu(s, y, y);
        break;
    case SHAPE_GATHER: {
        int32_t *ids = table_host(p->rows, sizeof *ids);
        for (uint32_t r = 0; r < p->rows; r++)
            ids[r] = r == 1 ? -1 : r == 2 ? (int32_t) p->n : (int32_t) table_below(run, p->n);
        b = table_ints(run, p->rows, 1, ids);
        free(ids);
        x = table_matrix(run, p->w, p->n, p->cols, 0, SHAPE_PLAIN);
        y = table_matrix(run, p->act, p->rows, p->cols, 0, SHAPE_PLAIN);
        rc = hold_gather_rows(s, y, x, b);
        break;
    }
    case SHAPE_MATMUL:
        x = table_matrix(run, p->act, p->rows, p->cols, p->pad, p->data);
        w = table_matrix(run, p->w, p->n, p->cols, 0, SHAPE_PLAIN);
        b = p->bias ? table_matrix(run, p->w, 1, p->n, 0, SHAPE_PLAIN) : none;
        y = table_matrix(run, p->wide ? HOLD_F32 : p->act, p->rows, p->n, p->pad, SHAPE_PLAIN);
        rc = hold_matmul(s, y, x, w, b);
        break;
    case SHAPE_ROPE_ANGLES: {
        int32_t *pos = table_host((size_t) p->rows * p->n, sizeof *pos), *axis = table_host(p->cols, sizeof *axis);
        float *inv = table_host(p->cols, sizeof *inv);
        for (uint32_t i = 0; i < p->rows * p->n; i++)
            pos[i] = i == 0 ? (int32_t) p->context : (int32_t) table_below(run, p->context + 1);
        for (uint32_t j = 0; j < p->cols; j++) {
            axis[j] = (int32_t) (j * p->n / p->cols);
            inv[j] = (float) pow(10000, -2.0 * j / (2.0 * p->cols));
        }
        x = table_ints(run, p->rows, p->n, pos);
        b = table_ints(run, 1, p->cols, axis);
        free(pos);
        free(axis);
        w = hold_t2_of(table_upload(run, inv, p->cols * sizeof *inv), 1, p->cols, HOLD_F32);
        y = table_matrix(run, HOLD_F32, p->rows, 2 * p->cols, 0, SHAPE_PLAIN);
        rc = hold_rope_angles(s, y, x, w, b);
        break;
    }
    case SHAPE_ROPE:
        y = table_matrix(run, p->act, p->rows, p->n * p->dim, p->pad, p->data);
        x = table_matrix(run, HOLD_F32, p->rows, p->cols, 0, SHAPE_PLAIN);
        rc = hold_rope(s, y, x, p->dim, p->halves ? HOLD_ROPE_HALVES : HOLD_ROPE_NEIGHBOURS);
        break;
    case SHAPE_KV_APPEND: {
        struct hold_kv kv;
        struct hold_places places;
        table_places(run, p, p->n, &kv, &places);
        x = table_matrix(run, p->act, p->rows, p->n * p->dim, p->pad, p->data);
        w = table_matrix(run, p->act, p->rows, p->n * p->dim, p->pad, p->data);
        rc = hold_kv_append(s, &kv, 1, x, w, &places);
        y = hold_t2_of(kv.pool, kv.n_pages, (uint32_t) (hold_kv_page_bytes(&kv) / hold_dtype_bytes(kv.dtype)), kv.dtype);
        break;
    }
    case SHAPE_ATTEND: {
        struct hold_kv kv;
        struct hold_places places;
        table_places(run, p, p->kv, &kv, &places);
        x = table_matrix(run, p->act, p->rows, p->n * p->dim, p->pad, p->data);
        y = table_matrix(run, p->act, p->rows, p->n * p->dim, 0, SHAPE_PLAIN);
        rc = hold_attend(s, y, x, &kv, 1, &places, (float) (1 / sqrt(p->dim)), p->context - 1);
        break;
    }
    case SHAPE_ATTEND_FULL: {
        uint32_t wide = p->n * p->dim;
        x = table_matrix(run, p->act, p->rows, 3 * wide, p->pad, p->data);
        y = table_matrix(run, p->act, p->rows, wide, 0, SHAPE_PLAIN);
        rc = hold_attend_full(s, y, hold_t2_cols(x, 0, wide), hold_t2_cols(x, wide, wide), hold_t2_cols(x, 2 * wide, wide), p->dim,
                              (float) (1 / sqrt(p->dim)));
        break;
    }
    case SHAPE_ADD_POSITION: {
        uint32_t rows = p->h * p->context;
        int32_t *yx = table_host((size_t) rows * 2, sizeof *yx);
        for (uint32_t r = 0; r < rows; r++) {
            yx[2 * r] = (int32_t) (r / p->context);
            yx[2 * r + 1] = (int32_t) (r % p->context);
        }
        b = table_ints(run, rows, 2, yx);
        free(yx);
        w = table_matrix(run, p->w, p->n * p->n, p->cols, 0, SHAPE_PLAIN);
        y = table_matrix(run, p->act, rows, p->cols, p->pad, p->data);
        rc = hold_add_position(s, y, w, b, p->h, p->context);
        break;
    }
    case SHAPE_TOPK: {
        x = table_matrix(run, HOLD_F32, p->rows, p->cols, p->pad, p->data);
        y = table_matrix(run, HOLD_F32, 2 * p->rows, p->n, 0, SHAPE_PLAIN); /* values, then ids, read back as one */
        struct hold_t2 ids = hold_t2_rows(y, p->rows, p->rows);
        ids.dtype = HOLD_I32;
        rc = hold_topk(s, hold_t2_rows(y, 0, p->rows), ids, x);
        float *values = table_download(run, hold_t2_rows(y, 0, p->rows)), *numbers = table_download(run, ids);
        size_t n = (size_t) p->rows * p->n;
        *ret_out = table_host(2 * n, sizeof **ret_out);
        memcpy(*ret_out, values, n * sizeof *values);
        memcpy(*ret_out + n, numbers, n * sizeof *numbers);
        *ret_n = 2 * n;
        free(values);
        free(numbers);
        return rc;
    }
    case SHAPE_CONVERT:
        x = table_matrix(run, p->w, p->rows, p->cols, p->pad, p->data);
        y = table_matrix(run, p->act, p->rows, p->cols, p->pad, SHAPE_PLAIN);
        rc = hold_convert(s, y, x);
        break;
    case SHAPE_OP_COUNT:
        break;
    }
    if (ret_x)
        *ret_x = x, *ret_w = w, *ret_b = b;
    *ret_out = table_download(run, y);
    *ret_n = (size_t) y.rows * y.cols;
    return rc;
}

static void table_release(struct table_run *run) {
    for (size_t i = 0; i < run->n_taken; i++)
        run->s->ops->free(run->s, run->taken[i]);
    run->n_taken = 0;
    run->random = 0;
}

/* One step of bf16 at a value: the distance to the next one. */
static double table_step(double value) {
    int exponent;
    frexp(value, &exponent);
    return value == 0 || !isfinite(value) ? 0 : ldexp(1, exponent - 8);
}

/* What the contract headers allow at one element; magnitude: sum of |products| for matmul. */
static double table_tolerance(const struct hold_shape *p, double y, double magnitude) {
    double steps = p->act == HOLD_BF16 ? table_step(y) : 0;
    switch (p->op) {
    case SHAPE_RMSNORM:
    case SHAPE_LAYERNORM:
        return 2e-6 * (1 + fabs(y)) + 2 * steps;
    case SHAPE_ADD:
    case SHAPE_SWIGLU:
    case SHAPE_GELU:
        return 4e-6 * (1 + fabs(y)) + 2 * steps;
    case SHAPE_MATMUL:
        return 2e-6 * magnitude + (p->wide ? 0 : steps);
    case SHAPE_ROPE_ANGLES:
        return 2e-6;
    case SHAPE_ROPE:
        return 4e-6 + steps;
    case SHAPE_ATTEND:
    case SHAPE_ATTEND_FULL:
        return 1e-5 + (p->act == HOLD_BF16 ? 2 * table_step(1) : 0);
    case SHAPE_ADD_POSITION:
        return 1e-5 + (p->act == HOLD_BF16 ? 2 * table_step(y) + table_step(1) : 0);
    case SHAPE_GATHER:
    case SHAPE_KV_APPEND:
    case SHAPE_TOPK:
    case SHAPE_CONVERT:
    case SHAPE_OP_COUNT:
        return 0;
    }
    return 0;
}

/* sum |x w| + |b| of every element of a product, from host memory (the reference's device is the host). */
static double *table_magnitudes(const struct hold_shape *p, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b) {
    double *out = table_host((size_t) p->rows * p->n, sizeof *out);
    for (uint32_t r = 0; r < p->rows; r++)
        for (uint32_t o = 0; o < p->n; o++) {
            double sum = b.data ? fabs((double) table_decode(b.data, b.dtype, o)) : 0;
            for (uint32_t i = 0; i < p->cols; i++)
                sum += fabs((double) table_decode(x.data, x.dtype, (size_t) r * x.stride + i) *
                            (double) table_decode(w.data, w.dtype, (size_t) o * w.stride + i));
            out[(size_t) r * p->n + o] = sum;
        }
    return out;
}

/* Runs the row on the reference stream and on s. Returns the worst error as a share of what the contract allows (at most
 * 1 is right; INFINITY when a call failed, a NaN is on one side only, or an exact operation differs). what: a sentence. */
__attribute__((unused)) static double table_compare(struct hold_stream *ref, struct hold_stream *s, const struct hold_shape *p, char *what, size_t what_bytes) {
    struct table_run a = { .s = ref }, b = { .s = s };
    struct hold_t2 x, w, bias;
    float *expected = NULL, *got = NULL;
    size_t n = 0, n_got = 0;
    double worst = 0;
    snprintf(what, what_bytes, "%s %s/%s rows %u cols %u n %u dim %u context %u", hold_shape_op_names[p->op], hold_dtype_name(p->act),
             hold_dtype_name(p->w), p->rows, p->cols, p->n, p->dim, p->context);
    size_t used = strlen(what);
    int ra = table_run_op(&a, p, &expected, &n, &x, &w, &bias), rb = table_run_op(&b, p, &got, &n_got, NULL, NULL, NULL);
    if (ra < 0 || rb < 0 || n != n_got || a.failed || b.failed) {
        snprintf(what + used, what_bytes - used, ": failed: %s", ra < 0 ? ref->error : s->error);
        worst = INFINITY;
    } else {
        double *magnitudes = p->op == SHAPE_MATMUL ? table_magnitudes(p, x, w, bias) : NULL;
        for (size_t i = 0; i < n; i++) {
            double e = (double) expected[i], g = (double) got[i];
            double tolerance = table_tolerance(p, e, magnitudes ? magnitudes[i] : 0), error = fabs(e - g);
            double share = isnan(e) && isnan(g) ? 0 : isnan(e) != isnan(g) ? INFINITY : e == g ? 0 : error / tolerance;
            if (share > worst) {
                worst = share;
                snprintf(what + used, what_bytes - used, ": element %zu is %.9g, expected %.9g", i, g, e);
            }
        }
        free(magnitudes);
    }
    free(expected);
    free(got);
    table_release(&a);
    table_release(&b);
    return worst;
}

#endif
