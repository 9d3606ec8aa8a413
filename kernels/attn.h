/* attn.h - attention through a page table, and full attention of the vision tower. Floor: kernels; may include
 * kernels/types.h. */
#ifndef HOLD_KERNELS_ATTN_H
#define HOLD_KERNELS_ATTN_H

#include "kernels/types.h"

/* Tokens in one page of the cache. */
#define HOLD_PAGE_TOKENS 64u
/* Largest head_dim that the attention kernels take. */
#define HOLD_HEAD_DIM_MAX 512u

/* The key-value cache: n_pages pages of page_bytes one after the other; inside a page one block per layer; inside a
 * block the keys, then the values, each [kv head][token of the page][head_dim]. Keys are stored after rotation. */
struct hold_kv {
    void *pool; /* device memory, hold_kv_bytes() of it, 64-byte aligned */
    uint32_t n_pages, n_layers, n_kv_heads, head_dim;
    enum hold_dtype dtype; /* f32 or bf16 */
};

static inline size_t hold_kv_layer_bytes(const struct hold_kv *kv) {
    return 2u * (size_t) kv->n_kv_heads * HOLD_PAGE_TOKENS * kv->head_dim * hold_dtype_bytes(kv->dtype);
}
static inline size_t hold_kv_page_bytes(const struct hold_kv *kv) {
    return hold_kv_layer_bytes(kv) * kv->n_layers;
}
static inline size_t hold_kv_bytes(const struct hold_kv *kv) {
    return hold_kv_page_bytes(kv) * kv->n_pages;
}

/* Which place of which sequence each row of a batch is. A page number outside 0..n_pages-1 marks a page that is not
 * there; rows must not reach into one, and a kernel that meets one skips the write and gives NaN, touching no memory. */
struct hold_places {
    struct hold_t2 seq;   /* [rows, 1] i32: row of the table, 0..n_seqs-1 */
    struct hold_t2 index; /* [rows, 1] i32: place in the sequence, counted in tokens from 0 */
    struct hold_t2 table; /* [n_seqs, n] i32: page j holds places 64 j .. 64 j + 63 */
};

/* Stores the keys and values of every row at its place.
 *
 * k, v  [rows, n_kv_heads * head_dim] f32 or bf16, rounded to the cache's type; k already rotated
 * layer 0..n_layers-1. Two rows of one batch never have the same place.
 * Exact. Enqueues and returns; never allocates; fails when a shape or type disagrees. */
HOLD_KERNEL_MUST int hold_kv_append(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k,
                                    struct hold_t2 v, const struct hold_places *places);

/* Causal attention of every row to places 0..index of its own sequence, which hold_kv_append has stored before:
 *     head a uses kv head a / (heads / n_kv_heads);  p = softmax_j(scale * q . k_j);  o = sum_j p_j v_j
 *
 * o, q   [rows, heads * head_dim] f32 or bf16, the same type, not overlapping; heads a multiple of n_kv_heads
 * scale  head_dim^-0.5 for this model
 * max_index  at least the largest index of the batch: how far a launch has to look; reading less is an error
 *
 * Scores, softmax and sums in f32; order matters to nobody but the last bits. f32: within 5e-6 * (1 + max |v|) of
 * kernels/ref/attn.c; bf16: within 2 bf16 steps of max |v|. kernels/cpu: a row has the same bits whatever other rows and
 * threads take part, and however the sequence before it was cut into batches.
 * Enqueues and returns; never allocates; fails when a shape or type disagrees.
 * Source: Vaswani et al. 2017, equation 1; Ainslie et al. 2023 for the shared key-value heads. */
HOLD_KERNEL_MUST int hold_attend(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
                                 const struct hold_places *places, float scale, uint32_t max_index);

/* Attention of every row to every row, without a cache: one slice of one image.
 *
 * o        [rows, heads * head_dim] f32 or bf16, not overlapping the others
 * q, k, v  [rows, heads * head_dim] of the same type; they may be column thirds of one matrix
 * Scores are never stored as a whole (rows may be 13,416). Tolerance, stream and failure as hold_attend. */
HOLD_KERNEL_MUST int hold_attend_full(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v,
                                      uint32_t head_dim, float scale);

#endif
