/* safetensors.h - the header of a safetensors file to a checked directory. Floor: runtime/weights, pure.
 *
 * Layout: u64 little-endian header length, JSON header, data. Checked here: the length, strict JSON, unique names, known
 * dtypes, size of each entry against shape and dtype, and that the entries cover the data area without gap or overlap. */
#ifndef HOLD_RUNTIME_WEIGHTS_SAFETENSORS_H
#define HOLD_RUNTIME_WEIGHTS_SAFETENSORS_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

#define HOLD_ST_MAX_HEADER_BYTES UINT64_C(100000000) /* the safetensors library's own */
#define HOLD_ST_MAX_TENSORS 100000u
#define HOLD_ST_MAX_DIMS 8u

struct hold_st_tensor {
    const char *name;  /* in the directory's arena */
    const char *dtype; /* as the file spells it: "BF16" */
    uint32_t n_dims;   /* 0: a scalar */
    uint64_t dims[HOLD_ST_MAX_DIMS];
    uint64_t offset, bytes; /* from the start of the file */
};

/* Tensors sorted by name. Lives in the arena it was made in. */
struct hold_st {
    const struct hold_st_tensor *tensors;
    size_t n_tensors;
    uint64_t data_offset; /* where the data area begins */
};

/* bytes, n: the whole file, of which only the header is read. what names it in messages. Fails with FORMAT or LIMIT. */
HOLD_MUST int hold_st_parse(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_st *ret_st,
                            struct hold_err *err);
/* What a file that should hold weights is instead (a git-lfs pointer, a web page), or NULL. */
const char *hold_weights_disguise(const void *bytes, size_t n);
/* NULL when there is none of that name. */
const struct hold_st_tensor *hold_st_find(const struct hold_st *st, const char *name);

#endif
