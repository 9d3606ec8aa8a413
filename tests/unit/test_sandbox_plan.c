/* test_sandbox_plan.c - a plan loses privileges in the one right order, grants each profile what it needs and no more,
 * asks of an older kernel only what it knows, and says every layer that cannot be had. */
#include "tests/unit/test.h"

#include "supervisor/policy/sandbox_grants.h"
#include "supervisor/policy/sandbox_plan.h"

#include "base/list.h"

#include <errno.h>
#include <stdbool.h>

static struct hold_sandbox_plan plan; /* too large for a stack frame of the house */

static const struct hold_sandbox_facts best = {
    .uid = 0, .supervisor_pid = 1, .supervisor_pgid = 1, .landlock_abi = 6, .has_seccomp = true, .has_close_range = true,
    .has_mdwe = true, .has_setpcap = true, .has_setuid = true, .has_setgid = true, .has_any_capability = true,
};
/* A pod under the restricted standard: a user without any capability. */
static const struct hold_sandbox_facts restricted = {
    .uid = 65532, .gid = 65532, .supervisor_pid = 1, .supervisor_pgid = 1, .landlock_abi = 6, .has_seccomp = true,
    .has_close_range = true, .has_mdwe = true, .is_bounding_empty = true,
};

static struct hold_sandbox_request request_of(enum hold_profile p) {
    return (struct hold_sandbox_request) { .profile = p, .level = HOLD_SANDBOX_BEST_EFFORT, .prefix = "/opt/holdfast",
                                           .program = "/opt/holdfast/libexec/holdfast-runtime", .model_dir = "/models/m",
                                           .scratch_dir = "/scratch" };
}

static void make(const struct hold_sandbox_request *q, const struct hold_sandbox_facts *facts) {
    struct hold_err err = {0};
    if (hold_sandbox_plan_for(q, facts, &plan, &err) < 0)
        fail_msg("%s", err.text);
}

static long find(enum hold_sandbox_op_kind kind) {
    for (size_t i = 0; i < plan.n_ops; i++)
        if (plan.ops[i].kind == kind)
            return (long) i;
    return -1;
}

static const struct hold_sandbox_op *find_path(const char *path) {
    for (size_t i = 0; i < plan.n_ops; i++)
        if (strcmp(hold_sandbox_plan_text(&plan, plan.ops[i].path_at), path) == 0)
            return &plan.ops[i];
    return NULL;
}

static void privileges_are_lost_in_order(void **unused) {
    (void) unused;
    static const enum hold_sandbox_op_kind order[] = {
        HOLD_OP_CLOSE_OTHERS, HOLD_OP_AMBIENT_CLEAR, HOLD_OP_BOUNDING_DROP, HOLD_OP_SECUREBITS, HOLD_OP_SET_GROUPS, HOLD_OP_SET_GID,
        HOLD_OP_SET_UID, HOLD_OP_CAPS_CLEAR, HOLD_OP_DEATH_SIGNAL, HOLD_OP_LIMIT, HOLD_OP_UMASK, HOLD_OP_NO_NEW_PRIVS, HOLD_OP_MDWE,
        HOLD_OP_RULESET, HOLD_OP_ALLOW_PATH, HOLD_OP_ALLOW_HELD, HOLD_OP_RESTRICT, HOLD_OP_FILTER_ARGS, HOLD_OP_FILTER_CALLS,
        HOLD_OP_FILTER_LAST,
    };
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_ENGINE_CUDA);
    q.run_uid = q.run_gid = 65532;
    make(&q, &best);
    for (size_t i = 0; i + 1 < HOLD_COUNT_OF(order); i++) {
        if (find(order[i]) < 0 || find(order[i]) >= find(order[i + 1]))
            fail_msg("'%s' does not come before '%s'", hold_sandbox_op_name(order[i]), hold_sandbox_op_name(order[i + 1]));
    }
    assert_int_equal(find(HOLD_OP_FILTER_LAST), plan.n_ops - 1);
    assert_int_equal(plan.uid, 65532);
    for (size_t i = (size_t) find(HOLD_OP_RULESET) + 1; i < (size_t) find(HOLD_OP_RESTRICT); i++)
        assert_true(plan.ops[i].kind == HOLD_OP_ALLOW_PATH || plan.ops[i].kind == HOLD_OP_ALLOW_HELD);
}

