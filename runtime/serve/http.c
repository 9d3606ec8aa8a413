/* http.c - requests and answers over libmicrohttpd. Floor: runtime/serve. The only includer of that library.
 *
 * The library runs on its own epoll descriptor without a thread. A call that waits for its answer is suspended, and a
 * suspended connection is not looked at; and of an upload whose last bytes and end came together it sees the bytes only. So
 * each client's descriptor also stands in our own set, and the end of its sending side counts as its leaving. */
#include "runtime/serve/http.h"

#include "base/auto.h"
#include "base/list.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SPARE_CONNECTIONS 64u /* places for newcomers while others are being shown out */

enum call_state {
    CALL_HEAD,    /* on_head runs */
    CALL_BODY,    /* the body comes */
    CALL_WAITING, /* on_request was called, no answer yet */
    CALL_READY,   /* an answer waits to be queued */
    CALL_STREAM,  /* an answer goes out piece by piece */
    CALL_DONE,    /* the library has the whole answer, or the client is gone */
};

/* One accepted connection. Those without a whole request stand in the order in which they began to wait. */
struct visitor {
    struct visitor *next, *prev;
    int fd;
    bool is_waiting, is_sent_off;
};

struct hold_call {
    struct hold_http *http;
    struct MHD_Connection *connection;
    struct visitor *visitor;
    struct hold_call *next, *prev;
    enum call_state state;
    bool is_suspended;
    bool is_gone;     /* the client left */
    bool is_whole;    /* head and body have come */
    bool is_finished; /* nothing more will be written to the stream */
    bool is_cut_off;  /* the answer goes out before the body is read: it is too long, or the client waits for a word */
    int watched_fd;   /* in http->epoll_fd, or -1 */
    char method[16];
    char path[HOLD_HTTP_MAX_PATH];
    struct hold_buf body; /* of the request */
    size_t charged_bytes; /* of the total for all bodies */
    struct hold_buf out;  /* the answer's body, or the part of a stream that waits */
    unsigned status, retry_after_s;
    const char *content_type;
    void *user;
};

struct hold_http {
    struct MHD_Daemon *daemon;
    int epoll_fd; /* ours: the library's epoll descriptor and the waiting clients */
    struct hold_http_limits limits;
    struct hold_http_ops ops;
    void *user;
    struct hold_call *calls;
    struct visitor *waiting, *last_waiting; /* longest first */
    size_t n_visitors, total_bytes;
    bool is_quiet;
};

/* ---- who may stay: a connection without a whole request gives way to a newcomer when all places are taken ---- */

static void stop_waiting(struct hold_http *http, struct visitor *v) {
    if (!v || !v->is_waiting)
        return;
    v->is_waiting = false;
    *(v->prev ? &v->prev->next : &http->waiting) = v->next;
    *(v->next ? &v->next->prev : &http->last_waiting) = v->prev;
    v->next = v->prev = NULL;
}

static void wait_in_line(struct hold_http *http, struct visitor *v) {
    if (!v || v->is_waiting || v->is_sent_off)
        return;
    v->is_waiting = true;
    v->prev = http->last_waiting;
    *(v->prev ? &v->prev->next : &http->waiting) = v;
    http->last_waiting = v;
}

static void make_room(struct hold_http *http) {
    struct visitor *v = http->waiting;
    if (http->n_visitors <= http->limits.max_connections || !v)
        return;
    stop_waiting(http, v);
    v->is_sent_off = true;
    (void) shutdown(v->fd, SHUT_RDWR); /* the library sees the end and closes it */
}

static void on_visitor(void *cls, struct MHD_Connection *connection, void **slot, enum MHD_ConnectionNotificationCode what) {
    struct hold_http *http = cls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct visitor *v = *slot;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        stop_waiting(http, v);
        http->n_visitors -= v != NULL;
        free(v);
        *slot = NULL;
        return;
    }
    if (!info || !(v = calloc(1, sizeof *v)))
        return; /* it stays uncounted, and the library's own limit holds */
    *v = (struct visitor) { .fd = info->connect_fd };
    http->n_visitors++;
    make_room(http);
    wait_in_line(http, v);
    *slot = v;
}

static struct visitor *visitor_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void watch(struct hold_call *call) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || call->watched_fd >= 0)
        return;
    struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = call };
    if (epoll_ctl(call->http->epoll_fd, EPOLL_CTL_ADD, info->connect_fd, &ev) == 0)
        call->watched_fd = info->connect_fd;
}

static void unwatch(struct hold_call *call) {
    if (call->watched_fd >= 0)
        (void) epoll_ctl(call->http->epoll_fd, EPOLL_CTL_DEL, call->watched_fd, NULL);
    call->watched_fd = -1;
}

