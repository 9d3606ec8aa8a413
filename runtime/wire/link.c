/* link.c - one end of one pairing. Floor: runtime/wire. */
#include "runtime/wire/link.h"

#include "base/auto.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

void hold_link_init(struct hold_link *link, bool is_front) {
    *link = (struct hold_link) { .fd = -1, .is_front = is_front, .queue = hold_buf_with_max(HOLD_LINK_QUEUE_BYTES) };
}

void hold_link_drop(struct hold_link *link) {
    hold_close_fd(&link->fd);
    hold_ring_close(&link->ring);
    hold_buf_release(&link->queue);
    link->queue = hold_buf_with_max(HOLD_LINK_QUEUE_BYTES);
}

bool hold_link_is_up(const struct hold_link *link) {
    return link->fd >= 0;
}

int hold_link_take(struct hold_link *link, uint64_t generation, int fd, int ring_fd, struct hold_err *err) {
    hold_autofd own_fd = fd, own_ring = ring_fd;
    struct hold_ring ring = { 0 };
    int type = 0;
    socklen_t n = sizeof type;

    hold_link_drop(link);
    if (generation <= link->generation)
        return hold_fail(err, HOLD_E_FORMAT, 0, "pairing %ju came after pairing %ju", (uintmax_t) generation, (uintmax_t) link->generation);
    if (getsockopt(own_fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET)
        return hold_fail(err, HOLD_E_FORMAT, 0, "pairing %ju: the link's end is not a SOCK_SEQPACKET socket", (uintmax_t) generation);
    if (hold_set_nonblock(own_fd, true, err) < 0 || hold_ring_open(own_ring, link->is_front, &ring, err) < 0)
        return hold_wrap(err, "pairing %ju", (uintmax_t) generation);
    link->fd = hold_take_fd(&own_fd);
    link->ring = ring;
    link->generation = generation;
    return 0;
}

/* 1 sent, 0 no room, -1 gone. */
static int send_bytes(struct hold_link *link, const void *bytes, size_t n, struct hold_err *err) {
    for (;;) {
        ssize_t sent = send(link->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == (ssize_t) n) {
            link->n_sent++;
            return 1;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return 0;
        return hold_fail(err, HOLD_E_NET, sent < 0 ? errno : 0, "send on pairing %ju", (uintmax_t) link->generation);
    }
}

int hold_link_flush(struct hold_link *link, struct hold_err *err) {
    size_t done = 0;
    int went = 1;

    if (!hold_link_is_up(link))
        return 0;
    while (done < link->queue.n) {
        uint32_t n;
        memcpy(&n, link->queue.data + done, sizeof n);
        went = send_bytes(link, link->queue.data + done + sizeof n, n, err);
        if (went <= 0)
            break;
        done += sizeof n + n;
    }
    if (done > 0)
        hold_buf_consume(&link->queue, done);
    return went < 0 ? -1 : 0;
}

bool hold_link_wants_write(const struct hold_link *link) {
    return hold_link_is_up(link) && link->queue.n > 0;
}

int hold_link_send(struct hold_link *link, struct hold_frame *f, struct hold_err *err) {
    unsigned char bytes[HOLD_FRAME_MAX_BYTES];
    size_t n;

    if (!hold_link_is_up(link))
        return hold_fail(err, HOLD_E_MISSING, 0, "send a '%s' frame: not paired", hold_frame_name(f->kind));
    f->generation = link->generation;
    if (hold_frame_put(f, bytes, &n, err) < 0)
        return -1;
    if (link->queue.n == 0) {
        int went = send_bytes(link, bytes, n, err);
        if (went != 0)
            return went < 0 ? -1 : 0;
    }
    if (link->queue.n + n + sizeof(uint32_t) > link->queue.max_bytes)
        return hold_fail(err, HOLD_E_LIMIT, 0, "send on pairing %ju: the other side does not read, %zu bytes wait",
                         (uintmax_t) link->generation, link->queue.n);
    uint32_t length = (uint32_t) n;
    hold_buf_add(&link->queue, &length, sizeof length);
    hold_buf_add(&link->queue, bytes, n);
    return hold_buf_check(&link->queue, "the link's queue", err);
}

int hold_link_recv(struct hold_link *link, struct hold_frame *ret_frame, struct hold_err *err) {
    unsigned char bytes[HOLD_FRAME_MAX_BYTES + 1];
    struct hold_frame f;
    ssize_t n;

    if (!hold_link_is_up(link))
        return 0;
    do
        n = recv(link->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN))
        return 0;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return hold_fail(err, HOLD_E_MISSING, 0, "the other side of pairing %ju is gone", (uintmax_t) link->generation);
    if (n < 0)
        return hold_fail(err, HOLD_E_NET, errno, "receive on pairing %ju", (uintmax_t) link->generation);
    if (hold_frame_parse(bytes, (size_t) n, !link->is_front, &f, err) < 0)
        return hold_wrap(err, "pairing %ju", (uintmax_t) link->generation);
    if (f.generation != link->generation)
        return hold_fail(err, HOLD_E_FORMAT, 0, "pairing %ju: a frame of pairing %ju", (uintmax_t) link->generation, (uintmax_t) f.generation);
    link->n_received++;
    *ret_frame = f;
    return 1;
}
