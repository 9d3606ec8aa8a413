/* clock.h - the one function that asks the kernel for the time, for process 1 and for the log. Floor: base.
 *
 * A test that wants time to jump links another object with this one function (tests/helpers/driven-clock.c). */
#ifndef HOLD_BASE_CLOCK_H
#define HOLD_BASE_CLOCK_H

#include <stdint.h>

enum hold_clock {
    HOLD_CLOCK_LOOP, /* monotonic, suspended time left out: what deadlines are made of */
    HOLD_CLOCK_WALL, /* since 1970: for what people read; base/log.c alone asks for it */
};

/* Milliseconds. Cannot fail. */
uint64_t hold_clock_ms(enum hold_clock which);

#endif
