/* prop_sandbox.c - whatever machine and request, HOLD_SEEDS times (200): a plan is in order, asks the kernel for nothing it does
 * not know, grants our own servers no more than their profile says, and either holds every layer or says which it does not. */
#include "tests/unit/test.h"

#include "supervisor/policy/sandbox_plan.h"

#include "base/list.h"

#include <errno.h>

static struct hold_sandbox_plan plan;
static uint64_t state;

static uint32_t below(uint32_t n) {
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t) ((z ^ z >> 31) % n);
}

static bool coin(void) {
    return below(2);
}

static struct hold_sandbox_facts some_machine(void) {
    static const int errors[] = { ENOSYS, EOPNOTSUPP, EPERM, EINVAL };
    bool is_root = coin(), is_capable = is_root && coin();
    struct hold_sandbox_facts f = {
        .uid = is_root ? 0 : 1 + below(70000), .supervisor_pid = (int32_t) (1 + below(40000)), .landlock_abi = (int) below(9), .has_seccomp = below(8),
        .has_close_range = coin(), .has_mdwe = coin(), .has_setpcap = is_capable, .has_setuid = is_capable, .has_setgid = is_capable,
        .has_any_capability = is_capable, .is_bounding_empty = coin(), .has_gpu = coin(),
    };
    f.supervisor_pgid = coin() ? f.supervisor_pid : (int32_t) below(40000);
    f.landlock_errno = f.landlock_abi ? 0 : errors[below(HOLD_COUNT_OF(errors))];
    f.seccomp_errno = f.has_seccomp ? 0 : errors[below(HOLD_COUNT_OF(errors))];
    return f;
}

static struct hold_sandbox_request some_request(struct hold_sandbox_grant *grants, uint16_t *ports, int *keep) {
    static const char *const paths[] = { "/a", "/srv/models", "/data/an odd one", "/" };
    size_t n_grants = below(6), n_keep = below(10);
    for (size_t i = 0; i < n_grants; i++)
        grants[i] = (struct hold_sandbox_grant) { paths[below(HOLD_COUNT_OF(paths))], below(64) | (coin() ? HOLD_GRANT_OPTIONAL : 0) };
    for (size_t i = 0; i < n_keep; i++)
        keep[i] = (i ? keep[i - 1] : 2) + 1 + (int) below(5);
    for (size_t i = 0; i < 4; i++)
        ports[i] = (uint16_t) below(65536);
    return (struct hold_sandbox_request) {
        .profile = (enum hold_profile) (1 + below(HOLD_PROFILE_COUNT - 1)), .level = (enum hold_sandbox_level) below(3), .prefix = coin() ? "/opt/holdfast" : NULL,
        .program = "/opt/holdfast/lib/ld.so", .model_dir = coin() ? "/models/m" : NULL, .scratch_dir = coin() ? "/scratch" : NULL, .grants = grants,
        .n_grants = n_grants, .bind_ports = ports, .n_bind_ports = below(3), .connect_ports = ports + 2, .n_connect_ports = below(3),
        .is_network_free = coin(), .keep_fds = keep, .n_keep_fds = n_keep, .run_uid = coin() ? 0 : 1 + below(70000),
    };
}

static bool is_grant(const struct hold_sandbox_op *op) {
    return op->kind == HOLD_OP_ALLOW_PATH || op->kind == HOLD_OP_ALLOW_HELD;
}

/* The kinds are listed in their order: it never goes back, but for grants, which may come in any. */
static void is_in_order(void) {
    for (size_t i = 1; i < plan.n_ops; i++) {
        bool are_rules = plan.ops[i].kind >= HOLD_OP_ALLOW_PATH && plan.ops[i].kind <= HOLD_OP_ALLOW_PORT && plan.ops[i - 1].kind >= HOLD_OP_ALLOW_PATH &&
                         plan.ops[i - 1].kind <= HOLD_OP_ALLOW_PORT;
        if (!are_rules && plan.ops[i].kind < plan.ops[i - 1].kind)
            fail_msg("'%s' after '%s'", hold_sandbox_op_name(plan.ops[i].kind), hold_sandbox_op_name(plan.ops[i - 1].kind));
    }
}

static void asks_what_the_kernel_knows(const struct hold_sandbox_facts *f) {
    static const uint64_t known[] = { 0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff };
    uint64_t rights = known[HOLD_MIN(f->landlock_abi, 5)];
    uint64_t handled = 0;
    for (size_t i = 0; i < plan.n_ops; i++) {
        const struct hold_sandbox_op *op = &plan.ops[i];
        if (op->kind == HOLD_OP_RULESET) {
            handled = op->value;
            assert_int_equal(handled & ~rights, 0);
            assert_true((op->extra & UINT32_MAX) == 0 || f->landlock_abi >= 4);
            assert_true(op->extra >> 32 == 0 || f->landlock_abi >= 6);
        }
        assert_true(!is_grant(op) || (op->value & ~handled) == 0);
        assert_true(op->layer < HOLD_LAYER_COUNT && op->path_at < plan.n_text);
        bool needs_capability = op->layer == HOLD_LAYER_BOUNDING || op->layer == HOLD_LAYER_IDENTITY;
        assert_true(!needs_capability || f->has_setpcap);
        assert_true(op->kind != HOLD_OP_MDWE || f->has_mdwe);
        assert_true(op->kind < HOLD_OP_FILTER_ARGS || f->has_seccomp);
        assert_true(op->kind < HOLD_OP_RULESET || op->kind > HOLD_OP_RESTRICT || f->landlock_abi > 0);
    }
}

