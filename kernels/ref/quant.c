/* quant.c - reference of kernels/quant.h. Floor: kernels/ref. */
#include "kernels/ref/ref.h"

int ref_convert(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    (void) s;
    for (uint32_t row = 0; row < y.rows; row++)
        for (uint32_t col = 0; col < y.cols; col++)
            ref_put(y, row, col, ref_get(x, row, col));
    return 0;
}
