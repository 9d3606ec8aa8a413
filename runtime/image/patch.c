/* patch.c - target size, Pillow's bicubic, normalise and cut. Floor: runtime/image, pure.
 *
 * The resize works on 8-bit samples in two passes with an 8-bit picture between them and integer weights of 22 bits: rounding
 * once after each pass is what the model's images went through in training, a float resize differs by up to 18 levels.
 * Compiled with -O3 (runtime/rules.mk): the loops over a row vectorise. */
#include "runtime/image/patch.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/num.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { WEIGHT_BITS = 22, MAX_SIDE = 16384, MAX_RATIO = 200 };

/* ---- target size ---- */

/* To the nearest whole number, halves to the even one, as Python's round; v >= 0. */
static double round_half_even(double v) {
    const double low = floor(v), rest = v - low;
    if (rest > 0.5 || (rest == 0.5 && fmod(low, 2) == 1))
        return low + 1;
    return low;
}

static bool rule_is_usable(const struct hold_patch_rule *r) {
    bool usable = r->patch >= 1 && r->patch <= 64 && r->temporal >= 1 && r->temporal <= 64 && r->merge >= 1 && r->merge <= 64 &&
                  r->min_pixels >= 1 && r->min_pixels <= r->max_pixels && r->max_pixels <= UINT64_C(1) << 40;
    for (int c = 0; c < 3; c++)
        usable = usable && isfinite(r->mean[c]) && r->std[c] > 0 && isfinite(r->std[c]);
    return usable;
}

int hold_patch_plan(const struct hold_patch_rule *rule, uint32_t height, uint32_t width, struct hold_patch_size *ret_size,
                    struct hold_err *err) {
    if (!rule_is_usable(rule))
        return hold_fail(err, HOLD_E_CONFIG, 0, "the checkpoint's image rule is out of range");
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE)
        return hold_fail(err, HOLD_E_CONFIG, 0, "the image is %u x %u, sides are 1 to %d", width, height, MAX_SIDE);
    const double step = (double) rule->patch * rule->merge, frames = rule->temporal;
    double h = height, w = width;
    if (h < step || w < step) {
        const double scale = fmax(step / h, step / w);
        h = trunc(h * scale);
        w = trunc(w * scale);
    }
    if (fmax(h, w) / fmin(h, w) > MAX_RATIO)
        return hold_fail(err, HOLD_E_CONFIG, 0, "the image is %u x %u: one side is more than %d times the other", width, height, MAX_RATIO);
    double to_h = round_half_even(h / step) * step, to_w = round_half_even(w / step) * step;
    const double low = (double) rule->min_pixels, high = (double) rule->max_pixels;
    if (frames * to_h * to_w > high) {
        const double by = sqrt(frames * h * w / high);
        to_h = fmax(step, floor(h / by / step) * step);
        to_w = fmax(step, floor(w / by / step) * step);
    } else if (frames * to_h * to_w < low) {
        const double by = sqrt(low / (frames * h * w));
        to_h = ceil(h * by / step) * step;
        to_w = ceil(w * by / step) * step;
    }
    /* a rule with an absurd minimum could ask for a picture that nothing can hold */
    if (to_h > 4 * MAX_SIDE || to_w > 4 * MAX_SIDE || to_h * to_w > 1 << 28)
        return hold_fail(err, HOLD_E_CONFIG, 0, "the image would become %.0f x %.0f", to_w, to_h);
    struct hold_patch_size s = { .height = (uint32_t) to_h, .width = (uint32_t) to_w };
    s.grid_h = s.height / rule->patch;
    s.grid_w = s.width / rule->patch;
    s.n_patches = s.grid_h * s.grid_w;
    s.n_tokens = s.n_patches / (rule->merge * rule->merge);
    s.patch_dim = 3 * rule->temporal * rule->patch * rule->patch;
    *ret_size = s;
    return 0;
}

/* ---- resize ---- */

/* For each output place: which input places count, and how much. */
struct weights {
    struct hold_buf spans;  /* [n_out] {first, n} */
    struct hold_buf values; /* [n_out, most] int32 */
    uint32_t most;
};

struct span {
    uint32_t first, n;
};

