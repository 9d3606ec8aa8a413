/* forward.c - one batch through the decoder as a list of operation calls. Floor: runtime/model. */
#include "runtime/model/forward.h"

#include "base/auto.h"
#include "base/num.h"

#include <math.h>
#include <string.h>

#define BLOCK_ALIGN 256u
#define MOST_ROWS (1u << 20)

/* Everything a batch needs on the device, in one block. */
struct room {
    struct hold_t2 x, cs, picked, logits, inv, axis;
    struct hold_scratch scratch;
    void *numbers; /* i32: ids, pos, seq, index, want, table of this batch, one after the other */
    uint64_t n_numbers;
};

struct hold_forward {
    const struct hold_weights *weights;
    struct hold_kv kv;
    struct hold_stream *s;
    struct hold_forward_limits limits;
    void *block;
    struct room room;
    int32_t *numbers; /* host side of room.numbers */
    float *tables;    /* host side of room.inv, then of room.axis */
    float *logits;    /* [max_logits][vocab], host */
};

static int device_fail(struct hold_err *err, const struct hold_stream *s, const char *what) {
    return hold_fail(err, HOLD_E_DEVICE, 0, "%s: %s", what, s->error);
}

/* Takes rows x cols from a block that begins at address base (0: only counting). False when the size does not fit. */
static bool carve(uintptr_t base, uint64_t *used, uint64_t rows, uint64_t cols, enum hold_dtype dtype, struct hold_t2 *ret) {
    uint64_t bytes;
    if (!hold_mul_u64(rows, cols, &bytes) || !hold_mul_u64(bytes, hold_dtype_bytes(dtype), &bytes) || rows > UINT32_MAX ||
        cols > UINT32_MAX || bytes > UINT64_MAX / 4 || *used > UINT64_MAX / 4)
        return false;
    *ret = hold_t2_of((void *) (base + (uintptr_t) *used), (uint32_t) rows, (uint32_t) cols, dtype);
    *used = (*used + bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
    return true;
}

static bool lay_out(const struct hold_record *r, enum hold_dtype act, const struct hold_forward_limits *l, uintptr_t base,
                    struct room *ret, uint64_t *ret_bytes) {
    uint64_t used = 0, rows = l->max_rows, q = (uint64_t) r->n_heads * r->head_dim, kv = (uint64_t) r->n_kv_heads * r->head_dim;
    uint64_t n_numbers = 6 * rows + l->max_logits + (uint64_t) l->max_seqs * l->max_pages;
    struct hold_t2 numbers;
    struct room room = { .n_numbers = n_numbers };
    bool fits = carve(base, &used, rows, r->hidden, act, &room.x) && carve(base, &used, rows, r->rotary_dim, HOLD_F32, &room.cs) &&
                carve(base, &used, l->max_logits, r->hidden, act, &room.picked) &&
                carve(base, &used, l->max_logits, r->vocab, HOLD_F32, &room.logits) &&
                carve(base, &used, 1, r->rotary_dim / 2, HOLD_F32, &room.inv) &&
                carve(base, &used, 1, r->rotary_dim / 2, HOLD_I32, &room.axis) &&
                carve(base, &used, rows, r->hidden, act, &room.scratch.h) && carve(base, &used, rows, q, act, &room.scratch.q) &&
                carve(base, &used, rows, q, act, &room.scratch.o) && carve(base, &used, rows, kv, act, &room.scratch.k) &&
                carve(base, &used, rows, kv, act, &room.scratch.v) &&
                carve(base, &used, rows, 2 * (uint64_t) r->intermediate, act, &room.scratch.gate_up) &&
                carve(base, &used, rows, r->intermediate, act, &room.scratch.mlp) &&
                carve(base, &used, 1, n_numbers, HOLD_I32, &numbers);
    room.numbers = numbers.data;
    *ret = room;
    *ret_bytes = used;
    return fits;
}

int hold_forward_bytes(const struct hold_record *record, enum hold_dtype act, const struct hold_forward_limits *limits,
                       uint64_t *ret_bytes, struct hold_err *err) {
    struct room room;
    uint64_t bytes;
    if (limits->max_rows == 0 || limits->max_rows > MOST_ROWS || limits->max_seqs == 0 || limits->max_pages == 0 ||
        limits->max_logits == 0 || limits->max_logits > limits->max_rows || !lay_out(record, act, limits, 0, &room, &bytes))
        return hold_fail(err, HOLD_E_LIMIT, 0, "a batch of %u rows, %u sequences of %u pages, %u logits cannot be planned",
                         limits->max_rows, limits->max_seqs, limits->max_pages, limits->max_logits);
    *ret_bytes = bytes;
    return 0;
}

/* The frequencies of the rotation and the axis that each of them follows, to the device. */
static int send_tables(struct hold_forward *f, struct hold_err *err) {
    const struct hold_record *r = &f->weights->record;
    uint32_t n = r->rotary_dim / 2, first = r->mrope_sections[0], second = first + r->mrope_sections[1];
    bool has_axes = first + r->mrope_sections[1] + r->mrope_sections[2] > 0;
    int32_t *axis = (int32_t *) (void *) (f->tables + n);
    for (uint32_t j = 0; j < n; j++) {
        f->tables[j] = (float) pow(r->rope_theta, -2.0 * j / r->rotary_dim);
        axis[j] = !has_axes || j < first ? 0 : j < second ? 1 : 2;
    }
    if (f->s->ops->copy_in(f->s, f->room.inv.data, f->tables, n * sizeof(float)) < 0 ||
        f->s->ops->copy_in(f->s, f->room.axis.data, axis, n * sizeof(int32_t)) < 0 || f->s->ops->sync(f->s) < 0)
        return device_fail(err, f->s, "send rotation tables");
    return 0;
}

int hold_forward_open(const struct hold_weights *weights, const struct hold_kv *kv, struct hold_stream *s,
                      const struct hold_forward_limits *limits, struct hold_forward **ret_forward, struct hold_err *err) {
    uint64_t bytes;
    if (hold_forward_bytes(&weights->record, weights->act, limits, &bytes, err) < 0)
        return -1;
    struct hold_forward *f = calloc(1, sizeof *f);
    if (!f)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a forward pass");
    *f = (struct hold_forward) { .weights = weights, .kv = *kv, .s = s, .limits = *limits };
    if (s->ops->alloc(s, bytes, &f->block) < 0) {
        hold_forward_free(f);
        return hold_fail(err, HOLD_E_LIMIT, 0, "work space of %ju bytes: %s", (uintmax_t) bytes, s->error);
    }
    (void) lay_out(&weights->record, weights->act, limits, (uintptr_t) f->block, &f->room, &bytes);
    f->numbers = calloc(f->room.n_numbers, sizeof *f->numbers);
    f->tables = calloc(weights->record.rotary_dim, sizeof *f->tables);
    f->logits = calloc((size_t) limits->max_logits * weights->record.vocab, sizeof *f->logits);
    if (!f->numbers || !f->tables || !f->logits) {
        hold_forward_free(f);
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for the host side of a forward pass");
    }
    if (send_tables(f, err) < 0) {
        hold_forward_free(f);
        return -1;
    }
    *ret_forward = f;
    return 0;
}

void hold_forward_free(struct hold_forward *f) {
    if (!f)
        return;
    if (f->block)
        f->s->ops->free(f->s, f->block);
    free(f->numbers);
    free(f->tables);
    free(f->logits);
    free(f);
}

/* Every page up to a row's own must be there: a hole would be read as NaN, and the batch made for nothing. */
static int check_row(const struct hold_forward *f, const struct hold_batch *b, uint32_t row, struct hold_err *err) {
    uint32_t page = b->index[row] / HOLD_PAGE_TOKENS;
    if (b->ids[row] >= f->weights->record.vocab)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "batch row %u: token %u of %u", row, b->ids[row], f->weights->record.vocab);
    if (b->seq[row] >= b->n_seqs || page >= f->limits.max_pages)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "batch row %u: place %u of sequence %u lies outside", row, b->index[row], b->seq[row]);
    int32_t number = b->pages[(size_t) b->seq[row] * f->limits.max_pages + page];
    if (number < 0 || (uint32_t) number >= f->kv.n_pages)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "batch row %u: place %u of sequence %u has page %d of %u", row, b->index[row],
                         b->seq[row], number, f->kv.n_pages);
    for (int axis = 0; axis < 3; axis++)
        if (b->pos[row][axis] < 0 || b->pos[row][axis] > 1 << 24)
            return hold_fail(err, HOLD_E_INTERNAL, 0, "batch row %u: position %d", row, b->pos[row][axis]);
    return 0;
}

