/* seccomp.c - filter programs from tables. Floor: supervisor/host.
 *
 * A refusal compares the low 32 bits only (MASKED_EQ with 0xffffffff): the kernel truncates most arguments, so a refusal
 * of the whole 64-bit value is passed by setting a high bit. Orderings (LT, GE, ...) are not used: libseccomp before 2.6.1
 * has merged them wrongly. Programs are exported before fork; the child hands finished bytes to the kernel. */
#include "supervisor/host/seccomp.h"

#include "base/auto.h"
#include "base/list.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define P(id) (1u << HOLD_PROFILE_##id)
enum {
    FOREIGN = P(FOREIGN),
    ALL = P(FRONT) | P(ENGINE_CPU) | P(ENGINE_CUDA) | P(JOB_PREFLIGHT) | P(JOB_FETCH) | P(JOB_VERIFY) | FOREIGN,
    WRITERS = P(JOB_FETCH) | P(JOB_VERIFY) | P(JOB_PREFLIGHT) | P(ENGINE_CUDA) | FOREIGN,
    SERVERS = P(FRONT) | FOREIGN,
    CONNECTORS = P(JOB_FETCH) | P(JOB_PREFLIGHT) | FOREIGN,
    FORKERS = P(JOB_PREFLIGHT) | FOREIGN, /* the preflight asks the GPU's driver in a process that may crash or hang */
    GPU = P(ENGINE_CUDA) | P(JOB_PREFLIGHT) | FOREIGN,
};

static const struct allowed { uint32_t profiles; const char *name; } allowed[] = {
#define ALLOW(set, call) { set, #call },
#include "supervisor/host/seccomp_allow.def"
#undef ALLOW
};

enum { ANY_ARG = 0xff }; /* no comparison */
#define LOW 0xffffffffu
#define NS_FLAGS (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define TYPE_MASK (LOW & ~(unsigned) (SOCK_CLOEXEC | SOCK_NONBLOCK))

/* One comparison: the masked low half of an argument equals a value. */
struct compare { uint8_t arg; uint32_t mask, value; };
struct by_argument { uint32_t profiles; const char *name; struct compare is[3]; };

#define EQ(a, v) { a, LOW, (uint32_t) (v) }
#define BITS(a, m, v) { a, (uint32_t) (m), (uint32_t) (v) }
#define NO { ANY_ARG, 0, 0 }
#define ONE(set, call, c) { set, call, { c, NO, NO } }