static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static int weights_make(uint32_t n_in, uint32_t n_out, struct weights *w, struct hold_err *err) {
    const double scale = (double) n_in / n_out, filter_scale = fmax(scale, 1), support = 2 * filter_scale, inverse = 1 / filter_scale;
    w->most = (uint32_t) ceil(support) * 2 + 1;
    w->spans = hold_buf_with_max((size_t) n_out * sizeof(struct span));
    w->values = hold_buf_with_max((size_t) n_out * w->most * sizeof(int32_t));
    hold_autobuf exact = hold_buf_with_max(w->most * sizeof(double));
    struct span *spans = hold_buf_reserve(&w->spans, w->spans.max_bytes);
    int32_t *values = hold_buf_reserve(&w->values, w->values.max_bytes);
    double *k = hold_buf_reserve(&exact, exact.max_bytes);
    if (!spans || !values || !k)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory to resize an image");
    for (uint32_t i = 0; i < n_out; i++) {
        const double centre = (i + 0.5) * scale;
        const double from = fmax(trunc(centre - support + 0.5), 0), to = fmin(trunc(centre + support + 0.5), n_in);
        const uint32_t n = HOLD_MIN((uint32_t) (to - from), w->most);
        double sum = 0;
        for (uint32_t j = 0; j < n; j++) {
            k[j] = cubic((j + from - centre + 0.5) * inverse);
            sum += k[j];
        }
        for (uint32_t j = 0; j < n; j++) {
            const double v = (sum != 0 ? k[j] / sum : k[j]) * (1 << WEIGHT_BITS);
            values[(size_t) i * w->most + j] = (int32_t) (v < 0 ? v - 0.5 : v + 0.5);
        }
        spans[i] = (struct span) { .first = (uint32_t) from, .n = n };
    }
    return 0;
}

static void weights_release(struct weights *w) {
    hold_buf_release(&w->spans);
    hold_buf_release(&w->values);
}