static int check_batch(const struct hold_forward *f, const struct hold_batch *b, struct hold_err *err) {
    if (b->n_rows == 0 || b->n_rows > f->limits.max_rows || b->n_seqs == 0 || b->n_seqs > f->limits.max_seqs ||
        b->n_want > f->limits.max_logits)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "a batch of %u rows, %u sequences, %u logits; the limits are %u, %u, %u", b->n_rows,
                         b->n_seqs, b->n_want, f->limits.max_rows, f->limits.max_seqs, f->limits.max_logits);
    for (uint32_t row = 0; row < b->n_rows; row++)
        if (check_row(f, b, row, err) < 0)
            return -1;
    for (uint32_t i = 0; i < b->n_want; i++)
        if (b->want[i] >= b->n_rows)
            return hold_fail(err, HOLD_E_INTERNAL, 0, "logits of row %u of %u are wanted", b->want[i], b->n_rows);
    for (size_t i = 0; i < b->n_spans; i++) {
        const struct hold_image_span *span = &b->spans[i];
        if (span->row > b->n_rows || span->count > b->n_rows - span->row || span->from > span->image.rows ||
            span->count > span->image.rows - span->from || span->image.cols != f->weights->record.hidden ||
            span->image.stride != span->image.cols || span->image.dtype != f->weights->act)
            return hold_fail(err, HOLD_E_INTERNAL, 0, "image rows %u + %u do not fit batch rows %u + %u", span->from, span->count,
                             span->row, span->count);
    }
    return 0;
}

/* The batch's numbers on the device, as views. */
struct sent {
    struct hold_t2 ids, pos, want;
    struct hold_places places;
    uint32_t max_index;
};

static struct hold_t2 view_numbers(const struct hold_forward *f, uint64_t at, uint32_t rows, uint32_t cols) {
    return hold_t2_of((char *) f->room.numbers + at * sizeof(int32_t), rows, cols, HOLD_I32);
}

static int send_numbers(struct hold_forward *f, const struct hold_batch *b, struct sent *ret, struct hold_err *err) {
    uint32_t n = b->n_rows, max_index = 0;
    for (uint32_t row = 0; row < n; row++)
        max_index = b->index[row] > max_index ? b->index[row] : max_index;
    uint32_t pages = max_index / HOLD_PAGE_TOKENS + 1; /* only the columns that some row can reach travel */
    int32_t *ids = f->numbers, *pos = ids + n, *seq = pos + 3 * (size_t) n, *index = seq + n, *want = index + n;
    int32_t *table = want + b->n_want;
    for (uint32_t row = 0; row < n; row++) {
        ids[row] = (int32_t) b->ids[row];
        seq[row] = (int32_t) b->seq[row];
        index[row] = (int32_t) b->index[row];
    }
    memcpy(pos, b->pos, 3 * (size_t) n * sizeof *pos);
    for (uint32_t i = 0; i < b->n_want; i++)
        want[i] = (int32_t) b->want[i];
    for (uint32_t s = 0; s < b->n_seqs; s++)
        memcpy(table + (size_t) s * pages, b->pages + (size_t) s * f->limits.max_pages, pages * sizeof *table);
    size_t count = (size_t) (table - ids) + (size_t) b->n_seqs * pages;
    if (f->s->ops->copy_in(f->s, f->room.numbers, f->numbers, count * sizeof *ids) < 0)
        return device_fail(err, f->s, "send a batch");
    *ret = (struct sent) {
        .ids = view_numbers(f, 0, n, 1),
        .pos = view_numbers(f, n, n, 3),
        .places = { .seq = view_numbers(f, 4 * (uint64_t) n, n, 1),
                    .index = view_numbers(f, 5 * (uint64_t) n, n, 1),
                    .table = view_numbers(f, 6 * (uint64_t) n + b->n_want, b->n_seqs, pages) },
        .want = view_numbers(f, 6 * (uint64_t) n, b->n_want, 1),
        .max_index = max_index,
    };
    return 0;
}

