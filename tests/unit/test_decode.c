/* test_decode.c - PNG and JPEG to the pixels that Pillow sees; damage and excess are refused. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/image/decode.h"
#include "tests/helpers/golden.h"

static int decode(const void *bytes, size_t n, struct hold_image *image, struct hold_err *err) {
    return hold_image_decode(bytes, n, (struct hold_image_limits) { 0 }, image, err);
}

/* Decodes image/NAME and compares with image/STEM.rgb; the largest difference of a sample. */
static int distance(const char *name) {
    char path[128], stem[64];
    size_t n, n_wanted;
    uint32_t size[2], height, width;
    struct hold_err err = { 0 };
    hold_autoimage image = { 0 };
    snprintf(path, sizeof path, "image/%s", name);
    unsigned char *bytes = golden_read(path, &n);
    snprintf(stem, sizeof stem, "%.*s", (int) (strchr(name, '.') - name), name);
    snprintf(path, sizeof path, "image/%s.rgb", stem);
    unsigned char *wanted = golden_read(path, &n_wanted);
    memcpy(size, wanted, 8);
    if (decode(bytes, n, &image, &err) < 0)
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(hold_image_size(bytes, n, &height, &width, &err), 0);
    assert_int_equal(height, size[0]);
    assert_int_equal(image.height, size[0]);
    assert_int_equal(image.width, size[1]);
    assert_int_equal(image.pixels.n, n_wanted - 8);
    int worst = 0;
    for (size_t i = 0; i < image.pixels.n; i++) {
        const int d = abs((int) (unsigned char) image.pixels.data[i] - (int) wanted[8 + i]);
        worst = d > worst ? d : worst;
    }
    free(bytes);
    free(wanted);
    return worst;
}

static void png_pixels_are_exact(void **unused) {
    (void) unused;
    static const char *const names[] = { "rgb.png", "rgba.png", "grey.png", "grey1.png", "grey4.png", "grey_alpha.png", "palette.png",
                                         "palette_alpha.png", "many_idats.png", "interlaced.png", "interlaced_rgba.png", "profile.png",
                                         "rgb16.png", "one.png", "more_than_pixels.png" };
    for (size_t i = 0; i < HOLD_COUNT_OF(names); i++)
        if (distance(names[i]) != 0)
            fail_msg("%s differs by %d", names[i], distance(names[i]));
}

static void jpeg_pixels_are_within_two_levels(void **unused) {
    (void) unused;
    static const char *const names[] = { "baseline.jpg", "progressive.jpg", "full_chroma.jpg", "grey_jpeg.jpg" };
    for (size_t i = 0; i < HOLD_COUNT_OF(names); i++)
        if (distance(names[i]) > 2)
            fail_msg("%s differs by %d", names[i], distance(names[i]));
}

static void cut_files_are_refused_at_every_length(void **unused) {
    (void) unused;
    static const char *const names[] = { "image/rgba.png", "image/interlaced.png", "image/baseline.jpg", "image/progressive.jpg" };
    for (size_t i = 0; i < HOLD_COUNT_OF(names); i++) {
        size_t n;
        unsigned char *bytes = golden_read(names[i], &n);
        const size_t tail = 4; /* the end marker of a JPEG and the checksum of a PNG's end chunk are not looked at */
        for (size_t cut = 0; cut + tail < n; cut++) {
            hold_autoimage image = { 0 };
            struct hold_err err = { 0 };
            unsigned char *exact = malloc(cut ? cut : 1); /* so that a sanitizer sees one byte too many */
            memcpy(exact, bytes, cut);
            if (decode(exact, cut, &image, &err) == 0)
                fail_msg("%s cut to %zu bytes is accepted", names[i], cut);
            assert_int_equal(err.code, HOLD_E_FORMAT);
            assert_null(image.pixels.data);
            free(exact);
        }
        free(bytes);
    }
}

static void a_wrong_checksum_is_refused(void **unused) {
    (void) unused;
    size_t n;
    unsigned char *bytes = golden_read("image/rgb.png", &n);
    hold_autoimage image = { 0 };
    struct hold_err err = { 0 };
    bytes[n - 12 - 4] ^= 1; /* last checksum byte of the pixels' chunk */
    assert_int_equal(decode(bytes, n, &image, &err), -1);
    assert_int_equal(err.code, HOLD_E_FORMAT);
    free(bytes);
}

