/* fuzz_zip.c - a zip's directory: whatever is accepted lies inside the file, entry by entry without overlap, by name. */
#include "base/name.h"
#include "runtime/weights/zip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    hold_autoarena arena = hold_arena_with_max(32 << 20);
    struct hold_zip zip;
    struct hold_err err;
    if (hold_zip_parse(data, n, "input", &arena, &zip, &err) < 0)
        return 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < zip.n_entries; i++) {
        const struct hold_zip_entry *e = &zip.entries[i];
        if (e->offset > n || e->bytes > n - e->offset || !hold_name_is_safe(e->name) || hold_zip_find(&zip, e->name) != e)
            abort();
        sum += e->bytes;
    }
    if (sum > n)
        abort();
    return 0;
}
