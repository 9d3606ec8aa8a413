/* status.c - the status server: connections in and answers out, all bounded. Floor: supervisor/host. */
#include "supervisor/host/status.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/num.h"
#include "status_page.h"
#include "supervisor/host/address.h"
#include "supervisor/host/view.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Also bounds what a page may become: status with every member and phase is below 64 KiB. */
#define ANSWER_BYTES ((size_t) 256 << 10)
/* Of bytes that a client sends behind its head; more and it is dropped. */
#define WASTE_BYTES 65536
#define REST_MS 200
#define SOCKET_NAME "holdfast.sock"

enum conn_step { CONN_LINE = 1, CONN_HEAD, CONN_SENDING, CONN_CLOSING };

enum { TCP, UNIX, LISTENERS };

static const char *const path_names[HOLD_STATUS_PATH_COUNT] = {
    [HOLD_STATUS_NONE] = "", [HOLD_STATUS_LIVEZ] = "/livez", [HOLD_STATUS_READYZ] = "/readyz",
    [HOLD_STATUS_STARTUPZ] = "/startupz", [HOLD_STATUS_STATUS] = "/status", [HOLD_STATUS_METRICS] = "/metrics", [HOLD_STATUS_PAGE] = "/",
};

const char *hold_status_path_name(enum hold_status_path p) {
    return hold_name_at(path_names, HOLD_COUNT_OF(path_names), (size_t) p);
}

/* ---- pure: the request line, the verdicts ---- */

static bool word_is(const char *at, size_t n, const char *word) {
    return strlen(word) == n && memcmp(at, word, n) == 0;
}

int hold_status_parse(const char *line, size_t n, enum hold_status_path *ret_path, bool *ret_head_only) {
    *ret_path = HOLD_STATUS_NONE;
    *ret_head_only = false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char) line[i] < 0x20 || (unsigned char) line[i] >= 0x7f)
            return 400;
    const char *first = memchr(line, ' ', n);
    const char *last = memrchr(line, ' ', n);
    if (!first || first == last || first == line)
        return 400;
    const char *version = last + 1;
    const size_t version_bytes = n - (size_t) (version - line);
    if (!word_is(version, version_bytes, "HTTP/1.1") && !word_is(version, version_bytes, "HTTP/1.0"))
        return version_bytes > 5 && memcmp(version, "HTTP/", 5) == 0 ? 505 : 400;
    const size_t method_bytes = (size_t) (first - line);
    *ret_head_only = word_is(line, method_bytes, "HEAD");
    if (!*ret_head_only && !word_is(line, method_bytes, "GET"))
        return 405;
    const char *path = first + 1;
    if (last - path > 7 && memcmp(path, "http://", 7) == 0) { /* the form for proxies, which every server must take */
        const char *host = path + 7;
        path = memchr(host, '/', (size_t) (last - host));
        if (!path)
            return 404;
    }
    size_t path_bytes = (size_t) (last - path);
    const char *query = memchr(path, '?', path_bytes);
    if (query)
        path_bytes = (size_t) (query - path);
    for (int p = 1; p < HOLD_STATUS_PATH_COUNT; p++)
        if (word_is(path, path_bytes, path_names[p])) {
            *ret_path = (enum hold_status_path) p;
            return 200;
        }
    return 404;
}

/* The least ready member, or NULL. */
static const struct hold_view_member *weakest(const struct hold_view *v) {
    for (uint32_t i = 0; i < v->n_members; i++)
        if (v->members[i].state != HOLD_MEMBER_READY)
            return &v->members[i];
    return NULL;
}

int hold_status_probe(enum hold_status_path p, const struct hold_view *view, char *ret_why, size_t why_bytes) {
    /* Alive is whoever answers here and does not know of something that only another container can cure. */
    if (p == HOLD_STATUS_LIVEZ) {
        const bool is_lost = strcmp(view->action, "new-pod") == 0 || strcmp(view->action, "new-node") == 0;
        const bool is_live = !is_lost || view->is_ready;
        snprintf(ret_why, why_bytes, is_live ? "live: phase %s" : "not live: %s (%s)", is_live ? view->phase : view->cause, view->action);
        return is_live ? 200 : 503;
    }
    /* A start whose verdict is held is over: who asks about it for ever ends what was to stay. */
    const bool is_over = view->is_started || view->container == HOLD_CONTAINER_HELD;
    const bool yes = p == HOLD_STATUS_STARTUPZ ? is_over : view->is_ready && !view->is_stopping;
    if (yes) {
        snprintf(ret_why, why_bytes, p != HOLD_STATUS_STARTUPZ ? "ready" : view->is_started ? "started" : "held: the start is over");
        return 200;
    }
    int n = snprintf(ret_why, why_bytes, "%s: phase %s", p == HOLD_STATUS_STARTUPZ ? "not started" : "not ready", view->phase);
    const struct hold_view_member *m = weakest(view);
    if (n > 0 && (size_t) n < why_bytes && m && view->container == HOLD_CONTAINER_UP)
        n += snprintf(ret_why + n, why_bytes - (size_t) n, ", %s is %s", m->name, hold_member_state_name(m->state));
    if (n > 0 && (size_t) n < why_bytes && view->waits_for[0] != '\0')
        n += snprintf(ret_why + n, why_bytes - (size_t) n, ", waits for %s", view->waits_for);
    if (n > 0 && (size_t) n < why_bytes && view->cause[0] != '\0')
        snprintf(ret_why + n, why_bytes - (size_t) n, ", %s", view->cause);
    return 503;
}

