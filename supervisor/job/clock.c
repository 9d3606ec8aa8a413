/* clock.c - the errands' only clock. Floor: supervisor/job. */
#include "supervisor/job/clock.h"

#include <sys/random.h>
#include <unistd.h>

uint64_t hold_job_now_ms(void) {
    struct timespec now = { 0 };
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

void hold_job_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

struct timespec hold_job_in_ms(uint64_t ms) {
    struct timespec at = { 0 };
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t) (ms / 1000);
    at.tv_nsec += (long) (ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000)
        at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}

uint32_t hold_job_random(void) {
    uint32_t bits = 0;
    /* Before the pool is ready (early boot) the clock is random enough for jitter; names are O_EXCL anyway. */
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits) {
        struct timespec now = { 0 };
        clock_gettime(CLOCK_MONOTONIC, &now);
        bits = (uint32_t) now.tv_nsec * 2654435761u ^ (uint32_t) getpid();
    }
    return bits;
}
