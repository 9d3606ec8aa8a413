/* slots.h - which view of struct hold_weights a tensor of the plan fills. Floor: runtime/engine, pure. */
#ifndef HOLD_RUNTIME_ENGINE_SLOTS_H
#define HOLD_RUNTIME_ENGINE_SLOTS_H

#include "runtime/model/model.h"

/* The view of a role and layer (0 for roles without layers), or NULL when the model has no such place. weights->layers and
 * weights->blocks must hold as many entries as the record says. */
struct hold_t2 *hold_slot_of(struct hold_weights *weights, uint32_t role, uint32_t number);

#endif