/* Writing for our own: the model of the jobs that bring it, the scratch folder of the GPU engine, what was granted, null, devices. */
static void grants_no_more_than_the_profile_says(const struct hold_sandbox_request *q) {
    enum { WRITING = HOLD_LL_WRITE_FILE | HOLD_LL_TRUNCATE | HOLD_LL_MAKE_REG | HOLD_LL_MAKE_DIR | HOLD_LL_REMOVE_FILE | HOLD_LL_REFER };
    if (q->profile == HOLD_PROFILE_FOREIGN)
        return;
    for (size_t i = 0; i < plan.n_ops; i++) {
        const char *path = hold_sandbox_plan_text(&plan, plan.ops[i].path_at);
        if (!is_grant(&plan.ops[i]))
            continue;
        bool is_asked = false;
        for (size_t k = 0; k < q->n_grants; k++)
            is_asked |= strcmp(path, q->grants[k].path) == 0;
        if (is_asked)
            continue;
        bool is_writer = q->profile == HOLD_PROFILE_JOB_FETCH || q->profile == HOLD_PROFILE_JOB_VERIFY;
        bool is_gpu = q->profile == HOLD_PROFILE_ENGINE_CUDA || q->profile == HOLD_PROFILE_JOB_PREFLIGHT;
        bool may_write = (is_writer && strcmp(path, "/models/m") == 0) || (q->profile == HOLD_PROFILE_ENGINE_CUDA && strcmp(path, "/scratch") == 0) ||
                         (is_gpu && (strncmp(path, "/dev/nvidia", 11) == 0 || strncmp(path, "/proc", 5) == 0)) || strcmp(path, "/dev/null") == 0;
        if (!may_write && (plan.ops[i].value & WRITING))
            fail_msg("%s may write %s", hold_profile_name(q->profile), path);
        if (q->profile == HOLD_PROFILE_FRONT)
            assert_string_not_equal(path, "/models/m");
    }
}

static void says_what_it_lacks(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *f) {
    for (size_t i = 0; i < HOLD_LAYER_COUNT; i++) {
        const struct hold_layer_note *n = &plan.layers[i];
        if (n->state == HOLD_LAYER_MISSING || n->state == HOLD_LAYER_PARTIAL)
            assert_true(n->reason[0] != '\0');
        assert_true(q->level != HOLD_SANDBOX_STRICT || n->state != HOLD_LAYER_MISSING);
    }
    assert_true((plan.layers[HOLD_LAYER_FILES].state == HOLD_LAYER_MISSING) == (f->landlock_abi == 0));
    assert_true((plan.layers[HOLD_LAYER_CALLS].state == HOLD_LAYER_MISSING) == !f->has_seccomp);
    assert_true((plan.layers[HOLD_LAYER_IDENTITY].state == HOLD_LAYER_MISSING) == (plan.uid == 0));
}

static void any_machine_gets_an_honest_plan(void **unused) {
    (void) unused;
    const char *text = getenv("HOLD_SEEDS");
    uint64_t n_seeds = text ? strtoull(text, NULL, 10) : 0;
    int n_made = 0;
    for (uint64_t seed = 0; seed < (n_seeds ? n_seeds : 200); seed++) {
        struct hold_sandbox_grant grants[8];
        uint16_t ports[4];
        int keep[16];
        state = seed * 7919;
        struct hold_err err = { 0 };
        const struct hold_sandbox_facts facts = some_machine();
        const struct hold_sandbox_request request = some_request(grants, ports, keep);
        if (hold_sandbox_plan_for(&request, &facts, &plan, &err) < 0) {
            assert_true(err.code == HOLD_E_DENIED || err.code == HOLD_E_CONFIG);
            assert_true(err.code != HOLD_E_DENIED || request.level == HOLD_SANDBOX_STRICT);
            continue;
        }
        if (request.level == HOLD_SANDBOX_OFF) {
            assert_int_equal(plan.n_ops, 0);
            continue;
        }
        n_made++;
        is_in_order();
        asks_what_the_kernel_knows(&facts);
        grants_no_more_than_the_profile_says(&request);
        says_what_it_lacks(&request, &facts);
    }
    assert_true(n_made > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(any_machine_gets_an_honest_plan) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
