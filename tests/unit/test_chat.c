/* test_chat.c - a chat request is understood whole or refused by name; answers have their shape. */
#include "base/json.h"
#include "base/list.h"
#include "runtime/serve/chat.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define USER "\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static const struct hold_strs names = { .at = { "first", "m" }, .n = 2 };
static const struct hold_chat_rules rules = { .names = &names, .max_images = 2, .max_pixels = 1000, .temperature = NAN, .top_p = NAN, .repetition_penalty = NAN };

static int parse(const char *body, struct hold_arena *arena, struct hold_chat *chat, struct hold_buf *notes, struct hold_err *err) {
    *arena = hold_arena_with_max(1u << 20);
    *notes = hold_buf_with_max(4096);
    return hold_chat_parse(body, strlen(body), &rules, arena, chat, notes, err);
}

#define GIVEN(body)                                                                     \
    hold_autoarena arena = hold_arena_with_max(0);                                      \
    hold_autobuf notes = hold_buf_with_max(0);                                          \
    struct hold_chat chat;                                                              \
    struct hold_err err = { 0 };                                                        \
    int parsed = parse((body), &arena, &chat, &notes, &err);                            \
    if (parsed < 0)                                                                     \
        fail_msg("%s", err.text)

/* The body is refused with a text that names word. */
static void refused(const char *body, const char *word) {
    hold_autoarena arena = hold_arena_with_max(0);
    hold_autobuf notes = hold_buf_with_max(0);
    struct hold_chat chat;
    struct hold_err err = { 0 };
    if (parse(body, &arena, &chat, &notes, &err) == 0)
        fail_msg("accepted: %s", body);
    if (!strstr(err.text, word))
        fail_msg("%s: '%s' does not name '%s'", body, err.text, word);
    if (err.code != HOLD_E_CONFIG && err.code != HOLD_E_FORMAT && err.code != HOLD_E_LIMIT && err.code != HOLD_E_MISSING)
        fail_msg("%s: code %s", body, hold_errc_name(err.code));
}

static void chat_has_the_defaults_of_the_api(void **unused) {
    (void) unused;
    GIVEN("{" USER "}");
    assert_string_equal(chat.model, "m");
    assert_int_equal(chat.n_messages, 1);
    assert_string_equal(chat.messages[0].role, "user");
    assert_int_equal(chat.messages[0].n_parts, 1);
    assert_memory_equal(chat.messages[0].parts[0].text, "hi", 3);
    assert_true(fabsf(chat.temperature - 1) < 1e-6f && fabsf(chat.top_p - 1) < 1e-6f && fabsf(chat.repetition_penalty - 1) < 1e-6f);
    assert_int_equal(chat.max_tokens, 0);
    assert_false(chat.is_stream || chat.has_seed || chat.want_logprobs || chat.ignore_eos || chat.shows_special);
    assert_true(chat.opens_reply);
    assert_int_equal(notes.n, 0);
}

static void chat_takes_what_the_phone_client_sends(void **unused) {
    (void) unused;
    GIVEN("{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
          "{\"url\":\"data:image/png;base64,aGVsbG8=\"}},{\"type\":\"text\",\"text\":\"T\"}]}],\"model\":\"m\",\"max_tokens\":3000,"
          "\"temperature\":0.0,\"top_p\":0.85,\"frequency_penalty\":0.2,\"stream\":true}");
    assert_int_equal(chat.n_images, 1);
    assert_int_equal(chat.images[0].n, 5);
    assert_memory_equal(chat.images[0].bytes, "hello", 5);
    assert_int_equal(chat.messages[1].n_parts, 2);
    assert_int_equal(chat.messages[1].parts[0].kind, HOLD_PART_IMAGE);
    assert_int_equal(chat.max_tokens, 3000);
    assert_true(chat.temperature <= 0 && fabsf(chat.frequency_penalty - 0.2f) < 1e-6f && chat.is_stream);
}

static void chat_null_is_absent(void **unused) {
    (void) unused;
    GIVEN("{" USER ",\"stop\":null,\"temperature\":null,\"max_tokens\":null,\"tools\":null,\"response_format\":null,\"logit_bias\":null,"
          "\"stream_options\":null,\"functions\":null,\"n\":null,\"seed\":null}");
    assert_int_equal(chat.n_stops, 0);
    assert_false(chat.has_seed);
}

