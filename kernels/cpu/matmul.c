/* matmul.c - kernels/matmul.h on the CPU: blocks of rows and outputs dealt to the threads. Floor: kernels/cpu. */
#include "kernels/cpu/cpu.h"

/* Rows of x that go through one block of weights before the next: they should stay in the second-level cache. */
#define ROW_BLOCK 48u
/* Weight bytes of a block: large enough that dealing is cheap and streams are long, small enough that the last one delays
 * nobody. */
#define BLOCK_BYTES (256u << 10)
/* Blocks that each thread should get at least, and outputs of a block at least, whole tiles of every variant. */
#define BLOCKS_EACH 4u
#define LEAST_OUTS 24u

struct blocks {
    struct cpu_product whole;
    uint32_t rows, outs, n_outs; /* size of a block, blocks across */
    const struct cpu_simd *simd;
};

static void run_block(void *context, uint32_t i) {
    const struct blocks *b = context;
    struct cpu_product p = b->whole;
    p.row = i / b->n_outs * b->rows;
    p.out = i % b->n_outs * b->outs;
    p.row_end = p.y.rows - p.row < b->rows ? p.y.rows : p.row + b->rows;
    p.out_end = p.y.cols - p.out < b->outs ? p.y.cols : p.out + b->outs;
    b->simd->product(&p);
}

int cpu_matmul(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b) {
    size_t row_bytes = (size_t) x.cols * hold_dtype_bytes(w.dtype);
    uint64_t work = (uint64_t) x.rows * x.cols * y.cols, outs = BLOCK_BYTES / row_bytes;
    uint64_t share = y.cols / (BLOCKS_EACH * hold_pool_threads(s->device->pool));
    outs = (outs < share ? outs : share) / LEAST_OUTS * LEAST_OUTS;
    outs = outs < LEAST_OUTS ? LEAST_OUTS : outs;
    if (work < CPU_WORTH_ELEMENTS || outs > y.cols)
        outs = y.cols;
    struct blocks blocks = { .whole = { .y = y, .x = x, .w = w, .b = b }, .rows = x.rows < ROW_BLOCK ? x.rows : ROW_BLOCK,
                             .outs = (uint32_t) outs, .n_outs = (y.cols - 1) / (uint32_t) outs + 1, .simd = s->device->simd };
    uint64_t n = (uint64_t) blocks.n_outs * ((x.rows - 1) / blocks.rows + 1);
    if (n > UINT32_MAX)
        return hold_stream_fail(s, "matmul: %u x %u x %u is more than can be dealt", x.rows, x.cols, y.cols);
    hold_pool_run(s->device->pool, (uint32_t) n, run_block, &blocks);
    return 0;
}
