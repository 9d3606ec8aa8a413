/* clock.h - the errands' only clock and only wait. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_CLOCK_H
#define HOLD_SUPERVISOR_JOB_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds of the monotonic clock; counts while the machine sleeps too (CLOCK_BOOTTIME), as a deadline should. */
uint64_t hold_job_now_ms(void);
/* A condition whose timed waits end at a time of hold_job_in_ms, whatever is done to the wall clock meanwhile. Destroyed by its owner. */
void hold_job_cond_init(pthread_cond_t *cond);
/* The moment ms from now, for pthread_cond_timedwait. */
struct timespec hold_job_in_ms(uint64_t ms);
/* 32 random bits for jitter and names. */
uint32_t hold_job_random(void);

#endif
