/* diagnose.c - the table of deaths. Floor: supervisor/policy, pure. */
#include "supervisor/policy/diagnose.h"

#include "base/err.h"
#include "base/exit.h"
#include "base/list.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const kill_names[HOLD_KILL_COUNT] = {
#define X(id, name, meaning) [HOLD_KILL_##id] = name,
    HOLD_KILL_LIST(X)
#undef X
};

/* What a row asks of the facts; every bit set must hold. */
enum {
    IF_UNKILLABLE = 1 << 0,
    IF_TOLD = 1 << 1,    /* X_HOLDFAST_CAUSE with a name that is in the list: it becomes the cause */
    IF_OOM = 1 << 2,     /* the kernel's counter rose */
    IF_MATCHED = 1 << 3, /* a signature was found in its output: it becomes the cause */
    IF_OURS = 1 << 4,    /* front, engine or job */
    IF_VERDICT = 1 << 5, /* the status is a row of exit.def: it becomes the cause */
    IF_FAILED = 1 << 6,  /* not status 0 */
};

#define ANY (-1)

/* Signal numbers as x86-64 and arm64 have them: a pure file includes no signal.h; a test compares them with it. */
enum { SIG_ILL = 4, SIG_TRAP = 5, SIG_ABRT = 6, SIG_BUS = 7, SIG_FPE = 8, SIG_KILL = 9, SIG_SEGV = 11, SIG_SYS = 31 };

struct row {
    unsigned needs;
    int end;    /* enum hold_end or ANY */
    int code;   /* status or signal, or ANY */
    int killed; /* enum hold_kill or ANY */
    enum hold_cause cause; /* NONE: named by the facts */
};

/* The first row that fits decides. */
static const struct row rows[] = {
    { IF_UNKILLABLE, ANY, ANY, ANY, HOLD_CAUSE_UNKILLABLE },
    { 0, HOLD_END_NOT_STARTED, 127, ANY, HOLD_CAUSE_COMMAND_MISSING },
    { 0, HOLD_END_NOT_STARTED, 126, ANY, HOLD_CAUSE_COMMAND_DENIED },
    { IF_VERDICT, HOLD_END_NOT_STARTED, ANY, ANY, HOLD_CAUSE_NONE },
    { 0, ANY, ANY, HOLD_KILL_STOP, HOLD_CAUSE_STOPPED },
    { 0, ANY, ANY, HOLD_KILL_PEER, HOLD_CAUSE_PEER },
    { 0, HOLD_END_EXITED, 0, HOLD_KILL_NOT, HOLD_CAUSE_FINISHED },
    { IF_TOLD, ANY, ANY, ANY, HOLD_CAUSE_NONE },
    { IF_OURS | IF_VERDICT, HOLD_END_EXITED, ANY, ANY, HOLD_CAUSE_NONE },
    { IF_OOM | IF_FAILED, ANY, ANY, ANY, HOLD_CAUSE_HOST_OOM },
    { IF_MATCHED | IF_FAILED, ANY, ANY, ANY, HOLD_CAUSE_NONE },
    { 0, ANY, ANY, HOLD_KILL_UNHEALTHY, HOLD_CAUSE_UNHEALTHY },
    { 0, ANY, ANY, HOLD_KILL_STALLED, HOLD_CAUSE_STALLED },
    { 0, ANY, ANY, HOLD_KILL_NO_PROGRESS, HOLD_CAUSE_NO_PROGRESS },
    { 0, ANY, ANY, HOLD_KILL_BACKSTOP, HOLD_CAUSE_START_TIMEOUT },
    { 0, HOLD_END_SIGNALED, SIG_ILL, ANY, HOLD_CAUSE_CPU_ARCH },
    { 0, HOLD_END_SIGNALED, SIG_BUS, ANY, HOLD_CAUSE_BUS_ERROR },
    { 0, HOLD_END_SIGNALED, SIG_SYS, ANY, HOLD_CAUSE_SANDBOX_DENIED },
    { 0, HOLD_END_SIGNALED, SIG_SEGV, ANY, HOLD_CAUSE_CRASHED },
    { 0, HOLD_END_SIGNALED, SIG_ABRT, ANY, HOLD_CAUSE_CRASHED },
    { 0, HOLD_END_SIGNALED, SIG_FPE, ANY, HOLD_CAUSE_CRASHED },
    { 0, HOLD_END_SIGNALED, SIG_TRAP, ANY, HOLD_CAUSE_CRASHED },
    { 0, HOLD_END_SIGNALED, SIG_KILL, ANY, HOLD_CAUSE_KILLED_OUTSIDE },
    { 0, HOLD_END_SIGNALED, ANY, ANY, HOLD_CAUSE_SIGNALLED },
    /* A shell that wraps the server reports its signal as 128 + n. */
    { 0, HOLD_END_EXITED, 128 + SIG_ILL, ANY, HOLD_CAUSE_CPU_ARCH },
    { 0, HOLD_END_EXITED, 128 + SIG_BUS, ANY, HOLD_CAUSE_BUS_ERROR },
    { 0, HOLD_END_EXITED, 128 + SIG_ABRT, ANY, HOLD_CAUSE_CRASHED },
    { 0, HOLD_END_EXITED, 128 + SIG_KILL, ANY, HOLD_CAUSE_KILLED_OUTSIDE },
    { 0, HOLD_END_EXITED, 128 + SIG_SEGV, ANY, HOLD_CAUSE_CRASHED },
    { 0, HOLD_END_EXITED, 127, ANY, HOLD_CAUSE_COMMAND_MISSING },
    { 0, ANY, ANY, ANY, HOLD_CAUSE_EXITED },
};

