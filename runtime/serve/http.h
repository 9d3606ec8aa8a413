/* http.h - connections, their limits, requests in and answers out. Floor: runtime/serve. http.c is the only includer of the
 * HTTP library (docs/DECISIONS.md says which, and why).
 *
 * One thread: everything happens inside hold_http_run, which the front's loop calls when hold_http_fd is readable or
 * hold_http_timeout_ms has passed. A request is a hold_call: on_head decides whether its body is wanted, on_request gets it whole,
 * on_end is the last that is heard of it. Answers may come at any time between. */
#ifndef HOLD_RUNTIME_SERVE_HTTP_H
#define HOLD_RUNTIME_SERVE_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_HTTP_MAX_PATH 256u
#define HOLD_HTTP_STREAM_BYTES (4u << 20) /* what a stream may hold for a client that reads slowly */

struct hold_http;
struct hold_call;

struct hold_http_limits {
    size_t max_body_bytes;  /* of one request: more is 413 */
    size_t max_total_bytes; /* of all bodies together: more is 503 with Retry-After */
    uint32_t max_connections; /* beyond it the one that has waited longest without a whole request is closed for a newcomer */
    uint32_t idle_s; /* a connection that neither sends nor takes a byte for so long is closed */
};

struct hold_http_ops {
    /* Request line and headers are there. Answer now, or do nothing to have the body read. */
    void (*on_head)(void *user, struct hold_call *call);
    /* The whole body is there (n may be 0), terminated with a zero; it lives until on_end. */
    void (*on_request)(void *user, struct hold_call *call, const char *body, size_t n);
    /* Exactly once for each call that on_head saw: the answer is out, or the client is gone. Afterwards the call is too. */
    void (*on_end)(void *user, struct hold_call *call);
};

/* Serves on listen_fd, which becomes the library's to close. Fails with IO when the library refuses. */
HOLD_MUST int hold_http_open(int listen_fd, const struct hold_http_limits *limits, const struct hold_http_ops *ops, void *user,
                             struct hold_http **ret_http, struct hold_err *err);
/* Cuts what is still open; on_end is called for it. Accepts NULL in *http. */
void hold_http_close(struct hold_http **http);
int hold_http_fd(const struct hold_http *http);
/* Milliseconds until hold_http_run is due without the descriptor, or -1. */
int hold_http_timeout_ms(const struct hold_http *http);
void hold_http_run(struct hold_http *http);
/* From now on answers carry `Connection: close`. Connections are still taken, so that whoever comes is told where things
 * stand instead of waiting in the backlog of a socket that another process holds open. */
void hold_http_quiesce(struct hold_http *http);
/* Requests that have come whole and whose answer is not out yet. */
size_t hold_http_live(const struct hold_http *http);
/* Those of them that are ours to finish: the request is whole and the answer is not. The rest waits for its client. */
size_t hold_http_working(const struct hold_http *http);

const char *hold_call_method(const struct hold_call *call);
const char *hold_call_path(const struct hold_call *call); /* without the query */
/* The value of a request header, or NULL; valid in on_head only. */
const char *hold_call_header(const struct hold_call *call, const char *name);
void *hold_call_user(const struct hold_call *call);
void hold_call_set_user(struct hold_call *call, void *user);

/* One whole answer; body is copied. retry_after_s 0: no such header. content_type NULL: none (an empty body).
 * Once a call; a second answer, or one after a stream began, is ignored. */
void hold_call_answer(struct hold_call *call, unsigned status, const char *content_type, unsigned retry_after_s, const char *body,
                      size_t n);
bool hold_call_is_answered(const struct hold_call *call);

/* Status 200 and an open body of server-sent events; write appends to it, finish ends it when everything is out. */
void hold_call_stream(struct hold_call *call);
/* False when the client reads so slowly that HOLD_HTTP_STREAM_BYTES wait for it: nothing was added, the caller gives up
 * and calls hold_call_finish. */
HOLD_MUST bool hold_call_write(struct hold_call *call, const char *bytes, size_t n);
void hold_call_finish(struct hold_call *call);

#endif
