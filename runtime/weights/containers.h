/* containers.h - the weights of any model, by the rules of their containers alone. Floor: runtime/weights, pure.
 *
 * For servers that are not ours: what a model needs is theirs to know, but no file reaches them whose structure is wrong,
 * no shard that an index names is missing, and no pickle names anything that runs. */
#ifndef HOLD_RUNTIME_WEIGHTS_CONTAINERS_H
#define HOLD_RUNTIME_WEIGHTS_CONTAINERS_H

#include "runtime/weights/prove.h"

/* Does this name belong to a checkpoint of PyTorch that servers load? training_args.bin, optimizer.bin and its like do not:
 * they hold objects of the training program and no server opens them. */
bool hold_torch_name_is_weights(const char *name);
/* Is this file one that hold_containers_prove reads (by its name alone)? */
bool hold_containers_reads(const char *name);

/* Every *.safetensors (safetensors.h), every PyTorch checkpoint (torch.h; a .bin of another kind is let be), and every
 * *.safetensors.index.json and *.bin.index.json against the files beside it, both ways. The index of PyTorch shards that were
 * left out because safetensors lie beside it (as hub clients do) is only worth a warning. A checkpoint without weights is no error. ret_warnings gets one line a warning, and one each of up to ten differences of an index (may be NULL). Fails with
 * FORMAT (file, tensor, rule), MISSING (a shard) or LIMIT. */
HOLD_MUST int hold_containers_prove(const struct hold_model_file *files, size_t n_files, struct hold_buf *ret_warnings, struct hold_err *err);

#endif
