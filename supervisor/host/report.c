/* report.c - the termination message. Floor: supervisor/host. */
#include "supervisor/host/report.h"

#include "base/auto.h"
#include "base/buf.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/list.h"
#include "supervisor/policy/cause.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Strings of the first line are cut here, so that its 300 bytes always hold the verdict. */
#define HEAD_STR_BYTES 40
#define TEXT_BYTES 700

static void head_str(struct hold_buf *b, const char *key, const char *value) {
    if (!value || value[0] == '\0')
        return;
    if (b->n > 1)
        hold_buf_addc(b, ',');
    hold_buf_addf(b, "\"%s\":", key);
    hold_buf_add_json(b, value, strnlen(value, HEAD_STR_BYTES));
}

static void head_int(struct hold_buf *b, const char *key, uint64_t value) {
    hold_buf_addf(b, "%s\"%s\":%" PRIu64, b->n > 1 ? "," : "", key, value);
}

/* The length of the valid UTF-8 sequence at s, or 0. */
static size_t utf8_at(const unsigned char *s, size_t n) {
    if (s[0] < 0x80)
        return 1;
    const size_t length = s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

/* Adds as much of text as fits into room bytes: whole characters, other bytes and controls (but '\n' where kept) as '?'. */
static void add_clean(struct hold_buf *b, const char *text, size_t n, size_t room, bool keep_newlines) {
    const unsigned char *s = (const unsigned char *) text;
    for (size_t i = 0; i < n;) {
        size_t length = utf8_at(s + i, n - i);
        const bool is_bad = length == 0 || s[i] == 0x7f || (s[i] < 0x20 && !(s[i] == '\n' && keep_newlines));
        if (length == 0)
            length = 1;
        const size_t takes = is_bad ? 1 : length;
        if (takes > room)
            return;
        if (is_bad)
            hold_buf_addc(b, '?');
        else
            hold_buf_add(b, s + i, length);
        room -= takes;
        i += length;
    }
}

static void add_sentence(struct hold_buf *b, const char *text) {
    if (!text || text[0] == '\0')
        return;
    add_clean(b, text, strlen(text), TEXT_BYTES, false);
    hold_buf_addc(b, '\n');
}

/* The newest whole lines that fit. A byte may grow to no more than itself, so counting bytes is enough. */
static const char *newest(const char *lines, size_t room) {
    const size_t n = strlen(lines);
    if (n <= room)
        return lines;
    const char *at = lines + (n - room);
    const char *end = memchr(at, '\n', room);
    return end ? end + 1 : lines + n;
}

size_t hold_report_compose(const struct hold_report *r, char out[HOLD_REPORT_MAX_BYTES]) {
    hold_autobuf b = hold_buf_with_max((size_t) 4 * HOLD_REPORT_MAX_BYTES);
    hold_buf_addc(&b, '{');
    head_str(&b, "cause", r->cause);
    head_str(&b, "action", r->action);
    head_str(&b, "phase", r->phase);
    head_str(&b, "member", r->member);
    head_str(&b, "signature", r->signature);
    if (r->exit_code >= 0)
        head_int(&b, "exit", (uint64_t) r->exit_code);
    if (r->attempt > 0)
        head_int(&b, "attempt", r->attempt);
    hold_buf_adds(&b, "}\n");
    add_sentence(&b, r->text);
    add_sentence(&b, r->advice);
    if (r->last_lines && r->last_lines[0] != '\0' && b.n < HOLD_REPORT_MAX_BYTES) {
        const char *lines = newest(r->last_lines, HOLD_REPORT_MAX_BYTES - b.n);
        add_clean(&b, lines, strlen(lines), HOLD_REPORT_MAX_BYTES - b.n, true);
    }
    const size_t n = HOLD_MIN(b.n, (size_t) HOLD_REPORT_MAX_BYTES);
    if (n > 0)
        memcpy(out, b.data, n);
    return n;
}

int hold_report_write(const char *path, bool path_is_given, const struct hold_report *r, struct hold_err *err) {
    char text[HOLD_REPORT_MAX_BYTES];
    const size_t n = hold_report_compose(r, text);
    hold_autofd fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (path_is_given ? O_CREAT : 0), 0644);
    if (fd < 0 && !path_is_given && errno == ENOENT)
        return 0;
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open the termination log '%s'", path);
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return hold_fail(err, HOLD_E_FORMAT, 0, "the termination log '%s' is not a regular file", path);
    /* Written first, cut after: a KILL between the two leaves the new first line, never an empty file. */
    if (hold_pwrite_all(fd, text, n, 0, path, err) < 0)
        return -1;
    if (ftruncate(fd, (off_t) n) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "cut the termination log '%s'", path);
    return 0;
}

int hold_report_refusal(const char *path, bool path_is_given, int status, const char *text, const char *details, struct hold_err *err) {
    const struct hold_exit_row *row = hold_exit_find(status);
    const char *cause = row ? row->name : "internal";
    const struct hold_cause_info *info = hold_cause_info(hold_cause_find(cause, strlen(cause)));
    const struct hold_report r = { .phase = "exited", .cause = cause, .action = hold_action_name(info->action), .exit_code = status,
                                   .text = text, .advice = row ? row->cure : "", .last_lines = details };
    return hold_report_write(path, path_is_given, &r, err);
}