static void resume(struct hold_call *call) {
    if (call->is_suspended) {
        call->is_suspended = false;
        MHD_resume_connection(call->connection);
    }
}

static void suspend(struct hold_call *call) {
    call->is_suspended = true;
    MHD_suspend_connection(call->connection);
}

/* The library asks for more of a stream. */
static ssize_t stream_reader(void *cls, uint64_t position, char *out, size_t max) {
    struct hold_call *call = cls;
    (void) position;

    if (call->is_gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (call->out.n > 0) {
        size_t n = HOLD_MIN(max, call->out.n);
        memcpy(out, call->out.data, n);
        hold_buf_consume(&call->out, n);
        return (ssize_t) n;
    }
    if (call->is_finished)
        return MHD_CONTENT_READER_END_OF_STREAM;
    suspend(call);
    return 0;
}

static void add_headers(struct hold_call *call, struct MHD_Response *response) {
    if (call->content_type)
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, call->content_type);
    if (call->retry_after_s) {
        char text[16];
        (void) snprintf(text, sizeof text, "%u", call->retry_after_s);
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, text);
    }
    if (call->status == MHD_HTTP_UNAUTHORIZED)
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (call->http->is_quiet)
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

/* Hands the answer to the library; called from within its handler. */
static enum MHD_Result queue_answer(struct hold_call *call) {
    struct MHD_Response *response;

    if (call->state == CALL_STREAM) {
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_reader, call, NULL);
    } else {
        size_t n = 0;
        char *body = hold_buf_take(&call->out, &n);
        response = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
        if (!response)
            free(body);
    }
    if (!response)
        return MHD_NO;
    add_headers(call, response);
    if (call->state == CALL_STREAM)
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    else
        call->state = CALL_DONE;
    enum MHD_Result queued = MHD_queue_response(call->connection, call->status, response);
    MHD_destroy_response(response);
    return queued;
}

/* The client's sending side has ended. */
static void see_end(struct hold_call *call) {
    struct epoll_event again = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = call };
    char byte;

    switch (call->state) {
    case CALL_HEAD:
    case CALL_BODY:
    case CALL_READY: /* the rest of a body is read that nobody wants */
        if (recv(call->watched_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) /* the library has not read it all */
            (void) epoll_ctl(call->http->epoll_fd, EPOLL_CTL_MOD, call->watched_fd, &again);
        else
            (void) shutdown(call->watched_fd, SHUT_RDWR); /* an event that the library does see */
        return;
    case CALL_WAITING:
    case CALL_STREAM:
        call->is_gone = true;
        unwatch(call);
        resume(call);
        return;
    case CALL_DONE: return; /* it may still read */
    }
}

static struct hold_call *call_new(struct hold_http *http, struct MHD_Connection *connection, const char *method, const char *path) {
    struct hold_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    *call = (struct hold_call) { .http = http, .connection = connection, .visitor = visitor_of(connection), .watched_fd = -1,
                                .next = http->calls };
    call->body = hold_buf_with_max(http->limits.max_body_bytes + 1);
    call->out = hold_buf_with_max(HOLD_HTTP_STREAM_BYTES);
    (void) snprintf(call->method, sizeof call->method, "%s", method);
    (void) snprintf(call->path, sizeof call->path, "%s", path);
    if (http->calls)
        http->calls->prev = call;
    http->calls = call;
    watch(call);
    return call;
}

static void call_free(struct hold_call *call) {
    struct hold_http *http = call->http;

    unwatch(call);
    http->ops.on_end(http->user, call);
    wait_in_line(http, call->visitor);
    if (call->prev)
        call->prev->next = call->next;
    else
        http->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    http->total_bytes -= call->charged_bytes;
    hold_buf_release(&call->body);
    hold_buf_release(&call->out);
    free(call);
}

static void refuse(struct hold_call *call, unsigned status, const char *type, const char *message) {
    hold_autobuf text = hold_buf_with_max(1024);
    hold_buf_adds(&text, "{\"error\":{\"message\":");
    hold_buf_add_json(&text, message, strlen(message));
    hold_buf_addf(&text, ",\"type\":\"%s\",\"param\":null,\"code\":%u}}", type, status);
    hold_call_answer(call, status, "application/json", status == MHD_HTTP_SERVICE_UNAVAILABLE ? 1 : 0, text.data, text.n);
}

struct lengths {
    unsigned n_lengths, n_encodings;
    const char *length;
    bool is_odd; /* a name or value that another reader might understand differently */
};

