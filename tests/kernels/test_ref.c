/* test_ref.c - the reference against formulas in float64 written apart from it, and against the variants that engines have
 * got wrong: each of those must differ visibly. */
#include "tests/kernels/table.h"
#include "tests/unit/test.h"

static struct hold_stream s;

static struct hold_t2 host(float *data, uint32_t rows, uint32_t cols) {
    return hold_t2_of(data, rows, cols, HOLD_F32);
}

static struct hold_t2 ints(int32_t *data, uint32_t rows, uint32_t cols) {
    return hold_t2_of(data, rows, cols, HOLD_I32);
}

static void fill(float *data, size_t n, uint64_t seed) {
    struct table_run run = { .random = seed * 100000 };
    for (size_t i = 0; i < n; i++)
        data[i] = table_uniform(&run);
}

#define assert_near(got, expected, allowed)                                                                        \
    do {                                                                                                           \
        double got_ = (double) (got), expected_ = (double) (expected);                                             \
        if (!(fabs(got_ - expected_) <= (allowed)))                                                                \
            fail_msg("%s is %.9g, expected %.9g within %.3g", #got, got_, expected_, (double) (allowed));          \
    } while (0)

/* T04 */
static void rmsnorm_is_exact_for_large_zero_and_spiked_rows(void **unused) {
    (void) unused;
    enum { N = 96 };
    float x[4][N], y[4][N], w[N];
    fill(w, N, 1);
    fill(&x[0][0], sizeof x / sizeof(float), 2);
    for (int i = 0; i < N; i++) {
        x[0][i] *= 1e4f;
        x[1][i] = 0;
    }
    x[2][17] = 3e4f;
    assert_int_equal(hold_rmsnorm(&s, host(&y[0][0], 4, N), host(&x[0][0], 4, N), host(w, 1, N), 1e-5f), 0);
    for (int row = 0; row < 4; row++) {
        double squares = 0;
        for (int i = 0; i < N; i++)
            squares += (double) x[row][i] * (double) x[row][i];
        for (int i = 0; i < N; i++)
            assert_near(y[row][i], (double) w[i] * (double) x[row][i] / sqrt(squares / N + 1e-5), 2e-6);
    }
    assert_true(y[1][0] == 0); /* eps keeps a row of zeros from becoming NaN */
}

static void layernorm_subtracts_the_mean(void **unused) {
    (void) unused;
    enum { N = 40 };
    float x[N], y[N], w[N], b[N];
    fill(x, N, 3), fill(w, N, 4), fill(b, N, 5);
    for (int i = 0; i < N; i++)
        x[i] += 50;
    assert_int_equal(hold_layernorm(&s, host(y, 1, N), host(x, 1, N), host(w, 1, N), host(b, 1, N), 1e-5f), 0);
    double mean = 0, squares = 0;
    for (int i = 0; i < N; i++)
        mean += (double) x[i] / N;
    for (int i = 0; i < N; i++)
        squares += ((double) x[i] - mean) * ((double) x[i] - mean) / N;
    for (int i = 0; i < N; i++)
        assert_near(y[i], ((double) x[i] - mean) / sqrt(squares + 1e-5) * (double) w[i] + (double) b[i], 1e-6);
}

enum { DIM = 32, TURNING = 16, N_POS = 5 };
static const int32_t positions[N_POS] = { 0, 1, 7, 1000, 25479 };

/* One head of DIM at each position, turned by the product; same position on all axes. */
static void turn_text(float x[N_POS][DIM], enum hold_rope_pairs pairs) {
    int32_t pos[N_POS][3], axis[TURNING / 2] = { 0, 0, 1, 1, 1, 2, 2, 2 };
    float inv[TURNING / 2], cs[N_POS][TURNING];
    for (int i = 0; i < N_POS; i++)
        pos[i][0] = pos[i][1] = pos[i][2] = positions[i];
    for (int j = 0; j < TURNING / 2; j++)
        inv[j] = (float) pow(10000, -2.0 * j / TURNING);
    assert_int_equal(hold_rope_angles(&s, host(&cs[0][0], N_POS, TURNING), ints(&pos[0][0], N_POS, 3), host(inv, 1, TURNING / 2), ints(axis, 1, TURNING / 2)), 0);
    assert_int_equal(hold_rope(&s, host(&x[0][0], N_POS, DIM), host(&cs[0][0], N_POS, TURNING), DIM, pairs), 0);
}

/* T05 */
static void text_rotation_turns_neighbours_and_leaves_the_rest(void **unused) {
    (void) unused;
    float x[N_POS][DIM], before[N_POS][DIM];
    fill(&x[0][0], sizeof x / sizeof(float), 6);
    memcpy(before, x, sizeof x);
    turn_text(x, HOLD_ROPE_NEIGHBOURS);
    for (int i = 0; i < N_POS; i++) {
        double norm = 0, norm_before = 0, allowed = positions[i] > 10000 ? 1e-3 : positions[i] > 100 ? 1e-4 : 1e-5;
        for (int j = 0; j < TURNING / 2; j++) {
            double angle = positions[i] * pow(10000, -2.0 * j / TURNING);
            double a = (double) before[i][2 * j], b = (double) before[i][2 * j + 1];
            assert_near(x[i][2 * j], a * cos(angle) - b * sin(angle), allowed);
            assert_near(x[i][2 * j + 1], b * cos(angle) + a * sin(angle), allowed);
        }
        assert_memory_equal(&x[i][TURNING], &before[i][TURNING], (DIM - TURNING) * sizeof(float));
        for (int j = 0; j < DIM; j++) {
            norm += (double) x[i][j] * (double) x[i][j];
            norm_before += (double) before[i][j] * (double) before[i][j];
        }
        assert_near(norm, norm_before, 1e-5);
    }
}

/* T06 */
static void the_other_pairing_differs_visibly(void **unused) {
    (void) unused;
    float x[N_POS][DIM], other[N_POS][DIM];
    fill(&x[0][0], sizeof x / sizeof(float), 6);
    memcpy(other, x, sizeof x);
    turn_text(x, HOLD_ROPE_NEIGHBOURS);
    turn_text(other, HOLD_ROPE_HALVES);
    double most = 0;
    for (int i = 0; i < N_POS; i++)
        for (int j = 0; j < DIM; j++)
            most = fmax(most, fabs((double) x[i][j] - (double) other[i][j]));
    assert_true(most > 0.1);
}

/* T07, T08: which frequencies move when one axis moves; equal axes are the plain rotation. */
static void each_axis_moves_its_own_frequencies(void **unused) {
    (void) unused;
    int32_t axis[8] = { 0, 0, 1, 1, 1, 2, 2, 2 }, plain_axis[8] = { 0 };
    float inv[8], cs[4][16], plain[16];
    int32_t pos[4][3] = { { 5, 5, 5 }, { 6, 5, 5 }, { 5, 6, 5 }, { 5, 5, 6 } }, five = 5;
    for (int j = 0; j < 8; j++)
        inv[j] = (float) pow(10000, -j / 8.0);
    assert_int_equal(hold_rope_angles(&s, host(&cs[0][0], 4, 16), ints(&pos[0][0], 4, 3), host(inv, 1, 8), ints(axis, 1, 8)), 0);
    assert_int_equal(hold_rope_angles(&s, host(plain, 1, 16), ints(&five, 1, 1), host(inv, 1, 8), ints(plain_axis, 1, 8)), 0);
    assert_memory_equal(plain, cs[0], sizeof plain);
    for (int moved = 0; moved < 3; moved++)
        for (int j = 0; j < 8; j++)
            if ((axis[j] == moved) != (cs[0][j] != cs[moved + 1][j] || cs[0][8 + j] != cs[moved + 1][8 + j]))
                fail_msg("axis %d, frequency %d", moved, j);
}

/* T22 */
static void vision_rotation_turns_halves_by_row_then_column(void **unused) {
    (void) unused;
    enum { D = 16, Q = D / 4 };
    int32_t yx[2][2] = { { 3, 11 }, { 11, 3 } }, axis[2 * Q] = { 0, 0, 0, 0, 1, 1, 1, 1 };
    float inv[2 * Q], cs[2][D], x[2][D], before[D];
    fill(before, D, 7);
    memcpy(x[0], before, sizeof before);
    memcpy(x[1], before, sizeof before);
    for (int k = 0; k < Q; k++)
        inv[k] = inv[Q + k] = (float) pow(10000, -2.0 * k / (D / 2));
    assert_int_equal(hold_rope_angles(&s, host(&cs[0][0], 2, D), ints(&yx[0][0], 2, 2), host(inv, 1, 2 * Q), ints(axis, 1, 2 * Q)), 0);
    assert_int_equal(hold_rope(&s, host(&x[0][0], 2, D), host(&cs[0][0], 2, D), D, HOLD_ROPE_HALVES), 0);
    double most = 0;
    for (int i = 0; i < D / 2; i++) {
        double angle = (i < Q ? 3 : 11) * pow(10000, -2.0 * (i % Q) / (D / 2)), a = (double) before[i], b = (double) before[i + D / 2];
        assert_near(x[0][i], a * cos(angle) - b * sin(angle), 1e-5);
        assert_near(x[0][i + D / 2], b * cos(angle) + a * sin(angle), 1e-5);
        most = fmax(most, fabs((double) x[0][i] - (double) x[1][i]));
    }
    assert_true(most > 0.05);
}

/* T10: heads that share a kv head read that one, causally, through pages in no order. */
static void grouped_heads_read_their_own_keys(void **unused) {
    (void) unused;
    enum { HEADS = 4, D = 8, TOKENS = 70 };
    for (uint32_t n_kv = 1; n_kv <= 2; n_kv++) {
        float k[TOKENS][2 * D], v[TOKENS][2 * D], q[TOKENS][HEADS * D], o[TOKENS][HEADS * D];
        int32_t seq[TOKENS] = { 0 }, index[TOKENS], table[2] = { 2, 0 };
        struct hold_kv kv = { .n_pages = 3, .n_layers = 2, .n_kv_heads = n_kv, .head_dim = D, .dtype = HOLD_F32 };
        fill(&k[0][0], TOKENS * 2 * D, 8), fill(&v[0][0], TOKENS * 2 * D, 9), fill(&q[0][0], TOKENS * HEADS * D, 10);
        for (int32_t i = 0; i < TOKENS; i++)
            index[i] = i;
        kv.pool = table_host(1, hold_kv_bytes(&kv));
        const struct hold_places places = { ints(seq, TOKENS, 1), ints(index, TOKENS, 1), ints(table, 1, 2) };
        struct hold_t2 keys = host(&k[0][0], TOKENS, n_kv * D), values = host(&v[0][0], TOKENS, n_kv * D);
        keys.stride = values.stride = 2 * D;
        assert_int_equal(hold_kv_append(&s, &kv, 1, keys, values, &places), 0);
        assert_int_equal(hold_attend(&s, host(&o[0][0], TOKENS, HEADS * D), host(&q[0][0], TOKENS, HEADS * D), &kv, 1, &places, 0.35f, TOKENS - 1), 0);
        for (uint32_t head = 0; head < HEADS; head++)
            for (int row = 0; row < TOKENS; row += 23) {
                uint32_t mine = head / (HEADS / n_kv) * D;
                double sum = 0, expected[D] = { 0 };
                for (int j = 0; j <= row; j++) {
                    double dot = 0;
                    for (int i = 0; i < D; i++)
                        dot += (double) q[row][head * D + i] * (double) k[j][mine + i];
                    double p = exp(dot * (double) 0.35f);
                    sum += p;
                    for (int i = 0; i < D; i++)
                        expected[i] += p * (double) v[j][mine + i];
                }
                for (int i = 0; i < D; i++)
                    assert_near(o[row][head * D + i], expected[i] / sum, 2e-6);
            }
        free(kv.pool);
    }
}

static void row_that_reaches_a_missing_page_is_nan_and_touches_nothing(void **unused) {
    (void) unused;
    float q[8] = { 1 }, o[8] = { 0 }, kv_row[8] = { 1 };
    int32_t seq = 0, index = 70, table[2] = { 0, -1 };
    struct hold_kv kv = { .n_pages = 1, .n_layers = 1, .n_kv_heads = 1, .head_dim = 8, .dtype = HOLD_F32 };
    kv.pool = table_host(1, hold_kv_bytes(&kv));
    const struct hold_places places = { ints(&seq, 1, 1), ints(&index, 1, 1), ints(table, 1, 2) };
    assert_int_equal(hold_kv_append(&s, &kv, 0, host(kv_row, 1, 8), host(kv_row, 1, 8), &places), 0);
    assert_int_equal(hold_attend(&s, host(o, 1, 8), host(q, 1, 8), &kv, 0, &places, 1, 70), 0);
    assert_true(isnan(o[0]) && isnan(o[7]));
    for (size_t i = 0; i < hold_kv_bytes(&kv) / 4; i++)
        assert_true(((float *) kv.pool)[i] == 0);
    free(kv.pool);
}

/* T24, half of it: the exact form, and that the approximation is another function. */
static void gelu_is_the_exact_form(void **unused) {
    (void) unused;
    float x[81], y[81];
    double most = 0;
    for (int i = 0; i <= 80; i++)
        x[i] = (float) (i - 40) / 10;
    assert_int_equal(hold_gelu(&s, host(y, 1, 81), host(x, 1, 81)), 0);
    for (int i = 0; i <= 80; i++) {
        double z = (double) x[i], tanh_form = 0.5 * z * (1 + tanh(sqrt(2 / 3.14159265358979) * (z + 0.044715 * z * z * z)));
        assert_near(y[i], 0.5 * z * erfc(-z / sqrt(2)), 1e-6);
        most = fmax(most, fabs((double) y[i] - tanh_form));
    }
    assert_true(most > 1e-4);
}

/* T12: the halves of the fused product are not the same. */
static void gate_and_up_cannot_be_swapped(void **unused) {
    (void) unused;
    float x[64], y[32], swapped[32];
    fill(x, 64, 11);
    struct hold_t2 both = host(x, 1, 64);
    assert_int_equal(hold_swiglu(&s, host(y, 1, 32), hold_t2_cols(both, 0, 32), hold_t2_cols(both, 32, 32)), 0);
    assert_int_equal(hold_swiglu(&s, host(swapped, 1, 32), hold_t2_cols(both, 32, 32), hold_t2_cols(both, 0, 32)), 0);
    double most = 0;
    for (int i = 0; i < 32; i++) {
        assert_near(y[i], (double) x[32 + i] * (double) x[i] / (1 + exp(-(double) x[i])), 1e-6);
        most = fmax(most, fabs((double) y[i] - (double) swapped[i]));
    }
    assert_true(most > 0.01);
}

/* T21: a grid of the table's own size is the table. */
static void position_on_its_own_grid_is_the_table(void **unused) {
    (void) unused;
    enum { SIDE = 4, D = 6 };
    float table[SIDE * SIDE][D], x[SIDE * SIDE][D];
    int32_t yx[SIDE * SIDE][2];
    fill(&table[0][0], SIDE * SIDE * D, 12);
    memset(x, 0, sizeof x);
    for (int32_t i = 0; i < SIDE * SIDE; i++)
        yx[i][0] = i / SIDE, yx[i][1] = i % SIDE;
    assert_int_equal(hold_add_position(&s, host(&x[0][0], SIDE * SIDE, D), host(&table[0][0], SIDE * SIDE, D), ints(&yx[0][0], SIDE * SIDE, 2), SIDE, SIDE), 0);
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int c = 0; c < D; c++)
            assert_near(x[i][c], table[i][c], 1e-6);
}

static void bf16_rounds_to_nearest_even_and_keeps_nan(void **unused) {
    (void) unused;
    assert_int_equal(hold_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(hold_f32_to_bf16(1.00390625f), 0x3f80); /* half way: to the even one */
    assert_int_equal(hold_f32_to_bf16(1.01171875f), 0x3f82);
    assert_int_equal(hold_f32_to_bf16(INFINITY), 0x7f80);
    assert_int_equal(hold_f32_to_bf16(3.4e38f), 0x7f80);
    assert_true(isnan(hold_bf16_to_f32(hold_f32_to_bf16(NAN))));
    assert_true(hold_f16_to_f32(0x3c00) == 1.0f && hold_f16_to_f32(0x0001) == 0x1p-24f && hold_f16_to_f32(0xfbff) == -65504.0f);
    assert_true(isinf(hold_f16_to_f32(0x7c00)) && isnan(hold_f16_to_f32(0x7e00)));
}

static void checksum_sees_order_tail_and_every_byte(void **unused) {
    (void) unused;
    uint8_t bytes[21];
    uint64_t whole, other;
    for (uint8_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i;
    assert_int_equal(s.ops->checksum(&s, bytes, sizeof bytes, &whole), 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        assert_int_equal(s.ops->checksum(&s, bytes, sizeof bytes, &other), 0);
        assert_true(whole != other);
        bytes[i] ^= 1;
    }
    uint64_t words[2] = { 1, 2 }, swapped[2] = { 2, 1 };
    assert_int_equal(s.ops->checksum(&s, words, sizeof words, &whole), 0);
    assert_int_equal(s.ops->checksum(&s, swapped, sizeof swapped, &other), 0);
    assert_true(whole != other);
}

static int open_reference(void **unused) {
    (void) unused;
    return hold_backend_ref.stream_open(NULL, &s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_is_exact_for_large_zero_and_spiked_rows),
        cmocka_unit_test(layernorm_subtracts_the_mean),
        cmocka_unit_test(text_rotation_turns_neighbours_and_leaves_the_rest),
        cmocka_unit_test(the_other_pairing_differs_visibly),
        cmocka_unit_test(each_axis_moves_its_own_frequencies),
        cmocka_unit_test(vision_rotation_turns_halves_by_row_then_column),
        cmocka_unit_test(grouped_heads_read_their_own_keys),
        cmocka_unit_test(row_that_reaches_a_missing_page_is_nan_and_touches_nothing),
        cmocka_unit_test(gelu_is_the_exact_form),
        cmocka_unit_test(gate_and_up_cannot_be_swapped),
        cmocka_unit_test(position_on_its_own_grid_is_the_table),
        cmocka_unit_test(bf16_rounds_to_nearest_even_and_keeps_nan),
        cmocka_unit_test(checksum_sees_order_tail_and_every_byte),
    };
    return cmocka_run_group_tests(tests, open_reference, NULL);
}
