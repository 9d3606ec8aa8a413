/* simd_body.h - the inner loops, written once over a vector type V of LANES floats. Floor: kernels/cpu.
 *
 * The including file gives V, LANES, TILE_ROWS, TILE_OUTS, DECODE_OUTS and v_zero, v_set, v_load, v_load_half (bf16), v_store,
 * v_fma (a * b + c), v_max (the second operand where either is a NaN), v_sum, v_pow2 (2^n for whole n in -126..127), v_round.
 *
 * One accumulator per result, whatever the tile: the sum of a result is always taken in the same order, so a row has the
 * same bits alone and among others. */
#ifndef HOLD_KERNELS_CPU_SIMD_BODY_H
#define HOLD_KERNELS_CPU_SIMD_BODY_H

#include "kernels/cpu/simd.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE V load_any(const void *p, size_t at, bool is_half) {
    return is_half ? v_load_half((const uint16_t *) p + at) : v_load((const float *) p + at);
}

/* The last n < LANES elements, the others zero. */
INLINE V load_tail(const void *p, size_t at, uint32_t n, bool is_half) {
    if (is_half) {
        uint16_t some[LANES] = { 0 };
        memcpy(some, (const uint16_t *) p + at, n * sizeof *some);
        return v_load_half(some);
    }
    float some[LANES] = { 0 };
    memcpy(some, (const float *) p + at, n * sizeof *some);
    return v_load(some);
}

INLINE float get_any(const void *p, size_t at, bool is_half) {
    return is_half ? hold_bf16_to_f32(((const uint16_t *) p)[at]) : ((const float *) p)[at];
}

INLINE void put_any(void *p, size_t at, bool is_half, float value) {
    if (is_half)
        ((uint16_t *) p)[at] = hold_f32_to_bf16(value);
    else
        ((float *) p)[at] = value;
}

/* ---- products ---- */

/* Rows row.. of x with outputs out, out + apart, ... */
INLINE void tile(const struct cpu_product *p, uint32_t row, uint32_t out, uint32_t apart, const uint32_t n_rows, const uint32_t n_outs,
                 const bool x_half, const bool w_half) {
    const void *x[TILE_ROWS], *w[DECODE_OUTS > TILE_OUTS ? DECODE_OUTS : TILE_OUTS];
    V acc[TILE_ROWS][DECODE_OUTS > TILE_OUTS ? DECODE_OUTS : TILE_OUTS];
    uint32_t n = p->x.cols, i = 0;
    UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        x[r] = (const char *) p->x.data + (size_t) (row + r) * p->x.stride * (x_half ? 2 : 4);
        UNROLL for (uint32_t o = 0; o < n_outs; o++) acc[r][o] = v_zero();
    }
    UNROLL for (uint32_t o = 0; o < n_outs; o++) w[o] = (const char *) p->w.data + (size_t) (out + o * apart) * p->w.stride * (w_half ? 2 : 4);
    for (; i + LANES <= n; i += LANES) {
        V some[TILE_ROWS];
        UNROLL for (uint32_t r = 0; r < n_rows; r++) some[r] = load_any(x[r], i, x_half);
        UNROLL for (uint32_t o = 0; o < n_outs; o++) {
            V one = load_any(w[o], i, w_half);
            UNROLL for (uint32_t r = 0; r < n_rows; r++) acc[r][o] = v_fma(some[r], one, acc[r][o]);
        }
    }
    if (i < n) {
        UNROLL for (uint32_t r = 0; r < n_rows; r++) {
            V some = load_tail(x[r], i, n - i, x_half);
            UNROLL for (uint32_t o = 0; o < n_outs; o++) acc[r][o] = v_fma(some, load_tail(w[o], i, n - i, w_half), acc[r][o]);
        }
    }
    bool y_half = p->y.dtype == HOLD_BF16, b_half = p->b.dtype == HOLD_BF16;
    UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        UNROLL for (uint32_t o = 0; o < n_outs; o++) {
            float sum = v_sum(acc[r][o]);
            if (p->b.data)
                sum += get_any(p->b.data, out + o * apart, b_half);
            put_any(p->y.data, (size_t) (row + r) * p->y.stride + out + o * apart, y_half, sum);
        }
    }
}

/* Few rows: the weights come from memory once, so DECODE_OUTS long streams of them are read side by side, each going on
 * where it was; neighbouring rows would break every stream at a page's end (half again as fast, measured). */
