/* test_manifest.c - manifests are read strictly, written canonically, and no name leaves the model's folder. */
#include "tests/unit/test.h"

#include "supervisor/policy/manifest.h"

#define H "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define FILE_ROW(path, size) "{\"path\":\"" path "\",\"size\":" size ",\"sha256\":\"" H "\"}"
#define LIST(rows) "{\"schema\":1,\"files\":[" rows "]}"

static int parse(const char *text, struct hold_arena *arena, struct hold_manifest *m, struct hold_err *err) {
    return hold_manifest_parse(text, strlen(text), arena, m, err);
}

static void files_are_sorted_and_found(void **unused) {
    (void) unused;
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_manifest m;
    struct hold_err err = { 0 };
    assert_int_equal(parse(LIST(FILE_ROW("z", "3") "," FILE_ROW("a/b", "4") "," FILE_ROW("a-b", "5")), &arena, &m, &err), 0);
    assert_int_equal(m.n_files, 3);
    assert_string_equal(m.files[0].path, "a-b");
    assert_string_equal(m.files[2].path, "z");
    assert_int_equal(hold_manifest_find(&m, "a/b")->size, 4);
    assert_null(hold_manifest_find(&m, "a"));
    assert_int_equal(hold_manifest_bytes(&m), 12);
}

