/* view.h - one read-only picture of process 1, from which status, metrics, page and report are rendered. Floor: host.
 *
 * Filled by hold_core_view() on demand; a plain value of fixed size: no pointer into anything that moves (literals and
 * configuration strings excepted). Times are monotonic ms; now_ms is the moment of the picture. */
#ifndef HOLD_HOST_VIEW_H
#define HOLD_HOST_VIEW_H

#include "supervisor/policy/container.h"
#include "supervisor/policy/cause.h"
#include "supervisor/policy/member.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOLD_VIEW_MEMBERS 4
#define HOLD_VIEW_PHASES 24
#define HOLD_VIEW_FINDINGS 8
#define HOLD_VIEW_TEXT 256
#define HOLD_VIEW_SIGNATURES 128

struct hold_view_member {
    const char *name; /* "engine" */
    const char *profile; /* sandbox profile, or "" */
    enum hold_member_state state;
    uint64_t since_ms;        /* entered that state */
    pid_t pid;                /* 0: nothing lives */
    uint32_t attempt;         /* lives begun, 1 from the first */
    uint32_t restarts;        /* lives begun after the first */
    uint64_t started_ms, ready_ms; /* of this life, 0: not yet */
    uint32_t rung;
    const char *rung_name;    /* "" for rung 0 */
    uint64_t retry_at_ms;     /* 0: not in back-off */
    uint64_t delay_ms;        /* the wait chosen last */
    bool has_exited;          /* whether the next three say anything */
    int exit_code;            /* 0..255, or -1 when a signal ended it */
    int exit_signal;          /* or 0 */
    uint64_t exited_ms;
    char cause[32];           /* id of the last diagnosis, "" when none */
    char action[16];          /* "retry", "fix-config", ... */
    char evidence[HOLD_VIEW_TEXT];
    char said[HOLD_VIEW_TEXT]; /* last STATUS= */
    uint64_t progress_done, progress_total;
    const char *progress_unit; /* "bytes", "%" or "" */
    uint64_t progress_ms;     /* last moved; 0: never */
    uint64_t inflight;
    bool probe_ok;            /* last verdict of the ready probe */
    bool has_probe;
    char probe_text[HOLD_VIEW_TEXT]; /* last answer in words */
    uint64_t probes_ok, probes_failed; /* counters */
    bool is_stalled;          /* a counter check saw work and no movement at its last question */
    uint64_t output_lost_lines;
    uint32_t restart_causes[HOLD_CAUSE_COUNT];
    uint32_t starts_ready, starts_failed; /* lives that became ready; lives that ended before */
    uint32_t sandbox_applied, sandbox_missing; /* bits of the sandbox plan's layers */
    const struct hold_layer_note *layers;      /* HOLD_LAYER_COUNT notes with the reasons, borrowed; NULL: none */
};

struct hold_view_phase {
    const char *name;
    uint64_t begun_ms, took_ms; /* took_ms grows while it is the current one */
};

struct hold_view_finding {
    char id[32];
    char level[8]; /* "ok" "warn" "fail" "wait" */
    char text[HOLD_VIEW_TEXT];
};

struct hold_view {
    uint64_t now_ms, started_ms;
    uint64_t started_wall_s; /* unix time of the start, for people */
    const char *mode;  /* "run" or "exec" (holdfast -- CMD) */
    const char *phase; /* the fold */
    enum hold_container_state container;
    uint64_t phase_since_ms;
    char waits_for[HOLD_VIEW_TEXT]; /* what a start waits for, in words; "" once it serves */
    bool is_ready;   /* /readyz */
    bool is_started; /* /startupz: was ready once */
    bool is_stopping;
    struct hold_view_phase phases[HOLD_VIEW_PHASES]; /* the cold start first; when full the newest replaces the last */
    uint32_t n_phases;
    uint64_t unkillable; /* processes that outlived a KILL and its bound */
    uint64_t drain_ms;   /* how long the drain took, 0 before it is over */
    uint64_t cold_start_ms; /* to the first READY, 0: not yet */
    struct hold_view_member members[HOLD_VIEW_MEMBERS];
    uint32_t n_members;
    /* the running or last job */
    const char *job; /* "preflight", "fetch", "verify", or "" */
    pid_t job_pid;
    uint32_t job_attempt;
    uint64_t job_done, job_total;
    char job_said[HOLD_VIEW_TEXT];
    struct hold_view_finding findings[HOLD_VIEW_FINDINGS];
    uint32_t n_findings;
    uint64_t generation; /* of the pairing, 0: never paired */
    uint64_t orphans_reaped;
    uint32_t signatures[HOLD_VIEW_SIGNATURES]; /* hits of each row of signatures.def */
    uint64_t restarts_left; /* UINT64_MAX: no limit */
    uint64_t stored_fds;
    int exit_code;       /* fixed once EXITED, else -1 */
    char cause[32];      /* the first cause of a failure, "" when none */
    char action[16];
    char advice[HOLD_VIEW_TEXT];
    char model[HOLD_VIEW_TEXT]; /* what is served, for people */
    char digest[72];
};

#endif
