/* diagnose.h - facts of a death to its first cause, an action, an exit code and advice. Floor: supervisor/policy, pure.
 *
 * One table, read from the top, the most specific row first: what the child told beats a counter of the kernel, a counter
 * beats a line of output, a line beats our own reason to kill, that beats a bare signal, a signal beats a number. */
#ifndef HOLD_SUPERVISOR_POLICY_DIAGNOSE_H
#define HOLD_SUPERVISOR_POLICY_DIAGNOSE_H

#include "supervisor/policy/cause.h"

#include <stdbool.h>
#include <stdint.h>

enum hold_end { HOLD_END_EXITED = 1, HOLD_END_SIGNALED, HOLD_END_NOT_STARTED };

/* Why we ended it ourselves. */
#define HOLD_KILL_LIST(X)                                                            \
    X(NOT, "not", "we did not")                                                      \
    X(STOP, "stop", "a stop was asked")                                              \
    X(UNHEALTHY, "unhealthy", "liveness failed")                                     \
    X(STALLED, "stalled", "work was pending and its counters stood still")           \
    X(NO_PROGRESS, "no-progress", "nothing moved for the no-progress time")          \
    X(BACKSTOP, "backstop", "the start passed its wall-clock backstop")              \
    X(PEER, "peer", "another member's end, or a change of plan, asked for it")

enum hold_kill {
#define X(id, name, meaning) HOLD_KILL_##id,
    HOLD_KILL_LIST(X)
#undef X
    HOLD_KILL_COUNT
};

/* Everything that is known when a member or job is dead. Text is borrowed for the call. */
struct hold_death {
    enum hold_end end;
    int code;                /* exit status, signal number, or for NOT_STARTED the shell's 126 / 127 or our 100 */
    enum hold_kill killed;   /* the reason, when we sent TERM or KILL */
    bool is_ours;            /* front, engine or job: a status of exit.def is a verdict, not a stranger's number */
    bool unkillable;         /* KILL was sent and it lives on */
    bool is_job;             /* an errand: what it told is the whole story, and it never gets ready */
    bool was_ready;          /* at least once in this life */
    uint64_t uptime_ms;
    uint64_t oom_kills;      /* rise of the cgroup's OOM-kill counter during this life */
    uint64_t memory_bytes, memory_limit_bytes; /* highest reading and limit; 0: unknown */
    const char *told;        /* "id text" of the last X_HOLDFAST_CAUSE, or NULL */
    enum hold_cause matched; /* first cause found in its output, or NONE */
    const char *matched_line;/* that line, or NULL */
    const char *wrapper_line;/* last wrapper line, or NULL */
    const char *answered;    /* how the liveness check that ended it was answered, or NULL */
};

#define HOLD_DIAGNOSIS_TEXT_BYTES 512

struct hold_diagnosis {
    enum hold_cause cause;
    enum hold_action action;
    int exit_code;          /* what holdfast exits with if this is final: 0-255 */
    bool is_memory;         /* the ladder may help: device or host memory ran out */
    const char *advice;     /* static */
    char text[HOLD_DIAGNOSIS_TEXT_BYTES]; /* one sentence with the numbers; control bytes as '?', valid UTF-8 where the source was */
};

void hold_diagnose(const struct hold_death *d, struct hold_diagnosis *ret);

/* What a job's end means to the container's table. HEAL: weights were found damaged, go back and bring them again;
 * can_fetch says whether a source is configured (without one damage is fatal). */
enum hold_job_word { HOLD_JOB_OK = 1, HOLD_JOB_RETRY, HOLD_JOB_FATAL, HOLD_JOB_HEAL };
enum hold_job_word hold_job_word(const struct hold_death *d, const struct hold_diagnosis *diagnosis, bool can_fetch);

/* The status a shell would report: the code, or 128 + signal. */
int hold_death_status(const struct hold_death *d);
const char *hold_kill_name(enum hold_kill k);

#endif
