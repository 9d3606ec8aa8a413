/* checksum.cu - hold_backend.checksum on the device: a sum that any order gives. Floor: kernels/cuda. */
#include "kernels/cuda/common.cuh"

static __device__ unsigned long long mix(unsigned long long word, unsigned long long index) {
    unsigned long long z = word + (index + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

HOLD_KERNEL(checksum, hold_cu_checksum, a) {
    unsigned long long n_words = (a.bytes + 7) / 8, sum = 0;
    unsigned long long step = (unsigned long long) HOLD_CU_SUM_BLOCKS * HOLD_CU_BLOCK;
    for (unsigned long long i = (unsigned long long) blockIdx.x * HOLD_CU_BLOCK + threadIdx.x; i < n_words; i += step) {
        unsigned long long word = 0;
        unsigned n = a.bytes - i * 8 < 8 ? (unsigned) (a.bytes - i * 8) : 8;
        for (unsigned k = 0; k < n; k++) /* byte by byte: the range may begin anywhere */
            word |= (unsigned long long) ((const unsigned char *) a.data)[i * 8 + k] << 8 * k;
        sum += mix(word, i);
    }
    atomicAdd(a.sum, sum);
}
