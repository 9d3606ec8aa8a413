/* probe_io.c - one non-blocking probe conversation: http, tcp, exec, grpc, counter. Floor: supervisor/host. */
#include "supervisor/host/probe_io.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/num.h"
#include "supervisor/host/words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Read and thrown away after the status line, so that closing does not reset a server in the middle of its answer. */
#define DRAIN_BYTES 65536

enum step { STEP_IDLE, STEP_CONNECTING, STEP_SENDING, STEP_READING, STEP_EXEC };

struct hold_probe_page {
    struct hold_http_answer http;
    struct hold_page page;
    size_t n_bytes;
};

static int parse_port(const char *text, size_t n, uint16_t *ret_port) {
    char digits[8];
    uint64_t port = 0;
    if (n == 0 || n >= sizeof digits)
        return -1;
    memcpy(digits, text, n);
    digits[n] = '\0';
    if (hold_parse_u64(digits, 1, 65535, &port, NULL) < 0)
        return -1;
    *ret_port = (uint16_t) port;
    return 0;
}

static int set_address(struct hold_probe_target *t, const char *host, uint16_t port) {
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&t->addr, &v4, sizeof v4);
        t->addr_bytes = sizeof v4;
        snprintf(t->host, sizeof t->host, "%s:%u", host, port);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&t->addr, &v6, sizeof v6);
        t->addr_bytes = sizeof v6;
        snprintf(t->host, sizeof t->host, "[%s]:%u", host, port);
        return 0;
    }
    return -1;
}