static void chat_reads_every_field(void **unused) {
    (void) unused;
    GIVEN("{" USER ",\"stop\":[\"a\",\"bc\"],\"stop_token_ids\":[7],\"logit_bias\":{\"5\":-100,\"6\":1.5},\"seed\":-3,\"top_k\":-1,\"min_p\":0.1,"
          "\"max_completion_tokens\":9,\"max_tokens\":8,\"min_tokens\":2,\"logprobs\":true,\"top_logprobs\":4,\"stream\":true,"
          "\"stream_options\":{\"include_usage\":true},\"ignore_eos\":true,\"skip_special_tokens\":false,\"response_format\":{\"type\":\"text\"},"
          "\"tools\":[],\"tool_choice\":\"none\",\"n\":1,\"user\":\"u\",\"mm_processor_kwargs\":{\"max_pixels\":500},"
          "\"chat_template_kwargs\":{\"enable_thinking\":false}}");
    assert_int_equal(chat.n_stops, 2);
    assert_string_equal(chat.stops[1], "bc");
    assert_int_equal(chat.stop_ids[0], 7);
    assert_int_equal(chat.n_bias, 2);
    assert_int_equal(chat.bias[0].id, 5);
    assert_true(chat.has_seed && chat.ignore_eos && chat.shows_special && chat.include_usage && chat.want_logprobs);
    assert_int_equal(chat.max_tokens, 9);
    assert_int_equal(chat.min_tokens, 2);
    assert_int_equal(chat.n_top, 4);
    assert_int_equal(chat.top_k, 0);
    assert_int_equal(chat.max_pixels, 500);
    assert_int_equal(notes.n, 0);
}

static void chat_notes_unknown_fields(void **unused) {
    (void) unused;
    GIVEN("{" USER ",\"frobnicate\":1,\"temperature\":0}");
    assert_string_equal(notes.data, "frobnicate\n");
}

static void chat_refuses_by_name(void **unused) {
    (void) unused;
    static const char *const cases[][2] = {
        { "", "body" },
        { "[]", "object" },
        { "{}", "model" },
        { "{\"model\":\"m\"}", "messages" },
        { "{\"model\":\"m\",\"messages\":[]}", "messages" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}", "role" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}", "content" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"audio\"}]}]}", "audio" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", "text" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", "image_url" },
        { "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "'x' does not exist" },
        { "{" USER ",\"temperature\":-1}", "temperature" },
        { "{" USER ",\"temperature\":\"hot\"}", "temperature" },
        { "{" USER ",\"top_p\":0}", "top_p" },
        { "{" USER ",\"top_p\":1.5}", "top_p" },
        { "{" USER ",\"frequency_penalty\":3}", "frequency_penalty" },
        { "{" USER ",\"presence_penalty\":-3}", "presence_penalty" },
        { "{" USER ",\"repetition_penalty\":0}", "repetition_penalty" },
        { "{" USER ",\"max_tokens\":0}", "max_tokens" },
        { "{" USER ",\"max_tokens\":1.5}", "max_tokens" },
        { "{" USER ",\"max_tokens\":5,\"min_tokens\":6}", "min_tokens" },
        { "{" USER ",\"n\":2}", "n:" },
        { "{" USER ",\"n\":0}", "n:" },
        { "{" USER ",\"stop\":[\"\"]}", "stop" },
        { "{" USER ",\"stop\":[1]}", "stop" },
        { "{" USER ",\"stop_token_ids\":[-1]}", "stop_token_ids" },
        { "{" USER ",\"logit_bias\":{\"x\":1}}", "logit_bias" },
        { "{" USER ",\"logit_bias\":{\"1\":101}}", "logit_bias" },
        { "{" USER ",\"top_logprobs\":3}", "top_logprobs" },
        { "{" USER ",\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs" },
        { "{" USER ",\"stream_options\":{\"include_usage\":true}}", "stream_options" },
        { "{" USER ",\"stream\":1}", "stream" },
        { "{" USER ",\"response_format\":{\"type\":\"json_object\"}}", "response_format" },
        { "{" USER ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}}", "response_format" },
        { "{" USER ",\"response_format\":\"text\"}", "response_format" },
        { "{" USER ",\"tools\":[{\"type\":\"function\"}]}", "tools" },
        { "{" USER ",\"tool_choice\":\"required\"}", "tool_choice" },
        { "{" USER ",\"functions\":[{}]}", "functions" },
        { "{" USER ",\"guided_json\":{\"a\":1}}", "guided_json" },
        { "{" USER ",\"use_beam_search\":true}", "use_beam_search" },
        { "{" USER ",\"continue_final_message\":true}", "continue_final_message" },
        { "{" USER ",\"modalities\":[\"audio\"]}", "modalities" },
        { "{" USER ",\"include_stop_str_in_output\":true}", "include_stop_str_in_output" },
        { "{" USER ",\"model\":\"m\"}", "model" },
        { "{" USER ",\"chat_template_kwargs\":{\"x\":1}}", "chat_template_kwargs" },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(cases); i++)
        refused(cases[i][0], cases[i][1]);
}

