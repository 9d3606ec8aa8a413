/* fate.c - what follows a death. Floor: policy, pure. */
#include "supervisor/policy/fate.h"

static bool may_help(enum hold_action action) {
    switch (action) {
    case HOLD_ACTION_NONE:
    case HOLD_ACTION_RETRY:
    case HOLD_ACTION_RETRY_CLEAN:
    case HOLD_ACTION_WAIT:
        return true;
    case HOLD_ACTION_FIX_CONFIG:
    case HOLD_ACTION_NEW_POD:
    case HOLD_ACTION_NEW_NODE:
    case HOLD_ACTION_COUNT:
        break;
    }
    return false;
}

enum hold_fate hold_fate_of(const struct hold_fate_facts *f) {
    enum hold_fate final = f->is_clean ? HOLD_FATE_CLEAN : HOLD_FATE_FAILED;
    if (f->is_stopping || f->is_interrupted)
        return HOLD_FATE_CLEAN; /* asked for: whatever its status says, it is no failure of holdfast's charge */
    if (f->may_never || (f->is_clean && !f->may_always))
        return final;
    if (!may_help(f->action))
        return HOLD_FATE_FAILED;
    return f->budget_left ? HOLD_FATE_RETRY : HOLD_FATE_GAVE_UP;
}
