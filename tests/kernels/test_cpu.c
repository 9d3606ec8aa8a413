/* test_cpu.c - the CPU backend, every instruction set that runs here, against the reference over the table of shapes; and
 * its own promise: the bits of a row do not depend on who else is computed with it. */
#include "kernels/cpu/pool.h"
#include "tests/kernels/table.h"

#include <stdatomic.h>
#include "tests/unit/test.h"

/* False where this machine has no such variant. */
static bool cpu_open(const char *variant, uint32_t n_threads, struct hold_device **ret_device, struct hold_stream *ret_stream) {
    char error[256];
    const struct hold_backend_options options = { .n_threads = n_threads, .variant = variant };
    if (hold_backend_cpu.open(&options, ret_device, error, sizeof error) < 0)
        return false;
    assert_int_equal(hold_backend_cpu.stream_open(*ret_device, ret_stream), 0);
    return true;
}

static void cpu_close(struct hold_device *device, struct hold_stream *s) {
    hold_backend_cpu.stream_close(s);
    hold_backend_cpu.close(device);
}

static void walk_table(const char *variant, enum hold_shape_cost most) {
    struct hold_stream ref, s;
    struct hold_device *device;
    char what[400];
    int failed = 0;
    if (!cpu_open(variant, 2, &device, &s)) {
        print_message("  this CPU has no %s\n", variant);
        skip();
    }
    assert_int_equal(hold_backend_ref.stream_open(NULL, &ref), 0);
    for (size_t i = 0; i < sizeof hold_shapes / sizeof *hold_shapes; i++) {
        if (hold_shapes[i].cost > most)
            continue;
        double worst = table_compare(&ref, &s, &hold_shapes[i], what, sizeof what);
        if (!(worst <= 1)) {
            print_error("%s: %.3g of what is allowed: %s\n", variant, worst, what);
            failed++;
        }
    }
    cpu_close(device, &s);
    assert_int_equal(failed, 0);
}

static void plain_agrees_with_the_reference(void **unused) {
    (void) unused;
    walk_table("plain", SHAPE_SMALL);
}
static void avx2_agrees_with_the_reference(void **unused) {
    (void) unused;
    walk_table("avx2", SHAPE_MEDIUM);
}
static void avx512_agrees_with_the_reference(void **unused) {
    (void) unused;
    walk_table("avx512", SHAPE_MEDIUM);
}
static void neon_agrees_with_the_reference(void **unused) {
    (void) unused;
    walk_table("neon", SHAPE_SMALL);
}

static void backend_table_has_no_hole(void **unused) {
    (void) unused;
    const struct hold_backend *backends[] = { &hold_backend_ref, &hold_backend_cpu };
    for (int i = 0; i < 2; i++) {
        const struct hold_backend *b = backends[i];
        assert_int_equal(b->abi, HOLD_BACKEND_ABI);
        assert_true(b->open && b->close && b->caps && b->stream_open && b->stream_close && b->sync && b->last_error);
        assert_true(b->alloc && b->free && b->copy_in && b->copy_out && b->copy && b->fill && b->checksum);
        assert_true(b->rmsnorm && b->layernorm && b->add && b->swiglu && b->gelu && b->gather_rows && b->matmul && b->rope_angles);
        assert_true(b->rope && b->kv_append && b->attend && b->attend_full && b->add_position && b->topk && b->convert);
    }
}

static void large_shape_has_a_small_twin(void **unused) {
    (void) unused;
    bool seen[SHAPE_OP_COUNT] = { false };
    for (size_t i = 0; i < sizeof hold_shapes / sizeof *hold_shapes; i++) {
        const struct hold_shape *p = &hold_shapes[i], *twin = p + 1;
        seen[p->op] |= p->cost == SHAPE_SMALL;
        if (p->cost == SHAPE_LARGE)
            assert_true(twin->op == p->op && twin->cost == SHAPE_SMALL && twin->act == p->act && twin->w == p->w && twin->wide == p->wide);
    }
    for (int op = 0; op < SHAPE_OP_COUNT; op++)
        if (!seen[op])
            fail_msg("no small shape of %s", hold_shape_op_names[op]);
}

/* The product of rows alone, in pairs, and all together, with 1 and 3 threads: the same bits. */
static void check_product_bits(const char *variant, enum hold_dtype act, enum hold_dtype weights) {
    enum { ROWS = 13, IN = 93, OUT = 77 };
    struct hold_device *device[2];
    struct hold_stream s[2];
    float all[ROWS * OUT], some[ROWS * OUT];
    if (!cpu_open(variant, 1, &device[0], &s[0]))
        skip();
    assert_true(cpu_open(variant, 3, &device[1], &s[1]));
    struct table_run run = { .s = &s[0] };
    struct hold_t2 x = table_matrix(&run, act, ROWS, IN, 3, SHAPE_PLAIN), w = table_matrix(&run, weights, OUT, IN, 0, SHAPE_PLAIN);
    const struct hold_t2 none = { 0 };
    assert_int_equal(hold_matmul(&s[1], hold_t2_of(all, ROWS, OUT, HOLD_F32), x, w, none), 0);
    for (uint32_t step = 1; step <= 5; step++) {
        for (uint32_t row = 0; row < ROWS; row += step) {
            uint32_t n = ROWS - row < step ? ROWS - row : step;
            assert_int_equal(hold_matmul(&s[step % 2], hold_t2_of(some + row * OUT, n, OUT, HOLD_F32), hold_t2_rows(x, row, n), w, none), 0);
        }
        assert_memory_equal(all, some, sizeof all);
    }
    table_release(&run);
    cpu_close(device[0], &s[0]);
    cpu_close(device[1], &s[1]);
}

