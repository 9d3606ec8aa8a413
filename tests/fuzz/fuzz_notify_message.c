/* fuzz_notify_message.c - any message of a child: values stay inside it, copies are terminated and printable. */
#include "base/notify.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_notify m;
    if (n > HOLD_NOTIFY_MAX_BYTES)
        n = HOLD_NOTIFY_MAX_BYTES;
    m = (struct hold_notify) { .n = n };
    if (n > 0)
        memcpy(m.text, data, n);
    static const char *const keys[] = { "READY", "STATUS", "X_HOLDFAST_PROGRESS", "X_HOLDFAST_CAUSE", "X_HOLDFAST_INFLIGHT", "FDNAME", "EXTEND_TIMEOUT_USEC", "" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = NULL;
        size_t length = 0;
        if (hold_notify_find(&m, keys[i], &value, &length) && (value < m.text || value + length > m.text + m.n))
            abort();
        char copy[32];
        memset(copy, 0x7e, sizeof copy);
        if (hold_notify_str(&m, keys[i], copy, sizeof copy)) {
            if (!memchr(copy, '\0', sizeof copy))
                abort();
            for (const char *c = copy; *c; c++)
                if ((unsigned char) *c < 0x20)
                    abort();
        }
        uint64_t done = 0, total = 0;
        (void) hold_notify_u64(&m, keys[i], &done);
        (void) hold_notify_ratio(&m, keys[i], &done, &total);
    }
    return 0;
}
