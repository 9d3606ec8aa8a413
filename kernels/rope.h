/* rope.h - rotary position embedding, text (three axes, neighbours) and vision (two axes, halves). Floor: kernels; may
 * include kernels/types.h. */
#ifndef HOLD_KERNELS_ROPE_H
#define HOLD_KERNELS_ROPE_H

#include "kernels/types.h"

/* Which two elements of a head turn together, for frequency j of n = rotary_dim / 2. */
enum hold_rope_pairs {
    HOLD_ROPE_NONE,
    HOLD_ROPE_NEIGHBOURS, /* (2j, 2j + 1): the text decoder */
    HOLD_ROPE_HALVES,     /* (j, j + n): the vision tower */
};

/* The angles of every row, once per batch, used by all layers:
 *     angle[r,j] = pos[r, axis[j]] * inv[j]   as one f32 product;   cs[r,j] = cos(angle), cs[r, n + j] = sin(angle)
 *
 * cs    [rows, 2n]   f32
 * pos   [rows, axes] i32, 0..2^24 (exact as f32)
 * inv   [1, n]       f32, theta^(-2j/R) computed by the caller
 * axis  [1, n]       i32, 0..axes-1
 * cosine and sine are accurate at angles up to 2^24: no fast variants. Within 2e-6 of kernels/ref/rope.c.
 * Enqueues and returns; never allocates; fails when a shape or type disagrees. */
HOLD_KERNEL_MUST int hold_rope_angles(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv,
                                      struct hold_t2 axis);

/* Turns the first 2n elements of every head of every row, in place; the others stay as they are.
 *     (a, b) -> (a * cos - b * sin, b * cos + a * sin)
 *
 * x         [rows, heads * head_dim] f32 or bf16
 * cs        [rows, 2n] f32 from hold_rope_angles, 2n <= head_dim
 * head_dim  divides x.cols
 * Computed in f32 and rounded once. f32: within 2e-6 * (|a| + |b|) of kernels/ref/rope.c; bf16: within one step more.
 * Enqueues and returns; never allocates; fails when a shape or type disagrees.
 * Source: Su et al. 2021, equation 34; the pairings are the published model class's. */
HOLD_KERNEL_MUST int hold_rope(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim,
                               enum hold_rope_pairs pairs);

#endif
