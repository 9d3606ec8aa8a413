/* fuzz_pickle.c - the pickle walker alone: whatever is accepted ends inside the input. */
#include "runtime/weights/pickle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    hold_autoarena arena = hold_arena_with_max(32 << 20);
    struct hold_pickle pickle;
    struct hold_err err;
    if (hold_pickle_walk(data, n, "input", &arena, &pickle, &err) < 0)
        return 0;
    size_t persids = 0;
    for (const struct hold_pickle_value *v = pickle.persids; v; v = v->next)
        persids++;
    if (pickle.bytes > n || data[pickle.bytes - 1] != '.' || !pickle.root || persids != pickle.n_persids)
        abort();
    return 0;
}
