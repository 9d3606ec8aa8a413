/* matmul.cu - kernels/matmul.h on the device: output tiles through shared memory for many rows, one warp an output for few.
 * Floor: kernels/cuda. Sums run in one fixed order an output, so a row does not depend on the other rows of a launch of the
 * same kind. */
#include "kernels/cuda/common.cuh"

HOLD_KERNEL(matmul_tile, hold_cu_matmul, a) {
    __shared__ float x_tile[HOLD_CU_TILE][HOLD_CU_TILE + 1], w_tile[HOLD_CU_TILE][HOLD_CU_TILE + 1];
    unsigned tx = threadIdx.x, ty = threadIdx.y;
    unsigned row = blockIdx.x * HOLD_CU_TILE + ty, out = blockIdx.y * HOLD_CU_TILE + tx;
    unsigned w_row = blockIdx.y * HOLD_CU_TILE + ty; /* this thread loads w[w_row, first + tx] */
    float sum = 0;
    for (unsigned first = 0; first < a.x.cols; first += HOLD_CU_TILE) {
        bool inside = first + tx < a.x.cols;
        x_tile[ty][tx] = inside && row < a.x.rows ? get(a.x, row, first + tx) : 0.0f;
        w_tile[ty][tx] = inside && w_row < a.w.rows ? get(a.w, w_row, first + tx) : 0.0f;
        __syncthreads();
        for (unsigned i = 0; i < HOLD_CU_TILE; i++)
            sum += x_tile[ty][i] * w_tile[tx][i];
        __syncthreads();
    }
    if (row < a.y.rows && out < a.y.cols)
        put(a.y, row, out, sum + (a.b.data ? get(a.b, 0, out) : 0.0f));
}

HOLD_KERNEL(matmul_rows, hold_cu_matmul, a) {
    unsigned lane = threadIdx.x % 32, row = blockIdx.y, out = blockIdx.x * (HOLD_CU_BLOCK / 32) + threadIdx.x / 32;
    if (out >= a.y.cols)
        return; /* the whole warp */
    float sum = 0;
    for (unsigned i = lane; i < a.x.cols; i += 32)
        sum += get(a.x, row, i) * get(a.w, out, i);
    for (unsigned far = 16; far; far /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, (int) far);
    if (lane == 0)
        put(a.y, row, out, sum + (a.b.data ? get(a.b, 0, out) : 0.0f));
}
