/* err.c - the error value. Floor: base. */
#include "base/err.h"

#include "base/list.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
#define X(id, name) [HOLD_E_##id] = name,
    HOLD_ERRC_LIST(X)
#undef X
};

const char *hold_errc_name(enum hold_errc code) {
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) code);
}

/* UTF-8 passes; what moves a cursor or ends a line does not. */
static void tame(char *text) {
    for (char *p = text; *p; p++)
        if ((unsigned char) *p < 0x20 || *p == 0x7f)
            *p = '?';
}

int hold_fail(struct hold_err *err, enum hold_errc code, int sys, const char *format, ...) {
    if (!err)
        return -1;
    err->code = code;
    err->sys = sys;
    va_list list;
    va_start(list, format);
    int n = vsnprintf(err->text, sizeof err->text, format, list);
    va_end(list);
    if (sys && n >= 0 && (size_t) n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t) n, ": %s", strerror(sys));
    tame(err->text);
    return -1;
}

int hold_wrap(struct hold_err *err, const char *format, ...) {
    if (!err)
        return -1;
    char front[HOLD_ERR_TEXT_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(front, sizeof front - 2, format, list);
    va_end(list);
    size_t n = strlen(front);
    front[n++] = ':';
    front[n++] = ' ';
    size_t kept = HOLD_MIN(strlen(err->text), sizeof err->text - 1 - n);
    memmove(err->text + n, err->text, kept);
    memcpy(err->text, front, n);
    err->text[n + kept] = '\0';
    tame(err->text);
    return -1;
}
