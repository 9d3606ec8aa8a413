/* core.h - process 1's whole state: one container, its members, its job, and their clocks. Floor: host.
 *
 * core.c turns happenings into events and steps the two tables; act.c performs the actions; start.c says what a child is
 * started with; probing.c asks; hear.c listens; view.c paints. They all work on this one struct, which is made once and
 * never grows. Times are monotonic ms; HOLD_NEVER is "not armed". */
#ifndef HOLD_HOST_CORE_H
#define HOLD_HOST_CORE_H

#include "base/notify.h"
#include "supervisor/host/child.h"
#include "supervisor/host/config.h"
#include "supervisor/host/evidence.h"
#include "supervisor/host/loop.h"
#include "supervisor/host/output.h"
#include "supervisor/host/probe_io.h"
#include "supervisor/host/record.h"
#include "supervisor/host/status.h"
#include "supervisor/host/store.h"
#include "supervisor/host/tree.h"
#include "supervisor/host/view.h"
#include "supervisor/policy/backoff.h"
#include "supervisor/policy/diagnose.h"
#include "supervisor/policy/fate.h"
#include "supervisor/policy/lines.h"
#include "supervisor/policy/probe.h"
#include "supervisor/policy/progress.h"

/* Numbers of children: what loop indexes and tree owners are. */
#define HOLD_CORE_JOB HOLD_CONFIG_SERVERS                  /* the job */
#define HOLD_CORE_PROBE(member, question) (HOLD_CORE_JOB + 1 + (member) * HOLD_ASK_COUNT + (int) (question)) /* an exec probe */

enum hold_question { HOLD_ASK_READY, HOLD_ASK_LIVE, HOLD_ASK_WARM, HOLD_ASK_COUNT };

struct hold_asking {
    bool is_on;                     /* there is such a check and the member's state wants it asked */
    struct hold_probe_target target;
    struct hold_probe probe;
    struct hold_probe_io io;
    struct hold_child exec;         /* the child of an exec question, pid 0: none */
    struct hold_counter counter;    /* what the last counter question of this life saw */
    bool is_stalled, is_blind;      /* by the last answer: work and no movement; a page without the series */
};

/* What every life touches stands together, what is large or rare on either side: process 1's own memory is counted in pages. */
struct hold_member {
    struct hold_budget budget;     /* a ring, then its numbers */
    const struct hold_server_config *config;
    int index;
    bool is_asked;                 /* it has a check or a warm-up; without one ask stays untouched */
    enum hold_member_state state;
    uint64_t since_ms;
    uint64_t deadline_ms[HOLD_MEMBER_DL_COUNT];

    struct hold_child child;       /* pid 0 once reaped */
    int control_fd;                /* ours of the pair, or -1 */
    struct hold_sandbox_plan *plan;
    uint32_t attempt, rung;
    uint64_t started_ms, ready_ms; /* of this life; 0: not yet */
    uint64_t ready_since_ms, healthy_ms; /* now ready since (0: is not), and before that in this life */
    struct hold_restarts restarts;
    uint64_t delay_ms;             /* the wait chosen last */

    /* of this life, for the diagnosis */
    enum hold_kill killed;
    enum hold_member_deadline killed_by;
    int exec_status;               /* not 0: exec failed with this status */
    uint64_t inflight, oom_before, memory_peak;
    uint64_t watchdog_ms;          /* as configured, or as it said itself (WATCHDOG_USEC); 0: none */
    uint64_t last_bytes, last_limit_bytes; /* memory when the holdfast before this one was killed, tight; 0: it was not */
    enum hold_cause matched;
    const char *signature;         /* id of the line that named it, static; NULL: none */
    struct hold_progress progress;

    /* the last end */
    bool has_exited;
    int wait_status;
    uint64_t exited_ms;
    struct hold_diagnosis diagnosis;

    struct hold_sandbox_plan open_plan;        /* where plan points when the sandbox is off */
    uint32_t restart_causes[HOLD_CAUSE_COUNT]; /* lives begun after an end of that cause */
    uint32_t starts_ready, starts_failed;      /* lives that became ready, and those that ended before */
    struct hold_asking ask[HOLD_ASK_COUNT];
    char exec_text[HOLD_ERR_TEXT_BYTES];       /* of this life, as the five below */
    char told[HOLD_VIEW_TEXT];                 /* last X_HOLDFAST_CAUSE */
    char said[HOLD_VIEW_TEXT];                 /* last STATUS */
    char matched_line[HOLD_VIEW_TEXT], wrapper_line[HOLD_VIEW_TEXT];
    char answered[HOLD_PROBE_IO_WHY_BYTES];    /* to the question whose failure ended it; "": none did */
};

enum hold_job_kind { HOLD_JOB_PREFLIGHT, HOLD_JOB_FETCH, HOLD_JOB_VERIFY, HOLD_JOB_COUNT };

struct hold_job {
    enum hold_job_kind kind;
    struct hold_child child;
    int control_fd;
    struct hold_sandbox_plan *plan;
    bool is_ending;                /* we asked it to end: its end makes no event */
    uint32_t attempt;              /* of this stage */
    uint64_t started_ms, done, total;
    int exec_status;
    struct hold_restarts retries;
    uint64_t delay_ms;             /* of the retry */
    bool has_run, was_stuck;
    uint64_t deadline_ms;          /* it is killed then: it tells nothing, or does not end; its death makes the event */
    uint64_t heals;                /* spent of the heal budget */
    bool is_deep;                  /* the next verify trusts no marker */
    struct hold_diagnosis diagnosis;
    char told[HOLD_ERR_TEXT_BYTES], said[HOLD_VIEW_TEXT], exec_text[HOLD_ERR_TEXT_BYTES];
};

/* What process 1 ends with; the first failure wins. */
struct hold_ending {
    bool is_fixed;
    bool has_status;    /* not fixed: a member ended while stopping; exit_code is the first that is not 0 */
    int exit_code;
    enum hold_cause cause;
    enum hold_action action;
    const char *member; /* or the job's name */
    char text[HOLD_DIAGNOSIS_TEXT_BYTES];
    const char *advice;
};

#define HOLD_CORE_EVENTS 64
/* A start has the processor to itself for this long: the UNIX socket, the first publication and the look at a plain child's exec
 * come after it. A program that ends sooner costs nothing of that. */
#define HOLD_SETTLE_MS 20

struct hold_core_event {
    int8_t member; /* index, or -1: the container's */
    uint8_t event;
};

/* As in a member: what every start and end touches comes first, what is large or rare behind it. */
struct hold_core {
    const struct hold_config *config;
    const struct hold_inherited *inherited;
    const char *const *environment;
    struct hold_loop loop;
    bool cgroup_is_known;
    int memory_fd;          /* memory.events, or -1 */
    uint64_t pressed_ms;    /* when it last spoke */

    enum hold_container_state state;
    uint64_t since_ms;
    uint64_t deadline_ms[HOLD_CONTAINER_DL_COUNT];
    uint64_t settle_ms;    /* what was put off for a start is done then */
    uint64_t stop_ms;      /* first stop request, 0: none */
    int stop_signal;
    size_t n_members;

    struct hold_core_event queue[HOLD_CORE_EVENTS];
    size_t queue_begin, queue_n;
    bool tree_changed;     /* something was reaped or is newly dying: trees are worth a look */
    bool has_output, has_status, has_lines;
    bool is_tight;    /* few descriptors are allowed: what can be done without is not opened */
    bool on_terminal; /* the terminal on 0 was ours at the start: members get it, and job control is passed on */
    bool ignores_int; /* INT was ignored when we were started */
    int listen_fd, notify_fd, above_fd; /* above: connected to the NOTIFY_SOCKET that we were given, or -1 */
    uint64_t above_every_ms, above_ping_ms; /* WATCHDOG=1 upwards: how often, and when next (HOLD_NEVER: nobody asks) */
    uint64_t stranger_said_ms;
    uint64_t generation;

