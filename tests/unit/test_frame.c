/* test_frame.c - frames come back as they were sent, and nothing else gets through. */
#include "runtime/wire/frame.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct hold_frame open_frame(void) {
    struct hold_frame f = { .kind = HOLD_FRAME_OPEN, .generation = 7, .session = 9 };
    f.open = (struct hold_frame_open) {
        .n_ids = 5, .max_tokens = 10, .min_tokens = 2, .want_logprobs = true, .n_top = 3, .n_images = 1, .n_stop_ids = 1, .n_bias = 1,
        .sampling = { .temperature = 0.5f, .top_p = 0.85f, .repetition_penalty = 1, .frequency_penalty = 0.2f, .seed = UINT64_MAX },
    };
    f.open.images[0] = (struct hold_frame_grid) { 1, 4, 6 };
    f.open.stop_ids[0] = 151348;
    f.open.bias[0] = (struct hold_frame_bias) { 3, -100 };
    return f;
}

/* One of each kind, with values away from zero. */
static struct hold_frame frame_of(enum hold_frame_kind kind) {
    struct hold_frame f = { .kind = kind, .generation = 7, .session = 9 };
    switch (kind) {
    case HOLD_FRAME_OPEN: return open_frame();
    case HOLD_FRAME_IDS: f.ids = (struct hold_frame_ids) { .offset = 4096, .n = 3, .ids = { 1, 2, 151551 } }; break;
    case HOLD_FRAME_PATCHES: f.patches = (struct hold_frame_patches) { .image = 2, .bytes = 64, .offset = 128, .position = 1u << 30 }; break;
    case HOLD_FRAME_CANCEL: break;
    case HOLD_FRAME_STATUS:
        f.session = 0;
        f.status = (struct hold_frame_status) { .is_healthy = true, .max_context = 25480, .n_running = 1, .pages_used = 2, .pages_total = 3, .page_tokens = 64 };
        break;
    case HOLD_FRAME_GAVE:
        f.session = 0;
        f.gave.position = 4096;
        break;
    case HOLD_FRAME_TOKEN:
        f.token = (struct hold_frame_token) { .index = 1, .id = 2, .logprob = -0.5f, .n_top = 1, .top = { { 2, -FLT_MAX } } };
        break;
    case HOLD_FRAME_END:
        f.end = (struct hold_frame_end) { .reason = HOLD_END_LENGTH, .stop_id = UINT32_MAX, .prompt_tokens = 5, .completion_tokens = 10 };
        break;
    case HOLD_FRAME_FAIL:
        f.fail.reason = HOLD_FAIL_NAN;
        strcpy(f.fail.text, "the logits are not numbers");
        break;
    case HOLD_FRAME_NONE:
    case HOLD_FRAME_KIND_COUNT: break;
    }
    return f;
}

static bool is_fronts(enum hold_frame_kind kind) {
    return kind <= HOLD_FRAME_CANCEL;
}

static void frame_of_every_kind_comes_back(void **unused) {
    (void) unused;
    for (int kind = HOLD_FRAME_NONE + 1; kind < HOLD_FRAME_KIND_COUNT; kind++) {
        struct hold_frame f = frame_of((enum hold_frame_kind) kind), back;
        unsigned char bytes[HOLD_FRAME_MAX_BYTES], again[HOLD_FRAME_MAX_BYTES];
        size_t n, m;
        struct hold_err err = { 0 };
        assert_return_code(hold_frame_put(&f, bytes, &n, &err), 0);
        if (hold_frame_parse(bytes, n, is_fronts(f.kind), &back, &err) < 0)
            fail_msg("%s: %s", hold_frame_name(f.kind), err.text);
        assert_int_equal(back.kind, f.kind);
        assert_int_equal(back.session, f.session);
        assert_return_code(hold_frame_put(&back, again, &m, &err), 0);
        assert_int_equal(n, m);
        assert_memory_equal(bytes, again, n);
    }
}

static void frame_from_the_wrong_side_is_refused(void **unused) {
    (void) unused;
    for (int kind = HOLD_FRAME_NONE + 1; kind < HOLD_FRAME_KIND_COUNT; kind++) {
        struct hold_frame f = frame_of((enum hold_frame_kind) kind), back;
        unsigned char bytes[HOLD_FRAME_MAX_BYTES];
        size_t n;
        struct hold_err err = { 0 };
        assert_return_code(hold_frame_put(&f, bytes, &n, &err), 0);
        assert_int_equal(hold_frame_parse(bytes, n, !is_fronts(f.kind), &back, &err), -1);
        assert_int_equal(err.code, HOLD_E_FORMAT);
    }
}

