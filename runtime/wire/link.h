/* link.h - one end of one pairing: socket, ring, generation; its end, and the change to a new one. Floor: runtime/wire.
 *
 * Both orders of a death are handled: the end of file first (recv fails with MISSING and the link is down until a new end
 * comes), or the new end first (hold_link_take lets the old one go). A frame of another generation is an error. */
#ifndef HOLD_RUNTIME_WIRE_LINK_H
#define HOLD_RUNTIME_WIRE_LINK_H

#include "base/buf.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/ring.h"

#define HOLD_LINK_QUEUE_BYTES (8u << 20)

/* Owned by the caller; born with hold_link_init. */
struct hold_link {
    int fd;              /* -1: down. Non-blocking, close-on-exec */
    bool is_front;
    uint64_t generation; /* of the current or last end; 0: never had one */
    struct hold_ring ring;
    struct hold_buf queue; /* frames that the socket had no room for: u32 length, then the bytes */
    uint64_t n_sent, n_received;
};

void hold_link_init(struct hold_link *link, bool is_front);
/* Gives up the end; the generation stays known. Harmless on a link that is down. */
void hold_link_drop(struct hold_link *link);
bool hold_link_is_up(const struct hold_link *link);

/* Takes the new end of `GEN=generation`: fd and ring_fd become the link's, also on failure (ring_fd is closed once mapped). Lets an old end go
 * first; the caller ends what was open on it. The generation must be above the last one. */
HOLD_MUST int hold_link_take(struct hold_link *link, uint64_t generation, int fd, int ring_fd, struct hold_err *err);

/* Sends f, whose generation is filled in here, or queues it when the socket is full. Never blocks. Fails with LIMIT when
 * the queue is full, NET when the other side is gone, MISSING when the link is down. */
HOLD_MUST int hold_link_send(struct hold_link *link, struct hold_frame *f, struct hold_err *err);
/* Sends what was queued, as far as it goes without blocking. */
HOLD_MUST int hold_link_flush(struct hold_link *link, struct hold_err *err);
/* True: wait for the descriptor to be writable, then flush. */
bool hold_link_wants_write(const struct hold_link *link);

/* The next frame without blocking: 1, 0 when none is there, -1 on error: MISSING at the end of file, FORMAT for a frame that
 * breaks a rule or is of another generation. After an error the caller drops the link: nothing after it can be trusted. */
HOLD_MUST int hold_link_recv(struct hold_link *link, struct hold_frame *ret_frame, struct hold_err *err);

#endif
