/* codec.h - what decode.c asks of its two codecs. Floor: runtime/image. Private to this folder. */
#ifndef HOLD_RUNTIME_IMAGE_CODEC_H
#define HOLD_RUNTIME_IMAGE_CODEC_H

#include "runtime/image/decode.h"

/* Width and height against the limits (both already at most the house's own). Fails with LIMIT. */
HOLD_MUST int hold_image_limits_check(struct hold_image_limits limits, uint32_t height, uint32_t width, struct hold_err *err);

/* As hold_image_size and hold_image_decode, for bytes that begin like the codec's format. */
HOLD_MUST int hold_png_size(const void *bytes, size_t n, uint32_t *ret_height, uint32_t *ret_width, struct hold_err *err);
HOLD_MUST int hold_png_decode(const void *bytes, size_t n, struct hold_image_limits limits, struct hold_image *ret_image, struct hold_err *err);
HOLD_MUST int hold_jpeg_size(const void *bytes, size_t n, uint32_t *ret_height, uint32_t *ret_width, struct hold_err *err);
HOLD_MUST int hold_jpeg_decode(const void *bytes, size_t n, struct hold_image_limits limits, struct hold_image *ret_image, struct hold_err *err);

#endif
