/* store.c - descriptors that outlive a child. Floor: host. */
#include "supervisor/host/store.h"

#include "base/auto.h"
#include "base/list.h"
#include "supervisor/host/address.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HOLD_LISTEN_BACKLOG 1024 /* the kernel cuts it to net.core.somaxconn */

bool hold_store_is_name(const char *name) {
    size_t n = 0;
    for (; name[n]; n++)
        if (name[n] < ' ' || name[n] > '~' || name[n] == ':')
            return false;
    return n > 0 && n < HOLD_STORE_NAME_BYTES;
}

int hold_store_watch(struct hold_store *s, struct hold_err *err) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "watch stored descriptors");
    s->watch_fd = fd;
    return 0;
}

/* Out of the epoll set first: it holds the open file, and a child may have another descriptor of it. */
static void close_entry(struct hold_store *s, struct hold_store_entry *e) {
    if (s->watch_fd > 0)
        (void) epoll_ctl(s->watch_fd, EPOLL_CTL_DEL, e->fd, NULL);
    hold_close_fd(&e->fd);
}

bool hold_store_drop_dead(struct hold_store *s, char ret_name[HOLD_STORE_NAME_BYTES]) {
    struct epoll_event event;
    if (s->watch_fd <= 0 || epoll_wait(s->watch_fd, &event, 1, 0) != 1)
        return false;
    for (size_t i = 0; i < s->n; i++) {
        if (s->entries[i].fd != event.data.fd)
            continue;
        memcpy(ret_name, s->entries[i].name, HOLD_STORE_NAME_BYTES);
        close_entry(s, &s->entries[i]);
        memmove(&s->entries[i], &s->entries[i + 1], (--s->n - i) * sizeof(s->entries[0]));
        return true;
    }
    (void) epoll_ctl(s->watch_fd, EPOLL_CTL_DEL, event.data.fd, NULL);
    return false;
}

static bool is_same_file(int a, int b) {
    return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b) == 0; /* where the kernel does not tell, both are kept */
}

int hold_store_put(struct hold_store *s, int owner, const char *name, int fd, uint32_t how, struct hold_err *err) {
    hold_autofd owned = fd;
    struct hold_store_entry *e = NULL;
    if (!hold_store_is_name(name))
        return hold_fail(err, HOLD_E_FORMAT, 0, "store a descriptor: '%s' is not a name", name);
    for (size_t i = 0; i < s->n && !e; i++) {
        if (s->entries[i].owner != owner || strcmp(s->entries[i].name, name) != 0)
            continue;
        if (!(how & HOLD_STORE_BESIDE))
            close_entry(s, e = &s->entries[i]);
        else if (is_same_file(s->entries[i].fd, fd))
            return 0;
    }
    if (!e && s->n == HOLD_STORE_MAX)
        return hold_fail(err, HOLD_E_LIMIT, 0, "store descriptor '%s': %d are stored, that is the limit", name, HOLD_STORE_MAX);
    e = e ? e : &s->entries[s->n++];
    *e = (struct hold_store_entry) { .fd = hold_take_fd(&owned), .owner = owner };
    (void) snprintf(e->name, sizeof(e->name), "%s", name);
    struct epoll_event event = { .events = 0, .data.fd = e->fd }; /* an error and a hang-up are told unasked */
    if ((how & HOLD_STORE_WATCHED) && s->watch_fd > 0)
        (void) epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, e->fd, &event); /* a file or memfd refuses: it has no other end */
    return 0;
}

int hold_store_find(const struct hold_store *s, const char *name) {
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->entries[i].name, name) == 0)
            return s->entries[i].fd;
    return -1;
}

void hold_store_drop(struct hold_store *s, int owner, const char *name) {
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->entries[i].owner == owner && (!name || strcmp(s->entries[i].name, name) == 0))
            close_entry(s, &s->entries[i]);
        else
            s->entries[kept++] = s->entries[i];
    }
    s->n = kept;
}

void hold_store_release(struct hold_store *s) {
    for (size_t i = 0; i < s->n; i++)
        hold_close_fd(&s->entries[i].fd);
    s->n = 0;
    if (s->watch_fd > 0)
        hold_close_fd(&s->watch_fd);
}

int hold_store_listen(const char *address, int *ret_fd, struct hold_err *err) {
    hold_autofd fd = -1;
    if (hold_address_bind(address, &fd, err) < 0)
        return -1;
    if (listen(fd, HOLD_LISTEN_BACKLOG) < 0)
        return hold_fail(err, errno == EADDRINUSE ? HOLD_E_BUSY : HOLD_E_IO, errno, "listen on '%s' (free it, or choose another address)", address);
    *ret_fd = hold_take_fd(&fd);
    return 0;
}
