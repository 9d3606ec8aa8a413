/* child.h - one process that we start: spawn, exec-error pipe, groups, terminal, descriptors. Floor: host.
 *
 * One mechanism for every child: members, jobs, exec probes. Until exec a child without a sandbox runs in process 1's memory, on
 * a stack and on copies of its own, with system calls that do not even touch errno (raw.h); one with a sandbox is forked. */
#ifndef HOLD_HOST_CHILD_H
#define HOLD_HOST_CHILD_H

#include "base/err.h"
#include "supervisor/host/sandbox.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* What process 1 itself was started with and what its children shall have again. */
struct hold_inherited {
    sigset_t mask;
    struct sigaction chld;        /* the one disposition that process 1 changes for itself */
    struct rlimit files;          /* RLIMIT_NOFILE; process 1 itself runs with files_now */
    rlim_t files_now;
    char folder[4096];            /* where it was started; "" when unknown. Process 1 itself leaves for "/" */
    size_t n_listen;              /* sockets from 3 up that were meant for us (LISTEN_PID): each life of a foreign server gets them */
    const char *listen_names;     /* LISTEN_FDNAMES of them, or NULL */
};

/* sigprocmask of all 64 signals: the C library's own leaves 32 and 33 alone, and who sends one to process 1 means the child. */
int hold_child_mask(int how, const sigset_t *set, sigset_t *ret_old);

#define HOLD_CHILD_FDS 24
#define HOLD_CHILD_LISTEN_MAX 16 /* of them, that whoever started us opened */

struct hold_child_request {
    const char *const *argv; /* NULL after the last; argv[0] is searched in path when it has no '/' */
    const char *const *envp; /* complete; LISTEN_PID is added here when n_listen > 0 */
    const char *path;        /* PATH of the child for the search, NULL: the C library's default */
    const struct hold_inherited *inherited;
    const struct hold_sandbox_plan *plan; /* NULL: none */
    int out_fd, err_fd;      /* become 1 and 2; -1: as ours */
    int in_fd;               /* becomes 0; -1: as ours */
    int listen[HOLD_CHILD_FDS]; /* become 3, 4, ... */
    size_t n_listen;
    int control_fd;          /* the child's end, becomes 3 + n_listen; -1: none */
    bool own_group;          /* a process group of its own, made in parent and child */
    bool take_terminal;      /* that group becomes the foreground group of the terminal on 0 */
};

/* A started process. pid 0: none. The caller owns the descriptors (-1: none) and closes them with hold_child_forget. */
struct hold_child {
    pid_t pid;   /* its number until we reap it, and nobody else does: no descriptor of it is needed to signal it */
    void *memory; /* what it works with until exec; not NULL: hold_child_exec_result has not said yet whether it became the program */
    int exec_fd;  /* can be read when that is known; -1: a child that is not locked in, for which nothing wakes us but its death */
    bool own_group;
};

#define HOLD_CHILD_STEPS(X)                              \
    X(NONE, "nothing")                                   \
    X(FOLDER, "enter the start folder")                  \
    X(GROUP, "make a process group")                     \
    X(TERMINAL, "take the terminal")                     \
    X(DESCRIPTORS, "lay out the descriptors")            \
    X(SANDBOX, "enter the sandbox")                      \
    X(EXEC, "execute")

enum hold_child_step {
#define X(id, name) HOLD_STEP_##id,
    HOLD_CHILD_STEPS(X)
#undef X
    HOLD_STEP_COUNT
};

/* What the child says when it cannot become the program. */
struct hold_child_fail {
    uint32_t step; /* enum hold_child_step */
    int32_t sys;
    struct hold_sandbox_fail sandbox; /* for SANDBOX */
};

/* "no process": what a zeroed member holds. */
struct hold_child hold_child_none(void);

/* Starts the child and returns at once; hold_child_exec_result tells whether exec succeeds. The request is copied. Fails when argv[0] cannot be found (code MISSING,
 * status 127) or is no executable file (DENIED, 126), or fork is refused (IO, status 0 in *ret_status). */
HOLD_MUST int hold_child_spawn(const struct hold_child_request *request, struct hold_child *ret_child, int *ret_status, struct hold_err *err);

/* Needs child->memory. Does not block: 1 exec succeeded, 0 not known yet, -1 failed: err says what, *ret_status is 127, 126, 100
 * (sandbox) or 66. Unless 0, closes exec_fd and frees memory. name and plan are for the sentence. */
HOLD_MUST int hold_child_exec_result(struct hold_child *child, const char *name, const struct hold_sandbox_plan *plan, int *ret_status,
                                     struct hold_err *err);

/* To the process, or to its group (then also to the process when the group is not there yet). No process: nothing. */
void hold_child_signal(const struct hold_child *child, int sig, bool to_group);
/* Closes what is open; the process is reaped or somebody else's. */
void hold_child_forget(struct hold_child *child);

/* First file that exec would take: argv0 itself when it has a '/', else searched in path. folder: where relative names begin
 * (they stay relative: the child goes there first), "": here. *ret_status 127 or 126 on failure. */
HOLD_MUST int hold_child_find(const char *argv0, const char *path, const char *folder, char *out, size_t out_bytes, int *ret_status, struct hold_err *err);

#endif