INLINE void product_few(const struct cpu_product *p, const bool x_half, const bool w_half) {
    uint32_t apart = (p->out_end - p->out) / DECODE_OUTS, rest = p->out + apart * DECODE_OUTS;
    for (uint32_t out = p->out; out < p->out + apart; out++)
        for (uint32_t row = p->row; row < p->row_end; row++)
            tile(p, row, out, apart, 1, DECODE_OUTS, x_half, w_half);
    for (uint32_t out = rest; out < p->out_end; out++)
        for (uint32_t row = p->row; row < p->row_end; row++)
            tile(p, row, out, 1, 1, 1, x_half, w_half);
}

INLINE void product_of(const struct cpu_product *p, const bool x_half, const bool w_half) {
    if (p->row_end - p->row < TILE_ROWS) {
        product_few(p, x_half, w_half);
        return;
    }
    uint32_t out = p->out;
    for (; out + TILE_OUTS <= p->out_end; out += TILE_OUTS) {
        uint32_t row = p->row;
        for (; row + TILE_ROWS <= p->row_end; row += TILE_ROWS)
            tile(p, row, out, 1, TILE_ROWS, TILE_OUTS, x_half, w_half);
        for (; row < p->row_end; row++)
            tile(p, row, out, 1, 1, TILE_OUTS, x_half, w_half);
    }
    for (; out < p->out_end; out++)
        for (uint32_t row = p->row; row < p->row_end; row++)
            tile(p, row, out, 1, 1, 1, x_half, w_half);
}

static void product(const struct cpu_product *p) {
    bool x_half = p->x.dtype == HOLD_BF16, w_half = p->w.dtype == HOLD_BF16;
    if (x_half && w_half)
        product_of(p, true, true);
    else if (x_half)
        product_of(p, true, false);
    else if (w_half)
        product_of(p, false, true);
    else
        product_of(p, false, false);
}

/* ---- exp ---- */

/* Within 2e-7 relative for -87.3 <= x <= 88; clamped outside (so 0 becomes 1e-38); NaN stays NaN. */
INLINE V v_exp(V x) {
    V at_least = v_max(v_set(-87.3f), x);
    V in = v_negate(v_max(v_set(-88.0f), v_negate(at_least)));
    V whole = v_round(v_mul(in, v_set(1.44269504f)));
    V rest = v_fma(whole, v_set(-0.693359375f), in);
    rest = v_fma(whole, v_set(2.12194440e-4f), rest);
    V p = v_set(1.9875691500e-4f);
    p = v_fma(p, rest, v_set(1.3981999507e-3f));
    p = v_fma(p, rest, v_set(8.3334519073e-3f));
    p = v_fma(p, rest, v_set(4.1665795894e-2f));
    p = v_fma(p, rest, v_set(1.6666665459e-1f));
    p = v_fma(p, rest, v_set(5.0000001201e-1f));
    p = v_fma(p, v_mul(rest, rest), v_add(rest, v_set(1.0f)));
    return v_mul(p, v_pow2(whole));
}

/* ---- attention ---- */

/* Independent sums in flight: as many as hide the latency of a multiply-add. */
#define KEYS_AT_ONCE 8u
#define VECTORS_AT_ONCE 8u

/* n_keys scores from key `first` on, each with one accumulator. */
INLINE void scores_few(const struct cpu_query *query, const struct cpu_keys *keys, float *scores, uint32_t first, const uint32_t n_keys,
                       const bool is_half) {
    V acc[KEYS_AT_ONCE];
    uint32_t dim = keys->dim, i = 0;
    UNROLL for (uint32_t j = 0; j < n_keys; j++) acc[j] = v_zero();
    for (; i + LANES <= dim; i += LANES) {
        V q = v_load(query->q + i);
        UNROLL for (uint32_t j = 0; j < n_keys; j++) acc[j] = v_fma(q, load_any(keys->k, (first + j) * keys->k_stride + i, is_half), acc[j]);
    }
    if (i < dim) {
        V q = load_tail(query->q, i, dim - i, false);
        UNROLL for (uint32_t j = 0; j < n_keys; j++) acc[j] =
            v_fma(q, load_tail(keys->k, (first + j) * keys->k_stride + i, dim - i, is_half), acc[j]);
    }
    UNROLL for (uint32_t j = 0; j < n_keys; j++) scores[first + j] = v_sum(acc[j]);
}

INLINE void scores_of(const struct cpu_query *query, const struct cpu_keys *keys, float *scores, const bool is_half) {
    uint32_t j = 0;
    for (; j + KEYS_AT_ONCE <= keys->n; j += KEYS_AT_ONCE)
        scores_few(query, keys, scores, j, KEYS_AT_ONCE, is_half);
    for (; j < keys->n; j++)
        scores_few(query, keys, scores, j, 1, is_half);
}

