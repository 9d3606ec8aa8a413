/* sandbox_grants.c - the files and ports of each profile. Floor: supervisor/policy, pure.
 *
 * Links are followed when a rule is made, so a rule names the target; where a distribution keeps a link (resolv.conf in
 * systemd's run folder) both ends are listed. A folder of procfs must stay open in the child: its inode is made anew once
 * the kernel drops it, loading weights causes exactly that, and a rule on the old inode then matches nothing. */
#include "supervisor/policy/sandbox_grants.h"

#include "base/list.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define P(id) (1u << HOLD_PROFILE_##id)
enum {
    R = HOLD_GRANT_READ, X = HOLD_GRANT_EXEC, W = HOLD_GRANT_WRITE, M = HOLD_GRANT_MAKE, D = HOLD_GRANT_DEVICE, L = HOLD_GRANT_LIST,
    CUDA = P(ENGINE_CUDA) | P(JOB_PREFLIGHT) | P(FOREIGN),
    ENGINES = P(ENGINE_CPU) | P(ENGINE_CUDA),
    OWN = P(FRONT) | P(ENGINE_CPU) | P(ENGINE_CUDA) | P(JOB_PREFLIGHT) | P(JOB_FETCH) | P(JOB_VERIFY),
    NETWORK = P(JOB_PREFLIGHT) | P(JOB_FETCH),
    ALL = OWN | P(FOREIGN),
};