int hold_death_status(const struct hold_death *d) {
    return d->end == HOLD_END_SIGNALED ? 128 + (d->code & 127) : d->code & 255;
}

static enum hold_cause told_cause(const struct hold_death *d) {
    if (!d->told)
        return HOLD_CAUSE_NONE;
    return hold_cause_find(d->told, strcspn(d->told, " "));
}

static enum hold_cause verdict_cause(const struct hold_death *d) {
    if (d->end == HOLD_END_SIGNALED)
        return HOLD_CAUSE_NONE;
    const struct hold_exit_row *row = hold_exit_find(d->code);
    if (!row)
        return HOLD_CAUSE_NONE;
    return (enum hold_cause) ((int) HOLD_CAUSE_EXIT_USAGE + (int) (row - hold_exit_rows));
}

static bool fits(const struct row *row, const struct hold_death *d, unsigned facts) {
    return (row->needs & ~facts) == 0 && (row->end == ANY || row->end == (int) d->end) &&
           (row->code == ANY || row->code == d->code) && (row->killed == ANY || row->killed == (int) d->killed);
}

static unsigned facts_of(const struct hold_death *d) {
    unsigned facts = 0;
    if (d->unkillable)
        facts |= IF_UNKILLABLE;
    if (told_cause(d) != HOLD_CAUSE_NONE)
        facts |= IF_TOLD;
    if (d->oom_kills > 0)
        facts |= IF_OOM;
    if (d->matched != HOLD_CAUSE_NONE)
        facts |= IF_MATCHED;
    if (d->is_ours)
        facts |= IF_OURS;
    if (verdict_cause(d) != HOLD_CAUSE_NONE)
        facts |= IF_VERDICT;
    if (d->end != HOLD_END_EXITED || d->code != 0)
        facts |= IF_FAILED;
    return facts;
}

/* A piece into text, cut at its end; control bytes as '?', and no half character of UTF-8 at the cut. */
static void add(char *text, size_t *n, const char *piece, size_t piece_bytes) {
    const size_t room = HOLD_DIAGNOSIS_TEXT_BYTES - 1 - *n;
    const bool is_cut = piece_bytes > room;
    size_t take = HOLD_MIN(piece_bytes, room);
    while (is_cut && take > 0 && ((unsigned char) piece[take] & 0xc0) == 0x80)
        take--;
    for (size_t i = 0; i < take; i++) {
        const unsigned char c = (unsigned char) piece[i];
        text[(*n)++] = c < 0x20 || c == 0x7f ? '?' : (char) c;
    }
    text[*n] = '\0';
}

static void adds(char *text, size_t *n, const char *piece) {
    add(text, n, piece, strlen(piece));
}

HOLD_PRINTF(3, 4) static void addf(char *text, size_t *n, const char *format, ...) {
    char piece[128];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    if (length > 0)
        add(text, n, piece, HOLD_MIN((size_t) length, sizeof piece - 1));
}

/* What no restart cures is said in the same words each time, so without a clock in them. */
static void how_it_ended(const struct hold_death *d, bool is_timed, char *text, size_t *n) {
    switch (d->end) {
    case HOLD_END_SIGNALED:
        addf(text, n, "died of signal %d", d->code);
        break;
    case HOLD_END_NOT_STARTED:
        addf(text, n, "could not be started (%d)", d->code);
        break;
    case HOLD_END_EXITED:
        addf(text, n, "exited with status %d", d->code);
        break;
    }
    if (d->end != HOLD_END_NOT_STARTED && is_timed)
        addf(text, n, " after %" PRIu64 ".%" PRIu64 " s", d->uptime_ms / 1000, d->uptime_ms % 1000 / 100);
    if (!d->was_ready && !d->is_job && d->end != HOLD_END_NOT_STARTED && d->killed != HOLD_KILL_STOP)
        adds(text, n, ", never ready");
}

