/* embed.c - kernels/embed.h on the CPU. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

int cpu_gather_rows(struct hold_stream *s, struct hold_t2 y, struct hold_t2 table, struct hold_t2 ids) {
    (void) s;
    for (uint32_t row = 0; row < y.rows; row++) {
        int32_t id = cpu_int(ids, row, 0);
        if (id < 0 || (uint32_t) id >= table.rows)
            for (uint32_t col = 0; col < y.cols; col++)
                cpu_put(y, row, col, NAN);
        else if (y.dtype == table.dtype)
            memcpy(cpu_at(y, row, 0), cpu_at(table, (uint32_t) id, 0), y.cols * hold_dtype_bytes(y.dtype));
        else
            for (uint32_t col = 0; col < y.cols; col++)
                cpu_put(y, row, col, cpu_get(table, (uint32_t) id, col));
    }
    return 0;
}
