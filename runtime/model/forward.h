/* forward.h - one batch through the decoder. Floor: runtime/model. Blocks until the logits are there. */
#ifndef HOLD_RUNTIME_MODEL_FORWARD_H
#define HOLD_RUNTIME_MODEL_FORWARD_H

#include "base/err.h"
#include "runtime/model/model.h"

#include <stddef.h>
#include <stdint.h>

/* What a batch may hold at most; decides the work space, which is taken once. */
struct hold_forward_limits {
    uint32_t max_rows;   /* tokens in one batch */
    uint32_t max_seqs;   /* sequences in one batch */
    uint32_t max_pages;  /* pages of one sequence: (context + 63) / 64 */
    uint32_t max_logits; /* rows of one batch that want logits */
};

/* count rows of image (made by hold_vision_encode, type weights->act) from its row `from` on stand in place of the
 * embeddings of batch rows row .. row + count - 1. */
struct hold_image_span {
    uint32_t row, count;
    struct hold_t2 image;
    uint32_t from;
};

/* Host memory, borrowed for the call. Rows of one sequence stand in order of their index; every place before a row's
 * index was stored by an earlier batch or an earlier row of this one. */
struct hold_batch {
    uint32_t n_rows;
    const uint32_t *ids;     /* [n_rows], below vocab; ignored where a span covers the row, but still below vocab */
    const int32_t (*pos)[3]; /* [n_rows] (t, h, w) from hold_positions, or index + delta on all three */
    const uint32_t *seq;     /* [n_rows] below n_seqs */
    const uint32_t *index;   /* [n_rows] place in the sequence */
    uint32_t n_seqs;
    const int32_t *pages;    /* [n_seqs][limits.max_pages]: page numbers of the cache, -1 where there is none */
    const struct hold_image_span *spans;
    size_t n_spans;
    const uint32_t *want;    /* [n_want] batch rows whose logits are wanted */
    uint32_t n_want;
};

struct hold_forward; /* work space of one stream */

/* Bytes of device memory that hold_forward_open takes for these limits. Pure. */
HOLD_MUST int hold_forward_bytes(const struct hold_record *record, enum hold_dtype act, const struct hold_forward_limits *limits,
                                 uint64_t *ret_bytes, struct hold_err *err);
/* Borrows weights, cache and stream until hold_forward_free. */
HOLD_MUST int hold_forward_open(const struct hold_weights *weights, const struct hold_kv *kv, struct hold_stream *s,
                                const struct hold_forward_limits *limits, struct hold_forward **ret_forward, struct hold_err *err);
void hold_forward_free(struct hold_forward *forward); /* accepts NULL */

/* Runs the batch: stores its keys and values, computes what is wanted, waits. ret_logits: [n_want][vocab] f32 on the
 * host, valid until the next call; NULL when n_want is 0. Fails with INTERNAL when the batch breaks a limit or reaches
 * behind its pages (nothing ran), with DEVICE when the backend does. Logits are not judged here: hold_sample does. */
HOLD_MUST int hold_forward_run(struct hold_forward *forward, const struct hold_batch *batch, const float **ret_logits,
                               struct hold_err *err);

/* The cache for n_pages pages of this model: fills the struct and takes the memory on the stream's device. */
HOLD_MUST int hold_kv_open(const struct hold_weights *weights, uint32_t n_pages, struct hold_stream *s, struct hold_kv *ret_kv,
                           struct hold_err *err);
void hold_kv_close(struct hold_kv *kv, struct hold_stream *s); /* accepts a zeroed struct */

#endif