/* Every shortening and every lengthening of every kind. */
static void frame_of_another_length_is_refused(void **unused) {
    (void) unused;
    for (int kind = HOLD_FRAME_NONE + 1; kind < HOLD_FRAME_KIND_COUNT; kind++) {
        struct hold_frame f = frame_of((enum hold_frame_kind) kind), back;
        unsigned char bytes[HOLD_FRAME_MAX_BYTES + 1] = { 0 };
        size_t n;
        struct hold_err err = { 0 };
        assert_return_code(hold_frame_put(&f, bytes, &n, &err), 0);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(hold_frame_parse(bytes, cut, is_fronts(f.kind), &back, &err), -1);
        assert_int_equal(hold_frame_parse(bytes, n + 1, is_fronts(f.kind), &back, &err), -1);
    }
}

/* Any one byte changed: either refused, or a frame that is itself writable (every field in its range). */
static void frame_with_a_changed_byte_is_refused_or_in_range(void **unused) {
    (void) unused;
    for (int kind = HOLD_FRAME_NONE + 1; kind < HOLD_FRAME_KIND_COUNT; kind++) {
        struct hold_frame f = frame_of((enum hold_frame_kind) kind), back;
        unsigned char bytes[HOLD_FRAME_MAX_BYTES], again[HOLD_FRAME_MAX_BYTES];
        size_t n, m;
        struct hold_err err = { 0 };
        assert_return_code(hold_frame_put(&f, bytes, &n, &err), 0);
        for (size_t at = 0; at < n; at++)
            for (unsigned v = 0; v < 256; v += 51) {
                unsigned char kept = bytes[at];
                bytes[at] = (unsigned char) v;
                if (hold_frame_parse(bytes, n, is_fronts(f.kind), &back, &err) == 0)
                    assert_return_code(hold_frame_put(&back, again, &m, &err), 0);
                bytes[at] = kept;
            }
    }
}

#define REFUSED(change)                                                     \
    do {                                                                    \
        struct hold_frame f = open_frame();                                 \
        unsigned char bytes[HOLD_FRAME_MAX_BYTES];                          \
        size_t n;                                                           \
        struct hold_err err = { 0 };                                        \
        change;                                                             \
        assert_int_equal(hold_frame_put(&f, bytes, &n, &err), -1);          \
        assert_int_equal(err.code, HOLD_E_INTERNAL);                        \
    } while (0)

static void frame_out_of_range_is_not_written(void **unused) {
    (void) unused;
    REFUSED(f.generation = 0);
    REFUSED(f.session = 0);
    REFUSED(f.open.n_ids = 0);
    REFUSED(f.open.n_ids = HOLD_FRAME_MAX_PROMPT + 1);
    REFUSED(f.open.min_tokens = 11);
    REFUSED(f.open.n_top = HOLD_FRAME_MAX_TOP + 1);
    REFUSED(f.open.want_logprobs = false);
    REFUSED(f.open.n_images = HOLD_FRAME_MAX_IMAGES + 1);
    REFUSED(f.open.images[0].h = 0);
    REFUSED(f.open.n_stop_ids = HOLD_FRAME_MAX_STOP_IDS + 1);
    REFUSED(f.open.n_bias = HOLD_FRAME_MAX_BIAS + 1);
    REFUSED(f.open.bias[0].add = 101);
    REFUSED(f.open.sampling.temperature = NAN);
    REFUSED(f.open.sampling.temperature = -1);
    REFUSED(f.open.sampling.top_p = 0);
    REFUSED(f.open.sampling.top_p = INFINITY);
    REFUSED(f.open.sampling.frequency_penalty = 2.5f);
    REFUSED(f.open.sampling.repetition_penalty = 0);
    REFUSED(f.kind = HOLD_FRAME_NONE);
    REFUSED(f.kind = HOLD_FRAME_KIND_COUNT);
}

static void frame_text_holds_no_control_byte(void **unused) {
    (void) unused;
    struct hold_frame f = frame_of(HOLD_FRAME_FAIL);
    unsigned char bytes[HOLD_FRAME_MAX_BYTES];
    size_t n;
    f.fail.text[3] = '\n';
    assert_int_equal(hold_frame_put(&f, bytes, &n, NULL), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_of_every_kind_comes_back),
        cmocka_unit_test(frame_from_the_wrong_side_is_refused),
        cmocka_unit_test(frame_of_another_length_is_refused),
        cmocka_unit_test(frame_with_a_changed_byte_is_refused_or_in_range),
        cmocka_unit_test(frame_out_of_range_is_not_written),
        cmocka_unit_test(frame_text_holds_no_control_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