    uint64_t now_ms;       /* of the last wake-up */
    uint64_t started_ms, started_wall_s, cold_start_ms;
    const char *phase;     /* as last announced */
    uint64_t phase_since_ms;
    bool is_ready, is_started; /* as last published; was ready once */
    bool has_report; /* somebody reads the termination message: its file was there at the start, or was asked for */
    bool report_is_due, report_failed;
    uint32_t n_phases, n_findings;
    uint64_t orphans_reaped, progress_said_ms;
    uint64_t unkillable;   /* processes that were still there after KILL and its bound */
    uint64_t drain_begun_ms, drain_ms; /* the stop's drain: 0 before it begins; how long it took, 0 before it is over */
    uint32_t random;       /* state of the jitter */

    struct hold_sandbox_facts facts;
    struct hold_memory memory; /* the last reading */
    struct hold_record record;
    struct hold_store store;
    struct hold_view_phase phases[HOLD_VIEW_PHASES];
    struct hold_tree tree;
    struct hold_output output;
    struct hold_ending ending;
    struct hold_job job;
    struct hold_member members[HOLD_CONFIG_SERVERS];

    struct hold_cgroup cgroup;
    char prefix[4096], loader[4096]; /* loader "": programs are started directly */
    char notify_path[108];
    char digest[72];       /* of the proven model, as the verify job told it; "" before */
    struct hold_view_finding findings[HOLD_VIEW_FINDINGS];
    uint32_t signatures[HOLD_VIEW_SIGNATURES]; /* how often each was seen; index: row of signatures.def */
    struct hold_lines lines;
    struct hold_status status;
};

/* Opens whatever outlives children (record, listening socket, status, output). config, inherited and environment are
 * borrowed for the core's life. Zeroed by the caller. Signals in `signals` are blocked. Fails with the exit status in *ret_status. */
HOLD_MUST int hold_core_init(struct hold_core *core, const struct hold_config *config, const struct hold_inherited *inherited,
                             const char *const *environment, const sigset_t *signals, int *ret_status, struct hold_err *err);
/* Runs until EXITED; the exit code that the policy fixed. */
int hold_core_run(struct hold_core *core);
/* Takes back what outlives a process: socket files. Descriptors and memory are the kernel's to take, which it does at once. */
void hold_core_release(struct hold_core *core);
/* What was to be executed, for a message: the command's first word, or the name of our own program. NULL: a job. */
const char *hold_core_program(const struct hold_member *m);

/* A picture of this moment; allocates nothing. */
void hold_core_view(const struct hold_core *core, uint64_t now_ms, struct hold_view *ret_view);

/* ---- between the files of the core ---- */

void hold_core_post_member(struct hold_core *core, int member, enum hold_member_event event);
void hold_core_post(struct hold_core *core, enum hold_container_event event);
/* Another message may be read: what it makes happen fits into the queue. */
bool hold_core_can_hear(const struct hold_core *core);

/* act.c: performs the bits, lowest first; what fails becomes an event. */
void hold_act_member(struct hold_core *core, struct hold_member *m, uint32_t actions, uint64_t now_ms);
void hold_act_container(struct hold_core *core, uint32_t actions, uint64_t now_ms);
/* The published phase may have changed: log, report, tell members and job. */
void hold_act_publish(struct hold_core *core, uint64_t now_ms);
/* The running job gets its no-progress time anew, or, when it is asked to end, the sweep time once. */
void hold_act_arm_job(struct hold_core *core, uint64_t now_ms);
void hold_act_read_memory(struct hold_core *core);
void hold_act_record(struct hold_core *core, const struct hold_member *m, bool is_open);
uint32_t hold_act_random(struct hold_core *core);
const char *hold_job_name(enum hold_job_kind kind);
/* Facts and last lines of a member to STATE/MOMENT-MEMBER.json. */
void hold_act_keep_evidence(struct hold_core *core, const struct hold_member *m, const char *moment, const char *why);
/* view.c: the termination message of this moment. */
void hold_act_report(struct hold_core *core);

