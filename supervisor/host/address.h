/* address.h - where process 1 listens: "[::]:8000" (IPv4 too), "0.0.0.0:80", "127.0.0.1:0", "localhost:80", ":8000". Floor: host.
 *
 * Addresses are numeric, since process 1 resolves no name. No host is every address of both families. */
#ifndef HOLD_HOST_ADDRESS_H
#define HOLD_HOST_ADDRESS_H

#include "base/err.h"

#include <sys/socket.h>

/* Fails with CONFIG and a sentence that names the text. Pure. */
HOLD_MUST int hold_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_bytes, struct hold_err *err);
/* A TCP socket bound there, close-on-exec and non-blocking, not listening yet. On a kernel without IPv6 "[::]" is every address
 * of IPv4. Taken: BUSY. */
HOLD_MUST int hold_address_bind(const char *text, int *ret_fd, struct hold_err *err);

#endif
