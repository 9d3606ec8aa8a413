/* engine.c - sessions: frame in, step, frame out. Floor: runtime/engine. */
#include "runtime/engine/engine.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/log.h"
#include "runtime/engine/batch.h"
#include "runtime/engine/pages.h"
#include "runtime/engine/session.h"
#include "runtime/model/forward.h"
#include "runtime/model/vision.h"
#include "runtime/wire/link.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_BYTES (UINT64_C(1) << 30) /* of patches on the host, of all sessions together */

struct hold_engine {
    const struct hold_weights *weights;
    struct hold_stream *stream;
    struct hold_engine_limits limits;
    struct hold_session_limits session_limits;
    struct hold_kv kv;
    struct hold_forward *forward;
    struct hold_sample_space *space;
    struct hold_pages pages;
    uint32_t context_pages; /* of one session at most: the width of a batch's page table */
    struct hold_link link;
    struct hold_session *sessions; /* oldest first */
    size_t n_sessions;
    bool is_draining, is_unhealthy;
    uint64_t n_tokens;
    uint64_t n_losses;             /* fronts lost: every session of before is gone */
    struct hold_frame_status told; /* the last STATUS of this pairing */
    bool has_told;
    /* one batch; sized by the limits */
    struct hold_session **batch_sessions;
    struct hold_batch_seq *seqs;
    struct hold_batch_part *parts;
    uint32_t *ids, *seq, *index, *want;
    int32_t (*pos)[3];
    int32_t *table;
    struct hold_image_span *spans;
};

/* ---- ends of sessions ---- */

static void release_images(struct hold_engine *e, struct hold_session *s) {
    for (uint32_t i = 0; i < s->encoded_images; i++)
        hold_vision_free(e->stream, &s->images[i].rows);
    s->encoded_images = 0;
}

static void drop_session(struct hold_engine *e, struct hold_session *s) {
    struct hold_session **at = &e->sessions;
    struct hold_err err = { 0 };

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    e->n_sessions--;
    release_images(e, s);
    if (s->n_pages && hold_pages_give(&e->pages, s->id, s->pages, s->n_pages, &err) < 0)
        hold_log_err(&err);
    hold_session_free(s);
}

static void lose_front(struct hold_engine *e, const char *why) {
    if (!hold_link_is_up(&e->link))
        return;
    hold_log(e->n_sessions || !e->is_draining ? HOLD_LV_WARN : HOLD_LV_INFO, HOLD_EV_WARN, HOLD_LS("what", "front lost"), HOLD_LS("why", why), HOLD_LU("generation", e->link.generation),
             HOLD_LU("sessions", e->n_sessions));
    hold_link_drop(&e->link);
    e->has_told = false;
    e->n_losses++;
    while (e->sessions)
        drop_session(e, e->sessions);
}

static void send_frame(struct hold_engine *e, struct hold_frame *f) {
    struct hold_err err = { 0 };
    if (hold_link_is_up(&e->link) && hold_link_send(&e->link, f, &err) < 0)
        lose_front(e, err.text);
}

static void send_fail(struct hold_engine *e, uint64_t session, enum hold_fail_reason reason, const char *text) {
    struct hold_frame f = { .kind = HOLD_FRAME_FAIL, .session = session };
    f.fail.reason = reason;
    (void) snprintf(f.fail.text, sizeof f.fail.text, "%.200s", text);
    for (char *c = f.fail.text; *c; c++)
        if ((unsigned char) *c < 0x20 || *c == 0x7f)
            *c = '?';
    send_frame(e, &f);
}

/* The session fails; it is gone afterwards, and so may be the link with all the others. */
static void fail_session(struct hold_engine *e, struct hold_session *s, enum hold_fail_reason reason, const char *text) {
    uint64_t id = s->id;
    drop_session(e, s);
    send_fail(e, id, reason, text);
}

static void end_session(struct hold_engine *e, struct hold_session *s, enum hold_end_reason reason, uint32_t stop_id) {
    struct hold_frame f = { .kind = HOLD_FRAME_END, .session = s->id };
    f.end.reason = reason;
    f.end.stop_id = stop_id;
    f.end.prompt_tokens = s->open.n_ids;
    f.end.completion_tokens = s->n_generated + (reason == HOLD_END_STOP);
    drop_session(e, s);
    send_frame(e, &f);
}

/* ---- frames in ---- */

