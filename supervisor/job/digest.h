/* digest.h - digests in bounded memory, in line and on a thread of their own. Floor: supervisor/job.
 * The only header of the house that stands for libcrypto. */
#ifndef HOLD_SUPERVISOR_JOB_DIGEST_H
#define HOLD_SUPERVISOR_JOB_DIGEST_H

#include "base/err.h"
#include "supervisor/policy/manifest.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SHA-256 of all bytes and, when asked for, the git blob id (SHA-1 over "blob <size>\0" and the bytes) in one pass. */
struct hold_digest {
    void *sha256, *git; /* EVP_MD_CTX; git is NULL when not asked for */
    uint64_t git_bytes;
    bool failed;
};

struct hold_digest_value {
    uint8_t sha256[32];
    uint8_t git_blob[20]; /* zeros when not asked for */
};

/* with_git: the blob id too, for a file of git_bytes. Release with hold_digest_close (accepts a zeroed struct). */
HOLD_MUST int hold_digest_open(struct hold_digest *d, bool with_git, uint64_t git_bytes, struct hold_err *err);
void hold_digest_feed(struct hold_digest *d, const void *bytes, size_t n);
/* The value of what was fed; d must be restarted before it is fed again. Fails with INTERNAL when the library did. */
HOLD_MUST int hold_digest_end(struct hold_digest *d, struct hold_digest_value *ret_value, struct hold_err *err);
HOLD_MUST int hold_digest_restart(struct hold_digest *d, struct hold_err *err);
void hold_digest_close(struct hold_digest *d);

/* SHA-256 of n bytes in memory. */
HOLD_MUST int hold_digest_bytes(const void *bytes, size_t n, uint8_t ret_sha256[32], struct hold_err *err);
/* The model's identity: SHA-256 of hold_manifest_lines. Every file must have its digest. */
HOLD_MUST int hold_manifest_identity(const struct hold_manifest *manifest, uint8_t ret_sha256[32], struct hold_err *err);
/* Of a whole open regular file, read in order from its beginning without moving its offset; blocks. progress (may be
 * NULL) is increased by the bytes read. A file that is shorter or longer than size when read is MISSING or FORMAT. */
HOLD_MUST int hold_digest_file(int fd, uint64_t size, bool with_git, _Atomic uint64_t *progress, struct hold_digest_value *ret_value,
                               struct hold_err *err);
/* The same and, in the same pass, the SHA-256 of each piece of piece_bytes (>= 1), the last one shorter: ret_pieces has 32 bytes for each. */
HOLD_MUST int hold_digest_file_pieces(int fd, uint64_t size, uint64_t piece_bytes, _Atomic uint64_t *progress, struct hold_digest_value *ret_value,
                                      uint8_t *ret_pieces, struct hold_err *err);

#define HOLD_HASHER_BLOCK (1u << 20)
#define HOLD_HASHER_BLOCKS 4u

/* A digest that is computed on its own thread behind a ring of blocks, so that hashing hides behind the network. One
 * giver. Zeroed before hold_hasher_open; hold_hasher_close ends the thread. */
struct hold_hasher {
    struct hold_digest digest;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint8_t *memory;
    size_t filled[HOLD_HASHER_BLOCKS];
    uint64_t n_given, n_done; /* blocks; n_given - n_done are waiting */
    bool stop;
};

HOLD_MUST int hold_hasher_open(struct hold_hasher *h, bool with_git, uint64_t git_bytes, struct hold_err *err);
/* The next free block of HOLD_HASHER_BLOCK bytes; waits for one. Stays the same until given. */
uint8_t *hold_hasher_block(struct hold_hasher *h);
/* The first n bytes of that block follow in the stream. */
void hold_hasher_give(struct hold_hasher *h, size_t n);
/* Waits for the ring to drain and forgets everything fed. */
HOLD_MUST int hold_hasher_restart(struct hold_hasher *h, struct hold_err *err);
/* Waits for the ring to drain; the value of all bytes given. Restart before giving more. */
HOLD_MUST int hold_hasher_end(struct hold_hasher *h, struct hold_digest_value *ret_value, struct hold_err *err);
void hold_hasher_close(struct hold_hasher *h);

#endif
