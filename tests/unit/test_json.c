/* test_json.c - strict JSON: what is refused, what a reader collects. */
#include "tests/unit/test.h"

#include "base/json.h"
#include "base/list.h"

static int parse(const char *text, struct hold_err *err) {
    hold_autojson *root = NULL;
    return hold_json_parse(text, strlen(text), "test", (struct hold_json_limits) { .max_bytes = 1000, .max_tokens = 50 }, &root, err);
}

static void what_is_not_strict_is_refused(void **unused) {
    (void) unused;
    static const char *const wrong[] = {
        "", " ", "{", "[1,]", "[,1]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "01", "1.", ".5", "+1", "1e", "NaN", "nul", "\"a", "\"\t\"",
        "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\x\"", "\"\xff\"", "\"\xc0\x80\"", "1 2", "[1}", "{\"a\":1]",
        "1e999", "{\"a\":1,\"a\":2}", "[{\"b\":1,\"b\":1}]", "]", "}", "[1 2]", "{\"a\":}", "{\"a\":1 \"b\":2}", "\"\\u12g4\"", "-", "\"\\",
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(wrong); i++) {
        struct hold_err err = { 0 };
        if (parse(wrong[i], &err) == 0)
            fail_msg("accepted: %s", wrong[i]);
        assert_true(err.code == HOLD_E_FORMAT);
    }
}

static void what_is_strict_is_accepted(void **unused) {
    (void) unused;
    static const char *const right[] = { "{}", "[]", " [ ] ", "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":-0.5e-3}", "\"\\ud83d\\ude00\"",
                                         "\"\xf0\x9f\x98\x80\"", "[[],{},[[]]]", "0", "-0", "true", "{\"\":1}" };
    for (size_t i = 0; i < HOLD_COUNT_OF(right); i++) {
        struct hold_err err = { 0 };
        if (parse(right[i], &err) < 0)
            fail_msg("refused: %s: %s", right[i], err.text);
    }
}

static void depth_tokens_and_size_are_bounded(void **unused) {
    (void) unused;
    char text[128];
    struct hold_err err = { 0 };
    memset(text, '[', 33);
    memset(text + 33, ']', 33);
    text[66] = '\0';
    assert_int_equal(parse(text, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
    memset(text, 0, sizeof text);
    strcpy(text, "[1");
    for (int i = 0; i < 50; i++)
        strcat(text, ",1");
    strcat(text, "]");
    assert_int_equal(parse(text, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
}

static void reader_lists_every_mistake_at_once(void **unused) {
    (void) unused;
    static const char text[] = "{\"port\":70000,\"name\":3,\"helth\":true,\"deep\":{\"x\":1}}";
    hold_autojson *root = NULL;
    struct hold_err err = { 0 };
    assert_int_equal(hold_json_parse(text, sizeof text - 1, "c", (struct hold_json_limits) { .max_bytes = 100 }, &root, &err), 0);
    hold_autobuf mistakes = hold_buf_with_max(4096);
    struct hold_json_reader r;
    uint64_t port = 1;
    const char *name = "kept";
    bool health = false;
    const struct cJSON *deep = NULL;
    hold_json_read(&r, root, "server", &mistakes);
    assert_false(hold_json_need_u64(&r, "port", 1, 65535, &port));
    assert_false(hold_json_opt_str(&r, "name", &name));
    assert_false(hold_json_opt_bool(&r, "health", &health));
    assert_true(hold_json_opt_object(&r, "deep", &deep));
    assert_false(hold_json_need_str(&r, "absent", &name));
    hold_json_done(&r);
    assert_string_equal(mistakes.data,
                        "server.port: 70000, a whole number from 1 to 65535 is wanted\n"
                        "server.name: a number, a string is wanted\n"
                        "server.absent: is missing\n"
                        "server.helth: unknown key; did you mean 'health'?\n");
    assert_int_equal(port, 1);
    assert_string_equal(name, "kept");
}

static void integers_beyond_a_double_are_refused(void **unused) {
    (void) unused;
    hold_autojson *root = NULL;
    struct hold_err err = { 0 };
    static const char text[] = "[9007199254740994, 1.5, -1]";
    uint64_t value;
    assert_int_equal(hold_json_parse(text, sizeof text - 1, "c", (struct hold_json_limits) { .max_bytes = 100 }, &root, &err), 0);
    for (const struct cJSON *v = hold_json_first(root); v; v = hold_json_next(v))
        assert_false(hold_json_u64(v, &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_strict_is_refused),      cmocka_unit_test(what_is_strict_is_accepted),
        cmocka_unit_test(depth_tokens_and_size_are_bounded),  cmocka_unit_test(reader_lists_every_mistake_at_once),
        cmocka_unit_test(integers_beyond_a_double_are_refused),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
