/* test_load.c - loading and the memory plan: every stored type, byte totals, cancelling, files that are not what the plan
 * says. */
#include "runtime/engine/device.h"
#include "runtime/engine/fit.h"
#include "runtime/engine/slots.h"
#include "tests/helpers/t_plan.h"
#include "tests/unit/test.h"

#include <math.h>

static const struct hold_backend_options two = { .n_threads = 2 };

/* The value of an element of a loaded view, and what T's arithmetic says it is. */
static void check_value(struct hold_t2 view, const char *name, uint64_t i, double allowed) {
    const struct t_options options = { 0 };
    static struct t_list list;
    t_tensors(&options, &list);
    for (int t = 0; t < list.n; t++)
        if (strcmp(list.t[t].name, name) == 0) {
            double expected = (double) t_value(&list.t[t], t_fnv(name), i);
            double got = view.dtype == HOLD_F32 ? (double) ((float *) view.data)[i] : (double) hold_bf16_to_f32(((uint16_t *) view.data)[i]);
            if (!(fabs(got - expected) <= allowed * fabs(expected) + 1e-7))
                fail_msg("%s[%ju] is %.9g, expected %.9g", name, (uintmax_t) i, got, expected);
            return;
        }
    fail_msg("no tensor %s", name);
}

struct expectation {
    enum t_dtype stored;
    enum hold_dtype act, matrix;
    bool stays_mapped; /* all but the reordered filter */
};