static void what_is_too_large_is_refused_before_pixels_are_allocated(void **unused) {
    (void) unused;
    size_t n;
    unsigned char *bytes = golden_read("image/wide_claim.png", &n);
    hold_autoimage image = { 0 };
    struct hold_err err = { 0 };
    assert_int_equal(decode(bytes, n, &image, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
    assert_non_null(strstr(err.text, "60000 x 60000"));
    free(bytes);
    static const char *const names[] = { "image/rgb.png", "image/baseline.jpg" };
    for (size_t i = 0; i < HOLD_COUNT_OF(names); i++) {
        bytes = golden_read(names[i], &n);
        assert_int_equal(hold_image_decode(bytes, n, (struct hold_image_limits) { .max_pixels = 19 * 13 - 1 }, &image, &err), -1);
        assert_int_equal(err.code, HOLD_E_LIMIT);
        assert_int_equal(hold_image_decode(bytes, n, (struct hold_image_limits) { .max_side = 18 }, &image, &err), -1);
        assert_int_equal(err.code, HOLD_E_LIMIT);
        free(bytes);
    }
}

static void other_kinds_are_refused_by_name(void **unused) {
    (void) unused;
    static const struct {
        const char *bytes, *words;
        size_t n;
    } kinds[] = {
        { "RIFF\0\0\0\0WEBPVP8 ", "WebP", 16 }, { "GIF89a", "GIF", 6 }, { "BM123456", "BMP", 8 }, { "\0\0\0\x18""ftypheic", "HEIC", 12 },
        { "hello", "neither PNG nor JPEG", 5 }, { "", "neither PNG nor JPEG", 0 },
    };
    hold_autoimage image = { 0 };
    for (size_t i = 0; i < HOLD_COUNT_OF(kinds); i++) {
        struct hold_err err = { 0 };
        assert_int_equal(decode(kinds[i].bytes, kinds[i].n, &image, &err), -1);
        if (!strstr(err.text, kinds[i].words))
            fail_msg("'%s' is not about %s", err.text, kinds[i].words);
    }
    size_t n;
    struct hold_err err = { 0 };
    unsigned char *bytes = golden_read("image/cmyk.jpg", &n);
    assert_int_equal(decode(bytes, n, &image, &err), -1);
    assert_non_null(strstr(err.text, "CMYK"));
    free(bytes);
}

static void a_file_of_a_thousand_scans_is_refused(void **unused) {
    (void) unused;
    size_t n;
    unsigned char *bytes = golden_read("image/progressive.jpg", &n);
    /* the first scan (from its marker to the next marker) a thousand times over */
    size_t scan = 2, end;
    while (bytes[scan] != 0xFF || bytes[scan + 1] != 0xDA)
        scan++;
    for (end = scan + 2; bytes[end] != 0xFF || bytes[end + 1] == 0; end++)
        ;
    const size_t length = end - scan, total = n + 1000 * length;
    unsigned char *many = malloc(total);
    memcpy(many, bytes, end);
    for (size_t k = 0; k < 1000; k++)
        memcpy(many + end + k * length, bytes + scan, length);
    memcpy(many + end + 1000 * length, bytes + end, n - end);
    hold_autoimage image = { 0 };
    struct hold_err err = { 0 };
    assert_int_equal(decode(many, total, &image, &err), -1);
    if (err.code != HOLD_E_LIMIT || !strstr(err.text, "scans"))
        fail_msg("%s", err.text);
    free(bytes);
    free(many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_pixels_are_exact),
        cmocka_unit_test(jpeg_pixels_are_within_two_levels),
        cmocka_unit_test(cut_files_are_refused_at_every_length),
        cmocka_unit_test(a_wrong_checksum_is_refused),
        cmocka_unit_test(what_is_too_large_is_refused_before_pixels_are_allocated),
        cmocka_unit_test(other_kinds_are_refused_by_name),
        cmocka_unit_test(a_file_of_a_thousand_scans_is_refused),
    };
    return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
