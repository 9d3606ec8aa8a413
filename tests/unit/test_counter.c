/* test_counter.c - pages as real servers write them, selectors as people write them, and what follows from two pages in a row. */
#include "tests/unit/test.h"

#include "supervisor/policy/counter.h"

static struct hold_page page;

static void init(const char *words) {
    struct hold_err err = { 0 };
    if (hold_page_init(&page, words, &err) < 0)
        fail_msg("%s", err.text);
}

static struct hold_counter_seen read_page(const char *words, const char *text, size_t piece) {
    struct hold_counter_seen seen;
    init(words);
    for (size_t at = 0, n = strlen(text); at < n; at += piece)
        hold_page_feed(&page, text + at, n - at < piece ? n - at : piece);
    hold_page_seen(&page, &seen);
    return seen;
}

#define VLLM                                                                                                         \
    "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"                              \
    "# TYPE vllm:num_requests_running gauge\n"                                                                       \
    "vllm:num_requests_running{engine=\"0\",model_name=\"zai-org/GLM \\\"9B\\\" \\\\x\\n}1\"} 3.0\n"                   \
    "vllm:num_requests_running{engine=\"1\",model_name=\"zai-org/GLM\"} 1.0\n"                                         \
    "# TYPE vllm:num_requests_waiting gauge\n"                                                                       \
    "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 2.0\n"                                                   \
    "# TYPE vllm:generation_tokens_total counter\n"                                                                  \
    "vllm:generation_tokens_total{engine=\"0\",model_name=\"m\"} 1.2e+06\n"                                            \
    "vllm:generation_tokens_total{engine=\"1\",model_name=\"m\"} 5 1712345678901\n"                                    \
    "vllm:generation_tokens_total_created{engine=\"0\",model_name=\"m\"} 1.7e+09\n"

static void vllm_page_is_read_without_a_word_of_configuration(void **unused) {
    (void) unused;
    for (size_t piece = 1; piece < 200; piece += piece < 8 ? 1 : 37) {
        const struct hold_counter_seen s = read_page("", VLLM, piece);
        assert_true(s.has_work && s.has_moves);
        assert_true(s.work == 6 && s.moves == 1200005);
        assert_string_equal(s.set, "vllm");
    }
}

static void other_known_servers_are_read_too(void **unused) {
    (void) unused;
    struct hold_counter_seen s = read_page("", "# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{model_name=\"m\",tp_rank=\"0\"} 7.0\n"
                                               "sglang:num_queue_reqs{model_name=\"m\"} 2.0\nsglang:generation_tokens_total{model_name=\"m\"} 44.0\n"
                                               "sglang:num_used_tokens{model_name=\"m\"} 10.0\n", 9);
    assert_string_equal(s.set, "sglang");
    assert_true(s.work == 9 && s.moves == 54);
    s = read_page("tgi", "# TYPE tgi_batch_inference_count counter\ntgi_batch_inference_count{method=\"prefill\"} 4\n"
                         "tgi_batch_inference_count{method=\"decode\"} 400\n\n# TYPE tgi_queue_size gauge\ntgi_queue_size 1\n", 5);
    assert_string_equal(s.set, "tgi");
    assert_true(s.work == 1 && s.moves == 404);
    s = read_page("", "llamacpp:requests_processing 1\nllamacpp:n_decode_total 250\n", 3);
    assert_string_equal(s.set, "llamacpp");
    assert_true(s.work == 1 && s.moves == 250);
    s = read_page("tgi", VLLM, 4096); /* named: nothing else is looked for */
    assert_false(s.has_work || s.has_moves);
}

static void selectors_choose_by_labels(void **unused) {
    (void) unused;
    struct hold_counter_seen s = read_page("work=vllm:num_requests_running{engine=1} moves=vllm:generation_tokens_total{engine=\"1\",model_name=\"m\"}", VLLM, 11);
    assert_true(s.work == 1 && s.moves == 5);
    assert_string_equal(s.set, "");
    s = read_page("work=vllm:num_requests_running{model_name=\"zai-org/GLM \\\"9B\\\" \\\\x\\n}1\"} moves=vllm:generation_tokens_total", VLLM, 1);
    assert_true(s.work == 3 && s.moves == 1200005);
    s = read_page("work=vllm:num_requests_running{engine=\"2\"} moves=vllm:generation_tokens_total", VLLM, 64);
    assert_false(s.has_work);
    s = read_page("work=a moves=b", "a{} 1\nb { x = \"y\" , } 2 # {trace_id=\"z\"} 5\na\t4\n", 1);
    assert_true(s.work == 5 && s.moves == 2);
}

static void what_is_no_number_does_not_count(void **unused) {
    (void) unused;
    static const char *const bad[] = { "NaN", "+Inf", "-Inf", "Inf", "nan", "1.2.3", "1e999", "0x10", "--1", "", "\"1\"",
                                       "111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[400];
        snprintf(text, sizeof text, "a %s\nb 2\n", bad[i]);
        const struct hold_counter_seen s = read_page("work=a moves=b", text, 7);
        if (s.has_work || !s.has_moves)
            fail_msg("'%s' was taken for a number", bad[i]);
    }
    const struct hold_counter_seen s = read_page("work=a moves=b", "a -1\na 2\nb +1.5e-3\nb -2E2\n", 7);
    assert_true(s.work == 2 && s.moves == 0.0015 - 200);
}

