/* fuzz_safetensors.c - a weights file's header: whatever is accepted lies inside the file, in order, by name. */
#include "runtime/weights/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    hold_autoarena arena = hold_arena_with_max(8 << 20);
    struct hold_st st;
    struct hold_err err;
    if (hold_st_parse(data, n, "input", &arena, &st, &err) < 0)
        return 0;
    uint64_t total = 0;
    for (size_t i = 0; i < st.n_tensors; i++) {
        const struct hold_st_tensor *t = &st.tensors[i];
        if (t->offset < st.data_offset || t->offset + t->bytes > n || hold_st_find(&st, t->name) != t)
            abort();
        total += t->bytes;
    }
    if (st.data_offset + total != n)
        abort();
    return 0;
}
