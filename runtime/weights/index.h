/* index.h - model.safetensors.index.json or pytorch_model.bin.index.json: which shard holds which tensor. Floor: runtime/weights, pure. */
#ifndef HOLD_RUNTIME_WEIGHTS_INDEX_H
#define HOLD_RUNTIME_WEIGHTS_INDEX_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/weights/bind.h"
#include "runtime/weights/findings.h"

#include <stddef.h>
#include <stdint.h>

#define HOLD_INDEX_MAX_BYTES (32u << 20)

struct hold_index_entry {
    const char *name, *file; /* in the arena */
};

/* Lives in the arena it was made in. */
struct hold_index {
    const struct hold_index_entry *entries; /* sorted by name */
    size_t n_entries;
    const char *const *files;               /* sorted, each once; safe names */
    size_t n_files;
    uint64_t total_bytes;                   /* metadata.total_size, or UINT64_MAX when it says none */
};

/* text need not be terminated; what names the index. Fails with FORMAT or LIMIT. */
HOLD_MUST int hold_index_parse(const char *text, size_t n, const char *what, struct hold_arena *arena, struct hold_index *ret_index, struct hold_err *err);
/* The file of a tensor, or NULL. */
const char *hold_index_find(const struct hold_index *index, const char *name);
/* Is this one of its files? */
bool hold_index_names(const struct hold_index *index, const char *file);
/* The index against the files of it that are there, both ways: every file is there, holds what the index places in it, and
 * nothing else. One finding a difference, missing files first. */
void hold_index_check(const struct hold_index *index, const struct hold_bind_file *files, size_t n_files, struct hold_findings *findings);

#endif
