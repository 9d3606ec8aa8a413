/* test_preflight.c - each fact that stands in the way becomes one finding with its cure and the right exit status. */
#include "tests/unit/test.h"

#include "base/exit.h"
#include "supervisor/policy/preflight.h"

#define GIB (UINT64_C(1) << 30)

/* A machine and a model on which nothing is wrong. */
static struct hold_facts sound(void) {
    struct hold_facts f = { .uid = 1000, .gid = 1000, .home = "/h", .home_writable = true, .python = "/p" };
    f.kernel = (struct hold_fact_kernel) { .release = "6.1.0", .major = 6, .minor = 1, .landlock_abi = 2, .has_seccomp = true, .has_pidfd = true,
                                           .has_openat2 = true, .has_no_new_privs = true };
    f.memory = (struct hold_fact_memory) { .total = 64 * GIB, .available = 60 * GIB, .limit = HOLD_FACT_NO_LIMIT, .limit_from = "", .shm_bytes = 2 * GIB };
    f.model = (struct hold_fact_model) { .is_asked = true, .has_folder = true, .config = HOLD_MODEL_CONFIG_READ, .config_text = "", .type = "glm4v",
                                         .bytes_present = 20 * GIB, .bytes_total = 20 * GIB, .n_weights = 4, .first_missing = "", .first_unreadable = "",
                                         .pointer = "", .has_tokenizer = true };
    f.device = (struct hold_fact_device) { .module_version = "", .library_error = "", .init_text = "" };
    f.paths[f.n_paths++] = (struct hold_fact_path) { .path = "/m", .use = HOLD_PATH_MODEL, .exists = true, .is_folder = true, .can_read = true,
                                                     .free_bytes = 100 * GIB, .free_inodes = 100000, .unwritable = "/m", .mode = 0755 };
    return f;
}

static const struct hold_wants own = { .is_own_server = true, .is_sandboxed = true, .device = HOLD_WANT_CPU, .reserve_bytes = 64 << 20 };

static const struct hold_finding *judge(const struct hold_facts *f, const struct hold_wants *w, const char *id) {
    static struct hold_findings findings;
    hold_preflight_judge(f, w, &findings);
    for (size_t i = 0; i < findings.n; i++)
        if (strcmp(findings.at[i].id, id) == 0 && (findings.at[i].severity != HOLD_SEV_OK))
            return &findings.at[i];
    return NULL;
}

static int status(const struct hold_facts *f, const struct hold_wants *w) {
    static struct hold_findings findings;
    hold_preflight_judge(f, w, &findings);
    return hold_preflight_status(&findings);
}

static void expect(const struct hold_facts *f, const struct hold_wants *w, const char *id, enum hold_severity severity, int code, const char *measured,
                   const char *cure) {
    const struct hold_finding *found = judge(f, w, id);
    if (!found)
        fail_msg("no finding '%s'", id);
    if (found->severity != severity || found->status != code || !strstr(found->measured, measured) || !strstr(found->cure, cure))
        fail_msg("%s: %s status %d measured '%s' cure '%s'", id, hold_severity_name(found->severity), found->status, found->measured, found->cure);
    assert_int_not_equal(found->what[0], 0);
    assert_int_not_equal(found->needed[0], 0);
}

static void a_sound_machine_has_no_finding(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    struct hold_findings findings;
    hold_preflight_judge(&f, &own, &findings);
    assert_int_equal(hold_preflight_status(&findings), 0);
    const struct hold_finding *worst = hold_preflight_worst(&findings);
    if (worst)
        fail_msg("%s: %s", worst->id, worst->measured);
    assert_true(findings.n >= 5); /* what was judged is said even when it is sound */
}

