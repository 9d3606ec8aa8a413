/* attempt.h - one request of the fetch errand, between fetch.c (libcurl), fetch_file.c and split.c. Floor: supervisor/job; private to the three. */
#ifndef HOLD_SUPERVISOR_JOB_ATTEMPT_H
#define HOLD_SUPERVISOR_JOB_ATTEMPT_H

#include "supervisor/job/fetch.h"
#include "supervisor/job/partial.h"
#include "supervisor/policy/pace.h"

/* One large file that several connections bring. */
struct hold_fetch_split {
    const struct hold_fetch_file *file;
    struct hold_turn *turn;
    struct hold_pieces *pieces;
    atomic_bool ignores_ranges, is_over;
    _Atomic uint64_t fetched_bytes, n_tries;
    struct hold_pace pace; /* the leader's */
    uint64_t own_ms;       /* time of the leader's earlier requests that went to disk and digest */
    /* under shared->lock */
    struct hold_fetch_split *next;
    size_t n_helpers, n_wanted; /* wanted: connections, the leader's too */
    bool is_closed; /* a helper was of no use: the origin does not like several connections */
    bool has_first;
    struct hold_validator first;           /* of the first answer */
    char changed_to[HOLD_VALIDATOR_BYTES]; /* a different ETag seen since */
    char via[HOLD_URL_BYTES];              /* where the last redirect led: asked next, without the token */
    bool has_no_via;
};

/* One request, seen from its callbacks. */
struct hold_attempt {
    struct hold_fetcher *fetcher;
    const struct hold_fetch_file *file; /* NULL: a document */
    struct hold_turn *turn; /* of file; NULL for a document */
    struct hold_partial *partial;
    struct hold_buf *document;
    bool is_head;                 /* only the headers are asked for */
    const char *body;             /* first bytes of the answer while it is judged */
    size_t body_n;
    const struct hold_fetch_auth *auth;
    struct hold_verdict *v;
    struct hold_validator *first; /* what the first answer of this life said */
    char *changed_to;             /* a different ETag seen since, HOLD_VALIDATOR_BYTES */
    uint64_t offset;              /* asked for */
    uint64_t received;
    bool judged;
    enum hold_try_end end; /* DONE until something else is known */
    uint64_t window_begun_ms, window_bytes, window_blocked_ms;
    /* a piece of a split */
    struct hold_fetch_split *split;
    bool leads;
    size_t piece;
    uint64_t piece_end;  /* where that piece ends */
    uint64_t end_offset; /* where the request ends; may be further on than the piece */
    uint8_t **gather;    /* HOLD_PIECES_BLOCK bytes */
    size_t gathered;
    bool is_met;         /* the next piece is somebody else's: the request was cut short, and that is no failure */
    uint64_t paced_ms;
    uint64_t blocked_ms;
};

/* False when the errand was stopped meanwhile. */
bool hold_fetch_wait(struct hold_fetch_shared *shared, uint64_t ms);
static inline bool hold_attempt_wants_size(const struct hold_attempt *a) {
    return a->file && a->file->size != UINT64_MAX;
}
static inline bool hold_attempt_is_pinned(const struct hold_attempt *a) {
    return a->file && (a->file->has_sha256 || a->file->has_git_blob);
}
/* Notes how the try ended; the first reason stays. Returns 0. */
HOLD_PRINTF(3, 4)
size_t hold_attempt_ends(struct hold_attempt *a, enum hold_try_end end, const char *format, ...);
/* The request; fills a->end. Blocks. */
void hold_attempt_perform(struct hold_attempt *a, const char *url, const struct hold_fetch_auth *auth);
/* What was gathered goes to its piece; a failure is a->end. */
void hold_attempt_flush(struct hold_attempt *a);
/* Folds a failed try and waits as policy says, or turns v into the end of the file and returns -1. */
HOLD_MUST int hold_attempt_wait(struct hold_attempt *a, struct hold_tries *tries, uint64_t reached, struct hold_try_next *ret_next);
struct hold_tries hold_attempt_tries(const struct hold_fetcher *fetcher);
struct hold_fetch_shared *hold_fetcher_shared(struct hold_fetcher *fetcher);

/* split.c: looks whether more or fewer connections should help with a file; cheap, for the leader only. */
void hold_split_pace(struct hold_attempt *a, uint64_t now_ms);
/* split.c: the file of a partial that was opened in pieces. 0 with the digest, 1 when the origin's ranges are of no use, -1. */
HOLD_MUST int hold_split_run(struct hold_fetcher *fetcher, const struct hold_fetch_file *file, struct hold_turn *turn, struct hold_partial *partial,
                             struct hold_fetch_result *result, struct hold_digest_value *ret_value, struct hold_verdict *v);

#endif
