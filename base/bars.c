/* bars.c - progress on a terminal. Floor: base. */
#include "base/bars.h"

#include "base/list.h"
#include "base/term.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CELLS = 24, DRAW_EVERY_MS = 100, SMOOTH_MS = 2000 };

static void human(double bytes, char *out, size_t out_bytes) {
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    size_t unit = 0;
    for (; bytes >= 999.5 && unit + 1 < HOLD_COUNT_OF(units); unit++)
        bytes /= 1000;
    snprintf(out, out_bytes, unit && bytes < 99.95 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void time_left(const struct hold_bar *bar, char *out, size_t out_bytes) {
    out[0] = '\0';
    if (!bar->total || bar->done >= bar->total || bar->per_second < 1)
        return;
    double seconds = (double) (bar->total - bar->done) / bar->per_second;
    uint64_t s = seconds < 360000 ? (uint64_t) (seconds + 0.5) : 360000;
    if (s < 60)
        snprintf(out, out_bytes, "  %u s left", (unsigned) s);
    else if (s < 3600)
        snprintf(out, out_bytes, "  %u min %02u s left", (unsigned) (s / 60), (unsigned) (s % 60));
    else if (s < 360000)
        snprintf(out, out_bytes, "  %u h %02u min left", (unsigned) (s / 3600), (unsigned) (s % 3600 / 60));
    else
        snprintf(out, out_bytes, "  over 99 h left");
}

/* The last n bytes of a label, whole characters. */
static const char *tail(const char *label, size_t n) {
    size_t have = strlen(label);
    const char *at = have > n ? label + have - n : label;
    while ((*at & 0xc0) == 0x80)
        at++;
    return at;
}

void hold_bar_text(const struct hold_bar *bar, size_t width, struct hold_buf *out) {
    /* Columns depend on the width alone, so that bars stand below each other. */
    static const struct { size_t width, label, cells; } looks[] = { { 100, 28, 24 }, { 90, 24, 16 }, { 76, 16, 10 }, { 44, 16, 0 }, { 0, 12, 0 } };
    size_t look = 0;
    while (width < looks[look].width)
        look++;
    char have[32], want[32] = "?", bytes[80], rate[48] = "", left[48], cells[MAX_CELLS + 1];
    double part = bar->total ? (double) HOLD_MIN(bar->done, bar->total) / (double) bar->total : 0;
    size_t n_cells = looks[look].cells, label_n = looks[look].label;
    for (size_t i = 0; i < n_cells; i++)
        cells[i] = (double) i < part * (double) n_cells ? '#' : '.';
    cells[n_cells] = '\0';
    human((double) bar->done, have, sizeof have);
    if (bar->total)
        human((double) bar->total, want, sizeof want);
    snprintf(bytes, sizeof bytes, "  %7s / %-7s", have, want);
    if (bar->per_second >= 1) {
        human(bar->per_second, want, sizeof want);
        snprintf(rate, sizeof rate, "  %7s/s", want);
    }
    time_left(bar, left, sizeof left);
    size_t at = out->n;
    hold_buf_addf(out, "%-*s %s%s%s", (int) label_n, tail(bar->label, label_n), n_cells ? "[" : "", cells, n_cells ? "] " : "");
    if (bar->total)
        hold_buf_addf(out, "%3d%%", (int) (part * 100)); /* 100 only when all of it is there */
    else
        hold_buf_adds(out, "   ?");
    const char *const optional[] = { bytes, rate, left };
    for (size_t i = 0; i < HOLD_COUNT_OF(optional) && out->n - at + strlen(optional[i]) <= width; i++)
        hold_buf_adds(out, optional[i]);
    while (out->n > at && out->data && out->data[out->n - 1] == ' ')
        out->n--;
}

/* ---- on the terminal ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t n_drawn;    /* lines above the cursor that are ours */
static bool was_cleared;  /* somebody writes a line: the next drawing waits its turn */

static void erase(void) {
    if (n_drawn)
        fprintf(stderr, "\033[%zuA\r\033[J", n_drawn);
    n_drawn = 0;
}

static void draw(const struct hold_bar *bars, size_t n) {
    size_t width = hold_term_width(STDERR_FILENO) - 1; /* a full line would wrap */
    hold_autobuf text = hold_buf_with_max(16u << 10);
    for (size_t i = 0; i < n; i++) {
        hold_bar_text(&bars[i], width, &text);
        hold_buf_addc(&text, '\n');
    }
    erase();
    if (text.data && fwrite(text.data, 1, text.n, stderr) == text.n)
        n_drawn = n;
    fflush(stderr);
}

void hold_bars_open(struct hold_bars *bars, uint64_t now_ms) {
    *bars = (struct hold_bars) { .begun_ms = now_ms, .is_tty = isatty(STDERR_FILENO) };
}

static void add_rate(const struct hold_bars *bars, struct hold_bar *bar, uint64_t passed_ms) {
    for (size_t i = 0; i < bars->n; i++) {
        const struct hold_bar *last = &bars->at[i];
        if (strcmp(last->label, bar->label) != 0)
            continue;
        double now = bar->done > last->done && passed_ms ? (double) (bar->done - last->done) * 1000 / (double) passed_ms : 0;
        double weight = last->per_second > 0 ? (double) passed_ms / (double) (passed_ms + SMOOTH_MS) : 1;
        bar->per_second = last->per_second + (now - last->per_second) * weight;
        return;
    }
}

void hold_bars_step(struct hold_bars *bars, const struct hold_bar *now, size_t n, uint64_t now_ms) {
    if (!bars->is_tty || (bars->stepped_ms && now_ms - bars->stepped_ms < DRAW_EVERY_MS))
        return;
    struct hold_bar next[HOLD_BARS_MAX];
    n = HOLD_MIN(n, (size_t) HOLD_BARS_MAX);
    memcpy(next, now, n * sizeof *now);
    for (size_t i = 0; i < n; i++)
        add_rate(bars, &next[i], now_ms - bars->stepped_ms);
    memcpy(bars->at, next, n * sizeof *next);
    bars->n = n;
    bars->stepped_ms = now_ms;
    pthread_mutex_lock(&lock);
    if (!was_cleared)
        draw(bars->at, n);
    was_cleared = false;
    pthread_mutex_unlock(&lock);
}

void hold_bars_end(struct hold_bars *bars, const struct hold_bar *total, uint64_t now_ms) {
    if (!bars->is_tty)
        return;
    struct hold_bar last = *total;
    last.per_second = now_ms > bars->begun_ms ? (double) last.done * 1000 / (double) (now_ms - bars->begun_ms) : 0;
    pthread_mutex_lock(&lock);
    draw(&last, 1);
    n_drawn = 0;
    pthread_mutex_unlock(&lock);
}

void hold_bars_clear(void) {
    pthread_mutex_lock(&lock);
    erase();
    fflush(stderr);
    was_cleared = true;
    pthread_mutex_unlock(&lock);
}
