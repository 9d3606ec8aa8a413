/* term.h - what a person sees on a terminal: a progress bar and a table. Floor: base. */
#ifndef HOLD_BASE_TERM_H
#define HOLD_BASE_TERM_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line that is redrawn in place on a terminal, and nothing elsewhere. now_ms is the caller's monotonic clock. */
struct hold_bar {
    const char *label; /* borrowed */
    uint64_t total;    /* bytes; 0: unknown */
    uint64_t begun_ms, drawn_ms;
    uint64_t last_done;
    bool is_tty;
};
void hold_bar_open(struct hold_bar *bar, const char *label, uint64_t total, uint64_t now_ms);
/* Draws at most ten times a second: label, bar, per cent, done / total, rate, time left. */
void hold_bar_step(struct hold_bar *bar, uint64_t done, uint64_t now_ms);
/* Last state and a newline. */
void hold_bar_end(struct hold_bar *bar, uint64_t done, uint64_t now_ms);

/* Erases the bar's line on a terminal (standard error), so that a log line stands alone; the next step draws it again. */
void hold_bar_clear(void);

/* A table whose columns are as wide as their widest cell (in characters, not bytes); the last column wraps at the width
 * of the terminal. cells: n_rows * n_cols strings, row 0 is the head. */
void hold_table(const char *const *cells, size_t n_rows, size_t n_cols, size_t width, struct hold_buf *out);
/* Columns of the terminal on fd, or 100. */
size_t hold_term_width(int fd);

#endif
