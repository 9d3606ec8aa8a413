/* test_gpu.c - driver facts on a machine without one: what lies in a made-up root is found, and nothing hangs or crashes. */
#include "tests/unit/test.h"

#include "base/io.h"
#include "supervisor/job/gpu.h"

#include <dlfcn.h>
#include <unistd.h>

static char root[64];

static void put(const char *name, const char *text) {
    char path[200];
    struct hold_err err = { 0 };
    snprintf(path, sizeof path, "%s/%s", root, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(hold_mkdirs(path, 0755, &err), 0);
    *slash = '/';
    assert_int_equal(hold_write_file(path, text, strlen(text), 0644, &err), 0);
}

static int enter(void **unused) {
    (void) unused;
    snprintf(root, sizeof root, "/tmp/hold-gpu-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int leave(void **unused) {
    (void) unused;
    static const char *const names[] = { "proc/driver/nvidia/version", "dev/nvidia0", "dev/nvidiactl", "proc/driver/nvidia", "proc/driver", "proc", "dev", "" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        (void) !remove(path);
    }
    return 0;
}

static void an_empty_machine_has_nothing(void **unused) {
    (void) unused;
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_fact_device d;
    hold_gpu_facts(root, 1000, &arena, &d);
    assert_false(d.has_module);
    assert_int_equal(d.n_nodes, 0);
    assert_int_equal(d.n_gpus, 0);
    assert_string_equal(d.module_version, "");
    assert_string_equal(d.library_error, ""); /* nobody asked the driver */
}

static void the_version_is_read_from_either_wording(void **unused) {
    (void) unused;
    static const struct {
        const char *text, *version;
    } rows[] = {
        { "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc 12.2.0\n", "535.104.05" },
        { "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n", "570.86.15" },
        { "something else entirely\n", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        hold_autoarena arena = hold_arena_with_max(1 << 20);
        struct hold_fact_device d;
        put("proc/driver/nvidia/version", rows[i].text);
        hold_gpu_facts(root, 1000, &arena, &d);
        assert_true(d.has_module);
        assert_string_equal(d.module_version, rows[i].version);
    }
}

static void nodes_without_a_library_say_why(void **unused) {
    (void) unused;
    void *real = dlopen("libcuda.so.1", RTLD_LAZY);
    if (real) {
        dlclose(real);
        skip();
    }
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_fact_device d;
    put("dev/nvidia0", "");
    put("dev/nvidiactl", "");
    hold_gpu_facts(root, 10000, &arena, &d);
    assert_int_equal(d.n_nodes, 2);
    assert_true(d.nodes[0].can_open);
    assert_false(d.has_library);
    assert_non_null(strstr(d.library_error, "libcuda.so.1"));
    assert_int_equal(d.n_gpus, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_machine_has_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(the_version_is_read_from_either_wording, enter, leave),
        cmocka_unit_test_setup_teardown(nodes_without_a_library_say_why, enter, leave),
    };
    return cmocka_run_group_tests_name("gpu", tests, NULL, NULL);
}