static void every_profile_gets_a_plan_with_all_layers(void **unused) {
    (void) unused;
    for (int p = HOLD_PROFILE_NONE + 1; p < HOLD_PROFILE_COUNT; p++) {
        struct hold_sandbox_request q = request_of((enum hold_profile) p);
        q.level = HOLD_SANDBOX_STRICT;
        make(&q, &restricted);
        assert_true(plan.n_ops > 20 && plan.n_ops < HOLD_SANDBOX_OPS_MAX - 20);
        for (int l = 0; l < HOLD_LAYER_COUNT; l++) {
            enum hold_layer_state state = plan.layers[l].state;
            bool is_loose = p == HOLD_PROFILE_FOREIGN && (l == HOLD_LAYER_ENVIRONMENT || l == HOLD_LAYER_WX || l == HOLD_LAYER_EXEC_ONCE);
            if ((state != HOLD_LAYER_ON) != is_loose)
                fail_msg("%s: layer %s is %s", hold_profile_name((enum hold_profile) p), hold_layer_name((enum hold_layer) l),
                         hold_layer_state_name(state));
        }
        assert_int_equal(hold_profile_find(hold_profile_name((enum hold_profile) p)), p);
    }
    assert_int_equal(hold_profile_find("?"), HOLD_PROFILE_NONE);
    assert_int_equal(hold_profile_find("root"), HOLD_PROFILE_NONE);
}

static void only_the_jobs_that_must_write_the_model_may(void **unused) {
    (void) unused;
    enum { WRITING = HOLD_LL_WRITE_FILE | HOLD_LL_TRUNCATE | HOLD_LL_MAKE_REG | HOLD_LL_REMOVE_FILE | HOLD_LL_REFER };
    for (int p = HOLD_PROFILE_NONE + 1; p < HOLD_PROFILE_COUNT; p++) {
        struct hold_sandbox_request q = request_of((enum hold_profile) p);
        make(&q, &best);
        const struct hold_sandbox_op *model = find_path("/models/m");
        bool is_writer = p == HOLD_PROFILE_JOB_FETCH || p == HOLD_PROFILE_JOB_VERIFY;
        if (p == HOLD_PROFILE_FRONT) {
            assert_null(model);
            continue;
        }
        assert_non_null(model);
        assert_int_equal(model->value & WRITING, is_writer ? WRITING : 0);
        assert_true(model->value & HOLD_LL_READ_FILE);
        assert_false(model->value & HOLD_LL_EXECUTE);
        assert_int_equal(model->extra, 0); /* its absence stops the start */
    }
}

static void our_own_may_execute_one_program_and_its_loader_only(void **unused) {
    (void) unused;
    for (int p = HOLD_PROFILE_NONE + 1; p < HOLD_PROFILE_FOREIGN; p++) {
        struct hold_sandbox_request q = request_of((enum hold_profile) p);
        make(&q, &best);
        assert_true(plan.is_exec_once);
        for (size_t i = 0; i < plan.n_ops; i++) {
            const struct hold_sandbox_op *op = &plan.ops[i];
            if ((op->kind != HOLD_OP_ALLOW_PATH && op->kind != HOLD_OP_ALLOW_HELD) || !(op->value & HOLD_LL_EXECUTE))
                continue;
            const char *path = hold_sandbox_plan_text(&plan, op->path_at);
            assert_true(strcmp(path, q.program) == 0 || strstr(path, "/ld-linux-") != NULL);
        }
    }
}

