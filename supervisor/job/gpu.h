/* gpu.h - what the NVIDIA driver says, through dlopen. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_GPU_H
#define HOLD_SUPERVISOR_JOB_GPU_H

#include "base/arena.h"
#include "supervisor/policy/preflight.h"

/* Device nodes, kernel module and, when there are nodes, the driver itself. The driver is asked in a child process that
 * is killed after timeout_ms: a broken driver can hang inside cuInit. Strings live in the arena. Never fails: what cannot
 * be had is said in ret. root: "" or a folder that stands for "/" (tests). */
void hold_gpu_facts(const char *root, uint64_t timeout_ms, struct hold_arena *arena, struct hold_fact_device *ret);

#endif
