/* fuzz_manifest.c - whatever a manifest says: no crash, and what is accepted is written canonically and read again the same. */
#include "supervisor/policy/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    hold_autoarena arena = hold_arena_with_max(8 << 20);
    hold_autobuf one = hold_buf_with_max(1 << 20), two = hold_buf_with_max(1 << 20);
    struct hold_manifest m, again;
    struct hold_err err;
    if (hold_manifest_parse((const char *) data, n, &arena, &m, &err) < 0 || hold_manifest_write(&m, &one, &err) < 0)
        return 0;
    if (hold_manifest_parse(one.data, one.n, &arena, &again, &err) < 0 || hold_manifest_write(&again, &two, &err) < 0 || one.n != two.n ||
        memcmp(one.data, two.data, one.n) != 0)
        abort();
    return 0;
}
