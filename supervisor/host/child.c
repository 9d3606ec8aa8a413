/* child.c - spawn. Floor: host. */
#include "supervisor/host/child.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "supervisor/host/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HOLD_CHILD_ENV_MAX 4096
#define STATUS_NOT_FOUND 127
#define STATUS_NOT_EXECUTABLE 126

int hold_child_mask(int how, const sigset_t *set, sigset_t *ret_old) {
    return (int) syscall(SYS_rt_sigprocmask, how, set, ret_old, HOLD_SIGNAL_SET_BYTES);
}

struct hold_child hold_child_none(void) {
    return (struct hold_child) { .pidfd = -1, .exec_fd = -1 };
}

/* folder: where a relative path begins, since process 1 itself has gone to "/"; "": here. */
static int executable(const char *folder, const char *given) {
    struct stat st;
    char joined[8192];
    const char *path = given;
    if (folder[0] && given[0] != '/') {
        if ((size_t) snprintf(joined, sizeof(joined), "%s/%s", folder, given) >= sizeof(joined))
            return ENAMETOOLONG;
        path = joined;
    }
    if (stat(path, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EACCES; /* a folder or a device is there, and can never run */
    return access(path, X_OK) < 0 ? errno : 0;
}

int hold_child_find(const char *argv0, const char *path, const char *folder, char *out, size_t out_bytes, int *ret_status, struct hold_err *err) {
    int why = ENOENT;
    if (strchr(argv0, '/')) {
        why = executable(folder, argv0);
        if (why == 0 && (size_t) snprintf(out, out_bytes, "%s", argv0) < out_bytes)
            return 0;
        why = why == 0 ? ENAMETOOLONG : why;
    } else if (*argv0) {
        for (const char *at = path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; *at;) {
            size_t n = strcspn(at, ":");
            int made = n == 0 ? snprintf(out, out_bytes, "./%s", argv0) : snprintf(out, out_bytes, "%.*s/%s", (int) n, at, argv0);
            if (made > 0 && (size_t) made < out_bytes) {
                int found = executable(folder, out);
                if (found == 0)
                    return 0;
                if (found == EACCES)
                    why = EACCES; /* something is there; a later folder may still have a good one */
            }
            at += n;
            at += *at == ':';
        }
    }
    bool missing = why == ENOENT || why == ENOTDIR;
    *ret_status = missing ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    return hold_fail(err, missing ? HOLD_E_MISSING : HOLD_E_DENIED, why, "execute '%s'", argv0);
}

/* Where descriptors wait while the low ones are laid out: above everything that is handed over, and no higher, since RLIMIT_NOFILE
 * may be 16. */
static int first_free_fd(const struct hold_child_request *r) {
    return 3 + (int) r->n_listen + (r->control_fd >= 0);
}

/* ---- after fork: async-signal-safe only ---- */

static void say_and_die(int report_fd, struct hold_child_fail fail) {
    ssize_t ignored = write(report_fd, &fail, sizeof(fail));
    (void) ignored;
    _exit(STATUS_NOT_EXECUTABLE);
}

static int lay_out(const struct hold_child_request *r, int report_fd) {
    /* First everything up and out of the way, then down in order: no source can be overwritten before it is used. */
    int low[3] = { r->in_fd, r->out_fd, r->err_fd };
    int high[HOLD_CHILD_FDS + 1];
    size_t n = 0;
    for (size_t i = 0; i < r->n_listen; i++)
        high[n++] = r->listen[i];
    if (r->control_fd >= 0)
        high[n++] = r->control_fd;
    for (size_t i = 0; i < n; i++)
        if ((high[i] = fcntl(high[i], F_DUPFD_CLOEXEC, first_free_fd(r))) < 0)
            return -1;
    for (int i = 0; i < 3; i++)
        if (low[i] >= 0 && (low[i] = fcntl(low[i], F_DUPFD_CLOEXEC, first_free_fd(r))) < 0)
            return -1;
    for (int i = 0; i < 3; i++)
        if (low[i] >= 0 && dup2(low[i], i) < 0)
            return -1;
    for (size_t i = 0; i < n; i++)
        if (dup2(high[i], 3 + (int) i) < 0)
            return -1;
    (void) report_fd;
    return 0;
}

static char *put_number(char *at, uint64_t value) {
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = (char) ('0' + value % 10);
    while ((value /= 10) > 0);
    while (n > 0)
        *at++ = digits[--n];
    *at = '\0';
    return at;
}

struct prepared {
    char path[PATH_MAX];
    char listen_pid[40]; /* "LISTEN_PID=" and room for the digits that only the child knows */
    const char *envp[HOLD_CHILD_ENV_MAX + 2];
    const char *shell[HOLD_CHILD_ENV_MAX + 2]; /* sh PATH ARG...: for a script without a first line */
};

/* One child is prepared at a time; too large for the stack of process 1, so it stands here. */
static struct prepared prepared;

static void become(const struct hold_child_request *r, int report_fd) {
    struct hold_child_fail fail = { .step = HOLD_STEP_FOLDER };
    const struct hold_inherited *in = r->inherited;
    if (in->folder[0] && chdir(in->folder) < 0)
        say_and_die(report_fd, (struct hold_child_fail) { .step = HOLD_STEP_FOLDER, .sys = errno });
    if (r->own_group && setpgid(0, 0) < 0)
        say_and_die(report_fd, (struct hold_child_fail) { .step = HOLD_STEP_GROUP, .sys = errno });
    if (r->take_terminal)
        (void) tcsetpgrp(0, getpgrp()); /* TTOU is blocked; no terminal to take is no failure */
    if (lay_out(r, report_fd) < 0)
        say_and_die(report_fd, (struct hold_child_fail) { .step = HOLD_STEP_DESCRIPTORS, .sys = errno });
    if (r->n_listen > 0)
        (void) put_number(prepared.listen_pid + strlen("LISTEN_PID="), (uint64_t) getpid());
    (void) sigaction(SIGCHLD, &in->chld, NULL);
    if (r->plan && hold_sandbox_enter(r->plan, report_fd, &fail.sandbox) < 0) {
        fail.step = HOLD_STEP_SANDBOX;
        fail.sys = fail.sandbox.sys;
        say_and_die(report_fd, fail);
    }
    /* Pending signals arrive here or after exec; none was lost while they were blocked. */
    (void) hold_child_mask(SIG_SETMASK, &in->mask, NULL);
    char *const *argv = (char *const *) (uintptr_t) r->argv;
    char *const *envp = (char *const *) (uintptr_t) prepared.envp;
    if (r->plan && r->plan->n_ops > 0) {
        hold_sandbox_exec(r->plan, prepared.path, argv, envp);
    } else {
        execve(prepared.path, argv, envp);
        if (errno == ENOEXEC) { /* as every shell and execvp do it */
            execve("/bin/sh", (char *const *) (uintptr_t) prepared.shell, envp);
            errno = ENOEXEC;
        }
    }
    say_and_die(report_fd, (struct hold_child_fail) { .step = HOLD_STEP_EXEC, .sys = errno });
}

/* ---- parent ---- */

static int prepare(const struct hold_child_request *r, int *ret_status, struct hold_err *err) {
    *ret_status = 0;
    if (hold_child_find(r->argv[0], r->path, r->inherited->folder, prepared.path, sizeof(prepared.path), ret_status, err) < 0)
        return -1;
    size_t n = 0;
    for (; r->envp[n]; n++) {
        if (n == HOLD_CHILD_ENV_MAX)
            return hold_fail(err, HOLD_E_LIMIT, 0, "the environment has more than %d variables", HOLD_CHILD_ENV_MAX);
        prepared.envp[n] = r->envp[n];
    }
    if (r->n_listen > 0) {
        memcpy(prepared.listen_pid, "LISTEN_PID=", sizeof "LISTEN_PID=");
        prepared.envp[n++] = prepared.listen_pid;
    }
    prepared.envp[n] = NULL;
    prepared.shell[0] = "sh";
    prepared.shell[1] = prepared.path;
    size_t k = 1;
    for (; k < HOLD_CHILD_ENV_MAX && r->argv[k]; k++)
        prepared.shell[k + 1] = r->argv[k];
    prepared.shell[k + 1] = NULL;
    return 0;
}

int hold_child_spawn(const struct hold_child_request *r, struct hold_child *ret_child, int *ret_status, struct hold_err *err) {
    if (prepare(r, ret_status, err) < 0)
        return -1;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "make the exec pipe");
    hold_autofd read_end = ends[0];
    hold_autofd write_end = ends[1];
    /* Above the handed-over descriptors, so that laying those out cannot overwrite it. */
    int moved = fcntl(write_end, F_DUPFD_CLOEXEC, first_free_fd(r));
    if (moved < 0)
        return hold_fail(err, HOLD_E_IO, errno, "move the exec pipe");
    close(write_end);
    write_end = moved;

    pid_t pid = fork();
    if (pid < 0)
        return hold_fail(err, HOLD_E_IO, errno, "fork");
    if (pid == 0)
        become(r, write_end);

    /* Both sides make the group: whoever signals it first finds it. After the child's exec this fails, and is not needed. */
    if (r->own_group)
        (void) setpgid(pid, pid);
    int pidfd = (int) syscall(SYS_pidfd_open, pid, 0); /* the child cannot be reaped before we do it: no race */
    (void) fcntl(read_end, F_SETFL, O_NONBLOCK);
    *ret_child = (struct hold_child) { .pid = pid, .pidfd = pidfd, .exec_fd = hold_take_fd(&read_end), .own_group = r->own_group };
    return 0;
}

int hold_child_exec_result(struct hold_child *child, const char *name, const struct hold_sandbox_plan *plan, int *ret_status, struct hold_err *err) {
    static const char *const steps[] = {
#define X(id, text) text,
        HOLD_CHILD_STEPS(X)
#undef X
    };
    struct hold_child_fail fail;
    ssize_t n;
    do
        n = read(child->exec_fd, &fail, sizeof(fail));
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    hold_close_fd(&child->exec_fd);
    if (n != (ssize_t) sizeof(fail))
        return 1;
    if (fail.step == HOLD_STEP_SANDBOX && plan) {
        *ret_status = HOLD_EXIT_SANDBOX;
        (void) hold_sandbox_fail_say(plan, &fail.sandbox, err);
        return hold_wrap(err, "start '%s'", name);
    }
    bool missing = fail.step == HOLD_STEP_EXEC && (fail.sys == ENOENT || fail.sys == ENOTDIR);
    *ret_status = missing ? STATUS_NOT_FOUND : fail.step == HOLD_STEP_EXEC ? STATUS_NOT_EXECUTABLE : HOLD_EXIT_INTERNAL;
    return hold_fail(err, missing ? HOLD_E_MISSING : HOLD_E_DENIED, fail.sys, "%s '%s'%s", hold_name_at(steps, HOLD_COUNT_OF(steps), fail.step),
                     name, missing ? " (it, or the interpreter or loader that it names, does not exist)" : "");
}

void hold_child_signal(const struct hold_child *child, int sig, bool to_group) {
    if (child->pid <= 0)
        return;
    if (to_group && child->own_group && kill(-child->pid, sig) == 0)
        return;
    if (child->pidfd >= 0 && syscall(SYS_pidfd_send_signal, child->pidfd, sig, NULL, 0) == 0)
        return;
    (void) kill(child->pid, sig); /* only we reap, so the number is still its own */
}

void hold_child_forget(struct hold_child *child) {
    hold_close_fd(&child->pidfd);
    hold_close_fd(&child->exec_fd);
    *child = hold_child_none();
}