static enum MHD_Result count_lengths(void *cls, enum MHD_ValueKind kind, const char *key, size_t n_key, const char *value, size_t n_value) {
    struct lengths *seen = cls;
    (void) kind;
    if (!key || n_key == 0 || strcspn(key, " \t\r\n\v\f") != n_key || (value && strcspn(value, "\r\n") != n_value)) {
        seen->is_odd = true;
        return MHD_YES;
    }
    if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        seen->n_lengths++;
        seen->length = value;
    }
    if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0)
        seen->n_encodings++;
    return MHD_YES;
}

/* Framing that two readers could understand differently is refused, and so is a body beyond the limits. The library has
 * checked that a Content-Length is a number. */
static void judge_body(struct hold_call *call) {
    struct hold_http *http = call->http;
    struct lengths seen = { 0 };

    (void) MHD_get_connection_values_n(call->connection, MHD_HEADER_KIND, count_lengths, &seen);
    if (seen.is_odd) {
        refuse(call, MHD_HTTP_BAD_REQUEST, "BadRequestError", "a header's name or value has a byte that does not belong there");
        call->is_cut_off = true;
        return;
    }
    if (seen.n_lengths > 1 || (seen.n_lengths && seen.n_encodings)) {
        refuse(call, MHD_HTTP_BAD_REQUEST, "BadRequestError", "conflicting lengths: one Content-Length and no Transfer-Encoding is accepted");
        call->is_cut_off = true;
        return;
    }
    if (seen.n_encodings) {
        refuse(call, MHD_HTTP_LENGTH_REQUIRED, "BadRequestError", "a body needs a Content-Length; Transfer-Encoding is not accepted");
        call->is_cut_off = true;
        return;
    }
    size_t n = seen.length ? (size_t) strtoull(seen.length, NULL, 10) : 0;
    call->is_cut_off = n > 2 * http->limits.max_body_bytes || hold_call_header(call, MHD_HTTP_HEADER_EXPECT);
    if (call->state != CALL_HEAD)
        return;
    if (n > http->limits.max_body_bytes) {
        char text[128];
        (void) snprintf(text, sizeof text, "the body has %zu bytes, the limit is %zu", n, http->limits.max_body_bytes);
        refuse(call, MHD_HTTP_CONTENT_TOO_LARGE, "RequestEntityTooLarge", text);
        return;
    }
    if (n > http->limits.max_total_bytes - HOLD_MIN(http->limits.max_total_bytes, http->total_bytes)) {
        refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailableError", "too many bytes of other requests are on their way");
        return;
    }
    call->charged_bytes = n;
    http->total_bytes += n;
}

/* What the library calls for a request: once for the head, once for each piece of body, then until there is an answer. */
static enum MHD_Result on_library(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n_data, void **slot) {
    struct hold_http *http = cls;
    struct hold_call *call = *slot;
    (void) version;

    if (!call) {
        call = *slot = call_new(http, connection, method, url);
        if (!call)
            return MHD_NO;
        if (strlen(url) >= HOLD_HTTP_MAX_PATH)
            refuse(call, MHD_HTTP_URI_TOO_LONG, "BadRequestError", "the path is too long");
        if (call->state == CALL_HEAD)
            http->ops.on_head(http->user, call);
        judge_body(call);
        if (call->state == CALL_HEAD)
            call->state = CALL_BODY;
        return call->state == CALL_READY && call->is_cut_off ? queue_answer(call) : MHD_YES;
    }
    if (call->is_gone)
        return MHD_NO;
    if (*n_data > 0) {
        if (call->state == CALL_BODY) /* else the answer is known, and the rest is read only so that the client gets to hear it */
            hold_buf_add(&call->body, data, *n_data);
        *n_data = 0;
        return call->body.failed ? MHD_NO : MHD_YES;
    }
    call->is_whole = true;
    if (call->state == CALL_BODY) {
        call->state = CALL_WAITING;
        stop_waiting(http, call->visitor);
        hold_buf_add(&call->body, "", 0);
        http->ops.on_request(http->user, call, call->body.data ? call->body.data : "", call->body.n);
        if (call->state == CALL_WAITING) {
            suspend(call);
            return MHD_YES;
        }
    }
    if (call->state == CALL_READY)
        return queue_answer(call);
    if (call->state == CALL_STREAM)
        return queue_answer(call);
    return MHD_YES;
}

static void on_library_end(void *cls, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode why) {
    struct hold_call *call = *slot;
    (void) cls;
    (void) connection;
    (void) why;
    *slot = NULL;
    if (call)
        call_free(call);
}

