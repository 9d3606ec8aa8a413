/* fuzz_http_answer.c - any answer: it ends in the same way and with the same body however it is cut, and each step takes something. */
#include "supervisor/policy/http_answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct body {
    size_t n;
    uint64_t hash;
};

static void run(struct hold_http_answer *a, const char *bytes, size_t n, size_t piece, struct body *body) {
    *a = (struct hold_http_answer) { 0 };
    for (size_t at = 0; at < n;) {
        const size_t end = n - at < piece ? n : at + piece;
        while (at < end) {
            const char *some;
            size_t n_some;
            const bool is_over = a->state == HOLD_HTTP_DONE || a->state == HOLD_HTTP_BROKEN;
            const size_t taken = hold_http_answer_feed(a, bytes + at, end - at, &some, &n_some);
            if (is_over) {
                if (taken != 0 || n_some != 0)
                    abort();
                return;
            }
            if (taken == 0 || taken > end - at || n_some > taken || some < bytes + at || some + n_some > bytes + end)
                abort();
            for (size_t i = 0; i < n_some; i++)
                body->hash = (body->hash ^ (unsigned char) some[i]) * UINT64_C(1099511628211);
            body->n += n_some;
            at += taken;
        }
    }
    hold_http_answer_end(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_http_answer whole, cut;
    struct body a = { 0, 7 }, b = { 0, 7 };
    run(&whole, (const char *) data, n, n ? n : 1, &a);
    run(&cut, (const char *) data, n, 1 + n % 17, &b);
    if (whole.state != cut.state || whole.status != cut.status || a.n != b.n || a.hash != b.hash)
        abort();
    if ((whole.state != HOLD_HTTP_DONE && whole.state != HOLD_HTTP_BROKEN) || (whole.state == HOLD_HTTP_BROKEN && !whole.why))
        abort();
    return 0;
}