static void devices_are_granted_to_whoever_drives_a_gpu(void **unused) {
    (void) unused;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_ENGINE_CUDA);
    make(&q, &best);
    assert_true(find_path("/dev/nvidia0")->value & HOLD_LL_IOCTL_DEV);
    assert_true(find_path("/dev/nvidia15")->value & HOLD_LL_WRITE_FILE);
    assert_true(find_path("/dev/nvidia-uvm")->value & HOLD_LL_IOCTL_DEV);
    assert_int_equal(find_path("/proc/self/task")->kind, HOLD_OP_ALLOW_HELD);
    assert_true(find_path("/proc/self/task")->value & HOLD_LL_WRITE_FILE);
    q = request_of(HOLD_PROFILE_ENGINE_CPU);
    make(&q, &best);
    assert_null(find_path("/dev/nvidia0"));
    assert_null(find_path("/proc/self/task"));
    assert_null(find_path("/scratch"));
}

static void an_older_kernel_is_asked_only_what_it_knows(void **unused) {
    (void) unused;
    static const struct { int abi; uint64_t newest; } known[] = { { 1, HOLD_LL_MAKE_SYM }, { 2, HOLD_LL_REFER }, { 3, HOLD_LL_TRUNCATE },
                                                                  { 4, HOLD_LL_TRUNCATE }, { 5, HOLD_LL_IOCTL_DEV }, { 6, HOLD_LL_IOCTL_DEV } };
    for (size_t k = 0; k < HOLD_COUNT_OF(known); k++)
        for (int p = HOLD_PROFILE_NONE + 1; p < HOLD_PROFILE_COUNT; p++) {
            struct hold_sandbox_facts facts = best;
            facts.landlock_abi = known[k].abi;
            struct hold_sandbox_request q = request_of((enum hold_profile) p);
            make(&q, &facts);
            const struct hold_sandbox_op *ruleset = &plan.ops[find(HOLD_OP_RULESET)];
            assert_true(ruleset->value < known[k].newest * 2 && ruleset->value & known[k].newest);
            assert_int_equal((ruleset->extra & UINT32_MAX) != 0, known[k].abi >= 4);
            assert_int_equal(ruleset->extra >> 32 != 0, known[k].abi >= 6);
            for (size_t i = 0; i < plan.n_ops; i++)
                if (plan.ops[i].kind == HOLD_OP_ALLOW_PATH || plan.ops[i].kind == HOLD_OP_ALLOW_HELD)
                    assert_int_equal(plan.ops[i].value & ~ruleset->value, 0);
            bool is_whole = known[k].abi >= 5;
            assert_int_equal(plan.layers[HOLD_LAYER_FILES].state, is_whole ? HOLD_LAYER_ON : HOLD_LAYER_PARTIAL);
            assert_int_equal(plan.layers[HOLD_LAYER_SCOPE].state == HOLD_LAYER_ON, known[k].abi >= 6);
        }
    assert_int_equal(hold_sandbox_rights(HOLD_GRANT_READ | HOLD_GRANT_WRITE, 0), 0);
}

