/* vision.h - the learned position table of the vision tower. Floor: kernels; may include kernels/types.h. */
#ifndef HOLD_KERNELS_VISION_H
#define HOLD_KERNELS_VISION_H

#include "kernels/types.h"

/* x[r,:] += act( bicubic(table, y, x) ) for the patch (y, x) of a grid of h rows and w columns:
 *     sy = (y + 0.5) * side / h - 0.5;  fy = floor(sy), u = sy - fy;  the same for x
 *     taps fy-1 .. fy+2, each clamped to 0..side-1; weights with A = -0.75:
 *       near(z) = ((A+2) z - (A+3)) z z + 1;   far(z) = ((A z - 5A) z + 8A) z - 4A
 *       far(u+1), near(u), near(1-u), far(2-u);   value = sum_a sum_b wy[a] wx[b] table[ty[a] * side + tx[b], :]
 *
 * x      [rows, dim] f32 or bf16
 * table  [side * side, dim] f32 or bf16, row-major: row = side * y + x; rows is a square
 * yx     [rows, 2] i32, y in 0..h-1, x in 0..w-1
 * h, w   1..65536, of this image (one call an image)
 * Weights and sums in f32, the value rounded to the type of x, then added and rounded again. f32: within 1e-5 of
 * kernels/ref/vision.c for |table| <= 1; bf16: within 2 bf16 steps.
 * Enqueues and returns; never allocates; fails when a shape or type disagrees.
 * Source: Keys 1981, equation 4 with a = -0.75; equal to grid_sample(bicubic, border, align_corners false). */
HOLD_KERNEL_MUST int hold_add_position(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h,
                                       uint32_t w);

#endif
