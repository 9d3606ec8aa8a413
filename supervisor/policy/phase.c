/* phase.c - the published phase. Floor: policy, pure. */
#include "supervisor/policy/phase.h"

/* From least to most ready. */
static const uint8_t rank[HOLD_MEMBER_COUNT] = {
    [HOLD_MEMBER_ENDED] = 0,   [HOLD_MEMBER_REAPING] = 1, [HOLD_MEMBER_RECYCLING] = 2, [HOLD_MEMBER_BACKOFF] = 3, [HOLD_MEMBER_WAITING] = 4,
    [HOLD_MEMBER_LOADING] = 5, [HOLD_MEMBER_WARMING] = 6, [HOLD_MEMBER_DRAINING] = 7,  [HOLD_MEMBER_UNREADY] = 8, [HOLD_MEMBER_READY] = 9,
};

const char *hold_phase_fold(enum hold_container_state container, const enum hold_member_state *members, size_t n_members) {
    if (container != HOLD_CONTAINER_UP || n_members == 0)
        return hold_container_state_name(container);
    enum hold_member_state least = members[0];
    for (size_t i = 1; i < n_members; i++)
        if (rank[members[i]] < rank[least])
            least = members[i];
    return hold_member_state_name(least);
}

bool hold_phase_is_ready(enum hold_container_state container, const enum hold_member_state *members, size_t n_members) {
    if (container != HOLD_CONTAINER_UP || n_members == 0)
        return false;
    for (size_t i = 0; i < n_members; i++)
        if (members[i] != HOLD_MEMBER_READY)
            return false;
    return true;
}
