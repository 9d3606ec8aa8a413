/* clock.c - the kernel's clocks. Floor: base. */
#include "base/clock.h"

#include <time.h>

uint64_t hold_clock_ms(enum hold_clock which) {
    struct timespec t;
    (void) clock_gettime(which == HOLD_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t); /* cannot fail for these */
    return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}
