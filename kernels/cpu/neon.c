/* neon.c - the inner loops with 4 floats (arm64, where NEON always is). Floor: kernels/cpu. */
#if defined(__aarch64__)
#include <arm_neon.h>

#include "kernels/cpu/simd.h"

#define V float32x4_t
#define LANES 4u
#define TILE_ROWS 4u
#define TILE_OUTS 4u
#define DECODE_OUTS 8u

static inline V v_zero(void) { return vdupq_n_f32(0); }
static inline V v_set(float x) { return vdupq_n_f32(x); }
static inline V v_load(const float *p) { return vld1q_f32(p); }
static inline void v_store(float *p, V x) { vst1q_f32(p, x); }
static inline V v_load_half(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
static inline V v_fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
static inline V v_add(V a, V b) { return vaddq_f32(a, b); }
static inline V v_mul(V a, V b) { return vmulq_f32(a, b); }
static inline V v_div(V a, V b) { return vdivq_f32(a, b); }
static inline V v_max(V a, V b) { return vmaxq_f32(a, b); }
static inline V v_negate(V a) { return vnegq_f32(a); }
static inline V v_round(V a) { return vrndnq_f32(a); }
static inline V v_pow2(V n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23)); }
static inline float v_sum(V a) { return vaddvq_f32(a); }

#include "kernels/cpu/simd_body.h"

static int score(void) {
    return 2;
}

const struct cpu_simd cpu_neon = { "neon", score, product, attend, swiglu, squares };
#else
typedef int hold_no_neon;
#endif
