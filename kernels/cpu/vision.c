/* vision.c - kernels/vision.h on the CPU. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

#include <math.h>

#define A (-0.75f)

struct position {
    struct hold_t2 x, table, yx;
    uint32_t h, w, side;
};

static float near_weight(float z) {
    return ((A + 2) * z - (A + 3)) * z * z + 1;
}

static float far_weight(float z) {
    return ((A * z - 5 * A) * z + 8 * A) * z - 4 * A;
}

/* Four taps and their weights. The coordinate is taken in double: an f32 one may fall on the wrong side of a sample. */
static void taps_of(int32_t at, uint32_t n, uint32_t side, uint32_t tap[4], float weight[4]) {
    double source = (at + 0.5) * side / n - 0.5, whole = floor(source);
    float u = (float) (source - whole);
    for (int t = 0; t < 4; t++) {
        double i = whole - 1 + t;
        tap[t] = i < 0 ? 0 : i > side - 1.0 ? side - 1 : (uint32_t) i;
    }
    weight[0] = far_weight(u + 1);
    weight[1] = near_weight(u);
    weight[2] = near_weight(1 - u);
    weight[3] = far_weight(2 - u);
}

static void position_rows(void *context, uint32_t first, uint32_t end) {
    const struct position *p = context;
    for (uint32_t row = first; row < end; row++) {
        uint32_t ty[4], tx[4];
        float wy[4], wx[4];
        taps_of(cpu_int(p->yx, row, 0), p->h, p->side, ty, wy);
        taps_of(cpu_int(p->yx, row, 1), p->w, p->side, tx, wx);
        for (uint32_t col = 0; col < p->x.cols; col++) {
            float value = 0;
            for (int a = 0; a < 4; a++)
                for (int b = 0; b < 4; b++)
                    value += wy[a] * wx[b] * cpu_get(p->table, ty[a] * p->side + tx[b], col);
            cpu_put(p->x, row, col, cpu_get(p->x, row, col) + cpu_round(p->x.dtype, value));
        }
    }
}

int cpu_add_position(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h, uint32_t w) {
    struct position p = { .x = x, .table = table, .yx = yx, .h = h, .w = w, .side = (uint32_t) lround(sqrt(table.rows)) };
    cpu_run_rows(s, x.rows, 16 * x.cols, position_rows, &p);
    return 0;
}
