/* frame.c - frames to bytes and back. One walk over the fields serves both directions, so they cannot drift apart.
 * Floor: runtime/wire, pure. */
#include "runtime/wire/frame.h"

#include "base/list.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define FRAME_MAGIC 0x31774648u /* "HFw1" */

static const char *const kind_names[HOLD_FRAME_KIND_COUNT] = {
#define X(id, name, from_front) [HOLD_FRAME_##id] = name,
    HOLD_FRAME_KIND_LIST(X)
#undef X
};

static const bool kind_is_fronts[HOLD_FRAME_KIND_COUNT] = {
#define X(id, name, from_front) [HOLD_FRAME_##id] = from_front,
    HOLD_FRAME_KIND_LIST(X)
#undef X
};

static const char *const end_names[] = {
#define X(id, name) [HOLD_END_##id] = name,
    HOLD_END_LIST(X)
#undef X
};

static const char *const fail_names[] = {
#define X(id, name) [HOLD_FAIL_##id] = name,
    HOLD_FAIL_LIST(X)
#undef X
};

const char *hold_frame_name(enum hold_frame_kind kind) {
    return hold_name_at(kind_names, HOLD_COUNT_OF(kind_names), (size_t) kind);
}

const char *hold_end_name(enum hold_end_reason reason) {
    return hold_name_at(end_names, HOLD_COUNT_OF(end_names), (size_t) reason);
}

const char *hold_fail_name(enum hold_fail_reason reason) {
    return hold_name_at(fail_names, HOLD_COUNT_OF(fail_names), (size_t) reason);
}

/* A place in the bytes, in one direction. Once `wrong` names a field nothing more is read or written. */
struct walk {
    const unsigned char *in; /* NULL: writing */
    unsigned char *out;
    size_t at, end;
    const char *wrong;
};

static void walk_int(struct walk *w, uint64_t *value, size_t width, const char *field) {
    if (w->wrong)
        return;
    if (w->end - w->at < width) {
        w->wrong = field;
        return;
    }
    if (w->in) {
        uint64_t v = 0;
        for (size_t i = 0; i < width; i++)
            v |= (uint64_t) w->in[w->at + i] << (8 * i);
        *value = v;
    } else {
        for (size_t i = 0; i < width; i++)
            w->out[w->at + i] = (unsigned char) (*value >> (8 * i));
    }
    w->at += width;
}

static void walk_u64(struct walk *w, uint64_t *value, uint64_t min, uint64_t max, const char *field) {
    walk_int(w, value, 8, field);
    if (!w->wrong && (*value < min || *value > max))
        w->wrong = field;
}

static void walk_u32(struct walk *w, uint32_t *value, uint32_t min, uint32_t max, const char *field) {
    uint64_t wide = *value;
    walk_int(w, &wide, 4, field);
    *value = (uint32_t) wide;
    if (!w->wrong && (*value < min || *value > max))
        w->wrong = field;
}

static void walk_bool(struct walk *w, bool *value, const char *field) {
    uint32_t wide = *value;
    walk_u32(w, &wide, 0, 1, field);
    *value = wide == 1;
}

static void walk_f32(struct walk *w, float *value, float min, float max, const char *field) {
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    walk_u32(w, &bits, 0, UINT32_MAX, field);
    memcpy(value, &bits, sizeof bits);
    if (!w->wrong && !(*value >= min && *value <= max)) /* false for a NaN too */
        w->wrong = field;
}

static void walk_open(struct walk *w, struct hold_frame_open *o) {
    struct hold_frame_sampling *s = &o->sampling;

    walk_u32(w, &o->n_ids, 1, HOLD_FRAME_MAX_PROMPT, "n_ids");
    walk_u32(w, &o->max_tokens, 1, HOLD_FRAME_MAX_PROMPT, "max_tokens");
    walk_u32(w, &o->min_tokens, 0, o->max_tokens, "min_tokens");
    walk_bool(w, &o->ignore_eos, "ignore_eos");
    walk_bool(w, &o->want_logprobs, "want_logprobs");
    walk_u32(w, &o->n_top, 0, o->want_logprobs ? HOLD_FRAME_MAX_TOP : 0, "n_top");
    walk_f32(w, &s->temperature, 0, 100, "temperature");
    walk_f32(w, &s->top_p, FLT_MIN, 1, "top_p");
    walk_f32(w, &s->min_p, 0, 1, "min_p");
    walk_f32(w, &s->frequency_penalty, -2, 2, "frequency_penalty");
    walk_f32(w, &s->presence_penalty, -2, 2, "presence_penalty");
    walk_f32(w, &s->repetition_penalty, FLT_MIN, 100, "repetition_penalty");
    walk_u32(w, &s->top_k, 0, UINT32_MAX, "top_k");
    walk_u64(w, &s->seed, 0, UINT64_MAX, "seed");
    walk_u32(w, &o->n_images, 0, HOLD_FRAME_MAX_IMAGES, "n_images");
    for (uint32_t i = 0; !w->wrong && i < o->n_images; i++) {
        walk_u32(w, &o->images[i].t, 1, HOLD_FRAME_MAX_SIDE, "images.t");
        walk_u32(w, &o->images[i].h, 1, HOLD_FRAME_MAX_SIDE, "images.h");
        walk_u32(w, &o->images[i].w, 1, HOLD_FRAME_MAX_SIDE, "images.w");
    }
    walk_u32(w, &o->n_stop_ids, 0, HOLD_FRAME_MAX_STOP_IDS, "n_stop_ids");
    for (uint32_t i = 0; !w->wrong && i < o->n_stop_ids; i++)
        walk_u32(w, &o->stop_ids[i], 0, UINT32_MAX - 1, "stop_ids");
    walk_u32(w, &o->n_bias, 0, HOLD_FRAME_MAX_BIAS, "n_bias");
    for (uint32_t i = 0; !w->wrong && i < o->n_bias; i++) {
        walk_u32(w, &o->bias[i].id, 0, UINT32_MAX - 1, "bias.id");
        walk_f32(w, &o->bias[i].add, -100, 100, "bias.add");
    }
}

