/* backend.h - the table that a backend fills: operations, memory, one fused step. Floor: kernels; includes kernels/ only.
 *
 * Drawn for a device: memory is the device's, work is enqueued on streams, no operation takes a host pointer (the few
 * calls that do say so). The model calls the functions of the contract headers (hold_rmsnorm, ...), which check shapes and
 * types once (kernels/contract.c) and then call the entry of the same name here: a backend may believe its arguments.
 *
 * Every fallible entry returns 0 or -1 with the reason in s->error (hold_stream_fail). After HOLD_FAULT_STICKY nothing on
 * the device can be trusted: the process ends and a fresh one starts. */
#ifndef HOLD_KERNELS_BACKEND_H
#define HOLD_KERNELS_BACKEND_H

#include "kernels/act.h"
#include "kernels/attn.h"
#include "kernels/embed.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"
#include "kernels/quant.h"
#include "kernels/rope.h"
#include "kernels/step.h"
#include "kernels/topk.h"
#include "kernels/types.h"
#include "kernels/vision.h"

/* Grows with every change of this table or of a struct in it; a plug-in of another number is not used. */
#define HOLD_BACKEND_ABI 1u

/* What a plug-in exports: `const struct hold_backend *hold_backend_plugin(void)`. */
#define HOLD_BACKEND_PLUGIN "hold_backend_plugin"

struct hold_backend_options {
    uint32_t n_threads;    /* CPU: 0 decides from affinity and cgroup quota */
    uint32_t device_index; /* GPU: which of the visible ones */
    bool is_deterministic; /* same bits for the same row in every batch, at the price of speed */
    const char *driver;    /* library with the driver's calls instead of the system's; NULL: the system's */
    const char *variant;   /* CPU: "avx512", "avx2", "neon", "plain"; NULL: the best that runs here */
};

struct hold_caps {
    char name[96];         /* for people: "cpu avx2, 4 threads", the GPU's product name */
    uint64_t memory_bytes; /* what the device has and what is free; 0: not known (the CPU: ask the cgroup) */
    uint64_t free_bytes;
    uint32_t n_threads;    /* CPU only */
    uint32_t alignment;    /* what tensors should be aligned to; element-aligned views still work */
    bool is_host;          /* device memory is host memory: weights may be used where a file is mapped */
    bool is_deterministic; /* what was asked for or better */
};

enum hold_fault { HOLD_FAULT_NONE, HOLD_FAULT_CALL /* this call failed, the device is fine */, HOLD_FAULT_STICKY };

struct hold_backend {
    uint32_t abi;     /* HOLD_BACKEND_ABI */
    const char *name; /* "ref", "cpu", "cuda" */

    /* The device. error receives a sentence when open returns -1: no driver, no device, too old. */
    int (*open)(const struct hold_backend_options *options, struct hold_device **ret_device, char *error, size_t error_bytes);
    void (*close)(struct hold_device *device); /* every stream closed, every allocation freed before */
    void (*caps)(struct hold_device *device, struct hold_caps *ret_caps);

    /* Streams. ret_stream belongs to the caller and must not move while open. */
    int (*stream_open)(struct hold_device *device, struct hold_stream *ret_stream);
    void (*stream_close)(struct hold_stream *s);
    int (*sync)(struct hold_stream *s);                  /* blocks until everything enqueued is done, tells what failed */
    enum hold_fault (*last_error)(struct hold_stream *s); /* class of the last failure on this stream */

    /* Memory. alloc blocks, gives at least 256-byte alignment, contents undefined; bytes > 0. free accepts NULL and waits for
     * the stream. The copies are enqueued; the host side must stay untouched until sync. fill writes the byte. */
    int (*alloc)(struct hold_stream *s, size_t bytes, void **ret_data);
    void (*free)(struct hold_stream *s, void *data);
    int (*copy_in)(struct hold_stream *s, void *to_device, const void *from_host, size_t bytes);
    int (*copy_out)(struct hold_stream *s, void *to_host, const void *from_device, size_t bytes);
    int (*copy)(struct hold_stream *s, void *to_device, const void *from_device, size_t bytes); /* not overlapping */
    int (*fill)(struct hold_stream *s, void *data, uint8_t byte, size_t bytes);
    /* Blocking. Over the little-endian 64-bit words w_i of the range (the tail padded with zeros): the sum modulo 2^64 of
     * hold_checksum_mix(w_i, i), so that any order of summing gives the same number. */
    int (*checksum)(struct hold_stream *s, const void *data, size_t bytes, uint64_t *ret_sum);

    /* Operations: the contract headers say what each does. */
    int (*rmsnorm)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps);
    int (*layernorm)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b, float eps);
    int (*add)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b);
    int (*swiglu)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u);
    int (*gelu)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);
    int (*gather_rows)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 table, struct hold_t2 ids);
    int (*matmul)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b);
    int (*rope_angles)(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv, struct hold_t2 axis);
    int (*rope)(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim, enum hold_rope_pairs pairs);
    int (*kv_append)(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k, struct hold_t2 v,
                     const struct hold_places *places);
    int (*attend)(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
                  const struct hold_places *places, float scale, uint32_t max_index);
    int (*attend_full)(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v,
                       uint32_t head_dim, float scale);
    int (*add_position)(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h, uint32_t w);
    int (*topk)(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x);
    int (*convert)(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x);

    /* The layers, the final norm and the logits of one batch as one call, fused as the backend likes: same result as the
     * operations one by one (runtime/model/forward.c), within their tolerances. NULL: the model calls them one by one. */
    int (*step)(struct hold_stream *s, const struct hold_step *step);
};

/* The plainest C: what tests believe. And the fast one for hosts. */
extern const struct hold_backend hold_backend_ref;
extern const struct hold_backend hold_backend_cpu;

static inline uint64_t hold_checksum_mix(uint64_t word, uint64_t index) {
    uint64_t z = word + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif
