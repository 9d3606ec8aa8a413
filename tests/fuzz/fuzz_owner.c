/* fuzz_owner.c - whatever lies under a record's name: no crash, and what is taken for a record is written and read again the same. */
#include "supervisor/job/owner.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct hold_owner_text text, again;
    char bytes[HOLD_OWNER_BYTES];
    if (!hold_owner_parse((const char *) data, n, &text))
        return 0;
    hold_owner_write(&text, bytes);
    if (!hold_owner_parse(bytes, sizeof bytes, &again) || memcmp(&text, &again, sizeof text) != 0)
        abort();
    return 0;
}
