/* decode.h - PNG and JPEG bytes to bounded 8-bit RGB. Floor: runtime/image.
 *
 * Grey and palette are expanded, alpha is dropped without compositing, 16-bit samples keep their high byte, colour profiles
 * and EXIF orientation are ignored: what the model's own image processor sees. Limits are checked before the pixels are
 * allocated. */
#ifndef HOLD_RUNTIME_IMAGE_DECODE_H
#define HOLD_RUNTIME_IMAGE_DECODE_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HOLD_IMAGE_MAX_SIDE 16384u
#define HOLD_IMAGE_MAX_PIXELS (UINT64_C(64) << 20)

/* Owned by the caller; hold_image_release accepts a zeroed struct. */
struct hold_image {
    struct hold_buf pixels; /* [height, width, 3] bytes R G B, rows contiguous */
    uint32_t height, width;
};

struct hold_image_limits {
    uint64_t max_pixels; /* 0: HOLD_IMAGE_MAX_PIXELS, which is also the most */
    uint32_t max_side;   /* 0: HOLD_IMAGE_MAX_SIDE, which is also the most */
};

/* The kind is told by the first bytes, never by a name. Allocates width * height * 3 bytes and the decoder's rows.
 * Fails with FORMAT (not PNG or JPEG, damaged, cut short: said which) or LIMIT (size, scans); *ret_image untouched then. */
HOLD_MUST int hold_image_decode(const void *bytes, size_t n, struct hold_image_limits limits, struct hold_image *ret_image,
                                struct hold_err *err);
/* Only the size from the header, nothing decoded or allocated. */
HOLD_MUST int hold_image_size(const void *bytes, size_t n, uint32_t *ret_height, uint32_t *ret_width, struct hold_err *err);
void hold_image_release(struct hold_image *image);
#define hold_autoimage __attribute__((cleanup(hold_image_release))) struct hold_image

#endif
