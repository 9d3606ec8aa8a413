/* attn.c - kernels/attn.h on the CPU: softmax in one pass, a page of keys at a time. Floor: kernels/cpu.
 *
 * Pages begin at multiples of 64 places whatever the batch, and a query goes through them in order: the same bits alone,
 * among others, and after any cutting of the prompt. */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

_Static_assert(CPU_KEYS == HOLD_PAGE_TOKENS, "a page is what the inner loop takes at once");

/* Heads of one row that share the reading of a page. */
#define HEADS_AT_ONCE 8u
/* Query rows that share the reading of a block of keys in full attention. */
#define ROWS_AT_ONCE 8u

struct space {
    struct cpu_query query[HEADS_AT_ONCE];
    float q[HEADS_AT_ONCE][HOLD_HEAD_DIM_MAX], acc[HEADS_AT_ONCE][HOLD_HEAD_DIM_MAX + CPU_ACC_PAD];
};

static void begin(struct space *space, uint32_t at, struct hold_t2 q, uint32_t row, uint32_t first, uint32_t dim, float scale) {
    for (uint32_t i = 0; i < dim; i++)
        space->q[at][i] = scale * cpu_get(q, row, first + i);
    memset(space->acc[at], 0, (dim + CPU_ACC_PAD) * sizeof(float));
    space->query[at] = (struct cpu_query) { .q = space->q[at], .acc = space->acc[at], .top = -INFINITY };
}

static void end(const struct space *space, uint32_t at, struct hold_t2 o, uint32_t row, uint32_t first, uint32_t dim) {
    float scale = 1 / space->query[at].sum;
    for (uint32_t i = 0; i < dim; i++)
        cpu_put(o, row, first + i, space->acc[at][i] * scale);
}

struct paged {
    struct hold_t2 o, q;
    const struct hold_kv *kv;
    const struct hold_places *places;
    uint32_t layer, n_blocks; /* blocks of heads a row */
    uint32_t group, block;    /* query heads of a kv head; of them at once */
    float scale;
    const struct cpu_simd *simd;
};

/* The page of a place, or NULL. */
static char *page_at(const struct hold_kv *kv, uint32_t layer, const struct hold_places *places, int32_t seq, uint32_t page) {
    if (seq < 0 || (uint32_t) seq >= places->table.rows || page >= places->table.cols)
        return NULL;
    int32_t number = cpu_int(places->table, (uint32_t) seq, page);
    if (number < 0 || (uint32_t) number >= kv->n_pages)
        return NULL;
    return (char *) kv->pool + (size_t) number * hold_kv_page_bytes(kv) + layer * hold_kv_layer_bytes(kv);
}

static void attend_heads(void *context, uint32_t piece) {
    const struct paged *a = context;
    const struct hold_kv *kv = a->kv;
    uint32_t row = piece / a->n_blocks, dim = kv->head_dim, per_kv = a->n_blocks / kv->n_kv_heads;
    uint32_t kv_head = piece % a->n_blocks / per_kv, first = piece % a->n_blocks % per_kv * a->block;
    uint32_t n = a->group - first < a->block ? a->group - first : a->block, head = kv_head * a->group + first;
    int32_t seq = cpu_int(a->places->seq, row, 0), last = cpu_int(a->places->index, row, 0);
    size_t head_bytes = (size_t) HOLD_PAGE_TOKENS * dim * hold_dtype_bytes(kv->dtype);
    struct space space;
    for (uint32_t h = 0; h < n; h++)
        begin(&space, h, a->q, row, (head + h) * dim, dim, a->scale);
    for (uint32_t at = 0; last >= 0 && at <= (uint32_t) last; at += HOLD_PAGE_TOKENS) {
        const char *page = page_at(kv, a->layer, a->places, seq, at / HOLD_PAGE_TOKENS);
        uint32_t left = (uint32_t) last + 1 - at;
        if (!page) {
            for (uint32_t h = 0; h < n; h++)
                space.query[h].sum = NAN;
            continue;
        }
        struct cpu_keys keys = { .k = page + kv_head * head_bytes, .v = page + (kv->n_kv_heads + kv_head) * head_bytes, .k_stride = dim,
                                 .v_stride = dim, .dtype = kv->dtype, .n = left < HOLD_PAGE_TOKENS ? left : HOLD_PAGE_TOKENS, .dim = dim };
        for (uint32_t h = 0; h < n; h++)
            a->simd->attend(&space.query[h], &keys);
    }
    for (uint32_t h = 0; h < n; h++)
        end(&space, h, a->o, row, (head + h) * dim, dim);
}

