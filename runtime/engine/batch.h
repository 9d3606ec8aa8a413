/* batch.h - which rows run in the next step. Floor: runtime/engine, pure.
 *
 * Sequences that wait for their next token come first, one row each, so that a long prompt never stops the others; what is left of the
 * step's rows goes to prompts in the order they came, cut wherever the rows end. A row's result does not depend on the
 * cut (kernels/attn.h), so this is a question of time only. */
#ifndef HOLD_RUNTIME_ENGINE_BATCH_H
#define HOLD_RUNTIME_ENGINE_BATCH_H

#include <stddef.h>
#include <stdint.h>

/* One running sequence, oldest first. */
struct hold_batch_seq {
    uint32_t n_known;  /* tokens it has: prompt and generated */
    uint32_t n_stored; /* of them with keys and values in the cache; below n_known */
};

/* Tokens first .. first + count - 1 of sequence seq run. */
struct hold_batch_part {
    uint32_t seq, first, count;
};

/* Writes at most n_seqs parts, one a sequence, whose counts add up to at most max_rows; gives their number. At least one
 * when n_seqs and max_rows are not 0. A part with first + count == n_known wants the logits of its last row. */
size_t hold_batch_next(const struct hold_batch_seq *seqs, size_t n_seqs, uint32_t max_rows, struct hold_batch_part *ret_parts);

#endif