static void each_wrong_manifest_is_refused_with_a_sentence(void **unused) {
    (void) unused;
    static const struct {
        const char *text, *says;
    } wrong[] = {
        { "", "" },
        { "[]", "" },
        { "{\"schema\":2,\"files\":[" FILE_ROW("a", "1") "]}", "schema" },
        { "{\"schema\":1}", "files" },
        { LIST(""), "empty" },
        { "{\"schema\":1,\"files\":[" FILE_ROW("a", "1") "],\"more\":1}", "more" },
        { LIST("{\"path\":\"a\",\"size\":1}"), "sha256" },
        { LIST("{\"path\":\"a\",\"size\":1,\"sha256\":\"00\"}"), "64 hexadecimal" },
        { LIST("{\"path\":\"a\",\"size\":1,\"sha256\":\"" H "0\"}"), "64 hexadecimal" },
        { LIST("{\"path\":\"a\",\"size\":-1,\"sha256\":\"" H "\"}"), "size" },
        { LIST("{\"path\":\"a\",\"size\":1.5,\"sha256\":\"" H "\"}"), "size" },
        { LIST("{\"path\":\"a\",\"size\":99999999999999999,\"sha256\":\"" H "\"}"), "size" },
        { LIST("{\"path\":\"a\",\"size\":1,\"sha256\":\"" H "\",\"url\":\"x\"}"), "url" },
        { LIST(FILE_ROW("a", "1") "," FILE_ROW("a", "1")), "twice" },
        { LIST(FILE_ROW("a", "1") "," FILE_ROW("a-c", "1") "," FILE_ROW("a/b", "1")), "folder of another" },
        { LIST(FILE_ROW("../a", "1")), "leave" },
        { LIST(FILE_ROW("a/../../b", "1")), "leave" },
        { LIST(FILE_ROW("/etc/passwd", "1")), "leave" },
        { LIST(FILE_ROW("a//b", "1")), "leave" },
        { LIST(FILE_ROW("./a", "1")), "leave" },
        { LIST(FILE_ROW("a\\\\b", "1")), "leave" },
        { LIST(FILE_ROW("a\\nb", "1")), "leave" },
        { LIST(FILE_ROW("", "1")), "bytes" },
        { LIST(FILE_ROW("holdfast.manifest.json", "1")), "itself" },
        { LIST(FILE_ROW(".holdfast/proof/a", "1")), "keeps for itself" },
        { LIST("{\"path\":\"a\",\"size\":9,\"sha256\":\"" H "\",\"chunk_size\":1048576}"), "together" },
        { LIST("{\"path\":\"a\",\"size\":9,\"sha256\":\"" H "\",\"chunk_size\":1,\"chunks\":[\"" H "\"]}"), "chunk_size" },
        { LIST("{\"path\":\"a\",\"size\":9,\"sha256\":\"" H "\",\"chunk_size\":1048576,\"chunks\":[]}"), "need 1" },
        { LIST("{\"path\":\"a\",\"size\":9,\"sha256\":\"" H "\",\"chunk_size\":1048576,\"chunks\":[7]}"), "chunk 0" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        hold_autoarena arena = hold_arena_with_max(1 << 20);
        struct hold_manifest m = { .n_files = 77 };
        struct hold_err err = { 0 };
        if (parse(wrong[i].text, &arena, &m, &err) == 0)
            fail_msg("accepted: %s", wrong[i].text);
        if (!strstr(err.text, wrong[i].says))
            fail_msg("%s: says '%s'", wrong[i].text, err.text);
        assert_int_equal(m.n_files, 77); /* an output is not touched on failure */
    }
}

static void what_is_written_is_read_again_and_written_the_same(void **unused) {
    (void) unused;
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_manifest m, again;
    struct hold_err err = { 0 };
    const char *text = LIST(FILE_ROW("b \\\"q\\\" \xc3\xa4", "0") ",{\"path\":\"a\",\"size\":1048577,\"sha256\":\"" H "\",\"chunk_size\":1048576,\"chunks\":[\"" H "\",\"" H "\"]}");
    assert_int_equal(parse(text, &arena, &m, &err), 0);
    hold_autobuf one = hold_buf_with_max(1 << 16), two = hold_buf_with_max(1 << 16);
    assert_int_equal(hold_manifest_write(&m, &one, &err), 0);
    assert_int_equal(hold_manifest_parse(one.data, one.n, &arena, &again, &err), 0);
    assert_int_equal(hold_manifest_write(&again, &two, &err), 0);
    assert_string_equal(one.data, two.data);
    assert_int_equal(again.files[0].n_chunks, 2);
}

static void identity_lines_do_not_depend_on_pieces(void **unused) {
    (void) unused;
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_manifest plain, pieces;
    struct hold_err err = { 0 };
    hold_autobuf one = hold_buf_with_max(1 << 16), two = hold_buf_with_max(1 << 16);
    assert_int_equal(parse(LIST(FILE_ROW("a", "9")), &arena, &plain, &err), 0);
    assert_int_equal(parse(LIST("{\"path\":\"a\",\"size\":9,\"sha256\":\"" H "\",\"chunk_size\":1048576,\"chunks\":[\"" H "\"]}"), &arena, &pieces, &err), 0);
    assert_int_equal(hold_manifest_lines(&plain, &one, &err), 0);
    assert_int_equal(hold_manifest_lines(&pieces, &two, &err), 0);
    assert_string_equal(one.data, "holdfast-model 1\na\t9\t" H "\n");
    assert_string_equal(one.data, two.data);
}

static void hexadecimal_is_strict(void **unused) {
    (void) unused;
    uint8_t bytes[4] = { 0 };
    assert_true(hold_hex_read("00fFA1b2", 4, bytes));
    assert_int_equal(bytes[1], 0xff);
    assert_false(hold_hex_read("00ffa1b", 4, bytes));
    assert_false(hold_hex_read("00ffa1b20", 4, bytes));
    assert_false(hold_hex_read("00ffa1bg", 4, bytes));
    assert_false(hold_hex_read("", 4, bytes));
    char text[9];
    hold_hex_write((const uint8_t[]) { 0, 0xff, 0xa1, 0xb2 }, 4, text);
    assert_string_equal(text, "00ffa1b2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_sorted_and_found),
        cmocka_unit_test(each_wrong_manifest_is_refused_with_a_sentence),
        cmocka_unit_test(what_is_written_is_read_again_and_written_the_same),
        cmocka_unit_test(identity_lines_do_not_depend_on_pieces),
        cmocka_unit_test(hexadecimal_is_strict),
    };
    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
