/* backend.c - the GPU as a backend: plain C on the driver's calls, device functions from the embedded module. Floor:
 * kernels/cuda. Exported as HOLD_BACKEND_PLUGIN from libholdfast-cuda.so.
 *
 * Every operation is one launch on the stream's queue: no allocation, no wait, no look at the environment. Managed memory
 * is never used; no setting of the GPU is changed. */
#include "kernels/backend.h"
#include "kernels/cuda/args.h"
#include "kernels/cuda/driver.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLDEST_MAJOR = 8 };

/* The device code (kernels/cuda/fatbin.S): every architecture named in rules.mk and PTX. One byte where no nvcc was there. */
extern const unsigned char hold_cuda_fatbin[];
extern const unsigned char hold_cuda_fatbin_end[];

enum function {
#define X(name, type) F_##name,
    HOLD_CU_KERNELS(X)
#undef X
    N_FUNCTIONS
};

struct hold_device {
    struct hold_driver driver;
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction functions[N_FUNCTIONS];
    char name[64];
    int major, minor;
};

struct queue {
    CUstream stream;
    CUdeviceptr sum; /* eight bytes for checksum */
    enum hold_fault fault;
};

static const struct hold_backend backend;

/* ---- failures ---- */

__attribute__((format(printf, 2, 3))) static int fail(struct hold_stream *s, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(s->error, sizeof s->error, format, list);
    va_end(list);
    return -1;
}

/* After an illegal address, a failed launch or an uncorrectable memory error every later call on the context fails. */
static enum hold_fault class_of(CUresult error) {
    if (error == CUDA_SUCCESS)
        return HOLD_FAULT_NONE;
    return error == CUDA_ERROR_ECC_UNCORRECTABLE || error >= CUDA_ERROR_ILLEGAL_ADDRESS ? HOLD_FAULT_STICKY : HOLD_FAULT_CALL;
}

static int checked(struct hold_stream *s, CUresult error, const char *what) {
    struct queue *q = s->queue;
    if (q->fault != HOLD_FAULT_STICKY)
        q->fault = class_of(error);
    if (error == CUDA_SUCCESS)
        return 0;
    return fail(s, "%s: %s (CUDA error %d)", what, hold_driver_error(&s->device->driver, error), error);
}

/* ---- the device ---- */

static int find_device(struct hold_device *d, unsigned index, char *error, size_t error_bytes) {
    CUresult result = d->driver.init(0);
    int count = 0;
    if (result == CUDA_SUCCESS)
        result = d->driver.device_count(&count);
    if (result == CUDA_SUCCESS && index >= (unsigned) count) {
        snprintf(error, error_bytes, "GPU %u was asked for, the driver shows %d", index, count);
        return -1;
    }
    if (result == CUDA_SUCCESS)
        result = d->driver.device_get(&d->device, (int) index);
    if (result == CUDA_SUCCESS)
        result = d->driver.device_name(d->name, sizeof d->name, d->device);
    if (result == CUDA_SUCCESS)
        result = d->driver.device_attribute(&d->major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d->device);
    if (result == CUDA_SUCCESS)
        result = d->driver.device_attribute(&d->minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d->device);
    if (result != CUDA_SUCCESS) {
        snprintf(error, error_bytes, "find the GPU: %s (CUDA error %d)", hold_driver_error(&d->driver, result), result);
        return -1;
    }
    if (d->major < OLDEST_MAJOR) {
        snprintf(error, error_bytes, "%s has compute capability %d.%d; %d.0 or newer is needed", d->name, d->major, d->minor, OLDEST_MAJOR);
        return -1;
    }
    return 0;
}

static int load_module(struct hold_device *d, char *error, size_t error_bytes) {
    static const char *const names[N_FUNCTIONS] = {
#define X(name, type) [F_##name] = "hold_cu_" #name "_kernel",
        HOLD_CU_KERNELS(X)
#undef X
    };
    CUresult result = d->driver.module_load(&d->module, hold_cuda_fatbin);
    if (result != CUDA_SUCCESS) {
        bool is_empty = hold_cuda_fatbin_end - hold_cuda_fatbin < 64;
        snprintf(error, error_bytes, "load the device code for %s (%d.%d): %s (CUDA error %d)%s", d->name, d->major, d->minor,
                 hold_driver_error(&d->driver, result), result, is_empty ? "; this build has none: build it with nvcc (make cuda)" : "");
        return -1;
    }
    for (int i = 0; i < N_FUNCTIONS; i++) {
        result = d->driver.module_function(&d->functions[i], d->module, names[i]);
        if (result != CUDA_SUCCESS) {
            snprintf(error, error_bytes, "the device code has no function '%s'", names[i]);
            return -1;
        }
    }
    return 0;
}

