/* pool.h - the threads of the CPU backend. Floor: kernels/cpu.
 *
 * Work is cut into pieces that are dealt by a counter, so that a thread that the kernel takes away delays nobody but its own
 * piece. An idle thread spins for at most 20 us, then sleeps on a futex. One caller at a time. */
#ifndef HOLD_KERNELS_CPU_POOL_H
#define HOLD_KERNELS_CPU_POOL_H

#include <stdint.h>

struct hold_pool;

/* What may run at once here: the CPUs this process may use, and no more than its cgroup's quota pays for; 1..64. */
uint32_t hold_pool_default_threads(void);
/* n_threads 1..64, the caller's own counted. Threads that cannot be made are done without. NULL: no memory. */
struct hold_pool *hold_pool_new(uint32_t n_threads);
void hold_pool_free(struct hold_pool *pool); /* accepts NULL; joins the threads */
uint32_t hold_pool_threads(const struct hold_pool *pool);
/* Calls piece(context, i) once for each i < n, from several threads in no order; returns when all are done. What the
 * pieces wrote is visible then. */
void hold_pool_run(struct hold_pool *pool, uint32_t n, void (*piece)(void *context, uint32_t i), void *context);

#endif
