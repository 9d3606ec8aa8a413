/* act.c - reference of kernels/act.h. Floor: kernels/ref. */
#include "kernels/ref/ref.h"

#include <math.h>

int ref_add(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b) {
    (void) s;
    for (uint32_t row = 0; row < y.rows; row++)
        for (uint32_t col = 0; col < y.cols; col++)
            ref_put(y, row, col, ref_get(a, row, col) + ref_get(b, row, col));
    return 0;
}

int ref_swiglu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u) {
    (void) s;
    for (uint32_t row = 0; row < y.rows; row++)
        for (uint32_t col = 0; col < y.cols; col++) {
            double z = (double) ref_get(g, row, col);
            ref_put(y, row, col, ref_get(u, row, col) * ref_round(y.dtype, z / (1 + exp(-z))));
        }
    return 0;
}

int ref_gelu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    (void) s;
    for (uint32_t row = 0; row < y.rows; row++)
        for (uint32_t col = 0; col < y.cols; col++) {
            double z = (double) ref_get(x, row, col);
            ref_put(y, row, col, (float) (0.5 * z * (1 + erf(z / sqrt(2)))));
        }
    return 0;
}
