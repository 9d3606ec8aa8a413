/* test_patch.c - target sizes against the original's rule, resize against Pillow to the byte, order and values of patches. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/image/patch.h"
#include "tests/helpers/golden.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

static struct hold_patch_rule rule(void) {
    return (struct hold_patch_rule) { .patch = 14, .temporal = 2, .merge = 2, .min_pixels = 12544, .max_pixels = 9633792,
                                      .mean = { 0.48145466f, 0.4578275f, 0.40821073f }, .std = { 0.26862954f, 0.26130258f, 0.27577711f } };
}

static void sizes_follow_the_original_rule(void **unused) {
    (void) unused;
    size_t n, rows = 0;
    char *text = (char *) golden_read("image/sizes.txt", &n), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        uint32_t h, w, to_h, to_w;
        struct hold_patch_rule r = rule();
        struct hold_patch_size s = { 0 };
        struct hold_err err = { 0 };
        if (sscanf(line, "%" SCNu32 " %" SCNu32 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNu32, &h, &w, &r.min_pixels, &r.max_pixels, &to_h, &to_w) != 6)
            continue;
        rows++;
        const int result = hold_patch_plan(&r, h, w, &s, &err);
        if (result != (to_h ? 0 : -1) || s.height != to_h || s.width != to_w)
            fail_msg("%u x %u: %u x %u, wanted %u x %u (%s)", h, w, s.height, s.width, to_h, to_w, err.text);
        if (result == 0) {
            assert_int_equal(s.n_patches, to_h / 14 * (to_w / 14));
            assert_int_equal(s.n_tokens * 4, s.n_patches);
            assert_int_equal(s.patch_dim, 1176);
        }
    }
    assert_in_range(rows, 200, 1000);
    free(text);
}

static void a_screenshot_has_3354_tokens(void **unused) {
    (void) unused;
    const struct hold_patch_rule r = rule();
    struct hold_patch_size s;
    struct hold_err err;
    assert_int_equal(hold_patch_plan(&r, 2400, 1080, &s, &err), 0);
    assert_int_equal(s.grid_h, 172);
    assert_int_equal(s.grid_w, 78);
    assert_int_equal(s.n_tokens, 3354);
}

static void an_unusable_rule_is_refused(void **unused) {
    (void) unused;
    struct hold_patch_size s;
    struct hold_err err;
    struct hold_patch_rule r = rule();
    r.std[1] = 0;
    assert_int_equal(hold_patch_plan(&r, 100, 100, &s, &err), -1);
    r = rule();
    r.min_pixels = r.max_pixels = UINT64_C(1) << 40;
    assert_int_equal(hold_patch_plan(&r, 100, 100, &s, &err), -1);
    r = rule();
    assert_int_equal(hold_patch_plan(&r, 0, 100, &s, &err), -1);
    assert_int_equal(hold_patch_plan(&r, 100, 16385, &s, &err), -1);
}

static uint8_t *resized(uint32_t seed, uint32_t h, uint32_t w, uint32_t to_h, uint32_t to_w) {
    struct hold_err err = { 0 };
    uint8_t *in = golden_noise((size_t) h * w * 3, seed), *out = malloc((size_t) to_h * to_w * 3);
    if (hold_rgb_resize(in, h, w, out, to_h, to_w, &err) < 0)
        fail_msg("%s", err.text);
    free(in);
    return out;
}

static void resize_gives_the_bytes_of_pillow(void **unused) {
    (void) unused;
    size_t n, n_text;
    uint32_t seed = 100;
    unsigned char *stored = golden_read("image/resize.bin", &n);
    for (size_t at = 0; at < n; seed++) {
        uint32_t size[4];
        memcpy(size, stored + at, sizeof size);
        const size_t bytes = (size_t) size[2] * size[3] * 3;
        uint8_t *out = resized(seed, size[0], size[1], size[2], size[3]);
        for (size_t i = 0; i < bytes; i++)
            if (out[i] != stored[at + 16 + i])
                fail_msg("%u x %u to %u x %u: sample %zu is %u, Pillow's is %u", size[0], size[1], size[2], size[3], i, out[i], stored[at + 16 + i]);
        free(out);
        at += 16 + bytes;
    }
    free(stored);
    size_t rows = 0;
    char *text = (char *) golden_read("image/resize.txt", &n_text), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        uint32_t s, h, w, to_h, to_w;
        uint64_t hash;
        if (sscanf(line, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNx64, &s, &h, &w, &to_h, &to_w, &hash) != 6)
            continue;
        uint8_t *out = resized(s, h, w, to_h, to_w);
        if (golden_fnv(out, (size_t) to_h * to_w * 3) != hash)
            fail_msg("%u x %u to %u x %u differs from Pillow", h, w, to_h, to_w);
        free(out);
        rows++;
    }
    assert_int_equal(rows, 11);
    free(text);
}

static void rows_go_block_by_block(void **unused) {
    (void) unused;
    /* 56 x 84: each sample tells its patch; every row must hold one patch, in block order, both frames alike */
    enum { H = 56, W = 84 };
    static uint8_t rgb[H * W * 3];
    static float out[24 * 1176];
    struct hold_patch_rule r = rule();
    struct hold_patch_size s;
    struct hold_err err;
    r.min_pixels = 1;
    for (int c = 0; c < 3; c++) {
        r.mean[c] = 0;
        r.std[c] = 1;
    }
    assert_int_equal(hold_patch_plan(&r, H, W, &s, &err), 0);
    assert_int_equal(s.height * 1000 + s.width, H * 1000 + W);
    for (int pass = 0; pass < 2; pass++) {
        /* first the patch's number, then the place inside the patch: together every value is known */
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++)
                    rgb[(y * W + x) * 3 + c] = (uint8_t) (pass ? (y % 14) * 14 + x % 14 + c : (y / 14) * 6 + x / 14 + 60 * c);
        assert_int_equal(hold_patchify(&r, rgb, H, W, &s, out, &err), 0);
        int row = 0;
        for (int bi = 0; bi < 2; bi++)
            for (int bj = 0; bj < 3; bj++)
                for (int a = 0; a < 2; a++)
                    for (int b = 0; b < 2; b++, row++)
                        for (int i = 0; i < 1176; i++) {
                            const int c = i / 392, place = i % 196;
                            const int wanted = pass ? place + c : (2 * bi + a) * 6 + 2 * bj + b + 60 * c;
                            if ((int) lrintf(out[row * 1176 + i] * 255) != wanted)
                                fail_msg("row %d, column %d is %g, wanted %d", row, i, (double) out[row * 1176 + i] * 255, wanted);
                        }
    }
}

