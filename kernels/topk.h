/* topk.h - the largest logits of a row. Floor: kernels; may include kernels/types.h. */
#ifndef HOLD_KERNELS_TOPK_H
#define HOLD_KERNELS_TOPK_H

#include "kernels/types.h"

#define HOLD_TOPK_MAX 64u

/* The k largest of every row, largest first; equal values stand in the order of their ids, lowest first.
 *
 * values  [rows, k] f32
 * ids     [rows, k] i32
 * x       [rows, n] f32, k <= n, k <= HOLD_TOPK_MAX
 * A row with a NaN in it gives ids of -1 and values of NaN: never a plausible token. Infinities order as numbers do.
 * Exact. Enqueues and returns; never allocates; fails when a shape or type disagrees. */
HOLD_KERNEL_MUST int hold_topk(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x);

#endif