static void every_stored_type_loads_in_both_types(void **unused) {
    (void) unused;
    static const struct expectation rows[] = {
        { T_BF16, HOLD_BF16, HOLD_BF16, true },  { T_BF16, HOLD_F32, HOLD_BF16, true },  { T_F32, HOLD_F32, HOLD_F32, true },
        { T_F32, HOLD_BF16, HOLD_BF16, false },  { T_F16, HOLD_F32, HOLD_F32, false },   { T_F16, HOLD_BF16, HOLD_BF16, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct t_loaded t;
        struct hold_err err = { 0 };
        t_make(&t, (struct t_options) { .dtype = rows[i].stored });
        if (t_load(&t, &hold_backend_cpu, &two, rows[i].act, &err) < 0)
            fail_msg("%s", err.text);
        const struct hold_loaded *l = &t.loaded;
        uint64_t total = 0, filter = (uint64_t) 128 * 48 * 4 * (rows[i].stored == T_F32 ? 4 : 2);
        for (size_t k = 0; k < t.plan.n_tensors; k++)
            total += t.plan.tensors[k].bytes;
        assert_int_equal(l->read_bytes + l->mapped_bytes, total);
        assert_int_equal(l->read_bytes, rows[i].stays_mapped ? filter : total);
        assert_true(l->weights.layers[1].gate_up.dtype == rows[i].matrix);
        double allowed = rows[i].matrix == HOLD_BF16 || rows[i].stored == T_BF16 ? 0.004 : rows[i].stored == T_F16 ? 0.0006 : 0;
        check_value(l->weights.decoder.lm_head, "lm_head.weight", 130999, allowed);
        check_value(l->weights.layers[2].q_bias, "model.language_model.layers.2.self_attn.q_proj.bias", 127, allowed);
        check_value(l->weights.blocks[1].down, "model.visual.blocks.1.mlp.down_proj.weight", 6143, allowed);
        t_unload(&t);
        t_drop(&t);
    }
}

static void filter_of_the_tower_is_reordered(void **unused) {
    (void) unused;
    struct t_loaded t;
    t_make(&t, (struct t_options) { .dtype = T_F32 });
    assert_int_equal(t_load(&t, &hold_backend_ref, &two, HOLD_F32, NULL), 0);
    const char *name = "model.visual.downsample.weight";
    const uint64_t seed = t_fnv(name);
    const struct t_tensor like = { .n_dims = 4, .dims = { 128, 48, 2, 2 }, .elements = 128 * 48 * 4, .name = "model.visual.downsample.weight" };
    const float *got = t.loaded.weights.tower.downsample.data;
    for (uint64_t o = 0; o < 128; o += 31)
        for (uint64_t c = 0; c < 48; c++)
            for (uint64_t place = 0; place < 4; place++)
                assert_true(got[o * 192 + place * 48 + c] == t_value(&like, seed, (o * 48 + c) * 4 + place));
    t_drop(&t);
}

static void every_role_has_a_place_of_its_own(void **unused) {
    (void) unused;
    static struct hold_layer layers[3];
    static struct hold_block blocks[2];
    const struct t_options options = { 0 };
    struct hold_weights w = { .record = t_record(&options), .layers = layers, .blocks = blocks };
    const struct hold_t2 *seen[200];
    size_t n = 0;
    for (uint32_t role = 0; role < HOLD_ROLE_COUNT; role++) {
        uint32_t count = hold_role_count(&w.record, (enum hold_role) role);
        assert_null(hold_slot_of(&w, role, count));
        for (uint32_t i = 0; i < count; i++) {
            const struct hold_t2 *view = hold_slot_of(&w, role, i);
            assert_non_null(view);
            for (size_t k = 0; k < n; k++)
                assert_true(seen[k] != view);
            seen[n++] = view;
        }
    }
    assert_int_equal(n, 69);
    assert_null(hold_slot_of(&w, HOLD_ROLE_COUNT, 0));
}

static bool cancel_early(void *context, uint64_t done_bytes, uint64_t total_bytes) {
    uint64_t *last = context;
    assert_true(done_bytes > *last && done_bytes <= total_bytes);
    *last = done_bytes;
    return done_bytes < total_bytes / 2;
}

static bool count_on(void *context, uint64_t done_bytes, uint64_t total_bytes) {
    (void) total_bytes;
    *(uint64_t *) context = done_bytes;
    return true;
}

static void progress_ends_at_the_total_and_can_cancel(void **unused) {
    (void) unused;
    struct t_loaded t;
    struct hold_err err = { 0 };
    struct hold_loaded loaded;
    uint64_t last = 0, total = 0;
    t_make(&t, (struct t_options) { .dtype = T_F32 });
    assert_int_equal(t_load(&t, &hold_backend_ref, &two, HOLD_F32, NULL), 0);
    int dir = open(t.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct hold_load l = { .plan = &t.plan, .dir_fd = dir, .act = HOLD_BF16, .progress = cancel_early, .context = &last };
    assert_int_equal(hold_weights_load(&l, &t.stream, &loaded, &err), -1);
    assert_int_equal(err.code, HOLD_E_BUSY);
    assert_null(loaded.parts);
    for (size_t k = 0; k < t.plan.n_tensors; k++)
        total += t.plan.tensors[k].bytes;
    l.progress = count_on;
    assert_int_equal(hold_weights_load(&l, &t.stream, &loaded, &err), 0);
    assert_int_equal(last, total);
    hold_weights_release(&loaded);
    close(dir);
    t_drop(&t);
}

static void file_of_another_size_and_other_types_are_refused(void **unused) {
    (void) unused;
    struct t_loaded t;
    struct hold_err err = { 0 };
    char path[128];
    t_make(&t, (struct t_options) { 0 });
    assert_int_equal(t_load(&t, &hold_backend_ref, &two, HOLD_I8, &err), -1);
    assert_int_equal(err.code, HOLD_E_CONFIG);
    assert_non_null(strstr(err.text, "i8"));
    t_unload(&t);
    snprintf(path, sizeof path, "%s/model.safetensors", t.folder);
    assert_int_equal(truncate(path, 100000), 0);
    assert_int_equal(t_load(&t, &hold_backend_ref, &two, HOLD_F32, &err), -1);
    assert_int_equal(err.code, HOLD_E_FORMAT);
    t_unload(&t);
    unlink(path);
    assert_int_equal(t_load(&t, &hold_backend_ref, &two, HOLD_F32, &err), -1);
    assert_int_equal(err.code, HOLD_E_IO);
    t_drop(&t);
}

static void unknown_backend_is_a_mistake_and_auto_says_why(void **unused) {
    (void) unused;
    static struct hold_opened opened;
    struct hold_err err = { 0 };
    struct hold_device_wish wish = { .backend = "tpu", .library = "/nowhere/none.so", .options = two };
    assert_int_equal(hold_device_open(&wish, &opened, &err), -1);
    assert_int_equal(err.code, HOLD_E_CONFIG);
    wish.backend = "cuda";
    assert_int_equal(hold_device_open(&wish, &opened, &err), -1);
    assert_int_equal(err.code, HOLD_E_DEVICE);
    wish.backend = "auto";
    assert_int_equal(hold_device_open(&wish, &opened, &err), 0);
    assert_true(opened.backend == &hold_backend_cpu && opened.caps.n_threads == 2);
    assert_non_null(strstr(opened.why, "none.so"));
    hold_device_close(&opened);
    wish.backend = "cpu", wish.options.variant = "mmx";
    assert_int_equal(hold_device_open(&wish, &opened, &err), -1);
    assert_non_null(strstr(err.text, "mmx"));
}

static void plan_of_memory_adds_up_or_is_refused_with_numbers(void **unused) {
    (void) unused;
    struct t_loaded t;
    struct hold_err err = { 0 };
    struct hold_fit fit;
    t_make(&t, (struct t_options) { 0 });
    struct hold_fit_need need = { .plan = &t.plan, .act = HOLD_BF16, .memory_bytes = 64u << 20, .reserve_bytes = 1 << 20,
                                  .max_context_tokens = 1000, .max_seqs = 2, .max_rows = 64, .max_patches = 48 };
    assert_int_equal(hold_fit_plan(&need, &fit, &err), 0);
    assert_int_equal(fit.weights_bytes, 910288 * 2);
    assert_int_equal(fit.page_bytes, 3 * 2 * 2 * 64 * 32 * 2);
    assert_int_equal(fit.n_pages, 32); /* two contexts of 16 pages: more would be no use */
    assert_int_equal(fit.weights_bytes + fit.work_bytes + fit.vision_bytes + need.reserve_bytes + fit.cache_bytes + fit.left_bytes, need.memory_bytes);
    need.is_mapped = true;
    assert_int_equal(hold_fit_plan(&need, &fit, &err), 0);
    assert_int_equal(fit.mapped_bytes, 910288 * 2 - 128 * 48 * 4 * 2);
    need.is_mapped = false;
    need.memory_bytes = fit.work_bytes + fit.vision_bytes + need.reserve_bytes + 910288 * 2 + 20 * fit.page_bytes + 5;
    assert_int_equal(hold_fit_plan(&need, &fit, &err), 0);
    assert_int_equal(fit.n_pages, 20);
    assert_int_equal(fit.left_bytes, 5);
    need.memory_bytes -= 5 * fit.page_bytes;
    assert_int_equal(hold_fit_plan(&need, &fit, &err), -1);
    assert_int_equal(err.code, HOLD_E_LIMIT);
    assert_non_null(strstr(err.text, "1000 tokens"));
    need.memory_bytes = 0;
    need.cache_bytes = 7 * fit.page_bytes;
    assert_int_equal(hold_fit_plan(&need, &fit, &err), 0);
    assert_int_equal(fit.n_pages, 16); /* at least one context */
    t_drop(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stored_type_loads_in_both_types),
        cmocka_unit_test(every_role_has_a_place_of_its_own),
        cmocka_unit_test(filter_of_the_tower_is_reordered),
        cmocka_unit_test(progress_ends_at_the_total_and_can_cancel),
        cmocka_unit_test(file_of_another_size_and_other_types_are_refused),
        cmocka_unit_test(unknown_backend_is_a_mistake_and_auto_says_why),
        cmocka_unit_test(plan_of_memory_adds_up_or_is_refused_with_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
