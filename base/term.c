/* term.c - tables for people. Floor: base. */
#include "base/term.h"

#include "base/list.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

size_t hold_term_width(int fd) {
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 100;
}

/* Characters, counting each code point as one column. */
static size_t columns(const char *text, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; count++) {
        size_t length = hold_utf8_length((const unsigned char *) text + i, n - i);
        i += length ? length : 1;
    }
    return count;
}

/* How many bytes of text fit in width columns, broken at a blank where there is one. */
static size_t fit(const char *text, size_t width) {
    size_t n = 0, blank = 0, count = 0;
    while (text[n] && count < width) {
        size_t length = hold_utf8_length((const unsigned char *) text + n, strlen(text + n));
        n += length ? length : 1;
        count++;
        if (text[n] == ' ' || text[n] == '\0')
            blank = n;
    }
    return text[n] && blank ? blank : n;
}

static void add_blanks(struct hold_buf *out, size_t n) {
    while (n--)
        hold_buf_addc(out, ' ');
}

void hold_table(const char *const *cells, size_t n_rows, size_t n_cols, size_t width, struct hold_buf *out) {
    enum { MAX_COLS = 16 };
    size_t wide[MAX_COLS] = { 0 }, indent = 0;
    n_cols = HOLD_MIN(n_cols, (size_t) MAX_COLS);
    for (size_t col = 0; col + 1 < n_cols; col++) {
        for (size_t row = 0; row < n_rows; row++) {
            const char *cell = cells[row * n_cols + col];
            wide[col] = HOLD_MAX(wide[col], columns(cell, strlen(cell)));
        }
        indent += wide[col] + 2;
    }
    size_t room = width > indent + 20 ? width - indent : 20;
    for (size_t row = 0; row < n_rows; row++) {
        for (size_t col = 0; col + 1 < n_cols; col++) {
            const char *cell = cells[row * n_cols + col];
            hold_buf_adds(out, cell);
            add_blanks(out, wide[col] + 2 - columns(cell, strlen(cell)));
        }
        const char *last = cells[row * n_cols + n_cols - 1];
        do {
            size_t n = fit(last, room);
            hold_buf_add(out, last, n);
            hold_buf_addc(out, '\n');
            for (last += n; *last == ' '; last++)
                ;
            if (*last)
                add_blanks(out, indent);
        } while (*last);
    }
}
