/* spec.h - the names that a record's tensors have in a checkpoint. Floor: runtime/weights, pure.
 *
 * Which roles there are, how often and in what shape is said by runtime/plan/plan.h; here stand the names. Older checkpoints used
 * `model.layers...` and `visual...` for what is now `model.language_model.layers...` and `model.visual...`: both are known. */
#ifndef HOLD_RUNTIME_WEIGHTS_SPEC_H
#define HOLD_RUNTIME_WEIGHTS_SPEC_H

#include "base/arena.h"
#include "base/err.h"
#include "runtime/plan/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_SPEC_NAME_BYTES 128

struct hold_spec_row {
    enum hold_role role;
    uint32_t layer;
    uint32_t n_dims;
    uint64_t dims[HOLD_PLAN_MAX_DIMS];
};

/* Every tensor the record needs, sorted by role, then layer; in the arena. Fails with LIMIT. */
HOLD_MUST int hold_spec_for(const struct hold_record *record, struct hold_arena *arena, const struct hold_spec_row **ret_rows,
                            size_t *ret_n, struct hold_err *err);
/* The name in today's checkpoints ("model.language_model.layers.3.mlp.down_proj.weight"; without "language_model." for a
 * text-only model). out always terminated. */
void hold_spec_name(const struct hold_record *record, enum hold_role role, uint32_t layer, char out[HOLD_SPEC_NAME_BYTES]);
/* A name of a checkpoint, today's or an older one, to role and layer; false when the record has no such tensor. */
bool hold_spec_find(const struct hold_record *record, const char *name, enum hold_role *ret_role, uint32_t *ret_layer);

#endif
