/* position.h - three-part positions of a prompt and the delta that images leave behind. Floor: runtime/model, pure. */
#ifndef HOLD_RUNTIME_MODEL_POSITION_H
#define HOLD_RUNTIME_MODEL_POSITION_H

#include "base/err.h"
#include "runtime/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

/* Size of one image (t = 1) or video in patches: as the vision tower sees it, before merging. */
struct hold_grid {
    uint32_t t, h, w;
};

/* Rows that the vision tower makes of a grid: t * h * w / merge^2. */
uint32_t hold_grid_tokens(struct hold_grid grid, uint32_t merge);

/* Positions of a whole prompt, image placeholders expanded (one id record->image_token per row of the tower).
 *
 * ids       n of them, n >= 1
 * images    in prompt order, n_images of them; videos: one grid per video with t > 1, frames between video_start and video_end
 * ret_pos   n entries of (t, h, w)
 * ret_delta what is added to a token's index to get its position from the end of the prompt on (<= 0)
 *
 * Fails with CONFIG when placeholders and grids disagree: a run of placeholders that is not as long as its grid's rows,
 * one without a grid, a grid without one. Source: the published model class. */
HOLD_MUST int hold_positions(const struct hold_record *record, const uint32_t *ids, size_t n, const struct hold_grid *images,
                             size_t n_images, int32_t (*ret_pos)[3], int32_t *ret_delta, struct hold_err *err);

#endif
