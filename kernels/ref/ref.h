/* ref.h - the reference's operations and how it reads and writes an element. Floor: kernels/ref. */
#ifndef HOLD_KERNELS_REF_REF_H
#define HOLD_KERNELS_REF_REF_H

#include "kernels/backend.h"

static inline float ref_get(struct hold_t2 t, uint32_t row, uint32_t col) {
    size_t at = (size_t) row * t.stride + col;
    if (t.dtype == HOLD_F32)
        return ((const float *) t.data)[at];
    uint16_t half = ((const uint16_t *) t.data)[at];
    return t.dtype == HOLD_F16 ? hold_f16_to_f32(half) : hold_bf16_to_f32(half);
}

static inline int32_t ref_get_int(struct hold_t2 t, uint32_t row, uint32_t col) {
    return ((const int32_t *) t.data)[(size_t) row * t.stride + col];
}

static inline void ref_put(struct hold_t2 t, uint32_t row, uint32_t col, float value) {
    size_t at = (size_t) row * t.stride + col;
    if (t.dtype == HOLD_F32)
        ((float *) t.data)[at] = value;
    else
        ((uint16_t *) t.data)[at] = hold_f32_to_bf16(value);
}

static inline void ref_put_int(struct hold_t2 t, uint32_t row, uint32_t col, int32_t value) {
    ((int32_t *) t.data)[(size_t) row * t.stride + col] = value;
}

/* The value as the type would store it. */
static inline float ref_round(enum hold_dtype dtype, double value) {
    float f = (float) value;
    return dtype == HOLD_BF16 ? hold_bf16_to_f32(hold_f32_to_bf16(f)) : f;
}

int ref_rmsnorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps);
int ref_layernorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b, float eps);
int ref_add(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b);
int ref_swiglu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u);
int ref_gelu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);
int ref_gather_rows(struct hold_stream *s, struct hold_t2 y, struct hold_t2 table, struct hold_t2 ids);
int ref_matmul(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b);
int ref_rope_angles(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv, struct hold_t2 axis);
int ref_rope(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim, enum hold_rope_pairs pairs);
int ref_kv_append(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k, struct hold_t2 v,
                  const struct hold_places *places);
int ref_attend(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
               const struct hold_places *places, float scale, uint32_t max_index);
int ref_attend_full(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v, uint32_t head_dim,
                    float scale);
int ref_add_position(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h, uint32_t w);
int ref_topk(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x);
int ref_convert(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);

#endif
