/* driven-clock.c - holdfast with a clock that a test can set: base/clock.h's one function, plus an offset a clock that stands as
 * two numbers of milliseconds, loop and wall, in the file of HOLD_TEST_CLOCK (read at each look; none: no offset). Test part. */
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t hold_clock_ms(enum hold_clock which) {
    long long offset[2] = { 0, 0 };
    const char *path = getenv("HOLD_TEST_CLOCK");
    FILE *in = path ? fopen(path, "re") : NULL;
    if (in) {
        if (fscanf(in, "%lld %lld", &offset[HOLD_CLOCK_LOOP], &offset[HOLD_CLOCK_WALL]) != 2)
            offset[HOLD_CLOCK_LOOP] = offset[HOLD_CLOCK_WALL] = 0;
        fclose(in);
    }
    struct timespec t;
    clock_gettime(which == HOLD_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t);
    return (uint64_t) ((long long) t.tv_sec * 1000 + t.tv_nsec / 1000000 + (which == HOLD_CLOCK_LOOP ? 1000000000 : 0) + offset[which]); /* room to jump back */
}
