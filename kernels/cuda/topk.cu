/* topk.cu - kernels/topk.h on the device: one block a row, one pass for each place. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

/* Does (value, id) stand before (other, other_id)? An id below zero stands last. */
static __device__ bool is_before(float value, int id, float other, int other_id) {
    return id >= 0 && (other_id < 0 || value > other || (value == other && id < other_id));
}

HOLD_KERNEL(topk, hold_cu_topk, a) {
    __shared__ float value_of[HOLD_CU_BLOCK];
    __shared__ int id_of[HOLD_CU_BLOCK];
    unsigned row = blockIdx.x, me = threadIdx.x;
    int bad = 0;
    for (unsigned col = me; col < a.x.cols; col += HOLD_CU_BLOCK) {
        float v = get(a.x, row, col);
        bad |= v != v;
    }
    bad = __syncthreads_or(bad);
    float last = 0;
    int last_id = -1;
    for (unsigned place = 0; place < a.values.cols; place++) {
        float best = 0;
        int best_id = -1;
        for (unsigned col = me; col < a.x.cols; col += HOLD_CU_BLOCK) {
            float v = get(a.x, row, col);
            bool is_left = place == 0 || is_before(last, last_id, v, (int) col);
            if (is_left && is_before(v, (int) col, best, best_id)) {
                best = v;
                best_id = (int) col;
            }
        }
        value_of[me] = best;
        id_of[me] = best_id;
        __syncthreads();
        for (unsigned half = HOLD_CU_BLOCK / 2; half; half /= 2) {
            if (me < half && is_before(value_of[me + half], id_of[me + half], value_of[me], id_of[me])) {
                value_of[me] = value_of[me + half];
                id_of[me] = id_of[me + half];
            }
            __syncthreads();
        }
        last = value_of[0];
        last_id = id_of[0];
        __syncthreads();
        if (me == 0) {
            put(a.values, row, place, bad ? not_a_number() : last);
            ((int *) a.ids.data)[at(a.ids, row, place)] = bad ? -1 : last_id;
        }
    }
}