/* Allowed with these arguments only. */
static const struct by_argument allowed_with[] = {
    /* threads of the process; for some also processes; a new namespace for nobody */
    ONE(ALL & ~FORKERS, "clone", BITS(0, CLONE_THREAD | NS_FLAGS, CLONE_THREAD)),
    ONE(FORKERS, "clone", BITS(0, NS_FLAGS, 0)),
    ONE(ALL, "prlimit64", EQ(0, 0)),
    ONE(ALL, "seccomp", EQ(0, SECCOMP_SET_MODE_FILTER)), /* for the last filter, which then forbids it */
    ONE(ALL, "seccomp", EQ(0, SECCOMP_GET_ACTION_AVAIL)),
    ONE(P(JOB_PREFLIGHT), "landlock_create_ruleset", EQ(2, 1)), /* asks for the version */
    { ALL, "socketpair", { EQ(0, AF_UNIX), NO, NO } },
    { ALL, "sendto", { EQ(4, 0), NO, NO } }, /* no address; CONNECTORS have it whole */
    { CONNECTORS, "socket", { EQ(0, AF_INET), BITS(1, TYPE_MASK, SOCK_STREAM), EQ(2, 0) } },
    { CONNECTORS, "socket", { EQ(0, AF_INET), BITS(1, TYPE_MASK, SOCK_STREAM), EQ(2, 6) } },
    { CONNECTORS, "socket", { EQ(0, AF_INET6), BITS(1, TYPE_MASK, SOCK_STREAM), EQ(2, 0) } },
    { CONNECTORS, "socket", { EQ(0, AF_INET6), BITS(1, TYPE_MASK, SOCK_STREAM), EQ(2, 6) } },
    /* names are resolved over UDP, and addresses sorted with the help of netlink */
    { CONNECTORS, "socket", { EQ(0, AF_INET), BITS(1, TYPE_MASK, SOCK_DGRAM), EQ(2, 0) } },
    { CONNECTORS, "socket", { EQ(0, AF_INET), BITS(1, TYPE_MASK, SOCK_DGRAM), EQ(2, 17) } },
    { CONNECTORS, "socket", { EQ(0, AF_INET6), BITS(1, TYPE_MASK, SOCK_DGRAM), EQ(2, 0) } },
    { CONNECTORS, "socket", { EQ(0, AF_INET6), BITS(1, TYPE_MASK, SOCK_DGRAM), EQ(2, 17) } },
    { CONNECTORS, "socket", { EQ(0, AF_NETLINK), BITS(1, TYPE_MASK, SOCK_RAW), EQ(2, 0) } },
    { CONNECTORS, "socket", { EQ(0, AF_NETLINK), BITS(1, TYPE_MASK, SOCK_DGRAM), EQ(2, 0) } },
    { FOREIGN, "socket", { EQ(0, AF_UNIX), NO, NO } },
    { P(ENGINE_CUDA), "socket", { EQ(0, AF_UNIX), NO, NO } }, /* connect answers ECONNREFUSED: NVML takes that, EPERM it does not */
    /* device commands of the NVIDIA driver: its family, and the managed memory driver's bare numbers */
    ONE(GPU, "ioctl", BITS(1, 0xc000ff00, 0xc0004600)),
    ONE(GPU, "ioctl", BITS(1, ~0x7fu, 0)),
    ONE(GPU, "ioctl", EQ(1, 0x30000001)),
    ONE(GPU, "ioctl", EQ(1, 0x30000002)),
};

/* Allowed with these values of one argument: a terminal's and descriptor's questions, a thread's own matters. */
static const struct by_value { uint32_t profiles; const char *name; uint8_t arg; uint16_t n; uint32_t values[32]; } allowed_values[] = {
    { ALL, "ioctl", 1, 6, { 0x5401, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451 } }, /* TCGETS TIOCGWINSZ FIONREAD FIONBIO FIO(N)CLEX */
    { FOREIGN, "ioctl", 1, 12, { 0x5402, 0x5403, 0x5404, 0x540f, 0x5410, 0x540b, 0x8912, 0x8913, 0x8915, 0x891b, 0x8921, 0x8927 } },
    { FOREIGN, "ioctl", 1, 4, { 0x8910, 0x8919, 0x8933, 0x8946 } },
    { ALL, "fcntl", 1, 18, { 0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1033, 1034, 1036, 1037 } },
    /* names, death signal, timer slack, dumpable, huge pages, no-new-privs, readers of seccomp, bounding set, securebits */
    { ALL, "prctl", 0, 14, { 15, 16, 1, 2, 29, 30, 3, 4, 41, 42, 38, 39, 21, 23 } },
    { ALL, "prctl", 0, 3, { 27, 0x53564d41, 0x41555856 } },
    { FOREIGN, "prctl", 0, 2, { 36, 37 } }, /* child subreaper */
};

