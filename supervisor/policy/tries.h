/* tries.h - how one try at a file ended, and whether another follows. Floor: supervisor/policy, pure.
 *
 * A try and three more in a row that brought less than 1 MiB end a file; one that brought more starts the count anew. So an
 * origin that drops three connections, or says "busy" three times, is still outlived. What counts as brought is the distance by which the furthest byte ever reached moved on, so a server that lets us begin
 * again and again at byte 0 does not keep us for ever. */
#ifndef HOLD_SUPERVISOR_POLICY_TRIES_H
#define HOLD_SUPERVISOR_POLICY_TRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_TRY_PROGRESS_BYTES (UINT64_C(1) << 20)

/* X(ID, retry, restart, EXIT): whether another try can help, whether it begins at byte 0, the exit status of a file that ends so. */
#define HOLD_TRY_LIST(X)                                                                       \
    X(DONE, 0, 0, OK)                                                                          \
    X(DNS, 1, 0, FETCH_DNS)          /* the name does not resolve: often true only for a pod's first seconds */ \
    X(TLS, 0, 0, FETCH_TLS)          /* the certificate is not trusted */                      \
    X(NET, 1, 0, FETCH_NET)          /* refused, reset, cut, timed out, protocol broken */     \
    X(STALL, 1, 0, FETCH_STALL)      /* too few bytes in the window */                         \
    X(DENIED, 0, 0, FETCH_DENIED)    /* 401, 403, 451 */                                       \
    X(EXPIRED, 1, 0, FETCH_DENIED)   /* 403 behind a redirect: a signed address ran out; asking again makes a new one */ \
    X(PROXY, 0, 0, FETCH_PROXY)      /* 407, or a proxy that does not let us through */       \
    X(MISSING, 0, 0, FETCH_MISSING)  /* 404, 410 */                                            \
    X(BUSY, 1, 0, FETCH_BUSY)        /* 429 */                                                 \
    X(SERVER, 1, 0, FETCH_SERVER)    /* 408, 425, 5xx */                                       \
    X(REFUSED, 0, 0, FETCH)          /* any other status, too many redirects, unusable address */ \
    X(RANGE, 1, 1, FETCH_RANGE)      /* 416, or a 206 that is not what was asked for */        \
    X(CHANGED, 1, 1, FETCH_CHANGED)  /* another version than the one begun with */             \
    X(SIZE, 1, 1, FETCH_SIZE)        /* complete, and not of the size wanted */                \
    X(DIGEST, 1, 1, VERIFY_DIGEST)   /* complete, of the right size, and wrong */              \
    X(FORMAT, 1, 1, FETCH_FORMAT)    /* a web page or a git-lfs pointer instead of the file */ \
    X(SPACE, 0, 0, FETCH_SPACE)                                                                \
    X(QUOTA, 0, 0, FETCH_QUOTA)                                                                \
    X(READONLY, 0, 0, FETCH_READONLY)                                                          \
    X(WRITE, 0, 0, FETCH_WRITE)                                                                \
    X(DEADLINE, 0, 0, FETCH_DEADLINE)                                                          \
    X(INTERNAL, 0, 0, INTERNAL)                                                                \
    X(STOPPED, 0, 0, FETCH)          /* another file ended the errand */

enum hold_try_end {
#define X(id, retry, restart, status) HOLD_TRY_##id,
    HOLD_TRY_LIST(X)
#undef X
    HOLD_TRY_COUNT
};

const char *hold_try_name(enum hold_try_end end);
int hold_try_status(enum hold_try_end end); /* of base/exit.def */
/* The end that an HTTP status above 299, or 3xx that was not followed, means. */
enum hold_try_end hold_try_of_http(long http_status, bool was_redirected);

struct hold_tries {
    uint32_t max_in_row; /* 4 */
    uint64_t first_ms, max_ms;   /* back-off */
    uint64_t max_retry_after_ms; /* an absurd Retry-After is cut to this */
    /* state */
    uint32_t in_row;     /* failed tries in a row so far */
    uint64_t furthest;   /* the furthest byte ever reached */
    uint64_t n_tries;
};

struct hold_try_next {
    bool again;
    bool from_zero;
    uint64_t delay_ms; /* 0 to max_ms, or what Retry-After asked for */
};

/* Folds one failed try (end is not DONE). reached: bytes now in hand. retry_after_ms: 0 when none was sent. random: 32
 * random bits; the delay is between half and whole of first_ms * 2^(in_row - 1), so that many pods do not come back as one. */
struct hold_try_next hold_tries_fold(struct hold_tries *tries, enum hold_try_end end, uint64_t reached, uint64_t retry_after_ms, uint32_t random);

/* "bytes 100-199/1234" or with "*" as total (UINT64_MAX). False when it is anything else or inconsistent. */
bool hold_content_range(const char *text, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_total);
/* The address with rel="next" in a Link header (RFC 8288; rel quoted or not, one word or several), as it stands there: it may be
 * relative. False when there is none or it does not fit. */
bool hold_link_next(const char *text, char *out, size_t out_bytes);
/* What the first bytes of a body show: a web page, or a git-lfs pointer. n may be anything; 64 bytes decide. */
bool hold_looks_like_page(const uint8_t *bytes, size_t n);
bool hold_looks_like_pointer(const uint8_t *bytes, size_t n);
/* The sentence in the body of an error answer: "Code: Message" of a store's XML, "Message", "message" or "error" of JSON, as
 * printable text of one line, cut at out_bytes; "" when there is none. */
void hold_error_sentence(const uint8_t *bytes, size_t n, char *out, size_t out_bytes);
/* The end that a failure of writing means, by its exit status. */
enum hold_try_end hold_try_of_write(int exit_status);

#endif