static struct hold_session *find(struct hold_engine *e, uint64_t id) {
    for (struct hold_session *s = e->sessions; s; s = s->next)
        if (s->id == id)
            return s;
    return NULL;
}

/* Patches that wait, or will, until they are encoded. */
static uint64_t image_bytes(const struct hold_engine *e) {
    uint64_t n = 0;
    for (const struct hold_session *s = e->sessions; s; s = s->next)
        for (uint32_t i = s->encoded_images; s->n_stored == 0 && i < s->open.n_images; i++)
            n += s->images[i].total_bytes;
    return n;
}

static void open_session(struct hold_engine *e, const struct hold_frame *f) {
    enum hold_fail_reason reason;
    struct hold_session *s, **at = &e->sessions;
    struct hold_err err = { 0 };

    if (find(e, f->session)) {
        fail_session(e, find(e, f->session), HOLD_FAIL_REFUSED, "the session was opened twice");
        return;
    }
    if (e->is_draining) {
        send_fail(e, f->session, HOLD_FAIL_STOPPING, "the engine is stopping");
        return;
    }
    if (e->n_sessions >= (size_t) e->limits.max_sessions + e->limits.max_waiting) {
        send_fail(e, f->session, HOLD_FAIL_BUSY, "too many requests are running or waiting");
        return;
    }
    if (hold_session_new(f, &e->session_limits, &s, &reason, &err) < 0) {
        send_fail(e, f->session, reason, err.text);
        return;
    }
    while (*at)
        at = &(*at)->next;
    *at = s;
    e->n_sessions++;
    if (image_bytes(e) > IMAGE_BYTES)
        fail_session(e, s, HOLD_FAIL_BUSY, "too many pictures are waiting");
}

/* Every slice is taken out of the ring, also one of a session that is gone: the ring goes on in order. */
static void take_patches(struct hold_engine *e, const struct hold_frame *f) {
    struct hold_session *s = find(e, f->session);
    struct hold_frame gave = { .kind = HOLD_FRAME_GAVE };
    struct hold_err err = { 0 };
    const void *patches;

    if (hold_ring_view(&e->link.ring, f->patches.position, f->patches.bytes, &patches, &err) < 0) {
        lose_front(e, err.text);
        return;
    }
    int took = s ? hold_session_patches(s, &f->patches, patches, &e->session_limits, &err) : 0;
    gave.gave.position = hold_ring_give(&e->link.ring);
    send_frame(e, &gave);
    s = find(e, f->session);
    if (took < 0 && s)
        fail_session(e, s, HOLD_FAIL_REFUSED, err.text);
}

static void on_frame(struct hold_engine *e, const struct hold_frame *f) {
    struct hold_session *s;
    struct hold_err err = { 0 };

    switch (f->kind) {
    case HOLD_FRAME_OPEN: open_session(e, f); break;
    case HOLD_FRAME_IDS:
        s = find(e, f->session);
        if (s && hold_session_ids(s, &f->ids, &e->session_limits, &err) < 0)
            fail_session(e, s, HOLD_FAIL_REFUSED, err.text);
        break;
    case HOLD_FRAME_PATCHES: take_patches(e, f); break;
    case HOLD_FRAME_CANCEL:
        s = find(e, f->session);
        if (s)
            end_session(e, s, HOLD_END_CANCELLED, UINT32_MAX);
        break;
    case HOLD_FRAME_NONE:
    case HOLD_FRAME_STATUS:
    case HOLD_FRAME_GAVE:
    case HOLD_FRAME_TOKEN:
    case HOLD_FRAME_END:
    case HOLD_FRAME_FAIL:
    case HOLD_FRAME_KIND_COUNT: break; /* the parser lets none of them through from a front */
    }
}

/* ---- who runs ---- */

static bool is_running(const struct hold_session *s) {
    return s->state == HOLD_SESSION_RUNNING;
}

static uint32_t count_running(const struct hold_engine *e) {
    uint32_t n = 0;
    for (const struct hold_session *s = e->sessions; s; s = s->next)
        n += is_running(s);
    return n;
}

