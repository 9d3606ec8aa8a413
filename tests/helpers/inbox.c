/* inbox.c - runs a program under a sandbox profile, in an arena with something of everything to attack. Test part only.
 *
 *   inbox [--level off|best-effort|strict] [--uid N] [--abi N] [--without seccomp|landlock|args] [--time N] [--report]
 *         [--program PATH] [--grant R:PATH]... PROFILE ARENA -- PROGRAM [ARG...]
 *
 * It stands for process 1: not dumpable, with a secret in its environment and memory, a control pair, an inherited
 * listening socket (front: descriptor 3), a listening port, UNIX sockets by path and by abstract name, a victim process of
 * the child's user, and weights that must not change. The child learns of all this by HOLDFAST_TEST_* variables. The exit
 * status is the child's, 100 when the plan or an operation failed, 101 when the weights changed.
 * --abi pretends an older Landlock (0: none); --without leaves operations out, to see what each layer contributes. */
#include "supervisor/host/sandbox.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { STATUS_SANDBOX = 100, STATUS_WEIGHTS = 101, MAX_GRANTS = 8 };

struct options {
    struct hold_sandbox_request request;
    struct hold_sandbox_grant grants[MAX_GRANTS];
    const char *arena, *without;
    int abi, n_times;
    bool is_reporting;
    char **command;
};

static struct hold_sandbox_plan plan;
static char model[4096], scratch[4096], text[4096], weights[4200];
static const char weight_bytes[] = "the weights, as they must stay";

static _Noreturn void die(const char *what) {
    fprintf(stderr, "inbox: %s: %s\n", what, strerror(errno));
    exit(2);
}

static _Noreturn void die_err(const struct hold_err *err) {
    fprintf(stderr, "inbox: %s\n", err->text);
    exit(STATUS_SANDBOX);
}

static void put_file(const char *path, const char *bytes, mode_t mode) {
    unlink(path);
    hold_autofd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, strlen(bytes)) != (ssize_t) strlen(bytes) || fchmod(fd, mode) < 0)
        die(path);
}

static void set(const char *name, long n) {
    char value[64];
    snprintf(value, sizeof(value), "%ld", n);
    setenv(name, value, 1);
}

static int listen_tcp(const char *variable) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);
    if (fd < 0 || bind(fd, (struct sockaddr *) &at, n) < 0 || listen(fd, 16) < 0 || getsockname(fd, (struct sockaddr *) &at, &n) < 0)
        die("listen");
    set(variable, ntohs(at.sin_port));
    return fd;
}

static void listen_unix(const char *path, bool is_abstract) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path + is_abstract, sizeof(at.sun_path) - 1, "%s", path);
    socklen_t n = is_abstract ? (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + strlen(path)) : (socklen_t) sizeof(at);
    if (!is_abstract)
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &at, n) < 0 || listen(fd, 16) < 0 || (!is_abstract && chmod(path, 0666) < 0))
        die("listen on a unix socket");
}

/* Everything the child may try to reach. Readable and writable by any user, so that only the sandbox stands in the way. */
static void make_arena(const char *arena) {
    char path[4200];
    snprintf(model, sizeof(model), "%s/model", arena);
    snprintf(scratch, sizeof(scratch), "%s/scratch", arena);
    snprintf(weights, sizeof(weights), "%s/model.safetensors", model);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", arena, (const char *[]) { "", "/model", "/scratch", "/outside" }[i]);
        if (mkdir(path, 0777) == 0 ? chmod(path, 0777) < 0 : errno != EEXIST)
            die(path);
    }
    put_file(weights, weight_bytes, 0666);
    snprintf(path, sizeof(path), "%s/outside/token", arena);
    put_file(path, "eyJ-service-account-token", 0666);
    snprintf(path, sizeof(path), "%s/outside/program", arena);
    put_file(path, "#!/bin/sh\nexit 0\n", 0777);
    snprintf(path, sizeof(path), "%s/outside/sock", arena);
    listen_unix(path, false);
    snprintf(path, sizeof(path), "holdfast-test-%d", (int) getpid());
    listen_unix(path, true);
    setenv("HOLDFAST_TEST_ABSTRACT", path, 1);
    setenv("HOLDFAST_TEST_ARENA", arena, 1);
    (void) listen_tcp("HOLDFAST_TEST_PORT"); /* stays open: the supervisor's own */
}

