/* act.h - elementwise operations: sums and activation functions. Floor: kernels; may include kernels/types.h.
 *
 * Every view here is [rows, cols] f32 or bf16, all of one type, rows may be strided. y may be the very same view as an
 * input (same data and stride); otherwise they must not overlap. Values are widened to f32, each formula below is rounded
 * to the type of y where `act` stands and at the end. f32: within 4e-6 * (1 + |y|) of kernels/ref/act.c; bf16: within
 * 2 bf16 steps. Enqueue and return; never allocate; fail when a shape or type disagrees. */
#ifndef HOLD_KERNELS_ACT_H
#define HOLD_KERNELS_ACT_H

#include "kernels/types.h"

/* y = a + b */
HOLD_KERNEL_MUST int hold_add(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b);

/* y = u * act( g / (1 + exp(-g)) ). For a fused gate-up product g and u are column halves of one matrix. */
HOLD_KERNEL_MUST int hold_swiglu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u);

/* y = x/2 * (1 + erf(x / sqrt 2)); the exact form, not the tanh approximation (which differs by up to 5e-4). */
HOLD_KERNEL_MUST int hold_gelu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);

#endif
