/* verdict.c - why an errand ended, told to process 1 and to a person. Floor: supervisor/job. */
#include "supervisor/job/verdict.h"

#include "base/log.h"
#include "base/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int hold_verdict_fail(struct hold_verdict *v, int status, enum hold_errc code, int sys, const char *format, ...) {
    char text[HOLD_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    v->status = status;
    return hold_fail(&v->err, code, sys, "%s", text);
}

int hold_verdict_is(struct hold_verdict *v, int status) {
    v->status = status;
    return -1;
}

int hold_verdict_of_write(struct hold_verdict *v) {
    int sys = v->err.sys;
    return hold_verdict_is(v, sys == ENOSPC ? HOLD_EXIT_FETCH_SPACE : sys == EDQUOT ? HOLD_EXIT_FETCH_QUOTA
                              : sys == EROFS ? HOLD_EXIT_FETCH_READONLY : HOLD_EXIT_FETCH_WRITE);
}

int hold_verdict_end(const struct hold_verdict *v, int control_fd) {
    const struct hold_exit_row *row = hold_exit_find(v->status);
    const char *name = row ? row->name : "internal";
    hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("cause", name), HOLD_LS("text", v->err.text), HOLD_LI("status", v->status),
             HOLD_LS("cure", row ? row->cure : ""));
    hold_control_say(control_fd, "X_HOLDFAST_CAUSE=%s %s", name, v->err.text);
    return v->status;
}
