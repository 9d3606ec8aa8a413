/* json_scan.h - is this text strict JSON within these bounds? Floor: base, pure. Used by json.c before cJSON sees a byte. */
#ifndef HOLD_BASE_JSON_SCAN_H
#define HOLD_BASE_JSON_SCAN_H

#include "base/err.h"

#include <stddef.h>

/* One value of RFC 8259 and nothing after it, in valid UTF-8, with no NUL (written raw or as \u0000), no lone
 * surrogate escape, at most max_depth (up to 64) containers deep and at most max_tokens values and keys.
 * Fails with FORMAT or LIMIT and names the byte offset. Allocates nothing, does not recurse. */
HOLD_MUST int hold_json_scan(const char *text, size_t n, const char *what, size_t max_depth, size_t max_tokens,
                             struct hold_err *err);

#endif