static void golden_picture_has_the_golden_values(void **unused) {
    (void) unused;
    enum { H = 60, W = 90 };
    static uint8_t rgb[H * W * 3];
    static float out[48 * 1176];
    const struct hold_patch_rule r = rule();
    struct hold_patch_size s;
    struct hold_err err;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            rgb[(y * W + x) * 3] = (uint8_t) (7 * x + 3 * y);
            rgb[(y * W + x) * 3 + 1] = (uint8_t) (5 * x + 11 * y);
            rgb[(y * W + x) * 3 + 2] = (uint8_t) (x * y);
        }
    assert_int_equal(hold_patch_plan(&r, H, W, &s, &err), 0);
    assert_int_equal(s.height * 1000 + s.width, 84 * 1000 + 112);
    assert_int_equal(s.n_patches, 48);
    assert_int_equal(hold_patchify(&r, rgb, H, W, &s, out, &err), 0);
    double sum = 0;
    for (size_t i = 0; i < HOLD_COUNT_OF(out); i++)
        sum += out[i];
    const double found[] = { out[0], out[1], out[2], out[5 * 1176 + 700], sum };
    const double wanted[] = { -1.79226253, -1.7192704, -1.63167984, 1.68468186, 9078.255969 };
    for (size_t i = 0; i < HOLD_COUNT_OF(wanted); i++)
        if (fabs(found[i] - wanted[i]) > (i == 4 ? 0.01 : 1e-6))
            fail_msg("value %zu is %.9g, wanted %.9g", i, found[i], wanted[i]);
}

static void a_screenshot_takes_well_under_a_second(void **unused) {
    (void) unused;
    const struct hold_patch_rule r = rule();
    struct hold_patch_size s;
    struct hold_err err;
    struct timespec begun, ended;
    assert_int_equal(hold_patch_plan(&r, 2400, 1080, &s, &err), 0);
    uint8_t *rgb = golden_noise((size_t) 2400 * 1080 * 3, 7);
    float *out = malloc((size_t) s.n_patches * s.patch_dim * sizeof *out);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
    assert_int_equal(hold_patchify(&r, rgb, 2400, 1080, &s, out, &err), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    const double ms = (double) (ended.tv_sec - begun.tv_sec) * 1e3 + (double) (ended.tv_nsec - begun.tv_nsec) / 1e6;
    print_message("patchify of 1080 x 2400: %.1f ms\n", ms);
    assert_true(ms < 1000); /* a bound for slow machines and sanitizers; the measured figure is in docs/MEASUREMENTS.md */
    free(rgb);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_original_rule),
        cmocka_unit_test(a_screenshot_has_3354_tokens),
        cmocka_unit_test(an_unusable_rule_is_refused),
        cmocka_unit_test(resize_gives_the_bytes_of_pillow),
        cmocka_unit_test(rows_go_block_by_block),
        cmocka_unit_test(golden_picture_has_the_golden_values),
        cmocka_unit_test(a_screenshot_takes_well_under_a_second),
    };
    return cmocka_run_group_tests_name("patch", tests, NULL, NULL);
}
