/* topk.c - kernels/topk.h on the CPU: one pass a row, the best so far kept sorted. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

#include <math.h>

static void topk_row(struct hold_t2 values, struct hold_t2 ids, const float *x, uint32_t n, uint32_t row) {
    float best[HOLD_TOPK_MAX];
    int32_t best_ids[HOLD_TOPK_MAX];
    uint32_t k = values.cols, held = 0;
    bool is_bad = false;
    for (uint32_t i = 0; i < n; i++) {
        is_bad |= isnan(x[i]) != 0;
        if (held == k && !(x[i] > best[k - 1]))
            continue;
        uint32_t at = held < k ? held++ : k - 1;
        for (; at > 0 && x[i] > best[at - 1]; at--)
            best[at] = best[at - 1], best_ids[at] = best_ids[at - 1];
        best[at] = x[i];
        best_ids[at] = (int32_t) i;
    }
    for (uint32_t i = 0; i < k; i++) {
        cpu_put(values, row, i, is_bad ? NAN : best[i]);
        ((int32_t *) cpu_at(ids, row, i))[0] = is_bad ? -1 : best_ids[i];
    }
}

int cpu_topk(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x) {
    (void) s;
    for (uint32_t row = 0; row < x.rows; row++)
        topk_row(values, ids, cpu_at(x, row, 0), x.cols, row);
    return 0;
}
