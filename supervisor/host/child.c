/* child.c - spawn. Floor: host. */
#include "supervisor/host/child.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "supervisor/host/loop.h"
#include "supervisor/host/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_NOT_FOUND 127
#define STATUS_NOT_EXECUTABLE 126

int hold_child_mask(int how, const sigset_t *set, sigset_t *ret_old) {
    return (int) syscall(SYS_rt_sigprocmask, how, set, ret_old, HOLD_SIGNAL_SET_BYTES);
}

struct hold_child hold_child_none(void) {
    return (struct hold_child) { .exec_fd = -1 };
}

/* folder: where a relative path begins, since process 1 itself has gone to "/"; "": here. */
static int executable(const char *folder, const char *path) {
    struct stat st;
    bool is_relative = folder[0] && path[0] != '/';
    hold_autofd dir = is_relative ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (is_relative && dir < 0)
        return errno;
    if (fstatat(is_relative ? dir : AT_FDCWD, path, &st, 0) < 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return EACCES; /* a folder or a device is there, and can never run */
    return faccessat(is_relative ? dir : AT_FDCWD, path, X_OK, 0) < 0 ? errno : 0;
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

static bool is_locked_in(const struct hold_child_request *r) {
    return r->plan && r->plan->n_ops > 0;
}

/* What a child works with: a copy of its own, since it may share our memory until its exec while we go on. Below it, in the
 * same allocation, lies the stack for that time. */
struct hold_launch {
    struct hold_child_request request;
    _Atomic pid_t in_use;        /* the kernel writes 0 when a child in our memory leaves it, by exec or death */
    int report_fd;               /* write end of the exec pipe; -1: a child in our memory, which fails into "fail" */
    struct hold_child_fail fail; /* read when in_use is 0 */
    char *path;
    char *listen_digits; /* behind "LISTEN_PID=", for what only the child knows; NULL: none */
    char **argv;         /* argv[-1] is "sh": for a script without a first line */
    char **envp;
};

#define STACK_BYTES ((size_t) 16 << 10) /* a few frames of become(); the C library is not entered on it */

/* ---- the child: data of its own, raw calls only ---- */

static void say_and_die(struct hold_launch *launch, struct hold_child_fail fail) {
    if (launch->report_fd < 0)
        launch->fail = fail;
    else
        (void) hold_raw(SYS_write, launch->report_fd, (long) &fail, sizeof(fail), 0);
    for (;;)
        (void) hold_raw(SYS_exit_group, STATUS_NOT_EXECUTABLE, 0, 0, 0);
}

static long duplicate(int fd, int least) {
    return fd >= least ? fd : hold_raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, least, 0);
}

/* First everything up and out of the way, then down in order: no source can be overwritten before it is used. */
static long lay_out(const struct hold_child_request *r) {
    int low[3] = { r->in_fd, r->out_fd, r->err_fd };
    int high[HOLD_CHILD_FDS + 1];
    int n = 0;
    long got = 0;
    for (size_t i = 0; i < r->n_listen; i++)
        high[n++] = r->listen[i];
    if (r->control_fd >= 0)
        high[n++] = r->control_fd;
    for (int i = 0; i < n && got >= 0; i++)
        high[i] = (int) (got = duplicate(high[i], first_free_fd(r)));
    for (int i = 0; i < 3 && got >= 0; i++)
        if (low[i] >= 0)
            low[i] = (int) (got = duplicate(low[i], first_free_fd(r)));
    for (int i = 0; i < 3 && got >= 0; i++)
        if (low[i] >= 0)
            got = hold_raw(SYS_dup3, low[i], i, 0, 0);
    for (int i = 0; i < n && got >= 0; i++)
        got = hold_raw(SYS_dup3, high[i], 3 + i, 0, 0);
    return got;
}

static void put_number(char *at, uint64_t value) {
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = (char) ('0' + value % 10);
    while ((value /= 10) > 0);
    while (n > 0)
        *at++ = digits[--n];
    *at = '\0';
}

/* A disposition that outlives exec is "ignore" alone. The kernel's struct begins with the handler on both machines. */
static void ignore_again(const struct sigaction *inherited) {
    const struct {
        void (*handler)(int);
        unsigned long rest[3];
    } ignore = { .handler = SIG_IGN };
    if (inherited->sa_handler == SIG_IGN)
        (void) hold_raw(SYS_rt_sigaction, SIGCHLD, (long) &ignore, 0, sizeof(uint64_t));
}

static int become(void *launch_of_child) {
    struct hold_launch *launch = launch_of_child;
    const struct hold_child_request *r = &launch->request;
    const struct hold_inherited *in = r->inherited;
    struct hold_child_fail fail = { .step = HOLD_STEP_FOLDER };
    long got;
    if (in->folder[0] && (got = hold_raw(SYS_chdir, (long) in->folder, 0, 0, 0)) < 0)
        say_and_die(launch, (struct hold_child_fail) { .step = HOLD_STEP_FOLDER, .sys = (int) -got });
    if (r->own_group && (got = hold_raw(SYS_setpgid, 0, 0, 0, 0)) < 0)
        say_and_die(launch, (struct hold_child_fail) { .step = HOLD_STEP_GROUP, .sys = (int) -got });
    const pid_t group = (pid_t) hold_raw(SYS_getpgid, 0, 0, 0, 0);
    if (r->take_terminal)
        (void) hold_raw(SYS_ioctl, 0, TIOCSPGRP, (long) &group, 0); /* TTOU is blocked; no terminal to take is no failure */
    if ((got = lay_out(r)) < 0)
        say_and_die(launch, (struct hold_child_fail) { .step = HOLD_STEP_DESCRIPTORS, .sys = (int) -got });
    if (launch->listen_digits)
        put_number(launch->listen_digits, (uint64_t) hold_raw(SYS_getpid, 0, 0, 0, 0));
    ignore_again(&in->chld);
    if (in->files.rlim_cur != in->files_now)
        (void) hold_raw(SYS_prlimit64, 0, RLIMIT_NOFILE, (long) &in->files, 0);
    if (is_locked_in(r) && hold_sandbox_enter(r->plan, launch->report_fd, &fail.sandbox) < 0) { /* not in shared memory */
        fail.step = HOLD_STEP_SANDBOX;
        fail.sys = fail.sandbox.sys;
        say_and_die(launch, fail);
    }
    /* Pending signals arrive here or after exec; none was lost while they were blocked. */
    (void) hold_raw(SYS_rt_sigprocmask, SIG_SETMASK, (long) &in->mask, 0, HOLD_SIGNAL_SET_BYTES);
    if (is_locked_in(r)) {
        hold_sandbox_exec(r->plan, launch->path, launch->argv, launch->envp);
        got = -errno;
    } else {
        got = hold_raw(SYS_execve, (long) launch->path, (long) launch->argv, (long) launch->envp, 0);
        if (got == -ENOEXEC) { /* as every shell and execvp do it */
            launch->argv[0] = launch->path;
            (void) hold_raw(SYS_execve, (long) "/bin/sh", (long) (launch->argv - 1), (long) launch->envp, 0);
        }
    }
    say_and_die(launch, (struct hold_child_fail) { .step = HOLD_STEP_EXEC, .sys = (int) -got });
    return 0;
}

/* ---- parent ---- */

static size_t count(const char *const *words, size_t *bytes) {
    size_t n = 0;
    for (; words[n]; n++)
        *bytes += strlen(words[n]) + 1;
    return n;
}

static char *copy_word(char **at, const char *word) {
    char *to = *at;
    size_t n = strlen(word) + 1;
    memcpy(to, word, n);
    *at += n;
    return to;
}

static struct hold_launch *launch_in(char *memory) {
    return (struct hold_launch *) (void *) (memory + STACK_BYTES);
}

/* One allocation: stack, struct, pointers, text. Lives until exec is known or the child is reaped. */
static struct hold_launch *prepare(const struct hold_child_request *r, int *ret_status, void **ret_memory, struct hold_err *err) {
    static const char listen_pid[] = "LISTEN_PID=";
    *ret_status = 0;
    size_t bytes = sizeof "sh" + sizeof listen_pid + 24 + PATH_MAX; /* the path comes last: of its room only what it needs is touched */
    size_t n_argv = count(r->argv, &bytes), n_envp = count(r->envp, &bytes);
    char *memory = malloc(STACK_BYTES + sizeof(struct hold_launch) + (n_argv + n_envp + 4) * sizeof(char *) + bytes);
    *ret_memory = memory;
    if (!memory) {
        hold_fail(err, HOLD_E_LIMIT, ENOMEM, "prepare '%s'", r->argv[0]);
        return NULL;
    }
    struct hold_launch *launch = launch_in(memory);
    char **words = (char **) (void *) (launch + 1);
    char *text = (char *) (words + n_argv + n_envp + 4);
    *launch = (struct hold_launch) { .request = *r, .in_use = 1, .report_fd = -1, .argv = words + 1, .envp = words + n_argv + 2 };
    launch->argv[-1] = copy_word(&text, "sh");
    for (size_t i = 0; i < n_argv; i++)
        launch->argv[i] = copy_word(&text, r->argv[i]);
    launch->argv[n_argv] = NULL;
    for (size_t i = 0; i < n_envp; i++)
        launch->envp[i] = copy_word(&text, r->envp[i]);
    if (r->n_listen > 0) {
        launch->envp[n_envp++] = copy_word(&text, listen_pid);
        launch->listen_digits = text - 1;
        text += 24;
    }
    launch->envp[n_envp] = NULL;
    launch->path = text;
    return hold_child_find(r->argv[0], r->path, r->inherited->folder, text, PATH_MAX, ret_status, err) < 0 ? NULL : launch;
}

/* A fork copies page tables, and every page that either side then writes to: half of a small program's start. Until exec the
 * child needs nothing but its own data and raw calls, so it runs in our memory, and we go on; there it also leaves word of a
 * failure, and a pipe less is made and unmade. */
static pid_t start_in_our_memory(struct hold_launch *launch, char *memory) {
    return clone(become, memory + STACK_BYTES, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, launch, NULL, NULL, &launch->in_use);
}

/* Entering the sandbox takes the C library, and so a memory of its own. */
static pid_t start_in_its_own(struct hold_launch *launch, int *ret_read_end, struct hold_err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) /* what the child writes always fits */
        return hold_fail(err, HOLD_E_IO, errno, "make the exec pipe");
    hold_autofd read_end = ends[0];
    hold_autofd write_end = ends[1];
    int least = first_free_fd(&launch->request);
    if (write_end < least) { /* laying out the handed-over descriptors would overwrite it */
        int moved = fcntl(write_end, F_DUPFD_CLOEXEC, least);
        if (moved < 0)
            return hold_fail(err, HOLD_E_IO, errno, "move the exec pipe");
        close(write_end);
        write_end = moved;
    }
    launch->report_fd = write_end;
    pid_t pid = fork();
    if (pid == 0)
        become(launch);
    if (pid > 0)
        *ret_read_end = hold_take_fd(&read_end);
    return pid < 0 ? hold_fail(err, HOLD_E_IO, errno, "fork") : pid;
}

