/* pieces.h - a partial that is filled in several places at once: which bytes are there, and the digest behind them.
 * Floor: supervisor/job.
 *
 * The map lies beside the partial ("<partial>.pieces") and says for each piece how many of its bytes are in the file, so
 * that a fetcher killed at any moment loses what was not yet written and nothing else. It is a claim, never a proof: what an
 * earlier life left is hashed from the file, and a map that ran ahead of its data in a power cut ends in a wrong digest. One thread
 * hashes the contiguous prefix while the rest is still coming: a block that continues it goes to that thread from memory, what
 * others wrote further on is read back from the page cache when its turn comes. */
#ifndef HOLD_SUPERVISOR_JOB_PIECES_H
#define HOLD_SUPERVISOR_JOB_PIECES_H

#include "supervisor/job/digest.h"
#include "supervisor/job/verdict.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HOLD_PIECE_BYTES (UINT64_C(32) << 20) /* where no manifest says otherwise */
#define HOLD_PIECES_MAX (1u << 20)
#define HOLD_PIECES_BLOCK ((size_t) 256 << 10) /* what is written, read and hashed at once: stays in a core's cache */
#define HOLD_PIECES_RING 8u                     /* blocks that wait for the digest's thread */
#define HOLD_PIECES_HEAD 24u /* bytes of a map before its counts */

struct hold_piece {
    uint64_t have; /* bytes of it in the file, from its beginning */
    bool is_taken; /* somebody writes to it */
};

struct hold_pieces {
    int fd;     /* the partial, borrowed */
    int map_fd; /* -1: nothing is remembered */
    uint64_t size, piece_bytes;
    bool drops_cache; /* what is hashed leaves the page cache */
    size_t n;
    struct hold_piece *at;
    pthread_mutex_t lock;
    pthread_cond_t moved; /* on the monotonic clock */
    bool is_open;
    uint64_t have_bytes;
    _Atomic uint64_t *progress; /* borrowed; follows have_bytes; NULL: nobody asks */
    pthread_t thread;
    bool has_thread, stop, is_reading, has_trouble;
    struct hold_digest digest;
    struct hold_err trouble; /* why hashing stopped */
    uint64_t hashed, queued; /* hashed <= queued: what lies between is in the ring or being read */
    struct hold_block {
        uint8_t *bytes; /* HOLD_PIECES_BLOCK of memory */
        size_t n;
    } ring[HOLD_PIECES_RING];
    size_t ring_first, ring_n;
    uint8_t *spare[HOLD_PIECES_RING + 1]; /* memory for the next ones; NULL: not there yet */
    size_t n_spare;
};

/* The counts of a map's n bytes of text for a file of size in pieces of piece_bytes, of which file_bytes exist: false when it is of
 * another file or broken. A count that the file cannot have is 0. at: as many as the size needs. */
bool hold_pieces_read(const uint8_t *map, size_t n, uint64_t size, uint64_t piece_bytes, uint64_t file_bytes, struct hold_piece *at);
/* How many bytes from 0 on are there without a gap by the map in the open file map_fd, whatever its pieces' size; 0 when it is broken. */
uint64_t hold_pieces_prefix(int map_fd, uint64_t file_bytes);

/* fd, map_fd   open for reading and writing; map_fd goes over to pieces, also on failure; what it holds is believed when it fits
 * prefix       bytes that are there in any case
 * Starts the digest's thread. Zeroed before; hold_pieces_close always. Fails with INTERNAL. */
HOLD_MUST int hold_pieces_open(struct hold_pieces *p, int fd, int map_fd, uint64_t size, uint64_t piece_bytes, uint64_t prefix,
                               _Atomic uint64_t *progress, struct hold_verdict *v);
/* Right after that: hashed pages leave the page cache. */
void hold_pieces_drop_cache(struct hold_pieces *p);
void hold_pieces_close(struct hold_pieces *p);

/* The first piece that is not whole and nobody's; [*ret_first, *ret_end) is missing. False when there is none. */
bool hold_pieces_take(struct hold_pieces *p, size_t *ret_piece, uint64_t *ret_first, uint64_t *ret_end);
/* The next n bytes of a piece that the caller took, at most HOLD_PIECES_BLOCK, in memory of that size from malloc: *block may go over to
 * the digest's thread, and another one is there then. Blocks on the disk, and on a digest that lags behind. */
HOLD_MUST int hold_pieces_write(struct hold_pieces *p, size_t piece, uint8_t **block, size_t n, struct hold_verdict *v);
void hold_pieces_give(struct hold_pieces *p, size_t piece);
/* From a whole piece that the caller holds to the one behind it. False when that one is begun, somebody's, or not there: then nothing changed. */
bool hold_pieces_go_on(struct hold_pieces *p, size_t piece);
/* How far a transfer from the piece that the caller took could go on: the first byte of the next piece behind it that is begun or somebody's. */
uint64_t hold_pieces_free_end(struct hold_pieces *p, size_t piece);
/* Waits at most timeout_ms until a piece can be taken or all are whole; true when all are. */
bool hold_pieces_wait(struct hold_pieces *p, uint64_t timeout_ms);

/* SHA-256 of all bytes, when all are there: waits for the digest's thread. Fails with VERIFY when the file cannot be read. */
HOLD_MUST int hold_pieces_digest(struct hold_pieces *p, uint8_t ret_sha256[32], struct hold_verdict *v);
/* Forgets one piece (nobody's), or all of them when piece is SIZE_MAX, and hashes from the beginning. */
HOLD_MUST int hold_pieces_forget(struct hold_pieces *p, size_t piece, struct hold_verdict *v);
/* SHA-256 of one whole piece of an open file with the same pieces. */
HOLD_MUST int hold_pieces_hash(const struct hold_pieces *p, int fd, size_t piece, uint8_t ret_sha256[32], struct hold_err *err);
/* Copies from another file the pieces that are not begun here and have their digest there; digests: n * 32 bytes. */
HOLD_MUST int hold_pieces_salvage(struct hold_pieces *p, int fd, const uint8_t *digests, struct hold_verdict *v);
uint64_t hold_pieces_have(struct hold_pieces *p);

#endif
