/* query.h - the asking side of the UNIX socket: holdfast probe and holdfast status. Floor: supervisor/host.
 *
 * Runs in a short-lived program of its own, so it may block, bounded by a timeout. */
#ifndef HOLD_SUPERVISOR_HOST_QUERY_H
#define HOLD_SUPERVISOR_HOST_QUERY_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Asks one path ("/readyz") of the holdfast whose state folder this is. Fails with MISSING when nobody answers within
 * timeout_ms. ret_status is the HTTP status, the body is added to out. */
HOLD_MUST int hold_query(const char *state_dir, const char *path, uint64_t timeout_ms, int *ret_status, struct hold_buf *out,
                         struct hold_err *err);
/* `holdfast probe live|ready|startup`: prints one line of why. Returns the exit status: 0 yes, 1 no, 1 also when nobody
 * answers (a probe has two answers), 64 when which is none of the three. */
int hold_query_probe(const char *state_dir, const char *which);
/* `holdfast status [--json] [--watch]`: a table for people or the JSON; watch redraws every second until the end.
 * Returns the exit status: 0, or 69 when nobody answers. */
int hold_query_status(const char *state_dir, bool as_json, bool watch);

#endif