static void close_device(struct hold_device *d) {
    if (d->module)
        d->driver.module_unload(d->module);
    if (d->context)
        d->driver.context_release(d->device);
    free(d);
}

static int open_device(const struct hold_backend_options *options, struct hold_device **ret_device, char *error, size_t error_bytes) {
    struct hold_device *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(error, error_bytes, "no memory");
        return -1;
    }
    if (hold_driver_open(options->driver, &d->driver, error, error_bytes) < 0 || find_device(d, options->device_index, error, error_bytes) < 0) {
        free(d);
        return -1;
    }
    CUresult result = d->driver.context_retain(&d->context, d->device);
    if (result == CUDA_SUCCESS)
        result = d->driver.context_set(d->context);
    if (result != CUDA_SUCCESS) {
        snprintf(error, error_bytes, "make a context on %s: %s (CUDA error %d)", d->name, hold_driver_error(&d->driver, result), result);
        close_device(d);
        return -1;
    }
    if (load_module(d, error, error_bytes) < 0) {
        close_device(d);
        return -1;
    }
    *ret_device = d;
    return 0;
}

static void caps_of(struct hold_device *d, struct hold_caps *ret_caps) {
    size_t free_bytes = 0, total_bytes = 0;
    int version = 0;
    if (d->driver.memory_info(&free_bytes, &total_bytes) != CUDA_SUCCESS)
        free_bytes = total_bytes = 0;
    if (d->driver.driver_version(&version) != CUDA_SUCCESS)
        version = 0;
    *ret_caps = (struct hold_caps) { .memory_bytes = total_bytes, .free_bytes = free_bytes, .alignment = 256 };
    snprintf(ret_caps->name, sizeof ret_caps->name, "%s, sm_%d%d, driver %d.%d", d->name, d->major, d->minor, version / 1000,
             version % 1000 / 10);
}

static int open_stream(struct hold_device *d, struct hold_stream *ret_stream) {
    struct queue *q = calloc(1, sizeof *q);
    *ret_stream = (struct hold_stream) { .ops = &backend, .device = d, .queue = q };
    if (!q)
        return fail(ret_stream, "no memory");
    if (checked(ret_stream, d->driver.stream_create(&q->stream, CU_STREAM_NON_BLOCKING), "make a stream") == 0 &&
        checked(ret_stream, d->driver.memory_alloc(&q->sum, sizeof(uint64_t)), "allocate 8 bytes") == 0)
        return 0;
    if (q->stream)
        d->driver.stream_destroy(q->stream);
    free(q);
    ret_stream->queue = NULL;
    return -1;
}

static void close_stream(struct hold_stream *s) {
    struct queue *q = s->queue;
    if (q) {
        s->device->driver.memory_free(q->sum);
        s->device->driver.stream_destroy(q->stream);
        free(q);
    }
    *s = (struct hold_stream) { 0 };
}

static int sync_stream(struct hold_stream *s) {
    struct queue *q = s->queue;
    return checked(s, s->device->driver.stream_sync(q->stream), "wait for the GPU");
}

static enum hold_fault last_error(struct hold_stream *s) {
    const struct queue *q = s->queue;
    return q->fault;
}

/* ---- memory ---- */

static int alloc_memory(struct hold_stream *s, size_t bytes, void **ret_data) {
    CUdeviceptr data;
    CUresult result = s->device->driver.memory_alloc(&data, bytes);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        size_t free_bytes = 0, total_bytes = 0;
        s->device->driver.memory_info(&free_bytes, &total_bytes);
        ((struct queue *) s->queue)->fault = HOLD_FAULT_CALL;
        return fail(s, "allocate %zu bytes on %s: %zu of %zu are free", bytes, s->device->name, free_bytes, total_bytes);
    }
    if (checked(s, result, "allocate device memory") < 0)
        return -1;
    *ret_data = (void *) (uintptr_t) data;
    return 0;
}

