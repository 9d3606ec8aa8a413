/* load.h - a plan and its files to struct hold_weights, tensor by tensor. Floor: runtime/engine. Blocks on file reads. */
#ifndef HOLD_RUNTIME_ENGINE_LOAD_H
#define HOLD_RUNTIME_ENGINE_LOAD_H

#include "base/err.h"
#include "runtime/model/model.h"

#include <stdbool.h>
#include <stdint.h>

struct hold_load {
    const struct hold_plan *plan;
    int dir_fd;          /* the model folder; files are opened below it, read-only */
    const int *file_fds; /* instead of dir_fd when not NULL: one descriptor per file of the plan, the caller's */
    enum hold_dtype act; /* f32 or bf16; anything else is refused by name */
    /* Called after each window with bytes of the checkpoint done so far and in all; false cancels the load (code BUSY). */
    bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
};

/* Who owns the bytes behind struct hold_weights. */
struct hold_loaded {
    struct hold_weights weights;
    struct hold_stream *stream;
    void *parts; /* private */
    uint64_t read_bytes, mapped_bytes; /* their sum is the sum of the plan's tensors */
    uint64_t device_bytes;             /* taken from the device for what was read */
};

/* f32 activations take f32 and bf16 weights as they are (f16 becomes f32); bf16 activations want bf16 weights. On a host
 * device a tensor that needs no conversion is used where its file is mapped, its pages brought in; everything else passes
 * through one window of at most 16 MiB. The files must not change while loaded. The stream is borrowed until hold_weights_release.
 * Fails with CONFIG (type refused), IO, FORMAT (a file is shorter than the plan says, a tensor missing or of another
 * shape), LIMIT, DEVICE. */
HOLD_MUST int hold_weights_load(const struct hold_load *load, struct hold_stream *s, struct hold_loaded *ret, struct hold_err *err);
void hold_weights_release(struct hold_loaded *loaded); /* accepts a zeroed struct */

#endif
