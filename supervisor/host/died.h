/* died.h - from a death to its events: facts, diagnosis, fate, ending. Floor: host. */
#ifndef HOLD_HOST_DIED_H
#define HOLD_HOST_DIED_H

#include "supervisor/host/core.h"

/* The main process of a member was reaped with this wait status, or never came to be (then m->exec_status says why).
 * Reads what it still had to say, gathers facts, and posts EXIT_RETRY or EXIT_FATAL, and HEAL or MEMBER_* for the container. */
void hold_died_member(struct hold_core *core, struct hold_member *m, int wait_status, uint64_t now_ms);
/* The same for the job; posts JOB_*, nothing when we asked it to end. */
void hold_died_job(struct hold_core *core, int wait_status, uint64_t now_ms);
/* The exit code when nothing failed: the first member's that is not 0, or the signal's that stopped us. */
void hold_died_fix_ending(struct hold_core *core);

#endif