static uint8_t clamp(int32_t sum) {
    sum >>= WEIGHT_BITS;
    return (uint8_t) (sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* out [h, w_out, 3] from in [h, w_in, 3] */
static void pass_across(const uint8_t *in, uint32_t h, uint32_t w_in, uint8_t *out, uint32_t w_out, const struct weights *w) {
    const struct span *spans = (const struct span *) (const void *) w->spans.data;
    const int32_t *values = (const int32_t *) (const void *) w->values.data;
    for (uint32_t y = 0; y < h; y++) {
        const uint8_t *row = in + (size_t) y * w_in * 3;
        uint8_t *to = out + (size_t) y * w_out * 3;
        for (uint32_t x = 0; x < w_out; x++) {
            const uint8_t *from = row + (size_t) spans[x].first * 3;
            const int32_t *k = values + (size_t) x * w->most;
            int32_t r = 1 << (WEIGHT_BITS - 1), g = r, b = r;
            for (uint32_t j = 0; j < spans[x].n; j++) {
                r += k[j] * from[3 * j];
                g += k[j] * from[3 * j + 1];
                b += k[j] * from[3 * j + 2];
            }
            to[3 * x] = clamp(r);
            to[3 * x + 1] = clamp(g);
            to[3 * x + 2] = clamp(b);
        }
    }
}

/* out [h_out, w, 3] from in [h_in, w, 3]; sums: one row of 3 * w */
static void pass_down(const uint8_t *in, uint32_t w, uint8_t *out, uint32_t h_out, const struct weights *weights, int32_t *sums) {
    const struct span *spans = (const struct span *) (const void *) weights->spans.data;
    const int32_t *values = (const int32_t *) (const void *) weights->values.data;
    const size_t row = (size_t) w * 3;
    for (uint32_t y = 0; y < h_out; y++) {
        uint8_t *to = out + y * row;
        for (size_t x = 0; x < row; x++)
            sums[x] = 1 << (WEIGHT_BITS - 1);
        for (uint32_t j = 0; j < spans[y].n; j++) {
            const uint8_t *from = in + (spans[y].first + j) * row;
            const int32_t k = values[(size_t) y * weights->most + j];
            for (size_t x = 0; x < row; x++)
                sums[x] += k * from[x];
        }
        for (size_t x = 0; x < row; x++)
            to[x] = clamp(sums[x]);
    }
}

static int resize_across(const uint8_t *rgb, uint32_t h, uint32_t w, uint8_t *out, uint32_t w_out, struct hold_err *err) {
    struct weights weights = { 0 };
    const int result = weights_make(w, w_out, &weights, err);
    if (result == 0)
        pass_across(rgb, h, w, out, w_out, &weights);
    weights_release(&weights);
    return result;
}

static int resize_down(const uint8_t *rgb, uint32_t h, uint32_t w, uint8_t *out, uint32_t h_out, struct hold_err *err) {
    struct weights weights = { 0 };
    hold_autobuf sums = hold_buf_with_max((size_t) w * 3 * sizeof(int32_t));
    int result = weights_make(h, h_out, &weights, err);
    int32_t *row = hold_buf_reserve(&sums, sums.max_bytes);
    if (result == 0 && !row)
        result = hold_fail(err, HOLD_E_LIMIT, 0, "no memory to resize an image");
    if (result == 0)
        pass_down(rgb, w, out, h_out, &weights, row);
    weights_release(&weights);
    return result;
}

int hold_rgb_resize(const uint8_t *rgb, uint32_t h, uint32_t w, uint8_t *ret_rgb, uint32_t ret_h, uint32_t ret_w, struct hold_err *err) {
    if (w == ret_w && h == ret_h) {
        memcpy(ret_rgb, rgb, (size_t) h * w * 3);
        return 0;
    }
    if (w == ret_w)
        return resize_down(rgb, h, w, ret_rgb, ret_h, err);
    if (h == ret_h)
        return resize_across(rgb, h, w, ret_rgb, ret_w, err);
    /* Pillow since 13: down first where the height loses more than twice what the width does (found by its outputs on 3,000
     * sizes; up to 12 it always went across first, which differs by up to 17 levels there) */
    const bool is_down_first = ret_h < h && (int64_t) h - ret_h > 2 * ((int64_t) w - ret_w);
    hold_autobuf between = hold_buf_with_max(is_down_first ? (size_t) ret_h * w * 3 : (size_t) h * ret_w * 3);
    uint8_t *middle = hold_buf_reserve(&between, between.max_bytes);
    if (!middle)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory to resize an image");
    if (is_down_first)
        return resize_down(rgb, h, w, middle, ret_h, err) < 0 ? -1 : resize_across(middle, ret_h, w, ret_rgb, ret_w, err);
    if (resize_across(rgb, h, w, middle, ret_w, err) < 0)
        return -1;
    return resize_down(middle, h, ret_w, ret_rgb, ret_h, err);
}

/* ---- normalise and cut ---- */

/* One patch at rgb (row 0, column 0 of it) to its row of values. */
static void patch_write(const struct hold_patch_rule *rule, const float levels[3][256], const uint8_t *rgb, size_t row_bytes, float *to) {
    const uint32_t p = rule->patch;
    const size_t frame = (size_t) p * p;
    for (uint32_t c = 0; c < 3; c++) {
        float *first = to + c * rule->temporal * frame;
        for (uint32_t y = 0; y < p; y++)
            for (uint32_t x = 0; x < p; x++)
                first[y * p + x] = levels[c][rgb[y * row_bytes + 3 * x + c]];
        for (uint32_t f = 1; f < rule->temporal; f++)
            memcpy(first + f * frame, first, frame * sizeof *first);
    }
}

static void patches_write(const struct hold_patch_rule *rule, const uint8_t *rgb, const struct hold_patch_size *s, float *to) {
    float levels[3][256];
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            levels[c][v] = ((float) (v / 255.0) - rule->mean[c]) / rule->std[c];
    const size_t row_bytes = (size_t) s->width * 3;
    const uint32_t m = rule->merge;
    for (uint32_t block_y = 0; block_y < s->grid_h / m; block_y++)
        for (uint32_t block_x = 0; block_x < s->grid_w / m; block_x++)
            for (uint32_t a = 0; a < m; a++)
                for (uint32_t b = 0; b < m; b++) {
                    const size_t y = (size_t) (block_y * m + a) * rule->patch, x = (size_t) (block_x * m + b) * rule->patch;
                    patch_write(rule, levels, rgb + y * row_bytes + 3 * x, row_bytes, to);
                    to += s->patch_dim;
                }
}

int hold_patchify(const struct hold_patch_rule *rule, const uint8_t *rgb, uint32_t height, uint32_t width,
                  const struct hold_patch_size *size, float *ret_patches, struct hold_err *err) {
    if (height == size->height && width == size->width) {
        patches_write(rule, rgb, size, ret_patches);
        return 0;
    }
    hold_autobuf resized = hold_buf_with_max((size_t) size->height * size->width * 3);
    uint8_t *to = hold_buf_reserve(&resized, resized.max_bytes);
    if (!to)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory to resize an image to %u x %u", size->width, size->height);
    if (hold_rgb_resize(rgb, height, width, to, size->height, size->width, err) < 0)
        return -1;
    patches_write(rule, to, size, ret_patches);
    return 0;
}
