/* partial.h - a file on its way: its own partial beside the target, digest in the stream, durable publish. Floor: supervisor/job.
 *
 * Every fetcher writes a partial of its own (".holdfast-<key>-<random>.part", O_EXCL, locked while it lives). A partial
 * that a dead fetcher left is taken over: its bytes are read and hashed again, never trusted, so torn writes are found at
 * the end by the digest. Where the kernel gave us its lock its writer is dead for certain, and it is continued in place; elsewhere
 * the holder of the file's record (owner.h) copies its bytes into a partial of its own, so that a writer believed dead, and
 * awake again, can spoil nothing: it finds its own partial gone when it wants to publish. */
#ifndef HOLD_SUPERVISOR_JOB_PARTIAL_H
#define HOLD_SUPERVISOR_JOB_PARTIAL_H

#include "supervisor/job/digest.h"
#include "supervisor/job/pieces.h"
#include "supervisor/job/verdict.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HOLD_VALIDATOR_BYTES 256

/* What a partial was made from, kept beside it ("<partial>.from") for files whose digest nobody pinned: only bytes of the
 * same strong ETag, in the same boot (no power cut between), may be continued. */
struct hold_validator {
    char etag[HOLD_VALIDATOR_BYTES]; /* strong, with its quotes; "": none */
    uint64_t total;                  /* UINT64_MAX: unknown */
};

struct hold_partial {
    int folder_fd; /* borrowed: the folder of the target */
    int fd;
    uint8_t key[8];
    bool is_owner, uses_flock, drops_cache;
    char name[80];
    uint64_t bytes;  /* contiguous from 0 on disk or in the block */
    size_t block_n;  /* bytes of the current block, not yet written */
    struct hold_hasher hasher;
    struct hold_pieces pieces; /* open when it is filled in pieces; then bytes, block and hasher are not used until the end */
    struct hold_validator from;
    uint64_t blocked_ms; /* time spent waiting for disk and hash: not the network's fault */
    _Atomic uint64_t *progress; /* borrowed; follows bytes up and down */
};

/* Finds or makes the partial of a target and hashes what is already there.
 *
 * folder_fd   the folder of the target, borrowed until close
 * target      path of the target below it; only its folder part is used
 * key         8 bytes that name target and wanted digest; partials of another key are not looked at
 * size        bytes wanted, UINT64_MAX when unknown; a longer partial is begun again
 * is_pinned   the whole will be proven by a digest; otherwise an old partial is continued only with its validator
 * piece_bytes not 0: it is filled in pieces of this size (pieces.h), the old bytes are hashed behind; size is known, is_pinned set
 * Waits for disk and hash. Fails with FETCH_SPACE or FETCH_WRITE. Zeroed before; hold_partial_close always. */
struct hold_partial_target {
    int folder_fd;
    uint8_t key[8];
    uint64_t size;
    bool is_pinned;
    bool with_git;
    uint64_t piece_bytes;
    bool is_owner;   /* we hold the record (owner.h): partials of others are of the dead or the displaced */
    bool uses_flock;
    bool drops_cache; /* pages leave the page cache once they are written and hashed */
    _Atomic uint64_t *progress;
};
HOLD_MUST int hold_partial_open(struct hold_partial *p, const struct hold_partial_target *target, struct hold_verdict *v);
/* Reserves room for size bytes in all; a file system that cannot is fine, one that is full is FETCH_SPACE. */
HOLD_MUST int hold_partial_reserve(struct hold_partial *p, uint64_t size, struct hold_verdict *v);
HOLD_MUST int hold_partial_add(struct hold_partial *p, const void *bytes, size_t n, struct hold_verdict *v);
/* Everything added is in the file and with the hasher. */
HOLD_MUST int hold_partial_flush(struct hold_partial *p, struct hold_verdict *v);
/* Back to no bytes at all. */
HOLD_MUST int hold_partial_restart(struct hold_partial *p, struct hold_verdict *v);
/* From pieces to one stream that begins at byte 0, for an origin that knows no ranges. */
HOLD_MUST int hold_partial_to_stream(struct hold_partial *p, struct hold_verdict *v);
/* Remembers what the bytes come from, on disk too. */
HOLD_MUST int hold_partial_remember(struct hold_partial *p, const struct hold_validator *from, struct hold_verdict *v);
/* The digests of all bytes. The partial must be restarted before more is added. */
HOLD_MUST int hold_partial_digest(struct hold_partial *p, struct hold_digest_value *ret_value, struct hold_verdict *v);
/* Visible as name in the folder, durable, partials of the same key that nobody holds removed. fd stays open for the marker. */
HOLD_MUST int hold_partial_publish(struct hold_partial *p, const char *name, struct hold_verdict *v);
/* Lets go; the bytes stay for the next try or the next life. An empty partial is removed. */
void hold_partial_close(struct hold_partial *p);

/* Bytes that partials in the folder and one level below hold: for the space check before anything is opened. */
uint64_t hold_partial_found_all(int folder_fd);

#endif
