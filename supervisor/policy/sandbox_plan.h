/* sandbox_plan.h - what one child is locked into: profile, configuration and machine facts in, an ordered list of operations out.
 * Floor: supervisor/policy, pure. host/sandbox.c performs the list between fork and exec and decides nothing.
 *
 * The order of privilege loss is written once, in sandbox_plan.c, as data. Everything the child needs lies in the plan itself
 * (strings included), so a plan may be copied, and the child allocates nothing. */
#ifndef HOLD_POLICY_SANDBOX_PLAN_H
#define HOLD_POLICY_SANDBOX_PLAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who is started. The sentence is what `holdfast doctor` and the status page say. */
#define HOLD_PROFILE_LIST(X)                                                                                       \
    X(FRONT, "front", "serves an inherited listening socket; no model files, no outgoing network, no exec")        \
    X(ENGINE_CPU, "engine-cpu", "reads the model; no network at all, no exec, no new process")                     \
    X(ENGINE_CUDA, "engine-cuda", "reads the model, uses the GPU's device nodes; no network, no exec")             \
    X(JOB_PREFLIGHT, "job-preflight", "reads the machine and the model, may connect out; writes nothing, runs nothing")          \
    X(JOB_FETCH, "job-fetch", "may connect out; writes the model folder only")                                     \
    X(JOB_VERIFY, "job-verify", "reads and marks the model folder; no network")                                    \
    X(FOREIGN, "foreign", "any server: the system read and run, configured grants, TCP as configured")

enum hold_profile {
    HOLD_PROFILE_NONE, /* never a valid profile */
#define X(id, name, meaning) HOLD_PROFILE_##id,
    HOLD_PROFILE_LIST(X)
#undef X
    HOLD_PROFILE_COUNT
};

const char *hold_profile_name(enum hold_profile p);
const char *hold_profile_meaning(enum hold_profile p);
/* HOLD_PROFILE_NONE when there is no such name. */
enum hold_profile hold_profile_find(const char *name);

/* --sandbox off | best-effort | strict */
enum hold_sandbox_level { HOLD_SANDBOX_OFF, HOLD_SANDBOX_BEST_EFFORT, HOLD_SANDBOX_STRICT };
const char *hold_sandbox_level_name(enum hold_sandbox_level level);

/* The layers a report speaks about, in the order in which they are applied. */
#define HOLD_LAYER_LIST(X)                                                                           \
    X(DESCRIPTORS, "descriptors", "every descriptor that is not named is closed")                    \
    X(ENVIRONMENT, "environment", "only listed variables are passed on")                             \
    X(BOUNDING, "bounding-set", "capability bounding set empty, securebits locked")                  \
    X(IDENTITY, "identity", "runs as a user that is not root")                                       \
    X(CAPABILITIES, "capabilities", "effective, permitted, inheritable and ambient sets are empty")  \
    X(DEATH_SIGNAL, "death-signal", "killed by the kernel when the supervisor dies")                 \
    X(LIMITS, "limits", "resource limits: no core, bounded descriptors, no real-time")               \
    X(NO_NEW_PRIVS, "no-new-privs", "set-uid programs and file capabilities give nothing")           \
    X(WX, "write-xor-execute", "memory is never writable and executable")                            \
    X(FILES, "landlock-files", "only granted files and folders can be opened")                       \
    X(PORTS, "landlock-ports", "only granted TCP ports can be bound or connected")                   \
    X(SCOPE, "landlock-scope", "no signal and no abstract socket to anyone outside")                 \
    X(CALLS, "seccomp", "only listed system calls; unknown ones do not exist")                       \
    X(EXEC_ONCE, "exec-once", "exec works once: the supervisor's own")

enum hold_layer {
#define X(id, name, meaning) HOLD_LAYER_##id,
    HOLD_LAYER_LIST(X)
#undef X
    HOLD_LAYER_COUNT
};

enum hold_layer_state {
    HOLD_LAYER_OFF,     /* by configuration, or this profile does without it */
    HOLD_LAYER_ON,
    HOLD_LAYER_PARTIAL, /* applied, less than it could be: the reason says what is absent */
    HOLD_LAYER_MISSING, /* this machine cannot give it: the reason says why */
};

struct hold_layer_note {
    enum hold_layer_state state;
    char reason[160]; /* empty when ON */
};

const char *hold_layer_name(enum hold_layer layer);
const char *hold_layer_meaning(enum hold_layer layer);
const char *hold_layer_state_name(enum hold_layer_state state);

/* What this kernel and container allow; found once by hold_sandbox_facts_find (host/sandbox.h). An errno of 0 with the
 * value false or 0 means: not asked. */
