/* notify.c - one sd_notify message, both directions. Floor: base. */
#include "base/notify.h"

#include "base/list.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

bool hold_notify_find(const struct hold_notify *m, const char *key, const char **ret_value, size_t *ret_n) {
    size_t key_n = strlen(key);
    for (const char *line = m->text, *end = m->text + m->n; line < end;) {
        const char *newline = memchr(line, '\n', (size_t) (end - line));
        size_t n = (size_t) ((newline ? newline : end) - line);
        if (n > key_n && line[key_n] == '=' && memcmp(line, key, key_n) == 0) {
            *ret_value = line + key_n + 1;
            *ret_n = n - key_n - 1;
            return true;
        }
        line += n + 1;
    }
    return false;
}

bool hold_notify_str(const struct hold_notify *m, const char *key, char *out, size_t out_bytes) {
    const char *value;
    size_t n;
    if (!hold_notify_find(m, key, &value, &n))
        return false;
    n = HOLD_MIN(n, out_bytes - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char) value[i] < 0x20 || value[i] == 0x7f ? '?' : value[i];
    out[n] = '\0';
    return true;
}

bool hold_notify_u64(const struct hold_notify *m, const char *key, uint64_t *ret) {
    char text[32];
    const char *value;
    size_t n;
    if (!hold_notify_find(m, key, &value, &n) || n >= sizeof text)
        return false;
    memcpy(text, value, n);
    text[n] = '\0';
    return hold_parse_u64(text, 0, UINT64_MAX, ret, NULL) == 0;
}

bool hold_notify_ratio(const struct hold_notify *m, const char *key, uint64_t *ret_done, uint64_t *ret_total) {
    char text[64];
    const char *value;
    size_t n;
    if (!hold_notify_find(m, key, &value, &n) || n >= sizeof text)
        return false;
    memcpy(text, value, n);
    text[n] = '\0';
    char *slash = strchr(text, '/');
    if (!slash)
        return false;
    *slash = '\0';
    uint64_t done, total;
    if (hold_parse_u64(text, 0, UINT64_MAX, &done, NULL) < 0 || hold_parse_u64(slash + 1, 0, UINT64_MAX, &total, NULL) < 0)
        return false;
    *ret_done = done;
    *ret_total = total;
    return true;
}

void hold_notify_close_fds(struct hold_notify *m) {
    for (size_t i = 0; i < m->n_fds; i++)
        close(m->fds[i]);
    m->n_fds = 0;
}

static void take_control(struct msghdr *head, struct hold_notify *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_RIGHTS) {
            size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < n; i++) {
                int fd;
                memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                if (m->n_fds < HOLD_NOTIFY_MAX_FDS)
                    m->fds[m->n_fds++] = fd;
                else
                    close(fd);
            }
        } else if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
            struct ucred sender;
            memcpy(&sender, CMSG_DATA(c), sizeof sender);
            m->sender = sender.pid;
            m->sender_uid = sender.uid;
        }
    }
}

int hold_notify_recv(int fd, struct hold_notify *ret_message, struct hold_err *err) {
    struct hold_notify *m = ret_message;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * HOLD_NOTIFY_MAX_FDS) + CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = { m->text, HOLD_NOTIFY_MAX_BYTES };
    struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    ssize_t n;
    do
        n = recvmsg(fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    m->n = 0;
    m->n_fds = 0;
    m->sender = 0;
    m->sender_uid = (uid_t) -1;
    if (n < 0)
        m->text[0] = '\0';
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0)
        return hold_fail(err, errno == ECONNRESET ? HOLD_E_MISSING : HOLD_E_IO, errno, "receive a message");
    take_control(&head, m);
    if (n == 0 && m->n_fds == 0 && m->sender == 0)
        return hold_fail(err, HOLD_E_MISSING, 0, "the other end is closed");
    if (head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        hold_notify_close_fds(m);
        return 1;
    }
    m->n = (size_t) n;
    m->text[m->n] = '\0';
    return 1;
}

int hold_notify_send(int fd, const char *text, const int *fds, size_t n_fds, struct hold_err *err) {
    if (n_fds > HOLD_NOTIFY_MAX_FDS)
        return hold_fail(err, HOLD_E_LIMIT, 0, "send a message: %zu descriptors, the limit is %d", n_fds, HOLD_NOTIFY_MAX_FDS);
    size_t text_n = strlen(text);
    if (text_n > HOLD_NOTIFY_MAX_BYTES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "send a message: %zu bytes, the limit is %d", text_n, HOLD_NOTIFY_MAX_BYTES);
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * HOLD_NOTIFY_MAX_FDS)] = { 0 };
    struct iovec part = { (void *) (uintptr_t) text, text_n };
    struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1 };
    if (n_fds) {
        head.msg_control = control;
        head.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&head);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return hold_fail(err, errno == EAGAIN ? HOLD_E_BUSY : errno == EPIPE || errno == ECONNRESET ? HOLD_E_MISSING : HOLD_E_IO,
                         errno, "send a message");
    return 0;
}

int hold_control_take(void) {
    const char *text = getenv("HOLDFAST_CONTROL_FD");
    uint64_t fd;
    if (!text || hold_parse_u64(text, 3, 1 << 20, &fd, NULL) < 0 || fcntl((int) fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return (int) fd;
}

bool hold_watchdog_usec(uint64_t *ret) {
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t value, owner;
    if (!usec || hold_parse_u64(usec, 1, UINT64_MAX, &value, NULL) < 0)
        return false;
    if (pid && (hold_parse_u64(pid, 1, INT32_MAX, &owner, NULL) < 0 || (pid_t) owner != getpid()))
        return false;
    *ret = value;
    return true;
}

size_t hold_listen_fds(size_t max, const char **ret_names) {
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    uint64_t taker, n;
    *ret_names = getenv("LISTEN_FDNAMES");
    if (!pid || !fds || hold_parse_u64(pid, 1, INT32_MAX, &taker, NULL) < 0 || (pid_t) taker != getpid() || hold_parse_u64(fds, 1, max, &n, NULL) < 0)
        return 0;
    for (int fd = 3; fd < 3 + (int) n; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return 0;
    return (size_t) n;
}

void hold_control_say(int control_fd, const char *format, ...) {
    if (control_fd < 0)
        return;
    char text[HOLD_NOTIFY_MAX_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (hold_notify_send(control_fd, text, NULL, 0, NULL) < 0)
        return; /* by contract: a child does not fail because nobody listens */
}