/* Refused although the call is allowed. */
static const struct by_argument refused_with[] = {
    { ALL, "sendto", { BITS(3, MSG_FASTOPEN, MSG_FASTOPEN), NO, NO } },
    { ALL, "sendmsg", { BITS(2, MSG_FASTOPEN, MSG_FASTOPEN), NO, NO } },
    { ALL, "sendmmsg", { BITS(3, MSG_FASTOPEN, MSG_FASTOPEN), NO, NO } },
    ONE(ALL, "ioctl", EQ(1, 0x5412)), /* TIOCSTI: typing into the terminal */
    ONE(ALL, "ioctl", EQ(1, 0x541c)), /* TIOCLINUX */
    { ALL, "setsockopt", { EQ(1, SOL_SOCKET), EQ(2, 26), NO } }, /* SO_ATTACH_FILTER and its like: programs for the kernel */
    { ALL, "setsockopt", { EQ(1, SOL_SOCKET), EQ(2, 50), NO } },
    { ALL, "setsockopt", { EQ(1, SOL_SOCKET), EQ(2, 51), NO } },
    { ALL, "setsockopt", { EQ(1, SOL_SOCKET), EQ(2, 52), NO } },
    { ALL, "setsockopt", { EQ(1, 6), EQ(2, 31), NO } }, /* TCP_ULP */
    ONE(ALL, "setpriority", EQ(0, 1)), ONE(ALL, "setpriority", EQ(0, 2)), /* a group, a user */
    ONE(ALL, "ioprio_set", EQ(0, 2)), ONE(ALL, "ioprio_set", EQ(0, 3)),
};

/* Calls that name a process, and in which argument. */
static const struct { const char *name; uint8_t arg; } aimed[] = {
    { "kill", 0 }, { "tkill", 0 }, { "tgkill", 0 }, { "rt_sigqueueinfo", 0 }, { "rt_tgsigqueueinfo", 0 }, { "prlimit64", 0 },
    { "sched_setaffinity", 0 }, { "sched_setparam", 0 }, { "sched_setscheduler", 0 }, { "sched_setattr", 0 },
    { "pidfd_open", 0 }, { "setpriority", 1 }, { "ioprio_set", 1 },
};

/* W^X where the kernel has no switch for it: mapped writable and executable, or made executable later. */
static const struct by_argument refused_wx[] = {
    ONE(ALL, "mmap", BITS(2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC)),
    ONE(ALL, "mprotect", BITS(2, PROT_EXEC, PROT_EXEC)),
    ONE(ALL, "pkey_mprotect", BITS(2, PROT_EXEC, PROT_EXEC)),
};

static int add_rule(scmp_filter_ctx made, uint32_t action, const char *name, const struct compare *is, size_t n_is, struct hold_err *err) {
    struct scmp_arg_cmp cmp[3];
    unsigned n = 0;
    for (size_t i = 0; i < n_is && is[i].arg != ANY_ARG; i++)
        cmp[n++] = (struct scmp_arg_cmp) { .arg = is[i].arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = is[i].mask, .datum_b = is[i].value };
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "sandbox: no system call is named '%s'", name);
    if (number < 0) /* this architecture has no such call */
        return 0;
    int rc = seccomp_rule_add_array(made, action, number, n, cmp);
    return rc == 0 || rc == -EEXIST ? 0 : hold_fail(err, HOLD_E_INTERNAL, -rc, "sandbox: filter rule for '%s'", name);
}

/* The datagram rows of the table are for those who may. */
static bool is_datagram(const struct by_argument *row) {
    return strcmp(row->name, "socket") == 0 && row->is[0].value != AF_NETLINK && row->is[1].arg != ANY_ARG && row->is[1].value == SOCK_DGRAM;
}

static int add_table(scmp_filter_ctx made, uint32_t action, const struct hold_sandbox_plan *plan, const struct by_argument *rows, size_t n,
                     struct hold_err *err) {
    enum hold_profile p = plan->profile;
    for (size_t i = 0; i < n; i++) {
        if (is_datagram(&rows[i]) && !plan->has_datagrams)
            continue;
        /* A rule without arguments swallows those with them: sendto of a profile that may name addresses. */
        bool is_whole = strcmp(rows[i].name, "sendto") == 0 && (CONNECTORS & (1u << p)) && action == SCMP_ACT_ALLOW;
        if ((rows[i].profiles & (1u << p)) && !is_whole && add_rule(made, action, rows[i].name, rows[i].is, 3, err) < 0)
            return -1;
    }
    return 0;
}

