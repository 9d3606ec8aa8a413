/* query.c - the asking side of the UNIX socket. Floor: supervisor/host. Blocks, bounded; never part of process 1. */
#include "supervisor/host/query.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/json.h"
#include "base/list.h"
#include "base/num.h"
#include "base/term.h"
#include "supervisor/host/probe_io.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES ((size_t) 512 << 10)
#define QUERY_MS 3000

static int connect_to(const char *state_dir, uint64_t timeout_ms, int *ret_fd, struct hold_err *err) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const int n = snprintf(a.sun_path, sizeof a.sun_path, "%s/holdfast.sock", state_dir);
    if (n < 0 || (size_t) n >= sizeof a.sun_path)
        return hold_fail(err, HOLD_E_LIMIT, 0, "state folder '%s': the path of its socket is longer than %zu bytes", state_dir, sizeof a.sun_path - 1);
    hold_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "socket");
    const struct timeval limit = { .tv_sec = (time_t) (timeout_ms / 1000), .tv_usec = (suseconds_t) (timeout_ms % 1000 * 1000) };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "time limit of a query");
    if (connect(fd, (struct sockaddr *) &a, sizeof a) < 0)
        return hold_fail(err, HOLD_E_MISSING, errno, "no holdfast answers at '%s' (--state-dir names the folder of another)", a.sun_path);
    *ret_fd = hold_take_fd(&fd);
    return 0;
}