/* signals.c: one received signal, rewritten by --signal-map, becomes a stop request, a forward, or a stop of ourselves. */
HOLD_MUST int hold_signals_open(struct hold_core *core, struct hold_err *err);
bool hold_signals_is_stop(const struct hold_core *core, int sig);
void hold_signals_on(struct hold_core *core, int sig, pid_t sender, uint64_t now_ms);
/* Job control, where the terminal was ours at the start: the member's group becomes the foreground; we do, if `group` was it; the
 * member's main process was stopped, and with it stops our own group, for the shell that waits for it. */
void hold_signals_give_terminal(struct hold_core *core, struct hold_member *m);
void hold_signals_take_terminal(struct hold_core *core, pid_t group);
void hold_signals_child_stopped(struct hold_core *core, struct hold_member *m, int sig);

/* start.c: spawns the member's next life, or the job of the container's state. */
HOLD_MUST int hold_start_init(struct hold_core *core, struct hold_err *err);
HOLD_MUST int hold_start_member(struct hold_core *core, struct hold_member *m, uint64_t now_ms, int *ret_status, struct hold_err *err);
HOLD_MUST int hold_start_job(struct hold_core *core, enum hold_job_kind kind, uint64_t now_ms, int *ret_status, struct hold_err *err);
HOLD_MUST int hold_start_exec_probe(struct hold_core *core, struct hold_member *m, const char *command, struct hold_child *ret_child, struct hold_err *err);
/* The folder above the one that this program lies in. Blocking; "" and IO when /proc does not say. */
int hold_start_find_prefix(char *prefix, size_t n_prefix, struct hold_err *err);
/* argv prefix of a libexec program: [ld.so, --library-path, PREFIX/lib,] PREFIX/libexec/NAME; returns the number of words
 * written into words (room for at least 4), which live as long as the core. */
size_t hold_start_prefix(struct hold_core *core, const char *name, const char **words);

/* probing.c */
/* The check that decides now whether the member is ready: that of its start until it has passed, then --ready; NULL: none. */
const char *hold_probing_check(const struct hold_member *m);
void hold_probing_begin(struct hold_core *core, struct hold_member *m, uint64_t now_ms); /* a life began */
void hold_probing_follow(struct hold_core *core, struct hold_member *m, uint64_t now_ms); /* the state changed */
void hold_probing_hasten(struct hold_member *m, uint64_t now_ms); /* its output moved: what waits for it to be up asks soon */
void hold_probing_end(struct hold_core *core, struct hold_member *m);
void hold_probing_on_ready(struct hold_core *core, unsigned index, uint64_t now_ms);
void hold_probing_on_time(struct hold_core *core, uint64_t now_ms);
uint64_t hold_probing_deadline_ms(const struct hold_core *core);
bool hold_probing_on_exit(struct hold_core *core, pid_t pid, int wait_status, uint64_t now_ms); /* false: not a probe's */

/* hear.c: messages of children; closed is true at the end of a pair. */
HOLD_MUST int hold_hear_open(struct hold_core *core, struct hold_err *err); /* NOTIFY_SOCKET in the state folder */
void hold_hear_control(struct hold_core *core, int child, uint64_t now_ms);
void hold_hear_notify(struct hold_core *core, uint64_t now_ms); /* also before anything is reaped: who spoke and died is still there */
void hold_hear_store(struct hold_core *core); /* something that is stored died */
void hold_hear_ping_above(struct hold_core *core, uint64_t now_ms); /* at above_ping_ms */
void hold_hear_tell(struct hold_core *core, struct hold_member *m, const char *text, int fd); /* fd -1: none */
/* To whoever started process 1 with a NOTIFY_SOCKET of its own (podman, systemd): "READY=1", "STOPPING=1". */
void hold_hear_tell_above(struct hold_core *core, const char *text);
void hold_hear_close(struct hold_core *core, int *control_fd);

#endif
