/* test_containers.c - the weights of any model by the rules of their containers: what other servers' files are held to. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/weights/containers.h"
#include "tests/helpers/golden.h"
#include "tests/helpers/model_folder.h"

static void put_st(struct model_folder *f, const char *name, const char *header, size_t n_data) {
    unsigned char file[4096] = { 0 };
    const uint64_t n = strlen(header);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    folder_put(f, name, file, 8 + n + n_data);
}

static void put_golden(struct model_folder *f, const char *name, const char *golden) {
    size_t n;
    unsigned char *bytes = golden_read(golden, &n);
    folder_put(f, name, bytes, n);
    free(bytes);
}

static void put_text(struct model_folder *f, const char *name, const char *text) {
    folder_put(f, name, text, strlen(text));
}

static void accepted(struct model_folder *f, const char *warning) {
    struct hold_err err = { 0 };
    hold_autobuf warnings = hold_buf_with_max(65536);
    if (hold_containers_prove(f->files, f->n_files, &warnings, &err) < 0)
        fail_msg("refused: %s", err.text);
    if (warning ? !warnings.n || !strstr(warnings.data, warning) : warnings.n != 0)
        fail_msg("the warnings are '%s', wanted is '%s'", warnings.n ? warnings.data : "", warning ? warning : "");
    folder_free(f);
}

static void refused(struct model_folder *f, enum hold_errc code, const char *words) {
    struct hold_err err = { 0 };
    hold_autobuf warnings = hold_buf_with_max(65536);
    if (hold_containers_prove(f->files, f->n_files, &warnings, &err) == 0)
        fail_msg("accepted; wanted '%s'", words);
    if (!strstr(err.text, words) || err.code != code)
        fail_msg("code %s, '%s' is not about '%s'", hold_errc_name(err.code), err.text, words);
    folder_free(f);
}

/* Two shards: a, b (quantised, with its scale) and c; the index is the caller's. */
static void two_shards(struct model_folder *f, const char *index) {
    *f = (struct model_folder) { 0 };
    put_st(f, "one.safetensors", "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 8);
    put_st(f, "two.safetensors", "{\"c\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4);
    put_text(f, "model.safetensors.index.json", index);
}

static void what_is_right_is_accepted_quantised_or_not(void **unused) {
    (void) unused;
    struct model_folder f;
    two_shards(&f, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    accepted(&f, NULL);
    f = (struct model_folder) { 0 };
    put_golden(&f, "pytorch_model-1.bin", "torch/good/state_dict.pth");
    put_golden(&f, "pytorch_model-2.bin", "torch/good/parameter_legacy.pth");
    put_text(&f, "pytorch_model.bin.index.json",
             "{\"weight_map\":{\"0.bias\":\"pytorch_model-1.bin\",\"0.weight\":\"pytorch_model-1.bin\",\"1.bias\":\"pytorch_model-1.bin\",\"1.weight\":\"pytorch_model-1.bin\","
             "\"p\":\"pytorch_model-2.bin\",\"tied\":\"pytorch_model-2.bin\",\"again\":\"pytorch_model-2.bin\"}}");
    accepted(&f, NULL);
    f = (struct model_folder) { 0 };
    put_text(&f, "config.json", "{}");
    accepted(&f, NULL);
}

static void an_index_is_held_to_its_files_both_ways(void **unused) {
    (void) unused;
    static const struct {
        const char *index;
        enum hold_errc code;
        const char *words;
    } rows[] = {
        { "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"three.safetensors\"}}", HOLD_E_MISSING, "(1 finding): shard three.safetensors is not there" },
        { "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\",\"d\":\"two.safetensors\"}}", HOLD_E_FORMAT,
          "the index says that d is in two.safetensors, but it is not" },
        { "{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}", HOLD_E_FORMAT, "one.safetensors holds b, which the index places nowhere" },
        { "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"two.safetensors\"}}", HOLD_E_FORMAT,
          "(2 findings): the index says that b is in two.safetensors, but it is not; one.safetensors holds b, which the index places in two.safetensors" },
        { "{\"weight_map\":{\"a\":\"../one.safetensors\"}}", HOLD_E_FORMAT, "safe relative name" },
        { "{", HOLD_E_FORMAT, "model.safetensors.index.json" },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++) {
        struct model_folder f;
        two_shards(&f, rows[i].index);
        refused(&f, rows[i].code, rows[i].words);
    }
}

static void the_first_ten_differences_are_listed_and_all_are_counted(void **unused) {
    (void) unused;
    struct model_folder f;
    struct hold_err err = { 0 };
    hold_autobuf warnings = hold_buf_with_max(65536), index = hold_buf_with_max(65536);
    hold_buf_adds(&index, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"");
    for (int i = 0; i < 25; i++)
        hold_buf_addf(&index, ",\"t%02d\":\"two.safetensors\"", i);
    hold_buf_adds(&index, "}}");
    two_shards(&f, index.data);
    assert_int_equal(hold_containers_prove(f.files, f.n_files, &warnings, &err), -1);
    assert_non_null(strstr(err.text, "(25 findings)"));
    size_t lines = 0;
    for (size_t i = 0; i < warnings.n; i++)
        lines += warnings.data[i] == '\n';
    assert_int_equal(lines, 10);
    assert_non_null(strstr(warnings.data, "t09"));
    folder_free(&f);
}

static void an_index_in_a_folder_speaks_of_that_folder(void **unused) {
    (void) unused;
    struct model_folder f = { 0 };
    put_st(&f, "unet/one.safetensors", "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4);
    put_st(&f, "one.safetensors", "{\"z\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4);
    put_text(&f, "unet/diffusion.safetensors.index.json", "{\"weight_map\":{\"a\":\"one.safetensors\"}}");
    accepted(&f, NULL);
}

static void an_index_of_shards_that_safetensors_replace_is_only_warned_of(void **unused) {
    (void) unused;
    struct model_folder f;
    static const char safetensors[] = "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}";
    static const char torch[] = "{\"weight_map\":{\"a\":\"pytorch_model-1.bin\",\"b\":\"pytorch_model-2.bin\"}}";
    two_shards(&f, safetensors);
    put_text(&f, "pytorch_model.bin.index.json", torch);
    accepted(&f, "names shards of which none is here");
    two_shards(&f, safetensors); /* one of two came: somebody wanted them */
    put_text(&f, "pytorch_model.bin.index.json", torch);
    put_golden(&f, "pytorch_model-1.bin", "torch/good/state_dict.pth");
    refused(&f, HOLD_E_MISSING, "shard pytorch_model-2.bin is not there");
    f = (struct model_folder) { 0 };
    put_text(&f, "pytorch_model.bin.index.json", torch);
    refused(&f, HOLD_E_MISSING, "shard pytorch_model-1.bin is not there");
}

static void what_is_not_a_servers_is_let_be_and_said(void **unused) {
    (void) unused;
    struct model_folder f = { 0 };
    put_golden(&f, "training_args.bin", "torch/bad/os_system.pth");
    put_text(&f, "openvino_model.bin", "something else");
    accepted(&f, "training_args.bin is not one of a server's weights");
    f = (struct model_folder) { 0 };
    put_golden(&f, "model.bin", "torch/bad/os_system.pth");
    refused(&f, HOLD_E_FORMAT, "model.bin: pickle, byte 3: it names 'os.system'");
    f = (struct model_folder) { 0 };
    put_text(&f, "pytorch_model.bin", "something else");
    refused(&f, HOLD_E_FORMAT, "pytorch_model.bin: it begins neither");
    f = (struct model_folder) { 0 };
    put_text(&f, "model.pth", "version https://git-lfs.github.com/spec/v1\n");
    refused(&f, HOLD_E_FORMAT, "model.pth: it is a git-lfs pointer");
    f = (struct model_folder) { 0 };
    put_text(&f, "model.safetensors", "");
    refused(&f, HOLD_E_FORMAT, "model.safetensors: 0 bytes, cut short");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_is_accepted_quantised_or_not),
        cmocka_unit_test(an_index_is_held_to_its_files_both_ways),
        cmocka_unit_test(the_first_ten_differences_are_listed_and_all_are_counted),
        cmocka_unit_test(an_index_in_a_folder_speaks_of_that_folder),
        cmocka_unit_test(an_index_of_shards_that_safetensors_replace_is_only_warned_of),
        cmocka_unit_test(what_is_not_a_servers_is_let_be_and_said),
    };
    return cmocka_run_group_tests_name("containers", tests, NULL, NULL);
}
