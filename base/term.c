/* term.c - bars and tables for people. Floor: base. */
#include "base/term.h"

#include "base/list.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_CELLS = 24, DRAW_EVERY_MS = 100 };

size_t hold_term_width(int fd) {
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 100;
}

static void human(double bytes, char *out, size_t out_bytes) {
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < HOLD_COUNT_OF(units); unit++)
        bytes /= 1000;
    snprintf(out, out_bytes, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

void hold_bar_open(struct hold_bar *bar, const char *label, uint64_t total, uint64_t now_ms) {
    *bar = (struct hold_bar) { .label = label, .total = total, .begun_ms = now_ms, .is_tty = isatty(STDERR_FILENO) };
}

static void draw(struct hold_bar *bar, uint64_t done, uint64_t now_ms, const char *end) {
    char cells[BAR_CELLS + 1], have[32], want[32] = "?", rate[32], left[32] = "";
    double seconds = (double) (now_ms - bar->begun_ms) / 1000;
    double per_second = seconds > 0 ? (double) done / seconds : 0;
    double share = bar->total ? (double) HOLD_MIN(done, bar->total) / (double) bar->total : 0;
    for (int i = 0; i < BAR_CELLS; i++)
        cells[i] = (double) i < share * BAR_CELLS ? '#' : '.';
    cells[BAR_CELLS] = '\0';
    human((double) done, have, sizeof have);
    human(per_second, rate, sizeof rate);
    if (bar->total) {
        human((double) bar->total, want, sizeof want);
        if (per_second > 0 && done < bar->total)
            snprintf(left, sizeof left, "  %.0f s left", (double) (bar->total - done) / per_second);
    }
    fprintf(stderr, "\r\033[K%-28.28s [%s] %3.0f%%  %s / %s  %s/s%s%s", bar->label, cells, share * 100, have, want, rate, left, end);
    fflush(stderr);
}

void hold_bar_step(struct hold_bar *bar, uint64_t done, uint64_t now_ms) {
    bar->last_done = done;
    if (!bar->is_tty || (bar->drawn_ms && now_ms - bar->drawn_ms < DRAW_EVERY_MS))
        return;
    bar->drawn_ms = now_ms;
    draw(bar, done, now_ms, "");
}

void hold_bar_end(struct hold_bar *bar, uint64_t done, uint64_t now_ms) {
    if (bar->is_tty)
        draw(bar, done, now_ms, "\n");
}

void hold_bar_clear(void) {
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    fflush(stderr);
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