static int add_calls(scmp_filter_ctx made, const struct hold_sandbox_plan *plan, struct hold_err *err) {
    uint32_t bit = 1u << plan->profile;
    for (size_t i = 0; i < HOLD_COUNT_OF(allowed); i++)
        if ((allowed[i].profiles & bit) && add_rule(made, SCMP_ACT_ALLOW, allowed[i].name, NULL, 0, err) < 0)
            return -1;
    if (add_table(made, SCMP_ACT_ALLOW, plan, allowed_with, HOLD_COUNT_OF(allowed_with), err) < 0)
        return -1;
    for (size_t i = 0; i < HOLD_COUNT_OF(allowed_values); i++)
        for (size_t k = 0; k < allowed_values[i].n && (allowed_values[i].profiles & bit); k++) {
            const struct compare is = EQ(allowed_values[i].arg, allowed_values[i].values[k]);
            if (add_rule(made, SCMP_ACT_ALLOW, allowed_values[i].name, &is, 1, err) < 0)
                return -1;
        }
    if (!(CONNECTORS & bit)) /* the answer that every library takes for "nobody there" */
        return add_rule(made, SCMP_ACT_ERRNO(ECONNREFUSED), "connect", NULL, 0, err);
    return 0;
}

static int add_args(scmp_filter_ctx made, const struct hold_sandbox_plan *plan, struct hold_err *err) {
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    const uint32_t pids[] = { (uint32_t) plan->supervisor_pid, 1, (uint32_t) -1, (uint32_t) -plan->supervisor_pgid };
    if (add_table(made, refuse, plan, refused_with, HOLD_COUNT_OF(refused_with), err) < 0)
        return -1;
    if (plan->is_wx_filtered && add_table(made, refuse, plan, refused_wx, HOLD_COUNT_OF(refused_wx), err) < 0)
        return -1;
    for (size_t i = 0; i < HOLD_COUNT_OF(aimed); i++)
        for (size_t k = 0; k < HOLD_COUNT_OF(pids); k++) {
            const struct compare is = EQ(aimed[i].arg, pids[k]);
            if (pids[k] != 0 && add_rule(made, refuse, aimed[i].name, &is, 1, err) < 0) /* 0: oneself */
                return -1;
        }
    return 0;
}

struct program {
    struct sock_filter *code;
    size_t n;
};

/* Process-wide on purpose: compiled once, used at each restart. */
static struct prepared {
    bool is_made, is_wx_filtered;
    int32_t supervisor_pid, supervisor_pgid;
    struct program args, calls;
} prepared[HOLD_PROFILE_COUNT][2]; /* by profile, and whether it has datagrams */

static void release_filter(scmp_filter_ctx *made) {
    if (*made)
        seccomp_release(*made);
}

static int export_program(scmp_filter_ctx made, struct program *ret, struct hold_err *err) {
    hold_autofd fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "sandbox: memory for a filter");
    int rc = seccomp_export_bpf(made, fd);
    if (rc < 0)
        return hold_fail(err, HOLD_E_INTERNAL, -rc, "sandbox: export a filter");
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t) (BPF_MAXINSNS * sizeof(struct sock_filter)))
        return hold_fail(err, HOLD_E_LIMIT, 0, "sandbox: a filter passes %d instructions", BPF_MAXINSNS);
    hold_autofree struct sock_filter *code = malloc((size_t) st.st_size);
    if (!code)
        return hold_fail(err, HOLD_E_LIMIT, errno, "sandbox: memory for a filter");
    if (pread(fd, code, (size_t) st.st_size, 0) != st.st_size)
        return hold_fail(err, HOLD_E_IO, errno, "sandbox: read a filter back");
    free(ret->code);
    *ret = (struct program) { .n = (size_t) st.st_size / sizeof(*code) };
    ret->code = hold_take_ptr(&code);
    return 0;
}

