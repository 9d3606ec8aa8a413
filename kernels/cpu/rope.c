/* rope.c - kernels/rope.h on the CPU. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

#include <math.h>

struct rope {
    struct hold_t2 x, cs, pos, inv, axis;
    uint32_t head_dim;
    enum hold_rope_pairs pairs;
};

static void angle_rows(void *context, uint32_t first, uint32_t end) {
    const struct rope *n = context;
    for (uint32_t row = first; row < end; row++)
        for (uint32_t j = 0; j < n->inv.cols; j++) {
            float angle = (float) cpu_int(n->pos, row, (uint32_t) cpu_int(n->axis, 0, j)) * cpu_get(n->inv, 0, j);
            cpu_put(n->cs, row, j, cosf(angle));
            cpu_put(n->cs, row, n->inv.cols + j, sinf(angle));
        }
}

int cpu_rope_angles(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv, struct hold_t2 axis) {
    struct rope n = { .cs = cs, .pos = pos, .inv = inv, .axis = axis };
    cpu_run_rows(s, cs.rows, 16 * cs.cols, angle_rows, &n);
    return 0;
}

static void turn_rows(void *context, uint32_t first_row, uint32_t end) {
    const struct rope *n = context;
    uint32_t half = n->cs.cols / 2, step = n->pairs == HOLD_ROPE_NEIGHBOURS ? 2 : 1, apart = n->pairs == HOLD_ROPE_NEIGHBOURS ? 1 : half;
    for (uint32_t row = first_row; row < end; row++) {
        const float *cosine = cpu_at(n->cs, row, 0), *sine = cosine + half;
        for (uint32_t head = 0; head < n->x.cols; head += n->head_dim)
            for (uint32_t j = 0; j < half; j++) {
                uint32_t first = head + step * j;
                float a = cpu_get(n->x, row, first), b = cpu_get(n->x, row, first + apart);
                cpu_put(n->x, row, first, a * cosine[j] - b * sine[j]);
                cpu_put(n->x, row, first + apart, b * cosine[j] + a * sine[j]);
            }
    }
}

int cpu_rope(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim, enum hold_rope_pairs pairs) {
    struct rope n = { .x = x, .cs = cs, .head_dim = head_dim, .pairs = pairs };
    cpu_run_rows(s, x.rows, x.cols, turn_rows, &n);
    return 0;
}