static void walk_ids(struct walk *w, struct hold_frame_ids *p) {
    walk_u32(w, &p->offset, 0, HOLD_FRAME_MAX_PROMPT - 1, "offset");
    walk_u32(w, &p->n, 1, HOLD_FRAME_MAX_IDS, "n");
    for (uint32_t i = 0; !w->wrong && i < p->n; i++)
        walk_u32(w, &p->ids[i], 0, UINT32_MAX - 1, "ids");
}

static void walk_patches(struct walk *w, struct hold_frame_patches *p) {
    walk_u32(w, &p->image, 0, HOLD_FRAME_MAX_IMAGES - 1, "image");
    walk_u32(w, &p->bytes, 1, HOLD_FRAME_MAX_SLICE, "bytes");
    walk_u64(w, &p->offset, 0, UINT64_MAX / 2, "offset");
    walk_u64(w, &p->position, 0, UINT64_MAX / 2, "position");
}

static void walk_status(struct walk *w, struct hold_frame_status *s) {
    walk_bool(w, &s->is_healthy, "is_healthy");
    walk_u32(w, &s->max_context, 1, HOLD_FRAME_MAX_PROMPT, "max_context");
    walk_u32(w, &s->n_running, 0, UINT32_MAX, "n_running");
    walk_u32(w, &s->n_waiting, 0, UINT32_MAX, "n_waiting");
    walk_u32(w, &s->pages_total, 1, UINT32_MAX, "pages_total");
    walk_u32(w, &s->pages_used, 0, s->pages_total, "pages_used");
    walk_u32(w, &s->page_tokens, 1, 65536, "page_tokens");
}

static void walk_token(struct walk *w, struct hold_frame_token *t) {
    walk_u32(w, &t->index, 0, HOLD_FRAME_MAX_PROMPT, "index");
    walk_u32(w, &t->id, 0, UINT32_MAX - 1, "id");
    walk_f32(w, &t->logprob, -FLT_MAX, 0, "logprob");
    walk_u32(w, &t->n_top, 0, HOLD_FRAME_MAX_TOP, "n_top");
    for (uint32_t i = 0; !w->wrong && i < t->n_top; i++) {
        walk_u32(w, &t->top[i].id, 0, UINT32_MAX - 1, "top.id");
        walk_f32(w, &t->top[i].logprob, -FLT_MAX, 0, "top.logprob");
    }
}

static void walk_end(struct walk *w, struct hold_frame_end *e) {
    uint32_t reason = (uint32_t) e->reason;
    walk_u32(w, &reason, 0, HOLD_END_COUNT - 1, "reason");
    if (!w->wrong)
        e->reason = (enum hold_end_reason) reason;
    walk_u32(w, &e->stop_id, 0, UINT32_MAX, "stop_id");
    walk_u32(w, &e->prompt_tokens, 0, HOLD_FRAME_MAX_PROMPT, "prompt_tokens");
    walk_u32(w, &e->completion_tokens, 0, HOLD_FRAME_MAX_PROMPT, "completion_tokens");
    walk_u32(w, &e->cached_tokens, 0, HOLD_FRAME_MAX_PROMPT, "cached_tokens");
}