/* First come, first served: one that does not fit holds up those behind it, so that it cannot starve. */
static void admit(struct hold_engine *e) {
    uint32_t n_running = count_running(e);
    struct hold_err err = { 0 };

    for (struct hold_session *s = e->sessions; s && n_running < e->limits.max_sessions; s = s->next) {
        if (s->state != HOLD_SESSION_WAITING)
            continue;
        uint32_t n = hold_pages_for((uint64_t) s->open.n_ids + s->open.max_tokens, HOLD_PAGE_TOKENS);
        if (n > e->pages.n_free)
            return;
        s->pages = calloc(n, sizeof *s->pages);
        if (!s->pages || hold_pages_take(&e->pages, s->id, n, s->pages, &err) < 0) {
            fail_session(e, s, HOLD_FAIL_BUSY, "out of memory");
            return;
        }
        s->n_pages = n;
        s->state = HOLD_SESSION_RUNNING;
        n_running++;
    }
}

bool hold_engine_has_work(const struct hold_engine *e) {
    for (const struct hold_session *s = e->sessions; s; s = s->next)
        if (s->state != HOLD_SESSION_RECEIVING)
            return true;
    return false;
}

static void tell_status(struct hold_engine *e) {
    struct hold_frame f = { .kind = HOLD_FRAME_STATUS };
    uint32_t n_running = count_running(e);

    f.status = (struct hold_frame_status) {
        .is_healthy = !e->is_unhealthy,
        .max_context = e->limits.max_context,
        .n_running = n_running,
        .n_waiting = (uint32_t) e->n_sessions - n_running,
        .pages_used = e->pages.n_pages - e->pages.n_free,
        .pages_total = e->pages.n_pages,
        .page_tokens = HOLD_PAGE_TOKENS,
    };
    const struct hold_frame_status *t = &e->told, *n = &f.status;
    bool is_same = e->has_told && t->is_healthy == n->is_healthy && t->n_running == n->n_running && t->n_waiting == n->n_waiting &&
                   t->pages_used == n->pages_used;
    if (is_same || !hold_link_is_up(&e->link))
        return;
    e->told = f.status;
    e->has_told = true;
    send_frame(e, &f);
}

/* ---- one step ---- */

/* The oldest running session whose pictures are not encoded yet, or NULL. */
static struct hold_session *wants_encoding(struct hold_engine *e) {
    for (struct hold_session *s = e->sessions; s; s = s->next)
        if (is_running(s) && s->n_stored == 0 && s->encoded_images < s->open.n_images)
            return s;
    return NULL;
}

/* Fatal only when the device is done for. */
static int judge_device(struct hold_engine *e, const struct hold_err *why, struct hold_err *err) {
    hold_log_err(why);
    if (why->code == HOLD_E_DEVICE && e->stream->ops->last_error(e->stream) == HOLD_FAULT_STICKY)
        return hold_fail(err, HOLD_E_DEVICE, 0, "%s", why->text);
    return 0;
}

static int encode_image(struct hold_engine *e, struct hold_session *s, struct hold_err *err) {
    struct hold_session_image *image = &s->images[s->encoded_images];
    struct hold_err why = { 0 };

    if (hold_vision_encode(e->weights, e->stream, image->patches, image->grid, &image->rows, &why) < 0) {
        fail_session(e, s, HOLD_FAIL_DEVICE, why.text);
        return judge_device(e, &why, err);
    }
    free(image->patches);
    image->patches = NULL;
    s->encoded_images++;
    return 0;
}

/* Fills one part's rows; gives the number of spans added. */
static size_t fill_part(struct hold_engine *e, const struct hold_session *s, uint32_t seq, const struct hold_batch_part *part,
                        uint32_t first_row, struct hold_image_span *spans) {
    size_t n_spans = 0;

    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t row = first_row + i, at = part->first + i;
        int32_t later = (int32_t) at + s->delta;
        e->ids[row] = s->ids[at];
        e->seq[row] = seq;
        e->index[row] = at;
        for (size_t axis = 0; axis < 3; axis++)
            e->pos[row][axis] = at < s->open.n_ids ? s->pos[at][axis] : later;
    }
    for (uint32_t i = 0; i < s->encoded_images; i++) {
        const struct hold_session_image *image = &s->images[i];
        uint32_t from = HOLD_MAX(image->first, part->first);
        uint32_t to = HOLD_MIN(image->first + image->n, part->first + part->count);
        if (from < to)
            spans[n_spans++] = (struct hold_image_span) {
                .row = first_row + (from - part->first),
                .count = to - from,
                .image = image->rows,
                .from = from - image->first,
            };
    }
    int32_t *table = e->table + (size_t) seq * e->context_pages;
    for (uint32_t i = 0; i < e->context_pages; i++)
        table[i] = i < s->n_pages ? s->pages[i] : -1;
    return n_spans;
}

