/* attn.cu - kernels/attn.h on the device: one block a row and head, keys in groups of a page, softmax kept running
 * (Milakov and Gimelshein 2018), so that nothing as long as the context is stored. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

static const unsigned GROUP = HOLD_PAGE_TOKENS, WIDE = HOLD_CU_HEAD_MAX / HOLD_CU_BLOCK;

/* Where keys (which = 0) or values (1) of one page, layer and kv head begin, as an element index; pages that are not
 * there give ~0. */
static __device__ size_t block_of(const struct hold_cu_attend &a, unsigned seq, unsigned index, unsigned kv_head, unsigned which) {
    if (seq >= a.places.table.rows || index / GROUP >= a.places.table.cols)
        return ~(size_t) 0;
    int page = get_int(a.places.table, seq, index / GROUP);
    if (page < 0 || (unsigned) page >= a.kv.n_pages)
        return ~(size_t) 0;
    size_t head = (size_t) GROUP * a.kv.head_dim, layer = 2 * (size_t) a.kv.n_kv_heads * head;
    return ((size_t) page * a.kv.n_layers + a.layer) * layer + ((size_t) which * a.kv.n_kv_heads + kv_head) * head;
}

static __device__ __forceinline__ float get_kv(const struct hold_kv &kv, size_t i) {
    return kv.dtype == HOLD_F32 ? ((const float *) kv.pool)[i] : widen_bf16(((const uint16_t *) kv.pool)[i]);
}

HOLD_KERNEL(kv_append, hold_cu_attend, a) {
    unsigned row = blockIdx.x, col = blockIdx.y * HOLD_CU_BLOCK + threadIdx.x;
    if (col >= a.k.cols)
        return;
    unsigned seq = (unsigned) get_int(a.places.seq, row, 0), index = (unsigned) get_int(a.places.index, row, 0);
    unsigned head = col / a.kv.head_dim, i = index % GROUP * a.kv.head_dim + col % a.kv.head_dim;
    size_t keys = block_of(a, seq, index, head, 0), values = block_of(a, seq, index, head, 1);
    if (keys == ~(size_t) 0)
        return;
    if (a.kv.dtype == HOLD_F32) {
        ((float *) a.kv.pool)[keys + i] = get(a.k, row, col);
        ((float *) a.kv.pool)[values + i] = get(a.v, row, col);
    } else {
        ((uint16_t *) a.kv.pool)[keys + i] = narrow_bf16(get(a.k, row, col));
        ((uint16_t *) a.kv.pool)[values + i] = narrow_bf16(get(a.v, row, col));
    }
}

/* The running softmax of one block: top and sum are the same in every thread, acc holds this thread's dimensions
 * threadIdx.x, + HOLD_CU_BLOCK, ... */
struct running {
    float top, sum, acc[WIDE];
};

/* Rescales what is there to the maximum of this group's n scores, turns the scores into weights and adds their sum. */
static __device__ void fold_scores(struct running &r, float *score, unsigned n, unsigned dim) {
    float top = r.top;
    for (unsigned j = 0; j < n; j++)
        top = score[j] > top || score[j] != score[j] ? score[j] : top;
    float keep = r.sum == 0 ? 0.0f : expf(r.top - top);
    __syncthreads(); /* all have read the scores before one thread overwrites its own */
    if (threadIdx.x < n)
        score[threadIdx.x] = expf(score[threadIdx.x] - top);
    __syncthreads();
    r.sum *= keep;
    for (unsigned j = 0; j < n; j++)
        r.sum += score[j];
    for (unsigned k = 0; k < WIDE && threadIdx.x + k * HOLD_CU_BLOCK < dim; k++)
        r.acc[k] *= keep;
    r.top = top;
}

static __device__ void write_out(const struct running &r, const struct hold_t2 &o, unsigned row, unsigned first, unsigned dim) {
    for (unsigned k = 0; k < WIDE; k++) {
        unsigned d = threadIdx.x + k * HOLD_CU_BLOCK;
        if (d < dim)
            put(o, row, first + d, r.acc[k] / r.sum);
    }
}

HOLD_KERNEL(attend, hold_cu_attend, a) {
    __shared__ float query[HOLD_CU_HEAD_MAX], score[GROUP];
    unsigned dim = a.kv.head_dim, head = blockIdx.y, row = blockIdx.x;
    unsigned kv_head = head / (a.q.cols / dim / a.kv.n_kv_heads);
    unsigned seq = (unsigned) get_int(a.places.seq, row, 0), last = (unsigned) get_int(a.places.index, row, 0);
    struct running r = { -__uint_as_float(0x7f800000u), 0.0f, { 0.0f } };
    for (unsigned d = threadIdx.x; d < dim; d += HOLD_CU_BLOCK)
        query[d] = get(a.q, row, head * dim + d);
    __syncthreads();
    for (unsigned begin = 0; begin <= last; begin += GROUP) {
        unsigned n = last + 1 - begin < GROUP ? last + 1 - begin : GROUP;
        size_t keys = block_of(a, seq, begin, kv_head, 0), values = block_of(a, seq, begin, kv_head, 1);
        if (threadIdx.x < n) {
            float dot = 0;
            for (unsigned d = 0; keys != ~(size_t) 0 && d < dim; d++)
                dot += query[d] * get_kv(a.kv, keys + (size_t) threadIdx.x * dim + d);
            score[threadIdx.x] = keys != ~(size_t) 0 ? dot * a.scale : not_a_number();
        }
        __syncthreads();
        fold_scores(r, score, n, dim);
        for (unsigned k = 0; k < WIDE; k++) {
            unsigned d = threadIdx.x + k * HOLD_CU_BLOCK;
            for (unsigned j = 0; keys != ~(size_t) 0 && d < dim && j < n; j++)
                r.acc[k] += score[j] * get_kv(a.kv, values + (size_t) j * dim + d);
        }
        __syncthreads(); /* the weights are read before the next group overwrites them */
    }
    write_out(r, a.o, row, head * dim, dim);
}

HOLD_KERNEL(attend_full, hold_cu_attend, a) {
    __shared__ float query[HOLD_CU_HEAD_MAX], score[GROUP];
    unsigned dim = a.head_dim, first = blockIdx.y * dim, row = blockIdx.x;
    struct running r = { -__uint_as_float(0x7f800000u), 0.0f, { 0.0f } };
    for (unsigned d = threadIdx.x; d < dim; d += HOLD_CU_BLOCK)
        query[d] = get(a.q, row, first + d);
    __syncthreads();
    for (unsigned begin = 0; begin < a.k.rows; begin += GROUP) {
        unsigned n = a.k.rows - begin < GROUP ? a.k.rows - begin : GROUP;
        if (threadIdx.x < n) {
            float dot = 0;
            for (unsigned d = 0; d < dim; d++)
                dot += query[d] * get(a.k, begin + threadIdx.x, first + d);
            score[threadIdx.x] = dot * a.scale;
        }
        __syncthreads();
        fold_scores(r, score, n, dim);
        for (unsigned k = 0; k < WIDE; k++) {
            unsigned d = threadIdx.x + k * HOLD_CU_BLOCK;
            for (unsigned j = 0; d < dim && j < n; j++)
                r.acc[k] += score[j] * get(a.v, begin + j, first + d);
        }
        __syncthreads();
    }
    write_out(r, a.o, row, first, dim);
}
