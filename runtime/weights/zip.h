/* zip.h - the directory of a zip archive of stored entries. Floor: runtime/weights, pure.
 *
 * Only what torch.save writes: one disk, nothing compressed, nothing encrypted, no comment; 64-bit sizes and data
 * descriptors are read. Checked here: that central directory and local headers tell the same story, that names are unique
 * and cannot escape, that entries lie inside the file, do not overlap and leave no byte between them unaccounted for.
 * CRCs are not computed: PyTorch can be told to write none, and content is proven by digest elsewhere.
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5. */
#ifndef HOLD_RUNTIME_WEIGHTS_ZIP_H
#define HOLD_RUNTIME_WEIGHTS_ZIP_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_ZIP_MAX_ENTRIES 100064u
#define HOLD_ZIP_MAX_NAME 512u

struct hold_zip_entry {
    const char *name;       /* in the arena; a safe relative path */
    uint64_t begin;         /* of its local header */
    uint64_t offset, bytes; /* of its data, from the start of the file */
};

/* Entries sorted by name. Lives in the arena it was made in. */
struct hold_zip {
    const struct hold_zip_entry *entries;
    size_t n_entries;
};

/* Does the file begin like a zip archive? */
bool hold_zip_begins(const void *bytes, size_t n);
/* bytes, n: the whole file, of which only headers are read. what names it in messages. Fails with FORMAT or LIMIT. */
HOLD_MUST int hold_zip_parse(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_zip *ret_zip, struct hold_err *err);
/* NULL when there is none of that name. */
const struct hold_zip_entry *hold_zip_find(const struct hold_zip *zip, const char *name);

#endif