static void kernels(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    f.kernel.major = 5, f.kernel.minor = 9;
    expect(&f, &own, "kernel", HOLD_SEV_FAIL, HOLD_EXIT_KERNEL, "6.1.0", "5.10");
    f.kernel.minor = 10;
    assert_null(judge(&f, &own, "kernel"));
    f.kernel.has_pidfd = false;
    expect(&f, &own, "kernel", HOLD_SEV_FAIL, HOLD_EXIT_KERNEL, "no pidfd", "pidfd_open");
    f = sound();
    f.kernel.landlock_abi = 0;
    expect(&f, &own, "kernel-sandbox", HOLD_SEV_WARN, 0, "Landlock no", "landlock");
}

static void missing_models(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    struct hold_wants with_source = own;
    with_source.has_source = true;
    f.model.has_folder = false, f.model.config = HOLD_MODEL_CONFIG_ABSENT, f.model.n_weights = 0;
    expect(&f, &own, "model-config", HOLD_SEV_FAIL, HOLD_EXIT_NO_MODEL, "does not exist", "--model-source");
    expect(&f, &with_source, "model-config", HOLD_SEV_NOTE, 0, "does not exist", "fetched");
    assert_int_equal(status(&f, &with_source), 0);
    f = sound();
    f.model.n_missing = 2, f.model.first_missing = "model-00002-of-00004.safetensors";
    expect(&f, &own, "model-weights", HOLD_SEV_FAIL, HOLD_EXIT_NO_MODEL, "model-00002", "mount the whole model");
    f = sound();
    f.model.has_pointer = true, f.model.pointer = "a.safetensors";
    expect(&f, &own, "model-weights", HOLD_SEV_FAIL, HOLD_EXIT_NO_MODEL, "git-lfs pointer", "git lfs pull");
    f = sound();
    f.model.n_unreadable = 1, f.model.first_unreadable = "a.safetensors";
    expect(&f, &own, "model-weights", HOLD_SEV_FAIL, HOLD_EXIT_PERMISSION, "a.safetensors", "uid 1000");
    f = sound();
    f.model.has_tokenizer = false;
    expect(&f, &own, "model-tokenizer", HOLD_SEV_FAIL, HOLD_EXIT_NO_MODEL, "missing", "repository");
}

static void wrong_models(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    f.model.type = "llama";
    expect(&f, &own, "model-config", HOLD_SEV_FAIL, HOLD_EXIT_VERIFY_MODEL, "llama", "holdfast -- COMMAND");
    struct hold_wants foreign = { .device = HOLD_WANT_CPU };
    assert_null(judge(&f, &foreign, "model-config"));
    f.model.config = HOLD_MODEL_CONFIG_WRONG, f.model.config_text = "byte 7: no value";
    expect(&f, &own, "model-config", HOLD_SEV_FAIL, HOLD_EXIT_PREFLIGHT, "byte 7", "again");
    f.model.config = HOLD_MODEL_CONFIG_UNREADABLE;
    expect(&f, &own, "model-config", HOLD_SEV_FAIL, HOLD_EXIT_PERMISSION, "byte 7", "readable for uid 1000");
}

static void memory_names_limit_and_figure(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    f.memory.limit = 8 * GIB, f.memory.limit_from = "/sys/fs/cgroup/memory.max";
    expect(&f, &own, "memory-limit", HOLD_SEV_FAIL, HOLD_EXIT_MEMORY, "8.0 GiB (/sys/fs/cgroup/memory.max)", "resources.limits.memory");
    struct hold_wants foreign = { .device = HOLD_WANT_AUTO };
    expect(&f, &foreign, "memory-limit", HOLD_SEV_WARN, 0, "8.0 GiB", "raise");
    f = sound();
    f.memory.available = GIB;
    expect(&f, &own, "memory-available", HOLD_SEV_WARN, 0, "1.0 GiB of 64.0 GiB", "request");
    f = sound();
    f.memory.swap_total = 4 * GIB, f.memory.swap_free = GIB;
    expect(&f, &own, "swap", HOLD_SEV_WARN, 0, "3.0 GiB of 4.0 GiB", "swap");
}