#define TRY(call)      \
    do {               \
        if ((call) < 0) \
            return -1; \
    } while (0)

static int run_attention(struct hold_stream *s, const struct hold_step *step, uint32_t number) {
    const struct hold_decoder *d = step->decoder;
    const struct hold_layer *layer = &d->layers[number];
    const struct hold_scratch *t = &step->scratch;
    TRY(hold_rmsnorm(s, t->h, step->x, layer->input_norm, d->eps));
    TRY(hold_matmul(s, t->q, t->h, layer->q, layer->q_bias));
    TRY(hold_matmul(s, t->k, t->h, layer->k, layer->k_bias));
    TRY(hold_matmul(s, t->v, t->h, layer->v, layer->v_bias));
    TRY(hold_rope(s, t->q, step->cs, d->head_dim, HOLD_ROPE_NEIGHBOURS));
    TRY(hold_rope(s, t->k, step->cs, d->head_dim, HOLD_ROPE_NEIGHBOURS));
    TRY(hold_kv_append(s, step->kv, number, t->k, t->v, &step->places));
    TRY(hold_attend(s, t->o, t->q, step->kv, number, &step->places, 1.0f / sqrtf((float) d->head_dim), step->max_index));
    TRY(hold_matmul(s, t->h, t->o, layer->o, (struct hold_t2) { 0 }));
    TRY(hold_rmsnorm(s, t->h, t->h, layer->post_attn_norm, d->eps));
    return hold_add(s, step->x, step->x, t->h);
}

static int run_mlp(struct hold_stream *s, const struct hold_step *step, uint32_t number) {
    const struct hold_decoder *d = step->decoder;
    const struct hold_layer *layer = &d->layers[number];
    const struct hold_scratch *t = &step->scratch;
    TRY(hold_rmsnorm(s, t->h, step->x, layer->pre_mlp_norm, d->eps));
    TRY(hold_matmul(s, t->gate_up, t->h, layer->gate_up, (struct hold_t2) { 0 }));
    TRY(hold_swiglu(s, t->mlp, hold_t2_cols(t->gate_up, 0, d->intermediate), hold_t2_cols(t->gate_up, d->intermediate, d->intermediate)));
    TRY(hold_matmul(s, t->h, t->mlp, layer->down, (struct hold_t2) { 0 }));
    TRY(hold_rmsnorm(s, t->h, t->h, layer->post_mlp_norm, d->eps));
    return hold_add(s, step->x, step->x, t->h);
}

/* What hold_backend.step may fuse. */
static int run_step(struct hold_stream *s, const struct hold_step *step) {
    for (uint32_t layer = 0; layer < step->decoder->n_layers; layer++) {
        TRY(run_attention(s, step, layer));
        TRY(run_mlp(s, step, layer));
    }
    if (step->want.rows == 0)
        return 0;
    TRY(hold_gather_rows(s, step->picked, step->x, step->want));
    TRY(hold_rmsnorm(s, step->picked, step->picked, step->decoder->final_norm, step->decoder->eps));
    return hold_matmul(s, step->logits, step->picked, step->decoder->lm_head, (struct hold_t2) { 0 });
}

