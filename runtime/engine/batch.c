/* batch.c - which rows run in the next step. Floor: runtime/engine, pure. */
#include "runtime/engine/batch.h"

size_t hold_batch_next(const struct hold_batch_seq *seqs, size_t n_seqs, uint32_t max_rows, struct hold_batch_part *ret_parts) {
    uint32_t left = max_rows;
    size_t n = 0;

    for (size_t i = 0; i < n_seqs && left > 0; i++) {
        if (seqs[i].n_known - seqs[i].n_stored != 1)
            continue;
        ret_parts[n++] = (struct hold_batch_part) { .seq = (uint32_t) i, .first = seqs[i].n_stored, .count = 1 };
        left--;
    }
    for (size_t i = 0; i < n_seqs && left > 0; i++) {
        uint32_t pending = seqs[i].n_known - seqs[i].n_stored;
        if (pending < 2)
            continue;
        uint32_t count = pending < left ? pending : left;
        ret_parts[n++] = (struct hold_batch_part) { .seq = (uint32_t) i, .first = seqs[i].n_stored, .count = count };
        left -= count;
    }
    return n;
}
