/* findings.h - what is wrong with a checkpoint, as a list instead of its first line. Floor: runtime/weights, pure. */
#ifndef HOLD_RUNTIME_WEIGHTS_FINDINGS_H
#define HOLD_RUNTIME_WEIGHTS_FINDINGS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define HOLD_FINDINGS_MAX 10u /* told; the rest is only counted */

/* Zeroed but for lines. */
struct hold_findings {
    struct hold_buf *lines; /* one line each, uncut; borrowed; may be NULL */
    char text[HOLD_ERR_TEXT_BYTES];
    size_t n, used;
    bool is_missing; /* a whole file is: a fetch may cure it */
};

HOLD_PRINTF(2, 3) void hold_findings_add(struct hold_findings *f, const char *format, ...);
/* 0 when there are none; else -1 with code FORMAT (MISSING when a file is) and "about (n findings): first; second". */
HOLD_MUST int hold_findings_check(const struct hold_findings *f, const char *about, struct hold_err *err);

#endif