/* Paths of the system; every one may be absent. Devices nvidia0..15 are added by number. */
static const struct system_grant {
    uint32_t profiles;
    uint32_t access;
    const char *path;
} system_grants[] = {
    { ALL, R, "/lib" },
    { ALL, R, "/lib64" },
    { ALL, R, "/usr/lib" },
    { ALL, R, "/usr/lib64" },
    { ALL, R, "/usr/local/lib" },
    { ALL, R, "/etc/ld.so.cache" },
    { ALL, R, "/etc/localtime" },
    { OWN, R | X, "/lib64/ld-linux-x86-64.so.2" }, /* a program of the build tree names its interpreter */
    { OWN, R | X, "/lib/ld-linux-aarch64.so.1" },
    { ALL, R | W, "/dev/null" },
    { ALL, R, "/dev/zero" },
    { ALL, R, "/dev/urandom" },
    { ALL, R, "/dev/random" },
    { ALL, R, "/proc/cpuinfo" },
    { ALL, R, "/proc/meminfo" },
    { ALL, R, "/proc/stat" },
    { ALL, R, "/proc/sys/vm/overcommit_memory" },
    { ALL, R, "/proc/sys/kernel/random/boot_id" },
    { ENGINES | P(JOB_PREFLIGHT), R, "/sys/devices/system" },
    { ENGINES | P(JOB_PREFLIGHT) | P(JOB_FETCH), R, "/sys/fs/cgroup" },
    { ENGINES | P(JOB_PREFLIGHT), R, "/sys/kernel/mm/transparent_hugepage" },
    { P(ENGINE_CUDA), R, "/proc/driver" },
    { P(ENGINE_CUDA), R, "/proc/devices" },
    { P(ENGINE_CUDA), R, "/proc/modules" },
    { P(ENGINE_CUDA), R, "/proc/version" },
    { P(ENGINE_CUDA), R, "/proc/sys/vm" },
    { P(ENGINE_CUDA), R, "/sys/devices" }, /* /sys/bus/pci/devices/ holds links into it */
    { P(ENGINE_CUDA), R, "/sys/bus/pci" },
    { P(ENGINE_CUDA), R, "/sys/module" },
    { CUDA, D, "/dev/nvidiactl" },
    { CUDA, D, "/dev/nvidia-uvm" },
    { CUDA, D, "/dev/nvidia-uvm-tools" }, /* driver 570 opens it; refused ends in error 304 */
    { CUDA, R, "/dev/nvidia-caps" },
    { P(JOB_PREFLIGHT) | P(FOREIGN), L, "/dev" },
    { NETWORK, R, "/etc/resolv.conf" },
    { NETWORK, R, "/run/systemd/resolve" },
    { NETWORK, R, "/etc/hosts" },
    { NETWORK, R, "/etc/nsswitch.conf" },
    { NETWORK, R, "/etc/host.conf" },
    { NETWORK, R, "/etc/gai.conf" },
    { NETWORK, R, "/etc/services" },
    { NETWORK, R, "/etc/ssl" },
    { NETWORK, R, "/etc/pki" },
    { NETWORK, R, "/etc/ca-certificates" },
    { NETWORK, R, "/usr/share/ca-certificates" },
    { NETWORK, R, "/usr/local/share/ca-certificates" },
    { P(JOB_PREFLIGHT), R, "/proc/driver" },
    { P(JOB_PREFLIGHT), R, "/proc/devices" },
    { P(JOB_PREFLIGHT), R, "/proc/modules" },
    { P(JOB_PREFLIGHT), R, "/proc/version" },
    { P(JOB_PREFLIGHT), R, "/proc/swaps" },
    { P(JOB_PREFLIGHT), R, "/proc/pressure" },
    { P(JOB_PREFLIGHT), R, "/proc/filesystems" },
    { P(JOB_PREFLIGHT), R, "/proc/vmstat" },
    { P(JOB_PREFLIGHT), R, "/proc/sys" },
    { P(JOB_PREFLIGHT), R, "/sys" },
    { P(JOB_PREFLIGHT), R, "/usr" },
    { P(JOB_PREFLIGHT), R, "/opt" },
    { P(FOREIGN), R | X, "/usr" },
    { P(FOREIGN), R | X, "/bin" },
    { P(FOREIGN), R | X, "/sbin" },
    { P(FOREIGN), R | X, "/lib" },
    { P(FOREIGN), R | X, "/lib64" },
    { P(FOREIGN), R | X, "/opt" },
    { P(FOREIGN), R, "/etc" },
    { P(FOREIGN), R, "/sys/devices" },
    { P(FOREIGN), R, "/sys/bus/pci" },
    { P(FOREIGN), R, "/sys/class/net" },
    { P(FOREIGN), R, "/sys/fs/cgroup" },
    { P(FOREIGN), R, "/sys/module" },
    { P(FOREIGN), R, "/sys/kernel/mm/transparent_hugepage" },
    { P(FOREIGN), R | W | M, "/dev/shm" },
    { P(FOREIGN), R | W, "/dev/zero" },
    { P(FOREIGN), R | W, "/dev/full" },
};

enum { N_GPU_NODES = 16 };

uint64_t hold_sandbox_rights(uint32_t access, int abi) {
    uint64_t rights = 0;
    if (access & HOLD_GRANT_READ)
        rights |= HOLD_LL_READ_FILE | HOLD_LL_READ_DIR;
    if (access & HOLD_GRANT_LIST)
        rights |= HOLD_LL_READ_DIR;
    if (access & HOLD_GRANT_EXEC)
        rights |= HOLD_LL_EXECUTE;
    if (access & HOLD_GRANT_WRITE)
        rights |= HOLD_LL_WRITE_FILE | HOLD_LL_TRUNCATE;
    if (access & HOLD_GRANT_MAKE)
        rights |= HOLD_LL_MAKE_REG | HOLD_LL_MAKE_DIR | HOLD_LL_MAKE_SYM | HOLD_LL_MAKE_SOCK | HOLD_LL_MAKE_FIFO |
                  HOLD_LL_REMOVE_FILE | HOLD_LL_REMOVE_DIR | HOLD_LL_REFER;
    if (access & HOLD_GRANT_DEVICE)
        rights |= HOLD_LL_READ_FILE | HOLD_LL_WRITE_FILE | HOLD_LL_IOCTL_DEV;
    if (abi < 5)
        rights &= ~(uint64_t) HOLD_LL_IOCTL_DEV;
    if (abi < 3)
        rights &= ~(uint64_t) HOLD_LL_TRUNCATE;
    if (abi < 2)
        rights &= ~(uint64_t) HOLD_LL_REFER;
    return abi < 1 ? 0 : rights;
}

