/* report.h - the termination message, rewritten at each phase change. Floor: supervisor/host.
 *
 * At most 4,096 bytes of valid UTF-8. The first line is one JSON object with cause, action and phase within its first 300
 * bytes (pods with several containers keep no more of it); then a sentence, the advice, the last lines of output. The file
 * is a bind mount of the kubelet, so it is written in place: never renamed, what an older process left is cut off. */
#ifndef HOLD_SUPERVISOR_HOST_REPORT_H
#define HOLD_SUPERVISOR_HOST_REPORT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_REPORT_MAX_BYTES 4096
#define HOLD_REPORT_DEFAULT_PATH "/dev/termination-log"

/* Text is borrowed; NULL is left out. */
struct hold_report {
    const char *phase;     /* always */
    const char *cause, *action, *signature, *member;
    int exit_code;         /* -1: not ended */
    uint64_t attempt;      /* 0: left out */
    const char *text;      /* what happened, one sentence */
    const char *advice;
    const char *last_lines;/* lines with '\n'; the newest are kept when there is no room for all */
};

/* The message into out (HOLD_REPORT_MAX_BYTES, not terminated); returns its length. Pure. */
size_t hold_report_compose(const struct hold_report *r, char out[HOLD_REPORT_MAX_BYTES]);
/* Composes and writes in place. A file that does not exist is made only when path_is_given (the default path is then
 * simply not there: nobody reads it, and success is returned). Blocks no longer than a write of one page. */
HOLD_MUST int hold_report_write(const char *path, bool path_is_given, const struct hold_report *r, struct hold_err *err);
/* The message of an end before anything was started: the row of status in exit.def gives cause, action and advice; text says what
 * failed, details are further lines of it or NULL. */
HOLD_MUST int hold_report_refusal(const char *path, bool path_is_given, int status, const char *text, const char *details, struct hold_err *err);

#endif