static void what_is_missing_is_said_and_strict_refuses_it(void **unused) {
    (void) unused;
    static const struct { int sys; const char *word; } reasons[] = { { ENOSYS, "5.13" }, { EOPNOTSUPP, "boot" }, { EPERM, "container" } };
    for (size_t i = 0; i < HOLD_COUNT_OF(reasons); i++) {
        struct hold_sandbox_facts facts = restricted;
        facts.landlock_abi = 0;
        facts.landlock_errno = reasons[i].sys;
        struct hold_sandbox_request q = request_of(HOLD_PROFILE_ENGINE_CPU);
        make(&q, &facts);
        assert_int_equal(find(HOLD_OP_RULESET), -1);
        assert_int_equal(plan.layers[HOLD_LAYER_FILES].state, HOLD_LAYER_MISSING);
        assert_non_null(strstr(plan.layers[HOLD_LAYER_FILES].reason, reasons[i].word));
        assert_int_equal(plan.layers[HOLD_LAYER_PORTS].state, HOLD_LAYER_PARTIAL); /* the call filter refuses sockets */
        q.level = HOLD_SANDBOX_STRICT;
        struct hold_err err = {0};
        assert_int_equal(hold_sandbox_plan_for(&q, &facts, &plan, &err), -1);
        assert_int_equal(err.code, HOLD_E_DENIED);
        assert_non_null(strstr(err.text, "landlock-files"));
        assert_non_null(strstr(err.text, reasons[i].word));
    }
    struct hold_sandbox_facts facts = restricted;
    facts.has_seccomp = false;
    facts.seccomp_errno = EPERM;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_FRONT);
    make(&q, &facts);
    assert_int_equal(find(HOLD_OP_FILTER_CALLS), -1);
    assert_int_equal(plan.layers[HOLD_LAYER_CALLS].state, HOLD_LAYER_MISSING);
    assert_int_equal(plan.layers[HOLD_LAYER_EXEC_ONCE].state, HOLD_LAYER_MISSING);
    assert_false(plan.is_exec_once);
    q.level = HOLD_SANDBOX_STRICT;
    assert_int_equal(hold_sandbox_plan_for(&q, &facts, &plan, NULL), -1);
    q.level = HOLD_SANDBOX_STRICT; /* user 0 that stays user 0 */
    assert_int_equal(hold_sandbox_plan_for(&q, &best, &plan, NULL), -1);
    q.run_uid = q.run_gid = 1000;
    make(&q, &best);
}

static void truncation_that_is_not_stopped_is_refused_by_strict(void **unused) {
    (void) unused;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_ENGINE_CPU);
    q.level = HOLD_SANDBOX_STRICT;
    for (int abi = 1; abi <= 6; abi++) {
        struct hold_sandbox_facts facts = restricted;
        facts.landlock_abi = abi;
        assert_int_equal(hold_sandbox_plan_for(&q, &facts, &plan, NULL), abi < 3 ? -1 : 0);
    }
}

static void without_capabilities_nothing_is_tried_that_needs_one(void **unused) {
    (void) unused;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_FRONT);
    make(&q, &restricted);
    static const enum hold_sandbox_op_kind needy[] = { HOLD_OP_BOUNDING_DROP, HOLD_OP_SECUREBITS, HOLD_OP_SET_GROUPS, HOLD_OP_SET_GID, HOLD_OP_SET_UID };
    for (size_t i = 0; i < HOLD_COUNT_OF(needy); i++)
        assert_int_equal(find(needy[i]), -1);
    assert_true(find(HOLD_OP_CAPS_CLEAR) >= 0);
    q.run_uid = 1; /* asked for, impossible: an error, not a shrug */
    struct hold_err err = {0};
    assert_int_equal(hold_sandbox_plan_for(&q, &restricted, &plan, &err), -1);
    assert_int_equal(err.code, HOLD_E_CONFIG);
}

