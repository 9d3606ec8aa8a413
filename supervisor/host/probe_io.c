/* probe_io.c - one non-blocking probe conversation: http, tcp, exec. Floor: supervisor/host. */
#include "supervisor/host/probe_io.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Read and thrown away after the status line, so that closing does not reset a server in the middle of its answer. */
#define DRAIN_BYTES 65536

enum step { STEP_IDLE, STEP_CONNECTING, STEP_SENDING, STEP_READING, STEP_EXEC };

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

static int parse_path(const char *whole, const char *at, struct hold_probe_target *t, struct hold_err *err) {
    const size_t n = strlen(at);
    if (n == 0) {
        memcpy(t->path, "/", 2);
        return 0;
    }
    if (n >= sizeof t->path)
        return hold_fail(err, HOLD_E_LIMIT, 0, "check '%s': the path has %zu bytes, the limit is %zu", whole, n, sizeof t->path - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char) at[i] <= 0x20 || (unsigned char) at[i] >= 0x7f)
            return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the path holds a blank or a byte that needs %%-encoding", whole);
    memcpy(t->path, at, n + 1);
    return 0;
}

int hold_probe_target_parse(const char *text, struct hold_probe_target *ret_target, struct hold_err *err) {
    struct hold_probe_target t = { 0 };
    if (strncmp(text, "exec:", 5) == 0) {
        t.kind = HOLD_PROBE_EXEC;
        t.command = text + 5 + strspn(text + 5, " ");
        if (t.command[0] == '\0')
            return hold_fail(err, HOLD_E_CONFIG, 0, "check 'exec:' names no command");
        *ret_target = t;
        return 0;
    }
    const char *at = text;
    if (strncmp(text, "http://", 7) == 0) {
        t.kind = HOLD_PROBE_HTTP;
        at += 7;
    } else if (strncmp(text, "tcp://", 6) == 0) {
        t.kind = HOLD_PROBE_TCP;
        at += 6;
    } else if (text[0] == ':') {
        t.kind = HOLD_PROBE_HTTP;
    } else if (strncmp(text, "https://", 8) == 0) {
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': process 1 speaks no TLS; use tcp:// or exec:", text);
    } else {
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s' is none of http://HOST:PORT/PATH, tcp://HOST:PORT, :PORT/PATH, exec:COMMAND", text);
    }
    const size_t authority = strcspn(at, "/?#");
    if (parse_authority(text, at, authority, &t, err) < 0)
        return -1;
    if (t.kind == HOLD_PROBE_TCP && at[authority] != '\0')
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': tcp:// has no path", text);
    if (t.kind == HOLD_PROBE_HTTP && at[authority] != '\0' && at[authority] != '/')
        return hold_fail(err, HOLD_E_CONFIG, 0, "check '%s': the path must begin with '/'", text);
    if (t.kind == HOLD_PROBE_HTTP && parse_path(text, at + authority, &t, err) < 0)
        return -1;
    *ret_target = t;
    return 0;
}

int hold_http_status_of(const char *bytes, size_t n) {
    static const char begin[] = "HTTP/1.";
    const size_t same = HOLD_MIN(n, sizeof begin - 1);
    if (memcmp(bytes, begin, same) != 0)
        return -1;
    if (n < 13) /* "HTTP/1.1 200" and one byte more, so that "2000" is not taken for 200 */
        return memchr(bytes, '\n', n) ? -1 : 0;
    if ((bytes[7] != '0' && bytes[7] != '1') || bytes[8] != ' ')
        return -1;
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (bytes[i] < '0' || bytes[i] > '9')
            return -1;
        status = status * 10 + (bytes[i] - '0');
    }
    const bool ends = bytes[12] == ' ' || bytes[12] == '\r' || bytes[12] == '\n';
    return ends && status >= 100 ? status : -1;
}

struct hold_probe_io hold_probe_io_idle(void) {
    return (struct hold_probe_io) { .fd = -1, .step = STEP_IDLE, .deadline_ms = UINT64_MAX };
}

static void go_idle(struct hold_probe_io *io) {
    hold_close_fd(&io->fd);
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

static enum hold_answer on_read(struct hold_probe_io *io) {
    for (;;) {
        const int status = hold_http_status_of(io->in, io->n_in);
        if (status < 0)
            return answer(io, HOLD_ANSWER_FAIL, "the answer is not HTTP");
        if (status > 0) {
            io->http_status = status;
            drain(io->fd);
            return answer(io, status >= 200 && status < 400 ? HOLD_ANSWER_PASS : HOLD_ANSWER_FAIL, "http %d", status);
        }
        const ssize_t n = recv(io->fd, io->in + io->n_in, sizeof io->in - io->n_in, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return HOLD_ANSWER_NONE;
        if (n < 0)
            return answer(io, HOLD_ANSWER_FAIL, "receive: %s", strerror(errno));
        if (n == 0)
            return answer(io, HOLD_ANSWER_FAIL, "closed without an answer");
        io->n_in += (size_t) n;
    }
}

enum hold_answer hold_probe_io_on_ready(struct hold_probe_io *io) {
    enum hold_answer a = HOLD_ANSWER_NONE;
    if (io->step == STEP_CONNECTING)
        a = on_connect(io);
    if (a == HOLD_ANSWER_NONE && io->step == STEP_SENDING)
        a = on_send(io);
    if (a == HOLD_ANSWER_NONE && io->step == STEP_READING)
        a = on_read(io);
    return a;
}

int hold_probe_io_start(struct hold_probe_io *io, const struct hold_probe_target *target, uint64_t deadline_ms,
                        enum hold_answer *ret_answer, struct hold_err *err) {
    go_idle(io);
    *io = hold_probe_io_idle();
    hold_autofd fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "socket of a probe");
    io->kind = target->kind;
    io->step = STEP_CONNECTING;
    io->deadline_ms = deadline_ms;
    if (target->kind == HOLD_PROBE_HTTP) {
        const int n = snprintf(io->out, sizeof io->out,
                               "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                               target->path, target->host);
        if (n < 0 || (size_t) n >= sizeof io->out)
            return hold_fail(err, HOLD_E_LIMIT, 0, "the request for '%s' has %d bytes, the limit is %zu", target->path, n, sizeof io->out);
        io->n_out = (size_t) n;
    }
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