static pid_t start_victim(uint32_t uid) {
    pid_t supervisor = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (uid != 0 && (setgid(uid) < 0 || setuid(uid) < 0))
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the identity, which clears it */
    while (getppid() == supervisor)
        pause();
    _exit(0);
}

static bool is_left_out(const struct hold_sandbox_op *op, const char *without) {
    if (strcmp(without, "landlock") == 0)
        return op->kind >= HOLD_OP_RULESET && op->kind <= HOLD_OP_RESTRICT;
    if (strcmp(without, "seccomp") == 0)
        return op->kind >= HOLD_OP_FILTER_ARGS;
    return strcmp(without, "args") == 0 && op->kind == HOLD_OP_FILTER_ARGS;
}

static void make_plan(struct options *o, int listener, int control) {
    static int keep[2];
    struct hold_err err = {0};
    struct hold_sandbox_facts facts;
    hold_sandbox_facts_find(&facts);
    if (o->abi >= 0 && o->abi < facts.landlock_abi)
        facts.landlock_abi = o->abi, facts.landlock_errno = ENOSYS;
    o->request.keep_fds = keep;
    if (listener >= 0)
        keep[o->request.n_keep_fds++] = listener;
    keep[o->request.n_keep_fds++] = control;
    o->request.model_dir = model;
    o->request.scratch_dir = scratch;
    o->request.grants = o->grants;
    if (!o->request.program)
        o->request.program = o->command[0];
    if (hold_sandbox_plan_for(&o->request, &facts, &plan, &err) < 0)
        die_err(&err);
    size_t n = 0;
    for (size_t i = 0; i < plan.n_ops; i++)
        if (!o->without || !is_left_out(&plan.ops[i], o->without))
            plan.ops[n++] = plan.ops[i];
    plan.n_ops = n;
    if (hold_sandbox_prepare(&plan, &err) < 0)
        die_err(&err);
}

static char **child_environment(void) {
    static char *env[256];
    size_t n = 0;
    for (char **e = environ; *e && n < HOLD_COUNT_OF(env) - 1; e++)
        if (hold_sandbox_plan_passes(&plan, *e))
            env[n++] = *e;
    return env;
}

/* The pipe says whether exec came to pass: end of file, or which operation failed. */
static pid_t start(const struct options *o, struct hold_err *err) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        die("pipe");
    char **env = child_environment();
    pid_t pid = fork();
    if (pid == 0) {
        struct hold_sandbox_fail fail = { .op = UINT32_MAX };
        setsid();
        if (hold_sandbox_enter(&plan, report[1], &fail) == 0) {
            hold_sandbox_exec(&plan, o->command[0], o->command, env);
            fail.sys = errno;
        }
        _exit(write(report[1], &fail, sizeof(fail)) > 0 ? 127 : 126);
    }
    close(report[1]);
    struct hold_sandbox_fail fail;
    ssize_t n = read(report[0], &fail, sizeof(fail));
    close(report[0]);
    if (pid < 0 || n == 0)
        return pid;
    if (fail.op == UINT32_MAX)
        hold_fail(err, HOLD_E_IO, fail.sys, "exec '%s'", o->command[0]);
    else
        hold_sandbox_fail_say(&plan, &fail, err);
    return -1;
}

static void report(pid_t pid) {
    struct hold_layer_report layers[HOLD_LAYER_COUNT];
    hold_sandbox_layers(&plan, pid, layers);
    for (size_t i = 0; i < HOLD_LAYER_COUNT; i++)
        printf("layer %-18s %-8s %s %s\n", hold_layer_name((enum hold_layer) i), hold_layer_state_name(layers[i].note.state),
               layers[i].is_verified ? "verified" : "-", layers[i].note.reason);
    fflush(stdout);
}

static bool are_weights_whole(void) {
    char now[sizeof(weight_bytes) + 1] = "";
    hold_autofd fd = open(weights, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, now, sizeof(now)) == (ssize_t) strlen(weight_bytes) && strcmp(now, weight_bytes) == 0;
}