static void disk_names_what_is_lacking(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    struct hold_wants w = own;
    w.has_source = true;
    f.model.bytes_present = 4 * GIB;
    f.paths[f.n_paths++] = (struct hold_fact_path) { .path = "/m", .use = HOLD_PATH_TARGET, .exists = true, .is_folder = true, .can_read = true, .can_write = true,
                                                     .free_bytes = 10 * GIB, .free_inodes = 100000, .unwritable = "/m" };
    expect(&f, &w, "disk", HOLD_SEV_FAIL, HOLD_EXIT_DISK, "10.0 GiB free", "grow the volume by 6.1 GiB");
    f.paths[1].free_bytes = 17 * GIB;
    assert_null(judge(&f, &w, "disk"));
    f.paths[1].free_inodes = 3;
    expect(&f, &w, "disk-inodes", HOLD_SEV_FAIL, HOLD_EXIT_DISK, "3 free inodes", "inodes");
    f.paths[1].can_write = false, f.paths[1].is_read_only = true;
    expect(&f, &w, "path-write", HOLD_SEV_FAIL, HOLD_EXIT_PERMISSION, "read-only", "emptyDir");
    f.paths[1].is_read_only = false;
    expect(&f, &w, "path-write", HOLD_SEV_FAIL, HOLD_EXIT_PERMISSION, "owner 0:0", "fsGroup: 1000");
    f.paths[1].use = HOLD_PATH_STATE;
    expect(&f, &w, "path-write", HOLD_SEV_FAIL, HOLD_EXIT_PERMISSION, "owner 0:0", "--state-dir");
    f.paths[1].use = HOLD_PATH_TARGET;
    /* Everything is there: a folder that cannot be written does not matter. */
    f.model.bytes_present = f.model.bytes_total;
    assert_null(judge(&f, &w, "path-write"));
}

static void devices_are_judged_by_the_first_obstacle(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    struct hold_wants cuda = own, any = own;
    cuda.device = HOLD_WANT_CUDA;
    any.device = HOLD_WANT_AUTO;
    expect(&f, &any, "device", HOLD_SEV_NOTE, 0, "no NVIDIA driver", "nvidia.com/gpu");
    expect(&f, &cuda, "device", HOLD_SEV_FAIL, HOLD_EXIT_DEVICE, "no NVIDIA driver", "nvidia.com/gpu");
    f.device.has_module = true, f.device.module_version = "550.1";
    expect(&f, &any, "device", HOLD_SEV_WARN, 0, "550.1", "container runtime");
    f.device.nodes[f.device.n_nodes++] = (struct hold_fact_node) { .path = "/dev/nvidia0", .sys = 13 };
    expect(&f, &cuda, "device", HOLD_SEV_FAIL, HOLD_EXIT_DEVICE, "/dev/nvidia0: Permission denied", "supplementalGroups");
    f.device.nodes[0].can_open = true;
    f.device.library_error = "libcuda.so.1: cannot open";
    expect(&f, &cuda, "device", HOLD_SEV_FAIL, HOLD_EXIT_DEVICE, "libcuda", "NVIDIA_DRIVER_CAPABILITIES");
    f.device.has_library = true, f.device.init_code = 999, f.device.init_text = "no answer";
    expect(&f, &cuda, "device", HOLD_SEV_FAIL, HOLD_EXIT_DEVICE, "999", "Xid");
    f.device.init_code = 0;
    expect(&f, &cuda, "device", HOLD_SEV_FAIL, HOLD_EXIT_DEVICE, "no GPU", "CUDA_VISIBLE_DEVICES");
    f.device.gpus[f.device.n_gpus++] = (struct hold_fact_gpu) { .name = "L4", .major = 8, .minor = 9, .bytes_total = 24 * GIB };
    assert_null(judge(&f, &cuda, "device"));
    assert_null(judge(&f, &cuda, "gpu"));
    f.device.gpus[0].bytes_total = 8 * GIB;
    expect(&f, &cuda, "gpu", HOLD_SEV_WARN, 0, "8.0 GiB", "int8");
    f.device.gpus[0].major = 7;
    expect(&f, &cuda, "gpu", HOLD_SEV_WARN, 0, "compute 7.9", "too old");
}

