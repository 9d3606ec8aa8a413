/* test_sample.c - the sampler: order of penalties and filters, borders of top-k and top-p, replay, and no id from a NaN. */
#include "runtime/model/sample.h"
#include "tests/unit/test.h"

#include <math.h>

enum { VOCAB = 8 };

static struct hold_sample_space *space;

static uint32_t pick(const struct hold_sampler *sampler, const float *logits, const uint32_t *generated, size_t n) {
    struct hold_sampled got;
    struct hold_err err = { 0 };
    if (hold_sample(space, sampler, logits, NULL, 0, generated, n, 0, &got, &err) < 0)
        fail_msg("%s", err.text);
    return got.id;
}

static void greedy_ties_go_to_the_lowest_id(void **unused) {
    (void) unused;
    const struct hold_sampler greedy = hold_sampler_greedy();
    const float logits[VOCAB] = { 1, 3, 2, 3, 0, 3, -1, 2 };
    assert_int_equal(pick(&greedy, logits, NULL, 0), 1);
}

static void frequency_penalty_acts_when_greedy(void **unused) {
    (void) unused;
    struct hold_sampler sampler = hold_sampler_greedy();
    const float logits[VOCAB] = { 0, 2.0f, 1.7f, 0, 0, 0, 0, 0 };
    const uint32_t once[] = { 1 }, twice[] = { 1, 5, 1 };
    sampler.frequency_penalty = 0.2f;
    for (int call = 0; call < 3; call++) /* nothing is counted on from one call to the next */
        assert_int_equal(pick(&sampler, logits, once, 1), 1); /* 1.8 against 1.7 */
    assert_int_equal(pick(&sampler, logits, twice, 3), 2);  /* 1.6 against 1.7 */
    sampler.frequency_penalty = 0;
    sampler.presence_penalty = 0.35f;
    assert_int_equal(pick(&sampler, logits, once, 1), 2);   /* 1.65, however often */
    assert_int_equal(pick(&sampler, logits, NULL, 0), 1);
}

static void repetition_penalty_divides_above_zero_and_multiplies_below(void **unused) {
    (void) unused;
    struct hold_sampler sampler = hold_sampler_greedy();
    struct hold_sampled got;
    struct hold_err err = { 0 };
    const float above[VOCAB] = { 2.0f, 1.5f, 0, 0, 0, 0, 0, 0 }, below[VOCAB] = { -1.0f, -1.5f, -9, -9, -9, -9, -9, -9 };
    const uint32_t prompt[] = { 0, 0, 99 };
    sampler.repetition_penalty = 2;
    assert_int_equal(hold_sample(space, &sampler, above, prompt, 3, NULL, 0, 0, &got, &err), 0);
    assert_int_equal(got.id, 1); /* 1.0 against 1.5; once although it stands twice */
    assert_int_equal(hold_sample(space, &sampler, below, prompt, 3, NULL, 0, 0, &got, &err), 0);
    assert_int_equal(got.id, 1); /* -2 against -1.5 */
    assert_int_equal(pick(&sampler, above, NULL, 0), 0); /* nothing is remembered from one call to the next */
}

static void bias_and_forbidden_ids_come_before_everything(void **unused) {
    (void) unused;
    struct hold_sampler sampler = hold_sampler_greedy();
    const float logits[VOCAB] = { 5, 4, 3, 2, 1, 0, 0, 0 };
    const struct hold_bias bias[] = { { 3, 3.5f }, { 77, 100 } };
    const uint32_t forbidden[] = { 3 };
    sampler.biases = bias, sampler.n_biases = 2;
    assert_int_equal(pick(&sampler, logits, NULL, 0), 3);
    sampler.forbidden = forbidden, sampler.n_forbidden = 1;
    assert_int_equal(pick(&sampler, logits, NULL, 0), 0);
}

/* How often each id comes in n draws. */
static void tally(struct hold_sampler sampler, const float *logits, double share[VOCAB]) {
    enum { N = 20000 };
    memset(share, 0, VOCAB * sizeof *share);
    for (uint64_t request = 0; request < N; request++) {
        sampler.request = request;
        share[pick(&sampler, logits, NULL, 0)] += 1.0 / N;
    }
}

static void draws_follow_the_softmax(void **unused) {
    (void) unused;
    struct hold_sampler sampler = hold_sampler_greedy();
    const float logits[VOCAB] = { 1, 0, 2, -1, 0.5f, -3, 1.5f, 0 };
    double share[VOCAB], sum = 0;
    sampler.temperature = 0.7f;
    sampler.seed = 11;
    tally(sampler, logits, share);
    for (int i = 0; i < VOCAB; i++)
        sum += exp((double) logits[i] / (double) 0.7f);
    for (int i = 0; i < VOCAB; i++) {
        double p = exp((double) logits[i] / (double) 0.7f) / sum;
        if (fabs(share[i] - p) > 4.5 * sqrt(p / 20000) + 1e-4)
            fail_msg("id %d came in %.4f of the draws, expected %.4f", i, share[i], p);
    }
}

