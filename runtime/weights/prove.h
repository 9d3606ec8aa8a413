/* prove.h - every file of a model folder, as name and mapped bytes, to one plan. Floor: runtime/weights, pure.
 *
 * The verify job and `holdfast-runtime eval` both call it. Of the shards only the headers are read (a few pages), so a mapping is
 * enough; their content is proven by digest elsewhere. */
#ifndef HOLD_RUNTIME_WEIGHTS_PROVE_H
#define HOLD_RUNTIME_WEIGHTS_PROVE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed for the call. name is relative to the model folder. Files that are not needed (README.md) may be given or not. */
struct hold_model_file {
    const char *name;
    const void *data;
    size_t bytes;
};

struct hold_prove_options {
    bool needs_tokenizer;      /* a missing tokenizer.json is an error; else the plan has no token table */
    bool takes_other_template; /* a chat template that is not the known one is a warning, not an error */
    uint8_t digest[32];        /* the model's identity, handed through; zeros when unproven */
};

/* Reads config.json, generation_config.json, preprocessor_config.json (or processor_config.json), the chat template,
 * tokenizer.json, model.safetensors.index.json or model.safetensors and the headers of the shards; proves that they fit one
 * another; appends a plan to ret_plan (empty, maximum HOLD_PLAN_MAX_BYTES). ret_warnings gets one line a warning (may be NULL).
 * Fails with MISSING (a file), FORMAT (which file, what is wrong; up to ten findings about tensors, one a clause), LIMIT.
 * PyTorch checkpoints (pytorch_model.bin, .pth) are proven (torch.h), then refused with the conversion named. */
HOLD_MUST int hold_model_prove(const struct hold_model_file *files, size_t n_files, const struct hold_prove_options *options,
                               struct hold_buf *ret_plan, struct hold_buf *ret_warnings, struct hold_err *err);

/* Is this file of a model folder one that hold_model_prove reads (by its name alone)? For the caller that maps a folder. */
bool hold_model_file_is_read(const char *name);

#endif
