/* test_hub.c - a hub's names and listings are read as they are written, and nothing else is believed. */
#include "tests/unit/test.h"

#include "supervisor/job/hub.h"

#define OID "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"
#define SHA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void names(void **unused) {
    (void) unused;
    struct hold_hub_name n;
    struct hold_err err = { 0 };
    assert_int_equal(hold_hub_name_parse("hf://org/repo@refs/pr/1", &n, &err), 0);
    assert_string_equal(n.repo, "org/repo");
    assert_string_equal(n.revision, "refs/pr/1");
    assert_int_equal(hold_hub_name_parse("hf://gpt2", &n, &err), 0);
    assert_string_equal(n.revision, "main");
    assert_true(hold_hub_is_commit(OID));
    assert_false(hold_hub_is_commit("main"));
    static const char *const wrong[] = { "hf://", "hf://a/b/c", "hf://../x", "hf://a/..", "hf://a b", "hf://a/b@", "hf://a/b@../..", "hf://a/b?x", "hf://a//b", "hf://a/b@x y" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (hold_hub_name_parse(wrong[i], &n, &err) == 0)
            fail_msg("accepted '%s'", wrong[i]);
}

static void a_listing_gives_sizes_and_digests_and_skips_what_it_does_not_know(void **unused) {
    (void) unused;
    static const char text[] = "[{\"type\":\"directory\",\"oid\":\"x\",\"size\":0,\"path\":\"d\"},"
                               "{\"type\":\"file\",\"oid\":\"" OID "\",\"size\":3,\"path\":\"config.json\",\"security\":{\"status\":\"safe\"}},"
                               "{\"type\":\"file\",\"oid\":\"" OID "\",\"size\":134,\"path\":\"d/m.safetensors\",\"xetHash\":\"q\","
                               "\"lfs\":{\"oid\":\"" SHA "\",\"size\":5000000000,\"pointerSize\":134}}]";
    hold_autoarena arena = hold_arena_with_max(8 << 20);
    struct hold_manifest m = { .files = hold_arena_array(&arena, HOLD_MANIFEST_MAX_FILES, sizeof *m.files) };
    struct hold_err err = { 0 };
    assert_int_equal(hold_hub_tree(text, sizeof text - 1, &arena, &m, &err), 0);
    assert_int_equal(m.n_files, 2);
    assert_true(m.files[0].has_git_blob && !m.files[0].has_sha256);
    assert_true(m.files[1].has_sha256 && m.files[1].size == 5000000000u);
}

static void a_listing_without_size_or_digest_is_refused(void **unused) {
    (void) unused;
    static const char *const wrong[] = { "{}", "[{\"type\":\"file\"}]", "[{\"type\":\"file\",\"path\":\"a\"}]", "[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"oid\":\"zz\"}]",
                                         "[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"oid\":\"" OID "\",\"lfs\":{}}]", "[7]", "[", "" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        hold_autoarena arena = hold_arena_with_max(8 << 20);
        struct hold_manifest m = { .files = hold_arena_array(&arena, HOLD_MANIFEST_MAX_FILES, sizeof *m.files) };
        struct hold_err err = { 0 };
        if (hold_hub_tree(wrong[i], strlen(wrong[i]), &arena, &m, &err) == 0)
            fail_msg("accepted %s", wrong[i]);
    }
}

static void weights_in_other_formats_are_left_out_beside_safetensors(void **unused) {
    (void) unused;
    struct hold_manifest_file files[] = { { .path = ".gitattributes" }, { .path = "a.safetensors" }, { .path = "pytorch_model.bin" }, { .path = "config.json" } };
    struct hold_manifest m = { .files = files, .n_files = 4 };
    hold_hub_choose(&m);
    assert_int_equal(m.n_files, 2);
    struct hold_manifest_file only_bin[] = { { .path = "pytorch_model.bin" } };
    m = (struct hold_manifest) { .files = only_bin, .n_files = 1 };
    hold_hub_choose(&m);
    assert_int_equal(m.n_files, 1);
}

static void the_other_format_stays_where_no_safetensors_replace_it(void **unused) {
    (void) unused;
    struct hold_manifest_file files[] = { { .path = "a/model.safetensors" }, { .path = "a/pytorch_model.bin" }, { .path = "a/pytorch_model.bin.index.json" }, { .path = "a/original/x.pth" },
                                          { .path = "ab/model.bin" }, { .path = "pytorch_model.bin" }, { .path = "pytorch_model.bin.index.json" } };
    struct hold_manifest m = { .files = files, .n_files = 7 };
    hold_hub_choose(&m);
    assert_int_equal(m.n_files, 4);
    assert_string_equal(m.files[0].path, "a/model.safetensors");
    assert_string_equal(m.files[1].path, "ab/model.bin");
    assert_string_equal(m.files[2].path, "pytorch_model.bin");
    assert_string_equal(m.files[3].path, "pytorch_model.bin.index.json");
}

static void a_name_that_could_escape_is_never_quietly_left_out(void **unused) {
    (void) unused;
    static const char *const names[] = { "../evil", "..", ".", "../x.bin", "./.gitattributes" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct hold_manifest_file files[] = { { .path = "model.safetensors" }, { .path = names[i] } };
        struct hold_manifest m = { .files = files, .n_files = 2 };
        struct hold_err err = { 0 };
        hold_hub_choose(&m);
        assert_int_equal(hold_manifest_check(&m, &err), -1);
    }
}

static void the_commit_is_forty_digits(void **unused) {
    (void) unused;
    char commit[41];
    struct hold_err err = { 0 };
    static const char right[] = "{\"id\":\"a/b\",\"sha\":\"" OID "\",\"siblings\":[]}", wrong[] = "{\"sha\":\"main\"}";
    assert_int_equal(hold_hub_commit(right, sizeof right - 1, commit, &err), 0);
    assert_string_equal(commit, OID);
    assert_int_equal(hold_hub_commit(wrong, sizeof wrong - 1, commit, &err), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(a_listing_gives_sizes_and_digests_and_skips_what_it_does_not_know),
        cmocka_unit_test(a_listing_without_size_or_digest_is_refused),
        cmocka_unit_test(weights_in_other_formats_are_left_out_beside_safetensors),
        cmocka_unit_test(the_other_format_stays_where_no_safetensors_replace_it),
        cmocka_unit_test(a_name_that_could_escape_is_never_quietly_left_out),
        cmocka_unit_test(the_commit_is_forty_digits),
    };
    return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