static void send_token(struct hold_engine *e, const struct hold_session *s, const struct hold_sampled *sampled) {
    struct hold_frame f = { .kind = HOLD_FRAME_TOKEN, .session = s->id };
    struct hold_frame_token *t = &f.token;

    t->index = s->n_generated - 1;
    t->id = sampled->id;
    if (s->open.want_logprobs) {
        t->logprob = fminf(0, fmaxf(sampled->logprob, -FLT_MAX));
        t->n_top = HOLD_MIN(sampled->n_top, HOLD_FRAME_MAX_TOP);
        for (uint32_t i = 0; i < t->n_top; i++)
            t->top[i] = (struct hold_frame_top) { sampled->top_ids[i], fminf(0, fmaxf(sampled->top_logprobs[i], -FLT_MAX)) };
    }
    send_frame(e, &f);
}

/* The next token of a session whose last known row has run. */
static void choose(struct hold_engine *e, struct hold_session *s, const float *logits) {
    struct hold_sampler sampler = hold_session_sampler(s);
    struct hold_sampled sampled;
    struct hold_err err = { 0 };
    uint32_t n_ids = s->open.n_ids;
    uint64_t id = s->id;

    if (hold_sample(e->space, &sampler, logits, s->ids, n_ids, s->ids + n_ids, s->n_generated, s->open.n_top, &sampled, &err) < 0) {
        bool is_damaged = err.code == HOLD_E_DEVICE; /* of the model itself; a request's own settings fail that request alone */
        hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("what", is_damaged ? "the logits are not numbers: unhealthy from now on" : "no token can be chosen"),
                 HOLD_LS("text", err.text));
        e->is_unhealthy |= is_damaged;
        fail_session(e, s, is_damaged ? HOLD_FAIL_NAN : HOLD_FAIL_REFUSED, err.text);
        return;
    }
    e->n_tokens++;
    if (hold_session_ends_at(s, &e->weights->record, sampled.id)) {
        end_session(e, s, HOLD_END_STOP, sampled.id);
        return;
    }
    s->ids[n_ids + s->n_generated++] = sampled.id;
    send_token(e, s, &sampled);
    s = find(e, id); /* the front may have been lost while sending */
    if (s && s->n_generated >= s->open.max_tokens)
        end_session(e, s, HOLD_END_LENGTH, UINT32_MAX);
}

static int run_batch(struct hold_engine *e, struct hold_err *err) {
    size_t n_seqs = 0, n_spans = 0;
    uint32_t n_rows = 0, n_want = 0;
    const float *logits = NULL;
    uint64_t n_losses = e->n_losses;
    struct hold_err why = { 0 };

    for (struct hold_session *s = e->sessions; s; s = s->next) {
        if (!is_running(s) || (s->n_stored == 0 && s->encoded_images < s->open.n_images))
            continue;
        e->batch_sessions[n_seqs] = s;
        e->seqs[n_seqs++] = (struct hold_batch_seq) { .n_known = hold_session_known(s), .n_stored = s->n_stored };
    }
    size_t n_parts = hold_batch_next(e->seqs, n_seqs, e->limits.max_rows, e->parts);
    if (n_parts == 0)
        return 0;
    for (size_t i = 0; i < n_parts; i++) {
        const struct hold_batch_part *part = &e->parts[i];
        n_spans += fill_part(e, e->batch_sessions[part->seq], (uint32_t) i, part, n_rows, e->spans + n_spans);
        n_rows += part->count;
        if (part->first + part->count == e->seqs[part->seq].n_known)
            e->want[n_want++] = n_rows - 1;
    }
    const struct hold_batch batch = {
        .n_rows = n_rows, .ids = e->ids, .pos = e->pos, .seq = e->seq, .index = e->index, .n_seqs = (uint32_t) n_parts,
        .pages = e->table, .spans = e->spans, .n_spans = n_spans, .want = e->want, .n_want = n_want,
    };
    if (hold_forward_run(e->forward, &batch, &logits, &why) < 0) {
        for (size_t i = 0; i < n_parts && n_losses == e->n_losses; i++)
            fail_session(e, e->batch_sessions[e->parts[i].seq], HOLD_FAIL_DEVICE, why.text);
        return judge_device(e, &why, err);
    }
    n_want = 0;
    for (size_t i = 0; i < n_parts; i++) {
        struct hold_session *s = e->batch_sessions[e->parts[i].seq];
        bool is_wanted = e->parts[i].first + e->parts[i].count == e->seqs[e->parts[i].seq].n_known;
        s->n_stored += e->parts[i].count;
        if (s->n_stored >= s->open.n_ids)
            release_images(e, s);
        if (!is_wanted)
            continue;
        choose(e, s, logits + (size_t) n_want++ * e->weights->record.vocab);
        if (n_losses != e->n_losses)
            return 0; /* the front went, and every session with it */
    }
    return 0;
}

