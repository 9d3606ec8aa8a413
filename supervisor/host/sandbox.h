/* sandbox.h - performs a sandbox plan in the new child, finds what this machine allows, and checks the result from outside.
 * Floor: supervisor/host. The order and content of a sandbox are policy/sandbox_plan.c; this file only obeys.
 *
 *     parent, once:        hold_sandbox_protect_self(); hold_sandbox_facts_find(&facts);
 *     parent, each child:  hold_sandbox_plan_for(&request, &facts, &plan, err); hold_sandbox_prepare(&plan, err);
 *     child after fork:    descriptors laid out; if (hold_sandbox_enter(&plan, &fail) < 0) report fail and _exit;
 *                          hold_sandbox_exec(&plan, path, argv, envp); report errno and _exit;
 *     parent, after exec:  hold_sandbox_layers(&plan, pid, layers) for status and log */
#ifndef HOLD_HOST_SANDBOX_H
#define HOLD_HOST_SANDBOX_H

#include "base/buf.h"
#include "supervisor/policy/sandbox_plan.h"

#include <sys/types.h>

/* Asks the kernel what it allows this process. Never fails: what cannot be had is in the facts with its errno. Opens and
 * keeps nothing, forks nothing. Call after the signal set-up, before the first plan. */
void hold_sandbox_facts_find(struct hold_sandbox_facts *ret_facts);

/* Supervisor only, at start: no core file, not dumpable, so that a child of the same user can neither trace it nor read
 * its memory or environment. From here on a process that is not root cannot open its own /proc/self/{environ,mem,io} or
 * write /proc/self/oom_score_adj: do that before. */
void hold_sandbox_protect_self(void);

/* Supervisor only, first of all: moves every secret of the environment (hold_sandbox_is_secret) out of the block that
 * /proc/<pid>/environ shows into locked memory, overwrites the old bytes and lets env point to the new ones, which live for
 * ever. clearenv would leave the bytes where they are. Returns how many were moved, or -1 with errno when there is no memory
 * (then nothing was moved). */
int hold_sandbox_hide_secrets(char **env);

/* Parent, before fork: compiles the filters of the plan (kept for the life of the process, one set for each profile, so
 * that a restart costs nothing) and makes the empty capability state. Allocates on the first call for a profile. */
HOLD_MUST int hold_sandbox_prepare(const struct hold_sandbox_plan *plan, struct hold_err *err);

/* Which operation failed; plain data, fit for the exec-error pipe. */
struct hold_sandbox_fail {
    uint32_t op; /* index into plan->ops */
    int32_t sys; /* errno */
};

/* Child, between fork and exec, after its descriptors are laid out: performs the operations in order and stops at the
 * first that fails (-1, *ret_fail filled). Async-signal-safe, allocates nothing. Descriptors that are neither 0-2 nor
 * kept are closed, except `report_fd` (-1: none), which must be close-on-exec. After success only hold_sandbox_exec, write
 * on open descriptors and _exit may be called. With a plan of level OFF it does nothing. */
HOLD_MUST int hold_sandbox_enter(const struct hold_sandbox_plan *plan, int report_fd, struct hold_sandbox_fail *ret_fail);

/* Child: the one execve that the exec-once filter lets through. Returns only on failure, with errno set. path is absolute. */
void hold_sandbox_exec(const struct hold_sandbox_plan *plan, const char *path, char *const argv[], char *const envp[]);

/* Parent: turns what the child reported into a sentence with the operation, its path and the errno. Returns -1, code DENIED. */
int hold_sandbox_fail_say(const struct hold_sandbox_plan *plan, const struct hold_sandbox_fail *fail, struct hold_err *err);

struct hold_layer_report {
    struct hold_layer_note note; /* the plan's word, or MISSING when the kernel contradicts it */
    bool is_verified;            /* seen from outside: /proc/<pid>/status */
};

/* Parent, after exec: the plan's layers held against /proc/<pid>/status (no-new-privs, seccomp mode and number of
 * filters, capability sets, user ids). Layers that leave no trace there (Landlock, limits) keep is_verified false.
 * Blocks on nothing; a process that is gone leaves all unverified. */
void hold_sandbox_layers(const struct hold_sandbox_plan *plan, pid_t pid, struct hold_layer_report ret_layers[HOLD_LAYER_COUNT]);

/* The same, and the plan's notes become what was seen, so that whoever shows them shows the truth. Bit i of *ret_verified: layer
 * i was seen. False when the kernel contradicts the plan. */
bool hold_sandbox_settle(struct hold_sandbox_plan *plan, pid_t pid, uint32_t *ret_verified);

/* Adds the names of the layers in one of the states (bits 1 << enum hold_layer_state) and among the given ones (bits 1 << enum
 * hold_layer), separated by commas, each that is not wholly on with its reason. */
void hold_sandbox_name_layers(const struct hold_sandbox_plan *plan, uint32_t states, uint32_t among, struct hold_buf *b);

#endif
