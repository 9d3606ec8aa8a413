/* test_safetensors.c - the container: right files, and each kind of damage refused by name. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/weights/index.h"
#include "runtime/weights/safetensors.h"

static unsigned char file[1 << 16];

/* Header length, header, then n_data bytes; the whole length. */
static size_t make(const char *header, size_t n_data) {
    const uint64_t n = strlen(header);
    memset(file, 0, sizeof file);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    return 8 + n + n_data;
}

static void refused(size_t n, const char *words) {
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_st st;
    struct hold_err err = { 0 };
    unsigned char *exact = malloc(n ? n : 1);
    memcpy(exact, file, n);
    if (hold_st_parse(exact, n, "f", &arena, &st, &err) == 0)
        fail_msg("accepted; wanted '%s'", words);
    if (!strstr(err.text, words))
        fail_msg("'%s' is not about '%s'", err.text, words);
    free(exact);
}

static void a_right_file_gives_its_tensors_by_name(void **unused) {
    (void) unused;
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_st st;
    struct hold_err err = { 0 };
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},\"z\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[2,26]},"
                                 "\"a\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[0,2]},\"none\":{\"dtype\":\"I64\",\"shape\":[0,5],\"data_offsets\":[26,26]}}   ";
    const size_t n = make(header, 26);
    assert_int_equal(hold_st_parse(file, n, "f", &arena, &st, &err), 0);
    assert_int_equal(st.n_tensors, 3);
    assert_string_equal(st.tensors[0].name, "a");
    assert_int_equal(st.data_offset, 8 + strlen(header));
    const struct hold_st_tensor *z = hold_st_find(&st, "z");
    assert_non_null(z);
    assert_int_equal(z->n_dims, 2);
    assert_int_equal(z->dims[1], 3);
    assert_int_equal(z->offset, st.data_offset + 2);
    assert_int_equal(z->bytes, 24);
    assert_string_equal(z->dtype, "F32");
    assert_null(hold_st_find(&st, "y"));
    assert_null(hold_st_find(&st, "__metadata__"));
}

static void every_dtype_has_its_size(void **unused) {
    (void) unused;
    static const struct {
        const char *name;
        int bytes;
    } rows[] = { { "BF16", 2 }, { "F16", 2 }, { "F32", 4 },     { "F64", 8 },     { "I8", 1 },      { "U8", 1 },      { "I16", 2 },    { "U16", 2 },
                 { "I32", 4 },  { "U32", 4 }, { "I64", 8 },     { "U64", 8 },     { "BOOL", 1 },    { "F8_E4M3", 1 }, { "F8_E5M2", 1 }, { "F8_E8M0", 1 },
                 { "C64", 8 } };
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++) {
        hold_autoarena arena = hold_arena_with_max(1 << 20);
        struct hold_st st;
        struct hold_err err = { 0 };
        char header[256];
        snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}", rows[i].name, 3 * rows[i].bytes);
        if (hold_st_parse(file, make(header, 3 * (size_t) rows[i].bytes), "f", &arena, &st, &err) < 0)
            fail_msg("%s: %s", rows[i].name, err.text);
        snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}", rows[i].name, 3 * rows[i].bytes + 1);
        refused(make(header, 3 * (size_t) rows[i].bytes + 1), "do not hold");
    }
}

