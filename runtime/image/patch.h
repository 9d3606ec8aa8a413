/* patch.h - an RGB picture to the rows that the vision tower eats. Floor: runtime/image, pure.
 *
 * Size rule, resize and order are those of the published GLM-4V image processor; the resize is Pillow's 8-bit two-pass
 * bicubic with antialiasing, to the byte. */
#ifndef HOLD_RUNTIME_IMAGE_PATCH_H
#define HOLD_RUNTIME_IMAGE_PATCH_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* From the model record. patch * merge is the step F that both sides are rounded to. */
struct hold_patch_rule {
    uint32_t patch, temporal, merge; /* 14, 2, 2; each 1..64 */
    uint64_t min_pixels, max_pixels; /* of temporal * height * width */
    float mean[3], std[3];           /* std > 0 */
};

/* What a picture becomes. */
struct hold_patch_size {
    uint32_t height, width;   /* after the resize; multiples of patch * merge */
    uint32_t grid_h, grid_w;  /* patches down and across; both multiples of merge */
    uint32_t n_patches;       /* grid_h * grid_w: rows for the vision tower */
    uint32_t n_tokens;        /* n_patches / merge^2: rows for the decoder */
    uint32_t patch_dim;       /* 3 * temporal * patch * patch: 1176 */
};

/* height, width 1..16384. Fails with CONFIG (text fit for a client) when one side is more than 200 times the other or
 * the rule itself cannot be used. */
HOLD_MUST int hold_patch_plan(const struct hold_patch_rule *rule, uint32_t height, uint32_t width,
                              struct hold_patch_size *ret_size, struct hold_err *err);

/* ret_rgb [ret_h, ret_w, 3] = rgb [h, w, 3] resized; no overlap. Allocates h * ret_w * 3 bytes and two small tables. Fails with LIMIT. */
HOLD_MUST int hold_rgb_resize(const uint8_t *rgb, uint32_t h, uint32_t w, uint8_t *ret_rgb, uint32_t ret_h, uint32_t ret_w,
                              struct hold_err *err);

/* ret_patches [n_patches, patch_dim] f32 from rgb [height, width, 3] and the size hold_patch_plan gave for it.
 *   value = (byte / 255 - mean[c]) / std[c];   column = ((c * temporal + frame) * patch + y) * patch + x
 * Rows go by blocks of merge x merge patches, blocks and patches inside a block in raster order; a still image fills all
 * frames alike. Allocates about 6 bytes per pixel while it works. Fails with LIMIT. */
HOLD_MUST int hold_patchify(const struct hold_patch_rule *rule, const uint8_t *rgb, uint32_t height, uint32_t width,
                            const struct hold_patch_size *size, float *ret_patches, struct hold_err *err);

#endif
