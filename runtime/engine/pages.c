/* pages.c - who holds which pages of the cache. Floor: runtime/engine, pure. */
#include "runtime/engine/pages.h"

#include <stdlib.h>

int hold_pages_init(struct hold_pages *pages, uint32_t n_pages, struct hold_err *err) {
    struct hold_pages p = { .n_pages = n_pages, .n_free = n_pages };

    if (n_pages == 0 || n_pages > HOLD_PAGES_MAX)
        return hold_fail(err, HOLD_E_LIMIT, 0, "cache of %u pages, wanted 1 to %u", n_pages, HOLD_PAGES_MAX);
    p.free = calloc(n_pages, sizeof *p.free);
    p.holder = calloc(n_pages, sizeof *p.holder);
    if (!p.free || !p.holder) {
        hold_pages_release(&p);
        return hold_fail(err, HOLD_E_LIMIT, 0, "out of memory for the list of %u pages", n_pages);
    }
    for (uint32_t i = 0; i < n_pages; i++)
        p.free[i] = (int32_t) (n_pages - 1 - i); /* page 0 goes first */
    *pages = p;
    return 0;
}

void hold_pages_release(struct hold_pages *pages) {
    free(pages->free);
    free(pages->holder);
    *pages = (struct hold_pages) { 0 };
}

int hold_pages_take(struct hold_pages *pages, uint64_t holder, uint32_t n, int32_t *ret_numbers, struct hold_err *err) {
    if (holder == 0)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "pages for nobody");
    if (n > pages->n_free)
        return hold_fail(err, HOLD_E_BUSY, 0, "%u pages wanted, %u of %u are free", n, pages->n_free, pages->n_pages);
    for (uint32_t i = 0; i < n; i++) {
        ret_numbers[i] = pages->free[--pages->n_free];
        pages->holder[ret_numbers[i]] = holder;
    }
    return 0;
}

int hold_pages_give(struct hold_pages *pages, uint64_t holder, const int32_t *numbers, uint32_t n, struct hold_err *err) {
    for (uint32_t i = 0; i < n; i++) {
        bool is_page = numbers[i] >= 0 && (uint32_t) numbers[i] < pages->n_pages;
        if (!is_page || holder == 0 || pages->holder[numbers[i]] != holder) {
            for (uint32_t k = 0; k < i; k++)
                pages->holder[numbers[k]] = holder;
            return hold_fail(err, HOLD_E_INTERNAL, 0, "page %d is not held by session %ju", numbers[i], (uintmax_t) holder);
        }
        pages->holder[numbers[i]] = 0; /* a page named twice is found at its second time */
    }
    for (uint32_t i = n; i-- > 0;)
        pages->free[pages->n_free++] = numbers[i];
    return 0;
}