/* HOST:PORT, [HOST]:PORT or :PORT in the first n bytes. */
static int parse_authority(const char *whole, const char *at, size_t n, struct hold_probe_target *t, struct hold_err *err) {
    char host[INET6_ADDRSTRLEN] = "127.0.0.1";
    const char *colon = memrchr(at, ':', n);
    if (!colon)
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the port is missing", whole);
    size_t host_bytes = (size_t) (colon - at);
    const char *begin = at;
    if (host_bytes >= 2 && at[0] == '[' && colon[-1] == ']') {
        begin++;
        host_bytes -= 2;
    }
    if (host_bytes >= sizeof host)
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the host is not a numeric address", whole);
    if (host_bytes > 0) {
        memcpy(host, begin, host_bytes);
        host[host_bytes] = '\0';
    }
    uint16_t port = 0;
    if (parse_port(colon + 1, n - (size_t) (colon + 1 - at), &port) < 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the port must be 1 to 65535", whole);
    if (set_address(t, host, port) < 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the host must be a numeric address or localhost, since process 1 resolves no names", whole);
    return 0;
}

/* The first n bytes of at; none: the default. */
static int parse_path(const char *whole, const char *at, size_t n, const char *initial, struct hold_probe_target *t, struct hold_err *err) {
    if (n == 0) {
        (void) snprintf(t->path, sizeof t->path, "%s", initial);
        return 0;
    }
    if (*at != '/')
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the path must begin with '/'", whole);
    if (n >= sizeof t->path)
        return hold_fail(err, HOLD_E_LIMIT, 0, "check '%s': the path has %zu bytes, the limit is %zu", whole, n, sizeof t->path - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char) at[i] <= 0x20 || (unsigned char) at[i] >= 0x7f)
            return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the path holds a blank or a byte that needs %%-encoding", whole);
    memcpy(t->path, at, n);
    t->path[n] = '\0';
    return 0;
}

/* "exec:COMMAND" and "counter:ADDRESS WORDS": command is what follows the address. */
static int parse_command(const char *whole, const char *at, struct hold_probe_target *t, struct hold_err *err) {
    t->command = at + strspn(at, " \t");
    if (t->kind == HOLD_PROBE_EXEC) {
        const char *words[HOLD_WORDS_OF_LINE];
        hold_autofree char *line = strdup(t->command);
        const int n = line ? hold_words_split(line, words, HOLD_COUNT_OF(words), err) : hold_fail(err, HOLD_E_LIMIT, ENOMEM, "read a command");
        if (n < 0)
            return hold_wrap(err, "check '%.80s'", whole);
        if (n == 0)
            return hold_fail(err, HOLD_E_CONFIG, 0, "check 'exec:' names no command");
    }
    static struct hold_page page; /* 6 KiB, for the words' mistakes only */
    if (t->kind == HOLD_PROBE_COUNTER && hold_page_init(&page, t->command, err) < 0)
        return hold_wrap(err, "check '%.80s'", whole);
    return 0;
}

int hold_probe_target_parse(const char *text, struct hold_probe_target *ret_target, struct hold_err *err) {
    static const struct {
        const char *scheme;
        size_t drop; /* of it */
        enum hold_probe_kind kind;
    } schemes[] = {
        { "exec:", 5, HOLD_PROBE_EXEC }, { "counter:http://", 15, HOLD_PROBE_COUNTER }, { "counter::", 8, HOLD_PROBE_COUNTER },
        { "http://", 7, HOLD_PROBE_HTTP }, { "tcp://", 6, HOLD_PROBE_TCP }, { "grpc://", 7, HOLD_PROBE_GRPC }, { ":", 0, HOLD_PROBE_HTTP },
    };
    struct hold_probe_target t = { 0 };
    const char *at = text;
    for (size_t i = 0; i < HOLD_COUNT_OF(schemes) && !t.kind; i++) {
        if (strncmp(text, schemes[i].scheme, strlen(schemes[i].scheme)) != 0)
            continue;
        t.kind = schemes[i].kind;
        at = text + schemes[i].drop;
    }
    if (!t.kind && (strncmp(text, "https://", 8) == 0 || strncmp(text, "grpcs://", 8) == 0 || strncmp(text, "counter:https://", 16) == 0))
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': process 1 speaks no TLS; use tcp:// or exec:", text);
    if (!t.kind)
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s' is none of http://HOST:PORT/PATH, :PORT/PATH, tcp://HOST:PORT, grpc://HOST:PORT/SERVICE, counter:http://HOST:PORT/PATH, exec:COMMAND", text);
    if (t.kind != HOLD_PROBE_EXEC) {
        const size_t n = t.kind == HOLD_PROBE_COUNTER ? strcspn(at, " \t") : strlen(at);
        const size_t authority = HOLD_MIN(strcspn(at, "/?#"), n);
        if (parse_authority(text, at, authority, &t, err) < 0)
            return -1;
        if (t.kind == HOLD_PROBE_TCP && n > authority)
            return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': tcp:// has no path", text);
        if (parse_path(text, at + authority, n - authority, t.kind == HOLD_PROBE_COUNTER ? "/metrics" : "/", &t, err) < 0)
            return -1;
        if (t.kind == HOLD_PROBE_GRPC && strlen(t.path + 1) >= HOLD_GRPC_SERVICE_BYTES)
            return hold_fail(err, HOLD_E_LIMIT, 0, "check '%s': the service's name has %zu bytes, the limit is %d", text, strlen(t.path + 1),
                             HOLD_GRPC_SERVICE_BYTES - 1);
        at += n;
    }
    if ((t.kind == HOLD_PROBE_EXEC || t.kind == HOLD_PROBE_COUNTER) && parse_command(text, at, &t, err) < 0)
        return -1;
    *ret_target = t;
    return 0;
}

struct hold_probe_io hold_probe_io_idle(void) {
    return (struct hold_probe_io) { .fd = -1, .step = STEP_IDLE, .deadline_ms = UINT64_MAX };
}

static void go_idle(struct hold_probe_io *io) {
    hold_close_fd(&io->fd);
    free(io->page);
    free(io->grpc);
    io->page = NULL;
    io->grpc = NULL;
    io->wants_more = false;
    io->step = STEP_IDLE;
    io->deadline_ms = UINT64_MAX;
}

HOLD_PRINTF(3, 4)
static enum hold_answer answer(struct hold_probe_io *io, enum hold_answer what, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(io->why, sizeof io->why, format, args);
    va_end(args);
    go_idle(io);
    return what;
}

static enum hold_answer on_connect(struct hold_probe_io *io) {
    int sys = 0;
    socklen_t n = sizeof sys;
    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &sys, &n) < 0)
        sys = errno;
    if (sys == 0) {
        struct sockaddr_storage peer;
        socklen_t peer_bytes = sizeof peer;
        if (getpeername(io->fd, (struct sockaddr *) &peer, &peer_bytes) < 0)
            return HOLD_ANSWER_NONE; /* woken, but not connected yet */
    }
    if (sys != 0)
        return answer(io, HOLD_ANSWER_FAIL, "%s", strerror(sys));
    if (io->kind == HOLD_PROBE_TCP)
        return answer(io, HOLD_ANSWER_PASS, "connected");
    io->step = STEP_SENDING;
    return HOLD_ANSWER_NONE;
}

