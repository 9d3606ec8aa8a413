/* device.h - which backend runs, opened. Floor: runtime/engine. */
#ifndef HOLD_RUNTIME_ENGINE_DEVICE_H
#define HOLD_RUNTIME_ENGINE_DEVICE_H

#include "base/err.h"
#include "kernels/backend.h"

struct hold_device_wish {
    const char *backend; /* "auto": CUDA where it can be used, else the CPU; "cuda", "cpu", "ref": that one or an error */
    const char *library; /* the plug-in; NULL: PREFIX/lib/holdfast/libholdfast-cuda.so, PREFIX from /proc/self/exe */
    struct hold_backend_options options;
};

struct hold_opened {
    const struct hold_backend *backend;
    struct hold_device *device;
    struct hold_stream stream; /* must not move while open */
    struct hold_caps caps;
    char why[256]; /* "": what was wished for; otherwise why a lesser backend runs */
};

/* Opens a device and one stream. ret is the caller's, at an address that stays. Fails with CONFIG (unknown name) or DEVICE. */
HOLD_MUST int hold_device_open(const struct hold_device_wish *wish, struct hold_opened *ret, struct hold_err *err);
void hold_device_close(struct hold_opened *opened); /* accepts a zeroed struct */

#endif