static uint64_t handled_files(int abi) {
    return hold_sandbox_rights(R | X | W | M | D, abi) | HOLD_LL_MAKE_CHAR | HOLD_LL_MAKE_BLOCK;
}

static const char *landlock_reason(int sys) {
    switch (sys) {
    case ENOSYS:
        return "the kernel has no Landlock (it came with 5.13)";
    case EOPNOTSUPP:
        return "Landlock is switched off at boot (lsm=)";
    case EPERM:
        return "Landlock is refused by the container's profile";
    default:
        return "Landlock does not answer";
    }
}

HOLD_PRINTF(4, 5)
static void note(struct hold_sandbox_plan *plan, enum hold_layer layer, enum hold_layer_state state, const char *format, ...) {
    plan->layers[layer].state = state;
    va_list ap;
    va_start(ap, format);
    vsnprintf(plan->layers[layer].reason, sizeof(plan->layers[layer].reason), format, ap);
    va_end(ap);
}

/* Our own profiles have the call filter between them and every socket and every foreign process; a foreign server has not. */
static void note_layers(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *facts, struct hold_sandbox_plan *plan) {
    int abi = facts->landlock_abi;
    enum hold_layer_state lesser =
        q->profile != HOLD_PROFILE_FOREIGN && facts->has_seccomp ? HOLD_LAYER_PARTIAL : HOLD_LAYER_MISSING;
    if (abi < 1)
        note(plan, HOLD_LAYER_FILES, HOLD_LAYER_MISSING, "%s", landlock_reason(facts->landlock_errno));
    else if (abi < 3)
        note(plan, HOLD_LAYER_FILES, HOLD_LAYER_PARTIAL, "Landlock ABI %d does not stop truncation (Linux 6.2)", abi);
    else if (abi < 5)
        note(plan, HOLD_LAYER_FILES, HOLD_LAYER_PARTIAL, "Landlock ABI %d does not guard device ioctls (Linux 6.10)", abi);
    else
        note(plan, HOLD_LAYER_FILES, HOLD_LAYER_ON, "%s", "");

    bool is_free = q->profile == HOLD_PROFILE_FOREIGN && q->is_network_free;
    if (is_free)
        note(plan, HOLD_LAYER_PORTS, HOLD_LAYER_OFF, "%s", "every TCP port, by configuration");
    else if (abi < 4)
        note(plan, HOLD_LAYER_PORTS, lesser, "Landlock ABI %d has no port rules (Linux 6.7)%s", abi,
             lesser == HOLD_LAYER_PARTIAL ? "; the call filter refuses sockets" : "");
    else
        note(plan, HOLD_LAYER_PORTS, HOLD_LAYER_ON, "%s", "");

    if (abi < 6)
        note(plan, HOLD_LAYER_SCOPE, lesser, "Landlock ABI %d has no scopes (Linux 6.12)%s", abi,
             lesser == HOLD_LAYER_PARTIAL ? "; the filters let signals reach the child itself only" : "");
    else
        note(plan, HOLD_LAYER_SCOPE, HOLD_LAYER_ON, "%s", "");
}

static int add_path(struct hold_sandbox_plan *plan, enum hold_sandbox_op_kind kind, const char *path, uint32_t access, int abi,
                    bool is_optional, struct hold_err *err) {
    if (!path)
        return 0;
    return hold_sandbox_plan_add(plan, (struct hold_sandbox_op) { .kind = kind, .layer = HOLD_LAYER_FILES,
                                                                  .value = hold_sandbox_rights(access, abi), .extra = is_optional },
                                 path, err);
}