static void image_body(const char *url, size_t count, char *out, size_t n_out) {
    size_t n = (size_t) snprintf(out, n_out, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[");
    for (size_t i = 0; i < count; i++)
        n += (size_t) snprintf(out + n, n_out - n, "%s{\"type\":\"image_url\",\"image_url\":{\"url\":\"%s\"}}", i ? "," : "", url);
    (void) snprintf(out + n, n_out - n, "]}]}");
}

static void chat_opens_no_address_of_a_client(void **unused) {
    (void) unused;
    static const char *const urls[] = {
        "file:///etc/passwd", "http://127.0.0.1/x.png", "https://x/y.png", "/etc/passwd", "data:image/svg+xml;base64,aGVsbG8=",
        "data:text/html,x", "data:image/png,hello", "", "data:image/png;base64,", "data:image/png;base64,aGVs bG8=", "data:image/png;base64,aGVsbG8",
    };
    char body[1024];
    for (size_t i = 0; i < HOLD_COUNT_OF(urls); i++) {
        image_body(urls[i], 1, body, sizeof body);
        refused(body, "image_url");
    }
    image_body("data:image/png;base64,aGVsbG8=", 3, body, sizeof body);
    refused(body, "at most 2");
}

static void chat_tells_all_mistakes_at_once(void **unused) {
    (void) unused;
    refused("{" USER ",\"temperature\":-1,\"n\":3,\"top_p\":7}", "temperature");
    refused("{" USER ",\"temperature\":-1,\"n\":3,\"top_p\":7}", "n:");
    refused("{" USER ",\"temperature\":-1,\"n\":3,\"top_p\":7}", "top_p");
}

static void chat_memory_of_one_request_has_an_end(void **unused) {
    (void) unused;
    hold_autobuf body = hold_buf_with_max(8u << 20), notes = hold_buf_with_max(4096);
    hold_autoarena arena = hold_arena_with_max(1u << 20);
    struct hold_chat chat;
    struct hold_err err = { 0 };
    hold_buf_adds(&body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"");
    for (int i = 0; i < 2 << 20; i++)
        hold_buf_addc(&body, 'x');
    hold_buf_adds(&body, "\"}]}");
    assert_int_equal(hold_chat_parse(body.data, body.n, &rules, &arena, &chat, &notes, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
}

/* ---- answers ---- */

static void is_json(const struct hold_buf *b) {
    hold_autojson *root = NULL;
    struct hold_err err = { 0 };
    if (hold_json_parse(b->data, b->n, "answer", (struct hold_json_limits) { .max_bytes = b->n }, &root, &err) < 0)
        fail_msg("%s: %s", b->data, err.text);
    assert_null(memchr(b->data, '\n', b->n));
}

static void answer_pieces_are_json_on_one_line(void **unused) {
    (void) unused;
    const struct hold_chat_answer a = { .id = "chatcmpl-1", .created = 5, .model = "m\"" };
    const struct hold_usage usage = { 3, 4, 0 };
    const struct hold_chat_finish stop = { .reason = "stop", .stop = "a\nb" }, by_id = { .reason = "stop", .has_stop_id = true, .stop_id = 9 };
    const struct hold_chat_logprob one = { "\xe4\xbd", 2, -0.5f };
    hold_autobuf out = hold_buf_with_max(65536), probs = hold_buf_with_max(65536);

    hold_chat_logprob(&probs, &one, &one, 1);
    is_json(&probs);
    hold_chat_chunk_role(&out, &a);
    is_json(&out);
    hold_buf_clear(&out);
    hold_chat_chunk_text(&out, &a, "line\nbreak \xff", 12, &probs, &usage);
    is_json(&out);
    hold_buf_clear(&out);
    hold_chat_chunk_finish(&out, &a, &stop, NULL);
    is_json(&out);
    assert_non_null(strstr(out.data, "\"stop_reason\":\"a\\nb\""));
    hold_buf_clear(&out);
    hold_chat_chunk_finish(&out, &a, &by_id, &usage);
    is_json(&out);
    assert_non_null(strstr(out.data, "\"stop_reason\":9"));
    hold_buf_clear(&out);
    hold_chat_chunk_usage(&out, &a, &usage);
    is_json(&out);
    hold_buf_clear(&out);
    hold_chat_whole(&out, &a, "x", 1, &probs, &stop, &usage);
    is_json(&out);
    assert_non_null(strstr(out.data, "\"total_tokens\":7"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_has_the_defaults_of_the_api),
        cmocka_unit_test(chat_takes_what_the_phone_client_sends),
        cmocka_unit_test(chat_null_is_absent),
        cmocka_unit_test(chat_reads_every_field),
        cmocka_unit_test(chat_notes_unknown_fields),
        cmocka_unit_test(chat_refuses_by_name),
        cmocka_unit_test(chat_opens_no_address_of_a_client),
        cmocka_unit_test(chat_tells_all_mistakes_at_once),
        cmocka_unit_test(chat_memory_of_one_request_has_an_end),
        cmocka_unit_test(answer_pieces_are_json_on_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
