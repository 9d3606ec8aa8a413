/* fetch.h - bytes of one file over the network or from a folder: resume, tries, stall. Floor: supervisor/job.
 * The only header of the house that stands for libcurl. */
#ifndef HOLD_SUPERVISOR_JOB_FETCH_H
#define HOLD_SUPERVISOR_JOB_FETCH_H

#include "base/buf.h"
#include "supervisor/job/turn.h"
#include "supervisor/job/verdict.h"
#include "supervisor/policy/manifest.h"
#include "supervisor/policy/tries.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How hard to try. */
struct hold_fetch_rules {
    uint64_t tries;           /* failed ones in a row that end a file */
    uint64_t backoff_ms, backoff_max_ms;
    uint64_t retry_after_max_ms;
    uint64_t connect_ms;      /* until a connection stands */
    uint64_t stall_ms;        /* window in which stall_bytes must come */
    uint64_t stall_bytes;
    uint64_t deadline_at_ms;  /* hold_job_now_ms at which everything ends; 0: never */
    const char *ca_file;      /* NULL: libcurl's own */
    const char *ca_dir;       /* further certificates; NULL or "": none */
    uint64_t split_bytes;     /* pinned files of at least this size come in pieces over several connections; 0: none */
    uint64_t connections;     /* at most for one file, >= 1 */
    uint64_t window_ms;       /* a number of connections is measured for so long before more are tried; 0: all at once */
    uint64_t takeover_ms;     /* another fetcher of the folder that stood still for so long is taken over */
    bool uses_flock;          /* false: as where flock means nothing */
};

/* A failed try that is followed by another, for the log. */
struct hold_fetch_retry {
    const char *name; /* of the file */
    const char *why;  /* hold_try_name */
    const char *text;
    uint64_t have_bytes, delay_ms;
    uint32_t in_row;
};

/* What all transfers of one errand share. Set up by hold_fetch_shared_open. */
struct hold_fetch_shared {
    struct hold_fetch_rules rules;
    _Atomic uint64_t done_bytes; /* of all files that are there; those in work are in turns */
    struct hold_turns turns;
    bool drops_cache;            /* set before the first transfer: files leave the page cache (behind.h) */
    _Atomic bool stop;           /* one file failed for good: the others end with STOPPED */
    pthread_mutex_t lock;
    pthread_cond_t changed;      /* on the monotonic clock */
    void (*on_retry)(const struct hold_fetch_retry *retry); /* called by the thread that waits; may be NULL */
    struct hold_fetch_split *splits; /* files that take helpers now; under lock */
};

HOLD_MUST int hold_fetch_shared_open(struct hold_fetch_shared *shared, const struct hold_fetch_rules *rules, struct hold_verdict *v);
void hold_fetch_shared_close(struct hold_fetch_shared *shared);
/* Ends the waiting and the transfers of every thread. */
void hold_fetch_stop(struct hold_fetch_shared *shared);

struct hold_fetcher; /* one thread's connections */

/* NULL when libcurl cannot be set up. */
struct hold_fetcher *hold_fetcher_new(struct hold_fetch_shared *shared);
void hold_fetcher_free(struct hold_fetcher *fetcher);

/* Who asks, as the host of an address may know it. It never follows a redirect to another host, port or protocol: libcurl
 * drops bearer and cookie, and what is signed for S3 follows no redirect at all. Strings are borrowed, and free of control
 * characters (hold_token_is_plain). */
struct hold_fetch_auth {
    const char *bearer;        /* token; NULL or "": none */
    const char *cookie;        /* "name=value"; NULL: none */
    const char *s3_region;     /* an S3 request, for this region; NULL: another kind */
    const char *s3_key, *s3_secret, *s3_session; /* key NULL or "": the request is not signed; session NULL or "": none */
};

