/* png.c - PNG by libspng, whose only includer this is. Floor: runtime/image.
 *
 * Settings for untrusted files as its manual advises: limits on sides and on what ancillary chunks may take, checksums of
 * critical chunks enforced. Colour profiles, gamma and transparency are not asked for. */
#include "runtime/image/codec.h"

#include <spng.h>
#include <stdio.h>

enum { MAX_CHUNK_BYTES = 8 << 20, MAX_CHUNKS_BYTES = 32 << 20 };

static void context_free(spng_ctx **context) {
    spng_ctx_free(*context);
}

static int png_fail(int code, const char *step, struct hold_err *err) {
    return hold_fail(err, code == SPNG_EMEM || code == SPNG_EZLIB_INIT ? HOLD_E_LIMIT : HOLD_E_FORMAT, 0, "PNG: %s: %s", step, spng_strerror(code));
}

static int header_read(spng_ctx *context, const void *bytes, size_t n, struct spng_ihdr *ret_header, struct hold_err *err) {
    int code = SPNG_EMEM;
    if (!context || (code = spng_set_image_limits(context, HOLD_IMAGE_MAX_SIDE * 64, HOLD_IMAGE_MAX_SIDE * 64)) ||
        (code = spng_set_chunk_limits(context, MAX_CHUNK_BYTES, MAX_CHUNKS_BYTES)) ||
        (code = spng_set_crc_action(context, SPNG_CRC_ERROR, SPNG_CRC_DISCARD)) || (code = spng_set_png_buffer(context, bytes, n)) ||
        (code = spng_get_ihdr(context, ret_header)))
        return png_fail(code, "header", err);
    return 0;
}

int hold_png_size(const void *bytes, size_t n, uint32_t *ret_height, uint32_t *ret_width, struct hold_err *err) {
    __attribute__((cleanup(context_free))) spng_ctx *context = spng_ctx_new(0);
    struct spng_ihdr header;
    if (header_read(context, bytes, n, &header, err) < 0)
        return -1;
    *ret_height = header.height;
    *ret_width = header.width;
    return 0;
}

int hold_png_decode(const void *bytes, size_t n, struct hold_image_limits limits, struct hold_image *ret_image, struct hold_err *err) {
    __attribute__((cleanup(context_free))) spng_ctx *context = spng_ctx_new(0);
    hold_autoimage image = { 0 };
    struct spng_ihdr header;
    if (header_read(context, bytes, n, &header, err) < 0 || hold_image_limits_check(limits, header.height, header.width, err) < 0)
        return -1;
    const size_t size = (size_t) header.height * header.width * 3;
    image.pixels = hold_buf_with_max(size);
    void *pixels = hold_buf_reserve(&image.pixels, size);
    if (!pixels)
        return hold_fail(err, HOLD_E_LIMIT, 0, "PNG: no memory for %u x %u pixels", header.width, header.height);
    int code = spng_decode_image(context, pixels, size, SPNG_FMT_RGB8, 0);
    if (code == 0)
        code = spng_decode_chunks(context); /* up to the end: the last checksum is read, a missing tail is noticed */
    if (code)
        return png_fail(code, "damaged or cut short", err);
    hold_buf_commit(&image.pixels, size);
    image.height = header.height;
    image.width = header.width;
    *ret_image = image;
    image = (struct hold_image) { 0 };
    return 0;
}
