/* avx2.c - the inner loops with 8 floats (AVX2, FMA). Floor: kernels/cpu. Built with -mavx2 -mfma; entered only where
 * the CPU has both. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/simd.h"

#define V __m256
#define LANES 8u
#define TILE_ROWS 3u
#define TILE_OUTS 4u
#define DECODE_OUTS 8u

static inline V v_zero(void) { return _mm256_setzero_ps(); }
static inline V v_set(float x) { return _mm256_set1_ps(x); }
static inline V v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, V x) { _mm256_storeu_ps(p, x); }
static inline V v_load_half(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *) (const void *) p)), 16));
}
static inline V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
static inline V v_add(V a, V b) { return _mm256_add_ps(a, b); }
static inline V v_mul(V a, V b) { return _mm256_mul_ps(a, b); }
static inline V v_div(V a, V b) { return _mm256_div_ps(a, b); }
static inline V v_max(V a, V b) { return _mm256_max_ps(a, b); }
static inline V v_negate(V a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
static inline V v_round(V a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline V v_pow2(V n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
static inline float v_sum(V a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

#include "kernels/cpu/simd_body.h"

static int score(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 2 : 0;
}

const struct cpu_simd cpu_avx2 = { "avx2", score, product, attend, swiglu, squares };
#else
typedef int hold_no_avx2;
#endif
