/* matmul.c - reference of kernels/matmul.h. Floor: kernels/ref. */
#include "kernels/ref/ref.h"

int ref_matmul(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b) {
    (void) s;
    for (uint32_t row = 0; row < y.rows; row++)
        for (uint32_t out = 0; out < y.cols; out++) {
            double sum = b.data ? (double) ref_get(b, 0, out) : 0;
            for (uint32_t in = 0; in < x.cols; in++)
                sum += (double) ref_get(x, row, in) * (double) ref_get(w, out, in);
            ref_put(y, row, out, (float) sum);
        }
    return 0;
}