struct hold_sandbox_facts {
    uint32_t uid, gid;
    int32_t supervisor_pid, supervisor_pgid; /* as the child sees them */
    int landlock_abi;                        /* 0: none, landlock_errno says why */
    int landlock_errno;
    bool has_seccomp;
    int seccomp_errno;
    bool has_close_range;
    bool has_mdwe;                              /* PR_SET_MDWE (Linux 6.3) */
    bool has_setpcap, has_setuid, has_setgid;   /* effective capabilities of the supervisor */
    bool has_any_capability;                    /* any effective, permitted or inheritable one */
    bool is_bounding_empty;
    bool has_gpu; /* the NVIDIA driver's control node is here */
};

/* What a grant allows below a path. */
enum {
    HOLD_GRANT_READ = 1 << 0,   /* open for reading, list folders */
    HOLD_GRANT_EXEC = 1 << 1,   /* execve of files */
    HOLD_GRANT_WRITE = 1 << 2,  /* open for writing, truncate */
    HOLD_GRANT_MAKE = 1 << 3,   /* create, rename and remove files and folders */
    HOLD_GRANT_DEVICE = 1 << 4, /* ioctl on a device node (READ and WRITE are granted with it) */
    HOLD_GRANT_LIST = 1 << 5,   /* list folders, open nothing in them */
    HOLD_GRANT_OPTIONAL = 1 << 8, /* a path that does not exist is skipped; without this bit it stops the start, named */
};

struct hold_sandbox_grant {
    const char *path; /* absolute */
    uint32_t access;  /* HOLD_GRANT_* */
};

/* Everything is borrowed until hold_sandbox_plan_for returns. NULL and 0 mean "none". */
struct hold_sandbox_request {
    enum hold_profile profile;
    enum hold_sandbox_level level;
    const char *prefix;    /* installed prefix, or the build folder: readable */
    const char *program;   /* absolute path given to execve: the one thing that may be executed */
    const char *model_dir; /* must exist. engine, preflight: read; fetch, verify: written; front: not granted */
    const char *scratch_dir; /* must exist. written by engine-cuda (JIT cache) and foreign */
    const struct hold_sandbox_grant *grants; /* further grants (foreign, or a CA file or token file for fetch) */
    size_t n_grants;
    const uint16_t *bind_ports; /* foreign: TCP ports it may listen on */
    size_t n_bind_ports;
    const uint16_t *connect_ports; /* foreign: TCP ports it may connect to; 53 among them: UDP too, to anywhere */
    size_t n_connect_ports;
    bool is_network_free; /* foreign: no port rules at all (reported as off) */
    const int *keep_fds;  /* descriptors 3 and up that survive, ascending; 0-2 always do, the exec-error pipe by close-on-exec */
    size_t n_keep_fds;
    uint32_t run_uid, run_gid; /* when the supervisor is root: become this; 0: stay */
    const char *const *env_names; /* further variable names to pass on; a trailing '*' matches any rest */
    size_t n_env_names;
};

#define HOLD_SANDBOX_OPS_MAX 192
#define HOLD_SANDBOX_TEXT_MAX 12288
#define HOLD_SANDBOX_KEEP_MAX 32
#define HOLD_SANDBOX_ENV_MAX 64

/* One step of the child. `value` and `extra` mean what the kind says; path is at text + path_at. */
#define HOLD_OP_LIST(X)                                                                              \
    X(CLOSE_OTHERS, "close descriptors")      /* all but 0-2 and plan->keep */                       \
    X(AMBIENT_CLEAR, "clear ambient capabilities")                                                   \
    X(BOUNDING_DROP, "empty the bounding set")                                                       \
    X(SECUREBITS, "lock securebits")          /* value: the bits */                                  \
    X(SET_GROUPS, "drop supplementary groups")                                                       \
    X(SET_GID, "switch group")                /* value: gid */                                       \
    X(SET_UID, "switch user")                 /* value: uid */                                       \
    X(CAPS_CLEAR, "empty capability sets")                                                           \
    X(DEATH_SIGNAL, "set the death signal")   /* extra: pid the parent must still have */            \
    X(LIMIT, "set a resource limit")          /* value: highest soft and hard, extra: enum hold_limit */ \
    X(UMASK, "set the umask")                 /* value: bits */                                      \
    X(NO_NEW_PRIVS, "set no-new-privs")                                                              \
    X(MDWE, "refuse writable and executable memory")                                                 \
    X(RULESET, "create the landlock ruleset") /* value: handled file rights, extra: net | scope << 32 */ \
    X(ALLOW_PATH, "grant a path")             /* value: rights, extra: 1 when it may be absent */    \
    X(ALLOW_HELD, "grant a folder of /proc")  /* as ALLOW_PATH, and the folder stays open: procfs makes new inodes */ \
    X(ALLOW_PORT, "grant a port")             /* value: net rights, extra: port */                   \
    X(RESTRICT, "enter the landlock domain")                                                         \
    X(FILTER_ARGS, "load the argument filter")                                                       \
    X(FILTER_CALLS, "load the call filter")                                                          \
    X(FILTER_LAST, "load the last filter")    /* exec once, own signals only, unknown calls, no more filters */

