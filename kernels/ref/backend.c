/* backend.c - the reference as a backend: host memory, one thread, each operation done when it returns. Floor: kernels/ref. */
#include "kernels/host.h"
#include "kernels/ref/ref.h"

#include <stdio.h>

struct hold_device {
    int unused;
};

static struct hold_device the_device;

static int open_device(const struct hold_backend_options *options, struct hold_device **ret_device, char *error, size_t error_bytes) {
    (void) options, (void) error, (void) error_bytes;
    *ret_device = &the_device;
    return 0;
}

static void close_device(struct hold_device *device) {
    (void) device;
}

static void caps_of(struct hold_device *device, struct hold_caps *ret_caps) {
    (void) device;
    *ret_caps = (struct hold_caps) { .name = "reference, 1 thread", .n_threads = 1, .alignment = 1, .is_host = true, .is_deterministic = true };
}

static int open_stream(struct hold_device *device, struct hold_stream *ret_stream) {
    *ret_stream = (struct hold_stream) { .ops = &hold_backend_ref, .device = device };
    return 0;
}

static void close_stream(struct hold_stream *s) {
    *s = (struct hold_stream) { 0 };
}

const struct hold_backend hold_backend_ref = {
    .abi = HOLD_BACKEND_ABI,
    .name = "ref",
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
    .rmsnorm = ref_rmsnorm,
    .layernorm = ref_layernorm,
    .add = ref_add,
    .swiglu = ref_swiglu,
    .gelu = ref_gelu,
    .gather_rows = ref_gather_rows,
    .matmul = ref_matmul,
    .rope_angles = ref_rope_angles,
    .rope = ref_rope,
    .kv_append = ref_kv_append,
    .attend = ref_attend,
    .attend_full = ref_attend_full,
    .add_position = ref_add_position,
    .topk = ref_topk,
    .convert = ref_convert,
};
