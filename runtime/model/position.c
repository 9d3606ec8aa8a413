/* position.c - three-part positions of a prompt. Floor: runtime/model, pure. */
#include "runtime/model/position.h"

enum kind { KIND_TEXT, KIND_IMAGE, KIND_VIDEO };

/* Where the walk over the prompt stands. */
struct walk {
    const struct hold_record *record;
    const struct hold_grid *images;
    size_t n_images, image; /* image: the next grid, or the video whose frames are being counted */
    uint32_t frames;        /* frames of that video seen so far */
    int64_t next;           /* one more than the largest position used */
};

uint32_t hold_grid_tokens(struct hold_grid grid, uint32_t merge) {
    return merge == 0 ? 0 : grid.t * (grid.h / merge) * (grid.w / merge);
}

static uint32_t biggest(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t ab = a > b ? a : b;
    return ab > c ? ab : c;
}

/* One run of placeholders: a block of t x h x w positions in raster order. */
static int place_block(struct walk *walk, enum kind kind, size_t length, int32_t (*pos)[3], struct hold_err *err) {
    if (walk->image >= walk->n_images)
        return hold_fail(err, HOLD_E_CONFIG, 0, "image %zu of the prompt was not given", walk->image + 1);
    struct hold_grid grid = walk->images[walk->image];
    uint32_t merge = walk->record->merge, slices = kind == KIND_VIDEO ? 1 : grid.t;
    if (merge == 0 || grid.t == 0 || grid.h == 0 || grid.w == 0 || grid.h % merge != 0 || grid.w % merge != 0 || grid.h > 65536 ||
        grid.w > 65536 || grid.t > 65536)
        return hold_fail(err, HOLD_E_CONFIG, 0, "image %zu: a grid of %u x %u x %u cannot be", walk->image + 1, grid.t, grid.h, grid.w);
    uint32_t h = grid.h / merge, w = grid.w / merge;
    if (length != (uint64_t) slices * h * w)
        return hold_fail(err, HOLD_E_CONFIG, 0, "image %zu: %zu placeholders for %ju rows", walk->image + 1, length,
                         (uintmax_t) slices * h * w);
    size_t at = 0;
    for (uint32_t a = 0; a < slices; a++)
        for (uint32_t y = 0; y < h; y++)
            for (uint32_t x = 0; x < w; x++, at++) {
                pos[at][0] = (int32_t) (walk->next + a);
                pos[at][1] = (int32_t) (walk->next + y);
                pos[at][2] = (int32_t) (walk->next + x);
            }
    walk->next += biggest(slices, h, w);
    walk->frames++;
    if (kind == KIND_IMAGE || walk->frames == grid.t) {
        walk->image++;
        walk->frames = 0;
    }
    return 0;
}

int hold_positions(const struct hold_record *record, const uint32_t *ids, size_t n, const struct hold_grid *images, size_t n_images,
                   int32_t (*ret_pos)[3], int32_t *ret_delta, struct hold_err *err) {
    if (n == 0 || n > (1u << 24))
        return hold_fail(err, HOLD_E_LIMIT, 0, "a prompt of %zu tokens; 1 to %u can be", n, 1u << 24);
    struct walk walk = { .record = record, .images = images, .n_images = n_images };
    bool is_video = false;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        if (ids[i] != record->image_token || record->image_token == UINT32_MAX) {
            for (; end < n && (ids[end] != record->image_token || record->image_token == UINT32_MAX); end++, walk.next++) {
                is_video = ids[end] == record->video_start ? true : ids[end] == record->video_end ? false : is_video;
                ret_pos[end][0] = ret_pos[end][1] = ret_pos[end][2] = (int32_t) walk.next;
            }
        } else {
            while (end < n && ids[end] == record->image_token)
                end++;
            if (place_block(&walk, is_video ? KIND_VIDEO : KIND_IMAGE, end - i, ret_pos + i, err) < 0)
                return -1;
        }
        i = end;
    }
    if (walk.image != n_images)
        return hold_fail(err, HOLD_E_CONFIG, 0, "%zu images for a prompt with places for %zu", n_images, walk.image);
    *ret_delta = (int32_t) (walk.next - (int64_t) n);
    return 0;
}
