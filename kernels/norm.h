/* norm.h - normalisation of rows. Floor: kernels; may include kernels/types.h. */
#ifndef HOLD_KERNELS_NORM_H
#define HOLD_KERNELS_NORM_H

#include "kernels/types.h"

/* RMS normalisation of every row:   y[r,c] = w[c] * act( x[r,c] / sqrt(mean_c(x[r,c]^2) + eps) )
 *
 * y, x  [rows, dim] f32 or bf16, the same type; y may be x, otherwise they must not overlap
 * w     [1, dim]    f32 or bf16
 * dim   1..65536;  rows >= 1;  eps > 0
 * act   rounds to the type of x before the product with w, and the product is rounded again: a no-op in f32
 *
 * Sums in f32 or better. f32: within 2e-6 * (1 + |y|) of kernels/ref/norm.c; bf16: within 2 bf16 steps.
 * Enqueues and returns; the memory must stay valid until a sync. Never allocates. Fails when a shape or type disagrees
 * (nothing is enqueued) or the device refuses.
 * Source: Zhang and Sennrich 2019, equation 4; the rounding order is the published model class's. */
HOLD_KERNEL_MUST int hold_rmsnorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps);

/* Layer normalisation of every row:   y = (x - mean(x)) / sqrt(var(x) + eps) * w + b     (var without Bessel's correction)
 *
 * y, x  [rows, dim] f32 or bf16, the same type; y may be x, otherwise they must not overlap
 * w, b  [1, dim]    f32 or bf16, the same type
 * One rounding to the type of y at the end. Tolerance, stream and failure as hold_rmsnorm.
 * Source: Ba, Kiros and Hinton 2016, equation 4. */
HOLD_KERNEL_MUST int hold_layernorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b,
                                    float eps);

#endif
