/* jpeg.c - JPEG, baseline and progressive, by libjpeg, whose only includer this is. Floor: runtime/image.
 *
 * libjpeg reports errors by a call that must not return: it jumps back to guard_run. Nothing that needs cleaning lives in the
 * frames between. A progressive file may ask for the same pixels in thousands of scans: their number is limited. */
#include "runtime/image/codec.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>
#include <setjmp.h>

enum { MAX_SCANS = 100 };

struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
    bool has_many_scans;
    const void *bytes;
    size_t n;
    struct hold_image_limits limits;
    bool wants_size_only;
    struct hold_image *image;
    struct hold_err *err; /* set by a step that already failed in its own words */
    bool failed;
};

static struct reader *reader_of(j_common_ptr common) {
    return common->client_data;
}

static _Noreturn void on_error(j_common_ptr common) {
    struct reader *r = reader_of(common);
    common->err->format_message(common, r->text);
    longjmp(r->back, 1);
}

/* Warnings about missing or damaged data would leave grey stripes that the model then describes: they are errors here. */
static void on_message(j_common_ptr common, int level) {
    const int code = common->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_ARITH_BAD_CODE))
        on_error(common);
}

static void on_progress(j_common_ptr common) {
    struct reader *r = reader_of(common);
    if (r->jpeg.input_scan_number <= MAX_SCANS)
        return;
    r->has_many_scans = true;
    longjmp(r->back, 1);
}

static void header_read(struct reader *r) {
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.client_data = r;
    r->progress.progress_monitor = on_progress;
    r->jpeg.progress = &r->progress;
    jpeg_mem_src(&r->jpeg, r->bytes, r->n);
    jpeg_read_header(&r->jpeg, TRUE);
}

static void pixels_read(struct reader *r) {
    if (hold_image_limits_check(r->limits, r->jpeg.image_height, r->jpeg.image_width, r->err) < 0) {
        r->failed = true;
        return;
    }
    if (r->jpeg.jpeg_color_space == JCS_CMYK || r->jpeg.jpeg_color_space == JCS_YCCK) {
        r->failed = true;
        (void) hold_fail(r->err, HOLD_E_FORMAT, 0, "JPEG: CMYK colours are not supported");
        return;
    }
    const size_t row = (size_t) r->jpeg.image_width * 3, size = row * r->jpeg.image_height;
    r->image->pixels = hold_buf_with_max(size);
    JSAMPLE *pixels = hold_buf_reserve(&r->image->pixels, size);
    if (!pixels) {
        r->failed = true;
        (void) hold_fail(r->err, HOLD_E_LIMIT, 0, "JPEG: no memory for %u x %u pixels", r->jpeg.image_width, r->jpeg.image_height);
        return;
    }
    r->jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&r->jpeg);
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        JSAMPROW rows[1] = { pixels + row * r->jpeg.output_scanline };
        jpeg_read_scanlines(&r->jpeg, rows, 1);
    }
    jpeg_finish_decompress(&r->jpeg);
    hold_buf_commit(&r->image->pixels, size);
}

/* Everything that may jump happens below this frame. */
static int guard_run(struct reader *r) {
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->jpeg.client_data = r;
    if (setjmp(r->back))
        return -1;
    header_read(r);
    r->image->height = r->jpeg.image_height;
    r->image->width = r->jpeg.image_width;
    if (!r->wants_size_only)
        pixels_read(r);
    return r->failed ? -1 : 0;
}

static int run(struct reader *r, struct hold_err *err) {
    r->err = err;
    const int result = guard_run(r);
    jpeg_destroy_decompress(&r->jpeg);
    if (result == 0 || r->failed)
        return result;
    if (r->has_many_scans)
        return hold_fail(err, HOLD_E_LIMIT, 0, "JPEG: more than %d scans", MAX_SCANS);
    if (r->errors.msg_code == JERR_OUT_OF_MEMORY)
        return hold_fail(err, HOLD_E_LIMIT, 0, "JPEG: %s", r->text);
    return hold_fail(err, HOLD_E_FORMAT, 0, "JPEG: damaged or cut short: %s", r->text);
}

int hold_jpeg_size(const void *bytes, size_t n, uint32_t *ret_height, uint32_t *ret_width, struct hold_err *err) {
    struct hold_image image = { 0 };
    struct reader r = { .bytes = bytes, .n = n, .wants_size_only = true, .image = &image };
    if (run(&r, err) < 0)
        return -1;
    *ret_height = image.height;
    *ret_width = image.width;
    return 0;
}

int hold_jpeg_decode(const void *bytes, size_t n, struct hold_image_limits limits, struct hold_image *ret_image, struct hold_err *err) {
    hold_autoimage image = { 0 };
    struct reader r = { .bytes = bytes, .n = n, .limits = limits, .image = &image };
    if (run(&r, err) < 0)
        return -1;
    *ret_image = image;
    image = (struct hold_image) { 0 };
    return 0;
}