static int place_images(struct hold_forward *f, const struct hold_batch *b, struct hold_t2 x) {
    for (size_t i = 0; i < b->n_spans; i++) {
        const struct hold_image_span *span = &b->spans[i];
        size_t bytes = (size_t) span->count * x.cols * hold_dtype_bytes(x.dtype);
        if (bytes > 0)
            TRY(f->s->ops->copy(f->s, hold_t2_rows(x, span->row, span->count).data,
                                hold_t2_rows(span->image, span->from, span->count).data, bytes));
    }
    return 0;
}

int hold_forward_run(struct hold_forward *f, const struct hold_batch *b, const float **ret_logits, struct hold_err *err) {
    struct sent sent = { 0 };
    struct hold_stream *s = f->s;
    const struct room *room = &f->room;
    uint32_t n = b->n_rows;
    if (check_batch(f, b, err) < 0 || send_numbers(f, b, &sent, err) < 0)
        return -1;
    struct hold_step step = {
        .decoder = &f->weights->decoder,
        .kv = &f->kv,
        .places = sent.places,
        .max_index = sent.max_index,
        .x = hold_t2_rows(room->x, 0, n),
        .cs = hold_t2_rows(room->cs, 0, n),
        .want = sent.want,
        .picked = hold_t2_rows(room->picked, 0, b->n_want),
        .logits = hold_t2_rows(room->logits, 0, b->n_want),
        .scratch = { .h = hold_t2_rows(room->scratch.h, 0, n),
                     .q = hold_t2_rows(room->scratch.q, 0, n),
                     .o = hold_t2_rows(room->scratch.o, 0, n),
                     .k = hold_t2_rows(room->scratch.k, 0, n),
                     .v = hold_t2_rows(room->scratch.v, 0, n),
                     .gate_up = hold_t2_rows(room->scratch.gate_up, 0, n),
                     .mlp = hold_t2_rows(room->scratch.mlp, 0, n) },
    };
    if (hold_gather_rows(s, step.x, step.decoder->embed, sent.ids) < 0 || place_images(f, b, step.x) < 0 ||
        hold_rope_angles(s, step.cs, sent.pos, room->inv, room->axis) < 0)
        return device_fail(err, s, "begin a batch");
    if ((s->ops->step ? s->ops->step(s, &step) : run_step(s, &step)) < 0)
        return device_fail(err, s, "run a batch");
    size_t bytes = (size_t) b->n_want * f->weights->record.vocab * sizeof(float);
    if ((bytes > 0 && s->ops->copy_out(s, f->logits, step.logits.data, bytes) < 0) || s->ops->sync(s) < 0)
        return device_fail(err, s, "end a batch");
    *ret_logits = b->n_want > 0 ? f->logits : NULL;
    return 0;
}

int hold_kv_open(const struct hold_weights *weights, uint32_t n_pages, struct hold_stream *s, struct hold_kv *ret_kv,
                 struct hold_err *err) {
    const struct hold_record *r = &weights->record;
    struct hold_kv kv = { .n_pages = n_pages, .n_layers = r->n_layers, .n_kv_heads = r->n_kv_heads, .head_dim = r->head_dim, .dtype = weights->act };
    uint64_t bytes;
    if (n_pages == 0 || n_pages > INT32_MAX || !hold_mul_u64(hold_kv_page_bytes(&kv), n_pages, &bytes))
        return hold_fail(err, HOLD_E_LIMIT, 0, "a cache of %u pages of %zu bytes", n_pages, hold_kv_page_bytes(&kv));
    if (s->ops->alloc(s, bytes, &kv.pool) < 0)
        return hold_fail(err, HOLD_E_LIMIT, 0, "a cache of %u pages, %ju bytes: %s", n_pages, (uintmax_t) bytes, s->error);
    *ret_kv = kv;
    return 0;
}

void hold_kv_close(struct hold_kv *kv, struct hold_stream *s) {
    if (kv->pool)
        s->ops->free(s, kv->pool);
    *kv = (struct hold_kv) { 0 };
}
