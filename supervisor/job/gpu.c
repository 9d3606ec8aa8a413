/* gpu.c - device nodes and driver facts. Floor: supervisor/job. */
#include "supervisor/job/gpu.h"

#include "base/auto.h"
#include "base/io.h"
#include "supervisor/job/clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTRIBUTE_MAJOR 75 /* of the driver's public device attributes */
#define ATTRIBUTE_MINOR 76
#define TIMED_OUT 999

/* What the child writes: no pointers. */
struct answer {
    int has_library, init_code, driver_api, n_gpus;
    char error[160], init_text[160];
    struct {
        char name[96];
        int major, minor;
        uint64_t bytes;
    } gpus[HOLD_FACT_MAX_GPUS];
};

/* Function pointers come from dlsym as data pointers; the union is the one conversion that no compiler warns about. */
union call {
    void *symbol;
    int (*init)(unsigned flags);
    int (*get_int)(int *value);
    int (*get_device)(int *device, int ordinal);
    int (*get_name)(char *name, int n, int device);
    int (*get_attribute)(int *value, int attribute, int device);
    int (*total_mem)(size_t *bytes, int device);
    int (*error_string)(int code, const char **text);
};

static union call find(void *library, const char *name) {
    return (union call) { .symbol = dlsym(library, name) };
}

static void ask_device(void *library, int ordinal, struct answer *a) {
    union call get = find(library, "cuDeviceGet"), name = find(library, "cuDeviceGetName"), attribute = find(library, "cuDeviceGetAttribute"),
               memory = find(library, "cuDeviceTotalMem_v2");
    int device = 0;
    size_t bytes = 0;
    if (!get.symbol || !name.symbol || !attribute.symbol || !memory.symbol || get.get_device(&device, ordinal) != 0)
        return;
    (void) name.get_name(a->gpus[ordinal].name, (int) sizeof a->gpus[ordinal].name - 1, device);
    (void) attribute.get_attribute(&a->gpus[ordinal].major, ATTRIBUTE_MAJOR, device);
    (void) attribute.get_attribute(&a->gpus[ordinal].minor, ATTRIBUTE_MINOR, device);
    if (memory.total_mem(&bytes, device) == 0)
        a->gpus[ordinal].bytes = bytes;
}

static void ask_driver(struct answer *a) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(a->error, sizeof a->error, "%s", dlerror());
        return;
    }
    a->has_library = 1;
    union call init = find(library, "cuInit"), version = find(library, "cuDriverGetVersion"), count = find(library, "cuDeviceGetCount"),
               error = find(library, "cuGetErrorString");
    if (!init.symbol || !version.symbol || !count.symbol) {
        a->has_library = 0;
        snprintf(a->error, sizeof a->error, "libcuda.so.1 lacks cuInit");
        return;
    }
    (void) version.get_int(&a->driver_api);
    a->init_code = init.init(0);
    const char *text = NULL;
    if (a->init_code != 0 && error.symbol && error.error_string(a->init_code, &text) == 0 && text)
        snprintf(a->init_text, sizeof a->init_text, "%s", text);
    if (a->init_code != 0 || count.get_int(&a->n_gpus) != 0)
        return;
    a->n_gpus = a->n_gpus < 0 ? 0 : a->n_gpus > HOLD_FACT_MAX_GPUS ? HOLD_FACT_MAX_GPUS : a->n_gpus;
    for (int i = 0; i < a->n_gpus; i++)
        ask_device(library, i, a);
}

/* Reads the whole answer or gives up at the deadline. */
static bool read_answer(int fd, uint64_t timeout_ms, struct answer *ret) {
    uint64_t until = hold_job_now_ms() + timeout_ms;
    size_t n = 0;
    while (n < sizeof *ret) {
        uint64_t now = hold_job_now_ms();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (now >= until || poll(&p, 1, (int) (until - now)) < 0)
            return false;
        if (!p.revents)
            continue;
        ssize_t got = read(fd, (char *) ret + n, sizeof *ret - n);
        if (got <= 0)
            return false;
        n += (size_t) got;
    }
    return true;
}

