/* rope.c - reference of kernels/rope.h. Floor: kernels/ref. */
#include "kernels/ref/ref.h"

#include <math.h>

int ref_rope_angles(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv, struct hold_t2 axis) {
    (void) s;
    for (uint32_t row = 0; row < cs.rows; row++)
        for (uint32_t j = 0; j < inv.cols; j++) {
            float angle = (float) ref_get_int(pos, row, (uint32_t) ref_get_int(axis, 0, j)) * ref_get(inv, 0, j);
            ref_put(cs, row, j, (float) cos((double) angle));
            ref_put(cs, row, inv.cols + j, (float) sin((double) angle));
        }
    return 0;
}

int ref_rope(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim, enum hold_rope_pairs pairs) {
    (void) s;
    uint32_t n = cs.cols / 2;
    for (uint32_t row = 0; row < x.rows; row++)
        for (uint32_t head = 0; head < x.cols / head_dim; head++)
            for (uint32_t j = 0; j < n; j++) {
                uint32_t first = head * head_dim + (pairs == HOLD_ROPE_NEIGHBOURS ? 2 * j : j);
                uint32_t second = first + (pairs == HOLD_ROPE_NEIGHBOURS ? 1 : n);
                float a = ref_get(x, row, first), b = ref_get(x, row, second);
                float c = ref_get(cs, row, j), sine = ref_get(cs, row, n + j);
                ref_put(x, row, first, a * c - b * sine);
                ref_put(x, row, second, b * c + a * sine);
            }
    return 0;
}
