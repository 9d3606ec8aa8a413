/* sandbox.c - performs sandbox plans, finds what the machine allows. Floor: supervisor/host.
 *
 * Between fork and exec nothing here allocates, locks or formats: the plan's strings are ready, filters are compiled, and
 * each operation is one or a few system calls. What came of it is seen by sandbox_seen.c. */
#include "supervisor/host/sandbox.h"
#include "supervisor/host/caps.h"
#include "supervisor/host/seccomp.h"

#include "base/auto.h"
#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of the oldest system this builds on. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
enum { MDWE_REFUSE_EXEC_GAIN = 1, LANDLOCK_VERSION = 1, LANDLOCK_PATH = 1, LANDLOCK_PORT = 2 };
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
struct landlock_ruleset { uint64_t files, net, scope; };
struct landlock_path { uint64_t rights; int32_t fd; } __attribute__((packed));
struct landlock_port { uint64_t rights, port; };

enum { HELD_FROM = 100 }; /* a folder of /proc that stays open gets a number at least so high, out of a server's way */

void hold_sandbox_facts_find(struct hold_sandbox_facts *ret_facts) {
    struct hold_sandbox_facts f = { .uid = geteuid(), .gid = getegid(), .supervisor_pid = getpid(), .supervisor_pgid = getpgrp() };
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
    f.landlock_abi = abi > 0 ? (int) abi : 0;
    f.landlock_errno = abi > 0 ? 0 : errno;
    hold_seccomp_find(&f);
    /* An empty range far above every descriptor closes nothing. */
    f.has_close_range = syscall(SYS_close_range, UINT_MAX - 1, UINT_MAX, 0) == 0;
    f.has_mdwe = prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;
    hold_caps_find(&f);
    f.has_gpu = access("/dev/nvidiactl", F_OK) == 0;
    *ret_facts = f;
}

void hold_sandbox_protect_self(void) {
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int hold_sandbox_hide_secrets(char **env) {
    size_t n_bytes = 0;
    int n_moved = 0;
    for (char **e = env; *e; e++)
        n_bytes += hold_sandbox_is_secret(*e) ? strlen(*e) + 1 : 0;
    if (n_bytes == 0)
        return 0;
    char *at = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    (void) mlock(at, n_bytes); /* best effort: a limit of 0 is common, and swap is rare where models are served */
    (void) madvise(at, n_bytes, MADV_DONTDUMP);
    for (char **e = env; *e; e++) {
        if (!hold_sandbox_is_secret(*e))
            continue;
        size_t n = strlen(*e) + 1;
        memcpy(at, *e, n);
        explicit_bzero(*e, n - 1);
        *e = at;
        at += n;
        n_moved++;
    }
    return n_moved;
}

int hold_sandbox_prepare(const struct hold_sandbox_plan *plan, struct hold_err *err) {
    if (plan->level == HOLD_SANDBOX_OFF)
        return 0;
    if (hold_caps_prepare(err) < 0)
        return -1;
    for (size_t i = 0; i < plan->n_ops; i++)
        if (plan->ops[i].kind == HOLD_OP_FILTER_CALLS)
            return hold_seccomp_prepare(plan, err);
    return 0;
}

/* --- the child ------------------------------------------------------------------------------------------------------ */

struct entering {
    const struct hold_sandbox_plan *plan;
    int report_fd;
    int ruleset_fd;
};

/* Known to this child only, for the moment between filter and exec; the new program has other memory. */
static uint64_t exec_ticket[HOLD_TICKET_WORDS];

static int close_span(unsigned first, unsigned last) {
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return 0;
    if (errno != ENOSYS && errno != EPERM)
        return -1;
    struct rlimit files; /* a kernel before 5.9, or a profile that does not know the call */
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -1;
    for (unsigned fd = first; fd <= last && fd < files.rlim_max && fd < (1u << 20); fd++)
        close((int) fd);
    return 0;
}

static int close_others(const struct entering *e) {
    unsigned next = 3; /* the lowest descriptor that is not settled yet */
    size_t i = 0;
    bool is_report_due = e->report_fd >= 3;
    while (i < e->plan->n_keep || is_report_due) {
        unsigned kept = i < e->plan->n_keep ? (unsigned) e->plan->keep[i] : UINT_MAX;
        if (is_report_due && (unsigned) e->report_fd <= kept) {
            is_report_due = false;
            i += (unsigned) e->report_fd == kept;
            kept = (unsigned) e->report_fd;
        } else {
            i++;
        }
        if (kept > next && close_span(next, kept - 1) < 0)
            return -1;
        next = kept + 1;
    }
    return close_span(next, UINT_MAX);
}

static int set_limit(const struct hold_sandbox_op *op) {
    static const int resources[HOLD_LIMIT_COUNT] = {
        [HOLD_LIMIT_CORE] = RLIMIT_CORE, [HOLD_LIMIT_FILES] = RLIMIT_NOFILE, [HOLD_LIMIT_RTPRIO] = RLIMIT_RTPRIO,
        [HOLD_LIMIT_NICE] = RLIMIT_NICE, [HOLD_LIMIT_MSGQUEUE] = RLIMIT_MSGQUEUE,
    };
    struct rlimit now;
    if (op->extra >= HOLD_LIMIT_COUNT || getrlimit((__rlimit_resource_t) resources[op->extra], &now) < 0)
        return -1;
    rlim_t limit = HOLD_MIN(now.rlim_max, (rlim_t) op->value);
    now = (struct rlimit) { limit, limit };
    return setrlimit((__rlimit_resource_t) resources[op->extra], &now);
}

static int set_death_signal(const struct hold_sandbox_op *op) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -1;
    if ((uint64_t) getppid() == op->extra)
        return 0;
    errno = ESRCH; /* the supervisor died before the signal was armed */
    return -1;
}