static int make_program(const struct hold_sandbox_plan *plan, uint32_t default_action,
                        int (*add)(scmp_filter_ctx, const struct hold_sandbox_plan *, struct hold_err *), struct program *ret,
                        struct hold_err *err) {
    __attribute__((cleanup(release_filter))) scmp_filter_ctx made = seccomp_init(default_action);
    if (!made)
        return hold_fail(err, HOLD_E_LIMIT, 0, "sandbox: memory for a filter");
    /* 2: a binary tree, which halves the cost of calls that are checked by argument. */
    if (seccomp_attr_set(made, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 || seccomp_attr_set(made, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "sandbox: this libseccomp is older than 2.5");
    if (add(made, plan, err) < 0)
        return -1;
    return export_program(made, ret, err);
}

int hold_seccomp_prepare(const struct hold_sandbox_plan *plan, struct hold_err *err) {
    struct prepared *kept = &prepared[plan->profile][plan->has_datagrams];
    if (kept->is_made && kept->supervisor_pid == plan->supervisor_pid && kept->supervisor_pgid == plan->supervisor_pgid &&
        kept->is_wx_filtered == plan->is_wx_filtered)
        return 0;
    kept->is_made = false;
    if (make_program(plan, SCMP_ACT_ALLOW, add_args, &kept->args, err) < 0 ||
        make_program(plan, SCMP_ACT_ERRNO(EPERM), add_calls, &kept->calls, err) < 0)
        return hold_wrap(err, "profile %s", hold_profile_name(plan->profile));
    kept->is_made = true;
    kept->is_wx_filtered = plan->is_wx_filtered;
    kept->supervisor_pid = plan->supervisor_pid;
    kept->supervisor_pgid = plan->supervisor_pgid;
    return 0;
}

const struct sock_filter *hold_seccomp_program(const struct hold_sandbox_plan *plan, bool is_calls, size_t *ret_n) {
    const struct prepared *kept = &prepared[plan->profile][plan->has_datagrams];
    const struct program *p = is_calls ? &kept->calls : &kept->args;
    *ret_n = kept->is_made ? p->n : 0;
    return kept->is_made ? p->code : NULL;
}

void hold_seccomp_find(struct hold_sandbox_facts *facts) {
    const uint32_t action = SECCOMP_RET_ERRNO;
    facts->has_seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
    facts->seccomp_errno = facts->has_seccomp ? 0 : errno;
}

static int load(const struct sock_filter *code, size_t n) {
    const struct sock_fprog prog = { .len = (unsigned short) n, .filter = (struct sock_filter *) (uintptr_t) code };
    /* Without this flag older kernels switch speculation off for the whole process, which costs more than the filter. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) == 0)
        return 0;
    if (errno != EINVAL)
        return -1;
    return (int) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

static int load_kept(const struct hold_sandbox_plan *plan, bool is_calls) {
    size_t n = 0;
    const struct sock_filter *code = hold_seccomp_program(plan, is_calls, &n);
    if (!code) {
        errno = EINVAL;
        return -1;
    }
    return load(code, n);
}

int hold_seccomp_load_args(const struct hold_sandbox_plan *plan) {
    return load_kept(plan, false);
}

int hold_seccomp_load_calls(const struct hold_sandbox_plan *plan) {
    return load_kept(plan, true);
}

/* The numbers up to here are in the kernel headers this was written against; old calls end, then a gap, then new ones. */
#ifdef __x86_64__
enum { ARCH = (int) AUDIT_ARCH_X86_64, LAST_OLD = 334, FIRST_NEW = 424, LAST_NEW = 450 };
#elif defined(__aarch64__)
enum { ARCH = (int) AUDIT_ARCH_AARCH64, LAST_OLD = 294, FIRST_NEW = 424, LAST_NEW = 450 };
#else
#error "the sandbox knows x86-64 and arm64"
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) offsetof(struct seccomp_data, field))
#define LOAD_ARG(i, half) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (offsetof(struct seccomp_data, args) + 8u * (unsigned) (i) + 4u * (unsigned) (half)))
#define IF_EQ(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) (value), (yes), (no))
#define IF_GT(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t) (value), (yes), (no))
#define IF_GE(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t) (value), (yes), (no))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (uint32_t) (action))
#define REFUSE(sys) RETURN(SECCOMP_RET_ERRNO | (uint32_t) (sys))

static void put(struct sock_filter *code, size_t *n, const struct sock_filter *more, size_t n_more) {
    for (size_t i = 0; i < n_more; i++) /* no memcpy: nothing but plain stores between fork and exec */
        code[(*n)++] = more[i];
}
#define PUT(...) put(ret_code, &n, (const struct sock_filter[]) { __VA_ARGS__ }, \
                     HOLD_COUNT_OF(((const struct sock_filter[]) { __VA_ARGS__ })))

