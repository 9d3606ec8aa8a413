/* bars.h - progress on a terminal: a bar for each file and one in total, redrawn in place. Floor: base.
 *
 *     l-00001-of-00004.safetensors [#########...............]  38%   1.9 GB / 5.0 GB   210 MB/s  15 s left
 *     fetch                        [####....................]  19%   3.8 GB / 20.0 GB  412 MB/s  39 s left */
#ifndef HOLD_BASE_BARS_H
#define HOLD_BASE_BARS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_BARS_MAX 9 /* lines, the total among them */

struct hold_bar {
    char label[64];      /* cut in front when it is longer: the end tells files apart */
    uint64_t done, total; /* bytes; total 0: unknown */
    double per_second;   /* kept by hold_bars_step */
};

/* One line of at most width columns, without a newline. What does not fit goes: time left first, then rate, bytes, bar. */
void hold_bar_text(const struct hold_bar *bar, size_t width, struct hold_buf *out);

/* What is on the terminal (standard error). Zeroed, then opened. */
struct hold_bars {
    struct hold_bar at[HOLD_BARS_MAX];
    size_t n;
    uint64_t begun_ms, stepped_ms;
    bool is_tty;
};
void hold_bars_open(struct hold_bars *bars, uint64_t now_ms);
/* Draws at most ten times a second, and nothing where standard error is no terminal. now: n bars (at most HOLD_BARS_MAX), the
 * total last; their rates are over the last seconds, found again by label. */
void hold_bars_step(struct hold_bars *bars, const struct hold_bar *now, size_t n, uint64_t now_ms);
/* The total alone stays, with the mean rate since the opening. */
void hold_bars_end(struct hold_bars *bars, const struct hold_bar *total, uint64_t now_ms);
/* Erases them, so that a log line stands alone; they come back a tenth of a second later. From any thread. */
void hold_bars_clear(void);

#endif
