/* shapes.h - the one table of shapes that every backend is held against: ref by float64 formulas, cpu, the emulated and
 * the real GPU by ref. Test part.
 *
 * A row's cost decides who runs it: SMALL everywhere (emulation too), MEDIUM on hosts and GPUs, LARGE on GPUs and by
 * `make soak`. Each LARGE row is followed by its twin: the same operation and types, scaled down to SMALL. */
#ifndef HOLD_TESTS_KERNELS_SHAPES_H
#define HOLD_TESTS_KERNELS_SHAPES_H

#include "kernels/backend.h"

enum hold_shape_op {
    SHAPE_RMSNORM,      /* rows, cols; w: type of the weights; pad: extra stride of the inputs, here and below */
    SHAPE_LAYERNORM,    /* rows, cols */
    SHAPE_ADD,          /* rows, cols */
    SHAPE_SWIGLU,       /* rows, cols; g and u are halves of one matrix */
    SHAPE_GELU,         /* rows, cols */
    SHAPE_GATHER,       /* rows taken from a table of n rows, cols */
    SHAPE_MATMUL,       /* rows, cols = in, n = out; bias 0 or 1; y is f32 when wide */
    SHAPE_ROPE_ANGLES,  /* rows, cols = frequencies, n = axes, context = largest position */
    SHAPE_ROPE,         /* rows, n = heads, dim = head_dim, cols = turning elements; halves 0 or 1 */
    SHAPE_KV_APPEND,    /* rows, n = kv heads, dim, context = tokens of the longest sequence; w: type of the cache */
    SHAPE_ATTEND,       /* rows, n = heads, kv = kv heads, dim, context; w: type of the cache */
    SHAPE_ATTEND_FULL,  /* rows, n = heads, dim; q, k, v are thirds of one matrix */
    SHAPE_ADD_POSITION, /* n = side of the table, cols; grid of h rows and context columns */
    SHAPE_TOPK,         /* rows, cols, n = k */
    SHAPE_CONVERT,      /* rows, cols; from w to act */
    SHAPE_OP_COUNT
};

static const char *const hold_shape_op_names[SHAPE_OP_COUNT] = {
    "rmsnorm", "layernorm", "add", "swiglu", "gelu", "gather_rows", "matmul", "rope_angles", "rope", "kv_append", "attend",
    "attend_full", "add_position", "topk", "convert",
};

enum hold_shape_cost { SHAPE_SMALL, SHAPE_MEDIUM, SHAPE_LARGE };

/* What the numbers look like: uniform in [-1, 1); or with planted extremes. */
enum hold_shape_data {
    SHAPE_PLAIN,
    SHAPE_ZEROS,
    SHAPE_SPIKE, /* one element of 1e4 a row */
    SHAPE_TIES,  /* few distinct values */
    SHAPE_NAN,   /* one NaN, in the first row */
};

struct hold_shape {
    enum hold_shape_op op;
    enum hold_shape_cost cost;
    enum hold_dtype act, w;
    uint32_t rows, cols, n, kv, dim, context, h, wide, bias, pad, halves;
    enum hold_shape_data data;
};

#define F HOLD_F32
#define B HOLD_BF16
#define H HOLD_F16
#define S SHAPE_SMALL
#define M SHAPE_MEDIUM
#define L SHAPE_LARGE

