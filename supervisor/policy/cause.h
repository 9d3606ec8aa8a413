/* cause.h - every cause that a death can have, and what follows from it. Floor: supervisor/policy, pure.
 *
 * Two lists, one enum: cause.def (what a server dies of) and base/exit.def (the verdicts of holdfast's own programs, by
 * exit status). Names are what logs, metrics, the termination message and X_HOLDFAST_CAUSE carry. */
#ifndef HOLD_SUPERVISOR_POLICY_CAUSE_H
#define HOLD_SUPERVISOR_POLICY_CAUSE_H

#include <stddef.h>

#define HOLD_ACTION_LIST(X)                                                                              \
    X(NONE, "none", "nothing is wrong")                                                                  \
    X(FIX_CONFIG, "fix-config", "it will fail in the same way again: do not loop")                       \
    X(RETRY, "retry", "start the process again, with back-off")                                          \
    X(RETRY_CLEAN, "retry-clean", "delete or repair the bad file first, then start again")               \
    X(NEW_POD, "new-pod", "this container cannot recover; another on the same node can")                 \
    X(NEW_NODE, "new-node", "the node is at fault: drain it")                                            \
    X(WAIT, "wait", "something outside is missing: wait for it")

enum hold_action {
#define X(id, name, meaning) HOLD_ACTION_##id,
    HOLD_ACTION_LIST(X)
#undef X
    HOLD_ACTION_COUNT
};

enum hold_cause {
    HOLD_CAUSE_NONE, /* nothing is known */
#define CAUSE(id, name, action, exit, meaning, advice) HOLD_CAUSE_##id,
#include "supervisor/policy/cause.def"
#undef CAUSE
#define X(id, status, name, meaning, cure) HOLD_CAUSE_EXIT_##id,
#include "base/exit.def"
#undef X
    HOLD_CAUSE_COUNT
};

struct hold_cause_info {
    const char *name;
    enum hold_action action;
    int exit;            /* holdfast's own status when this cause is final; 0: the child's own */
    const char *meaning; /* one clause, lower case, no period */
    const char *advice;  /* what a person does about it */
};

/* Never NULL; out of range gives the row of NONE. */
const struct hold_cause_info *hold_cause_info(enum hold_cause cause);
/* By name, the first n bytes of it; NONE when unknown. */
enum hold_cause hold_cause_find(const char *name, size_t n);
const char *hold_action_name(enum hold_action action);
const char *hold_action_meaning(enum hold_action action);

#endif
