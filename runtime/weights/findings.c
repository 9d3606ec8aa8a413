/* findings.c - what is wrong with a checkpoint, as a list. Floor: runtime/weights, pure. */
#include "runtime/weights/findings.h"

#include "base/list.h"

#include <stdarg.h>
#include <stdio.h>

void hold_findings_add(struct hold_findings *f, const char *format, ...) {
    char line[320];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (f->n++ >= HOLD_FINDINGS_MAX)
        return;
    const int n = snprintf(f->text + f->used, sizeof f->text - f->used, "%s%s", f->used ? "; " : "", line);
    f->used = HOLD_MIN(f->used + (size_t) n, sizeof f->text - 1);
    if (f->lines)
        hold_buf_addf(f->lines, "%s\n", line);
}

int hold_findings_check(const struct hold_findings *f, const char *about, struct hold_err *err) {
    if (f->n == 0)
        return 0;
    return hold_fail(err, f->is_missing ? HOLD_E_MISSING : HOLD_E_FORMAT, 0, "%s (%zu finding%s): %s", about, f->n, f->n == 1 ? "" : "s", f->text);
}
