/* fate.h - what follows a member's death: a pure fold of diagnosis, restart policy and budget into one word. Floor: policy, pure. */
#ifndef HOLD_POLICY_FATE_H
#define HOLD_POLICY_FATE_H

#include "supervisor/policy/cause.h"

#include <stdbool.h>

enum hold_fate {
    HOLD_FATE_RETRY = 1, /* EXIT_RETRY */
    HOLD_FATE_CLEAN,     /* EXIT_FATAL: it ended well and nothing asks for another life */
    HOLD_FATE_FAILED,    /* EXIT_FATAL: final, and a failure */
    HOLD_FATE_GAVE_UP,   /* EXIT_FATAL: it might have been tried again, but the budget is spent */
};

struct hold_fate_facts {
    enum hold_action action;
    bool is_stopping;    /* a stop was asked: nothing follows, whatever the end */
    bool is_clean;       /* exit status 0 */
    bool is_interrupted; /* a person's Ctrl-C on the terminal that was handed to it */
    bool may_never, may_always; /* restart policy never, always; neither: on-failure */
    bool budget_left;
};

enum hold_fate hold_fate_of(const struct hold_fate_facts *f);

#endif