int hold_query(const char *state_dir, const char *path, uint64_t timeout_ms, int *ret_status, struct hold_buf *out, struct hold_err *err) {
    hold_autofd fd = -1;
    if (connect_to(state_dir, timeout_ms, &fd, err) < 0)
        return -1;
    char request[256];
    const int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    if (n < 0 || (size_t) n >= sizeof request)
        return hold_fail(err, HOLD_E_LIMIT, 0, "path '%s' is too long", path);
    if (send(fd, request, (size_t) n, MSG_NOSIGNAL) != n)
        return hold_fail(err, HOLD_E_MISSING, errno, "the holdfast of '%s' takes no question", state_dir);
    hold_autobuf answer = hold_buf_with_max(ANSWER_BYTES);
    for (;;) {
        char *room = hold_buf_reserve(&answer, 8192);
        if (!room)
            return hold_fail(err, HOLD_E_LIMIT, 0, "the answer to %s is longer than %zu bytes", path, ANSWER_BYTES);
        const ssize_t got = recv(fd, room, 8192, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hold_fail(err, HOLD_E_MISSING, errno == EAGAIN ? ETIMEDOUT : errno, "the holdfast of '%s' does not answer", state_dir);
        if (got == 0)
            break;
        hold_buf_commit(&answer, (size_t) got);
    }
    const int status = answer.n > 0 ? hold_http_status_of(answer.data, answer.n) : -1;
    const char *body = answer.n > 0 ? memmem(answer.data, answer.n, "\r\n\r\n", 4) : NULL;
    if (status <= 0 || !body)
        return hold_fail(err, HOLD_E_FORMAT, 0, "what answers at '%s' is no holdfast", state_dir);
    body += 4;
    hold_buf_add(out, body, answer.n - (size_t) (body - answer.data));
    *ret_status = status;
    return hold_buf_check(out, "the answer", err);
}

int hold_query_probe(const char *state_dir, const char *which) {
    static const struct {
        const char *name, *path;
    } probes[] = { { "live", "/livez" }, { "ready", "/readyz" }, { "startup", "/startupz" } };
    for (size_t i = 0; i < HOLD_COUNT_OF(probes); i++) {
        if (strcmp(which, probes[i].name) != 0)
            continue;
        hold_autobuf body = hold_buf_with_max(4096);
        struct hold_err err = { 0 };
        int status = 0;
        if (hold_query(state_dir, probes[i].path, QUERY_MS, &status, &body, &err) < 0) {
            fprintf(stderr, "holdfast: probe %s: %s\n", which, err.text);
            return 1;
        }
        printf("%.*s", (int) body.n, body.data ? body.data : "");
        return status == 200 ? 0 : 1;
    }
    fprintf(stderr, "holdfast: probe '%s' is none of live, ready, startup\n", which);
    return HOLD_EXIT_USAGE;
}

/* ---- the table for people ---- */

static const char *str_of(const struct cJSON *object, const char *key) {
    const char *text = "";
    (void) hold_json_str(hold_json_get(object, key), &text);
    return text;
}

static uint64_t u64_of(const struct cJSON *object, const char *key) {
    uint64_t value = 0;
    (void) hold_json_u64(hold_json_get(object, key), &value);
    return value;
}

/* To a precision that a person wants: 1234 ms is "1.2s", 90061000 is "25h1m". */
static void time_text(uint64_t ms, char *out, size_t out_bytes) {
    if (ms < 1000)
        snprintf(out, out_bytes, "%" PRIu64 "ms", ms);
    else if (ms < 60000)
        snprintf(out, out_bytes, "%" PRIu64 ".%" PRIu64 "s", ms / 1000, ms % 1000 / 100);
    else if (ms < 3600000)
        snprintf(out, out_bytes, "%" PRIu64 "m%" PRIu64 "s", ms / 60000, ms / 1000 % 60);
    else
        snprintf(out, out_bytes, "%" PRIu64 "h%" PRIu64 "m", ms / 3600000, ms / 60000 % 60);
}

static void show_head(const struct cJSON *s, struct hold_buf *out) {
    char for_text[32], up[32], cold[32];
    time_text(u64_of(s, "phase_ms"), for_text, sizeof for_text);
    time_text(u64_of(s, "uptime_ms"), up, sizeof up);
    time_text(u64_of(s, "cold_start_ms"), cold, sizeof cold);
    hold_buf_addf(out, "%s for %s, up %s", str_of(s, "phase"), for_text, up);
    if (u64_of(s, "cold_start_ms") != 0)
        hold_buf_addf(out, ", first ready after %s", cold);
    if (str_of(s, "model")[0] != '\0')
        hold_buf_addf(out, ", %s", str_of(s, "model"));
    hold_buf_addc(out, '\n');
    if (str_of(s, "waits_for")[0] != '\0')
        hold_buf_addf(out, "waits for %s\n", str_of(s, "waits_for"));
    const struct cJSON *verdict = hold_json_get(s, "verdict");
    if (verdict && str_of(verdict, "cause")[0] != '\0')
        hold_buf_addf(out, "diagnosis: %s (%s): %s\n", str_of(verdict, "cause"), str_of(verdict, "action"), str_of(verdict, "advice"));
    const struct cJSON *job = hold_json_get(s, "job");
    if (job && u64_of(job, "pid") != 0) {
        hold_buf_addf(out, "job %s, try %" PRIu64, str_of(job, "name"), u64_of(job, "attempt"));
        char done[32], total[32];
        hold_format_bytes(u64_of(job, "done"), done, sizeof done);
        hold_format_bytes(u64_of(job, "total"), total, sizeof total);
        if (u64_of(job, "total") != 0)
            hold_buf_addf(out, ": %s of %s", done, total);
        hold_buf_addc(out, '\n');
    }
}

static void show_phases(const struct cJSON *s, struct hold_buf *out) {
    bool is_first = true;
    for (const struct cJSON *p = hold_json_first(hold_json_get(s, "phases")); p; p = hold_json_next(p)) {
        char took[32];
        time_text(u64_of(p, "took_ms"), took, sizeof took);
        hold_buf_addf(out, "%s%s %s", is_first ? "start: " : " > ", str_of(p, "name"), took);
        is_first = false;
    }
    if (!is_first)
        hold_buf_addc(out, '\n');
}

enum { COLUMNS = 6, ROWS = 9 };

static void ending_text(const struct cJSON *m, char *out, size_t out_bytes) {
    const struct cJSON *e = hold_json_get(m, "last_exit");
    if (!e) {
        snprintf(out, out_bytes, "-");
        return;
    }
    char ago[32];
    time_text(u64_of(e, "ago_ms"), ago, sizeof ago);
    const uint64_t sig = u64_of(e, "signal");
    snprintf(out, out_bytes, "%s %" PRIu64 ", %s ago%s%s", sig ? "signal" : "status", sig ? sig : u64_of(e, "code"), ago,
             str_of(e, "cause")[0] ? ": " : "", str_of(e, "cause"));
}

static void show_members(const struct cJSON *s, size_t width, struct hold_buf *out) {
    static char text[ROWS][COLUMNS][128];
    const char *cells[ROWS * COLUMNS] = { "MEMBER", "STATE", "FOR", "PID", "RESTARTS", "LAST END" };
    size_t row = 1;
    for (const struct cJSON *m = hold_json_first(hold_json_get(s, "members")); m && row < ROWS; m = hold_json_next(m), row++) {
        snprintf(text[row][0], sizeof text[row][0], "%s", str_of(m, "name"));
        snprintf(text[row][1], sizeof text[row][1], "%s", str_of(m, "state"));
        time_text(u64_of(m, "state_ms"), text[row][2], sizeof text[row][2]);
        if (u64_of(m, "pid") != 0)
            snprintf(text[row][3], sizeof text[row][3], "%" PRIu64, u64_of(m, "pid"));
        else
            snprintf(text[row][3], sizeof text[row][3], "-");
        snprintf(text[row][4], sizeof text[row][4], "%" PRIu64, u64_of(m, "restarts"));
        ending_text(m, text[row][5], sizeof text[row][5]);
        for (size_t c = 0; c < COLUMNS; c++)
            cells[row * COLUMNS + c] = text[row][c];
    }
    if (row > 1)
        hold_table(cells, row, COLUMNS, width, out);
}

static int show_once(const char *state_dir, bool as_json, bool redraws, struct hold_err *err) {
    hold_autobuf body = hold_buf_with_max(ANSWER_BYTES);
    hold_autobuf out = hold_buf_with_max(ANSWER_BYTES);
    int status = 0;
    if (hold_query(state_dir, "/status", QUERY_MS, &status, &body, err) < 0)
        return -1;
    if (as_json)
        return hold_write_all(1, body.data ? body.data : "", body.n, "standard output", err);
    hold_autojson *s = NULL;
    const struct hold_json_limits limits = { .max_bytes = ANSWER_BYTES, .max_tokens = 20000 };
    if (hold_json_parse(body.data ? body.data : "", body.n, "the status", limits, &s, err) < 0)
        return -1;
    if (redraws)
        hold_buf_adds(&out, "\x1b[H\x1b[J");
    show_head(s, &out);
    show_phases(s, &out);
    show_members(s, hold_term_width(1), &out);
    return hold_write_all(1, out.data ? out.data : "", out.n, "standard output", err);
}

int hold_query_status(const char *state_dir, bool as_json, bool watch) {
    struct hold_err err = { 0 };
    const bool redraws = watch && isatty(1) == 1;
    for (bool is_first = true;; is_first = false) {
        if (show_once(state_dir, as_json, redraws, &err) < 0) {
            if (is_first || err.code != HOLD_E_MISSING) {
                fprintf(stderr, "holdfast: status: %s\n", err.text);
                return HOLD_EXIT_UNREACHABLE;
            }
            return HOLD_EXIT_OK; /* watched to its end */
        }
        if (!watch)
            return HOLD_EXIT_OK;
        (void) poll(NULL, 0, 1000);
    }
}
