/* pairing.c - joins front and engine. Floor: host. */
#include "supervisor/host/pairing.h"

#include "base/auto.h"
#include "base/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

int hold_pairing_make(int first_control_fd, int second_control_fd, uint64_t generation, int *ret_failed, struct hold_err *err) {
    *ret_failed = -1;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "pair generation %" PRIu64, generation);
    hold_autofd first = ends[0];
    hold_autofd second = ends[1];
    hold_autofd ring = memfd_create("holdfast-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ring < 0 || ftruncate(ring, HOLD_PAIRING_RING_BYTES) < 0 || fcntl(ring, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "make the ring of generation %" PRIu64, generation);
    char text[40];
    (void) snprintf(text, sizeof(text), "GEN=%" PRIu64, generation);
    const int to_first[] = { first, ring }, to_second[] = { second, ring };
    *ret_failed = 0;
    if (hold_notify_send(first_control_fd, text, to_first, 2, err) < 0)
        return -1;
    *ret_failed = 1;
    return hold_notify_send(second_control_fd, text, to_second, 2, err);
}
