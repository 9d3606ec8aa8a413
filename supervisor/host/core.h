/* core.h - process 1's whole state: one container, its members and their clocks; turns happenings into events, steps the
 * two tables and has act.c perform the actions. Floor: host. */
#ifndef HOLD_HOST_CORE_H
#define HOLD_HOST_CORE_H

#include "supervisor/host/config.h"
#include "supervisor/host/view.h"

struct hold_core;

/* A picture of this moment; allocates nothing. */
void hold_core_view(const struct hold_core *core, uint64_t now_ms, struct hold_view *ret_view);

#endif
