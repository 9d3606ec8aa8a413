/* fuzz_grpc.c - anything that a gRPC server's peer may send: the same end however it is cut, every end has its sentence, and what
 * is to be sent stays within its room. Input: the first byte chooses how the answers to it are taken, the rest is the peer. */
#include "supervisor/policy/grpc.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void run(struct hold_grpc *g, const uint8_t *bytes, size_t n, size_t piece, bool takes) {
    hold_grpc_begin(g, "127.0.0.1:50051", "m");
    g->n_out = 0;
    for (size_t at = 0; at < n; at += piece) {
        const size_t some = n - at < piece ? n - at : piece;
        uint8_t *copy = malloc(some); /* so that a read past the piece is seen */
        if (!copy)
            abort();
        memcpy(copy, bytes + at, some);
        hold_grpc_feed(g, copy, some);
        free(copy);
        if (g->n_out > sizeof g->out)
            abort();
        if (takes)
            g->n_out = 0;
    }
    hold_grpc_end(g);
    if (g->word == HOLD_GRPC_MORE || g->why[0] == '\0' || !memchr(g->why, '\0', sizeof g->why))
        abort();
    if (g->hpack.n_bytes > HOLD_HPACK_TABLE_BYTES || g->hpack.n_entries > HOLD_HPACK_ENTRIES)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_grpc whole, cut;
    if (n < 1)
        return 0;
    const bool takes = data[0] & 1;
    const size_t n_peer = n - 1;
    run(&whole, data + 1, n_peer, n_peer ? n_peer : 1, false);
    run(&cut, data + 1, n_peer, 1 + n % 19, takes);
    if (!takes && (whole.word != cut.word || strcmp(whole.why, cut.why) != 0 || whole.n_out != cut.n_out))
        abort();
    return 0;
}
