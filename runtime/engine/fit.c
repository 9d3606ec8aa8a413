/* fit.c - the memory plan. Floor: runtime/engine, pure. */
#include "runtime/engine/fit.h"

#include "base/num.h"
#include "kernels/attn.h"
#include "runtime/model/forward.h"
#include "runtime/model/vision.h"

static uint64_t stored_bytes(uint32_t dtype) {
    return dtype == HOLD_PLAN_F32 ? 4 : 2;
}

/* The bytes that a tensor takes where it is used, and whether it is used from its file. */
static uint64_t used_bytes(const struct hold_fit_need *need, const struct hold_plan_tensor *t, bool *ret_is_mapped) {
    bool is_same = need->act == HOLD_F32 ? t->dtype != HOLD_PLAN_F16 : t->dtype == HOLD_PLAN_BF16;
    *ret_is_mapped = need->is_mapped && is_same && t->role != HOLD_ROLE_V_DOWNSAMPLE;
    uint64_t elements = t->bytes / stored_bytes(t->dtype);
    return is_same ? t->bytes : elements * (need->act == HOLD_F32 ? 4 : 2);
}

static int fail_full(const struct hold_fit_need *need, const struct hold_fit *fit, uint64_t wanted, struct hold_err *err) {
    char memory[32], weights[32], work[32], vision[32], reserve[32], cache[32];
    hold_format_bytes(need->memory_bytes, memory, sizeof memory);
    hold_format_bytes(fit->weights_bytes, weights, sizeof weights);
    hold_format_bytes(fit->work_bytes, work, sizeof work);
    hold_format_bytes(fit->vision_bytes, vision, sizeof vision);
    hold_format_bytes(need->reserve_bytes, reserve, sizeof reserve);
    hold_format_bytes(wanted, cache, sizeof cache);
    return hold_fail(err, HOLD_E_LIMIT, 0,
                     "memory of %s cannot hold the model: weights %s, work space %s, images %s, reserve %s, cache for one context of %u tokens %s",
                     memory, weights, work, vision, reserve, need->max_context_tokens, cache);
}

int hold_fit_plan(const struct hold_fit_need *need, struct hold_fit *ret_fit, struct hold_err *err) {
    const struct hold_record *r = need->plan->record;
    struct hold_fit fit = { 0 };
    for (size_t i = 0; i < need->plan->n_tensors; i++) {
        bool is_mapped;
        uint64_t bytes = used_bytes(need, &need->plan->tensors[i], &is_mapped);
        if (!hold_add_u64(is_mapped ? fit.mapped_bytes : fit.weights_bytes, bytes, is_mapped ? &fit.mapped_bytes : &fit.weights_bytes))
            return hold_fail(err, HOLD_E_LIMIT, 0, "the plan's tensors are larger than any memory");
    }
    struct hold_kv kv = { .n_layers = r->n_layers, .n_kv_heads = r->n_kv_heads, .head_dim = r->head_dim, .dtype = need->act };
    uint64_t one = ((uint64_t) need->max_context_tokens + HOLD_PAGE_TOKENS - 1) / HOLD_PAGE_TOKENS;
    struct hold_forward_limits limits = { .max_rows = need->max_rows, .max_seqs = need->max_seqs, .max_pages = (uint32_t) one, .max_logits = need->max_seqs };
    if (limits.max_logits > limits.max_rows)
        limits.max_logits = limits.max_rows;
    fit.page_bytes = hold_kv_page_bytes(&kv);
    if (need->max_seqs == 0 || one == 0 || hold_forward_bytes(r, need->act, &limits, &fit.work_bytes, err) < 0)
        return need->max_seqs == 0 || one == 0 ? hold_fail(err, HOLD_E_LIMIT, 0, "no request or no context was asked for") : -1;
    if (need->max_patches > 0 && r->vision_depth > 0 && hold_vision_bytes(r, need->act, need->max_patches, &fit.vision_bytes, err) < 0)
        return -1;

    uint64_t useful = one * need->max_seqs * fit.page_bytes, fixed = fit.weights_bytes + fit.work_bytes + fit.vision_bytes + need->reserve_bytes;
    uint64_t wanted = need->cache_bytes > 0 ? need->cache_bytes : useful;
    if (wanted < one * fit.page_bytes)
        wanted = one * fit.page_bytes;
    if (need->memory_bytes > 0) {
        if (fixed > need->memory_bytes || need->memory_bytes - fixed < one * fit.page_bytes)
            return fail_full(need, &fit, one * fit.page_bytes, err);
        if (wanted > need->memory_bytes - fixed)
            wanted = need->memory_bytes - fixed;
    }
    uint64_t pages = wanted / fit.page_bytes;
    fit.n_pages = pages > INT32_MAX ? INT32_MAX : (uint32_t) pages;
    fit.cache_bytes = fit.n_pages * fit.page_bytes;
    fit.left_bytes = need->memory_bytes > 0 ? need->memory_bytes - fixed - fit.cache_bytes : 0;
    *ret_fit = fit;
    return 0;
}
