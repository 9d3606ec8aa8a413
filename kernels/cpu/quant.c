/* quant.c - kernels/quant.h on the CPU. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

struct convert {
    struct hold_t2 y, x;
};

static void convert_rows(void *context, uint32_t first, uint32_t end) {
    const struct convert *c = context;
    for (uint32_t row = first; row < end; row++)
        for (uint32_t col = 0; col < c->y.cols; col++)
            cpu_put(c->y, row, col, cpu_get(c->x, row, col));
}

int cpu_convert(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    struct convert c = { .y = y, .x = x };
    cpu_run_rows(s, y.rows, y.cols, convert_rows, &c);
    return 0;
}