size_t hold_seccomp_write_last(const struct hold_sandbox_plan *plan, uint32_t own_pid, const uint64_t ticket[HOLD_TICKET_WORDS],
                               struct sock_filter ret_code[HOLD_LAST_FILTER_MAX]) {
    size_t n = 0;
    PUT(LOAD(arch), IF_EQ(ARCH, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(nr),
        IF_GT(LAST_NEW, 0, 1), REFUSE(ENOSYS),
        IF_GT(LAST_OLD, 0, 2), IF_GE(FIRST_NEW, 1, 0), REFUSE(ENOSYS),
        IF_EQ(SYS_clone3, 0, 1), REFUSE(ENOSYS), /* its flags lie in memory; libraries fall back to clone */
        IF_EQ(SYS_seccomp, 0, 4), LOAD_ARG(0, 0), IF_EQ(SECCOMP_GET_ACTION_AVAIL, 0, 1), RETURN(SECCOMP_RET_ALLOW), REFUSE(EPERM));
    if (plan->is_exec_once) {
        enum { N_HALVES = 2 * HOLD_TICKET_WORDS };
        PUT(IF_EQ(SYS_execve, 0, 2 * N_HALVES + 2));
        for (unsigned i = 0; i < N_HALVES; i++) {
            uint8_t to_refusal = (uint8_t) (2 * (N_HALVES - 1 - i) + 1);
            PUT(LOAD_ARG(3 + i / 2, i % 2), IF_EQ(ticket[i / 2] >> (32 * (i % 2)), 0, to_refusal));
        }
        PUT(RETURN(SECCOMP_RET_ALLOW), REFUSE(EPERM));
    }
    if (plan->is_exec_once && plan->profile != HOLD_PROFILE_JOB_PREFLIGHT) {
        PUT(IF_EQ(SYS_kill, 4, 0), IF_EQ(SYS_tgkill, 3, 0), IF_EQ(SYS_rt_sigqueueinfo, 2, 0), IF_EQ(SYS_rt_tgsigqueueinfo, 1, 0),
            RETURN(SECCOMP_RET_ALLOW), LOAD_ARG(0, 0), IF_EQ(own_pid, 0, 1), RETURN(SECCOMP_RET_ALLOW), REFUSE(EPERM));
        return n;
    }
    PUT(RETURN(SECCOMP_RET_ALLOW));
    return n;
}

int hold_seccomp_load_last(const struct hold_sandbox_plan *plan, uint32_t own_pid, const uint64_t ticket[HOLD_TICKET_WORDS]) {
    struct sock_filter code[HOLD_LAST_FILTER_MAX];
    size_t n = hold_seccomp_write_last(plan, own_pid, ticket, code);
    int rc = load(code, n);
    explicit_bzero(code, sizeof(code));
    return rc;
}
