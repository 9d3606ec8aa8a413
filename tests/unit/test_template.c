/* test_template.c - messages to prompts, both content formats, byte for byte. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/text/template.h"
#include "tests/helpers/golden.h"

#define TEXT(s) { .kind = HOLD_PART_TEXT, .text = (s), .n = sizeof(s) - 1 }
#define IMAGE { .kind = HOLD_PART_IMAGE }
#define PARTS(...) .parts = (const struct hold_part[]) { __VA_ARGS__ }, .n_parts = sizeof((const struct hold_part[]) { __VA_ARGS__ }) / sizeof(struct hold_part)
#define USER(...) { .role = "user", PARTS(__VA_ARGS__) }
#define SYSTEM(...) { .role = "system", PARTS(__VA_ARGS__) }
#define ASSISTANT(...) { .role = "assistant", PARTS(__VA_ARGS__) }
#define PICTURE "<|begin_of_image|><|image|><|end_of_image|>"

static char *rendered(const struct hold_message *m, size_t n, struct hold_template_options o, size_t *ret_images) {
    struct hold_err err = { 0 };
    hold_autobuf pieces = hold_buf_with_max(HOLD_TEMPLATE_MAX_PIECES * sizeof(struct hold_piece));
    struct hold_buf text = hold_buf_with_max(65536);
    if (hold_template_render(m, n, o, &pieces, ret_images, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < hold_pieces_count(&pieces); i++)
        hold_buf_add(&text, hold_pieces_of(&pieces)[i].text, hold_pieces_of(&pieces)[i].n);
    return hold_buf_take(&text, NULL);
}

static void check(const struct hold_message *m, size_t n, enum hold_content_format format, bool opens_reply, size_t n_images, const char *wanted) {
    size_t images = 99;
    char *text = rendered(m, n, (struct hold_template_options) { .format = format, .opens_reply = opens_reply }, &images);
    assert_string_equal(text, wanted);
    assert_int_equal(images, n_images);
    free(text);
}

static void the_published_table_is_rendered(void **unused) {
    (void) unused;
    const struct hold_message one[] = { SYSTEM(TEXT("SYS")), USER(TEXT("hi")) };
    check(one, 2, HOLD_CONTENT_OPENAI, true, 0, "[gMASK]<sop><|system|>\nSYS<|user|>\nhi<|assistant|>\n");
    check(one, 2, HOLD_CONTENT_STRING, true, 0, "[gMASK]<sop><|system|>\nSYS<|user|>\nhi<|assistant|>\n");
    const struct hold_message two[] = { USER(IMAGE, TEXT("what?")) };
    check(two, 1, HOLD_CONTENT_OPENAI, true, 1, "[gMASK]<sop><|user|>\n" PICTURE "what?<|assistant|>\n");
    const struct hold_message three[] = { SYSTEM(TEXT("S")), USER(TEXT("old")), ASSISTANT(TEXT("A")), USER(IMAGE, TEXT("q")) };
    check(three, 4, HOLD_CONTENT_OPENAI, true, 1,
          "[gMASK]<sop><|system|>\nS<|user|>\nold<|assistant|>\nA<|user|>\n" PICTURE "q<|assistant|>\n");
    check(three, 3, HOLD_CONTENT_OPENAI, false, 0, "[gMASK]<sop><|system|>\nS<|user|>\nold<|assistant|>\nA");
    const struct hold_message four[] = { USER(TEXT("a"), IMAGE, TEXT("b")) };
    check(four, 1, HOLD_CONTENT_OPENAI, true, 1, "[gMASK]<sop><|user|>\na" PICTURE "b<|assistant|>\n");
}

static void string_format_puts_images_first_and_joins_with_line_breaks(void **unused) {
    (void) unused;
    const struct hold_message one[] = { USER(TEXT("a"), IMAGE, TEXT("b"), IMAGE) };
    check(one, 1, HOLD_CONTENT_STRING, true, 2, "[gMASK]<sop><|user|>\n" PICTURE "\n" PICTURE "\na\nb<|assistant|>\n");
    const struct hold_message only_image[] = { USER(IMAGE) };
    check(only_image, 1, HOLD_CONTENT_STRING, true, 1, "[gMASK]<sop><|user|>\n" PICTURE "<|assistant|>\n");
    const struct hold_message empty_text[] = { USER(IMAGE, TEXT("")) };
    check(empty_text, 1, HOLD_CONTENT_STRING, true, 1, "[gMASK]<sop><|user|>\n" PICTURE "<|assistant|>\n");
    const struct hold_message two_empty[] = { USER(IMAGE, TEXT(""), TEXT("")) };
    check(two_empty, 1, HOLD_CONTENT_STRING, true, 1, "[gMASK]<sop><|user|>\n" PICTURE "\n\n<|assistant|>\n");
    const struct hold_message system[] = { SYSTEM(TEXT("a"), TEXT("b")) };
    check(system, 1, HOLD_CONTENT_STRING, false, 0, "[gMASK]<sop><|system|>\na\nb");
}

static void other_roles_are_dropped_and_metadata_is_kept(void **unused) {
    (void) unused;
    const struct hold_message m[] = { { .role = "tool", PARTS(TEXT("x")) }, { .role = "observation", PARTS(IMAGE) },
                                      { .role = "assistant", .metadata = "meta", PARTS(TEXT("A")) } };
    check(m, 3, HOLD_CONTENT_STRING, false, 0, "[gMASK]<sop><|assistant|>meta\nA");
    check(m, 0, HOLD_CONTENT_STRING, true, 0, "[gMASK]<sop><|assistant|>\n");
}

static void only_the_template_writes_token_pieces(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    size_t n_images;
    hold_autobuf pieces = hold_buf_with_max(HOLD_TEMPLATE_MAX_PIECES * sizeof(struct hold_piece));
    /* arrays, since the linker may merge equal literals */
    static const char a[] = { "<|user|>" }, b[] = { "<|image|>" }, c[] = { "[gMASK]" }, d[] = { "<|assistant|>" };
    const struct hold_message m[] = { SYSTEM(TEXT(a)), USER(TEXT(b), IMAGE, TEXT(c)), ASSISTANT(TEXT(d)) };
    assert_int_equal(hold_template_render(m, 3, (struct hold_template_options) { .opens_reply = true }, &pieces, &n_images, &err), 0);
    for (size_t i = 0; i < hold_pieces_count(&pieces); i++) {
        const struct hold_piece *p = &hold_pieces_of(&pieces)[i];
        bool is_ours = true;
        for (size_t k = 0; k < HOLD_COUNT_OF(m); k++)
            for (size_t j = 0; j < m[k].n_parts; j++)
                is_ours = is_ours && p->text != m[k].parts[j].text;
        if (p->kind == HOLD_PIECE_TOKEN)
            assert_true(is_ours);
    }
    assert_int_equal(n_images, 1);
}

