/* stop.c - stop strings across token borders. Floor: runtime/text, pure.
 *
 * One Knuth-Morris-Pratt machine for each string runs along the text. What must be held back is the longest beginning of a
 * stop string that the text ends with; since that never exceeds the longest string, a fixed array holds it. */
#include "runtime/text/stop.h"

#include "base/list.h"

#include <string.h>

int hold_stop_init(struct hold_stop *stop, const char *const *strings, size_t n_strings, struct hold_err *err) {
    if (n_strings > HOLD_STOP_MAX_STRINGS)
        return hold_fail(err, HOLD_E_CONFIG, 0, "%zu stop strings, the limit is %u", n_strings, HOLD_STOP_MAX_STRINGS);
    for (size_t i = 0; i < n_strings; i++) {
        const size_t n = strlen(strings[i]);
        if (n == 0 || n > HOLD_STOP_MAX_BYTES)
            return hold_fail(err, HOLD_E_CONFIG, 0, "stop string %zu has %zu bytes, allowed are 1 to %u", i, n, HOLD_STOP_MAX_BYTES);
    }
    stop->n_strings = n_strings;
    stop->n_held = 0;
    stop->is_stopped = false;
    for (size_t i = 0; i < n_strings; i++) {
        const size_t n = strlen(strings[i]);
        memcpy(stop->strings[i].text, strings[i], n);
        stop->strings[i].n = (uint16_t) n;
        stop->strings[i].matched = 0;
        /* fall[k]: length of the longest beginning of the string that ends its first k + 1 bytes, shorter than those */
        uint16_t length = 0;
        stop->strings[i].fall[0] = 0;
        for (size_t k = 1; k < n; k++) {
            while (length > 0 && strings[i][k] != strings[i][length])
                length = stop->strings[i].fall[length - 1];
            if (strings[i][k] == strings[i][length])
                length++;
            stop->strings[i].fall[k] = length;
        }
    }
    return 0;
}

/* One byte further; the longest beginning that the text now ends with. *ret_done: the length of a complete string, or 0. */
static size_t advance(struct hold_stop *stop, char c, size_t *ret_done) {
    size_t longest = 0;
    *ret_done = 0;
    for (size_t i = 0; i < stop->n_strings; i++) {
        uint16_t matched = stop->strings[i].matched;
        while (matched > 0 && stop->strings[i].text[matched] != c)
            matched = stop->strings[i].fall[matched - 1];
        if (stop->strings[i].text[matched] == c)
            matched++;
        stop->strings[i].matched = matched;
        longest = HOLD_MAX(longest, (size_t) matched);
        if (matched == stop->strings[i].n)
            *ret_done = HOLD_MAX(*ret_done, (size_t) matched);
    }
    return longest;
}

bool hold_stop_feed(struct hold_stop *stop, const char *text, size_t n, struct hold_buf *out) {
    for (size_t i = 0; i < n && !stop->is_stopped; i++) {
        size_t done;
        const size_t keep = advance(stop, text[i], &done);
        /* with this byte n_held + 1 bytes are undecided; those before the last `keep` (or before the stop string) are text */
        const size_t shown = stop->n_held + 1 - (done ? done : keep);
        if (shown > stop->n_held) {
            hold_buf_add(out, stop->held, stop->n_held);
            hold_buf_addc(out, text[i]);
            stop->n_held = 0;
        } else {
            hold_buf_add(out, stop->held, shown);
            memmove(stop->held, stop->held + shown, stop->n_held - shown);
            stop->n_held -= shown;
            stop->held[stop->n_held++] = text[i];
        }
        if (done) {
            stop->n_held = 0;
            stop->is_stopped = true;
        }
    }
    return stop->is_stopped;
}

void hold_stop_end(struct hold_stop *stop, struct hold_buf *out) {
    if (!stop->is_stopped)
        hold_buf_add(out, stop->held, stop->n_held);
    stop->n_held = 0;
}
