/* fuzz_index.c - the shard index: whatever is accepted names safe files, each once. */
#include "base/name.h"
#include "runtime/weights/index.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    hold_autoarena arena = hold_arena_with_max(8 << 20);
    struct hold_index index;
    struct hold_err err;
    if (hold_index_parse((const char *) data, n, "index", &arena, &index, &err) < 0)
        return 0;
    for (size_t i = 0; i < index.n_files; i++)
        if (!hold_name_is_safe(index.files[i]) || (i > 0 && strcmp(index.files[i - 1], index.files[i]) >= 0))
            abort();
    for (size_t i = 0; i < index.n_entries; i++)
        if (!hold_index_find(&index, index.entries[i].name))
            abort();
    return 0;
}