/* One file of a source. */
struct hold_fetch_file {
    const char *url;
    const struct hold_fetch_auth *auth; /* borrowed; NULL: nobody */
    const char *path;  /* what it is called in messages; a safe name below folder_fd */
    const char *as;    /* the name that it gets there instead; NULL: path */
    int folder_fd;     /* the model folder, borrowed */
    int state_fd;      /* markers, borrowed; -1: none are kept */
    uint64_t size;     /* UINT64_MAX: unknown */
    bool has_sha256, has_git_blob;
    uint8_t sha256[32], git_blob[20];
    uint64_t chunk_bytes;  /* 0: no piece digests */
    const uint8_t *chunks; /* n_chunks * 32 bytes, borrowed */
    size_t n_chunks;
    bool has_damaged;      /* a file of the right size lies under the name: its good pieces are taken from it */
    bool is_absent;        /* nothing lay under the name when the caller looked */
};

struct hold_fetch_result {
    uint8_t sha256[32];
    uint64_t size;
    uint64_t fetched_bytes; /* over the wire, all tries */
    uint64_t n_tries;
};

/* From what a dead life left to the published, proven file and its marker. 1: another fetcher of the folder was waited for or took
 * the file over; look at it again. Blocks; waits between tries on shared. Fails with a FETCH_* status or VERIFY_DIGEST, naming file,
 * try and last reason; the partial stays except when its bytes were wrong. */
HOLD_MUST int hold_fetch_run(struct hold_fetcher *fetcher, const struct hold_fetch_file *file, struct hold_fetch_result *ret_result,
                             struct hold_verdict *v);

/* The file is there: removes what a fetcher left beside it that died between publishing and cleaning. Never waits, never fails. */
void hold_fetch_tidy(struct hold_fetcher *fetcher, const struct hold_fetch_file *file);

/* Lends the caller's connection to a file that another thread's hold_fetch_run fetches in pieces, until nothing is left to
 * take of it or this connection is of no use. False when no file takes helpers now. Blocks. */
bool hold_fetch_help(struct hold_fetcher *fetcher);

/* A small document into out (its maximum bounds it), with the same tries; a web page and JSON that ends too early are failed ones.
 * ret_next: address of the Link header with rel="next" as it stands there, or "" (may be NULL; at least HOLD_URL_BYTES). Absent
 * on the server is FETCH_MISSING. */
#define HOLD_URL_BYTES 2048
HOLD_MUST int hold_fetch_text(struct hold_fetcher *fetcher, const char *url, const struct hold_fetch_auth *auth, struct hold_buf *out, char *ret_next,
                              struct hold_verdict *v);
/* The value of one header of the answer to HEAD, "" when it has none; with the same tries. A longer value than fits is "". */
HOLD_MUST int hold_fetch_header(struct hold_fetcher *fetcher, const char *url, const struct hold_fetch_auth *auth, const char *header, char *ret_value,
                                size_t value_bytes, struct hold_verdict *v);
/* True for printable ASCII without blanks: what may stand in a header. */
bool hold_token_is_plain(const char *token);

/* An address without user, password and query, for messages: they may hold secrets. */
void hold_url_shown(const char *url, char *out, size_t out_bytes);

/* One question to a dependency, without tries: true with "HTTP 200" or "connected in 3 ms", false with why not.
 * url: http, https, or tcp://host:port. Blocks at most timeout_ms. */
bool hold_fetch_ask(const char *url, const char *ca_file, uint64_t timeout_ms, char *answer, size_t answer_bytes);

/* One request, without tries: a GET, or with a body a POST of JSON. */
struct hold_fetch_talk {
    const char *url;     /* http or https */
    const char *ca_file; /* NULL: libcurl's own */
    const char *token;   /* bearer; NULL or "": none */
    const char *body;    /* NULL: GET */
    uint64_t timeout_ms;
};
/* The answer's status and its bytes, added to out, whose maximum bounds them. Blocks at most timeout_ms. Fails when there is no whole
 * answer. */
HOLD_MUST int hold_fetch_talk(const struct hold_fetch_talk *talk, int *ret_status, struct hold_buf *out, struct hold_err *err);

#endif
