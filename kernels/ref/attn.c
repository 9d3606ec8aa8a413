/* attn.c - reference of kernels/attn.h: two passes over the keys, so that nothing as long as the context is stored.
 * Floor: kernels/ref. */
#include "kernels/ref/ref.h"

#include <math.h>

/* One [HOLD_PAGE_TOKENS, head_dim] block of keys (which = 0) or values (1) of the page that holds a place; data is NULL
 * where the table has no page. */
static struct hold_t2 block_of(const struct hold_kv *kv, uint32_t layer, const struct hold_places *places, uint32_t seq,
                               uint32_t index, uint32_t kv_head, uint32_t which) {
    struct hold_t2 block = hold_t2_of(NULL, HOLD_PAGE_TOKENS, kv->head_dim, kv->dtype);
    if (seq >= places->table.rows || index / HOLD_PAGE_TOKENS >= places->table.cols)
        return block;
    int32_t page = ref_get_int(places->table, seq, index / HOLD_PAGE_TOKENS);
    if (page < 0 || (uint32_t) page >= kv->n_pages)
        return block;
    size_t head_bytes = (size_t) HOLD_PAGE_TOKENS * kv->head_dim * hold_dtype_bytes(kv->dtype);
    block.data = (char *) kv->pool + (size_t) page * hold_kv_page_bytes(kv) + layer * hold_kv_layer_bytes(kv) +
                 ((size_t) which * kv->n_kv_heads + kv_head) * head_bytes;
    return block;
}

int ref_kv_append(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k, struct hold_t2 v,
                  const struct hold_places *places) {
    (void) s;
    for (uint32_t row = 0; row < k.rows; row++) {
        uint32_t seq = (uint32_t) ref_get_int(places->seq, row, 0), index = (uint32_t) ref_get_int(places->index, row, 0);
        for (uint32_t head = 0; head < kv->n_kv_heads; head++) {
            struct hold_t2 keys = block_of(kv, layer, places, seq, index, head, 0);
            struct hold_t2 values = block_of(kv, layer, places, seq, index, head, 1);
            for (uint32_t i = 0; keys.data && i < kv->head_dim; i++) {
                ref_put(keys, index % HOLD_PAGE_TOKENS, i, ref_get(k, row, head * kv->head_dim + i));
                ref_put(values, index % HOLD_PAGE_TOKENS, i, ref_get(v, row, head * kv->head_dim + i));
            }
        }
    }
    return 0;
}

static double dot(struct hold_t2 q, uint32_t row, uint32_t first, struct hold_t2 k, uint32_t k_row, uint32_t k_first, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double) ref_get(q, row, first + i) * (double) ref_get(k, k_row, k_first + i);
    return sum;
}

static void attend_head(struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer, const struct hold_places *places,
                        double scale, uint32_t row, uint32_t head) {
    uint32_t dim = kv->head_dim, first = head * dim, kv_head = head / (q.cols / dim / kv->n_kv_heads);
    uint32_t seq = (uint32_t) ref_get_int(places->seq, row, 0), last = (uint32_t) ref_get_int(places->index, row, 0);
    double top = -INFINITY;
    for (uint32_t j = 0; j <= last; j++) {
        struct hold_t2 keys = block_of(kv, layer, places, seq, j, kv_head, 0);
        double score = keys.data ? scale * dot(q, row, first, keys, j % HOLD_PAGE_TOKENS, 0, dim) : (double) NAN;
        top = score > top || isnan(score) ? score : top;
    }
    double sum = 0, weighted[HOLD_HEAD_DIM_MAX] = { 0 };
    for (uint32_t j = 0; j <= last; j++) {
        struct hold_t2 keys = block_of(kv, layer, places, seq, j, kv_head, 0);
        struct hold_t2 values = block_of(kv, layer, places, seq, j, kv_head, 1);
        double p = keys.data ? exp(scale * dot(q, row, first, keys, j % HOLD_PAGE_TOKENS, 0, dim) - top) : (double) NAN;
        sum += p;
        for (uint32_t i = 0; i < dim; i++)
            weighted[i] += keys.data ? p * (double) ref_get(values, j % HOLD_PAGE_TOKENS, i) : (double) NAN;
    }
    for (uint32_t i = 0; i < dim; i++)
        ref_put(o, row, first + i, (float) (weighted[i] / sum));
}

int ref_attend(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
               const struct hold_places *places, float scale, uint32_t max_index) {
    (void) s, (void) max_index;
    for (uint32_t row = 0; row < q.rows; row++)
        for (uint32_t head = 0; head < q.cols / kv->head_dim; head++)
            attend_head(o, q, kv, layer, places, (double) scale, row, head);
    return 0;
}

int ref_attend_full(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v, uint32_t head_dim,
                    float scale) {
    (void) s;
    for (uint32_t row = 0; row < q.rows; row++)
        for (uint32_t first = 0; first < q.cols; first += head_dim) {
            double top = -INFINITY;
            for (uint32_t j = 0; j < k.rows; j++) {
                double score = (double) scale * dot(q, row, first, k, j, first, head_dim);
                top = score > top || isnan(score) ? score : top;
            }
            double sum = 0, weighted[HOLD_HEAD_DIM_MAX] = { 0 };
            for (uint32_t j = 0; j < k.rows; j++) {
                double p = exp((double) scale * dot(q, row, first, k, j, first, head_dim) - top);
                sum += p;
                for (uint32_t i = 0; i < head_dim; i++)
                    weighted[i] += p * (double) ref_get(v, j, first + i);
            }
            for (uint32_t i = 0; i < head_dim; i++)
                ref_put(o, row, first + i, (float) (weighted[i] / sum));
        }
    return 0;
}