static void walk_fail(struct walk *w, struct hold_frame_fail *f) {
    uint32_t reason = (uint32_t) f->reason;
    walk_u32(w, &reason, 0, HOLD_FAIL_COUNT - 1, "reason");
    if (!w->wrong)
        f->reason = (enum hold_fail_reason) reason;
    uint32_t n = w->in ? 0 : (uint32_t) strnlen(f->text, sizeof f->text);
    walk_u32(w, &n, 0, HOLD_FRAME_MAX_TEXT, "text");
    for (uint32_t i = 0; !w->wrong && i < n; i++) {
        uint64_t byte = (unsigned char) f->text[i];
        walk_int(w, &byte, 1, "text");
        if (byte < 0x20 || byte == 0x7f)
            w->wrong = "text";
        f->text[i] = (char) byte;
    }
    if (!w->wrong)
        f->text[n] = 0;
}

static void walk_payload(struct walk *w, struct hold_frame *f) {
    switch (f->kind) {
    case HOLD_FRAME_OPEN: walk_open(w, &f->open); break;
    case HOLD_FRAME_IDS: walk_ids(w, &f->ids); break;
    case HOLD_FRAME_PATCHES: walk_patches(w, &f->patches); break;
    case HOLD_FRAME_CANCEL: break;
    case HOLD_FRAME_STATUS: walk_status(w, &f->status); break;
    case HOLD_FRAME_GAVE: walk_u64(w, &f->gave.position, 0, UINT64_MAX / 2, "position"); break;
    case HOLD_FRAME_TOKEN: walk_token(w, &f->token); break;
    case HOLD_FRAME_END: walk_end(w, &f->end); break;
    case HOLD_FRAME_FAIL: walk_fail(w, &f->fail); break;
    case HOLD_FRAME_NONE:
    case HOLD_FRAME_KIND_COUNT: w->wrong = "kind"; break;
    }
}

/* Head and payload; *bytes is the length that the head claims. */
static void walk_frame(struct walk *w, struct hold_frame *f, uint32_t *bytes) {
    uint32_t magic = FRAME_MAGIC, zero = 0;
    uint64_t version = HOLD_FRAME_VERSION, kind = (uint64_t) f->kind;

    walk_u32(w, &magic, FRAME_MAGIC, FRAME_MAGIC, "magic");
    walk_int(w, &version, 2, "version");
    if (!w->wrong && version != HOLD_FRAME_VERSION)
        w->wrong = "version";
    walk_int(w, &kind, 2, "kind");
    if (!w->wrong && (kind == HOLD_FRAME_NONE || kind >= HOLD_FRAME_KIND_COUNT))
        w->wrong = "kind";
    if (w->wrong)
        return;
    f->kind = (enum hold_frame_kind) kind;
    walk_u32(w, bytes, 0, HOLD_FRAME_MAX_BYTES, "bytes");
    walk_u32(w, &zero, 0, 0, "zero");
    walk_u64(w, &f->generation, 1, UINT64_MAX, "generation");
    bool is_of_session = f->kind != HOLD_FRAME_STATUS && f->kind != HOLD_FRAME_GAVE;
    walk_u64(w, &f->session, is_of_session, is_of_session ? UINT64_MAX : 0, "session");
    walk_payload(w, f);
}

int hold_frame_put(const struct hold_frame *f, unsigned char out[HOLD_FRAME_MAX_BYTES], size_t *ret_n, struct hold_err *err) {
    struct hold_frame copy = *f;
    struct walk w = { .out = out, .end = HOLD_FRAME_MAX_BYTES };
    uint32_t bytes = 0;

    walk_frame(&w, &copy, &bytes);
    if (w.wrong)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "write a '%s' frame: field '%s' is out of range", hold_frame_name(f->kind), w.wrong);
    for (size_t i = 0; i < 4; i++)
        out[8 + i] = (unsigned char) (w.at >> (8 * i));
    *ret_n = w.at;
    return 0;
}

int hold_frame_parse(const unsigned char *bytes, size_t n, bool from_front, struct hold_frame *ret_frame, struct hold_err *err) {
    struct hold_frame f = { .kind = HOLD_FRAME_NONE };
    struct walk w = { .in = bytes, .end = n };
    uint32_t claimed = 0;

    if (n > HOLD_FRAME_MAX_BYTES)
        return hold_fail(err, HOLD_E_FORMAT, 0, "frame: %zu bytes, the limit is %u", n, HOLD_FRAME_MAX_BYTES);
    walk_frame(&w, &f, &claimed);
    if (w.wrong)
        return hold_fail(err, HOLD_E_FORMAT, 0, "frame '%s': field '%s' is wrong or missing", hold_frame_name(f.kind), w.wrong);
    if (claimed != n || w.at != n)
        return hold_fail(err, HOLD_E_FORMAT, 0, "frame '%s': %zu bytes came, the head says %u, the fields fill %zu",
                         hold_frame_name(f.kind), n, claimed, w.at);
    if (kind_is_fronts[f.kind] != from_front)
        return hold_fail(err, HOLD_E_FORMAT, 0, "frame '%s' from the wrong side", hold_frame_name(f.kind));
    *ret_frame = f;
    return 0;
}
