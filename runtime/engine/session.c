/* session.c - one request as the engine holds it. Floor: runtime/engine. */
#include "runtime/engine/session.h"

#include "base/list.h"
#include "base/num.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATCH_VALUE 64.0f /* pictures give values of a few units: anything else never came from one */

static int open_images(struct hold_session *s, const struct hold_session_limits *limits, struct hold_err *err) {
    uint32_t merge = limits->record->merge;
    uint64_t total = 0;

    if (s->open.n_images && limits->patch_len == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the model takes no images");
    for (uint32_t i = 0; i < s->open.n_images; i++) {
        struct hold_session_image *image = &s->images[i];
        struct hold_frame_grid g = s->open.images[i];
        uint64_t n_patches = (uint64_t) g.t * g.h * g.w, bytes; /* sides are at most HOLD_FRAME_MAX_SIDE: no wrap */

        if (g.h % merge || g.w % merge || n_patches > limits->max_patches)
            return hold_fail(err, HOLD_E_FORMAT, 0, "image %u: a grid of %u x %u x %u patches, the limit is %u", i, g.t, g.h, g.w,
                             limits->max_patches);
        if (!hold_mul_u64(n_patches, (uint64_t) limits->patch_len * sizeof(float), &bytes))
            return hold_fail(err, HOLD_E_FORMAT, 0, "image %u is too large", i);
        total += bytes;
        if (total > limits->max_image_bytes)
            return hold_fail(err, HOLD_E_LIMIT, 0, "the images need %ju bytes, the limit is %ju", (uintmax_t) total,
                             (uintmax_t) limits->max_image_bytes);
        image->grid = (struct hold_grid) { g.t, g.h, g.w };
        image->total_bytes = bytes;
    }
    return 0;
}

int hold_session_new(const struct hold_frame *f, const struct hold_session_limits *limits, struct hold_session **ret_session,
                     enum hold_fail_reason *ret_reason, struct hold_err *err) {
    const struct hold_frame_open *open = &f->open;
    const struct hold_record *record = limits->record;

    *ret_reason = HOLD_FAIL_TOO_LONG;
    if (open->n_ids >= limits->max_context)
        return hold_fail(err, HOLD_E_LIMIT, 0, "the prompt has %u tokens, and the maximum context length is %u tokens", open->n_ids,
                         limits->max_context);
    *ret_reason = HOLD_FAIL_BUSY;
    struct hold_session *s = calloc(1, sizeof *s);
    if (!s)
        return hold_fail(err, HOLD_E_LIMIT, 0, "out of memory");
    s->id = f->session;
    s->open = *open;
    s->open.max_tokens = HOLD_MIN(open->max_tokens, limits->max_context - open->n_ids);
    s->open.min_tokens = HOLD_MIN(open->min_tokens, s->open.max_tokens);
    s->ids = calloc((size_t) s->open.n_ids + s->open.max_tokens, sizeof *s->ids);
    s->pos = calloc(s->open.n_ids, sizeof *s->pos);
    if (!s->ids || !s->pos) {
        hold_session_free(s);
        return hold_fail(err, HOLD_E_LIMIT, 0, "out of memory");
    }
    *ret_reason = HOLD_FAIL_REFUSED;
    if (open_images(s, limits, err) < 0) {
        hold_session_free(s);
        return -1;
    }
    for (uint32_t i = 0; i < open->n_bias; i++)
        s->bias[i] = (struct hold_bias) { .id = open->bias[i].id, .add = open->bias[i].add };
    for (uint32_t i = 0; i < record->n_eos; i++)
        s->end_ids[s->n_end_ids++] = record->eos[i];
    for (uint32_t i = 0; i < open->n_stop_ids; i++)
        s->end_ids[s->n_end_ids++] = open->stop_ids[i];
    *ret_session = s;
    return 0;
}

void hold_session_free(struct hold_session *s) {
    if (!s)
        return;
    for (size_t i = 0; i < HOLD_FRAME_MAX_IMAGES; i++)
        free(s->images[i].patches);
    free(s->ids);
    free(s->pos);
    free(s->pages);
    free(s);
}

/* Everything has come: where the images stand, and the positions. */
static int complete(struct hold_session *s, const struct hold_session_limits *limits, struct hold_err *err) {
    const struct hold_record *record = limits->record;
    struct hold_grid grids[HOLD_FRAME_MAX_IMAGES];
    uint32_t at = 0;

    if (s->got_ids < s->open.n_ids || s->got_images < s->open.n_images)
        return 0;
    for (uint32_t i = 0; i < s->open.n_images; i++)
        grids[i] = s->images[i].grid;
    if (hold_positions(record, s->ids, s->open.n_ids, grids, s->open.n_images, s->pos, &s->delta, err) < 0)
        return -1;
    for (uint32_t i = 0; i < s->open.n_images; i++) {
        struct hold_session_image *image = &s->images[i];
        while (at < s->open.n_ids && s->ids[at] != record->image_token)
            at++;
        image->first = at;
        image->n = hold_grid_tokens(image->grid, record->merge);
        at += image->n;
        if (at > s->open.n_ids)
            return hold_fail(err, HOLD_E_CONFIG, 0, "image %u has fewer placeholders than rows", i);
    }
    s->state = HOLD_SESSION_WAITING;
    return 0;
}

int hold_session_ids(struct hold_session *s, const struct hold_frame_ids *ids, const struct hold_session_limits *limits,
                     struct hold_err *err) {
    if (s->state != HOLD_SESSION_RECEIVING || ids->offset != s->got_ids || ids->n > s->open.n_ids - s->got_ids)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%u ids at %u, where %u of %u have come", ids->n, ids->offset, s->got_ids, s->open.n_ids);
    for (uint32_t i = 0; i < ids->n; i++) {
        if (ids->ids[i] >= limits->record->vocab)
            return hold_fail(err, HOLD_E_FORMAT, 0, "token id %u, the vocabulary has %u", ids->ids[i], limits->record->vocab);
        s->ids[s->got_ids + i] = ids->ids[i];
    }
    s->got_ids += ids->n;
    return complete(s, limits, err);
}

int hold_session_patches(struct hold_session *s, const struct hold_frame_patches *p, const void *patches,
                         const struct hold_session_limits *limits, struct hold_err *err) {
    struct hold_session_image *image = &s->images[p->image];

    if (s->state != HOLD_SESSION_RECEIVING || p->image != s->got_images || p->image >= s->open.n_images || p->offset != image->got_bytes ||
        p->bytes > image->total_bytes - image->got_bytes || p->bytes % sizeof(float))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%u bytes at %ju of image %u, where image %u of %u is due", p->bytes, (uintmax_t) p->offset, p->image,
                         s->got_images, s->open.n_images);
    if (!image->patches)
        image->patches = malloc(image->total_bytes);
    if (!image->patches)
        return hold_fail(err, HOLD_E_LIMIT, 0, "out of memory for an image of %ju bytes", (uintmax_t) image->total_bytes);
    float *own = image->patches + image->got_bytes / sizeof(float);
    memcpy(own, patches, p->bytes);
    for (size_t i = 0; i < p->bytes / sizeof(float); i++)
        if (!(fabsf(own[i]) <= MAX_PATCH_VALUE))
            return hold_fail(err, HOLD_E_FORMAT, 0, "image %u holds a value that no picture gives", p->image);
    image->got_bytes += p->bytes;
    if (image->got_bytes == image->total_bytes)
        s->got_images++;
    return complete(s, limits, err);
}

bool hold_session_ends_at(const struct hold_session *s, const struct hold_record *record, uint32_t id) {
    size_t first = s->open.ignore_eos ? record->n_eos : 0;
    for (size_t i = first; i < s->n_end_ids; i++)
        if (s->end_ids[i] == id)
            return true;
    return false;
}

struct hold_sampler hold_session_sampler(const struct hold_session *s) {
    const struct hold_frame_sampling *w = &s->open.sampling;
    return (struct hold_sampler) {
        .temperature = w->temperature,
        .top_k = w->top_k,
        .top_p = w->top_p,
        .min_p = w->min_p,
        .frequency_penalty = w->frequency_penalty,
        .presence_penalty = w->presence_penalty,
        .repetition_penalty = w->repetition_penalty,
        .biases = s->bias,
        .n_biases = s->open.n_bias,
        .forbidden = s->end_ids,
        .n_forbidden = s->n_generated < s->open.min_tokens ? s->n_end_ids : 0,
        .seed = w->seed,
        .request = 0, /* the seed alone names the sequence: the same request gives the same answer whenever it comes */
    };
}
