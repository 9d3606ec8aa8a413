/* fuzz_stop.c - stop strings: first a count, then that many zero-ended strings, then the text, given in two ways that must agree. */
#include "base/list.h"
#include "runtime/text/stop.h"

#include <stdlib.h>
#include <string.h>

static struct hold_stop stop;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const char *strings[HOLD_STOP_MAX_STRINGS];
    struct hold_err err;
    size_t at = 1, n_strings = 0;
    if (n == 0)
        return 0;
    for (; n_strings < data[0] % HOLD_STOP_MAX_STRINGS && at < n; n_strings++) {
        const uint8_t *end = memchr(data + at, 0, n - at);
        if (!end)
            return 0;
        strings[n_strings] = (const char *) data + at;
        at = (size_t) (end - data) + 1;
    }
    hold_autobuf once = hold_buf_with_max(1 << 24);
    hold_autobuf bytewise = hold_buf_with_max(1 << 24);
    if (hold_stop_init(&stop, strings, n_strings, &err) < 0)
        return 0;
    const bool stopped = hold_stop_feed(&stop, (const char *) data + at, n - at, &once);
    hold_stop_end(&stop, &once);
    if (hold_stop_init(&stop, strings, n_strings, &err) < 0)
        abort();
    bool again = false;
    for (size_t i = at; i < n && !again; i++)
        again = hold_stop_feed(&stop, (const char *) data + i, 1, &bytewise);
    hold_stop_end(&stop, &bytewise);
    if (stopped != again || once.n != bytewise.n || (once.n && memcmp(once.data, bytewise.data, once.n) != 0))
        abort();
    if (once.n > n - at || (once.n && memcmp(once.data, data + at, once.n) != 0) || (!stopped && once.n != n - at))
        abort();
    for (size_t i = 0; i < n_strings; i++)
        if (once.n && memmem(once.data, once.n, strings[i], strlen(strings[i])))
            abort();
    return 0;
}