static void wrong_requests_are_refused_by_name(void **unused) {
    (void) unused;
    struct hold_err err = {0};
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_NONE);
    assert_int_equal(hold_sandbox_plan_for(&q, &best, &plan, &err), -1);
    q = request_of(HOLD_PROFILE_FRONT);
    q.model_dir = "models";
    assert_int_equal(hold_sandbox_plan_for(&q, &best, &plan, &err), -1);
    assert_non_null(strstr(err.text, "'models'"));
    q = request_of(HOLD_PROFILE_FOREIGN);
    q.grants = (const struct hold_sandbox_grant[]) { { "etc", HOLD_GRANT_READ } };
    q.n_grants = 1;
    assert_int_equal(hold_sandbox_plan_for(&q, &best, &plan, &err), -1);
    q = request_of(HOLD_PROFILE_FRONT);
    q.keep_fds = (const int[]) { 4, 3 };
    q.n_keep_fds = 2;
    assert_int_equal(hold_sandbox_plan_for(&q, &best, &plan, &err), -1);
    q.keep_fds = (const int[]) { 2, 3 };
    assert_int_equal(hold_sandbox_plan_for(&q, &best, &plan, &err), -1);
    static struct hold_sandbox_grant many[HOLD_SANDBOX_OPS_MAX + 1];
    for (size_t i = 0; i < HOLD_COUNT_OF(many); i++)
        many[i] = (struct hold_sandbox_grant) { "/x", HOLD_GRANT_READ };
    q = request_of(HOLD_PROFILE_FOREIGN);
    q.grants = many;
    q.n_grants = HOLD_COUNT_OF(many);
    assert_int_equal(hold_sandbox_plan_for(&q, &best, &plan, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
}

static void a_foreign_server_gets_its_grants_and_ports(void **unused) {
    (void) unused;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_FOREIGN);
    q.grants = (const struct hold_sandbox_grant[]) { { "/data", HOLD_GRANT_READ | HOLD_GRANT_WRITE }, { "/maybe", HOLD_GRANT_READ | HOLD_GRANT_OPTIONAL } };
    q.n_grants = 2;
    q.bind_ports = (const uint16_t[]) { 8000 };
    q.n_bind_ports = 1;
    q.connect_ports = (const uint16_t[]) { 2379, 443 };
    q.n_connect_ports = 2;
    make(&q, &restricted);
    assert_int_equal(find_path("/data")->value & HOLD_LL_WRITE_FILE, HOLD_LL_WRITE_FILE);
    assert_int_equal(find_path("/data")->extra, 0);
    assert_int_equal(find_path("/maybe")->extra, 1);
    size_t n_ports = 0;
    for (size_t i = 0; i < plan.n_ops; i++)
        n_ports += plan.ops[i].kind == HOLD_OP_ALLOW_PORT;
    assert_false(plan.has_datagrams); /* no port rule would hold them */
    assert_int_equal(n_ports, 4); /* 0 and 8000 to bind, two to connect */
    assert_true(find_path("/proc")->value & HOLD_LL_WRITE_FILE);
    make(&q, &best); /* as user 0 that would open sysctls */
    assert_false(find_path("/proc")->value & HOLD_LL_WRITE_FILE);
    q.connect_ports = (const uint16_t[]) { 443, 53 };
    make(&q, &restricted);
    assert_true(plan.has_datagrams); /* names are to be resolved */
    q.is_network_free = true;
    make(&q, &restricted);
    assert_true(plan.has_datagrams);
    assert_int_equal(find(HOLD_OP_ALLOW_PORT), -1);
    assert_int_equal(plan.layers[HOLD_LAYER_PORTS].state, HOLD_LAYER_OFF);
}

static void where_user_0_drives_a_gpu_the_report_says_what_that_opens(void **unused) {
    (void) unused;
    struct hold_sandbox_facts facts = best;
    facts.has_gpu = true;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_JOB_PREFLIGHT);
    make(&q, &facts);
    assert_true(find_path("/proc")->value & HOLD_LL_WRITE_FILE);
    assert_int_equal(plan.layers[HOLD_LAYER_FILES].state, HOLD_LAYER_PARTIAL);
    assert_non_null(strstr(plan.layers[HOLD_LAYER_FILES].reason, "/proc"));
    make(&q, &best); /* no GPU: no reason to */
    assert_null(find_path("/proc"));
    assert_int_equal(plan.layers[HOLD_LAYER_FILES].state, HOLD_LAYER_ON);
    q.profile = HOLD_PROFILE_ENGINE_CUDA; /* one process: its own threads are enough, as any user */
    make(&q, &facts);
    assert_null(find_path("/proc"));
    assert_int_equal(plan.layers[HOLD_LAYER_FILES].state, HOLD_LAYER_ON);
}

static void secrets_reach_the_fetch_job_only(void **unused) {
    (void) unused;
    static const char *const entries[] = { "HF_TOKEN=hf_x", "HOLDFAST_HUB_TOKEN=x", "HUGGING_FACE_HUB_TOKEN=x" };
    for (int p = HOLD_PROFILE_NONE + 1; p < HOLD_PROFILE_COUNT; p++)
        for (size_t i = 0; i < HOLD_COUNT_OF(entries); i++)
            for (int level = HOLD_SANDBOX_OFF; level <= HOLD_SANDBOX_BEST_EFFORT; level++) {
                struct hold_sandbox_request q = request_of((enum hold_profile) p);
                q.level = (enum hold_sandbox_level) level;
                make(&q, &best);
                assert_int_equal(hold_sandbox_plan_passes(&plan, entries[i]), p == HOLD_PROFILE_JOB_FETCH);
            }
}

