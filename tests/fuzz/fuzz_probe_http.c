/* fuzz_probe_http.c - the first bytes of any answer: more bytes never change a verdict that was given. */
#include "supervisor/host/probe_io.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    int before = 0;
    for (size_t some = 0; some <= n && some < 64; some++) {
        char *bytes = malloc(some > 0 ? some : 1);
        if (!bytes)
            return 0;
        if (some > 0)
            memcpy(bytes, data, some);
        const int status = hold_http_status_of(bytes, some);
        free(bytes);
        if (status < -1 || status > 999 || (status > 0 && status < 100) || (before != 0 && status != before))
            abort();
        before = status;
    }
    if (n >= 13 && before == 0)
        abort();
    return 0;
}
