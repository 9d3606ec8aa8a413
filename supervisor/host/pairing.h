/* pairing.h - one generation of front and engine: a pair and a ring made afresh, both ends given away, none kept. Floor: host. */
#ifndef HOLD_HOST_PAIRING_H
#define HOLD_HOST_PAIRING_H

#include "base/err.h"

#include <stdint.h>

#define HOLD_PAIRING_RING_BYTES (16u << 20)

/* Sends `GEN=generation` with an end of a new SOCK_SEQPACKET pair and the ring (a memfd sealed against growing and
 * shrinking) over both control descriptors. Nothing of it stays open here, so that a death is an end of file. When the
 * second cannot be told the first is told an end that is already closed: it waits for the next generation. Never blocks;
 * *ret_failed is 0 or 1 for the one that could not be told, -1 when making failed. */
HOLD_MUST int hold_pairing_make(int first_control_fd, int second_control_fd, uint64_t generation, int *ret_failed, struct hold_err *err);

#endif