static void broken_and_endless_lines_hide_no_other_line(void **unused) {
    (void) unused;
    static char text[300000];
    size_t n = 0;
    n += (size_t) snprintf(text + n, sizeof text - n, "a{x=\"1\n%s\n{a} 9\na{b} 9\na} 9\n9a 1\na{=\"x\"} 9\na{x=1} 9\na{\"a\"} 9\r\n", "a{x=\"");
    memset(text + n, 'a', 70000); /* a name of 70,000 bytes that begins like ours */
    n += 70000;
    n += (size_t) snprintf(text + n, sizeof text - n, " 9\nb{l=\"");
    memset(text + n, 'v', 70000); /* a label's value of that length */
    n += 70000;
    n += (size_t) snprintf(text + n, sizeof text - n, "\"} 3\na 1\r\nb 2\na 77");
    const struct hold_counter_seen s = read_page("work=a moves=b", text, 4001);
    assert_true(s.work == 1 && s.moves == 5); /* the last line has no end: who knows what it was to be */
}

static void a_matcher_never_fits_a_value_that_was_cut(void **unused) {
    (void) unused;
    char words[400], text[600], value[HOLD_PAGE_TEXT_BYTES];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    snprintf(words, sizeof words, "work=a{l=%s} moves=b", value);
    snprintf(text, sizeof text, "a{l=\"%s\"} 1\na{l=\"%sv\"} 10\nb 1\n", value, value);
    const struct hold_counter_seen s = read_page(words, text, 50);
    assert_true(s.work == 1);
}

static void wrong_words_are_named(void **unused) {
    (void) unused;
    static const struct { const char *words, *says; } bad[] = {
        { "vlm", "none of vllm" }, { "vllm tgi", "none of vllm" }, { "work=a", "both are wanted" }, { "moves=b", "both are wanted" },
        { "work=a moves=", "does not begin with the name" }, { "work=a moves=b{", "is not label" }, { "work=a moves=b{x}", "is not label" },
        { "work=a moves=b{x=\"1}", "has no end" }, { "work=a moves=b{x=1", "labels have no end" }, { "work=a moves=b{x=1}c", "a blank is wanted" },
        { "work=a moves=b{a=1,b=2,c=3,d=4,e=5}", "more than 4 labels" }, { "work=a speed=b", "neither work= nor" }, { "work=9-9 moves=b", "a blank is wanted" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hold_err err = { 0 };
        if (hold_page_init(&page, bad[i].words, &err) == 0)
            fail_msg("'%s' was accepted", bad[i].words);
        if (!strstr(err.text, bad[i].says) && !(strstr(err.text, "neither work") && strstr(bad[i].says, "neither")))
            fail_msg("'%s': %s", bad[i].words, err.text);
    }
    char many[2000] = "moves=b";
    for (int i = 0; i < HOLD_SERIES_MAX; i++)
        strcat(many, " work=a");
    struct hold_err err = { 0 };
    assert_int_equal(hold_page_init(&page, many, &err), -1);
    assert_non_null(strstr(err.text, "more than 32"));
}

static enum hold_counter_word judge(struct hold_counter *c, double work, double moves) {
    const struct hold_counter_seen s = { .has_work = true, .has_moves = true, .work = work, .moves = moves, .set = "" };
    return hold_counter_judge(c, &s);
}

static void only_work_without_movement_stands(void **unused) {
    (void) unused;
    struct hold_counter c = { 0 };
    assert_int_equal(judge(&c, 3, 10), HOLD_COUNTER_FRESH); /* there is nothing to compare with */
    assert_int_equal(judge(&c, 3, 10), HOLD_COUNTER_STANDS);
    assert_int_equal(judge(&c, 1, 10), HOLD_COUNTER_STANDS);
    assert_int_equal(judge(&c, 1, 11), HOLD_COUNTER_MOVES);
    assert_int_equal(judge(&c, 0, 11), HOLD_COUNTER_IDLE);
    assert_int_equal(judge(&c, 0, 11), HOLD_COUNTER_IDLE);
    assert_int_equal(judge(&c, 1, 11), HOLD_COUNTER_FRESH); /* it came a moment ago */
    assert_int_equal(judge(&c, 1, 11), HOLD_COUNTER_STANDS);
    assert_int_equal(judge(&c, 1, 2), HOLD_COUNTER_MOVES); /* it began again: a counter only falls so */
}

static void a_page_without_the_series_says_nothing_and_is_not_compared_with(void **unused) {
    (void) unused;
    struct hold_counter c = { 0 };
    const struct hold_counter_seen none = { .set = "" };
    char text[100];
    (void) judge(&c, 1, 5);
    assert_int_equal(hold_counter_judge(&c, &none), HOLD_COUNTER_UNKNOWN);
    assert_int_equal(judge(&c, 1, 5), HOLD_COUNTER_FRESH);
    hold_counter_say(HOLD_COUNTER_UNKNOWN, &none, text, sizeof text);
    assert_string_equal(text, "the page has no series that tells what is pending");
    const struct hold_counter_seen stands = { .has_work = true, .has_moves = true, .work = 3, .moves = 1200005, .set = "vllm" };
    hold_counter_say(HOLD_COUNTER_STANDS, &stands, text, sizeof text);
    assert_string_equal(text, "stalled: 3 pending, but it stands at 1200005");
}

#define T(name) cmocka_unit_test(name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(vllm_page_is_read_without_a_word_of_configuration),
        T(other_known_servers_are_read_too),
        T(selectors_choose_by_labels),
        T(what_is_no_number_does_not_count),
        T(broken_and_endless_lines_hide_no_other_line),
        T(a_matcher_never_fits_a_value_that_was_cut),
        T(wrong_words_are_named),
        T(only_work_without_movement_stands),
        T(a_page_without_the_series_says_nothing_and_is_not_compared_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