static int create_ruleset(struct entering *e, const struct hold_sandbox_op *op) {
    const struct landlock_ruleset handled = { .files = op->value, .net = op->extra & UINT32_MAX, .scope = op->extra >> 32 };
    e->ruleset_fd = (int) syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
    return e->ruleset_fd < 0 ? -1 : 0;
}

static bool is_absent(int sys) {
    return sys == ENOENT || sys == ENOTDIR || sys == EACCES || sys == ELOOP || sys == ENXIO;
}

static int allow_path(const struct entering *e, const struct hold_sandbox_op *op) {
    enum { FILE_RIGHTS = HOLD_LL_EXECUTE | HOLD_LL_WRITE_FILE | HOLD_LL_READ_FILE | HOLD_LL_TRUNCATE | HOLD_LL_IOCTL_DEV };
    bool is_held = op->kind == HOLD_OP_ALLOW_HELD;
    int fd = open(hold_sandbox_plan_text(e->plan, op->path_at), O_PATH | O_CLOEXEC);
    if (fd < 0)
        return op->extra && is_absent(errno) ? 0 : -1;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    const struct landlock_path rule = { .rights = S_ISDIR(st.st_mode) ? op->value : op->value & FILE_RIGHTS, .fd = fd };
    if (syscall(SYS_landlock_add_rule, e->ruleset_fd, LANDLOCK_PATH, &rule, 0) < 0)
        return -1;
    /* Not close-on-exec: it stays open in the program. The second try is for a very low descriptor limit. */
    if (is_held && fcntl(fd, F_DUPFD, HELD_FROM) < 0 && fcntl(fd, F_DUPFD, 3) < 0)
        return -1;
    return close(fd);
}

static int allow_port(const struct entering *e, const struct hold_sandbox_op *op) {
    const struct landlock_port rule = { .rights = op->value, .port = op->extra };
    return (int) syscall(SYS_landlock_add_rule, e->ruleset_fd, LANDLOCK_PORT, &rule, 0);
}

static int restrict_self(struct entering *e) {
    if (syscall(SYS_landlock_restrict_self, e->ruleset_fd, 0) < 0)
        return -1;
    int fd = e->ruleset_fd;
    e->ruleset_fd = -1;
    return close(fd);
}

static int load_last(const struct hold_sandbox_plan *plan) {
    if (plan->is_exec_once && getrandom(exec_ticket, sizeof(exec_ticket), 0) != (ssize_t) sizeof(exec_ticket))
        return -1;
    return hold_seccomp_load_last(plan, (uint32_t) getpid(), exec_ticket);
}

/* Raw calls for the identity: the library's would try to reach every thread of a process that has one. */
static int perform(struct entering *e, const struct hold_sandbox_op *op) {
    uint32_t id = (uint32_t) op->value;
    switch (op->kind) {
    case HOLD_OP_CLOSE_OTHERS: return close_others(e);
    case HOLD_OP_AMBIENT_CLEAR: return hold_caps_clear_ambient();
    case HOLD_OP_BOUNDING_DROP: return hold_caps_drop_bounding();
    case HOLD_OP_SECUREBITS: return hold_caps_set_securebits(id);
    case HOLD_OP_SET_GROUPS: return (int) syscall(SYS_setgroups, 0, NULL);
    case HOLD_OP_SET_GID: return (int) syscall(SYS_setresgid, id, id, id);
    case HOLD_OP_SET_UID: return (int) syscall(SYS_setresuid, id, id, id);
    case HOLD_OP_CAPS_CLEAR: return hold_caps_clear();
    case HOLD_OP_DEATH_SIGNAL: return set_death_signal(op);
    case HOLD_OP_LIMIT: return set_limit(op);
    case HOLD_OP_UMASK: umask((mode_t) op->value); return 0;
    case HOLD_OP_NO_NEW_PRIVS: return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case HOLD_OP_MDWE: return prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
    case HOLD_OP_RULESET: return create_ruleset(e, op);
    case HOLD_OP_ALLOW_PATH:
    case HOLD_OP_ALLOW_HELD: return allow_path(e, op);
    case HOLD_OP_ALLOW_PORT: return allow_port(e, op);
    case HOLD_OP_RESTRICT: return restrict_self(e);
    case HOLD_OP_FILTER_ARGS: return hold_seccomp_load_args(e->plan);
    case HOLD_OP_FILTER_CALLS: return hold_seccomp_load_calls(e->plan);
    case HOLD_OP_FILTER_LAST: return load_last(e->plan);
    case HOLD_OP_COUNT: break;
    }
    errno = EINVAL;
    return -1;
}

int hold_sandbox_enter(const struct hold_sandbox_plan *plan, int report_fd, struct hold_sandbox_fail *ret_fail) {
    struct entering e = { .plan = plan, .report_fd = report_fd, .ruleset_fd = -1 };
    for (size_t i = 0; i < plan->n_ops; i++)
        if (perform(&e, &plan->ops[i]) < 0) {
            *ret_fail = (struct hold_sandbox_fail) { .op = (uint32_t) i, .sys = errno };
            return -1;
        }
    return 0;
}

void hold_sandbox_exec(const struct hold_sandbox_plan *plan, const char *path, char *const argv[], char *const envp[]) {
    (void) plan; /* without the exec-once filter the kernel does not look at the last three arguments */
    syscall(SYS_execve, path, argv, envp, exec_ticket[0], exec_ticket[1], exec_ticket[2]);
}
