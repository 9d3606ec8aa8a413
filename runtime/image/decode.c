/* decode.c - which codec, and the limits before it. Floor: runtime/image. */
#include "runtime/image/decode.h"

#include "base/list.h"
#include "runtime/image/codec.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum kind { PNG, JPEG };

static bool begins(const void *bytes, size_t n, size_t at, const char *with) {
    const size_t length = strlen(with);
    return n >= at + length && memcmp((const char *) bytes + at, with, length) == 0;
}

static int kind_of(const void *bytes, size_t n, enum kind *ret_kind, struct hold_err *err) {
    if (begins(bytes, n, 0, "\x89PNG\r\n\x1a\n")) {
        *ret_kind = PNG;
        return 0;
    }
    if (begins(bytes, n, 0, "\xff\xd8\xff")) {
        *ret_kind = JPEG;
        return 0;
    }
    const char *name = begins(bytes, n, 0, "RIFF") && begins(bytes, n, 8, "WEBP") ? "WebP"
                       : begins(bytes, n, 0, "GIF8")                             ? "GIF"
                       : begins(bytes, n, 0, "BM")                               ? "BMP"
                       : begins(bytes, n, 4, "ftyp")                             ? "HEIC or AVIF"
                                                                                 : NULL;
    if (name)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the image is %s; PNG and JPEG can be read", name);
    return hold_fail(err, HOLD_E_FORMAT, 0, "the image (%zu bytes) is neither PNG nor JPEG", n);
}

int hold_image_limits_check(struct hold_image_limits limits, uint32_t height, uint32_t width, struct hold_err *err) {
    const uint64_t pixels = (uint64_t) height * width;
    if (height == 0 || width == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the image is %u x %u", width, height);
    if (width > limits.max_side || height > limits.max_side)
        return hold_fail(err, HOLD_E_LIMIT, 0, "the image is %u x %u, the limit is %u on a side", width, height, limits.max_side);
    if (pixels > limits.max_pixels)
        return hold_fail(err, HOLD_E_LIMIT, 0, "the image has %" PRIu64 " pixels, the limit is %" PRIu64, pixels, limits.max_pixels);
    return 0;
}

int hold_image_size(const void *bytes, size_t n, uint32_t *ret_height, uint32_t *ret_width, struct hold_err *err) {
    enum kind kind;
    if (kind_of(bytes, n, &kind, err) < 0)
        return -1;
    return kind == PNG ? hold_png_size(bytes, n, ret_height, ret_width, err) : hold_jpeg_size(bytes, n, ret_height, ret_width, err);
}

int hold_image_decode(const void *bytes, size_t n, struct hold_image_limits limits, struct hold_image *ret_image, struct hold_err *err) {
    enum kind kind;
    if (limits.max_side == 0 || limits.max_side > HOLD_IMAGE_MAX_SIDE)
        limits.max_side = HOLD_IMAGE_MAX_SIDE;
    if (limits.max_pixels == 0 || limits.max_pixels > HOLD_IMAGE_MAX_PIXELS)
        limits.max_pixels = HOLD_IMAGE_MAX_PIXELS;
    if (kind_of(bytes, n, &kind, err) < 0)
        return -1;
    return kind == PNG ? hold_png_decode(bytes, n, limits, ret_image, err) : hold_jpeg_decode(bytes, n, limits, ret_image, err);
}

void hold_image_release(struct hold_image *image) {
    hold_buf_release(&image->pixels);
    image->height = image->width = 0;
}