static void sentence(const struct hold_death *d, const struct row *row, const struct hold_diagnosis *result, char *text) {
    size_t n = 0;
    text[0] = '\0';
    adds(text, &n, hold_cause_info(result->cause)->meaning);
    if (!d->is_job || !(row->needs & IF_TOLD)) {
        adds(text, &n, "; ");
        how_it_ended(d, result->action != HOLD_ACTION_FIX_CONFIG, text, &n);
    }
    if (d->oom_kills > 0)
        addf(text, &n, ", OOM kills %" PRIu64, d->oom_kills);
    if (result->is_memory && d->memory_limit_bytes != 0 && d->memory_limit_bytes != UINT64_MAX)
        addf(text, &n, ", memory %" PRIu64 " of %" PRIu64 " MiB", d->memory_bytes >> 20, d->memory_limit_bytes >> 20);
    if ((row->needs & IF_TOLD) && d->told) {
        const size_t id = strcspn(d->told, " ");
        if (d->told[id] == ' ') {
            adds(text, &n, ": ");
            adds(text, &n, d->told + id + 1);
        }
    } else if ((row->needs & IF_MATCHED) && d->matched_line) {
        adds(text, &n, ": ");
        adds(text, &n, d->matched_line);
    } else if (d->answered && (result->cause == HOLD_CAUSE_UNHEALTHY || result->cause == HOLD_CAUSE_STALLED)) {
        adds(text, &n, ": ");
        adds(text, &n, d->answered);
    } else if (d->wrapper_line && result->cause == HOLD_CAUSE_EXITED) {
        adds(text, &n, ": ");
        adds(text, &n, d->wrapper_line);
    }
}

/* The child's own code is kept wherever it says something. A death that we caused says only KILL: there the verdict counts,
 * and where the cause has none, the one of our reason to kill. */
static int exit_code(const struct hold_death *d, int verdict) {
    if (d->unkillable || d->end == HOLD_END_NOT_STARTED)
        return verdict != 0 ? verdict : hold_death_status(d);
    if (d->killed == HOLD_KILL_UNHEALTHY || d->killed == HOLD_KILL_STALLED)
        return verdict != 0 ? verdict : HOLD_EXIT_UNHEALTHY;
    if (d->killed == HOLD_KILL_NO_PROGRESS)
        return verdict != 0 ? verdict : HOLD_EXIT_NO_PROGRESS;
    if (d->killed == HOLD_KILL_BACKSTOP)
        return verdict != 0 ? verdict : HOLD_EXIT_START_TIMEOUT;
    return hold_death_status(d);
}

void hold_diagnose(const struct hold_death *d, struct hold_diagnosis *ret) {
    const unsigned facts = facts_of(d);
    const struct row *row = rows;
    while (!fits(row, d, facts))
        row++; /* the last row fits everything */

    struct hold_diagnosis result = { .cause = row->cause };
    if (row->needs & IF_TOLD)
        result.cause = told_cause(d);
    else if (row->needs & IF_MATCHED)
        result.cause = d->matched;
    else if (row->needs & IF_VERDICT)
        result.cause = verdict_cause(d);

    const struct hold_cause_info *info = hold_cause_info(result.cause);
    result.action = info->action;
    result.advice = info->advice;
    result.is_memory = result.cause == HOLD_CAUSE_GPU_OOM || result.cause == HOLD_CAUSE_KV_NONE ||
                       result.cause == HOLD_CAUSE_HOST_OOM;
    result.exit_code = exit_code(d, info->exit);
    sentence(d, row, &result, result.text);
    *ret = result;
}

enum hold_job_word hold_job_word(const struct hold_death *d, const struct hold_diagnosis *diagnosis, bool can_fetch) {
    if (d->end == HOLD_END_EXITED && d->code == 0)
        return HOLD_JOB_OK;
    switch (diagnosis->action) {
    case HOLD_ACTION_RETRY_CLEAN:
        return can_fetch ? HOLD_JOB_HEAL : HOLD_JOB_FATAL;
    case HOLD_ACTION_FIX_CONFIG:
    case HOLD_ACTION_NEW_POD:
    case HOLD_ACTION_NEW_NODE:
        return HOLD_JOB_FATAL;
    case HOLD_ACTION_NONE:
    case HOLD_ACTION_RETRY:
    case HOLD_ACTION_WAIT:
    case HOLD_ACTION_COUNT:
        break;
    }
    return HOLD_JOB_RETRY;
}

const char *hold_kill_name(enum hold_kill k) {
    return hold_name_at(kill_names, HOLD_COUNT_OF(kill_names), (size_t) k);
}
