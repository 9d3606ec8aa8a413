/* phase.h - the published phase: a fold over container and members. Floor: policy, pure. */
#ifndef HOLD_POLICY_PHASE_H
#define HOLD_POLICY_PHASE_H

#include "supervisor/policy/container.h"

#include <stddef.h>

/* The name that /status, the termination message, metrics and the members are told: the container's state until UP, then
 * the least ready member's. A literal from base/phase.def, so two phases are the same when the pointers' texts are. */
const char *hold_phase_fold(enum hold_container_state container, const enum hold_member_state *members, size_t n_members);
/* True when the container is UP and every member is READY: what /readyz answers. */
bool hold_phase_is_ready(enum hold_container_state container, const enum hold_member_state *members, size_t n_members);

#endif