/* ---- answers ---- */

static const char *reason(int status) {
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 414: return "URI Too Long";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Error";
    }
}

static void put_answer(struct hold_status_conn *c, int status, const char *type, const char *body, size_t n, bool head_only) {
    hold_buf_addf(&c->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\nCache-Control: no-store\r\n"
                  "X-Content-Type-Options: nosniff\r\n%s%s\r\n",
                  status, reason(status), type, n, status == 405 ? "Allow: GET, HEAD\r\n" : "",
                  strncmp(type, "text/html", 9) == 0
                      ? "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:\r\n"
                      : "");
    if (!head_only)
        hold_buf_add(&c->out, body, n);
}

static void put_line(struct hold_status_conn *c, int status, const char *text, bool head_only) {
    hold_autobuf body = hold_buf_with_max(1024);
    hold_buf_addf(&body, "%s\n", text);
    put_answer(c, status, "text/plain; charset=utf-8", body.data, body.n, head_only);
}

static void make_answer(struct hold_status *s, struct hold_status_conn *c, const struct hold_view *view) {
    enum hold_status_path path;
    bool head_only;
    int status = hold_status_parse(c->line, c->n_line, &path, &head_only);
    char why[512];
    c->out = hold_buf_with_max(ANSWER_BYTES);
    if (status != 200) {
        put_line(c, status, reason(status), head_only);
    } else if (path == HOLD_STATUS_STATUS || path == HOLD_STATUS_METRICS) {
        hold_autobuf body = hold_buf_with_max(ANSWER_BYTES / 2);
        if (path == HOLD_STATUS_STATUS)
            hold_status_json(view, &body);
        else
            hold_status_metrics(view, s, &body);
        put_answer(c, 200, path == HOLD_STATUS_STATUS ? "application/json" : "text/plain; version=0.0.4; charset=utf-8",
                   body.data ? body.data : "", body.n, head_only);
    } else if (path == HOLD_STATUS_PAGE) {
        put_answer(c, 200, "text/html; charset=utf-8", (const char *) hold_status_page, sizeof hold_status_page, head_only);
    } else {
        status = hold_status_probe(path, view, why, sizeof why);
        put_line(c, status, why, head_only);
    }
    s->n_requests[path][status == 200 ? 0 : 1]++;
    c->step = CONN_SENDING;
}

/* ---- connections ---- */

static uint64_t tag_of(int listener, int conn) {
    return (uint64_t) listener << 16 | (uint64_t) conn;
}

#define TAG_LISTEN 0xffff

static void conn_close(struct hold_status_conn *c) {
    hold_close_fd(&c->fd);
    hold_buf_release(&c->out);
    c->step = 0;
}

static void conn_wants(struct hold_status *s, struct hold_status_conn *c, int listener, uint32_t events) {
    struct epoll_event e = { .events = events, .data.u64 = tag_of(listener, (int) (c - s->listener[listener].conn)) };
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, c->fd, &e) < 0)
        conn_close(c);
}

/* Free, or the one whose time ends first: whoever is slow gives way. */
static struct hold_status_conn *place_for(struct hold_status *s, struct hold_status_listener *l) {
    struct hold_status_conn *oldest = &l->conn[0];
    for (int i = 0; i < HOLD_STATUS_CONNS; i++) {
        if (l->conn[i].fd < 0)
            return &l->conn[i];
        if (l->conn[i].until_ms < oldest->until_ms)
            oldest = &l->conn[i];
    }
    conn_close(oldest);
    s->n_dropped++;
    return oldest;
}

static void rest(struct hold_status *s, int listener, uint64_t until_ms) {
    struct hold_status_listener *l = &s->listener[listener];
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = tag_of(listener, TAG_LISTEN) };
    if (epoll_ctl(s->epoll_fd, until_ms != 0 ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, l->fd, &e) == 0)
        l->rests_until_ms = until_ms;
}

