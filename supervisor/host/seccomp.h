/* seccomp.h - the three filters of a sandboxed child. Floor: supervisor/host. The only includer of libseccomp.
 *
 *   args   default allow: what an allowed call may not be given (the supervisor's pid, fast open, terminal injection, ...)
 *   calls  default EPERM: the calls of seccomp_allow.def for the profile, some by argument; a foreign architecture kills
 *   last   written by hand in the child, because it holds what only the child knows: unknown calls and clone3 answer
 *          ENOSYS, further filters EPERM; for our own profiles execve passes only with three secret words in the argument
 *          registers that execve ignores, so that it works exactly once, and signals reach the child itself only (not the
 *          preflight job, which ends a helper of its own)
 *
 * The most severe verdict counts, and of two errors the newest filter's; so the order above gives unknown calls ENOSYS. */
#ifndef HOLD_HOST_SECCOMP_H
#define HOLD_HOST_SECCOMP_H

#include "base/err.h"
#include "supervisor/policy/sandbox_plan.h"

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* Fills has_seccomp and seccomp_errno. */
void hold_seccomp_find(struct hold_sandbox_facts *facts);

/* Parent, before fork: compiles args and calls for the plan's profile, once in the life of the process for each profile with
 * and without datagrams (and again when the supervisor's pid or W^X differ). Allocates. */
HOLD_MUST int hold_seccomp_prepare(const struct hold_sandbox_plan *plan, struct hold_err *err);

/* Child: loads a prepared filter; 0 or -1 with errno. EINVAL when it was not prepared. */
int hold_seccomp_load_args(const struct hold_sandbox_plan *plan);
int hold_seccomp_load_calls(const struct hold_sandbox_plan *plan);

enum { HOLD_TICKET_WORDS = 3 };

/* Child: writes and loads the last filter. own_pid and ticket are read for a plan with is_exec_once only. */
int hold_seccomp_load_last(const struct hold_sandbox_plan *plan, uint32_t own_pid, const uint64_t ticket[HOLD_TICKET_WORDS]);

enum { HOLD_LAST_FILTER_MAX = 64 };
/* The last filter's program, for its tests. Returns the number of instructions. */
size_t hold_seccomp_write_last(const struct hold_sandbox_plan *plan, uint32_t own_pid, const uint64_t ticket[HOLD_TICKET_WORDS],
                               struct sock_filter ret_code[HOLD_LAST_FILTER_MAX]);

/* The compiled program of a prepared plan, also for tests that simulate it; NULL when not prepared. */
const struct sock_filter *hold_seccomp_program(const struct hold_sandbox_plan *plan, bool is_calls, size_t *ret_n);

#endif
