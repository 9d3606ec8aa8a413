/* sandbox_plan.c - which operations lock a child in, and in which order. Floor: supervisor/policy, pure.
 *
 * The order, with its reasons: descriptors first, while errors can still be reported on the one that stays; the bounding set
 * and the securebits while CAP_SETPCAP is there; then the identity (NO_SETUID_FIXUP keeps the capabilities over it), then
 * all sets empty; the death signal after the identity, since setresuid clears it; limits before nothing can be read any
 * more; no-new-privs before Landlock and seccomp, which need it; Landlock after the identity, because a grant on /proc/self
 * and on a path is opened as the child's own user; filters last, and of these the one that forbids seccomp itself last.
 *
 * What a profile may touch is in sandbox_grants.c. */
#include "supervisor/policy/sandbox_plan.h"
#include "supervisor/policy/sandbox_grants.h"

#include "base/list.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const profile_names[] = {
#define X(id, name, meaning) [HOLD_PROFILE_##id] = name,
    HOLD_PROFILE_LIST(X)
#undef X
};
static const char *const profile_meanings[] = {
#define X(id, name, meaning) [HOLD_PROFILE_##id] = meaning,
    HOLD_PROFILE_LIST(X)
#undef X
};
static const char *const layer_names[] = {
#define X(id, name, meaning) [HOLD_LAYER_##id] = name,
    HOLD_LAYER_LIST(X)
#undef X
};
static const char *const layer_meanings[] = {
#define X(id, name, meaning) [HOLD_LAYER_##id] = meaning,
    HOLD_LAYER_LIST(X)
#undef X
};
static const char *const op_names[] = {
#define X(id, name) [HOLD_OP_##id] = name,
    HOLD_OP_LIST(X)
#undef X
};
static const char *const state_names[] = { "off", "on", "partial", "missing" };
static const char *const level_names[] = { "off", "best-effort", "strict" };

const char *hold_profile_name(enum hold_profile p) {
    return hold_name_at(profile_names, HOLD_COUNT_OF(profile_names), p);
}

const char *hold_profile_meaning(enum hold_profile p) {
    return hold_name_at(profile_meanings, HOLD_COUNT_OF(profile_meanings), p);
}

enum hold_profile hold_profile_find(const char *name) {
    int i = hold_index_of(profile_names, HOLD_COUNT_OF(profile_names), name);
    return i < 0 ? HOLD_PROFILE_NONE : (enum hold_profile) i;
}

const char *hold_sandbox_level_name(enum hold_sandbox_level level) {
    return hold_name_at(level_names, HOLD_COUNT_OF(level_names), level);
}

const char *hold_layer_name(enum hold_layer layer) {
    return hold_name_at(layer_names, HOLD_COUNT_OF(layer_names), layer);
}

const char *hold_layer_meaning(enum hold_layer layer) {
    return hold_name_at(layer_meanings, HOLD_COUNT_OF(layer_meanings), layer);
}

const char *hold_layer_state_name(enum hold_layer_state state) {
    return hold_name_at(state_names, HOLD_COUNT_OF(state_names), state);
}

const char *hold_sandbox_op_name(enum hold_sandbox_op_kind kind) {
    return hold_name_at(op_names, HOLD_COUNT_OF(op_names), kind);
}

const char *hold_sandbox_plan_text(const struct hold_sandbox_plan *plan, uint32_t at) {
    return at < plan->n_text ? plan->text + at : "";
}

static int add_text(struct hold_sandbox_plan *plan, const char *s, uint32_t *ret_at, struct hold_err *err) {
    size_t n = strlen(s) + 1;
    if (n > sizeof(plan->text) - plan->n_text)
        return hold_fail(err, HOLD_E_LIMIT, 0, "sandbox: names and paths pass %zu bytes", sizeof(plan->text));
    *ret_at = (uint32_t) plan->n_text;
    memcpy(plan->text + plan->n_text, s, n);
    plan->n_text += n;
    return 0;
}

int hold_sandbox_plan_add(struct hold_sandbox_plan *plan, struct hold_sandbox_op op, const char *path, struct hold_err *err) {
    if (plan->n_ops == HOLD_COUNT_OF(plan->ops))
        return hold_fail(err, HOLD_E_LIMIT, 0, "sandbox: more than %zu operations", HOLD_COUNT_OF(plan->ops));
    if (path && add_text(plan, path, &op.path_at, err) < 0)
        return -1;
    plan->ops[plan->n_ops++] = op;
    return 0;
}

HOLD_PRINTF(4, 5)
static void note(struct hold_sandbox_plan *plan, enum hold_layer layer, enum hold_layer_state state, const char *format, ...) {
    plan->layers[layer].state = state;
    va_list ap;
    va_start(ap, format);
    vsnprintf(plan->layers[layer].reason, sizeof(plan->layers[layer].reason), format, ap);
    va_end(ap);
}