enum hold_sandbox_op_kind {
#define X(id, name) HOLD_OP_##id,
    HOLD_OP_LIST(X)
#undef X
    HOLD_OP_COUNT
};

const char *hold_sandbox_op_name(enum hold_sandbox_op_kind kind);

enum hold_limit { HOLD_LIMIT_CORE, HOLD_LIMIT_FILES, HOLD_LIMIT_RTPRIO, HOLD_LIMIT_NICE, HOLD_LIMIT_MSGQUEUE, HOLD_LIMIT_COUNT };

/* Landlock's own bits, so that this floor needs no kernel header; host/sandbox.c asserts that they agree. */
enum {
    HOLD_LL_EXECUTE = 1 << 0, HOLD_LL_WRITE_FILE = 1 << 1, HOLD_LL_READ_FILE = 1 << 2, HOLD_LL_READ_DIR = 1 << 3,
    HOLD_LL_REMOVE_DIR = 1 << 4, HOLD_LL_REMOVE_FILE = 1 << 5, HOLD_LL_MAKE_CHAR = 1 << 6, HOLD_LL_MAKE_DIR = 1 << 7,
    HOLD_LL_MAKE_REG = 1 << 8, HOLD_LL_MAKE_SOCK = 1 << 9, HOLD_LL_MAKE_FIFO = 1 << 10, HOLD_LL_MAKE_BLOCK = 1 << 11,
    HOLD_LL_MAKE_SYM = 1 << 12, HOLD_LL_REFER = 1 << 13, HOLD_LL_TRUNCATE = 1 << 14, HOLD_LL_IOCTL_DEV = 1 << 15,
    HOLD_LL_NET_BIND = 1 << 0, HOLD_LL_NET_CONNECT = 1 << 1,
    HOLD_LL_SCOPE_ABSTRACT = 1 << 0, HOLD_LL_SCOPE_SIGNAL = 1 << 1,
};

struct hold_sandbox_op {
    enum hold_sandbox_op_kind kind;
    enum hold_layer layer;
    uint32_t path_at; /* offset into the plan's text; 0: none */
    uint64_t value, extra;
};

struct hold_sandbox_plan {
    enum hold_profile profile;
    enum hold_sandbox_level level;
    int32_t supervisor_pid, supervisor_pgid;
    uint32_t uid; /* the user the child will be */
    size_t n_ops, n_keep, n_env, n_text;
    bool is_env_scrubbed;
    bool is_exec_once;
    bool is_wx_filtered; /* W^X by filter, since the kernel lacks MDWE */
    bool has_datagrams;  /* UDP, which no port rule holds: who resolves names, and a foreign server without port rules */
    struct hold_sandbox_op ops[HOLD_SANDBOX_OPS_MAX];
    int keep[HOLD_SANDBOX_KEEP_MAX];
    uint32_t env_at[HOLD_SANDBOX_ENV_MAX]; /* names, offsets into text */
    struct hold_layer_note layers[HOLD_LAYER_COUNT];
    char text[HOLD_SANDBOX_TEXT_MAX];
};

/* Makes the plan; *ret_plan is zero or holds an earlier one. Level OFF gives a plan without operations. Fails with
 *   CONFIG when the request is wrong (no profile, a relative path, descriptors not ascending, run_uid without root),
 *   LIMIT  when it does not fit,
 *   DENIED under STRICT when a layer cannot be had; the text lists every such layer with its reason (exit status 100).
 * Nothing is allocated; *ret_plan is about 22 KiB, so keep it in static or heap memory, and after a failure its content
 * means nothing. */
HOLD_MUST int hold_sandbox_plan_for(const struct hold_sandbox_request *request, const struct hold_sandbox_facts *facts,
                                    struct hold_sandbox_plan *ret_plan, struct hold_err *err);

/* Adds one operation at the end, its path (NULL: none) copied in. Fails with LIMIT. For the files that make plans. */
HOLD_MUST int hold_sandbox_plan_add(struct hold_sandbox_plan *plan, struct hold_sandbox_op op, const char *path,
                                    struct hold_err *err);

/* The path or name at an offset ("" for 0). */
const char *hold_sandbox_plan_text(const struct hold_sandbox_plan *plan, uint32_t at);

/* Whether a variable passes into this child; entry is "NAME" or "NAME=value". Secrets (HF_TOKEN, proxy passwords) pass to
 * job-fetch only. With level OFF, everything but holdfast's own secrets passes. */
bool hold_sandbox_plan_passes(const struct hold_sandbox_plan *plan, const char *entry);

/* Whether an entry of the environment carries a secret, by its name (TOKEN, SECRET, PASSWORD, ...) or because it is a proxy
 * address, which may hold a password. */
bool hold_sandbox_is_secret(const char *entry);

#endif