static void filters_keep_what_their_borders_say(void **unused) {
    (void) unused;
    struct hold_sampler sampler = hold_sampler_greedy();
    /* probabilities 0.4 0.3 0.2 0.1, the others nothing */
    const float logits[VOCAB] = { logf(0.1f), -INFINITY, logf(0.4f), -INFINITY, logf(0.2f), logf(0.3f), -INFINITY, -INFINITY };
    double share[VOCAB];
    sampler.temperature = 1;
    sampler.top_k = 2;
    tally(sampler, logits, share);
    assert_true(share[0] == 0 && share[4] == 0 && fabs(share[2] - 4.0 / 7) < 0.02);
    sampler.top_k = 0, sampler.top_p = 0.69f; /* the one that crosses is kept */
    tally(sampler, logits, share);
    assert_true(share[0] == 0 && share[4] == 0 && share[5] > 0.3);
    sampler.top_p = 0.71f;
    tally(sampler, logits, share);
    assert_true(share[0] == 0 && share[4] > 0.15);
    sampler.top_p = 0.01f;
    tally(sampler, logits, share);
    assert_true(share[2] > 0.9999);
    sampler.top_k = 3, sampler.top_p = 0.75f; /* of what top-k left: 0.444 0.333 0.222 */
    tally(sampler, logits, share);
    assert_true(share[0] == 0 && share[4] == 0 && share[5] > 0.4);
    sampler.top_k = 0, sampler.top_p = 1, sampler.min_p = 0.6f; /* at least 0.24 */
    tally(sampler, logits, share);
    assert_true(share[0] == 0 && share[4] == 0 && share[5] > 0.4);
}

static void same_seed_request_and_position_choose_the_same(void **unused) {
    (void) unused;
    struct hold_sampler sampler = hold_sampler_greedy();
    const float logits[VOCAB] = { 0 };
    const uint32_t generated[40] = { 0 };
    uint32_t first[40];
    int differ = 0, other = 0;
    sampler.temperature = 1;
    sampler.seed = 7, sampler.request = 3;
    for (size_t i = 0; i < 40; i++)
        first[i] = pick(&sampler, logits, generated, i);
    for (size_t i = 40; i-- > 0;) /* in another order: there is no hidden state */
        assert_int_equal(pick(&sampler, logits, generated, i), first[i]);
    for (size_t i = 1; i < 40; i++)
        differ += first[i] != first[0];
    sampler.seed = 8;
    for (size_t i = 0; i < 40; i++)
        other += pick(&sampler, logits, generated, i) != first[i];
    assert_true(differ > 20 && other > 20);
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(hold_sample_uniform(1, 2, i) >= 0 && hold_sample_uniform(1, 2, i) < 1);
}

static void logprobs_are_of_the_raw_logits(void **unused) {
    (void) unused;
    struct hold_sampler sampler = hold_sampler_greedy();
    const float logits[VOCAB] = { 1, 0, 2, -1, 0.5f, -3, 1.5f, 0 };
    const struct hold_bias bias = { 5, 50 };
    struct hold_sampled got;
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += exp((double) logits[i]);
    sampler.biases = &bias, sampler.n_biases = 1;
    assert_int_equal(hold_sample(space, &sampler, logits, NULL, 0, NULL, 0, 3, &got, NULL), 0);
    assert_int_equal(got.id, 5);
    assert_true(fabs((double) got.logprob - (-3 - log(sum))) < 1e-6);
    assert_int_equal(got.n_top, 3);
    assert_true(got.top_ids[0] == 2 && got.top_ids[1] == 6 && got.top_ids[2] == 0);
    assert_true(fabs((double) got.top_logprobs[1] - (1.5 - log(sum))) < 1e-6);
}

static void logits_that_are_no_numbers_give_no_id(void **unused) {
    (void) unused;
    const struct hold_sampler greedy = hold_sampler_greedy();
    const float bad[3] = { NAN, INFINITY, -NAN };
    struct hold_sampled got = { .id = 12345 };
    for (int kind = 0; kind < 3; kind++)
        for (int where = 0; where < VOCAB; where++) {
            float logits[VOCAB] = { 1, 2, 3 };
            struct hold_err err = { 0 };
            logits[where] = bad[kind];
            assert_int_equal(hold_sample(space, &greedy, logits, NULL, 0, NULL, 0, 0, &got, &err), -1);
            assert_int_equal(err.code, HOLD_E_DEVICE);
            assert_non_null(strstr(err.text, "not finite"));
            assert_int_equal(got.id, 12345);
        }
    const float none[VOCAB] = { -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY };
    struct hold_err err = { 0 };
    assert_int_equal(hold_sample(space, &greedy, none, NULL, 0, NULL, 0, 0, &got, &err), -1);
    assert_int_equal(err.code, HOLD_E_DEVICE);
    /* What a request asks for is no damage: it fails alone. */
    const float sound[VOCAB] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    const uint32_t prompt[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct hold_sampler hostile = greedy;
    hostile.repetition_penalty = 1e-39f;
    assert_int_equal(hold_sample(space, &hostile, sound, prompt, VOCAB, NULL, 0, 0, &got, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
}

static int make_space(void **unused) {
    (void) unused;
    return hold_sample_space_new(VOCAB, &space, NULL);
}

static int drop_space(void **unused) {
    (void) unused;
    hold_sample_space_free(space);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_ties_go_to_the_lowest_id),
        cmocka_unit_test(frequency_penalty_acts_when_greedy),
        cmocka_unit_test(repetition_penalty_divides_above_zero_and_multiplies_below),
        cmocka_unit_test(bias_and_forbidden_ids_come_before_everything),
        cmocka_unit_test(draws_follow_the_softmax),
        cmocka_unit_test(filters_keep_what_their_borders_say),
        cmocka_unit_test(same_seed_request_and_position_choose_the_same),
        cmocka_unit_test(logprobs_are_of_the_raw_logits),
        cmocka_unit_test(logits_that_are_no_numbers_give_no_id),
    };
    return cmocka_run_group_tests(tests, make_space, drop_space);
}
