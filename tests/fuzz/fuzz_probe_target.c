/* fuzz_probe_target.c - any check as a person may write it: refused with a sentence, or an address and a clean path. */
#include "supervisor/host/probe_io.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    char *text = malloc(n + 1);
    if (!text)
        return 0;
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    struct hold_probe_target t;
    struct hold_err err = { 0 };
    if (hold_probe_target_parse(text, &t, &err) < 0) {
        if (err.text[0] == '\0')
            abort();
    } else if (t.kind == HOLD_PROBE_EXEC) {
        if (!t.command || t.command[0] == '\0')
            abort();
    } else {
        if (t.addr_bytes == 0 || strpbrk(t.path, "\r\n ") || strpbrk(t.host, "\r\n "))
            abort();
        if (t.kind != HOLD_PROBE_TCP && t.path[0] != '/')
            abort();
        if ((t.kind == HOLD_PROBE_COUNTER) != (t.command != NULL))
            abort();
    }
    free(text);
    return 0;
}
