/* torch.h - a PyTorch checkpoint (zip or legacy) to a checked directory of tensors. Floor: runtime/weights, pure.
 *
 *   zip     NAME/data.pkl, NAME/data/KEY (one raw storage each), NAME/version, NAME/byteorder, NAME/.*; all stored
 *   legacy  five pickles (magic, protocol 1001, system, object, list of storage keys), then for each key a count and raw bytes
 *
 * Checked without executing anything: the container (zip.h), the pickle (pickle.h), that every storage that the pickle
 * names has its bytes, exactly as long as it says, that none is left over, and that each tensor lies inside its storage.
 * A TorchScript archive, a tar of PyTorch 0.1.1 and big-endian numbers are refused by name. */
#ifndef HOLD_RUNTIME_WEIGHTS_TORCH_H
#define HOLD_RUNTIME_WEIGHTS_TORCH_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/weights/safetensors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_TORCH_MAX_DEPTH 32u /* dictionaries and lists in one another */

struct hold_torch_tensor {
    const char *name;  /* keys and positions on the way to it, joined by '.'; "" when the checkpoint is one tensor */
    const char *dtype; /* as safetensors spells it: "BF16" */
    uint32_t n_dims;
    uint64_t dims[HOLD_ST_MAX_DIMS], strides[HOLD_ST_MAX_DIMS]; /* in elements */
    uint64_t offset;   /* of its first element, from the start of the file */
    uint64_t bytes;    /* of all its elements */
    bool is_contiguous;
};

/* Tensors sorted by name. Lives in the arena it was made in. */
struct hold_torch {
    const struct hold_torch_tensor *tensors;
    size_t n_tensors;
    uint64_t storage_bytes;
    bool is_legacy;
};

/* Does the file begin like a checkpoint of PyTorch, of whatever kind? */
bool hold_torch_begins(const void *bytes, size_t n);
/* bytes, n: the whole file, of which headers and pickles are read. what names it in messages. Fails with FORMAT (file, tensor,
 * rule) or LIMIT. */
HOLD_MUST int hold_torch_parse(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_torch *ret_torch,
                               struct hold_err *err);
/* NULL when there is none of that name. */
const struct hold_torch_tensor *hold_torch_find(const struct hold_torch *torch, const char *name);

#endif
