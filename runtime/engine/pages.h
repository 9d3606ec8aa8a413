/* pages.h - who holds which pages of the key-value cache. Floor: runtime/engine, pure. */
#ifndef HOLD_RUNTIME_ENGINE_PAGES_H
#define HOLD_RUNTIME_ENGINE_PAGES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_PAGES_MAX (1u << 24)

/* Owned by the caller; hold_pages_release accepts a zeroed struct. */
struct hold_pages {
    int32_t *free;    /* stack of n_free page numbers */
    uint64_t *holder; /* [n_pages] who holds it; 0: nobody */
    uint32_t n_pages, n_free;
};

HOLD_MUST int hold_pages_init(struct hold_pages *pages, uint32_t n_pages, struct hold_err *err);
void hold_pages_release(struct hold_pages *pages);
/* Gives n pages to holder (not 0) in ret_numbers, or none: BUSY when fewer are free. */
HOLD_MUST int hold_pages_take(struct hold_pages *pages, uint64_t holder, uint32_t n, int32_t *ret_numbers, struct hold_err *err);
/* Takes n pages back. Fails with INTERNAL, having taken nothing, when one of them is not the holder's. */
HOLD_MUST int hold_pages_give(struct hold_pages *pages, uint64_t holder, const int32_t *numbers, uint32_t n, struct hold_err *err);

/* Pages for n tokens of page_tokens each. */
static inline uint32_t hold_pages_for(uint64_t n_tokens, uint32_t page_tokens) {
    return (uint32_t) ((n_tokens + page_tokens - 1) / page_tokens);
}

#endif
