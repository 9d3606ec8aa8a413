/* norm.c - reference of kernels/norm.h. Floor: kernels/ref. */
#include "kernels/ref/ref.h"

#include <math.h>

int ref_rmsnorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps) {
    (void) s;
    for (uint32_t row = 0; row < x.rows; row++) {
        double squares = 0;
        for (uint32_t col = 0; col < x.cols; col++)
            squares += (double) ref_get(x, row, col) * (double) ref_get(x, row, col);
        double scale = 1 / sqrt(squares / x.cols + (double) eps);
        for (uint32_t col = 0; col < x.cols; col++)
            ref_put(y, row, col, ref_get(w, 0, col) * ref_round(x.dtype, (double) ref_get(x, row, col) * scale));
    }
    return 0;
}

int ref_layernorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b, float eps) {
    (void) s;
    for (uint32_t row = 0; row < x.rows; row++) {
        double sum = 0, squares = 0;
        for (uint32_t col = 0; col < x.cols; col++)
            sum += (double) ref_get(x, row, col);
        double mean = sum / x.cols;
        for (uint32_t col = 0; col < x.cols; col++) {
            double d = (double) ref_get(x, row, col) - mean;
            squares += d * d;
        }
        double scale = 1 / sqrt(squares / x.cols + (double) eps);
        for (uint32_t col = 0; col < x.cols; col++) {
            double normal = ((double) ref_get(x, row, col) - mean) * scale;
            ref_put(y, row, col, (float) (normal * (double) ref_get(w, 0, col) + (double) ref_get(b, 0, col)));
        }
    }
    return 0;
}