static void note_on(struct hold_sandbox_plan *plan, enum hold_layer layer) {
    plan->layers[layer] = (struct hold_layer_note) { .state = HOLD_LAYER_ON };
}

static int add_descriptors(const struct hold_sandbox_request *q, struct hold_sandbox_plan *plan, struct hold_err *err) {
    if (q->n_keep_fds > HOLD_COUNT_OF(plan->keep))
        return hold_fail(err, HOLD_E_LIMIT, 0, "sandbox: more than %zu descriptors to keep", HOLD_COUNT_OF(plan->keep));
    for (size_t i = 0; i < q->n_keep_fds; i++) {
        if (q->keep_fds[i] < 3 || (i > 0 && q->keep_fds[i] <= q->keep_fds[i - 1]))
            return hold_fail(err, HOLD_E_CONFIG, 0, "sandbox: descriptors to keep are not ascending from 3");
        plan->keep[plan->n_keep++] = q->keep_fds[i];
    }
    note_on(plan, HOLD_LAYER_DESCRIPTORS);
    return hold_sandbox_plan_add(plan, (struct hold_sandbox_op) { .kind = HOLD_OP_CLOSE_OTHERS, .layer = HOLD_LAYER_DESCRIPTORS }, NULL, err);
}

/* NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE set and locked, KEEP_CAPS locked at off. */
enum { SECUREBITS = 0xef };

static int add_privileges(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *facts,
                          struct hold_sandbox_plan *plan, struct hold_err *err) {
    const struct hold_sandbox_op ops[] = {
        { .kind = HOLD_OP_AMBIENT_CLEAR, .layer = HOLD_LAYER_CAPABILITIES },
        { .kind = HOLD_OP_BOUNDING_DROP, .layer = HOLD_LAYER_BOUNDING },
        { .kind = HOLD_OP_SECUREBITS, .layer = HOLD_LAYER_BOUNDING, .value = SECUREBITS },
        { .kind = HOLD_OP_SET_GROUPS, .layer = HOLD_LAYER_IDENTITY },
        { .kind = HOLD_OP_SET_GID, .layer = HOLD_LAYER_IDENTITY, .value = q->run_gid },
        { .kind = HOLD_OP_SET_UID, .layer = HOLD_LAYER_IDENTITY, .value = q->run_uid },
        { .kind = HOLD_OP_CAPS_CLEAR, .layer = HOLD_LAYER_CAPABILITIES },
        { .kind = HOLD_OP_DEATH_SIGNAL, .layer = HOLD_LAYER_DEATH_SIGNAL, .extra = (uint32_t) facts->supervisor_pid },
    };
    bool is_switched = q->run_uid != 0 && q->run_uid != facts->uid;
    if (is_switched && !(facts->has_setuid && facts->has_setgid))
        return hold_fail(err, HOLD_E_CONFIG, 0, "sandbox: becoming user %u needs CAP_SETUID and CAP_SETGID, which user %u has not",
                         q->run_uid, facts->uid);
    for (size_t i = 0; i < HOLD_COUNT_OF(ops); i++) {
        if (ops[i].layer == HOLD_LAYER_BOUNDING && !facts->has_setpcap)
            continue;
        if (ops[i].layer == HOLD_LAYER_IDENTITY && !is_switched)
            continue;
        if (hold_sandbox_plan_add(plan, ops[i], NULL, err) < 0)
            return -1;
    }
    plan->uid = is_switched ? q->run_uid : facts->uid;
    note_on(plan, HOLD_LAYER_CAPABILITIES);
    note_on(plan, HOLD_LAYER_DEATH_SIGNAL);
    if (facts->has_setpcap)
        note_on(plan, HOLD_LAYER_BOUNDING);
    else if (facts->is_bounding_empty)
        note(plan, HOLD_LAYER_BOUNDING, HOLD_LAYER_ON, "the container's is empty already");
    else
        note(plan, HOLD_LAYER_BOUNDING, HOLD_LAYER_PARTIAL, "no CAP_SETPCAP; no-new-privs makes the set useless");
    if (plan->uid != 0)
        note_on(plan, HOLD_LAYER_IDENTITY);
    else
        note(plan, HOLD_LAYER_IDENTITY, HOLD_LAYER_MISSING, "runs as user 0: set runAsUser, or a user to become");
    return 0;
}

