/* cause.c - the two cause lists as one table. Floor: supervisor/policy, pure. */
#include "supervisor/policy/cause.h"

#include "base/list.h"

static const char *const action_names[HOLD_ACTION_COUNT] = {
#define X(id, name, meaning) [HOLD_ACTION_##id] = name,
    HOLD_ACTION_LIST(X)
#undef X
};

static const char *const action_meanings[HOLD_ACTION_COUNT] = {
#define X(id, name, meaning) [HOLD_ACTION_##id] = meaning,
    HOLD_ACTION_LIST(X)
#undef X
};

/* The action of an exit status: an identifier for each row of cause.def's second list, so that a missing row does not compile. */
enum {
#define EXIT_ACTION(id, action) EXIT_ACTION_##id = HOLD_ACTION_##action,
#include "supervisor/policy/cause.def"
#undef EXIT_ACTION
};

static const struct hold_cause_info infos[HOLD_CAUSE_COUNT] = {
    [HOLD_CAUSE_NONE] = { "", HOLD_ACTION_NONE, 0, "nothing is known", "" },
#define CAUSE(id, name, action, exit, meaning, advice) [HOLD_CAUSE_##id] = { name, HOLD_ACTION_##action, exit, meaning, advice },
#include "supervisor/policy/cause.def"
#undef CAUSE
#define X(id, status, name, meaning, cure) \
    [HOLD_CAUSE_EXIT_##id] = { name, (enum hold_action) EXIT_ACTION_##id, status, meaning, cure },
#include "base/exit.def"
#undef X
};

const struct hold_cause_info *hold_cause_info(enum hold_cause cause) {
    return &infos[(size_t) cause < HOLD_COUNT_OF(infos) ? (size_t) cause : 0];
}

enum hold_cause hold_cause_find(const char *name, size_t n) {
    for (size_t i = 1; i < HOLD_COUNT_OF(infos); i++)
        if (strlen(infos[i].name) == n && memcmp(infos[i].name, name, n) == 0)
            return (enum hold_cause) i;
    return HOLD_CAUSE_NONE;
}

const char *hold_action_name(enum hold_action action) {
    return hold_name_at(action_names, HOLD_COUNT_OF(action_names), (size_t) action);
}

const char *hold_action_meaning(enum hold_action action) {
    return hold_name_at(action_meanings, HOLD_COUNT_OF(action_meanings), (size_t) action);
}
