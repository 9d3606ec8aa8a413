/* vision.c - reference of kernels/vision.h. Floor: kernels/ref. */
#include "kernels/ref/ref.h"

#include <math.h>

#define A (-0.75)

static double near_weight(double z) {
    return ((A + 2) * z - (A + 3)) * z * z + 1;
}

static double far_weight(double z) {
    return ((A * z - 5 * A) * z + 8 * A) * z - 4 * A;
}

/* Four taps and their weights for the centre of cell `at` of `n` in a line of `side` samples. */
static void taps_of(int32_t at, uint32_t n, uint32_t side, uint32_t tap[4], double weight[4]) {
    double source = (at + 0.5) * side / n - 0.5, whole = floor(source), u = source - whole;
    for (int t = 0; t < 4; t++) {
        double i = whole - 1 + t;
        tap[t] = i < 0 ? 0 : i > side - 1.0 ? side - 1 : (uint32_t) i;
    }
    weight[0] = far_weight(u + 1);
    weight[1] = near_weight(u);
    weight[2] = near_weight(1 - u);
    weight[3] = far_weight(2 - u);
}

int ref_add_position(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h, uint32_t w) {
    (void) s;
    uint32_t side = (uint32_t) lround(sqrt(table.rows));
    for (uint32_t row = 0; row < x.rows; row++) {
        uint32_t ty[4], tx[4];
        double wy[4], wx[4];
        taps_of(ref_get_int(yx, row, 0), h, side, ty, wy);
        taps_of(ref_get_int(yx, row, 1), w, side, tx, wx);
        for (uint32_t col = 0; col < x.cols; col++) {
            double value = 0;
            for (int a = 0; a < 4; a++)
                for (int b = 0; b < 4; b++)
                    value += wy[a] * wx[b] * (double) ref_get(table, ty[a] * side + tx[b], col);
            ref_put(x, row, col, ref_get(x, row, col) + ref_round(x.dtype, value));
        }
    }
    return 0;
}
