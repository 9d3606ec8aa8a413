/* matmul.h - products with a weight matrix. Floor: kernels; may include kernels/types.h. */
#ifndef HOLD_KERNELS_MATMUL_H
#define HOLD_KERNELS_MATMUL_H

#include "kernels/types.h"

/* y = x W^T + b:   y[r,o] = b[o] + sum_i x[r,i] * w[o,i]
 *
 * y  [rows, out]  f32 or bf16, not overlapping anything else
 * x  [rows, in]   f32 or bf16
 * w  [out, in]    f32 or bf16 as stored in a checkpoint, stride == in
 * b  [1, out]     f32 or bf16; may be absent
 * rows, out, in >= 1, none needs to be a multiple of anything; y's type does not depend on x's (logits are f32)
 *
 * Products and sums in f32 (bf16 inputs are widened exactly; x in f32 is never narrowed), one rounding at the end. With
 * S = |b[o]| + sum_i |x[r,i] w[o,i]|: within 2e-6 * S (f32), plus one bf16 step of y (bf16), of kernels/ref/matmul.c.
 * kernels/cpu: y[r,:] has the same bits whatever other rows, and however many threads, take part.
 * Enqueues and returns; never allocates; fails when a shape or type disagrees; i8 weights are refused. */
HOLD_KERNEL_MUST int hold_matmul(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b);

#endif
