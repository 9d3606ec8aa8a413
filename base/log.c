/* log.c - one line per event. Floor: base. The only place that reads the wall clock. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, VALUE_BYTES = 1024 };

static struct {
    const char *name;
    bool is_text;
    enum hold_log_level least;
    bool never_waits;
    uint64_t n_lost;
} settings = { .name = "holdfast", .least = HOLD_LV_INFO };

static const char *const event_names[] = {
#define X(id, name, meaning) [HOLD_EV_##id] = name,
#include "base/event.def"
#undef X
};
static const char *const event_meanings[] = {
#define X(id, name, meaning) [HOLD_EV_##id] = meaning,
#include "base/event.def"
#undef X
};
static const char *const level_names[] = { "debug", "info", "warn", "error" };

const char *hold_event_name(enum hold_event ev) {
    return hold_name_at(event_names, HOLD_COUNT_OF(event_names), (size_t) ev);
}

const char *hold_event_meaning(enum hold_event ev) {
    return hold_name_at(event_meanings, HOLD_COUNT_OF(event_meanings), (size_t) ev);
}

void hold_log_open(const char *name, bool is_text) {
    settings.name = name;
    settings.is_text = is_text;
}

void hold_log_set_text(bool is_text) {
    settings.is_text = is_text;
}

bool hold_log_is_text(void) {
    return settings.is_text;
}

void hold_log_set_level(enum hold_log_level least) {
    settings.least = least;
}

bool hold_log_wants(enum hold_log_level level) {
    return level >= settings.least;
}

/* A line in the making, on the stack: logging allocates nothing, so that it works when memory is gone. */
struct line {
    char bytes[LINE_BYTES];
    size_t n;
};

static void put(struct line *line, const char *text, size_t n) {
    n = HOLD_MIN(n, sizeof line->bytes - line->n);
    memcpy(line->bytes + line->n, text, n);
    line->n += n;
}

static void puts_line(struct line *line, const char *text) {
    put(line, text, strlen(text));
}

static void put_json(struct line *line, const char *text) {
    char store[VALUE_BYTES + 8];
    struct hold_buf b = { .data = store, .capacity = sizeof store, .max_bytes = sizeof store - 2 };
    size_t n = strlen(text);
    /* Escaping may lengthen the text sixfold: shorten it until the result fits, so that the JSON is never cut. */
    for (n = HOLD_MIN(n, (size_t) VALUE_BYTES - 2);; n = n * 3 / 4) {
        b.n = 0;
        b.failed = false;
        hold_buf_add_json(&b, text, n);
        if (!b.failed)
            break;
    }
    put(line, b.data, b.n);
}

/* A word that a person reads as well without quotes. */
static bool is_plain(const char *text) {
    size_t n = 0;
    for (; text[n]; n++)
        if (n == VALUE_BYTES || text[n] <= ' ' || text[n] == '"' || text[n] == '\\' || text[n] == 0x7f)
            return false;
    return n > 0;
}

static void put_value(struct line *line, const struct hold_log_field *f, bool is_text) {
    char number[64];
    switch (f->kind) {
    case HOLD_LK_STR:
        if (is_text && f->s && is_plain(f->s))
            puts_line(line, f->s);
        else
            put_json(line, f->s ? f->s : "");
        return;
    case HOLD_LK_U64:
        snprintf(number, sizeof number, "%" PRIu64, f->u);
        break;
    case HOLD_LK_I64:
        snprintf(number, sizeof number, "%" PRId64, f->i);
        break;
    case HOLD_LK_F64:
        snprintf(number, sizeof number, isfinite(f->f) ? "%.6g" : "null", f->f);
        break;
    case HOLD_LK_BOOL:
        snprintf(number, sizeof number, "%s", f->b ? "true" : "false");
        break;
    case HOLD_LK_END:
        number[0] = '\0';
        break;
    }
    puts_line(line, number);
}

static void put_time(struct line *line) {
    uint64_t now_ms = hold_clock_ms(HOLD_CLOCK_WALL);
    time_t now_s = (time_t) (now_ms / 1000);
    struct tm utc;
    char text[40], whole[56];
    gmtime_r(&now_s, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(whole, sizeof whole, "%s.%03u", text + (settings.is_text ? 11 : 0), (unsigned) (now_ms % 1000));
    puts_line(line, whole);
}

uint64_t hold_log_wall_s(void) {
    return hold_clock_ms(HOLD_CLOCK_WALL) / 1000;
}

static void put_head(struct line *line, enum hold_log_level level, enum hold_event ev) {
    if (settings.is_text) {
        put_time(line);
        char head[96];
        snprintf(head, sizeof head, " %-5s %s: %-10s", level_names[level], settings.name, hold_event_name(ev));
        puts_line(line, head);
    } else {
        puts_line(line, "{\"t\":\"");
        put_time(line);
        puts_line(line, "Z\",\"lvl\":\"");
        puts_line(line, level_names[level]);
        puts_line(line, "\",\"ev\":\"");
        puts_line(line, hold_event_name(ev));
        puts_line(line, "\",\"prog\":\"");
        puts_line(line, settings.name);
        puts_line(line, "\"");
    }
}

/* A field goes in whole or not at all. */
static void put_field(struct line *line, const struct hold_log_field *f) {
    size_t before = line->n;
    if (settings.is_text) {
        puts_line(line, " ");
        puts_line(line, f->key);
        puts_line(line, "=");
    } else {
        puts_line(line, ",\"");
        puts_line(line, f->key);
        puts_line(line, "\":");
    }
    put_value(line, f, settings.is_text);
    if (line->n + 2 > sizeof line->bytes)
        line->n = before;
}

void hold_log_never_wait(void) {
    settings.never_waits = true;
}

void hold_log_fields(enum hold_log_level level, enum hold_event ev, const struct hold_log_field *fields) {
    if (!hold_log_wants(level))
        return;
    struct line line = { .n = 0 };
    put_head(&line, level, ev);
    for (; fields->kind != HOLD_LK_END; fields++)
        put_field(&line, fields);
    /* A pipe that polls writable has room for a whole line of at most PIPE_BUF. */
    struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (settings.never_waits && (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))) {
        settings.n_lost++;
        return;
    }
    if (settings.n_lost > 0)
        put_field(&line, &HOLD_LU("lost_lines", settings.n_lost));
    settings.n_lost = 0;
    puts_line(&line, settings.is_text ? "\n" : "}\n");
    ssize_t written = write(STDERR_FILENO, line.bytes, line.n);
    (void) written; /* a log that cannot be written must not stop what is logged */
}

void hold_log_err(const struct hold_err *err) {
    hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("code", hold_errc_name(err->code)), HOLD_LS("message", err->text));
}
