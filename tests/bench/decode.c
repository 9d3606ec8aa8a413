/* decode.c - decode tokens per second beside the memory bound, for the CPU backend. Bench part.
 *
 *   decode [threads [layers [tokens]]]
 *
 * A model of random weights in memory (hidden 1536, 12 heads, 2 kv heads of 128, MLP 4096, vocabulary 32768, bf16), batches of 1,
 * then 4, then a prompt of 256. The bound is the bytes of weights that one step reads divided by what the same threads read per
 * second from the same memory in the same minute, doing nothing with it. Best of several short slices: other work on the
 * machine can only lower a figure. With one thread the clock is the thread's own CPU time, so that waiting for a busy
 * machine does not count; with more it is the wall's. */
#include "kernels/cpu/pool.h"
#include "runtime/model/forward.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HIDDEN = 1536, HEADS = 12, KV_HEADS = 2, DIM = 128, MLP = 4096, VOCAB = 32768, CONTEXT = 1024, MOST_LAYERS = 64, SLICES = 9 };

static clockid_t the_clock = CLOCK_MONOTONIC;

static double now_s(void) {
    struct timespec t;
    clock_gettime(the_clock, &t);
    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static uint64_t weight_bytes; /* read by one step of one row */
static unsigned char *first_block;
static size_t first_bytes;

static void need(int rc, const char *what) {
    if (rc < 0) {
        fprintf(stderr, "decode: %s\n", what);
        exit(1);
    }
}

/* A matrix of small random numbers: bf16 of exponent 2^-6 .. 2^-5 with random signs and fractions. */
static struct hold_t2 matrix(struct hold_stream *s, uint32_t rows, uint32_t cols) {
    void *data = NULL;
    size_t n = (size_t) rows * cols;
    need(s->ops->alloc(s, n * 2, &data), s->error);
    uint64_t x = n;
    uint16_t *to = data;
    for (size_t i = 0; i < n; i += 4) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        for (size_t k = 0; k < 4 && i + k < n; k++)
            to[i + k] = (uint16_t) (0x3c80u | (x >> (16 * k) & 0x807fu));
    }
    weight_bytes += n * 2;
    return hold_t2_of(data, rows, cols, HOLD_BF16);
}

static void make_layer(struct hold_stream *s, struct hold_layer *l) {
    *l = (struct hold_layer) {
        .input_norm = matrix(s, 1, HIDDEN), .post_attn_norm = matrix(s, 1, HIDDEN), .pre_mlp_norm = matrix(s, 1, HIDDEN),
        .post_mlp_norm = matrix(s, 1, HIDDEN), .q = matrix(s, HEADS * DIM, HIDDEN), .q_bias = matrix(s, 1, HEADS * DIM),
        .k = matrix(s, KV_HEADS * DIM, HIDDEN), .k_bias = matrix(s, 1, KV_HEADS * DIM), .v = matrix(s, KV_HEADS * DIM, HIDDEN),
        .v_bias = matrix(s, 1, KV_HEADS * DIM), .o = matrix(s, HIDDEN, HEADS * DIM), .gate_up = matrix(s, 2 * MLP, HIDDEN),
        .down = matrix(s, HIDDEN, MLP),
    };
}

/* Reads the largest block once, in pieces of 1 MiB dealt as weights are; eight places at a time, as a product reads eight
 * rows: that is faster than one after the other. */
static void read_piece(void *context, uint32_t i) {
    uint64_t sum = 0, *out = context;
    const uint64_t *at = (const uint64_t *) (void *) (first_block + ((size_t) i << 20));
    enum { APART = (1 << 20) / 8 / 8 };
    for (size_t k = 0; k < APART; k += 2)
        for (size_t stream = 0; stream < 8; stream++)
            sum += at[stream * APART + k] ^ at[stream * APART + k + 1];
    __atomic_fetch_add(out, sum, __ATOMIC_RELAXED);
}

static double read_rate(uint32_t n_threads) {
    struct hold_pool *pool = hold_pool_new(n_threads);
    uint64_t sum = 0;
    double best = 0;
    for (int slice = 0; slice < SLICES; slice++) {
        double begun = now_s();
        hold_pool_run(pool, (uint32_t) (first_bytes >> 20), read_piece, &sum);
        best = fmax(best, (double) (first_bytes >> 20 << 20) / (now_s() - begun));
    }
    hold_pool_free(pool);
    return sum == 1 ? 0 : best;
}