/* %00 would end the path early for us and not for others: such a path stays as it came, and is unknown. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *text) {
    (void) cls;
    (void) connection;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

int hold_http_open(int listen_fd, const struct hold_http_limits *limits, const struct hold_http_ops *ops, void *user,
                   struct hold_http **ret_http, struct hold_err *err) {
    hold_autofd own_listen = listen_fd;
    hold_autofree struct hold_http *http = calloc(1, sizeof *http);
    if (!http)
        return hold_fail(err, HOLD_E_LIMIT, 0, "http: out of memory");
    *http = (struct hold_http) { .limits = *limits, .ops = *ops, .user = user };

    hold_autofd epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "http: epoll");
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_library, http,
                                    MHD_OPTION_LISTEN_SOCKET, own_listen, MHD_OPTION_NOTIFY_COMPLETED, on_library_end, NULL,
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) 32768, MHD_OPTION_CONNECTION_LIMIT,
                                    limits->max_connections + SPARE_CONNECTIONS, MHD_OPTION_NOTIFY_CONNECTION, on_visitor, http,
                                    MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_CONNECTION_TIMEOUT, limits->idle_s,
                                    MHD_OPTION_END);
    if (!http->daemon)
        return hold_fail(err, HOLD_E_IO, errno, "http: the library does not start on the socket");
    (void) hold_take_fd(&own_listen);

    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct epoll_event ev = { .events = EPOLLIN };
    if (!info || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, info->epoll_fd, &ev) < 0) {
        MHD_stop_daemon(http->daemon);
        return hold_fail(err, HOLD_E_IO, errno, "http: epoll of the library");
    }
    http->epoll_fd = hold_take_fd(&epoll_fd);
    *ret_http = hold_take_ptr(&http);
    return 0;
}

void hold_http_close(struct hold_http **slot) {
    struct hold_http *http = *slot;
    if (!http)
        return;
    for (struct hold_call *call = http->calls; call; call = call->next) {
        call->is_gone = true;
        resume(call);
    }
    MHD_stop_daemon(http->daemon);
    close(http->epoll_fd);
    free(http);
    *slot = NULL;
}

int hold_http_fd(const struct hold_http *http) {
    return http->epoll_fd;
}

int hold_http_timeout_ms(const struct hold_http *http) {
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(http->daemon, &ms) != MHD_YES)
        return -1;
    return ms > 60000 ? 60000 : (int) ms;
}

void hold_http_run(struct hold_http *http) {
    struct epoll_event events[64];
    int n = epoll_wait(http->epoll_fd, events, HOLD_COUNT_OF(events), 0);

    for (int i = 0; i < n; i++) {
        struct hold_call *call = events[i].data.ptr;
        if (!call)
            continue; /* the library's own */
        see_end(call);
    }
    (void) MHD_run(http->daemon);
}

void hold_http_quiesce(struct hold_http *http) {
    http->is_quiet = true;
}

size_t hold_http_live(const struct hold_http *http) {
    size_t n = 0;
    for (const struct hold_call *call = http->calls; call; call = call->next)
        n += call->is_whole || call->state == CALL_DONE;
    return n;
}

size_t hold_http_working(const struct hold_http *http) {
    size_t n = 0;
    for (const struct hold_call *call = http->calls; call; call = call->next)
        n += call->state == CALL_WAITING || call->state == CALL_READY || (call->state == CALL_STREAM && !call->is_finished);
    return n;
}

const char *hold_call_method(const struct hold_call *call) {
    return call->method;
}

const char *hold_call_path(const struct hold_call *call) {
    return call->path;
}

const char *hold_call_header(const struct hold_call *call, const char *name) {
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

void *hold_call_user(const struct hold_call *call) {
    return call->user;
}

void hold_call_set_user(struct hold_call *call, void *user) {
    call->user = user;
}

void hold_call_answer(struct hold_call *call, unsigned status, const char *content_type, unsigned retry_after_s, const char *body,
                      size_t n) {
    if (call->state != CALL_HEAD && call->state != CALL_WAITING)
        return;
    call->out = hold_buf_with_max(n + 1);
    hold_buf_add(&call->out, body, n);
    call->status = status;
    call->content_type = content_type;
    call->retry_after_s = retry_after_s;
    call->state = CALL_READY;
    resume(call);
}

bool hold_call_is_answered(const struct hold_call *call) {
    return call->state >= CALL_READY;
}

void hold_call_stream(struct hold_call *call) {
    if (call->state != CALL_WAITING)
        return;
    call->status = MHD_HTTP_OK;
    call->content_type = "text/event-stream; charset=utf-8";
    call->state = CALL_STREAM;
    resume(call);
}

bool hold_call_write(struct hold_call *call, const char *bytes, size_t n) {
    if (call->state != CALL_STREAM || call->is_finished || n > call->out.max_bytes - call->out.n)
        return false;
    hold_buf_add(&call->out, bytes, n);
    resume(call);
    return !call->out.failed;
}

void hold_call_finish(struct hold_call *call) {
    if (call->state != CALL_STREAM)
        return;
    call->is_finished = true;
    resume(call);
}
