/* test_batch.c - pages have one holder, and a step's rows go to those who wait for a token first. */
#include "runtime/engine/batch.h"
#include "runtime/engine/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pages_are_held_by_one(void **unused) {
    (void) unused;
    struct hold_pages p;
    struct hold_err err = { 0 };
    int32_t a[3], b[3];
    assert_return_code(hold_pages_init(&p, 5, &err), 0);
    assert_return_code(hold_pages_take(&p, 1, 3, a, &err), 0);
    assert_int_equal(hold_pages_take(&p, 2, 3, b, &err), -1);
    assert_int_equal(err.code, HOLD_E_BUSY);
    assert_return_code(hold_pages_take(&p, 2, 2, b, &err), 0);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            assert_int_not_equal(a[i], b[k]);
    assert_int_equal(hold_pages_give(&p, 2, a, 3, &err), -1);
    assert_int_equal(p.n_free, 0);
    const int32_t twice[] = { a[0], a[0] };
    assert_int_equal(hold_pages_give(&p, 1, twice, 2, &err), -1);
    assert_int_equal(p.n_free, 0);
    const int32_t none[] = { -1 }, far[] = { 5 };
    assert_int_equal(hold_pages_give(&p, 1, none, 1, &err), -1);
    assert_int_equal(hold_pages_give(&p, 1, far, 1, &err), -1);
    assert_return_code(hold_pages_give(&p, 1, a, 3, &err), 0);
    assert_int_equal(hold_pages_give(&p, 1, a, 3, &err), -1);
    assert_return_code(hold_pages_give(&p, 2, b, 2, &err), 0);
    assert_int_equal(p.n_free, 5);
    hold_pages_release(&p);
}

static void pages_survive_random_holders(void **unused) {
    (void) unused;
    struct hold_pages p;
    struct hold_err err = { 0 };
    int32_t held[8][64];
    uint32_t n_held[8] = { 0 }, total = 0;
    uint64_t seed = 5;
    assert_return_code(hold_pages_init(&p, 100, &err), 0);
    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t who = (seed >> 40) % 8;
        if (n_held[who]) {
            assert_return_code(hold_pages_give(&p, who + 1, held[who], n_held[who], &err), 0);
            total -= n_held[who];
            n_held[who] = 0;
        } else {
            uint32_t n = (uint32_t) (seed >> 50) % 64;
            if (hold_pages_take(&p, who + 1, n, held[who], &err) == 0) {
                n_held[who] = n;
                total += n;
            } else {
                assert_true(n > 100 - total);
            }
        }
        assert_int_equal(p.n_free, 100 - total);
    }
    hold_pages_release(&p);
}

static void batch_serves_waiting_tokens_before_prompts(void **unused) {
    (void) unused;
    const struct hold_batch_seq seqs[] = { { 1000, 0 }, { 50, 49 }, { 300, 100 }, { 7, 6 } };
    struct hold_batch_part parts[4];
    assert_int_equal(hold_batch_next(seqs, 4, 100, parts), 3);
    assert_int_equal(parts[0].seq, 1);
    assert_int_equal(parts[1].seq, 3);
    assert_int_equal(parts[2].seq, 0);
    assert_int_equal(parts[2].count, 98);
    assert_int_equal(hold_batch_next(seqs, 4, 1, parts), 1);
    assert_int_equal(parts[0].seq, 1);
    assert_int_equal(hold_batch_next(seqs, 4, 2000, parts), 4);
    assert_int_equal(parts[3].seq, 2);
    assert_int_equal(parts[3].first, 100);
    assert_int_equal(parts[3].count, 200);
    assert_int_equal(hold_batch_next(seqs, 0, 100, parts), 0);
}

/* Any mix comes to its end: rows within the limit, each token once, in order. */
static void batch_ends_every_mix(void **unused) {
    (void) unused;
    uint64_t seed = 3;
    for (int round = 0; round < 300; round++) {
        struct hold_batch_seq seqs[6];
        struct hold_batch_part parts[6];
        uint32_t left = 0, max_rows;
        seed = seed * UINT64_C(6364136223846793005) + 1;
        size_t n = 1 + (seed >> 33) % 6;
        max_rows = 1 + (uint32_t) (seed >> 40) % 64;
        for (size_t i = 0; i < n; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            seqs[i] = (struct hold_batch_seq) { .n_known = 1 + (uint32_t) (seed >> 40) % 200 };
            left += seqs[i].n_known;
        }
        while (left > 0) {
            struct hold_batch_seq open[6];
            size_t map[6], n_open = 0;
            for (size_t i = 0; i < n; i++)
                if (seqs[i].n_stored < seqs[i].n_known) {
                    map[n_open] = i;
                    open[n_open++] = seqs[i];
                }
            size_t n_parts = hold_batch_next(open, n_open, max_rows, parts);
            uint32_t rows = 0;
            assert_in_range(n_parts, 1, n_open);
            for (size_t i = 0; i < n_parts; i++) {
                struct hold_batch_seq *s = &seqs[map[parts[i].seq]];
                assert_int_equal(parts[i].first, s->n_stored);
                assert_in_range(parts[i].count, 1, s->n_known - s->n_stored);
                s->n_stored += parts[i].count;
                rows += parts[i].count;
            }
            assert_true(rows <= max_rows);
            left -= rows;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_held_by_one),
        cmocka_unit_test(pages_survive_random_holders),
        cmocka_unit_test(batch_serves_waiting_tokens_before_prompts),
        cmocka_unit_test(batch_ends_every_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
