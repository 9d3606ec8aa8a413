/* config.h - the option table of holdfast-runtime, one for all roles. Floor: runtime.
 *
 * Process 1 passes what it was told as flags; by hand the same flags and variables work. */
#ifndef HOLD_RUNTIME_CONFIG_H
#define HOLD_RUNTIME_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"

#include <stdbool.h>
#include <stdint.h>

enum hold_rt_dtype { HOLD_RT_DTYPE_AUTO, HOLD_RT_DTYPE_BF16, HOLD_RT_DTYPE_F32, HOLD_RT_DTYPE_INT8 };

struct hold_rt_config {
    int log_level; /* enum hold_log_level */
    int log_format; /* auto json text */
    const char *plan;      /* a plan file, where no process 1 hands one over */
    const char *model_dir; /* the checkpoint's folder */
    /* front */
    const char *listen; /* an address to open, where no socket is handed over */
    struct hold_strs served_names;
    const char *api_key;
    int content_format; /* enum hold_content_format */
    bool parse_special;
    uint64_t max_body_bytes, max_total_bytes, max_connections, max_requests, max_images, max_pixels, idle_ms;
    /* engine */
    int device; /* auto cpu cuda ref */
    const char *backend_lib, *cuda_driver; /* "": the installed plug-in, the system's driver */
    int dtype;  /* enum hold_rt_dtype */
    bool is_deterministic;
    uint64_t n_threads, max_context, max_sessions, max_waiting, chunk_tokens, cache_bytes, memory_bytes;
};

extern const struct hold_opt hold_rt_rows[];
extern const size_t hold_rt_n_rows;

/* What the strings of a config live in; zeroed by the caller, released after the config. */
struct hold_rt_store {
    struct hold_buf text;
    enum hold_opt_source *sources;
};

/* argv[0] is skipped. All mistakes are in err, code CONFIG. Sets the level of the log. */
HOLD_MUST int hold_rt_config_load(int argc, char *const *argv, const char *const *environment, struct hold_rt_config *ret_config,
                                  struct hold_rt_store *store, struct hold_err *err);
void hold_rt_store_release(struct hold_rt_store *store);
/* "auto", "cpu", "cuda", "ref". */
const char *hold_rt_device_name(const struct hold_rt_config *config);

/* Descriptors that process 1 handed over by LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES: the one of this name, or -1. Sets
 * close-on-exec. */
int hold_handed_fd(const char *name);

#endif
