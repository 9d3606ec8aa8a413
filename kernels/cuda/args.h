/* args.h - the one argument of each device function: backend.c fills it, the .cu file reads it. Floor: kernels/cuda; C
 * and CUDA C++. A single struct by value keeps the launch the same for every function, on a GPU and on the emulated device. */
#ifndef HOLD_KERNELS_CUDA_ARGS_H
#define HOLD_KERNELS_CUDA_ARGS_H

#include "kernels/attn.h"
#include "kernels/types.h"

/* rmsnorm (b unused), layernorm: grid (rows), block HOLD_CU_BLOCK */
struct hold_cu_norm {
    struct hold_t2 y, x, w, b;
    float eps;
};

/* add, swiglu, gelu (b unused), convert (b unused), gather_rows (a table, b ids): grid (rows, ceil(cols / block)) */
struct hold_cu_map {
    struct hold_t2 y, a, b;
};

/* matmul_tile: grid (ceil(rows / HOLD_CU_TILE), ceil(out / HOLD_CU_TILE)), block (TILE, TILE);
 * matmul_rows: grid (ceil(out / (BLOCK / 32)), rows), block HOLD_CU_BLOCK, one warp an output */
struct hold_cu_matmul {
    struct hold_t2 y, x, w, b;
};

/* rope_angles (x unused): grid (rows, ceil(n / block)); rope: grid (rows, ceil(heads * n / block)) */
struct hold_cu_rope {
    struct hold_t2 x, cs, pos, inv, axis;
    uint32_t head_dim;
    uint32_t is_halves;
};

/* kv_append: grid (rows, ceil(kv heads * head_dim / block)); attend: grid (rows, heads), block HOLD_CU_BLOCK */
struct hold_cu_attend {
    struct hold_t2 o, q, k, v;
    struct hold_kv kv;
    struct hold_places places;
    uint32_t layer;
    uint32_t head_dim;
    float scale;
};

/* add_position: grid (rows, ceil(cols / block)) */
struct hold_cu_position {
    struct hold_t2 x, table, yx;
    uint32_t h, w, side;
};

/* topk: grid (rows), block HOLD_CU_BLOCK */
struct hold_cu_topk {
    struct hold_t2 values, ids, x;
};

/* checksum: grid (HOLD_CU_SUM_BLOCKS), block HOLD_CU_BLOCK; adds to *sum, which starts as zero */
struct hold_cu_checksum {
    const void *data;
    uint64_t bytes;
    unsigned long long *sum;
};

enum {
    HOLD_CU_BLOCK = 128,   /* threads of a block, but for matmul_tile */
    HOLD_CU_TILE = 16,     /* side of the output tile of matmul_tile */
    HOLD_CU_FEW_ROWS = 8,  /* up to here matmul_rows is used */
    HOLD_CU_HEAD_MAX = HOLD_HEAD_DIM_MAX,
    HOLD_CU_SUM_BLOCKS = 256,
};

/* Every device function: X(name, struct). The module must have them all. */
#define HOLD_CU_KERNELS(X)              \
    X(rmsnorm, hold_cu_norm)            \
    X(layernorm, hold_cu_norm)          \
    X(add, hold_cu_map)                 \
    X(swiglu, hold_cu_map)              \
    X(gelu, hold_cu_map)                \
    X(convert, hold_cu_map)             \
    X(gather_rows, hold_cu_map)         \
    X(matmul_tile, hold_cu_matmul)      \
    X(matmul_rows, hold_cu_matmul)      \
    X(rope_angles, hold_cu_rope)        \
    X(rope, hold_cu_rope)               \
    X(kv_append, hold_cu_attend)        \
    X(attend, hold_cu_attend)           \
    X(attend_full, hold_cu_attend)      \
    X(add_position, hold_cu_position)   \
    X(topk, hold_cu_topk)               \
    X(checksum, hold_cu_checksum)

#endif
