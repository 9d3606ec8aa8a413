/* clock.h - the errands' only clock and only wait. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_CLOCK_H
#define HOLD_SUPERVISOR_JOB_CLOCK_H

#include <stdint.h>

/* Milliseconds of the monotonic clock; counts while the machine sleeps too (CLOCK_BOOTTIME), as a deadline should. */
uint64_t hold_job_now_ms(void);
/* 32 random bits for jitter and names. */
uint32_t hold_job_random(void);

#endif