static void free_memory(struct hold_stream *s, void *data) {
    if (!data)
        return;
    struct queue *q = s->queue;
    s->device->driver.stream_sync(q->stream);
    s->device->driver.memory_free((CUdeviceptr) (uintptr_t) data);
}

static int copy_in(struct hold_stream *s, void *to, const void *from, size_t bytes) {
    struct queue *q = s->queue;
    return checked(s, s->device->driver.copy_in((CUdeviceptr) (uintptr_t) to, from, bytes, q->stream), "copy to the GPU");
}

static int copy_out(struct hold_stream *s, void *to, const void *from, size_t bytes) {
    struct queue *q = s->queue;
    return checked(s, s->device->driver.copy_out(to, (CUdeviceptr) (uintptr_t) from, bytes, q->stream), "copy from the GPU");
}

static int copy_inside(struct hold_stream *s, void *to, const void *from, size_t bytes) {
    struct queue *q = s->queue;
    return checked(s, s->device->driver.copy((CUdeviceptr) (uintptr_t) to, (CUdeviceptr) (uintptr_t) from, bytes, q->stream),
                   "copy on the GPU");
}

static int fill_memory(struct hold_stream *s, void *data, uint8_t byte, size_t bytes) {
    struct queue *q = s->queue;
    return checked(s, s->device->driver.fill((CUdeviceptr) (uintptr_t) data, byte, bytes, q->stream), "fill device memory");
}

/* ---- launches ---- */

struct shape {
    uint32_t x, y; /* grid; the block is HOLD_CU_BLOCK wide unless block_y says it is a tile */
    uint32_t block_x, block_y;
};

static uint32_t pieces(uint32_t n, uint32_t of) {
    return n / of + (n % of != 0);
}

static int launch(struct hold_stream *s, enum function f, struct shape shape, void *argument) {
    struct queue *q = s->queue;
    if (shape.x == 0 || shape.y == 0)
        return 0;
    if (shape.y > 65535)
        return fail(s, "a launch of %u blocks in y; the limit is 65535", shape.y);
    void *arguments[] = { argument };
    return checked(s, s->device->driver.launch(s->device->functions[f], shape.x, shape.y, 1, shape.block_x, shape.block_y, 1, 0, q->stream, arguments, NULL),
                   "launch");
}

static struct shape per_row(uint32_t rows) {
    return (struct shape) { rows, 1, HOLD_CU_BLOCK, 1 };
}

static struct shape per_element(uint32_t rows, uint32_t cols) {
    return (struct shape) { rows, pieces(cols, HOLD_CU_BLOCK), HOLD_CU_BLOCK, 1 };
}

static int checksum(struct hold_stream *s, const void *data, size_t bytes, uint64_t *ret_sum) {
    struct queue *q = s->queue;
    uint64_t sum = 0;
    struct hold_cu_checksum a = { .data = data, .bytes = bytes, .sum = (unsigned long long *) (uintptr_t) q->sum };
    if (fill_memory(s, (void *) (uintptr_t) q->sum, 0, sizeof sum) < 0 || launch(s, F_checksum, per_row(HOLD_CU_SUM_BLOCKS), &a) < 0 ||
        copy_out(s, &sum, (void *) (uintptr_t) q->sum, sizeof sum) < 0 || sync_stream(s) < 0)
        return -1;
    *ret_sum = sum;
    return 0;
}

static int rmsnorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps) {
    struct hold_cu_norm a = { .y = y, .x = x, .w = w, .eps = eps };
    return launch(s, F_rmsnorm, per_row(x.rows), &a);
}

static int layernorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b, float eps) {
    struct hold_cu_norm a = { .y = y, .x = x, .w = w, .b = b, .eps = eps };
    return launch(s, F_layernorm, per_row(x.rows), &a);
}

static int map(struct hold_stream *s, enum function f, struct hold_t2 y, struct hold_t2 first, struct hold_t2 second) {
    struct hold_cu_map a = { .y = y, .a = first, .b = second };
    return launch(s, f, per_element(y.rows, y.cols), &a);
}

static int add(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b) {
    return map(s, F_add, y, a, b);
}

static int swiglu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u) {
    return map(s, F_swiglu, y, g, u);
}

static int gelu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    return map(s, F_gelu, y, x, (struct hold_t2) { 0 });
}

static int convert(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    return map(s, F_convert, y, x, (struct hold_t2) { 0 });
}