static void each_damage_is_refused_by_name(void **unused) {
    (void) unused;
    static const struct {
        const char *header;
        size_t n_data;
        const char *words;
    } rows[] = {
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "cut short" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "1 bytes at the end belong to no tensor" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "overlaps" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[10,14]}}", 14, "2 bytes before 'b'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "do not hold the 12 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "do not hold" },
        { "{\"a\":{\"dtype\":\"Q4\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "unknown dtype 'Q4'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "occurs twice" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8, "unknown field 'x'" },
        { "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no dtype" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "not a whole number" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8, "passes 64 bits" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,8]}}", 8, "do not hold the 0 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "at most 8" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "not two whole numbers" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.5]}}", 8, "not two whole numbers" },
        { "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "12 bits of F4 do not end on a byte" },
        { "{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3, "18 bits of F6_E2M3 do not end on a byte" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'a' overlaps 'b'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}\n", 8, "padded with something else than spaces" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9007199254740993]}}", 8, "not two whole numbers" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}x", 8, "f:" },
        { "{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "f:" },
        { "{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12, "occurs twice" },
        { "{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no dtype" },
        { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape is not an array" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "not written in digits alone" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4e0]}}", 4, "not written in digits alone" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-0,4]}}", 4, "not written in digits alone" },
        { "{\"a-\\\".e1\":{\"dtype\":\"F32\",\"shape\":[1E0],\"data_offsets\":[0,4]}}", 4, "byte 36 of the header: a number" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "not two whole numbers" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "not two whole numbers" },
        { "{\"a\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype 'f32'" },
        { "{\"a\":7}", 0, "not an object" },
        { "{\"__metadata__\":{\"format\":7}}", 0, "__metadata__.format is not a string" },
        { "{\"__metadata__\":[]}", 0, "__metadata__ is not an object" },
        { "{\"a\":", 0, "f:" },
        { "[]", 0, "does not begin with '{'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[[2]],\"data_offsets\":[0,8]}}", 8, "not a whole number" },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++)
        refused(make(rows[i].header, rows[i].n_data), rows[i].words);
}

static void header_lengths_are_bounded(void **unused) {
    (void) unused;
    memset(file, 0, 64);
    refused(7, "cut short before the end of the header length");
    refused(64, "header length is 0");
    memset(file, 0xff, 8);
    refused(64, "the limit is 100000000");
    memset(file, 0, 8);
    file[0] = 200;
    refused(64, "cut short: 64 bytes");
}

static void other_kinds_of_files_are_told_by_name(void **unused) {
    (void) unused;
    static const struct {
        const char *bytes, *words;
    } rows[] = { { "PK\x03\x04zipzipzip", "zip archive" }, { "\x80\x02\x8a\nl\xfc\x9c\x46pickle", "Python pickle" },
                 { "version https://git-lfs.github.com/spec/v1", "git-lfs pointer" }, { "<!DOCTYPE html><html>", "web page" } };
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++) {
        memset(file, 0, 128);
        memcpy(file, rows[i].bytes, strlen(rows[i].bytes));
        refused(128, rows[i].words);
    }
}

static void index_names_each_file_once(void **unused) {
    (void) unused;
    hold_autoarena arena = hold_arena_with_max(1 << 20);
    struct hold_index index;
    struct hold_err err = { 0 };
    static const char right[] = "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"b\":\"two.safetensors\",\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}";
    assert_int_equal(hold_index_parse(right, strlen(right), "i", &arena, &index, &err), 0);
    assert_int_equal(index.n_entries, 3);
    assert_int_equal(index.n_files, 2);
    assert_string_equal(index.files[0], "one.safetensors");
    assert_string_equal(hold_index_find(&index, "c"), "two.safetensors");
    assert_null(hold_index_find(&index, "d"));
    assert_int_equal(index.total_bytes, 12);
    static const char *const wrong[] = { "{}", "{\"weight_map\":{}}", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":7}}", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}",
                                         "{\"weight_map\":{\"a\":\"x/../../y\"}}", "{\"weight_map\":{\"a\":\"\"}}" };
    for (size_t i = 0; i < HOLD_COUNT_OF(wrong); i++)
        if (hold_index_parse(wrong[i], strlen(wrong[i]), "i", &arena, &index, &err) == 0)
            fail_msg("accepted: %s", wrong[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_file_gives_its_tensors_by_name),
        cmocka_unit_test(every_dtype_has_its_size),
        cmocka_unit_test(each_damage_is_refused_by_name),
        cmocka_unit_test(header_lengths_are_bounded),
        cmocka_unit_test(other_kinds_of_files_are_told_by_name),
        cmocka_unit_test(index_names_each_file_once),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
