/* vision.cu - kernels/vision.h on the device: one thread an element, taps computed anew in each. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

static __device__ float near_weight(float z) {
    return (1.25f * z - 2.25f) * z * z + 1.0f;
}

static __device__ float far_weight(float z) {
    return ((-0.75f * z + 3.75f) * z - 6.0f) * z + 3.0f;
}

/* Four taps, each clamped to the table, and their weights for the centre of cell i of n in a line of side samples. The
 * coordinate is exact as (2i + 1) side / 2n - 1/2 in 64-bit integers: f32 alone would lose digits for large grids. */
static __device__ void taps_of(int i, unsigned n, unsigned side, unsigned tap[4], float weight[4]) {
    long long numerator = (2 * (long long) i + 1) * side - n, whole = numerator / (2 * (long long) n);
    if (numerator < 0 && whole * 2 * (long long) n != numerator)
        whole--;
    float u = (float) (numerator - whole * 2 * (long long) n) / (float) (2 * (long long) n);
    for (int t = 0; t < 4; t++) {
        long long place = whole - 1 + t;
        tap[t] = place < 0 ? 0u : place >= (long long) side ? side - 1 : (unsigned) place;
    }
    weight[0] = far_weight(u + 1.0f);
    weight[1] = near_weight(u);
    weight[2] = near_weight(1.0f - u);
    weight[3] = far_weight(2.0f - u);
}

HOLD_KERNEL(add_position, hold_cu_position, a) {
    unsigned row = blockIdx.x, col = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x;
    if (col >= a.x.cols)
        return;
    unsigned ty[4], tx[4];
    float wy[4], wx[4];
    taps_of(get_int(a.yx, row, 0), a.h, a.side, ty, wy);
    taps_of(get_int(a.yx, row, 1), a.w, a.side, tx, wx);
    float value = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            value += wy[i] * wx[j] * get(a.table, ty[i] * a.side + tx[j], col);
    put(a.x, row, col, get(a.x, row, col) + rounded(a.x.dtype, value));
}