/* Takes a few waiting connections; the rest waits for the next turn, so that a storm cannot hold the loop. */
static void accept_some(struct hold_status *s, int listener, uint64_t now_ms) {
    struct hold_status_listener *l = &s->listener[listener];
    for (int i = 0; i < HOLD_STATUS_CONNS; i++) {
        hold_autofd fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            rest(s, listener, now_ms + REST_MS); /* the one who waits would wake us again and again */
        if (fd < 0)
            return;
        struct hold_status_conn *c = place_for(s, l);
        struct epoll_event e = { .events = EPOLLIN, .data.u64 = tag_of(listener, (int) (c - l->conn)) };
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
            continue;
        c->fd = hold_take_fd(&fd);
        c->step = CONN_LINE;
        c->until_ms = now_ms + HOLD_STATUS_LIFE_MS;
        c->n_line = c->n_head = c->sent = 0;
        c->tail = 0;
    }
}

/* One byte of the head. Returns 0: go on, 1: the head is whole, else the status to refuse with. */
static int head_byte(struct hold_status_conn *c, char byte) {
    if (++c->n_head > HOLD_STATUS_HEAD_BYTES)
        return 431;
    if (c->step == CONN_LINE) {
        if (byte == '\n') {
            if (c->n_line > 0 && c->line[c->n_line - 1] == '\r')
                c->n_line--;
            if (c->n_line == 0) /* an empty line before the request is none */
                return 0;
            c->step = CONN_HEAD;
            c->tail = 1;
            return c->n_line > HOLD_STATUS_LINE_BYTES ? 414 : 0;
        }
        if (c->n_line >= sizeof c->line)
            return 414;
        c->line[c->n_line++] = byte;
        return 0;
    }
    if (byte == '\n')
        return c->tail == 1 ? 1 : (int) (c->tail = 1, 0);
    if (byte != '\r')
        c->tail = 0;
    return 0;
}

static void conn_send(struct hold_status *s, struct hold_status_conn *c, int listener) {
    while (c->sent < c->out.n) {
        const ssize_t n = send(c->fd, c->out.data + c->sent, c->out.n - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            conn_wants(s, c, listener, EPOLLOUT);
            return;
        }
        if (n < 0) {
            conn_close(c);
            return;
        }
        c->sent += (size_t) n;
    }
    /* Half closed, then read until the peer closes: with unread bytes a close would reset the answer on its way. */
    hold_buf_release(&c->out);
    c->step = CONN_CLOSING;
    c->n_head = 0;
    if (shutdown(c->fd, SHUT_WR) < 0)
        conn_close(c);
    else
        conn_wants(s, c, listener, EPOLLIN);
}

static void conn_read(struct hold_status *s, struct hold_status_conn *c, int listener, const struct hold_view *view) {
    char bytes[2048];
    for (;;) {
        const ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            s->n_dropped += c->step != CONN_CLOSING;
            conn_close(c);
            return;
        }
        if (c->step == CONN_CLOSING) {
            c->n_head += (size_t) n;
            if (c->n_head > WASTE_BYTES) {
                conn_close(c);
                return;
            }
            continue;
        }
        for (ssize_t i = 0; i < n; i++) {
            const int verdict = head_byte(c, bytes[i]);
            if (verdict == 0)
                continue;
            if (verdict == 1) {
                make_answer(s, c, view);
            } else {
                c->out = hold_buf_with_max(ANSWER_BYTES);
                put_line(c, verdict, reason(verdict), false);
                s->n_requests[HOLD_STATUS_NONE][1]++;
                c->step = CONN_SENDING;
            }
            conn_send(s, c, listener);
            return;
        }
    }
}

void hold_status_on_ready(struct hold_status *s, const struct hold_view *view, uint64_t now_ms) {
    struct epoll_event events[2 * HOLD_STATUS_CONNS];
    const int n = epoll_wait(s->epoll_fd, events, (int) HOLD_COUNT_OF(events), 0);
    for (int i = 0; i < n; i++) {
        const int listener = (int) (events[i].data.u64 >> 16) & 1;
        const uint64_t which = events[i].data.u64 & 0xffff;
        if (which == TAG_LISTEN)
            continue;
        struct hold_status_conn *c = &s->listener[listener].conn[which];
        if (c->fd < 0)
            continue;
        if (c->step == CONN_SENDING)
            conn_send(s, c, listener);
        else
            conn_read(s, c, listener, view);
    }
    /* New ones last: a place that is given up here cannot be mistaken for one in the list above. */
    for (int i = 0; i < n; i++)
        if ((events[i].data.u64 & 0xffff) == TAG_LISTEN)
            accept_some(s, (int) (events[i].data.u64 >> 16) & 1, now_ms);
}

