/* quant.cu - kernels/quant.h on the device: one thread an element. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

HOLD_KERNEL(convert, hold_cu_map, a) {
    unsigned row = blockIdx.x, col = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x;
    if (col < a.y.cols)
        put(a.y, row, col, get(a.a, row, col));
}
