/* clock.c - the errands' only clock. Floor: supervisor/job. */
#include "supervisor/job/clock.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

uint64_t hold_job_now_ms(void) {
    struct timespec now = { 0 };
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
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