static void our_own_get_a_short_list_and_what_is_named(void **unused) {
    (void) unused;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_FRONT);
    make(&q, &best);
    static const char *const passed[] = { "PATH=/bin", "LC_ALL=C", "HOLDFAST_CONTROL_FD=4", "LISTEN_FDS=1", "TZ=UTC" };
    static const char *const held[] = { "LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/x", "KUBERNETES_SERVICE_HOST=10.0.0.1", "AWS_SECRET_ACCESS_KEY=x",
                                        "PATHX=1", "=", "", "https_proxy=http://u:p@h", "GLIBC_TUNABLES=x" };
    for (size_t i = 0; i < HOLD_COUNT_OF(passed); i++)
        assert_true(hold_sandbox_plan_passes(&plan, passed[i]));
    for (size_t i = 0; i < HOLD_COUNT_OF(held); i++)
        assert_false(hold_sandbox_plan_passes(&plan, held[i]));
    q.env_names = (const char *const[]) { "MY_API_KEY", "NCCL_*" };
    q.n_env_names = 2;
    make(&q, &best);
    assert_true(hold_sandbox_plan_passes(&plan, "MY_API_KEY=1"));
    assert_true(hold_sandbox_plan_passes(&plan, "NCCL_DEBUG=1"));
    assert_false(hold_sandbox_plan_passes(&plan, "MY_API_KEY2=1"));
    q = request_of(HOLD_PROFILE_FOREIGN);
    make(&q, &best);
    assert_true(hold_sandbox_plan_passes(&plan, "ANYTHING=1"));
    assert_true(hold_sandbox_plan_passes(&plan, "OPENAI_API_KEY=1")); /* the server's own */
    q = request_of(HOLD_PROFILE_JOB_FETCH);
    make(&q, &best);
    assert_true(hold_sandbox_plan_passes(&plan, "https_proxy=http://u:p@h"));
}

static void off_plans_nothing(void **unused) {
    (void) unused;
    struct hold_sandbox_request q = request_of(HOLD_PROFILE_FOREIGN);
    q.level = HOLD_SANDBOX_OFF;
    make(&q, &best);
    assert_int_equal(plan.n_ops, 0);
    assert_true(hold_sandbox_plan_passes(&plan, "HOME=/root"));
    for (int l = 0; l < HOLD_LAYER_COUNT; l++)
        assert_int_equal(plan.layers[l].state, HOLD_LAYER_OFF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(privileges_are_lost_in_order),
        cmocka_unit_test(every_profile_gets_a_plan_with_all_layers),
        cmocka_unit_test(only_the_jobs_that_must_write_the_model_may),
        cmocka_unit_test(our_own_may_execute_one_program_and_its_loader_only),
        cmocka_unit_test(devices_are_granted_to_whoever_drives_a_gpu),
        cmocka_unit_test(an_older_kernel_is_asked_only_what_it_knows),
        cmocka_unit_test(what_is_missing_is_said_and_strict_refuses_it),
        cmocka_unit_test(truncation_that_is_not_stopped_is_refused_by_strict),
        cmocka_unit_test(without_capabilities_nothing_is_tried_that_needs_one),
        cmocka_unit_test(wrong_requests_are_refused_by_name),
        cmocka_unit_test(a_foreign_server_gets_its_grants_and_ports),
        cmocka_unit_test(where_user_0_drives_a_gpu_the_report_says_what_that_opens),
        cmocka_unit_test(secrets_reach_the_fetch_job_only),
        cmocka_unit_test(our_own_get_a_short_list_and_what_is_named),
        cmocka_unit_test(off_plans_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
