/* act.cu - kernels/act.h on the device: one thread an element. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

HOLD_KERNEL(add, hold_cu_map, a) {
    unsigned row = blockIdx.x, col = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x;
    if (col < a.y.cols)
        put(a.y, row, col, get(a.a, row, col) + get(a.b, row, col));
}

/* a gate, b up */
HOLD_KERNEL(swiglu, hold_cu_map, a) {
    unsigned row = blockIdx.x, col = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x;
    if (col >= a.y.cols)
        return;
    float g = get(a.a, row, col);
    put(a.y, row, col, get(a.b, row, col) * rounded(a.y.dtype, g / (1.0f + expf(-g))));
}

HOLD_KERNEL(gelu, hold_cu_map, a) {
    unsigned row = blockIdx.x, col = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x;
    if (col >= a.y.cols)
        return;
    float x = get(a.a, row, col);
    put(a.y, row, col, 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f)));
}