int hold_engine_step(struct hold_engine *e, struct hold_err *err) {
    admit(e);
    struct hold_session *s = wants_encoding(e);
    if (s && encode_image(e, s, err) < 0)
        return -1;
    if (run_batch(e, err) < 0)
        return -1;
    admit(e);
    tell_status(e);
    return 0;
}

/* ---- the whole ---- */

static int take_space(struct hold_engine *e, struct hold_err *err) {
    const struct hold_engine_limits *l = &e->limits;
    size_t rows = l->max_rows, seqs = l->max_sessions;

    e->batch_sessions = calloc(seqs, sizeof(struct hold_session *));
    e->seqs = calloc(seqs, sizeof *e->seqs);
    e->parts = calloc(seqs, sizeof *e->parts);
    e->want = calloc(seqs, sizeof *e->want);
    e->table = calloc(seqs * e->context_pages, sizeof *e->table);
    e->spans = calloc(seqs * HOLD_FRAME_MAX_IMAGES, sizeof *e->spans);
    e->ids = calloc(rows, sizeof *e->ids);
    e->seq = calloc(rows, sizeof *e->seq);
    e->index = calloc(rows, sizeof *e->index);
    e->pos = calloc(rows, sizeof *e->pos);
    if (!e->batch_sessions || !e->seqs || !e->parts || !e->want || !e->table || !e->spans || !e->ids || !e->seq || !e->index || !e->pos)
        return hold_fail(err, HOLD_E_LIMIT, 0, "out of memory for a batch of %zu rows", rows);
    return 0;
}

int hold_engine_open(const struct hold_weights *weights, struct hold_stream *stream, const struct hold_engine_limits *limits,
                     struct hold_engine **ret_engine, struct hold_err *err) {
    struct hold_engine *e = calloc(1, sizeof *e);

    if (!e)
        return hold_fail(err, HOLD_E_LIMIT, 0, "engine: out of memory");
    *e = (struct hold_engine) { .weights = weights, .stream = stream, .limits = *limits };
    hold_link_init(&e->link, false);
    e->context_pages = hold_pages_for(limits->max_context, HOLD_PAGE_TOKENS);
    e->session_limits = (struct hold_session_limits) {
        .record = &weights->record,
        .patch_len = weights->tower.depth && limits->max_patches ? weights->tower.patch_len : 0,
        .max_context = limits->max_context,
        .max_patches = limits->max_patches,
        .max_image_bytes = IMAGE_BYTES,
    };
    const struct hold_forward_limits forward = {
        .max_rows = limits->max_rows,
        .max_seqs = limits->max_sessions,
        .max_pages = e->context_pages,
        .max_logits = limits->max_sessions,
    };
    if (limits->max_rows <= limits->max_sessions || limits->n_pages < e->context_pages) {
        hold_engine_close(&e);
        return hold_fail(err, HOLD_E_CONFIG, 0, "engine: %u rows for %u sessions, %u pages for a context of %u tokens", limits->max_rows,
                         limits->max_sessions, limits->n_pages, limits->max_context);
    }
    if (hold_pages_init(&e->pages, limits->n_pages, err) < 0 || hold_kv_open(weights, limits->n_pages, stream, &e->kv, err) < 0 ||
        hold_forward_open(weights, &e->kv, stream, &forward, &e->forward, err) < 0 ||
        hold_sample_space_new(weights->record.vocab, &e->space, err) < 0 || take_space(e, err) < 0) {
        hold_engine_close(&e);
        return -1;
    }
    *ret_engine = e;
    return 0;
}

void hold_engine_close(struct hold_engine **slot) {
    struct hold_engine *e = *slot;
    if (!e)
        return;
    while (e->sessions)
        drop_session(e, e->sessions);
    hold_link_drop(&e->link);
    hold_forward_free(e->forward);
    hold_kv_close(&e->kv, e->stream);
    hold_sample_space_free(e->space);
    hold_pages_release(&e->pages);
    free(e->batch_sessions);
    free(e->seqs);
    free(e->parts);
    free(e->want);
    free(e->table);
    free(e->spans);
    free(e->ids);
    free(e->seq);
    free(e->index);
    free(e->pos);
    free(e);
    *slot = NULL;
}