static enum hold_answer on_send(struct hold_probe_io *io) {
    while (io->n_sent < io->n_out) {
        const ssize_t n = send(io->fd, io->out + io->n_sent, io->n_out - io->n_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return HOLD_ANSWER_NONE;
        if (n < 0)
            return answer(io, HOLD_ANSWER_FAIL, "send: %s", strerror(errno));
        io->n_sent += (size_t) n;
    }
    io->step = STEP_READING;
    return HOLD_ANSWER_NONE;
}

static void drain(int fd) {
    char waste[4096];
    for (size_t seen = 0; seen < DRAIN_BYTES;) {
        const ssize_t n = recv(fd, waste, sizeof waste, MSG_DONTWAIT);
        if (n <= 0)
            return;
        seen += (size_t) n;
    }
}

/* 1xx are passed over, as every client does; 101 is an end that was not asked for. */
static bool is_final(const struct hold_http_answer *http) {
    return http->status >= 200 || http->status == 101;
}

static enum hold_answer on_read(struct hold_probe_io *io) {
    char bytes[2048];
    struct hold_http_answer *http = &io->http;
    for (;;) {
        const ssize_t n = recv(io->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return HOLD_ANSWER_NONE;
        if (n < 0)
            return answer(io, HOLD_ANSWER_FAIL, "receive: %s", strerror(errno));
        if (n == 0)
            hold_http_answer_end(http);
        for (size_t at = 0; at < (size_t) n && !is_final(http) && http->state != HOLD_HTTP_BROKEN;) {
            const char *body;
            size_t n_body;
            at += hold_http_answer_feed(http, bytes + at, (size_t) n - at, &body, &n_body);
        }
        if (http->state == HOLD_HTTP_BROKEN)
            return answer(io, HOLD_ANSWER_FAIL, "%s", http->why);
        if (!is_final(http))
            continue;
        io->http_status = http->status;
        drain(io->fd);
        return answer(io, io->http_status >= 200 && io->http_status < 400 ? HOLD_ANSWER_PASS : HOLD_ANSWER_FAIL, "http %d", io->http_status);
    }
}

/* Some bytes of the answer, or its end when n is 0. */
static enum hold_answer take_page(struct hold_probe_io *io, const char *bytes, size_t n) {
    struct hold_probe_page *p = io->page;
    if (n == 0)
        hold_http_answer_end(&p->http);
    for (size_t at = 0; at < n && p->http.state != HOLD_HTTP_DONE && p->http.state != HOLD_HTTP_BROKEN;) {
        const char *body;
        size_t n_body;
        at += hold_http_answer_feed(&p->http, bytes + at, n - at, &body, &n_body);
        hold_page_feed(&p->page, body, n_body);
        io->http_status = p->http.status;
        if (io->http_status != 0 && (io->http_status < 200 || io->http_status > 299)) {
            drain(io->fd);
            return answer(io, HOLD_ANSWER_FAIL, "http %d", io->http_status);
        }
    }
    p->n_bytes += n;
    if (p->http.state == HOLD_HTTP_BROKEN)
        return answer(io, HOLD_ANSWER_FAIL, "%s", p->http.why);
    if (p->n_bytes > HOLD_PROBE_PAGE_BYTES)
        return answer(io, HOLD_ANSWER_FAIL, "the page has more than %zu MiB", HOLD_PROBE_PAGE_BYTES >> 20);
    if (p->http.state != HOLD_HTTP_DONE)
        return HOLD_ANSWER_NONE;
    hold_page_seen(&p->page, &io->seen);
    return answer(io, HOLD_ANSWER_PASS, "http %d", io->http_status);
}

static enum hold_answer on_page(struct hold_probe_io *io) {
    char bytes[8192];
    io->wants_more = false;
    for (size_t turn = 0; turn < HOLD_PROBE_TURN_BYTES;) {
        const ssize_t n = recv(io->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return HOLD_ANSWER_NONE;
        if (n < 0)
            return answer(io, HOLD_ANSWER_FAIL, "receive: %s", strerror(errno));
        const enum hold_answer a = take_page(io, bytes, (size_t) n);
        if (a != HOLD_ANSWER_NONE)
            return a;
        turn += (size_t) n;
    }
    io->wants_more = true;
    return HOLD_ANSWER_NONE;
}

/* What it wants to say is sent as far as the peer takes it. */
static enum hold_answer send_grpc(struct hold_probe_io *io) {
    struct hold_grpc *g = io->grpc;
    while (g->n_out > 0) {
        const ssize_t n = send(io->fd, g->out, g->n_out, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return HOLD_ANSWER_NONE;
        if (n < 0)
            return answer(io, HOLD_ANSWER_FAIL, "send: %s", strerror(errno));
        g->n_out -= (size_t) n;
        memmove(g->out, g->out + n, g->n_out);
    }
    return HOLD_ANSWER_NONE;
}

static enum hold_answer on_grpc(struct hold_probe_io *io) {
    struct hold_grpc *g = io->grpc;
    uint8_t bytes[8192];
    io->wants_more = false;
    for (size_t turn = 0; turn < HOLD_PROBE_TURN_BYTES;) {
        if (send_grpc(io) != HOLD_ANSWER_NONE)
            return HOLD_ANSWER_FAIL;
        const ssize_t n = recv(io->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return HOLD_ANSWER_NONE;
        if (n < 0)
            return answer(io, HOLD_ANSWER_FAIL, "receive: %s", strerror(errno));
        if (n == 0)
            hold_grpc_end(g);
        hold_grpc_feed(g, bytes, (size_t) n);
        if (g->word != HOLD_GRPC_MORE) {
            char why[sizeof g->why]; /* g goes with the conversation */
            memcpy(why, g->why, sizeof why);
            return answer(io, g->word == HOLD_GRPC_SERVING ? HOLD_ANSWER_PASS : HOLD_ANSWER_FAIL, "%s", why);
        }
        turn += (size_t) n;
    }
    io->wants_more = true;
    return HOLD_ANSWER_NONE;
}

enum hold_answer hold_probe_io_on_ready(struct hold_probe_io *io) {
    enum hold_answer a = HOLD_ANSWER_NONE;
    if (io->step == STEP_CONNECTING)
        a = on_connect(io);
    if (a == HOLD_ANSWER_NONE && io->step == STEP_SENDING && io->kind == HOLD_PROBE_GRPC)
        io->step = STEP_READING; /* it says and reads in turns */
    if (a == HOLD_ANSWER_NONE && io->step == STEP_SENDING)
        a = on_send(io);
    if (a == HOLD_ANSWER_NONE && io->step == STEP_READING)
        a = io->kind == HOLD_PROBE_COUNTER ? on_page(io) : io->kind == HOLD_PROBE_GRPC ? on_grpc(io) : on_read(io);
    return a;
}

/* What is said first, and what the answer needs. */
static int prepare(struct hold_probe_io *io, const struct hold_probe_target *t, struct hold_err *err) {
    if (t->kind == HOLD_PROBE_TCP)
        return 0;
    if (t->kind == HOLD_PROBE_GRPC) {
        io->grpc = malloc(sizeof *io->grpc);
        if (!io->grpc)
            return hold_fail(err, HOLD_E_LIMIT, ENOMEM, "ask a gRPC health service");
        hold_grpc_begin(io->grpc, t->host, t->path + 1);
        return 0;
    }
    if (t->kind == HOLD_PROBE_COUNTER) {
        io->page = calloc(1, sizeof *io->page);
        if (!io->page)
            return hold_fail(err, HOLD_E_LIMIT, ENOMEM, "read a page of counters");
        if (hold_page_init(&io->page->page, t->command, err) < 0)
            return -1;
    }
    const int n = snprintf(io->out, sizeof io->out,
                           "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-probe\r\nAccept: %s\r\nConnection: close\r\n\r\n", t->path, t->host,
                           t->kind == HOLD_PROBE_COUNTER ? "text/plain;version=0.0.4" : "*/*");
    if (n < 0 || (size_t) n >= sizeof io->out)
        return hold_fail(err, HOLD_E_LIMIT, 0, "the request for '%s' has %d bytes, the limit is %zu", t->path, n, sizeof io->out);
    io->n_out = (size_t) n;
    return 0;
}

int hold_probe_io_start(struct hold_probe_io *io, const struct hold_probe_target *target, uint64_t deadline_ms,
                        enum hold_answer *ret_answer, struct hold_err *err) {
    go_idle(io);
    *io = hold_probe_io_idle();
    io->kind = target->kind;
    hold_autofd fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "socket of a probe");
    if (prepare(io, target, err) < 0) {
        go_idle(io);
        return -1;
    }
    io->step = STEP_CONNECTING;
    io->deadline_ms = deadline_ms;
    const int rc = connect(fd, (const struct sockaddr *) &target->addr, target->addr_bytes);
    const int sys = errno;
    io->fd = hold_take_fd(&fd);
    if (rc < 0 && sys != EINPROGRESS) /* refused on loopback is an answer, not a failure of ours */
        *ret_answer = answer(io, HOLD_ANSWER_FAIL, "%s", strerror(sys));
    else
        *ret_answer = rc == 0 ? hold_probe_io_on_ready(io) : HOLD_ANSWER_NONE;
    return 0;
}

void hold_probe_io_start_exec(struct hold_probe_io *io, pid_t pid, uint64_t deadline_ms) {
    go_idle(io);
    *io = hold_probe_io_idle();
    io->kind = HOLD_PROBE_EXEC;
    io->step = STEP_EXEC;
    io->pid = pid;
    io->deadline_ms = deadline_ms;
}

enum hold_answer hold_probe_io_on_exit(struct hold_probe_io *io, int wait_status) {
    if (io->step != STEP_EXEC)
        return HOLD_ANSWER_NONE; /* its time was already over */
    io->pid = 0;
    if (WIFSIGNALED(wait_status))
        return answer(io, HOLD_ANSWER_FAIL, "signal %d", WTERMSIG(wait_status));
    const int code = WEXITSTATUS(wait_status);
    return answer(io, code == 0 ? HOLD_ANSWER_PASS : HOLD_ANSWER_FAIL, "exit %d", code);
}

enum hold_answer hold_probe_io_on_time(struct hold_probe_io *io, uint64_t now_ms) {
    static const char *const missing[] = {
        [STEP_IDLE] = "", [STEP_CONNECTING] = "no connection in time", [STEP_SENDING] = "the request was not taken in time",
        [STEP_READING] = "no answer in time", [STEP_EXEC] = "the command did not end in time",
    };
    if (io->step == STEP_IDLE || now_ms < io->deadline_ms)
        return HOLD_ANSWER_NONE;
    return answer(io, HOLD_ANSWER_FAIL, "%s", missing[io->step]);
}

uint64_t hold_probe_io_deadline_ms(const struct hold_probe_io *io) {
    return io->deadline_ms;
}

bool hold_probe_io_running(const struct hold_probe_io *io) {
    return io->step != STEP_IDLE;
}

void hold_probe_io_cancel(struct hold_probe_io *io) {
    go_idle(io);
}
