/* term.h - what a person sees on a terminal: its width, and a table. Floor: base. */
#ifndef HOLD_BASE_TERM_H
#define HOLD_BASE_TERM_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A table whose columns are as wide as their widest cell (in characters, not bytes); the last column wraps at the width
 * of the terminal. cells: n_rows * n_cols strings, row 0 is the head. */
void hold_table(const char *const *cells, size_t n_rows, size_t n_cols, size_t width, struct hold_buf *out);
/* Columns of the terminal on fd, or 100. */
size_t hold_term_width(int fd);

#endif
