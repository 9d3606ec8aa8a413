/* plain.c - the inner loops with 4 floats in the compiler's own vectors: runs everywhere. Floor: kernels/cpu. */
#include "kernels/cpu/simd.h"

#include <math.h>
#include <string.h>

typedef float V __attribute__((vector_size(16)));
#define LANES 4u
#define TILE_ROWS 2u
#define TILE_OUTS 4u
#define DECODE_OUTS 8u

static inline V v_set(float x) { return (V) { x, x, x, x }; }
static inline V v_zero(void) { return v_set(0); }
static inline V v_load(const float *p) {
    V x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline void v_store(float *p, V x) { memcpy(p, &x, sizeof x); }
static inline V v_load_half(const uint16_t *p) {
    return (V) { hold_bf16_to_f32(p[0]), hold_bf16_to_f32(p[1]), hold_bf16_to_f32(p[2]), hold_bf16_to_f32(p[3]) };
}
static inline V v_fma(V a, V b, V c) { return a * b + c; }
static inline V v_add(V a, V b) { return a + b; }
static inline V v_mul(V a, V b) { return a * b; }
static inline V v_div(V a, V b) { return a / b; }
static inline V v_max(V a, V b) {
    for (uint32_t i = 0; i < LANES; i++)
        b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}
static inline V v_negate(V a) { return -a; }
static inline V v_round(V a) { return (V) { rintf(a[0]), rintf(a[1]), rintf(a[2]), rintf(a[3]) }; }
static inline V v_pow2(V n) {
    for (uint32_t i = 0; i < LANES; i++)
        n[i] = n[i] >= -126 && n[i] <= 127 ? ldexpf(1, (int) n[i]) : n[i];
    return n;
}
static inline float v_sum(V a) { return (a[0] + a[2]) + (a[1] + a[3]); }

#include "kernels/cpu/simd_body.h"

static int score(void) {
    return 1;
}

const struct cpu_simd cpu_plain = { "plain", score, product, attend, swiglu, squares };
