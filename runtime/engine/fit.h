/* fit.h - the memory plan: weights, work space, vision, and what is left for the cache. Floor: runtime/engine, pure. */
#ifndef HOLD_RUNTIME_ENGINE_FIT_H
#define HOLD_RUNTIME_ENGINE_FIT_H

#include "base/err.h"
#include "kernels/types.h"
#include "runtime/plan/plan.h"

#include <stdbool.h>
#include <stdint.h>

struct hold_fit_need {
    const struct hold_plan *plan;
    enum hold_dtype act;         /* f32 or bf16 */
    uint64_t memory_bytes;       /* what may be used in all; 0: not known, nothing is refused */
    uint64_t reserve_bytes;      /* left alone: driver context, the process itself */
    bool is_mapped;              /* tensors of the right type stay mapped from the file and are not counted */
    uint32_t max_context_tokens; /* of one request */
    uint32_t max_seqs;           /* requests at once */
    uint32_t max_rows;           /* tokens in one batch */
    uint32_t max_patches;        /* of one image; 0: text only */
    uint64_t cache_bytes;        /* cache wanted; 0: as much as is left, at most what max_seqs contexts can use */
};

struct hold_fit {
    uint64_t weights_bytes, mapped_bytes, work_bytes, vision_bytes, cache_bytes, left_bytes;
    uint64_t page_bytes; /* one page of HOLD_PAGE_TOKENS tokens, all layers */
    uint32_t n_pages;
};

/* Fails with LIMIT and all the numbers when not even one context of max_context_tokens fits. */
HOLD_MUST int hold_fit_plan(const struct hold_fit_need *need, struct hold_fit *ret_fit, struct hold_err *err);

#endif
