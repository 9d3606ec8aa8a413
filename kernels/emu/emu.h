/* emu.h - stands in front of a .cu file (-include) so that the host's C++ compiler builds it: the CUDA words that our device
 * functions use, on fibres (fibre.h). Floor: kernels/emu. Test part: never installed. */
#ifndef HOLD_KERNELS_EMU_H
#define HOLD_KERNELS_EMU_H

#include "kernels/emu/fibre.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
/* Blocks run one after the other, so one copy for all blocks is one copy a block. */
#define __shared__ static

#define threadIdx hold_emu_thread
#define blockIdx hold_emu_block
#define blockDim hold_emu_block_dim
#define gridDim hold_emu_grid_dim

/* The body under its own name, and an entry of one type for the emulated launch. */
#define HOLD_KERNEL(name, type, a)                                    \
    static void body_##name(const struct type a);                     \
    extern "C" void hold_emu_##name(const void *argument);            \
    extern "C" void hold_emu_##name(const void *argument) {           \
        struct type copy;                                             \
        memcpy(&copy, argument, sizeof copy);                         \
        body_##name(copy);                                            \
    }                                                                 \
    static void body_##name(const struct type a)

static inline float __uint_as_float(unsigned v) {
    float f;
    memcpy(&f, &v, sizeof f);
    return f;
}

static inline unsigned __float_as_uint(float f) {
    unsigned v;
    memcpy(&v, &f, sizeof v);
    return v;
}

static inline void __syncthreads(void) {
    hold_emu_sync(HOLD_EMU_BLOCK);
}

static inline int __syncthreads_or(int v) {
    return hold_emu_or(v);
}

static inline float __shfl_xor_sync(unsigned mask, float v, int far) {
    (void) mask;
    return hold_emu_exchange(v, (unsigned) far);
}

/* One thread of the host runs all fibres, so a plain sum is atomic. */
static inline unsigned long long atomicAdd(unsigned long long *to, unsigned long long v) {
    unsigned long long before = *to;
    *to += v;
    return before;
}

#endif