static void ask_in_child(uint64_t timeout_ms, struct answer *ret) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    hold_autofd read_end = ends[0], write_end = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return;
    if (pid == 0) {
        struct answer a = { 0 };
        struct hold_err ignored;
        ask_driver(&a);
        _exit(hold_write_all(write_end, &a, sizeof a, "answer", &ignored) < 0);
    }
    hold_close_fd(&write_end);
    struct answer got = { 0 };
    if (read_answer(read_end, timeout_ms, &got)) {
        *ret = got;
    } else {
        ret->has_library = 1;
        ret->init_code = TIMED_OUT;
        snprintf(ret->init_text, sizeof ret->init_text, "the driver did not answer within %llu ms, or its library crashed", (unsigned long long) timeout_ms);
    }
    kill(pid, SIGKILL);
    /* A child in D state inside the driver is not waited for: process 1 reaps it, and names it. */
    for (int i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++)
        (void) poll(NULL, 0, 10);
}

static const char *copy(struct hold_arena *arena, const char *text) {
    const char *c = hold_arena_copy(arena, text, strlen(text));
    return c ? c : "";
}

static void gather_nodes(const char *root, struct hold_arena *arena, struct hold_fact_device *ret) {
    static const char *const patterns[] = { "/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/nvidia-uvm" };
    char pattern[PATH_MAX];
    glob_t found = { 0 };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        snprintf(pattern, sizeof pattern, "%s%s", root, patterns[i]);
        (void) glob(pattern, i ? GLOB_APPEND : 0, NULL, &found);
    }
    for (size_t i = 0; i < found.gl_pathc && ret->n_nodes < HOLD_FACT_MAX_NODES; i++) {
        hold_autofd fd = open(found.gl_pathv[i], O_RDWR | O_CLOEXEC | O_NONBLOCK);
        ret->nodes[ret->n_nodes++] = (struct hold_fact_node) { .path = copy(arena, found.gl_pathv[i]), .can_open = fd >= 0, .sys = fd < 0 ? errno : 0 };
    }
    globfree(&found);
}

/* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat ...": the first word that is digits and points. */
static void gather_module(const char *root, struct hold_arena *arena, struct hold_fact_device *ret) {
    char path[PATH_MAX];
    struct hold_err ignored;
    hold_autobuf text = hold_buf_with_max(4096);
    snprintf(path, sizeof path, "%s/proc/driver/nvidia/version", root);
    ret->module_version = "";
    if (hold_read_file(path, &text, &ignored) < 0 || !text.n)
        return;
    ret->has_module = true;
    char *rest = NULL;
    text.data[strcspn(text.data, "\n")] = '\0';
    for (char *word = strtok_r(text.data, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
        if (strchr(word, '.') && word[strspn(word, "0123456789.")] == '\0') {
            ret->module_version = copy(arena, word);
            return;
        }
}

void hold_gpu_facts(const char *root, uint64_t timeout_ms, struct hold_arena *arena, struct hold_fact_device *ret) {
    *ret = (struct hold_fact_device) { .library_error = "", .init_text = "" };
    gather_module(root, arena, ret);
    gather_nodes(root, arena, ret);
    if (ret->n_nodes == 0)
        return;
    struct answer a = { 0 };
    ask_in_child(timeout_ms, &a);
    ret->has_library = a.has_library;
    ret->library_error = copy(arena, a.error);
    ret->init_code = a.init_code;
    ret->init_text = copy(arena, a.init_text);
    ret->driver_api = (uint32_t) a.driver_api;
    for (int i = 0; i < a.n_gpus; i++)
        ret->gpus[ret->n_gpus++] = (struct hold_fact_gpu) { .name = copy(arena, a.gpus[i].name), .major = (uint32_t) a.gpus[i].major,
                                                            .minor = (uint32_t) a.gpus[i].minor, .bytes_total = a.gpus[i].bytes };
}