int hold_child_spawn(const struct hold_child_request *r, struct hold_child *ret_child, int *ret_status, struct hold_err *err) {
    hold_autofree void *memory = NULL;
    hold_autofd read_end = -1;
    struct hold_launch *launch = prepare(r, ret_status, &memory, err);
    if (!launch)
        return -1;
    pid_t pid = is_locked_in(r) ? start_in_its_own(launch, &read_end, err) : start_in_our_memory(launch, memory);
    if (pid < 0)
        return is_locked_in(r) ? -1 : hold_fail(err, HOLD_E_IO, errno, "fork");

    /* Both sides make the group: whoever signals it first finds it. After the child's exec this fails, and is not needed. */
    if (r->own_group)
        (void) setpgid(pid, pid);
    *ret_child = (struct hold_child) { .pid = pid, .exec_fd = hold_take_fd(&read_end), .memory = hold_take_ptr(&memory), .own_group = r->own_group };
    return 0;
}

/* 1 and what the child said (step NONE: nothing, it became the program), or 0: it is still on its way. */
static int read_fail(const struct hold_child *child, struct hold_child_fail *ret_fail) {
    const struct hold_launch *launch = launch_in(child->memory);
    ssize_t n;
    *ret_fail = (struct hold_child_fail) { .step = HOLD_STEP_NONE };
    if (child->exec_fd < 0) {
        if (launch->in_use)
            return 0;
        *ret_fail = launch->fail;
        return 1;
    }
    do
        n = read(child->exec_fd, ret_fail, sizeof(*ret_fail));
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t) sizeof(*ret_fail))
        ret_fail->step = HOLD_STEP_NONE;
    return n >= 0 || errno != EAGAIN;
}