/* The prompt of the warm-up: a grey picture of merge x merge patches between its tokens, then four words. */
static void warm_prompt(const struct hold_engine *e, struct hold_frame *open, struct hold_frame_ids *ids) {
    const struct hold_record *r = &e->weights->record;

    *open = (struct hold_frame) { .kind = HOLD_FRAME_OPEN, .session = UINT64_MAX };
    open->open.max_tokens = 2;
    open->open.ignore_eos = true;
    open->open.sampling = (struct hold_frame_sampling) { .top_p = 1, .repetition_penalty = 1 };
    ids->offset = ids->n = 0;
    if (e->session_limits.patch_len && r->image_token < r->vocab) {
        open->open.n_images = 1;
        open->open.images[0] = (struct hold_frame_grid) { 1, r->merge, r->merge };
        if (r->image_start < r->vocab)
            ids->ids[ids->n++] = r->image_start;
        ids->ids[ids->n++] = r->image_token;
        if (r->image_end < r->vocab)
            ids->ids[ids->n++] = r->image_end;
    }
    for (uint32_t i = 0; i < 4; i++)
        ids->ids[ids->n++] = (i + 1) * (r->vocab / 8);
    open->open.n_ids = ids->n;
}

int hold_engine_warm(struct hold_engine *e, struct hold_err *err) {
    hold_autofree struct hold_frame_ids *ids = calloc(1, sizeof *ids);
    hold_autofree float *grey = NULL;
    struct hold_frame open;

    if (!ids)
        return hold_fail(err, HOLD_E_LIMIT, 0, "warm-up: out of memory");
    warm_prompt(e, &open, ids);
    open_session(e, &open);
    struct hold_session *s = find(e, open.session);
    if (!s || hold_session_ids(s, ids, &e->session_limits, err) < 0)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "warm-up: the engine refuses its own prompt");
    if (s->open.n_images) {
        size_t bytes = (size_t) s->images[0].total_bytes;
        grey = calloc(1, bytes);
        if (!grey)
            return hold_fail(err, HOLD_E_LIMIT, 0, "warm-up: out of memory");
        const struct hold_frame_patches p = { .bytes = (uint32_t) bytes };
        if (hold_session_patches(s, &p, grey, &e->session_limits, err) < 0)
            return hold_wrap(err, "warm-up");
    }
    uint64_t before = e->n_tokens;
    while (e->n_sessions)
        if (hold_engine_step(e, err) < 0)
            return hold_wrap(err, "warm-up");
    if (e->n_tokens - before < 2)
        return hold_fail(err, HOLD_E_DEVICE, 0, "warm-up: the model gives no tokens: its logits are not numbers, or the device failed");
    return 0;
}

int hold_engine_pair(struct hold_engine *e, uint64_t generation, int fd, int ring_fd, struct hold_err *err) {
    lose_front(e, "a new pairing");
    if (hold_link_take(&e->link, generation, fd, ring_fd, err) < 0)
        return -1;
    e->has_told = false;
    tell_status(e);
    return 0;
}

int hold_engine_link_fd(const struct hold_engine *e, bool *ret_wants_write) {
    *ret_wants_write = hold_link_wants_write(&e->link);
    return e->link.fd;
}

void hold_engine_talk(struct hold_engine *e) {
    struct hold_err err = { 0 };

    for (int i = 0; i < 4096 && hold_link_is_up(&e->link); i++) {
        struct hold_frame f;
        int got = hold_link_recv(&e->link, &f, &err);
        if (got < 0)
            lose_front(e, err.text);
        if (got <= 0)
            break;
        on_frame(e, &f);
    }
    if (hold_link_flush(&e->link, &err) < 0)
        lose_front(e, err.text);
    tell_status(e);
}

void hold_engine_drain(struct hold_engine *e) {
    e->is_draining = true;
}

size_t hold_engine_sessions(const struct hold_engine *e) {
    return e->n_sessions;
}

bool hold_engine_is_healthy(const struct hold_engine *e) {
    return !e->is_unhealthy;
}

uint64_t hold_engine_tokens(const struct hold_engine *e) {
    return e->n_tokens;
}