/* acc = acc * keep + sum_j weight[j] * v[j], n_vectors vectors of it in registers. */
INLINE void weigh(const struct cpu_keys *keys, float *acc, uint32_t first, const float *weights, float keep, const uint32_t n_vectors,
                  const bool is_half) {
    V some[VECTORS_AT_ONCE];
    UNROLL for (uint32_t u = 0; u < n_vectors; u++) some[u] = v_mul(v_load(acc + first + u * LANES), v_set(keep));
    for (uint32_t j = 0; j < keys->n; j++) {
        V weight = v_set(weights[j]);
        UNROLL for (uint32_t u = 0; u < n_vectors; u++) some[u] =
            v_fma(weight, load_any(keys->v, j * keys->v_stride + first + u * LANES, is_half), some[u]);
    }
    UNROLL for (uint32_t u = 0; u < n_vectors; u++) v_store(acc + first + u * LANES, some[u]);
}

INLINE void attend_of(struct cpu_query *query, const struct cpu_keys *keys, const bool is_half) {
    float scores[CPU_KEYS], weights[CPU_KEYS];
    float top = query->top;
    scores_of(query, keys, scores, is_half);
    for (uint32_t j = 0; j < keys->n; j++)
        top = scores[j] > top ? scores[j] : top;
    for (uint32_t j = keys->n; j < CPU_KEYS; j++)
        scores[j] = -INFINITY;
    float keep = expf(query->top - top), sum = 0;
    if (query->top == -INFINITY)
        keep = 0;
    for (uint32_t j = 0; j < CPU_KEYS; j += LANES)
        v_store(weights + j, v_exp(v_add(v_load(scores + j), v_set(-top))));
    for (uint32_t j = 0; j < keys->n; j++)
        sum += weights[j];
    query->top = top;
    query->sum = query->sum * keep + sum;
    uint32_t i = 0;
    for (; i + VECTORS_AT_ONCE * LANES <= keys->dim; i += VECTORS_AT_ONCE * LANES)
        weigh(keys, query->acc, i, weights, keep, VECTORS_AT_ONCE, is_half);
    for (; i + 2 * LANES <= keys->dim; i += 2 * LANES)
        weigh(keys, query->acc, i, weights, keep, 2, is_half);
    for (; i + LANES <= keys->dim; i += LANES)
        weigh(keys, query->acc, i, weights, keep, 1, is_half);
    for (; i < keys->dim; i++) {
        float one = query->acc[i] * keep;
        for (uint32_t j = 0; j < keys->n; j++)
            one = fmaf(weights[j], get_any(keys->v, j * keys->v_stride + i, is_half), one);
        query->acc[i] = one;
    }
}

static void attend(struct cpu_query *query, const struct cpu_keys *keys) {
    if (keys->dtype == HOLD_BF16)
        attend_of(query, keys, true);
    else
        attend_of(query, keys, false);
}

/* ---- rows ---- */

INLINE void swiglu_of(void *y, const void *g, const void *u, uint32_t n, const bool is_half) {
    const V one = v_set(1.0f);
    for (uint32_t i = 0; i < n; i += LANES) {
        bool is_whole = i + LANES <= n;
        V gate = is_whole ? load_any(g, i, is_half) : load_tail(g, i, n - i, is_half);
        V up = is_whole ? load_any(u, i, is_half) : load_tail(u, i, n - i, is_half);
        V silu = v_div(gate, v_add(one, v_exp(v_negate(gate))));
        float some[LANES], ups[LANES];
        v_store(some, silu);
        v_store(ups, up);
        for (uint32_t l = 0; l < LANES && i + l < n; l++) {
            float rounded = is_half ? hold_bf16_to_f32(hold_f32_to_bf16(some[l])) : some[l];
            put_any(y, i + l, is_half, ups[l] * rounded);
        }
    }
}

static void swiglu(void *y, const void *g, const void *u, enum hold_dtype dtype, uint32_t n) {
    if (dtype == HOLD_BF16)
        swiglu_of(y, g, u, n, true);
    else
        swiglu_of(y, g, u, n, false);
}

INLINE float squares_of(const void *x, uint32_t n, const bool is_half) {
    V acc[2] = { v_zero(), v_zero() };
    uint32_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        UNROLL for (uint32_t u = 0; u < 2; u++) {
            V some = load_any(x, i + u * LANES, is_half);
            acc[u] = v_fma(some, some, acc[u]);
        }
    for (; i < n; i += LANES) {
        V some = i + LANES <= n ? load_any(x, i, is_half) : load_tail(x, i, n - i, is_half);
        acc[0] = v_fma(some, some, acc[0]);
    }
    return v_sum(v_add(acc[0], acc[1]));
}

static float squares(const void *x, enum hold_dtype dtype, uint32_t n) {
    return dtype == HOLD_BF16 ? squares_of(x, n, true) : squares_of(x, n, false);
}

#endif