/* libcuda names its threads by /proc/<pid>/task/<tid>/comm and gives up when it may not. Where it runs in processes that
 * are forked later (a foreign server's workers, the preflight's question to the driver) only a grant on all of /proc
 * reaches them. To user 0 that opens sysctls, so without a GPU user 0 does without. */
static int add_own_proc(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *facts, struct hold_sandbox_plan *plan,
                        struct hold_err *err) {
    int abi = facts->landlock_abi;
    bool is_forking = q->profile == HOLD_PROFILE_FOREIGN || q->profile == HOLD_PROFILE_JOB_PREFLIGHT;
    bool is_written = is_forking && (plan->uid != 0 || facts->has_gpu);
    if (is_written && plan->uid == 0 && plan->layers[HOLD_LAYER_FILES].state == HOLD_LAYER_ON)
        note(plan, HOLD_LAYER_FILES, HOLD_LAYER_PARTIAL, "%s", "user 0 drives a GPU in forked processes, so /proc is writable: run as another user");
    if (is_written || q->profile == HOLD_PROFILE_FOREIGN)
        return add_path(plan, HOLD_OP_ALLOW_HELD, "/proc", is_written ? R | W : R, abi, true, err);
    if (add_path(plan, HOLD_OP_ALLOW_HELD, "/proc/self", R, abi, true, err) < 0)
        return -1;
    return q->profile != HOLD_PROFILE_ENGINE_CUDA ? 0 : add_path(plan, HOLD_OP_ALLOW_HELD, "/proc/self/task", R | W, abi, true, err);
}

static uint32_t model_access(enum hold_profile p) {
    if (p == HOLD_PROFILE_FRONT)
        return 0;
    return p == HOLD_PROFILE_JOB_FETCH || p == HOLD_PROFILE_JOB_VERIFY ? R | W | M : R;
}

static int add_paths(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *facts, struct hold_sandbox_plan *plan,
                     struct hold_err *err) {
    int abi = facts->landlock_abi;
    for (size_t i = 0; i < HOLD_COUNT_OF(system_grants); i++)
        if ((system_grants[i].profiles & (1u << q->profile)) &&
            add_path(plan, HOLD_OP_ALLOW_PATH, system_grants[i].path, system_grants[i].access, abi, true, err) < 0)
            return -1;
    for (int i = 0; i < N_GPU_NODES && (CUDA & (1u << q->profile)); i++) {
        char node[24];
        snprintf(node, sizeof(node), "/dev/nvidia%d", i);
        if (add_path(plan, HOLD_OP_ALLOW_PATH, node, D, abi, true, err) < 0)
            return -1;
    }
    bool is_scratched = q->profile == HOLD_PROFILE_ENGINE_CUDA || q->profile == HOLD_PROFILE_FOREIGN;
    uint32_t model = model_access(q->profile);
    if (add_own_proc(q, facts, plan, err) < 0 || add_path(plan, HOLD_OP_ALLOW_PATH, q->prefix, R, abi, false, err) < 0 ||
        add_path(plan, HOLD_OP_ALLOW_PATH, q->program, R | X, abi, false, err) < 0 ||
        add_path(plan, HOLD_OP_ALLOW_PATH, model ? q->model_dir : NULL, model, abi, false, err) < 0 ||
        add_path(plan, HOLD_OP_ALLOW_PATH, is_scratched ? q->scratch_dir : NULL, R | W | M, abi, false, err) < 0)
        return -1;
    for (size_t i = 0; i < q->n_grants; i++)
        if (add_path(plan, HOLD_OP_ALLOW_PATH, q->grants[i].path, q->grants[i].access, abi,
                     q->grants[i].access & HOLD_GRANT_OPTIONAL, err) < 0)
            return -1;
    return 0;
}