static int gather_rows(struct hold_stream *s, struct hold_t2 y, struct hold_t2 table, struct hold_t2 ids) {
    return map(s, F_gather_rows, y, table, ids);
}

/* Few rows are bound by reading the weights: a warp streams one weight row. Many rows share a tile of weights. With
 * is_deterministic asked for nothing changes: each kind keeps one order, but the two kinds differ in the last bits. */
static int matmul(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b) {
    struct hold_cu_matmul a = { .y = y, .x = x, .w = w, .b = b };
    if (x.rows <= HOLD_CU_FEW_ROWS)
        return launch(s, F_matmul_rows, (struct shape) { pieces(y.cols, HOLD_CU_BLOCK / 32), x.rows, HOLD_CU_BLOCK, 1 }, &a);
    return launch(s, F_matmul_tile, (struct shape) { pieces(x.rows, HOLD_CU_TILE), pieces(y.cols, HOLD_CU_TILE), HOLD_CU_TILE, HOLD_CU_TILE },
                  &a);
}

static int rope_angles(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv, struct hold_t2 axis) {
    struct hold_cu_rope a = { .cs = cs, .pos = pos, .inv = inv, .axis = axis };
    return launch(s, F_rope_angles, per_element(cs.rows, inv.cols), &a);
}

static int rope(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim, enum hold_rope_pairs pairs) {
    struct hold_cu_rope a = { .x = x, .cs = cs, .head_dim = head_dim, .is_halves = pairs == HOLD_ROPE_HALVES };
    return launch(s, F_rope, per_element(x.rows, x.cols / head_dim * (cs.cols / 2)), &a);
}

static int kv_append(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k, struct hold_t2 v,
                     const struct hold_places *places) {
    struct hold_cu_attend a = { .k = k, .v = v, .kv = *kv, .places = *places, .layer = layer };
    return launch(s, F_kv_append, per_element(k.rows, k.cols), &a);
}

static int attend(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
                  const struct hold_places *places, float scale, uint32_t max_index) {
    (void) max_index; /* each block reads its own row's length */
    struct hold_cu_attend a = { .o = o, .q = q, .kv = *kv, .places = *places, .layer = layer, .head_dim = kv->head_dim, .scale = scale };
    return launch(s, F_attend, (struct shape) { q.rows, q.cols / kv->head_dim, HOLD_CU_BLOCK, 1 }, &a);
}

static int attend_full(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v, uint32_t head_dim,
                       float scale) {
    struct hold_cu_attend a = { .o = o, .q = q, .k = k, .v = v, .head_dim = head_dim, .scale = scale };
    return launch(s, F_attend_full, (struct shape) { q.rows, q.cols / head_dim, HOLD_CU_BLOCK, 1 }, &a);
}

static int add_position(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h, uint32_t w) {
    uint32_t side = 1;
    while (side * side < table.rows)
        side++;
    struct hold_cu_position a = { .x = x, .table = table, .yx = yx, .h = h, .w = w, .side = side };
    return launch(s, F_add_position, per_element(x.rows, x.cols), &a);
}

static int topk(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x) {
    struct hold_cu_topk a = { .values = values, .ids = ids, .x = x };
    return launch(s, F_topk, per_row(x.rows), &a);
}

static const struct hold_backend backend = {
    .abi = HOLD_BACKEND_ABI,
    .name = "cuda",
    .open = open_device,
    .close = close_device,
    .caps = caps_of,
    .stream_open = open_stream,
    .stream_close = close_stream,
    .sync = sync_stream,
    .last_error = last_error,
    .alloc = alloc_memory,
    .free = free_memory,
    .copy_in = copy_in,
    .copy_out = copy_out,
    .copy = copy_inside,
    .fill = fill_memory,
    .checksum = checksum,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .add = add,
    .swiglu = swiglu,
    .gelu = gelu,
    .gather_rows = gather_rows,
    .matmul = matmul,
    .rope_angles = rope_angles,
    .rope = rope,
    .kv_append = kv_append,
    .attend = attend,
    .attend_full = attend_full,
    .add_position = add_position,
    .topk = topk,
    .convert = convert,
};

const struct hold_backend *hold_backend_plugin(void);

__attribute__((visibility("default"))) const struct hold_backend *hold_backend_plugin(void) {
    return &backend;
}
