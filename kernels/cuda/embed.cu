/* embed.cu - kernels/embed.h on the device: one thread an element. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

/* a table, b ids */
HOLD_KERNEL(gather_rows, hold_cu_map, a) {
    unsigned row = blockIdx.x, col = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x;
    if (col >= a.y.cols)
        return;
    int id = get_int(a.b, row, 0);
    put(a.y, row, col, id < 0 || (unsigned) id >= a.a.rows ? not_a_number() : get(a.a, (unsigned) id, col));
}
