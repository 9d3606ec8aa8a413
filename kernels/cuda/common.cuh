/* common.cuh - what every device function uses: element access by type, rounding, reductions of a block. Floor:
 * kernels/cuda. No fast-math: the tolerances of the contract headers are stated for the accurate functions. */
#ifndef HOLD_KERNELS_CUDA_COMMON_CUH
#define HOLD_KERNELS_CUDA_COMMON_CUH

#include "kernels/cuda/args.h"

#ifndef HOLD_KERNEL /* the emulation header has its own form */
#define HOLD_KERNEL(name, type, a) extern "C" __global__ void hold_cu_##name##_kernel(const struct type a)
#endif

static __device__ __forceinline__ float widen_bf16(uint16_t v) {
    return __uint_as_float((unsigned) v << 16);
}

static __device__ __forceinline__ uint16_t narrow_bf16(float v) {
    unsigned u = __float_as_uint(v);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t) (u >> 16 | 0x40u);
    return (uint16_t) ((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

static __device__ __forceinline__ float widen_f16(uint16_t v) {
    unsigned sign = (unsigned) (v & 0x8000u) << 16, exponent = v >> 10 & 31u, fraction = v & 0x3ffu;
    if (exponent == 0)
        return __uint_as_float(__float_as_uint((float) fraction * 5.9604644775390625e-8f) | sign);
    return __uint_as_float(exponent == 31 ? sign | 0x7f800000u | fraction << 13 : sign | (exponent + 112u) << 23 | fraction << 13);
}

static __device__ __forceinline__ size_t at(const struct hold_t2 &t, unsigned row, unsigned col) {
    return (size_t) row * t.stride + col;
}

static __device__ __forceinline__ float get(const struct hold_t2 &t, unsigned row, unsigned col) {
    size_t i = at(t, row, col);
    if (t.dtype == HOLD_F32)
        return ((const float *) t.data)[i];
    uint16_t bits = ((const uint16_t *) t.data)[i];
    return t.dtype == HOLD_BF16 ? widen_bf16(bits) : widen_f16(bits);
}

static __device__ __forceinline__ void put(const struct hold_t2 &t, unsigned row, unsigned col, float v) {
    size_t i = at(t, row, col);
    if (t.dtype == HOLD_F32)
        ((float *) t.data)[i] = v;
    else
        ((uint16_t *) t.data)[i] = narrow_bf16(v);
}

static __device__ __forceinline__ int get_int(const struct hold_t2 &t, unsigned row, unsigned col) {
    return ((const int *) t.data)[at(t, row, col)];
}

/* v as an element of the type would hold it. */
static __device__ __forceinline__ float rounded(enum hold_dtype dtype, float v) {
    return dtype == HOLD_F32 ? v : widen_bf16(narrow_bf16(v));
}

static __device__ __forceinline__ float not_a_number() {
    return __uint_as_float(0x7fc00000u);
}

/* The sum over the HOLD_CU_BLOCK threads of a block, the same in each; shared holds HOLD_CU_BLOCK floats. Always the same
 * tree, so the same bits each time. */
static __device__ __forceinline__ float block_sum(float v, float *shared) {
    shared[threadIdx.x] = v;
    __syncthreads();
    for (unsigned half = HOLD_CU_BLOCK / 2; half; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    float sum = shared[0];
    __syncthreads();
    return sum;
}

#endif
