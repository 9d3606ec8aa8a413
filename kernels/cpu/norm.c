/* norm.c - kernels/norm.h on the CPU. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

#include <math.h>

struct norm {
    struct hold_t2 y, x, w, b;
    float eps;
    const struct cpu_simd *simd;
};

static void rms_rows(void *context, uint32_t first, uint32_t end) {
    const struct norm *n = context;
    for (uint32_t row = first; row < end; row++) {
        float squares = n->simd->squares(cpu_at(n->x, row, 0), n->x.dtype, n->x.cols);
        float scale = 1 / sqrtf(squares / (float) n->x.cols + n->eps);
        if (n->x.dtype == HOLD_F32)
            for (uint32_t col = 0; col < n->x.cols; col++)
                cpu_put(n->y, row, col, cpu_get(n->w, 0, col) * (cpu_get(n->x, row, col) * scale));
        else
            for (uint32_t col = 0; col < n->x.cols; col++)
                cpu_put(n->y, row, col, cpu_get(n->w, 0, col) * cpu_round(HOLD_BF16, cpu_get(n->x, row, col) * scale));
    }
}

int cpu_rmsnorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps) {
    struct norm n = { .y = y, .x = x, .w = w, .eps = eps, .simd = s->device->simd };
    cpu_run_rows(s, x.rows, x.cols, rms_rows, &n);
    return 0;
}

/* In double: it runs once an image, and the mean of large values must not eat the variance. */
static void layer_rows(void *context, uint32_t first, uint32_t end) {
    const struct norm *n = context;
    for (uint32_t row = first; row < end; row++) {
        double sum = 0, squares = 0;
        for (uint32_t col = 0; col < n->x.cols; col++)
            sum += (double) cpu_get(n->x, row, col);
        double mean = sum / n->x.cols;
        for (uint32_t col = 0; col < n->x.cols; col++) {
            double d = (double) cpu_get(n->x, row, col) - mean;
            squares += d * d;
        }
        double scale = 1 / sqrt(squares / n->x.cols + (double) n->eps);
        for (uint32_t col = 0; col < n->x.cols; col++) {
            double normal = ((double) cpu_get(n->x, row, col) - mean) * scale;
            cpu_put(n->y, row, col, (float) (normal * (double) cpu_get(n->w, 0, col) + (double) cpu_get(n->b, 0, col)));
        }
    }
}

int cpu_layernorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b, float eps) {
    struct norm n = { .y = y, .x = x, .w = w, .b = b, .eps = eps };
    cpu_run_rows(s, x.rows, x.cols, layer_rows, &n);
    return 0;
}