uint64_t hold_status_deadline_ms(const struct hold_status *s) {
    uint64_t first = UINT64_MAX;
    for (int l = 0; l < LISTENERS; l++) {
        if (s->listener[l].rests_until_ms != 0)
            first = HOLD_MIN(first, s->listener[l].rests_until_ms);
        for (int i = 0; i < HOLD_STATUS_CONNS; i++)
            if (s->listener[l].conn[i].fd >= 0)
                first = HOLD_MIN(first, s->listener[l].conn[i].until_ms);
    }
    return first;
}

void hold_status_on_time(struct hold_status *s, uint64_t now_ms) {
    for (int l = 0; l < LISTENERS; l++) {
        for (int i = 0; i < HOLD_STATUS_CONNS; i++) {
            struct hold_status_conn *c = &s->listener[l].conn[i];
            if (c->fd >= 0 && now_ms >= c->until_ms) {
                s->n_dropped += c->step != CONN_CLOSING;
                conn_close(c);
            }
        }
        if (s->listener[l].rests_until_ms != 0 && now_ms >= s->listener[l].rests_until_ms)
            rest(s, l, 0);
    }
}

/* ---- opening ---- */

int hold_status_open(struct hold_status *s, struct hold_err *err) {
    *s = (struct hold_status) { .epoll_fd = -1 };
    for (int l = 0; l < LISTENERS; l++) {
        s->listener[l].fd = -1;
        for (int i = 0; i < HOLD_STATUS_CONNS; i++)
            s->listener[l].conn[i].fd = -1;
    }
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "epoll of the status server");
    return 0;
}

static int start_listening(struct hold_status *s, int listener, int *fd, const char *what, struct hold_err *err) {
    if (listen(*fd, 64) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "listen on '%s' (free it, or choose another address)", what);
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = tag_of(listener, TAG_LISTEN) };
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, *fd, &e) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "watch '%s'", what);
    s->listener[listener].fd = hold_take_fd(fd);
    return 0;
}

/* "[HOST]:PORT", "HOST:PORT" or ":PORT" with a numeric host; the empty host is [::]. */
int hold_status_listen(struct hold_status *s, const char *address, struct hold_err *err) {
    hold_autofd fd = -1;
    if (hold_address_bind(address, &fd, err) < 0)
        return -1;
    return start_listening(s, TCP, &fd, address, err);
}

int hold_status_listen_unix(struct hold_status *s, const char *folder, struct hold_err *err) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const int n = snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", folder, SOCKET_NAME);
    if (n < 0 || (size_t) n >= sizeof a.sun_path)
        return hold_fail(err, HOLD_E_LIMIT, 0, "state folder '%s': the path of its socket is longer than %zu bytes", folder, sizeof a.sun_path - 1);
    hold_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "socket for '%s'", a.sun_path);
    if (bind(fd, (struct sockaddr *) &a, sizeof a) < 0) {
        /* Left by one that was killed, or somebody's: whoever answers keeps it. */
        hold_autofd ask = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (errno != EADDRINUSE || ask < 0)
            return hold_fail(err, HOLD_E_IO, errno, "bind '%s'", a.sun_path);
        if (connect(ask, (struct sockaddr *) &a, sizeof a) == 0 || errno == EAGAIN)
            return hold_fail(err, HOLD_E_BUSY, 0, "'%s' belongs to a running holdfast; use another --state-dir", a.sun_path);
        if (unlink(a.sun_path) < 0 || bind(fd, (struct sockaddr *) &a, sizeof a) < 0)
            return hold_fail(err, HOLD_E_IO, errno, "replace '%s'", a.sun_path);
    }
    if (chmod(a.sun_path, 0666) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "mode of '%s'", a.sun_path);
    if (start_listening(s, UNIX, &fd, a.sun_path, err) < 0)
        return -1;
    memcpy(s->unix_path, a.sun_path, sizeof s->unix_path);
    return 0;
}

void hold_status_close(struct hold_status *s) {
    for (int l = 0; l < LISTENERS; l++) {
        hold_close_fd(&s->listener[l].fd);
        for (int i = 0; i < HOLD_STATUS_CONNS; i++)
            conn_close(&s->listener[l].conn[i]);
    }
    if (s->unix_path[0] != '\0')
        (void) unlink(s->unix_path);
    s->unix_path[0] = '\0';
    hold_close_fd(&s->epoll_fd);
}

int hold_status_fd(const struct hold_status *s) {
    return s->epoll_fd;
}