static int add_limits(const struct hold_sandbox_request *q, struct hold_sandbox_plan *plan, struct hold_err *err) {
    static const struct { enum hold_limit limit; uint64_t value; bool is_for_foreign; } limits[] = {
        { HOLD_LIMIT_CORE, 0, true }, /* a core file would hold prompts and weights */
        { HOLD_LIMIT_FILES, 65536, false },
        { HOLD_LIMIT_RTPRIO, 0, true },
        { HOLD_LIMIT_NICE, 0, true },
        { HOLD_LIMIT_MSGQUEUE, 0, true },
        /* Never address space: CUDA reserves terabytes. Never processes: the kernel counts a user over the whole node. */
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(limits); i++) {
        if (q->profile == HOLD_PROFILE_FOREIGN && !limits[i].is_for_foreign)
            continue;
        if (hold_sandbox_plan_add(plan, (struct hold_sandbox_op) { .kind = HOLD_OP_LIMIT, .layer = HOLD_LAYER_LIMITS,
                                                    .value = limits[i].value, .extra = limits[i].limit }, NULL, err) < 0)
            return -1;
    }
    note_on(plan, HOLD_LAYER_LIMITS);
    if (q->profile == HOLD_PROFILE_FOREIGN)
        return 0;
    bool is_writer = q->profile == HOLD_PROFILE_JOB_FETCH || q->profile == HOLD_PROFILE_JOB_VERIFY;
    return hold_sandbox_plan_add(plan, (struct hold_sandbox_op) { .kind = HOLD_OP_UMASK, .layer = HOLD_LAYER_LIMITS, .value = is_writer ? 022 : 077 },
                  NULL, err);
}

static int add_no_new_privs(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *facts,
                            struct hold_sandbox_plan *plan, struct hold_err *err) {
    note_on(plan, HOLD_LAYER_NO_NEW_PRIVS);
    if (hold_sandbox_plan_add(plan, (struct hold_sandbox_op) { .kind = HOLD_OP_NO_NEW_PRIVS, .layer = HOLD_LAYER_NO_NEW_PRIVS }, NULL, err) < 0)
        return -1;
    if (q->profile == HOLD_PROFILE_FOREIGN) {
        note(plan, HOLD_LAYER_WX, HOLD_LAYER_OFF, "compilers and PyTorch need writable and executable memory");
        return 0;
    }
    if (facts->has_mdwe) {
        note_on(plan, HOLD_LAYER_WX);
        return hold_sandbox_plan_add(plan, (struct hold_sandbox_op) { .kind = HOLD_OP_MDWE, .layer = HOLD_LAYER_WX }, NULL, err);
    }
    plan->is_wx_filtered = facts->has_seccomp;
    if (facts->has_seccomp)
        note(plan, HOLD_LAYER_WX, HOLD_LAYER_ON, "by the argument filter: the kernel is older than 6.3");
    else
        note(plan, HOLD_LAYER_WX, HOLD_LAYER_MISSING, "the kernel is older than 6.3 and has no seccomp");
    return 0;
}

static bool needs_datagrams(const struct hold_sandbox_request *q) {
    if (q->profile != HOLD_PROFILE_FOREIGN)
        return q->profile == HOLD_PROFILE_JOB_FETCH || q->profile == HOLD_PROFILE_JOB_PREFLIGHT;
    bool resolves = q->is_network_free;
    for (size_t i = 0; i < q->n_connect_ports; i++)
        resolves |= q->connect_ports[i] == 53;
    return resolves;
}

static int add_filters(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *facts,
                       struct hold_sandbox_plan *plan, struct hold_err *err) {
    plan->has_datagrams = needs_datagrams(q);
    plan->is_exec_once = facts->has_seccomp && q->profile != HOLD_PROFILE_FOREIGN;
    if (!facts->has_seccomp) {
        const char *why = facts->seccomp_errno == EPERM ? "refused by the container's profile" : "this kernel has no seccomp filters";
        note(plan, HOLD_LAYER_CALLS, HOLD_LAYER_MISSING, "%s", why);
        note(plan, HOLD_LAYER_EXEC_ONCE, q->profile == HOLD_PROFILE_FOREIGN ? HOLD_LAYER_OFF : HOLD_LAYER_MISSING, "%s", why);
        return 0;
    }
    note_on(plan, HOLD_LAYER_CALLS);
    note_on(plan, HOLD_LAYER_EXEC_ONCE);
    if (!plan->is_exec_once)
        note(plan, HOLD_LAYER_EXEC_ONCE, HOLD_LAYER_OFF, "this server may run programs from the folders granted for it");
    static const enum hold_sandbox_op_kind kinds[] = { HOLD_OP_FILTER_ARGS, HOLD_OP_FILTER_CALLS, HOLD_OP_FILTER_LAST };
    for (size_t i = 0; i < HOLD_COUNT_OF(kinds); i++)
        if (hold_sandbox_plan_add(plan, (struct hold_sandbox_op) { .kind = kinds[i], .layer = HOLD_LAYER_CALLS }, NULL, err) < 0)
            return -1;
    return 0;
}

