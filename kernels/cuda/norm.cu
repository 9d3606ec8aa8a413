/* norm.cu - kernels/norm.h on the device: one block a row, sums in f32 by a fixed tree. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

HOLD_KERNEL(rmsnorm, hold_cu_norm, a) {
    __shared__ float partial[HOLD_CU_BLOCK];
    unsigned row = blockIdx.x;
    float squares = 0;
    for (unsigned col = threadIdx.x; col < a.x.cols; col += HOLD_CU_BLOCK) {
        float v = get(a.x, row, col);
        squares += v * v;
    }
    float scale = 1.0f / sqrtf(block_sum(squares, partial) / (float) a.x.cols + a.eps);
    for (unsigned col = threadIdx.x; col < a.x.cols; col += HOLD_CU_BLOCK)
        put(a.y, row, col, get(a.w, 0, col) * rounded(a.x.dtype, get(a.x, row, col) * scale));
}

HOLD_KERNEL(layernorm, hold_cu_norm, a) {
    __shared__ float partial[HOLD_CU_BLOCK];
    unsigned row = blockIdx.x;
    float sum = 0;
    for (unsigned col = threadIdx.x; col < a.x.cols; col += HOLD_CU_BLOCK)
        sum += get(a.x, row, col);
    float mean = block_sum(sum, partial) / (float) a.x.cols, squares = 0;
    for (unsigned col = threadIdx.x; col < a.x.cols; col += HOLD_CU_BLOCK) {
        float d = get(a.x, row, col) - mean;
        squares += d * d;
    }
    float scale = 1.0f / sqrtf(block_sum(squares, partial) / (float) a.x.cols + a.eps);
    for (unsigned col = threadIdx.x; col < a.x.cols; col += HOLD_CU_BLOCK)
        put(a.y, row, col, (get(a.x, row, col) - mean) * scale * get(a.w, 0, col) + get(a.b, 0, col));
}
