/* test_cuda.c - every operation of the CUDA backend against the reference, over the one table of shapes: on the emulated
 * device (small rows and the twins of large ones), or with HOLD_TEST_GPU=1 on a real one (all rows). Proves the device
 * functions' logic and the host code's launches; on the emulation not what only hardware shows (races between warps,
 * alignment traps, speed). */
#include "tests/unit/test.h"

#include "tests/kernels/shapes.h"
#include "tests/kernels/table.h"

#include <dlfcn.h>
#include <libgen.h>
#include <unistd.h>

static const struct hold_backend *plugin;
static struct hold_device *device, *ref_device;
static struct hold_stream stream, ref_stream;
static bool is_gpu;

/* The plug-in lies beside the test programs; for a GPU it is the installed kind, with device code. */
static int open_both(void **unused) {
    (void) unused;
#ifdef __SANITIZE_ADDRESS__
    return 0;
#endif
    char self[4096], path[8192], driver[8192], error[256] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return -1;
    self[n] = '\0';
    char *tests = dirname(dirname(self)); /* build/<variant>/tests */
    is_gpu = getenv("HOLD_TEST_GPU") != NULL;
    snprintf(path, sizeof path, is_gpu ? "%s/../lib/holdfast/libholdfast-cuda.so" : "%s/libholdfast-cuda.so", tests);
    const char *planted = getenv("HOLD_TEST_DRIVER"); /* plant.sh: an emulated device with a fault in one function */
    if (planted)
        snprintf(driver, sizeof driver, "%s", planted);
    else
        snprintf(driver, sizeof driver, "%s/libholdfast-emu-driver.so", tests);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return -1;
    }
    const struct hold_backend *(*get)(void);
    void *symbol = dlsym(library, HOLD_BACKEND_PLUGIN);
    memcpy(&get, &symbol, sizeof get);
    plugin = get();
    if (plugin->abi != HOLD_BACKEND_ABI)
        return -1;
    struct hold_backend_options options = { .driver = is_gpu ? NULL : driver };
    if (plugin->open(&options, &device, error, sizeof error) < 0 || plugin->stream_open(device, &stream) < 0 ||
        hold_backend_ref.open(&options, &ref_device, error, sizeof error) < 0 || hold_backend_ref.stream_open(ref_device, &ref_stream) < 0) {
        fprintf(stderr, "%s\n", error);
        return -1;
    }
    return 0;
}

static int close_both(void **unused) {
    (void) unused;
    if (!plugin)
        return 0;
    plugin->stream_close(&stream);
    plugin->close(device);
    hold_backend_ref.stream_close(&ref_stream);
    hold_backend_ref.close(ref_device);
    return 0;
}

static void skip_under_the_sanitizer(void) {
    print_message("fibres and the address sanitizer exclude each other\n");
    skip();
}

static void agrees_with_the_reference(void **state) {
    enum hold_shape_op op = (enum hold_shape_op) (uintptr_t) *state;
    if (!plugin)
        skip_under_the_sanitizer();
    unsigned n_rows = 0;
    for (size_t i = 0; i < sizeof hold_shapes / sizeof hold_shapes[0]; i++) {
        const struct hold_shape *p = &hold_shapes[i];
        if (p->op != op || (!is_gpu && p->cost != SHAPE_SMALL))
            continue;
        char what[512];
        double worst = table_compare(&ref_stream, &stream, p, what, sizeof what);
        if (worst > 1)
            fail_msg("%s: %.3g times what the contract allows", what, worst);
        n_rows++;
    }
    assert_true(n_rows > 0);
}

static void checksum_is_the_references(void **unused) {
    (void) unused;
    if (!plugin)
        skip_under_the_sanitizer();
    static const size_t sizes[] = { 1, 7, 8, 9, 4096, 100001 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *bytes = malloc(sizes[i]);
        assert_non_null(bytes);
        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = (unsigned char) (k * 31 + i);
        void *there;
        uint64_t expected, got;
        assert_int_equal(plugin->alloc(&stream, sizes[i], &there), 0);
        assert_int_equal(plugin->copy_in(&stream, there, bytes, sizes[i]), 0);
        assert_int_equal(hold_backend_ref.checksum(&ref_stream, bytes, sizes[i], &expected), 0);
        assert_int_equal(plugin->checksum(&stream, there, sizes[i], &got), 0);
        assert_true(expected == got);
        plugin->free(&stream, there);
        free(bytes);
    }
}

static void too_large_an_allocation_says_what_is_free(void **unused) {
    (void) unused;
    if (!plugin)
        skip_under_the_sanitizer();
    void *there;
    assert_int_equal(plugin->alloc(&stream, (size_t) 1 << 50, &there), -1);
    assert_non_null(strstr(stream.error, "are free"));
    assert_int_equal(plugin->last_error(&stream), HOLD_FAULT_CALL);
    assert_int_equal(plugin->alloc(&stream, 100, &there), 0);
    plugin->free(&stream, there);
}

static void a_missing_driver_is_said(void **unused) {
    (void) unused;
    if (!plugin)
        skip_under_the_sanitizer();
    struct hold_backend_options options = { .driver = "/nonexistent/libcuda.so.1" };
    struct hold_device *none;
    char error[256];
    assert_int_equal(plugin->open(&options, &none, error, sizeof error), -1);
    assert_non_null(strstr(error, "no CUDA driver"));
}

static void table_of_entries_has_no_hole(void **unused) {
    (void) unused;
    if (!plugin)
        skip_under_the_sanitizer();
    /* step may be NULL by contract and is the last entry; all before it are pointers. */
    for (const char *at = (const char *) &plugin->open; at < (const char *) &plugin->step; at += sizeof(void *)) {
        void *entry;
        memcpy(&entry, at, sizeof entry);
        assert_non_null(entry);
    }
}

int main(void) {
    struct CMUnitTest tests[SHAPE_OP_COUNT + 4];
    memset(tests, 0, sizeof tests);
    static char names[SHAPE_OP_COUNT][64];
    for (unsigned op = 0; op < SHAPE_OP_COUNT; op++) {
        snprintf(names[op], sizeof names[op], "%s_agrees_with_the_reference", hold_shape_op_names[op]);
        tests[op] = (struct CMUnitTest) { .name = names[op], .test_func = agrees_with_the_reference, .initial_state = (void *) (uintptr_t) op };
    }
    tests[SHAPE_OP_COUNT] = (struct CMUnitTest) cmocka_unit_test(checksum_is_the_references);
    tests[SHAPE_OP_COUNT + 1] = (struct CMUnitTest) cmocka_unit_test(too_large_an_allocation_says_what_is_free);
    tests[SHAPE_OP_COUNT + 2] = (struct CMUnitTest) cmocka_unit_test(a_missing_driver_is_said);
    tests[SHAPE_OP_COUNT + 3] = (struct CMUnitTest) cmocka_unit_test(table_of_entries_has_no_hole);
    return cmocka_run_group_tests_name("cuda", tests, open_both, close_both);
}
