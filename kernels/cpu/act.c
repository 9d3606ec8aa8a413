/* act.c - kernels/act.h on the CPU. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

#include <math.h>

struct act {
    struct hold_t2 y, a, b;
    const struct cpu_simd *simd;
};

static void add_rows(void *context, uint32_t first, uint32_t end) {
    const struct act *n = context;
    for (uint32_t row = first; row < end; row++)
        if (n->y.dtype == HOLD_F32) {
            float *y = cpu_at(n->y, row, 0);
            const float *a = cpu_at(n->a, row, 0), *b = cpu_at(n->b, row, 0);
            for (uint32_t col = 0; col < n->y.cols; col++)
                y[col] = a[col] + b[col];
        } else {
            uint16_t *y = cpu_at(n->y, row, 0);
            const uint16_t *a = cpu_at(n->a, row, 0), *b = cpu_at(n->b, row, 0);
            for (uint32_t col = 0; col < n->y.cols; col++)
                y[col] = hold_f32_to_bf16(hold_bf16_to_f32(a[col]) + hold_bf16_to_f32(b[col]));
        }
}

int cpu_add(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b) {
    struct act n = { .y = y, .a = a, .b = b };
    cpu_run_rows(s, y.rows, y.cols, add_rows, &n);
    return 0;
}

static void swiglu_rows(void *context, uint32_t first, uint32_t end) {
    const struct act *n = context;
    for (uint32_t row = first; row < end; row++)
        n->simd->swiglu(cpu_at(n->y, row, 0), cpu_at(n->a, row, 0), cpu_at(n->b, row, 0), n->y.dtype, n->y.cols);
}

int cpu_swiglu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u) {
    struct act n = { .y = y, .a = g, .b = u, .simd = s->device->simd };
    cpu_run_rows(s, y.rows, y.cols, swiglu_rows, &n);
    return 0;
}

static void gelu_rows(void *context, uint32_t first, uint32_t end) {
    const struct act *n = context;
    for (uint32_t row = first; row < end; row++)
        for (uint32_t col = 0; col < n->y.cols; col++) {
            float z = cpu_get(n->a, row, col);
            cpu_put(n->y, row, col, 0.5f * z * (1 + erff(z * 0.70710678f)));
        }
}

int cpu_gelu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    struct act n = { .y = y, .a = x };
    cpu_run_rows(s, y.rows, y.cols, gelu_rows, &n);
    return 0;
}
