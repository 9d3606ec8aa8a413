/* simd.h - the inner loops that each instruction set has its own copy of. Floor: kernels/cpu.
 *
 * Every result is a fixed sequence of operations of its own inputs: how rows and columns are grouped in a call never
 * changes a bit. */
#ifndef HOLD_KERNELS_CPU_SIMD_H
#define HOLD_KERNELS_CPU_SIMD_H

#include "kernels/types.h"

/* y[r, o] for r in row..row_end, o in out..out_end; the views of hold_matmul. */
struct cpu_product {
    struct hold_t2 y, x, w, b;
    uint32_t row, row_end, out, out_end;
};

/* One query on its way through the keys: running maximum, sum of weights, weighted values. */
struct cpu_query {
    const float *q; /* [dim], scaled */
    float *acc;     /* [dim rounded up to CPU_ACC_PAD]; begins as zeros */
    float top, sum; /* begin as -INFINITY, 0 */
};

#define CPU_ACC_PAD 16u
/* Keys in one go; equals HOLD_PAGE_TOKENS. */
#define CPU_KEYS 64u

struct cpu_keys {
    const void *k, *v;
    size_t k_stride, v_stride; /* elements from one token to the next */
    enum hold_dtype dtype;
    uint32_t n, dim; /* n 1..CPU_KEYS */
};

struct cpu_simd {
    const char *name;
    int (*score)(void); /* 0: does not run here; the largest is taken */
    void (*product)(const struct cpu_product *p);
    void (*attend)(struct cpu_query *query, const struct cpu_keys *keys);
    /* y = u * act(silu(g)), n elements of one type */
    void (*swiglu)(void *y, const void *g, const void *u, enum hold_dtype dtype, uint32_t n);
    /* sum of squares of n elements */
    float (*squares)(const void *x, enum hold_dtype dtype, uint32_t n);
};

#if defined(__x86_64__)
extern const struct cpu_simd cpu_avx2, cpu_avx512;
#endif
#if defined(__aarch64__)
extern const struct cpu_simd cpu_neon;
#endif
extern const struct cpu_simd cpu_plain;

#endif
