/* fuzz_torch.c - a PyTorch checkpoint: whatever is accepted has its tensors inside the file, by name. */
#include "runtime/weights/torch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    hold_autoarena arena = hold_arena_with_max(32 << 20);
    struct hold_torch torch;
    struct hold_err err;
    if (hold_torch_parse(data, n, "input", &arena, &torch, &err) < 0)
        return 0;
    if (torch.storage_bytes > n)
        abort();
    for (size_t i = 0; i < torch.n_tensors; i++) {
        const struct hold_torch_tensor *t = &torch.tensors[i];
        if ((t->bytes && t->offset >= n) || (t->is_contiguous && t->bytes > n - t->offset) || hold_torch_find(&torch, t->name) != t)
            abort();
    }
    return 0;
}
