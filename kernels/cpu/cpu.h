/* cpu.h - the CPU backend's operations and what they share. Floor: kernels/cpu. */
#ifndef HOLD_KERNELS_CPU_CPU_H
#define HOLD_KERNELS_CPU_CPU_H

#include "kernels/backend.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/simd.h"

struct hold_device {
    struct hold_pool *pool;
    const struct cpu_simd *simd;
};

/* Elements below which dealing work to threads costs more than it brings. */
#define CPU_WORTH_ELEMENTS 16384u

static inline float cpu_get(struct hold_t2 t, uint32_t row, uint32_t col) {
    size_t at = (size_t) row * t.stride + col;
    if (t.dtype == HOLD_F32)
        return ((const float *) t.data)[at];
    uint16_t half = ((const uint16_t *) t.data)[at];
    return t.dtype == HOLD_F16 ? hold_f16_to_f32(half) : hold_bf16_to_f32(half);
}

static inline void cpu_put(struct hold_t2 t, uint32_t row, uint32_t col, float value) {
    size_t at = (size_t) row * t.stride + col;
    if (t.dtype == HOLD_F32)
        ((float *) t.data)[at] = value;
    else
        ((uint16_t *) t.data)[at] = hold_f32_to_bf16(value);
}

static inline int32_t cpu_int(struct hold_t2 t, uint32_t row, uint32_t col) {
    return ((const int32_t *) t.data)[(size_t) row * t.stride + col];
}

static inline void *cpu_at(struct hold_t2 t, uint32_t row, uint32_t col) {
    return (char *) t.data + ((size_t) row * t.stride + col) * hold_dtype_bytes(t.dtype);
}

static inline float cpu_round(enum hold_dtype dtype, float value) {
    return dtype == HOLD_BF16 ? hold_bf16_to_f32(hold_f32_to_bf16(value)) : value;
}

/* Rows dealt in blocks: rows first..end of a matrix of `rows` rows with `cols` elements of work each. */
struct cpu_rows {
    void (*rows)(void *context, uint32_t first, uint32_t end);
    void *context;
    uint32_t n_rows, block;
};
void cpu_run_rows(struct hold_stream *s, uint32_t rows, uint32_t cols, void (*each)(void *context, uint32_t first, uint32_t end), void *context);

int cpu_rmsnorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps);
int cpu_layernorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b, float eps);
int cpu_add(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b);
int cpu_swiglu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u);
int cpu_gelu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);
int cpu_gather_rows(struct hold_stream *s, struct hold_t2 y, struct hold_t2 table, struct hold_t2 ids);
int cpu_matmul(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b);
int cpu_rope_angles(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv, struct hold_t2 axis);
int cpu_rope(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim, enum hold_rope_pairs pairs);
int cpu_kv_append(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k, struct hold_t2 v,
                  const struct hold_places *places);
int cpu_attend(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
               const struct hold_places *places, float scale, uint32_t max_index);
int cpu_attend_full(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v, uint32_t head_dim,
                    float scale);
int cpu_add_position(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h, uint32_t w);
int cpu_topk(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x);
int cpu_convert(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);

#endif