/* Rows of one step: `rows` sequences with one token each, or one sequence with all. Returns the best seconds of a step. */
static double step_seconds(struct hold_forward *f, uint32_t rows, bool is_prompt, uint32_t n_steps) {
    static uint32_t ids[CONTEXT], seq[CONTEXT], index[CONTEXT], want[CONTEXT];
    static int32_t pos[CONTEXT][3], pages[8][CONTEXT / HOLD_PAGE_TOKENS];
    const float *logits;
    struct hold_err err = { 0 };
    double best = 1e9;
    for (int32_t q = 0; q < 8; q++)
        for (int32_t p = 0; p < CONTEXT / (int32_t) HOLD_PAGE_TOKENS; p++)
            pages[q][p] = q * (CONTEXT / (int32_t) HOLD_PAGE_TOKENS) + p;
    for (uint32_t step = 0; step < n_steps; step++) {
        for (uint32_t r = 0; r < rows; r++) {
            ids[r] = (step * 977 + r) % VOCAB;
            seq[r] = is_prompt ? 0 : r;
            index[r] = is_prompt ? r : step;
            want[r] = r;
            pos[r][0] = pos[r][1] = pos[r][2] = (int32_t) index[r];
        }
        uint32_t last = rows - 1;
        const struct hold_batch batch = { .n_rows = rows, .ids = ids, .pos = (const int32_t(*)[3]) pos, .seq = seq, .index = index, .n_seqs = is_prompt ? 1 : rows,
                                          .pages = &pages[0][0], .want = is_prompt ? &last : want, .n_want = is_prompt ? 1 : rows };
        double begun = now_s();
        need(hold_forward_run(f, &batch, &logits, &err), err.text);
        best = fmin(best, now_s() - begun);
    }
    return best;
}

int main(int argc, char **argv) {
    uint32_t n_threads = argc > 1 ? (uint32_t) atoi(argv[1]) : 0, n_layers = argc > 2 ? (uint32_t) atoi(argv[2]) : 12;
    uint32_t n_tokens = argc > 3 ? (uint32_t) atoi(argv[3]) : 40;
    const struct hold_backend_options options = { .n_threads = n_threads };
    static struct hold_layer layers[MOST_LAYERS];
    struct hold_device *device;
    struct hold_stream s;
    struct hold_caps caps;
    struct hold_err err = { 0 };
    char error[256] = "";
    if (n_layers < 1 || n_layers > MOST_LAYERS || n_tokens < 1 || n_tokens > CONTEXT)
        return 2;
    need(hold_backend_cpu.open(&options, &device, error, sizeof error), error);
    need(hold_backend_cpu.stream_open(device, &s), "stream");
    hold_backend_cpu.caps(device, &caps);
    if (caps.n_threads == 1)
        the_clock = CLOCK_THREAD_CPUTIME_ID;
    struct hold_weights w = { .act = HOLD_F32, .layers = layers };
    w.record = (struct hold_record) { .hidden = HIDDEN, .n_layers = n_layers, .n_heads = HEADS, .n_kv_heads = KV_HEADS, .head_dim = DIM, .intermediate = MLP,
                                      .vocab = VOCAB, .rotary_dim = DIM / 2, .rope_theta = 10000, .rms_eps = 1e-5 };
    w.decoder = (struct hold_decoder) { .hidden = HIDDEN, .n_layers = n_layers, .n_heads = HEADS, .n_kv_heads = KV_HEADS, .head_dim = DIM,
                                        .intermediate = MLP, .vocab = VOCAB, .rotary_dim = DIM / 2, .eps = 1e-5f, .layers = layers };
    w.decoder.lm_head = w.decoder.embed = matrix(&s, VOCAB, HIDDEN); /* tied: read once, as the head */
    first_block = w.decoder.lm_head.data;
    first_bytes = (size_t) VOCAB * HIDDEN * 2;
    w.decoder.final_norm = matrix(&s, 1, HIDDEN);
    for (uint32_t i = 0; i < n_layers; i++)
        make_layer(&s, &layers[i]);
    struct hold_kv kv;
    struct hold_forward *f;
    const struct hold_forward_limits limits = { .max_rows = 512, .max_seqs = 8, .max_pages = CONTEXT / HOLD_PAGE_TOKENS, .max_logits = 8 };
    need(hold_kv_open(&w, 8 * CONTEXT / HOLD_PAGE_TOKENS, &s, &kv, &err), err.text);
    need(hold_forward_open(&w, &kv, &s, &limits, &f, &err), err.text);

    double rate = read_rate(caps.n_threads), one = step_seconds(f, 1, false, n_tokens), four = step_seconds(f, 4, false, n_tokens / 4 + 2);
    double prompt = step_seconds(f, 256, true, 3), rate_after = read_rate(caps.n_threads);
    rate = fmax(rate, rate_after);
    double bytes = (double) weight_bytes, flop = 2 * bytes / 2 * 256;
    printf("%s; %.0f MB of weights a token; memory read %.1f GB/s\n", caps.name, bytes / 1e6, rate / 1e9);
    printf("decode, 1 request:  %6.2f tokens/s, %5.1f GB/s, %3.0f %% of the memory bound\n", 1 / one, bytes / one / 1e9, 100 * bytes / one / rate);
    printf("decode, 4 requests: %6.2f tokens/s\n", 4 / four);
    printf("prefill, 256 rows:  %6.0f tokens/s, %5.1f GFLOP/s\n", 256 / prompt, flop / prompt / 1e9);
    hold_forward_free(f);
    hold_kv_close(&kv, &s);
    return 0;
}