static void what_the_model_never_saw_is_refused(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    size_t n_images;
    hold_autobuf pieces = hold_buf_with_max(HOLD_TEMPLATE_MAX_PIECES * sizeof(struct hold_piece));
    const struct hold_message system[] = { SYSTEM(IMAGE) }, assistant[] = { USER(TEXT("x")), ASSISTANT(IMAGE) };
    assert_int_equal(hold_template_render(system, 1, (struct hold_template_options) { 0 }, &pieces, &n_images, &err), -1);
    assert_int_equal(err.code, HOLD_E_CONFIG);
    assert_int_equal(hold_template_render(assistant, 2, (struct hold_template_options) { 0 }, &pieces, &n_images, &err), -1);
    assert_non_null(strstr(err.text, "message 1"));
    hold_autobuf few = hold_buf_with_max(3 * sizeof(struct hold_piece));
    assert_int_equal(hold_template_render(assistant, 1, (struct hold_template_options) { 0 }, &few, &n_images, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
    assert_int_equal(hold_template_render(assistant, HOLD_TEMPLATE_MAX_MESSAGES + 1, (struct hold_template_options) { 0 }, &pieces, &n_images, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
}

static void a_template_is_known_by_its_bytes(void **unused) {
    (void) unused;
    static char text[922];
    memset(text, 'x', sizeof text);
    assert_false(hold_template_is_known(text, sizeof text));
    static const char tokens[] = "[gMASK]<sop><|system|><|user|><|assistant|>metadata" PICTURE;
    memcpy(text, tokens, sizeof tokens - 1);
    assert_true(hold_template_is_known(text, sizeof text));
    assert_false(hold_template_is_known(text, sizeof text - 5));
    assert_false(hold_template_is_known("", 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_table_is_rendered),
        cmocka_unit_test(string_format_puts_images_first_and_joins_with_line_breaks),
        cmocka_unit_test(other_roles_are_dropped_and_metadata_is_kept),
        cmocka_unit_test(only_the_template_writes_token_pieces),
        cmocka_unit_test(what_the_model_never_saw_is_refused),
        cmocka_unit_test(a_template_is_known_by_its_bytes),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