static const struct hold_shape hold_shapes[] = {
    /* norms: one element, odd widths, the tiny and the real model's widths, all zero, one huge element */
    { SHAPE_RMSNORM, S, F, F, .rows = 1, .cols = 1 },
    { SHAPE_RMSNORM, S, F, B, .rows = 3, .cols = 7 },
    { SHAPE_RMSNORM, S, B, B, .rows = 3, .cols = 7 },
    { SHAPE_RMSNORM, S, F, B, .rows = 5, .cols = 128 },
    { SHAPE_RMSNORM, S, B, B, .rows = 5, .cols = 130 },
    { SHAPE_RMSNORM, S, F, F, .rows = 2, .cols = 48, .data = SHAPE_ZEROS },
    { SHAPE_RMSNORM, S, F, B, .rows = 2, .cols = 96, .data = SHAPE_SPIKE },
    { SHAPE_RMSNORM, S, B, B, .rows = 2, .cols = 96, .data = SHAPE_SPIKE, .pad = 5 },
    { SHAPE_RMSNORM, S, B, B, .rows = 1, .cols = 4096 },
    { SHAPE_RMSNORM, M, B, B, .rows = 300, .cols = 1536 },
    { SHAPE_RMSNORM, L, B, B, .rows = 4096, .cols = 4096 },
    { SHAPE_RMSNORM, S, B, B, .rows = 9, .cols = 256 },
    { SHAPE_LAYERNORM, S, F, B, .rows = 1, .cols = 1 },
    { SHAPE_LAYERNORM, S, F, B, .rows = 3, .cols = 33 },
    { SHAPE_LAYERNORM, S, B, B, .rows = 4, .cols = 128 },
    { SHAPE_LAYERNORM, S, F, F, .rows = 2, .cols = 64, .data = SHAPE_SPIKE },
    { SHAPE_LAYERNORM, S, B, B, .rows = 2, .cols = 64, .data = SHAPE_ZEROS },
    { SHAPE_LAYERNORM, M, B, B, .rows = 90, .cols = 4096 },

    { SHAPE_ADD, S, F, F, .rows = 3, .cols = 17 },
    { SHAPE_ADD, S, B, B, .rows = 5, .cols = 129, .pad = 3 },
    { SHAPE_ADD, M, B, B, .rows = 257, .cols = 4096 },
    { SHAPE_SWIGLU, S, F, F, .rows = 3, .cols = 13 },
    { SHAPE_SWIGLU, S, B, B, .rows = 4, .cols = 224 },
    { SHAPE_SWIGLU, S, F, F, .rows = 2, .cols = 31, .data = SHAPE_SPIKE },
    { SHAPE_SWIGLU, S, B, B, .rows = 2, .cols = 128, .pad = 9 },
    { SHAPE_SWIGLU, M, B, B, .rows = 33, .cols = 13696 },
    { SHAPE_GELU, S, F, F, .rows = 3, .cols = 19 },
    { SHAPE_GELU, S, B, B, .rows = 5, .cols = 128 },
    { SHAPE_GELU, S, F, F, .rows = 2, .cols = 31, .data = SHAPE_SPIKE },
    { SHAPE_GELU, M, B, B, .rows = 65, .cols = 4096 },

    { SHAPE_GATHER, S, F, F, .rows = 5, .n = 11, .cols = 7 },
    { SHAPE_GATHER, S, F, B, .rows = 9, .n = 1024, .cols = 128 },
    { SHAPE_GATHER, S, B, B, .rows = 9, .n = 100, .cols = 130 },
    { SHAPE_GATHER, S, B, F, .rows = 3, .n = 10, .cols = 24 },
    { SHAPE_GATHER, M, B, B, .rows = 64, .n = 4096, .cols = 4096 },

    /* matmul: one row (decode), few rows, many; widths that no vector length divides; biases; f32 logits from bf16 */
    { SHAPE_MATMUL, S, F, F, .rows = 1, .cols = 1, .n = 1 },
    { SHAPE_MATMUL, S, F, B, .rows = 1, .cols = 7, .n = 3, .bias = 1 },
    { SHAPE_MATMUL, S, F, F, .rows = 3, .cols = 33, .n = 5 },
    { SHAPE_MATMUL, S, B, B, .rows = 2, .cols = 33, .n = 9, .bias = 1 },
    { SHAPE_MATMUL, S, F, B, .rows = 1, .cols = 128, .n = 448 },
    { SHAPE_MATMUL, S, B, B, .rows = 1, .cols = 224, .n = 128 },
    { SHAPE_MATMUL, S, B, B, .rows = 5, .cols = 130, .n = 67, .wide = 1, .pad = 7 },
    { SHAPE_MATMUL, S, F, B, .rows = 17, .cols = 48, .n = 144 },
    { SHAPE_MATMUL, S, B, B, .rows = 33, .cols = 72, .n = 65 },
    { SHAPE_MATMUL, S, B, F, .rows = 4, .cols = 40, .n = 24, .bias = 1 },
    { SHAPE_MATMUL, S, F, B, .rows = 2, .cols = 96, .n = 8, .data = SHAPE_SPIKE },
    { SHAPE_MATMUL, M, F, B, .rows = 1, .cols = 4096, .n = 1024 },
    { SHAPE_MATMUL, M, B, B, .rows = 48, .cols = 1176, .n = 256, .bias = 1 },
    { SHAPE_MATMUL, M, F, B, .rows = 130, .cols = 512, .n = 704 },
    { SHAPE_MATMUL, L, B, B, .rows = 512, .cols = 4096, .n = 4096 },
    { SHAPE_MATMUL, S, B, B, .rows = 20, .cols = 80, .n = 80 },
    { SHAPE_MATMUL, L, B, B, .rows = 1, .cols = 4096, .n = 151552, .wide = 1 },
    { SHAPE_MATMUL, S, B, B, .rows = 1, .cols = 64, .n = 1184, .wide = 1 },

    { SHAPE_ROPE_ANGLES, S, F, F, .rows = 5, .cols = 8, .n = 3, .context = 16 },
    { SHAPE_ROPE_ANGLES, S, F, F, .rows = 7, .cols = 32, .n = 3, .context = 25479 },
    { SHAPE_ROPE_ANGLES, S, F, F, .rows = 9, .cols = 64, .n = 2, .context = 230 },
    { SHAPE_ROPE, S, F, F, .rows = 3, .n = 4, .dim = 32, .cols = 16 },
    { SHAPE_ROPE, S, B, B, .rows = 3, .n = 4, .dim = 32, .cols = 16 },
    { SHAPE_ROPE, S, F, F, .rows = 4, .n = 3, .dim = 16, .cols = 16, .halves = 1, .pad = 96 },
    { SHAPE_ROPE, S, B, B, .rows = 4, .n = 2, .dim = 24, .cols = 12 },
    { SHAPE_ROPE, S, F, F, .rows = 2, .n = 1, .dim = 40, .cols = 40, .halves = 1 },
    { SHAPE_ROPE, S, B, B, .rows = 3, .n = 2, .dim = 128, .cols = 64 },
    { SHAPE_ROPE, M, B, B, .rows = 300, .n = 32, .dim = 128, .cols = 64 },

    { SHAPE_KV_APPEND, S, F, F, .rows = 9, .n = 2, .dim = 32, .context = 70 },
    { SHAPE_KV_APPEND, S, B, B, .rows = 5, .n = 1, .dim = 24, .context = 130 },
    { SHAPE_KV_APPEND, S, F, B, .rows = 5, .n = 2, .dim = 16, .context = 64 },
    { SHAPE_KV_APPEND, M, B, B, .rows = 300, .n = 2, .dim = 128, .context = 1000 },

    { SHAPE_ATTEND, S, F, F, .rows = 1, .n = 1, .kv = 1, .dim = 16, .context = 1 },
    { SHAPE_ATTEND, S, F, F, .rows = 5, .n = 4, .kv = 2, .dim = 32, .context = 20 },
    { SHAPE_ATTEND, S, B, B, .rows = 5, .n = 4, .kv = 1, .dim = 32, .context = 66 },
    { SHAPE_ATTEND, S, F, F, .rows = 3, .n = 6, .kv = 2, .dim = 24, .context = 64 },
    { SHAPE_ATTEND, S, F, F, .rows = 2, .n = 2, .kv = 2, .dim = 40, .context = 65 },
    { SHAPE_ATTEND, S, B, B, .rows = 2, .n = 2, .kv = 1, .dim = 80, .context = 130 },
    { SHAPE_ATTEND, S, F, B, .rows = 3, .n = 2, .kv = 1, .dim = 16, .context = 30 },
    { SHAPE_ATTEND, S, F, F, .rows = 2, .n = 4, .kv = 2, .dim = 20, .context = 75 },
    { SHAPE_ATTEND, S, B, B, .rows = 3, .n = 3, .kv = 3, .dim = 12, .context = 9 },
    { SHAPE_ATTEND, M, B, B, .rows = 16, .n = 32, .kv = 2, .dim = 128, .context = 700 },
    { SHAPE_ATTEND, M, F, F, .rows = 40, .n = 8, .kv = 2, .dim = 64, .context = 300 },
    { SHAPE_ATTEND, L, B, B, .rows = 64, .n = 32, .kv = 2, .dim = 128, .context = 8192 },
    { SHAPE_ATTEND, S, B, B, .rows = 3, .n = 8, .kv = 2, .dim = 16, .context = 140 },

    { SHAPE_ATTEND_FULL, S, F, F, .rows = 1, .n = 1, .dim = 16 },
    { SHAPE_ATTEND_FULL, S, F, F, .rows = 48, .n = 3, .dim = 16 },
    { SHAPE_ATTEND_FULL, S, B, B, .rows = 36, .n = 2, .dim = 24 },
    { SHAPE_ATTEND_FULL, S, F, F, .rows = 17, .n = 1, .dim = 80 },
    { SHAPE_ATTEND_FULL, S, F, F, .rows = 9, .n = 2, .dim = 20 },
    { SHAPE_ATTEND_FULL, S, B, B, .rows = 70, .n = 1, .dim = 32 },
    { SHAPE_ATTEND_FULL, M, B, B, .rows = 300, .n = 4, .dim = 64 },
    { SHAPE_ATTEND_FULL, L, B, B, .rows = 2048, .n = 12, .dim = 128 },
    { SHAPE_ATTEND_FULL, S, B, B, .rows = 40, .n = 3, .dim = 32 },

    { SHAPE_ADD_POSITION, S, F, B, .n = 4, .h = 4, .context = 4, .cols = 48 },
    { SHAPE_ADD_POSITION, S, F, B, .n = 4, .h = 6, .context = 8, .cols = 48 },
    { SHAPE_ADD_POSITION, S, B, B, .n = 4, .h = 6, .context = 8, .cols = 48 },
    { SHAPE_ADD_POSITION, S, F, F, .n = 24, .h = 2, .context = 2, .cols = 31 },
    { SHAPE_ADD_POSITION, S, B, B, .n = 1, .h = 4, .context = 2, .cols = 9 },
    { SHAPE_ADD_POSITION, M, B, B, .n = 24, .h = 172, .context = 78, .cols = 64 },

    { SHAPE_TOPK, S, F, F, .rows = 1, .cols = 1, .n = 1 },
    { SHAPE_TOPK, S, F, F, .rows = 3, .cols = 1024, .n = 5 },
    { SHAPE_TOPK, S, F, F, .rows = 2, .cols = 100, .n = 64, .data = SHAPE_TIES },
    { SHAPE_TOPK, S, F, F, .rows = 2, .cols = 700, .n = 4, .data = SHAPE_NAN },
    { SHAPE_TOPK, S, F, F, .rows = 2, .cols = 300, .n = 8, .data = SHAPE_ZEROS },
    { SHAPE_TOPK, M, F, F, .rows = 4, .cols = 151552, .n = 20 },

    { SHAPE_CONVERT, S, B, F, .rows = 3, .cols = 77 },
    { SHAPE_CONVERT, S, F, B, .rows = 3, .cols = 77 },
    { SHAPE_CONVERT, S, F, H, .rows = 2, .cols = 500 },
    { SHAPE_CONVERT, S, B, H, .rows = 2, .cols = 500 },
    { SHAPE_CONVERT, S, B, F, .rows = 2, .cols = 40, .data = SHAPE_NAN, .pad = 3 },
};

#undef F
#undef B
#undef H
#undef S
#undef M
#undef L

#endif