static void product_of_a_row_does_not_depend_on_the_others(void **unused) {
    (void) unused;
    const enum hold_dtype types[2] = { HOLD_F32, HOLD_BF16 };
    for (int i = 0; i < 4; i++)
        check_product_bits(NULL, types[i % 2], types[i / 2]);
    check_product_bits("plain", HOLD_F32, HOLD_BF16);
}

/* Attention of each row alone and with the others, few threads and many. */
static void attention_of_a_row_does_not_depend_on_the_others(void **unused) {
    (void) unused;
    struct hold_device *device[2];
    struct hold_stream s[2];
    const struct hold_shape shape = { .op = SHAPE_ATTEND, .act = HOLD_F32, .w = HOLD_F32, .rows = 9, .n = 12, .kv = 2, .dim = 24, .context = 150 };
    struct hold_kv kv;
    struct hold_places places;
    assert_true(cpu_open(NULL, 1, &device[0], &s[0]));
    assert_true(cpu_open(NULL, 4, &device[1], &s[1]));
    struct table_run run = { .s = &s[0] };
    table_places(&run, &shape, shape.kv, &kv, &places);
    struct hold_t2 q = table_matrix(&run, HOLD_F32, shape.rows, shape.n * shape.dim, 0, SHAPE_PLAIN);
    struct hold_t2 o = table_matrix(&run, HOLD_F32, shape.rows, shape.n * shape.dim, 0, SHAPE_PLAIN);
    float *alone = table_host(shape.rows * shape.n * shape.dim, sizeof *alone);
    assert_int_equal(hold_attend(&s[1], o, q, &kv, 1, &places, 0.2f, shape.context - 1), 0);
    for (uint32_t row = 0; row < shape.rows; row++) {
        struct hold_places one = { .seq = hold_t2_rows(places.seq, row, 1), .index = hold_t2_rows(places.index, row, 1), .table = places.table };
        struct hold_t2 y = hold_t2_of(alone + row * q.cols, 1, q.cols, HOLD_F32);
        assert_int_equal(hold_attend(&s[row % 2], y, hold_t2_rows(q, row, 1), &kv, 1, &one, 0.2f, shape.context - 1), 0);
    }
    assert_memory_equal(alone, o.data, shape.rows * q.cols * sizeof *alone);
    free(alone);
    table_release(&run);
    cpu_close(device[0], &s[0]);
    cpu_close(device[1], &s[1]);
}

struct tally {
    _Atomic uint32_t times[997];
};

static void count_piece(void *context, uint32_t i) {
    struct tally *tally = context;
    atomic_fetch_add(&tally->times[i], 1);
}

static void pool_does_every_piece_once(void **unused) {
    (void) unused;
    for (uint32_t n_threads = 1; n_threads <= 5; n_threads++) {
        struct hold_pool *pool = hold_pool_new(n_threads);
        static struct tally tally;
        memset(&tally, 0, sizeof tally);
        for (uint32_t round = 0; round < 300; round++)
            hold_pool_run(pool, round % 7 == 0 ? 997 : round % 11, count_piece, &tally);
        uint32_t expected = 0;
        for (uint32_t round = 0; round < 300; round++)
            expected += round % 7 == 0 || round % 11 > 0;
        assert_int_equal(atomic_load(&tally.times[0]), expected);
        assert_int_equal(atomic_load(&tally.times[996]), 43);
        hold_pool_free(pool);
    }
}

static void contract_refuses_what_does_not_fit(void **unused) {
    (void) unused;
    struct hold_stream s;
    float data[64] = { 0 };
    int8_t small[64] = { 0 };
    const struct hold_t2 none = { 0 };
    struct hold_t2 a = hold_t2_of(data, 4, 8, HOLD_F32), b = hold_t2_of(data, 8, 4, HOLD_F32), w = hold_t2_of(data, 1, 8, HOLD_F32);
    assert_int_equal(hold_backend_ref.stream_open(NULL, &s), 0);
    assert_int_equal(hold_rmsnorm(&s, a, b, w, 1e-5f), -1);
    assert_int_equal(hold_rmsnorm(&s, a, a, w, 0), -1);
    assert_int_equal(hold_add(&s, a, a, b), -1);
    assert_int_equal(hold_matmul(&s, a, a, b, none), -1);
    assert_int_equal(hold_matmul(&s, a, a, hold_t2_of(small, 8, 8, HOLD_I8), none), -1);
    assert_non_null(strstr(s.error, "i8"));
    assert_int_equal(hold_convert(&s, a, hold_t2_of(small, 4, 8, HOLD_I8)), -1);
    assert_non_null(strstr(s.error, "i8 does not exist yet"));
    assert_int_equal(hold_gelu(&s, a, none), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backend_table_has_no_hole),
        cmocka_unit_test(large_shape_has_a_small_twin),
        cmocka_unit_test(plain_agrees_with_the_reference),
        cmocka_unit_test(avx2_agrees_with_the_reference),
        cmocka_unit_test(avx512_agrees_with_the_reference),
        cmocka_unit_test(neon_agrees_with_the_reference),
        cmocka_unit_test(product_of_a_row_does_not_depend_on_the_others),
        cmocka_unit_test(attention_of_a_row_does_not_depend_on_the_others),
        cmocka_unit_test(pool_does_every_piece_once),
        cmocka_unit_test(contract_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
