/* caps.h - capability sets of this process, through libcap. Floor: supervisor/host. The only includer of libcap. */
#ifndef HOLD_HOST_CAPS_H
#define HOLD_HOST_CAPS_H

#include "base/err.h"
#include "supervisor/policy/sandbox_plan.h"

/* Fills the capability facts: has_setpcap, has_setuid, has_setgid, has_any_capability, is_bounding_empty. */
void hold_caps_find(struct hold_sandbox_facts *facts);

/* Parent, before fork: makes the empty state that hold_caps_clear applies. Allocates once. */
HOLD_MUST int hold_caps_prepare(struct hold_err *err);

/* Child; each is one or a few system calls, allocates nothing, returns 0 or -1 with errno. */
int hold_caps_clear_ambient(void);
int hold_caps_drop_bounding(void);
int hold_caps_set_securebits(unsigned bits);
int hold_caps_clear(void);

#endif
