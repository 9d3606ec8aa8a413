/* vision.h - the vision tower and its projector: patches to rows of the decoder. Floor: runtime/model. */
#ifndef HOLD_RUNTIME_MODEL_VISION_H
#define HOLD_RUNTIME_MODEL_VISION_H

#include "base/err.h"
#include "runtime/model/model.h"
#include "runtime/model/position.h"

/* Bytes of device memory that encoding an image of n_patches patches takes, its resulting rows included. Pure. */
HOLD_MUST int hold_vision_bytes(const struct hold_record *record, enum hold_dtype act, uint32_t n_patches, uint64_t *ret_bytes,
                                struct hold_err *err);

/* One image or video.
 *
 * patches   [t * h * w, patch_len] f32 on the host, rows in the order of runtime/image/patch.h (merge-block order)
 * grid      h and w multiples of merge, t >= 1; each temporal slice attends to itself only
 * ret_rows  [hold_grid_tokens, out] of type weights->act on the device, raster order of the merged grid; the caller gives
 *           it back with hold_vision_free
 * Takes its work space and gives it back; blocks. Fails with CONFIG (a text-only model, a grid that cannot be), DEVICE. */
HOLD_MUST int hold_vision_encode(const struct hold_weights *weights, struct hold_stream *s, const float *patches,
                                 struct hold_grid grid, struct hold_t2 *ret_rows, struct hold_err *err);
void hold_vision_free(struct hold_stream *s, struct hold_t2 *rows); /* accepts an empty view */

#endif
