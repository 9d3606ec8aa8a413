/* log.h - one line per event on standard error: JSON, or text on a terminal. Floor: base.
 *
 *     hold_log(HOLD_LV_WARN, HOLD_EV_RESTART, HOLD_LS("cause", "gpu_oom"), HOLD_LU("attempt", 3), HOLD_LU("delay_ms", 4000));
 *     {"t":"2026-11-25T00:20:13.123Z","lvl":"warn","ev":"restart","prog":"holdfast","cause":"gpu_oom","attempt":3,"delay_ms":4000}
 *
 * Event names come from event.def, the unit is in the key. A line is at most 4,096 bytes (values are cut, never the
 * JSON) and is written by one write(2), so that lines of several processes never mix. Prompts and weights are never logged. */
#ifndef HOLD_BASE_LOG_H
#define HOLD_BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum hold_log_level { HOLD_LV_DEBUG, HOLD_LV_INFO, HOLD_LV_WARN, HOLD_LV_ERROR };

enum hold_event {
#define X(id, name, meaning) HOLD_EV_##id,
#include "base/event.def"
#undef X
    HOLD_EV_COUNT
};

const char *hold_event_name(enum hold_event ev);
const char *hold_event_meaning(enum hold_event ev);

enum hold_log_kind { HOLD_LK_END, HOLD_LK_STR, HOLD_LK_U64, HOLD_LK_I64, HOLD_LK_F64, HOLD_LK_BOOL };

struct hold_log_field {
    enum hold_log_kind kind;
    const char *key;
    union {
        const char *s; /* NULL prints as "" */
        uint64_t u;
        int64_t i;
        double f;
        bool b;
    };
};

#define HOLD_LS(k, v) ((struct hold_log_field) { .kind = HOLD_LK_STR, .key = (k), .s = (v) })
#define HOLD_LU(k, v) ((struct hold_log_field) { .kind = HOLD_LK_U64, .key = (k), .u = (v) })
#define HOLD_LI(k, v) ((struct hold_log_field) { .kind = HOLD_LK_I64, .key = (k), .i = (v) })
#define HOLD_LF(k, v) ((struct hold_log_field) { .kind = HOLD_LK_F64, .key = (k), .f = (v) })
#define HOLD_LB(k, v) ((struct hold_log_field) { .kind = HOLD_LK_BOOL, .key = (k), .b = (v) })

/* Once, from a program's main: the name in every line ("holdfast", "job:fetch", "engine"), and whether text or JSON
 * is written; is_text follows isatty(2) unless the caller knows better. name must live for ever. */
void hold_log_open(const char *name, bool is_text);
/* Seconds since 1970, for what people read; no deadline is made of it. */
uint64_t hold_log_wall_s(void);
void hold_log_set_level(enum hold_log_level least);
/* For process 1: from now on a line that standard error has no room for is dropped and counted instead of waited for; the
 * next one that fits carries "lost_lines". */
void hold_log_never_wait(void);
/* Text or JSON from here on, and which of them it is. */
void hold_log_set_text(bool is_text);
bool hold_log_is_text(void);
/* Writes the fields up to the first of kind END. Used through the macro, which ends the list by itself. */
void hold_log_fields(enum hold_log_level level, enum hold_event ev, const struct hold_log_field *fields);

/* Whether a line of this level is written: fields of others are not even made. */
bool hold_log_wants(enum hold_log_level level);

#define hold_log(level, ev, ...)                                                                    \
    (hold_log_wants(level)                                                                          \
         ? hold_log_fields((level), (ev), (const struct hold_log_field[]) { __VA_ARGS__ __VA_OPT__(, ) { .kind = HOLD_LK_END } }) \
         : (void) 0)

/* The error as one line of level ERROR, event "error". */
void hold_log_err(const struct hold_err *err);

#endif
