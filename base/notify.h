/* notify.h - one sd_notify message with its descriptors, both directions. Floor: base.
 *
 * The vocabulary on every control pair and on NOTIFY_SOCKET: lines "KEY=value". A child says READY=1, STOPPING=1,
 * STATUS=, ERRNO=, MAINPID=, WATCHDOG=1, EXTEND_TIMEOUT_USEC=, FDSTORE=1 with FDNAME=, FDSTOREREMOVE=1, and of ours
 * X_HOLDFAST_PROGRESS=done/total, X_HOLDFAST_PHASE=warming, X_HOLDFAST_CAUSE=id text, X_HOLDFAST_INFLIGHT=n,
 * X_HOLDFAST_FINDING=id level text (preflight), X_HOLDFAST_DIGEST=hex (verify, with the plan). Process 1 says to its own
 * members PHASE=name, STATUS=text, PROGRESS=done/total, PLAN=1 (one descriptor), GEN=n (two descriptors: the link end and the
 * ring). Unknown keys are skipped. A message is at most 4,096 bytes and carries at most 8 descriptors. */
#ifndef HOLD_BASE_NOTIFY_H
#define HOLD_BASE_NOTIFY_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOLD_NOTIFY_MAX_BYTES 4096
#define HOLD_NOTIFY_MAX_FDS 8

struct hold_notify {
    char text[HOLD_NOTIFY_MAX_BYTES + 1];
    size_t n;
    int fds[HOLD_NOTIFY_MAX_FDS]; /* close-on-exec; the receiver owns them */
    size_t n_fds;
    pid_t sender; /* from SCM_CREDENTIALS, or 0 */
    uid_t sender_uid; /* when sender is not 0 */
};

/* The value of key in the message as a view (not terminated; ends at the newline), or false. The first of a repeated key wins. */
bool hold_notify_find(const struct hold_notify *m, const char *key, const char **ret_value, size_t *ret_n);
/* As hold_notify_find, copied and terminated, cut to fit, control bytes as '?'. */
bool hold_notify_str(const struct hold_notify *m, const char *key, char *out, size_t out_bytes);
bool hold_notify_u64(const struct hold_notify *m, const char *key, uint64_t *ret);
/* "done/total" */
bool hold_notify_ratio(const struct hold_notify *m, const char *key, uint64_t *ret_done, uint64_t *ret_total);
void hold_notify_close_fds(struct hold_notify *m);

/* One message without blocking. ret: 1 received, 0 nothing there, -1 error; end of the pair is error code MISSING. A
 * truncated or oversized message is received with n = 0 (its descriptors closed): garbage changes nothing. */
HOLD_MUST int hold_notify_recv(int fd, struct hold_notify *ret_message, struct hold_err *err);
/* Sends text (lines joined by '\n') and up to 8 descriptors, which stay the caller's. Never blocks: a full socket is BUSY. */
HOLD_MUST int hold_notify_send(int fd, const char *text, const int *fds, size_t n_fds, struct hold_err *err);

/* For a child: the control pair from HOLDFAST_CONTROL_FD, or -1 when it was started by hand. Sets close-on-exec. */
int hold_control_take(void);
/* How often this process must say WATCHDOG=1 (WATCHDOG_USEC, when WATCHDOG_PID is absent or ours); false: it need not. */
bool hold_watchdog_usec(uint64_t *ret);
/* How many descriptors from 3 up whoever started us opened and meant for this very process (LISTEN_FDS, LISTEN_PID), now
 * close-on-exec; 0: none, or more than max. *ret_names: LISTEN_FDNAMES, or NULL. */
size_t hold_listen_fds(size_t max, const char **ret_names);
/* Says a line to process 1 if there is one; errors are dropped on purpose (a child does not fail because nobody listens). */
HOLD_PRINTF(2, 3) void hold_control_say(int control_fd, const char *format, ...);

#endif
