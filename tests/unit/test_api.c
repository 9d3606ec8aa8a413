/* test_api.c - routes, the shape of errors, the key, base64, event framing, the metrics page. */
#include "base/list.h"
#include "runtime/serve/api.h"
#include "runtime/serve/metrics.h"
#include "runtime/serve/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void routes_are_found_by_method_and_path(void **unused) {
    (void) unused;
    enum hold_route route;
    assert_int_equal(hold_api_find("POST", "/v1/chat/completions", &route), 0);
    assert_int_equal(route, HOLD_ROUTE_CHAT);
    assert_int_equal(hold_api_find("HEAD", "/health", &route), 0);
    assert_int_equal(route, HOLD_ROUTE_HEALTH);
    assert_int_equal(hold_api_find("GET", "/v1/chat/completions", &route), 405);
    assert_int_equal(hold_api_find("DELETE", "/health", &route), 405);
    assert_int_equal(hold_api_find("GET", "/v1/chat", &route), 404);
    assert_int_equal(hold_api_find("GET", "/health/", &route), 404);
    assert_int_equal(hold_api_find("GET", "", &route), 404);
}

static void only_health_is_open_without_a_key(void **unused) {
    (void) unused;
    for (int i = 0; i < HOLD_ROUTE_COUNT; i++)
        assert_int_equal(hold_route_is_open((enum hold_route) i), i == HOLD_ROUTE_HEALTH);
}

static void key_fits_itself_only(void **unused) {
    (void) unused;
    assert_true(hold_api_key_fits("Bearer secret", "secret"));
    assert_true(hold_api_key_fits("bearer secret", "secret"));
    assert_false(hold_api_key_fits("Bearer secre", "secret"));
    assert_false(hold_api_key_fits("Bearer secrets", "secret"));
    assert_false(hold_api_key_fits("Bearer secretsecret", "secret"));
    assert_false(hold_api_key_fits("Bearer ", "secret"));
    assert_false(hold_api_key_fits("Basic secret", "secret"));
    assert_false(hold_api_key_fits("", "secret"));
    assert_false(hold_api_key_fits(NULL, "secret"));
    assert_false(hold_api_key_fits("Bearer x", ""));
}

static void error_has_the_shape_that_clients_read(void **unused) {
    (void) unused;
    hold_autobuf out = hold_buf_with_max(1024);
    hold_api_error(&out, 400, "a \"b\"\n", "n");
    assert_string_equal(out.data, "{\"error\":{\"message\":\"a \\\"b\\\"\\n\",\"type\":\"BadRequestError\",\"param\":\"n\",\"code\":400}}");
    static const struct {
        unsigned status;
        const char *type;
    } rows[] = { { 400, "BadRequestError" },        { 401, "AuthenticationError" }, { 404, "NotFoundError" },
                 { 405, "MethodNotAllowed" },       { 413, "RequestEntityTooLarge" }, { 429, "RateLimitError" },
                 { 500, "InternalServerError" },    { 503, "ServiceUnavailableError" } };
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++)
        assert_string_equal(hold_api_error_type(rows[i].status), rows[i].type);
}

static void base64_is_exact(void **unused) {
    (void) unused;
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } rows[] = { { "", "" },         { "Zg==", "f" },     { "Zm8=", "fo" },    { "Zm9v", "foo" },  { "Zm9vYg==", "foob" }, { "+/+/", "\xfb\xff\xbf" },
                 { "Zg", NULL },     { "Zg=", NULL },     { "Z===", NULL },    { "=Zg=", NULL },   { "Zm9v\n", NULL },     { "Zm 9", NULL },
                 { "Zm9_", NULL },   { "Zg==Zg==", NULL }, { "====", NULL } };
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++) {
        unsigned char out[64];
        size_t n = 99;
        bool is_right = hold_base64_decode(rows[i].text, strlen(rows[i].text), out, &n);
        if (is_right != (rows[i].bytes != NULL))
            fail_msg("'%s' was %s", rows[i].text, is_right ? "accepted" : "refused");
        if (is_right) {
            assert_int_equal(n, strlen(rows[i].bytes));
            assert_memory_equal(out, rows[i].bytes, n);
        }
    }
}

static void events_are_framed(void **unused) {
    (void) unused;
    hold_autobuf out = hold_buf_with_max(1024);
    hold_sse_event(&out, "{}", 2);
    hold_sse_ping(&out);
    hold_sse_done(&out);
    assert_string_equal(out.data, "data: {}\n\n: working\n\ndata: [DONE]\n\n");
}

static void models_are_listed(void **unused) {
    (void) unused;
    const struct hold_strs names = { .at = { "a", "b" }, .n = 2 };
    hold_autobuf out = hold_buf_with_max(4096);
    hold_api_models(&out, &names, 7, "/models/x", 25480);
    assert_non_null(strstr(out.data, "{\"id\":\"b\",\"object\":\"model\",\"created\":7,\"owned_by\":\"holdfast\",\"root\":\"/models/x\",\"parent\":null,\"max_model_len\":25480}"));
}

static void health_says_phase_and_progress(void **unused) {
    (void) unused;
    hold_autobuf out = hold_buf_with_max(4096);
    hold_api_health(&out, "loading", "fetching", 3, 10);
    assert_string_equal(out.data, "{\"status\":\"loading\",\"phase\":\"fetching\",\"progress\":{\"done\":3,\"total\":10}}");
}

static void metrics_histograms_are_cumulative(void **unused) {
    (void) unused;
    struct hold_metrics m = { 0 };
    hold_autobuf out = hold_buf_with_max(1u << 20);
    hold_metrics_observe(&m, HOLD_HISTOGRAM_PROMPT, 1);
    hold_metrics_observe(&m, HOLD_HISTOGRAM_PROMPT, 3);
    hold_metrics_observe(&m, HOLD_HISTOGRAM_PROMPT, 1e9);
    hold_metrics_page(&m, "a\"b", &out);
    assert_non_null(strstr(out.data, "vllm:request_prompt_tokens_bucket{engine=\"0\",model_name=\"a\\\"b\",le=\"2\"} 1\n"));
    assert_non_null(strstr(out.data, "vllm:request_prompt_tokens_bucket{engine=\"0\",model_name=\"a\\\"b\",le=\"5\"} 2\n"));
    assert_non_null(strstr(out.data, "vllm:request_prompt_tokens_bucket{engine=\"0\",model_name=\"a\\\"b\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(out.data, "vllm:request_prompt_tokens_count{engine=\"0\",model_name=\"a\\\"b\"} 3\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found_by_method_and_path), cmocka_unit_test(only_health_is_open_without_a_key),
        cmocka_unit_test(key_fits_itself_only),                cmocka_unit_test(error_has_the_shape_that_clients_read),
        cmocka_unit_test(base64_is_exact),                     cmocka_unit_test(events_are_framed),
        cmocka_unit_test(models_are_listed),                   cmocka_unit_test(health_says_phase_and_progress),
        cmocka_unit_test(metrics_histograms_are_cumulative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
