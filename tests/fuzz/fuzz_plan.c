/* fuzz_plan.c - a plan block: whatever is accepted can be walked without leaving it. The layout is the program's own and no
 * file format, so the input is a list of changes (offset, value) to a right plan that is made here; or, after a zero, raw bytes. */
#include "runtime/plan/plan.h"
#include "runtime/text/token.h"

#include <stdlib.h>
#include <string.h>

static const struct hold_buf *right_plan(void) {
    static struct hold_buf plan;
    if (plan.n)
        return &plan;
    const struct hold_record record = { .hidden = 8, .n_layers = 2, .n_heads = 2, .n_kv_heads = 1, .head_dim = 4, .intermediate = 8, .vocab = 16,
                                        .max_positions = 64, .rotary_dim = 2, .rope_theta = 1e4, .rms_eps = 1e-5, .has_qkv_bias = 1,
                                        .image_token = 3, .image_start = UINT32_MAX, .image_end = UINT32_MAX, .video_token = UINT32_MAX,
                                        .video_start = UINT32_MAX, .video_end = UINT32_MAX, .pad_token = UINT32_MAX, .n_eos = 1, .eos = { 2 } };
    static struct hold_plan_tensor tensors[64];
    size_t n = 0;
    uint64_t at = 8;
    for (int role = 0; role < HOLD_ROLE_COUNT; role++)
        for (uint32_t layer = 0; layer < hold_role_count(&record, (enum hold_role) role); layer++) {
            struct hold_plan_tensor *t = &tensors[n++];
            *t = (struct hold_plan_tensor) { .role = (uint32_t) role, .layer = layer, .dtype = HOLD_PLAN_F32, .offset = at, .bytes = 4 };
            t->n_dims = hold_role_shape(&record, (enum hold_role) role, t->dims);
            for (uint32_t i = 0; i < t->n_dims; i++)
                t->bytes *= t->dims[i];
            at += t->bytes;
        }
    const struct hold_plan_file file = { .name = "one.safetensors", .bytes = at };
    const struct hold_plan_parts parts = { .record = &record, .files = &file, .n_files = 1, .tensors = tensors, .n_tensors = n, .tokens = "HOLDTOK1", .tokens_bytes = 8 };
    struct hold_err err;
    plan = hold_buf_with_max(HOLD_PLAN_MAX_BYTES);
    if (hold_plan_write(&parts, &plan, &err) < 0)
        abort();
    return &plan;
}

static void walk(const char *bytes, size_t n) {
    struct hold_plan plan;
    struct hold_tok tokens;
    struct hold_err err;
    if (hold_plan_open(bytes, n, &plan, &err) < 0)
        return;
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const struct hold_plan_file f = hold_plan_file_at(&plan, plan.tensors[i].file);
        if (strlen(f.name) > n || plan.tensors[i].offset + plan.tensors[i].bytes > f.bytes ||
            hold_plan_find(&plan, plan.tensors[i].role, plan.tensors[i].layer) != &plan.tensors[i])
            abort();
    }
    if (!plan.tokens || hold_tok_open(plan.tokens, plan.tokens_bytes, &tokens, &err) < 0)
        return;
    for (uint32_t id = 0; id < hold_tok_count(&tokens); id++) {
        size_t length;
        const char *text = hold_tok_text(&tokens, id, &length);
        if (length && (text < bytes || text + length > bytes + n))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const struct hold_buf *right = right_plan();
    if (n == 0)
        return 0;
    const size_t size = data[0] == 0 ? n - 1 : right->n;
    char *copy = aligned_alloc(16, (size + 31) & ~(size_t) 15);
    if (!copy)
        return 0;
    if (data[0] == 0) {
        memcpy(copy, data + 1, size);
    } else {
        memcpy(copy, right->data, size);
        for (size_t i = 1; i + 2 < n; i += 3)
            copy[((size_t) data[i] << 8 | data[i + 1]) % size] = (char) data[i + 2];
    }
    walk(copy, size);
    free(copy);
    return 0;
}