static void packages_are_compared_by_version(void **unused) {
    (void) unused;
    static const struct {
        const char *version, *wanted;
        bool is_right;
    } rows[] = { { "0.10.1", ">=0.9", true }, { "0.9", ">=0.10", false }, { "2.6.0+cu124", ">=2.6", true }, { "1.0", "==1.0.0", true }, { "1.0rc1", ">=1.0", true },
                 { NULL, "", false },         { "7", "", true },          { "1.2.3", "==1.2.4", false },    { "", ">=0", true } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hold_facts f = sound();
        f.packages[f.n_packages++] = (struct hold_fact_package) { .name = "vllm", .version = rows[i].version, .wanted = rows[i].wanted };
        if ((judge(&f, &own, "package") == NULL) != rows[i].is_right)
            fail_msg("version %s wanted %s", rows[i].version ? rows[i].version : "-", rows[i].wanted);
        assert_int_equal(status(&f, &own), rows[i].is_right ? 0 : HOLD_EXIT_PACKAGE);
    }
}

static void a_dependency_may_pass_and_others_may_not(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    struct hold_findings findings;
    f.needs[f.n_needs++] = (struct hold_fact_need) { .url = "tcp://db:1", .answer = "refused" };
    hold_preflight_judge(&f, &own, &findings);
    assert_true(hold_preflight_may_pass(&findings));
    assert_int_equal(hold_preflight_status(&findings), HOLD_EXIT_DEPENDENCY);
    f.kernel.major = 4;
    hold_preflight_judge(&f, &own, &findings);
    assert_false(hold_preflight_may_pass(&findings));
    /* What waiting cannot cure is the verdict, wherever it stands. */
    assert_int_equal(hold_preflight_status(&findings), HOLD_EXIT_KERNEL);
    f = sound();
    hold_preflight_judge(&f, &own, &findings);
    assert_false(hold_preflight_may_pass(&findings));
}

static void more_findings_than_fit_are_counted(void **unused) {
    (void) unused;
    struct hold_facts f = sound();
    struct hold_findings findings;
    f.n_paths = f.n_packages = f.n_needs = 1000000; /* counts from outside are not believed beyond their tables */
    f.device.n_gpus = f.device.n_nodes = 1000000;
    for (size_t i = 0; i < HOLD_FACT_MAX_PATHS; i++)
        f.paths[i] = (struct hold_fact_path) { .path = "/x", .use = HOLD_PATH_WRITABLE, .can_write = true };
    for (size_t i = 0; i < HOLD_FACT_MAX_PACKAGES; i++)
        f.packages[i] = (struct hold_fact_package) { .name = "p" };
    for (size_t i = 0; i < HOLD_FACT_MAX_NEEDS; i++)
        f.needs[i] = (struct hold_fact_need) { .url = "tcp://x:1" };
    hold_preflight_judge(&f, &own, &findings);
    assert_int_equal(findings.n, HOLD_FINDING_MAX);
    assert_true(findings.n_lost > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_machine_has_no_finding),
        cmocka_unit_test(kernels),
        cmocka_unit_test(missing_models),
        cmocka_unit_test(wrong_models),
        cmocka_unit_test(memory_names_limit_and_figure),
        cmocka_unit_test(disk_names_what_is_lacking),
        cmocka_unit_test(devices_are_judged_by_the_first_obstacle),
        cmocka_unit_test(packages_are_compared_by_version),
        cmocka_unit_test(a_dependency_may_pass_and_others_may_not),
        cmocka_unit_test(more_findings_than_fit_are_counted),
    };
    return cmocka_run_group_tests_name("preflight", tests, NULL, NULL);
}