static void measure(const struct options *o) {
    struct hold_err err = {0};
    for (int i = 0; i < o->n_times; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        pid_t pid = start(o, &err);
        clock_gettime(CLOCK_MONOTONIC, &b);
        if (pid < 0)
            die_err(&err);
        waitpid(pid, NULL, 0);
        printf("exec_us %ld\n", (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
    }
}

static uint32_t number(const char *s) {
    uint64_t n = 0;
    if (hold_parse_u64(s, 0, UINT32_MAX, &n, NULL) < 0)
        die(s);
    return (uint32_t) n;
}

static int parse(int argc, char **argv, struct options *o) {
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--report") == 0) {
            o->is_reporting = true;
            continue;
        }
        const char *name = argv[i] + 2, *value = argv[++i];
        if (strcmp(name, "level") == 0)
            o->request.level = strcmp(value, "off") == 0 ? HOLD_SANDBOX_OFF : strcmp(value, "strict") == 0 ? HOLD_SANDBOX_STRICT : HOLD_SANDBOX_BEST_EFFORT;
        else if (strcmp(name, "uid") == 0)
            o->request.run_uid = o->request.run_gid = number(value);
        else if (strcmp(name, "abi") == 0)
            o->abi = (int) number(value);
        else if (strcmp(name, "without") == 0)
            o->without = value;
        else if (strcmp(name, "time") == 0)
            o->n_times = (int) number(value);
        else if (strcmp(name, "program") == 0)
            o->request.program = value;
        else if (strcmp(name, "grant") == 0 && value[0] && value[1] == ':' && o->request.n_grants < MAX_GRANTS)
            o->grants[o->request.n_grants++] = (struct hold_sandbox_grant) {
                value + 2, HOLD_GRANT_READ | (value[0] == 'W' ? HOLD_GRANT_WRITE | HOLD_GRANT_MAKE : 0) | (value[0] == 'X' ? HOLD_GRANT_EXEC : 0) };
        else
            return -1;
    }
    if (argc - i < 4 || strcmp(argv[i + 2], "--") != 0)
        return -1;
    o->request.profile = hold_profile_find(argv[i]);
    o->arena = argv[i + 1];
    o->command = argv + i + 3;
    return o->request.profile == HOLD_PROFILE_NONE ? -1 : 0;
}

int main(int argc, char **argv) {
    struct options o = { .abi = -1, .request.level = HOLD_SANDBOX_BEST_EFFORT };
    if (parse(argc, argv, &o) < 0) {
        fprintf(stderr, "usage: inbox [OPTION...] PROFILE ARENA -- PROGRAM [ARG...]\n");
        return 2;
    }
    hold_sandbox_protect_self();
    setenv("HF_TOKEN", "hf_secret_of_the_supervisor", 1);
    snprintf(text, sizeof(text), "a secret in memory");
    make_arena(o.arena);
    setenv("HOLDFAST_TEST_PROFILE", hold_profile_name(o.request.profile), 1);
    set("HOLDFAST_TEST_SUPERVISOR", getpid());
    set("HOLDFAST_TEST_SECRET_AT", (long) (uintptr_t) text);
    int listener = -1;
    if (o.request.profile == HOLD_PROFILE_FRONT || o.request.profile == HOLD_PROFILE_FOREIGN) {
        listener = listen_tcp("HOLDFAST_TEST_LISTENING");
        set("HOLDFAST_TEST_LISTENER", listener);
        fcntl(listener, F_SETFD, 0);
    }
    int control[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control) < 0)
        die("socketpair");
    set("HOLDFAST_CONTROL_FD", control[1]);
    make_plan(&o, listener, control[1]);
    pid_t victim = start_victim(o.request.run_uid);
    set("HOLDFAST_TEST_VICTIM", victim);
    if (o.n_times > 0) {
        measure(&o);
        kill(victim, SIGKILL);
        return 0;
    }
    struct hold_err err = {0};
    pid_t pid = start(&o, &err);
    if (pid < 0) {
        kill(victim, SIGKILL);
        die_err(&err);
    }
    if (o.is_reporting)
        report(pid);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    bool is_victim_alive = waitpid(victim, NULL, WNOHANG) == 0;
    kill(victim, SIGKILL);
    if (!is_victim_alive)
        fprintf(stderr, "inbox: the victim was killed\n");
    if (!are_weights_whole()) {
        fprintf(stderr, "inbox: the weights changed\n");
        return STATUS_WEIGHTS;
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "inbox: killed by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
