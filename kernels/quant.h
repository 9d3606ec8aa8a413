/* quant.h - conversion between element types. Floor: kernels; may include kernels/types.h. */
#ifndef HOLD_KERNELS_QUANT_H
#define HOLD_KERNELS_QUANT_H

#include "kernels/types.h"

/* y = x in another type: f32, bf16 or f16 to f32 or bf16, to nearest, ties to even; a NaN stays a NaN.
 *
 * y, x  [rows, cols], not overlapping
 * Exact. Enqueues and returns; never allocates; fails when a shape disagrees. i8 is refused by name: it does not exist yet. */
HOLD_KERNEL_MUST int hold_convert(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);

#endif