int hold_child_exec_result(struct hold_child *child, const char *name, const struct hold_sandbox_plan *plan, int *ret_status, struct hold_err *err) {
    static const char *const steps[] = {
#define X(id, text) text,
        HOLD_CHILD_STEPS(X)
#undef X
    };
    struct hold_child_fail fail;
    if (read_fail(child, &fail) == 0)
        return 0;
    hold_close_fd(&child->exec_fd);
    free(child->memory); /* nobody works with it any more: a child in it left it, another one has its own */
    child->memory = NULL;
    if (fail.step == HOLD_STEP_NONE)
        return 1;
    if (fail.step == HOLD_STEP_SANDBOX && plan) {
        *ret_status = HOLD_EXIT_SANDBOX;
        (void) hold_sandbox_fail_say(plan, &fail.sandbox, err);
        return hold_wrap(err, "start '%s'", name);
    }
    bool missing = fail.step == HOLD_STEP_EXEC && (fail.sys == ENOENT || fail.sys == ENOTDIR);
    int refused = hold_exit_for(HOLD_EXIT_INTERNAL, fail.sys);
    *ret_status = missing ? STATUS_NOT_FOUND : fail.step != HOLD_STEP_EXEC || refused != HOLD_EXIT_INTERNAL ? refused : STATUS_NOT_EXECUTABLE;
    return hold_fail(err, missing ? HOLD_E_MISSING : HOLD_E_DENIED, fail.sys, "%s '%s'%s", hold_name_at(steps, HOLD_COUNT_OF(steps), fail.step),
                     name, missing ? " (it, or the interpreter or loader that it names, does not exist)" : "");
}

void hold_child_signal(const struct hold_child *child, int sig, bool to_group) {
    if (child->pid <= 0)
        return;
    if (to_group && child->own_group && kill(-child->pid, sig) == 0)
        return;
    (void) kill(child->pid, sig); /* only we reap, so the number is still its own */
}

void hold_child_forget(struct hold_child *child) {
    hold_close_fd(&child->exec_fd);
    free(child->memory);
    *child = hold_child_none();
}