int cpu_attend(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
               const struct hold_places *places, float scale, uint32_t max_index) {
    (void) max_index;
    uint32_t group = q.cols / kv->head_dim / kv->n_kv_heads, block = group < HEADS_AT_ONCE ? group : HEADS_AT_ONCE;
    /* Few rows: fewer heads at once, so that every thread has some. */
    while (block > 1 && (uint64_t) q.rows * kv->n_kv_heads * ((group - 1) / block + 1) < 2ull * hold_pool_threads(s->device->pool))
        block /= 2;
    uint32_t n_blocks = kv->n_kv_heads * ((group - 1) / block + 1);
    struct paged a = { .o = o, .q = q, .kv = kv, .places = places, .layer = layer, .n_blocks = n_blocks, .group = group, .block = block,
                       .scale = scale, .simd = s->device->simd };
    if ((uint64_t) q.rows * n_blocks > UINT32_MAX)
        return hold_stream_fail(s, "attend: %u rows are more than can be dealt", q.rows);
    hold_pool_run(s->device->pool, q.rows * n_blocks, attend_heads, &a);
    return 0;
}

struct append {
    const struct hold_kv *kv;
    uint32_t layer;
    struct hold_t2 k, v;
    const struct hold_places *places;
};

static void append_row(const struct append *a, uint32_t row) {
    const struct hold_kv *kv = a->kv;
    int32_t index = cpu_int(a->places->index, row, 0);
    char *page = index < 0 ? NULL : page_at(kv, a->layer, a->places, cpu_int(a->places->seq, row, 0), (uint32_t) index / HOLD_PAGE_TOKENS);
    if (!page)
        return;
    struct hold_t2 store = hold_t2_of(page, 2 * kv->n_kv_heads * HOLD_PAGE_TOKENS, kv->head_dim, kv->dtype);
    uint32_t token = (uint32_t) index % HOLD_PAGE_TOKENS;
    for (uint32_t head = 0; head < kv->n_kv_heads; head++)
        for (uint32_t i = 0; i < kv->head_dim; i++) {
            cpu_put(store, head * HOLD_PAGE_TOKENS + token, i, cpu_get(a->k, row, head * kv->head_dim + i));
            cpu_put(store, (kv->n_kv_heads + head) * HOLD_PAGE_TOKENS + token, i, cpu_get(a->v, row, head * kv->head_dim + i));
        }
}

static void append_rows(void *context, uint32_t first, uint32_t end_row) {
    for (uint32_t row = first; row < end_row; row++)
        append_row(context, row);
}

int cpu_kv_append(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k, struct hold_t2 v,
                  const struct hold_places *places) {
    struct append a = { .kv = kv, .layer = layer, .k = k, .v = v, .places = places };
    cpu_run_rows(s, k.rows, 2 * k.cols, append_rows, &a);
    return 0;
}

struct full {
    struct hold_t2 o, q, k, v;
    uint32_t dim, n_heads;
    float scale;
    const struct cpu_simd *simd;
};

static void attend_rows(void *context, uint32_t piece) {
    const struct full *a = context;
    uint32_t head = piece % a->n_heads * a->dim, row = piece / a->n_heads * ROWS_AT_ONCE;
    uint32_t n = a->q.rows - row < ROWS_AT_ONCE ? a->q.rows - row : ROWS_AT_ONCE;
    struct space space;
    for (uint32_t r = 0; r < n; r++)
        begin(&space, r, a->q, row + r, head, a->dim, a->scale);
    for (uint32_t at = 0; at < a->k.rows; at += CPU_KEYS) {
        struct cpu_keys keys = { .k = cpu_at(a->k, at, head), .v = cpu_at(a->v, at, head), .k_stride = a->k.stride, .v_stride = a->v.stride,
                                 .dtype = a->k.dtype, .n = a->k.rows - at < CPU_KEYS ? a->k.rows - at : CPU_KEYS, .dim = a->dim };
        for (uint32_t r = 0; r < n; r++)
            a->simd->attend(&space.query[r], &keys);
    }
    for (uint32_t r = 0; r < n; r++)
        end(&space, r, a->o, row + r, head, a->dim);
}

int cpu_attend_full(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v, uint32_t head_dim,
                    float scale) {
    struct full a = { .o = o, .q = q, .k = k, .v = v, .dim = head_dim, .n_heads = q.cols / head_dim, .scale = scale, .simd = s->device->simd };
    uint64_t n = (uint64_t) ((q.rows - 1) / ROWS_AT_ONCE + 1) * a.n_heads;
    if (n > UINT32_MAX)
        return hold_stream_fail(s, "attend_full: %u rows are more than can be dealt", q.rows);
    hold_pool_run(s->device->pool, (uint32_t) n, attend_rows, &a);
    return 0;
}
