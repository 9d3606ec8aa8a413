/* test_plan.c - the plan block: what was written is read back, and no damage of it is believed. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/plan/plan.h"
#include "tests/helpers/golden.h"

enum { MAX_TENSORS = 256 };

static struct hold_record record;
static struct hold_plan_tensor tensors[MAX_TENSORS];
static size_t n_tensors;
static struct hold_plan_file files[2];

static void parts_make(void) {
    record = (struct hold_record) {
        .hidden = 128, .n_layers = 3, .n_heads = 4, .n_kv_heads = 2, .head_dim = 32, .intermediate = 224, .vocab = 1024, .max_positions = 4096,
        .rotary_dim = 16, .mrope_sections = { 2, 3, 3 }, .has_qkv_bias = 1, .rope_theta = 1e4, .rms_eps = 1e-5,
        .vision_depth = 2, .vision_hidden = 48, .vision_heads = 3, .vision_channels = 3, .vision_image_size = 56, .patch = 14, .temporal_patch = 2,
        .merge = 2, .vision_mlp = 128, .vision_out = 128, .merger_mlp = 224, .position_rows = 4, .vision_eps = 1e-5, .vision_theta = 1e4,
        .min_pixels = 12544, .max_pixels = 9633792, .image_std = { 1, 1, 1 },
        .image_token = 9, .image_start = 7, .image_end = 8, .video_token = UINT32_MAX, .video_start = UINT32_MAX, .video_end = UINT32_MAX,
        .pad_token = UINT32_MAX, .n_eos = 1, .eos = { 1 },
    };
    uint64_t at[2] = { 64, 64 };
    n_tensors = 0;
    for (int role = 0; role < HOLD_ROLE_COUNT; role++)
        for (uint32_t layer = 0; layer < hold_role_count(&record, (enum hold_role) role); layer++) {
            struct hold_plan_tensor *t = &tensors[n_tensors];
            *t = (struct hold_plan_tensor) { .role = (uint32_t) role, .layer = layer, .dtype = HOLD_PLAN_BF16, .file = n_tensors % 2 };
            t->n_dims = hold_role_shape(&record, (enum hold_role) role, t->dims);
            t->bytes = 2;
            for (uint32_t i = 0; i < t->n_dims; i++)
                t->bytes *= t->dims[i];
            t->offset = at[t->file];
            at[t->file] += t->bytes;
            n_tensors++;
        }
    files[0] = (struct hold_plan_file) { .name = "one.safetensors", .bytes = at[0] };
    files[1] = (struct hold_plan_file) { .name = "sub/two.safetensors", .bytes = at[1] };
}

static int write_plan(struct hold_buf *out, struct hold_err *err) {
    static const char tokens[] = "token table";
    const struct hold_plan_parts parts = { .record = &record, .files = files, .n_files = 2, .tensors = tensors, .n_tensors = n_tensors,
                                           .tokens = tokens, .tokens_bytes = sizeof tokens, .digest = { 1, 2, 3 } };
    *out = hold_buf_with_max(HOLD_PLAN_MAX_BYTES);
    return hold_plan_write(&parts, out, err);
}

static void what_was_written_is_read_back(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    struct hold_plan plan;
    hold_autobuf out = { 0 };
    parts_make();
    if (write_plan(&out, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(hold_plan_open(out.data, out.n, &plan, &err), 0);
    assert_int_equal(plan.n_tensors, 69);
    assert_memory_equal(plan.record, &record, sizeof record);
    assert_string_equal(plan.tokens, "token table");
    assert_int_equal((uintptr_t) plan.tokens % 16, 0);
    assert_int_equal(plan.digest[2], 3);
    assert_string_equal(hold_plan_file_at(&plan, 1).name, "sub/two.safetensors");
    const struct hold_plan_tensor *t = hold_plan_find(&plan, HOLD_ROLE_DOWN, 2);
    assert_non_null(t);
    assert_int_equal(t->dims[1], 224);
    assert_null(hold_plan_find(&plan, HOLD_ROLE_DOWN, 3));
    assert_non_null(hold_plan_find(&plan, HOLD_ROLE_M_DOWN, 0));
}

static void roles_are_there_as_often_as_the_record_says(void **unused) {
    (void) unused;
    parts_make();
    assert_int_equal(hold_role_count(&record, HOLD_ROLE_Q_BIAS), 3);
    record.has_qkv_bias = 0;
    assert_int_equal(hold_role_count(&record, HOLD_ROLE_Q_BIAS), 0);
    record.is_tied = 1;
    assert_int_equal(hold_role_count(&record, HOLD_ROLE_LM_HEAD), 0);
    record.vision_depth = 0;
    for (int role = HOLD_ROLE_V_PATCH; role < HOLD_ROLE_COUNT; role++)
        assert_int_equal(hold_role_count(&record, (enum hold_role) role), 0);
    assert_false(hold_role_is_vision(HOLD_ROLE_POST_MLP_NORM));
    assert_true(hold_role_is_vision(HOLD_ROLE_M_DOWN));
}

static void the_real_model_has_its_number_of_parameters(void **unused) {
    (void) unused;
    parts_make();
    struct hold_record r = record;
    r.hidden = r.vision_out = r.vision_mlp = 4096;
    r.n_layers = 40;
    r.n_heads = 32;
    r.head_dim = 128;
    r.intermediate = r.merger_mlp = 13696;
    r.vocab = 151552;
    r.vision_depth = 24;
    r.vision_hidden = 1536;
    r.vision_heads = 12;
    r.vision_image_size = 336;
    r.position_rows = 24;
    uint64_t parameters = 0, n = 0;
    for (int role = 0; role < HOLD_ROLE_COUNT; role++) {
        uint64_t dims[HOLD_PLAN_MAX_DIMS], product = 1;
        const uint32_t n_dims = hold_role_shape(&r, (enum hold_role) role, dims);
        for (uint32_t i = 0; i < n_dims; i++)
            product *= dims[i];
        parameters += product * hold_role_count(&r, (enum hold_role) role);
        n += hold_role_count(&r, (enum hold_role) role);
    }
    assert_int_equal(n, 704);
    assert_int_equal(parameters, UINT64_C(10292777472));
}

static void wrong_parts_are_not_written(void **unused) {
    (void) unused;
    for (int wrong = 0; wrong < 9; wrong++) {
        struct hold_err err = { 0 };
        hold_autobuf out = { 0 };
        parts_make();
        switch (wrong) {
        case 0: n_tensors--; break;
        case 1: tensors[5] = tensors[4]; break;
        case 2: tensors[7].dtype = 9; break;
        case 3: tensors[7].dims[0]++; break;
        case 4: tensors[7].offset = files[1].bytes; break;
        case 5: tensors[7].file = 2; break;
        case 6: files[0].name = "../one"; break;
        case 7: record.mrope_sections[0] = 3; break;
        case 8: record.eos[0] = 1024; break;
        }
        if (write_plan(&out, &err) == 0)
            fail_msg("wrong part %d is written", wrong);
        assert_int_equal(err.code, HOLD_E_FORMAT);
    }
}

static void a_damaged_plan_is_refused_or_consistent(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    hold_autobuf out = { 0 };
    parts_make();
    assert_int_equal(write_plan(&out, &err), 0);
    struct hold_plan plan;
    char *copy = malloc(out.n + 16);
    for (size_t cut = 0; cut < out.n; cut += 7)
        assert_int_equal(hold_plan_open(out.data, cut, &plan, &err), -1);
    assert_int_equal(hold_plan_open(out.data + 8, out.n - 8, &plan, &err), -1);
    unsigned char *noise = golden_noise(4 * 4000, 4);
    for (size_t i = 0; i < 4000; i++) {
        const size_t at = ((size_t) noise[4 * i] << 8 | noise[4 * i + 1]) % out.n;
        memcpy(copy, out.data, out.n);
        copy[at] ^= (char) (1 << noise[4 * i + 2] % 8);
        if (hold_plan_open(copy, out.n, &plan, &err) < 0)
            continue;
        for (size_t k = 0; k < plan.n_tensors; k++) {
            const struct hold_plan_file f = hold_plan_file_at(&plan, plan.tensors[k].file);
            assert_true(strlen(f.name) > 0 && plan.tensors[k].offset + plan.tensors[k].bytes <= f.bytes);
        }
    }
    free(noise);
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(roles_are_there_as_often_as_the_record_says),
        cmocka_unit_test(the_real_model_has_its_number_of_parameters),
        cmocka_unit_test(wrong_parts_are_not_written),
        cmocka_unit_test(a_damaged_plan_is_refused_or_consistent),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
