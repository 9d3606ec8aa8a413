/* manifest.h - the list of a model's files: names that cannot escape, sizes, digests, pieces. Floor: supervisor/policy, pure.
 *
 *     {"schema": 1, "files": [{"path": "model-00001-of-00004.safetensors", "size": 4976698672, "sha256": "...",
 *                              "chunk_size": 67108864, "chunks": ["sha256", ...]}]}
 *
 * Canonical form: files sorted by path (bytes), no unknown field, size and sha256 mandatory, pieces optional. What it
 * does not say: where the bytes come from and how hard to try (options), what is inside the files (the plan). */
#ifndef HOLD_SUPERVISOR_POLICY_MANIFEST_H
#define HOLD_SUPERVISOR_POLICY_MANIFEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_MANIFEST_NAME "holdfast.manifest.json" /* beside the files it lists; never lists itself */
#define HOLD_MANIFEST_MAX_BYTES (16u << 20)
#define HOLD_MANIFEST_MAX_FILES 4096u
#define HOLD_MANIFEST_MAX_FILE_BYTES (UINT64_C(1) << 46)
#define HOLD_MANIFEST_MIN_CHUNK (UINT64_C(1) << 20)

struct hold_manifest_file {
    const char *path; /* relative, safe (base/io.h: hold_name_is_safe), at most 512 bytes */
    uint64_t size;
    bool has_sha256;    /* false only in a hub listing, for the small files that are not in LFS */
    bool has_git_blob;  /* then the git blob id proves the bytes at the pinned commit */
    uint8_t sha256[32];
    uint8_t git_blob[20];
    uint64_t chunk_bytes;  /* 0: no piece digests */
    const uint8_t *chunks; /* n_chunks * 32 bytes; the last piece may be shorter */
    size_t n_chunks;
};

/* Sorted by path. Strings and arrays live in the arena it was made with. */
struct hold_manifest {
    struct hold_manifest_file *files;
    size_t n_files;
};

/* Strict: schema 1, no unknown or duplicate key, no path twice, no path that is a folder of another, names that cannot
 * escape, digests of 64 hexadecimal digits, as many pieces as the size needs. Order in the text does not matter. Fails
 * with FORMAT or LIMIT naming the file and rule. arena: at least 4 times HOLD_MANIFEST_MAX_BYTES for the largest. */
HOLD_MUST int hold_manifest_parse(const char *text, size_t n, struct hold_arena *arena, struct hold_manifest *ret_manifest,
                                  struct hold_err *err);
/* Appends file, its path copied, to a list that has room for HOLD_MANIFEST_MAX_FILES; nothing of it is checked. Fails with LIMIT. */
HOLD_MUST int hold_manifest_add(struct hold_manifest *manifest, struct hold_arena *arena, const struct hold_manifest_file *file, struct hold_err *err);
/* Sorts and checks a list made otherwise (a hub listing, a folder): the rules above, except that sha256 may be absent. */
HOLD_MUST int hold_manifest_check(struct hold_manifest *manifest, struct hold_err *err);
/* The canonical text, one file a line. Every file must have its sha256 (else INTERNAL). */
HOLD_MUST int hold_manifest_write(const struct hold_manifest *manifest, struct hold_buf *out, struct hold_err *err);
/* The text whose SHA-256 is the model's identity: "holdfast-model 1\n", then "path\tsize\tsha256\n" for each file in
 * order. Pieces are not in it, so it does not depend on their size or on where the bytes came from. */
HOLD_MUST int hold_manifest_lines(const struct hold_manifest *manifest, struct hold_buf *out, struct hold_err *err);
/* The file of a path, or NULL. */
const struct hold_manifest_file *hold_manifest_find(const struct hold_manifest *manifest, const char *path);
/* Bytes of all files; never wraps, since count and sizes are bounded. */
uint64_t hold_manifest_bytes(const struct hold_manifest *manifest);

/* Lower-case hexadecimal of n bytes into out (2n + 1 bytes), and strictly back (either case); false when not 2n digits. */
void hold_hex_write(const uint8_t *bytes, size_t n, char *out);
bool hold_hex_read(const char *text, size_t n, uint8_t *ret_bytes);

#endif