static int add_environment(const struct hold_sandbox_request *q, struct hold_sandbox_plan *plan, struct hold_err *err) {
    plan->is_env_scrubbed = q->profile != HOLD_PROFILE_FOREIGN || q->n_env_names > 0;
    if (q->n_env_names > HOLD_COUNT_OF(plan->env_at))
        return hold_fail(err, HOLD_E_LIMIT, 0, "sandbox: more than %zu variable names", HOLD_COUNT_OF(plan->env_at));
    for (size_t i = 0; i < q->n_env_names; i++) {
        if (add_text(plan, q->env_names[i], &plan->env_at[i], err) < 0)
            return -1;
        plan->n_env++;
    }
    if (plan->is_env_scrubbed)
        note_on(plan, HOLD_LAYER_ENVIRONMENT);
    else
        note(plan, HOLD_LAYER_ENVIRONMENT, HOLD_LAYER_PARTIAL, "all but holdfast's own secrets pass: no list is configured");
    return 0;
}

/* What strict does not accept: whatever is missing, and Landlock that cannot stop truncation. */
static int check_strict(const struct hold_sandbox_plan *plan, const struct hold_sandbox_facts *facts, struct hold_err *err) {
    char list[360] = "";
    size_t n = 0;
    for (size_t i = 0; i < HOLD_LAYER_COUNT; i++) {
        bool is_weak = i == HOLD_LAYER_FILES && facts->landlock_abi < 3;
        if (plan->layers[i].state != HOLD_LAYER_MISSING && !is_weak)
            continue;
        int added = snprintf(list + n, sizeof(list) - n, "%s%s (%s)", n ? "; " : "", hold_layer_name((enum hold_layer) i),
                             plan->layers[i].reason);
        n = HOLD_MIN(n + (size_t) HOLD_MAX(added, 0), sizeof(list) - 1);
    }
    return n == 0 ? 0 : hold_fail(err, HOLD_E_DENIED, 0, "sandbox %s: strict, and missing are: %s", hold_profile_name(plan->profile), list);
}

static int check_request(const struct hold_sandbox_request *q, struct hold_err *err) {
    if (q->profile <= HOLD_PROFILE_NONE || q->profile >= HOLD_PROFILE_COUNT)
        return hold_fail(err, HOLD_E_CONFIG, 0, "sandbox: no such profile");
    const char *const paths[] = { q->prefix, q->program, q->model_dir, q->scratch_dir };
    for (size_t i = 0; i < HOLD_COUNT_OF(paths); i++)
        if (paths[i] && paths[i][0] != '/')
            return hold_fail(err, HOLD_E_CONFIG, 0, "sandbox: '%s' is not an absolute path", paths[i]);
    for (size_t i = 0; i < q->n_grants; i++)
        if (!q->grants[i].path || q->grants[i].path[0] != '/')
            return hold_fail(err, HOLD_E_CONFIG, 0, "sandbox: grant '%s' is not an absolute path", q->grants[i].path ? q->grants[i].path : "");
    return 0;
}

int hold_sandbox_plan_for(const struct hold_sandbox_request *request, const struct hold_sandbox_facts *facts,
                          struct hold_sandbox_plan *ret_plan, struct hold_err *err) {
    const struct hold_sandbox_request *q = request;
    struct hold_sandbox_plan *plan = ret_plan;
    if (q->level != HOLD_SANDBOX_OFF || plan->n_text > 0) /* 22 KiB of zeros are not written over zeros */
        *plan = (struct hold_sandbox_plan) { .n_text = q->level != HOLD_SANDBOX_OFF };
    plan->profile = q->profile;
    plan->level = q->level;
    plan->supervisor_pid = facts->supervisor_pid;
    plan->supervisor_pgid = facts->supervisor_pgid;
    plan->uid = facts->uid;
    if (check_request(q, err) < 0)
        return -1;
    if (q->level == HOLD_SANDBOX_OFF)
        return 0;
    if (add_environment(q, plan, err) < 0 || add_descriptors(q, plan, err) < 0 || add_privileges(q, facts, plan, err) < 0 ||
        add_limits(q, plan, err) < 0 || add_no_new_privs(q, facts, plan, err) < 0 ||
        hold_sandbox_grants_add(q, facts, plan, err) < 0 || add_filters(q, facts, plan, err) < 0)
        return -1;
    return q->level == HOLD_SANDBOX_STRICT ? check_strict(plan, facts, err) : 0;
}
