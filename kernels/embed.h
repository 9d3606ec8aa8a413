/* embed.h - rows taken by number. Floor: kernels; may include kernels/types.h. */
#ifndef HOLD_KERNELS_EMBED_H
#define HOLD_KERNELS_EMBED_H

#include "kernels/types.h"

/* y[r,:] = table[ids[r],:]: token embedding, and the picking of the rows that want logits.
 *
 * y      [rows, dim]    f32 or bf16
 * table  [n, dim]       f32 or bf16, not overlapping y; widened exactly or rounded to nearest even
 * ids    [rows, 1]      i32, in 0..n-1; a number outside reads nothing and fills its row with NaN, which the NaN guard
 *                       then reports, since a check on the device would need a sync
 * Exact. Enqueues and returns; never allocates; fails when a shape or type disagrees. */
HOLD_KERNEL_MUST int hold_gather_rows(struct hold_stream *s, struct hold_t2 y, struct hold_t2 table, struct hold_t2 ids);

#endif
