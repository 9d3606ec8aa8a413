/* ring.h - bytes too large for a frame: claimed, published, read once, given back. Floor: runtime/wire.
 *
 * A memfd that process 1 makes for one pairing. The front writes slices, the engine copies each out and gives it back, in
 * order. No number lives in the shared memory: positions travel in frames (PATCHES, GAVE), each end keeps its own count
 * and checks the other's word against it, so the other end can spoil bytes but never an address.
 *
 * A position counts bytes since the pairing began and never wraps; its place is position modulo the size. A block starts at
 * a multiple of HOLD_RING_ALIGN and never crosses the end of the memory: one that would starts at the next beginning. */
#ifndef HOLD_RUNTIME_WIRE_RING_H
#define HOLD_RUNTIME_WIRE_RING_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_RING_ALIGN 64u
#define HOLD_RING_MIN_BYTES (64u << 10)
#define HOLD_RING_MAX_BYTES (1u << 30)

/* One end. Owned by the caller; zeroed is closed. */
struct hold_ring {
    unsigned char *data;
    size_t bytes;
    bool is_writer;
    uint64_t head; /* writer: end of the last claimed block; reader: end of the last viewed one */
    uint64_t tail; /* everything before is given back */
};

/* Maps fd, which stays the caller's: a memfd sealed against shrinking and growing, its size a multiple of 4,096 between the limits
 * above. The reader maps it read-only. */
HOLD_MUST int hold_ring_open(int fd, bool is_writer, struct hold_ring *ret_ring, struct hold_err *err);
void hold_ring_close(struct hold_ring *ring);

/* Writer: room for n bytes (1..size/2). Fails with BUSY when the reader must give back first, with LIMIT when n is too
 * large. The block is published by sending its position. */
HOLD_MUST int hold_ring_claim(struct hold_ring *ring, size_t n, uint64_t *ret_position, void **ret_data, struct hold_err *err);
/* Writer: the reader says that everything before position is free. Fails with FORMAT when it cannot be. */
HOLD_MUST int hold_ring_gave(struct hold_ring *ring, uint64_t position, struct hold_err *err);

/* Reader: the bytes of the block that the writer says stands at position; it must be the next one. The bytes may change
 * under the reader: copy once, then check the copy. */
HOLD_MUST int hold_ring_view(struct hold_ring *ring, uint64_t position, size_t n, const void **ret_data, struct hold_err *err);
/* Reader: everything viewed is done with; the position to send in a GAVE. */
uint64_t hold_ring_give(struct hold_ring *ring);

#endif
