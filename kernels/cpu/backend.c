/* backend.c - the CPU as a backend: host memory, a pool of threads, the best instruction set that runs here. Floor:
 * kernels/cpu. Each operation is done when it returns. */
#include "kernels/cpu/cpu.h"
#include "kernels/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cpu_simd *const variants[] = {
#if defined(__x86_64__)
    &cpu_avx512, &cpu_avx2,
#endif
#if defined(__aarch64__)
    &cpu_neon,
#endif
    &cpu_plain,
};

/* The variant of that name, or the one with the highest score; NULL when it does not run here. */
static const struct cpu_simd *choose(const char *name) {
    const struct cpu_simd *best = NULL;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        int score = variants[i]->score();
        if (score > 0 && (name ? strcmp(name, variants[i]->name) == 0 : !best || score > best->score()))
            best = variants[i];
    }
    return best;
}

static int open_device(const struct hold_backend_options *options, struct hold_device **ret_device, char *error, size_t error_bytes) {
    const struct cpu_simd *simd = choose(options->variant);
    if (!simd) {
        (void) snprintf(error, error_bytes, "this CPU has no '%s'", options->variant ? options->variant : "");
        return -1;
    }
    struct hold_device *device = calloc(1, sizeof *device);
    struct hold_pool *pool = hold_pool_new(options->n_threads > 0 ? options->n_threads : hold_pool_default_threads());
    if (!device || !pool) {
        (void) snprintf(error, error_bytes, "no memory for the CPU backend");
        hold_pool_free(pool);
        free(device);
        return -1;
    }
    *device = (struct hold_device) { .pool = pool, .simd = simd };
    *ret_device = device;
    return 0;
}

static void close_device(struct hold_device *device) {
    hold_pool_free(device->pool);
    free(device);
}

static void caps_of(struct hold_device *device, struct hold_caps *ret_caps) {
    uint32_t n = hold_pool_threads(device->pool);
    *ret_caps = (struct hold_caps) { .n_threads = n, .alignment = 64, .is_host = true, .is_deterministic = true };
    (void) snprintf(ret_caps->name, sizeof ret_caps->name, "cpu %s, %u thread%s", device->simd->name, n, n == 1 ? "" : "s");
}

static int open_stream(struct hold_device *device, struct hold_stream *ret_stream) {
    *ret_stream = (struct hold_stream) { .ops = &hold_backend_cpu, .device = device };
    return 0;
}

static void close_stream(struct hold_stream *s) {
    *s = (struct hold_stream) { 0 };
}

static void run_block(void *context, uint32_t i) {
    const struct cpu_rows *r = context;
    uint32_t first = i * r->block, end = r->n_rows - first < r->block ? r->n_rows : first + r->block;
    r->rows(r->context, first, end);
}

void cpu_run_rows(struct hold_stream *s, uint32_t rows, uint32_t cols, void (*each)(void *context, uint32_t first, uint32_t end), void *context) {
    uint32_t block = CPU_WORTH_ELEMENTS / (cols > 0 ? cols : 1);
    struct cpu_rows r = { .rows = each, .context = context, .n_rows = rows, .block = block < 1 ? 1 : block };
    hold_pool_run(s->device->pool, (rows - 1) / r.block + 1, run_block, &r);
}

const struct hold_backend hold_backend_cpu = {
    .abi = HOLD_BACKEND_ABI,
    .name = "cpu",
    .open = open_device,
    .close = close_device,
    .caps = caps_of,
    .stream_open = open_stream,
    .stream_close = close_stream,
    .sync = hold_host_sync,
    .last_error = hold_host_last_error,
    .alloc = hold_host_alloc,
    .free = hold_host_free,
    .copy_in = hold_host_copy,
    .copy_out = hold_host_copy,
    .copy = hold_host_copy,
    .fill = hold_host_fill,
    .checksum = hold_host_checksum,
    .rmsnorm = cpu_rmsnorm,
    .layernorm = cpu_layernorm,
    .add = cpu_add,
    .swiglu = cpu_swiglu,
    .gelu = cpu_gelu,
    .gather_rows = cpu_gather_rows,
    .matmul = cpu_matmul,
    .rope_angles = cpu_rope_angles,
    .rope = cpu_rope,
    .kv_append = cpu_kv_append,
    .attend = cpu_attend,
    .attend_full = cpu_attend_full,
    .add_position = cpu_add_position,
    .topk = cpu_topk,
    .convert = cpu_convert,
};
