/* rope.cu - kernels/rope.h on the device: one thread an angle or a pair. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

HOLD_KERNEL(rope_angles, hold_cu_rope, a) {
    unsigned row = blockIdx.x, j = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x, n = a.inv.cols;
    if (j >= n)
        return;
    float angle = (float) get_int(a.pos, row, (unsigned) get_int(a.axis, 0, j)) * get(a.inv, 0, j);
    put(a.cs, row, j, cosf(angle));
    put(a.cs, row, n + j, sinf(angle));
}

HOLD_KERNEL(rope, hold_cu_rope, a) {
    unsigned n = a.cs.cols / 2, pair = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x, row = blockIdx.x;
    if (pair >= a.x.cols / a.head_dim * n)
        return;
    unsigned head = pair / n, j = pair % n;
    unsigned first = head * a.head_dim + (a.is_halves ? j : 2 * j), second = first + (a.is_halves ? n : 1);
    float c = get(a.cs, row, j), s = get(a.cs, row, n + j);
    float p = get(a.x, row, first), q = get(a.x, row, second);
    put(a.x, row, first, p * c - q * s);
    put(a.x, row, second, q * c + p * s);
}