static int add_ports(const struct hold_sandbox_request *q, uint64_t handled, struct hold_sandbox_plan *plan, struct hold_err *err) {
    if (q->profile != HOLD_PROFILE_FOREIGN || handled == 0)
        return 0;
    struct hold_sandbox_op op = { .kind = HOLD_OP_ALLOW_PORT, .layer = HOLD_LAYER_PORTS, .value = HOLD_LL_NET_BIND };
    if (q->n_bind_ports > 0 && hold_sandbox_plan_add(plan, op, NULL, err) < 0) /* port 0: any free one, for its own workers */
        return -1;
    for (size_t i = 0; i < q->n_bind_ports; i++) {
        op.extra = q->bind_ports[i];
        if (hold_sandbox_plan_add(plan, op, NULL, err) < 0)
            return -1;
    }
    op.value = HOLD_LL_NET_CONNECT;
    for (size_t i = 0; i < q->n_connect_ports; i++) {
        op.extra = q->connect_ports[i];
        if (hold_sandbox_plan_add(plan, op, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static uint64_t handled_ports(const struct hold_sandbox_request *q, int abi) {
    if (abi < 4 || (q->profile == HOLD_PROFILE_FOREIGN && q->is_network_free))
        return 0;
    /* The jobs that connect out may do so to any port: an origin redirects where it likes. They listen nowhere. */
    return NETWORK & (1u << q->profile) ? HOLD_LL_NET_BIND : HOLD_LL_NET_BIND | HOLD_LL_NET_CONNECT;
}

int hold_sandbox_grants_add(const struct hold_sandbox_request *request, const struct hold_sandbox_facts *facts,
                            struct hold_sandbox_plan *plan, struct hold_err *err) {
    int abi = facts->landlock_abi;
    note_layers(request, facts, plan);
    if (abi < 1)
        return 0;
    uint64_t net = handled_ports(request, abi);
    uint64_t scope = abi < 6 ? 0 : HOLD_LL_SCOPE_ABSTRACT | HOLD_LL_SCOPE_SIGNAL;
    const struct hold_sandbox_op ruleset = { .kind = HOLD_OP_RULESET, .layer = HOLD_LAYER_FILES, .value = handled_files(abi),
                                             .extra = net | scope << 32 };
    const struct hold_sandbox_op restriction = { .kind = HOLD_OP_RESTRICT, .layer = HOLD_LAYER_FILES };
    if (hold_sandbox_plan_add(plan, ruleset, NULL, err) < 0 || add_paths(request, facts, plan, err) < 0 ||
        add_ports(request, net, plan, err) < 0)
        return -1;
    return hold_sandbox_plan_add(plan, restriction, NULL, err);
}

static uint32_t access_of(const char *how, size_t n) {
    static const struct {
        const char *name;
        uint32_t access;
    } rows[] = {
        { "r", HOLD_GRANT_READ },
        { "x", HOLD_GRANT_READ | HOLD_GRANT_EXEC },
        { "rw", HOLD_GRANT_READ | HOLD_GRANT_WRITE | HOLD_GRANT_MAKE },
        { "dev", HOLD_GRANT_READ | HOLD_GRANT_WRITE | HOLD_GRANT_DEVICE },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++)
        if (strlen(rows[i].name) == n && strncmp(rows[i].name, how, n) == 0)
            return rows[i].access;
    return 0;
}

int hold_sandbox_grant_parse(const char *text, struct hold_sandbox_grant *ret_grant, struct hold_err *err) {
    const char *colon = strchr(text, ':');
    uint32_t access = colon ? access_of(text, (size_t) (colon - text)) : 0;
    if (!access || colon[1] != '/')
        return hold_fail(err, HOLD_E_CONFIG, 0, "grant '%s' is not r:/path, rw:/path, x:/path or dev:/path", text);
    *ret_grant = (struct hold_sandbox_grant) { .path = colon + 1, .access = access };
    return 0;
}
