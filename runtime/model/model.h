/* model.h - the model as the engine holds it: dimensions with names, one view per role. Floor: runtime/model.
 *
 * Only runtime/engine/load.c makes a struct hold_weights: having one is the proof that every tensor is there, has its
 * shape and lies on the device. */
#ifndef HOLD_RUNTIME_MODEL_MODEL_H
#define HOLD_RUNTIME_MODEL_MODEL_H

#include "kernels/backend.h"
#include "runtime/plan/plan.h"

/* One block of the vision tower; matrices [out, in], no bias anywhere. */
struct hold_block {
    struct hold_t2 norm1, norm2, qkv /* rows: q, k, v */, proj, gate, up, down;
};

struct hold_tower {
    uint32_t depth, hidden, n_heads, head_dim, mlp, out, merger_mlp;
    uint32_t patch_len;     /* elements of one patch row: channels * temporal_patch * patch * patch */
    uint32_t merge;         /* merge x merge patches become one row */
    uint32_t position_side; /* side of the learned position table */
    float eps, theta;
    struct hold_t2 patch /* [hidden, patch_len] */, patch_bias, conv_norm, position /* [side * side, hidden] */, post_norm;
    struct hold_t2 downsample; /* [out, merge * merge * hidden], columns (a * merge + b) * hidden + c: reordered at load */
    struct hold_t2 downsample_bias;
    struct hold_t2 merger_proj, merger_norm, merger_norm_bias, merger_gate, merger_up, merger_down;
    const struct hold_block *blocks; /* depth of them */
};

/* Views into device memory; the struct and its arrays belong to whoever loaded them (hold_weights_release). */
struct hold_weights {
    struct hold_record record; /* copied from the plan */
    enum hold_dtype act;       /* type of activations and cache: f32 or bf16 */
    struct hold_decoder decoder;
    struct hold_tower tower;   /* depth 0: text only */
    struct hold_layer *layers; /* behind decoder.layers */
    struct hold_block *blocks; /* behind tower.blocks */
};

#endif
