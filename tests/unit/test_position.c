/* test_position.c - three-part positions of prompts with text, pictures and videos; the delta that decoding adds. */
#include "runtime/model/position.h"
#include "tests/unit/test.h"

enum { IMAGE = 900, VIDEO_START = 901, VIDEO_END = 902, MOST = 200 };

static const struct hold_record record = { .merge = 2, .image_token = IMAGE, .video_start = VIDEO_START, .video_end = VIDEO_END,
                                           .image_start = UINT32_MAX, .image_end = UINT32_MAX, .video_token = UINT32_MAX };
static uint32_t ids[MOST];
static int32_t pos[MOST][3], delta;
static size_t n;

static void text(size_t count) {
    for (size_t i = 0; i < count; i++)
        ids[n++] = 1;
}

static void places(size_t count) {
    for (size_t i = 0; i < count; i++)
        ids[n++] = IMAGE;
}

static void walk(const struct hold_grid *grids, size_t n_grids) {
    struct hold_err err = { 0 };
    if (hold_positions(&record, ids, n, grids, n_grids, pos, &delta, &err) < 0)
        fail_msg("%s", err.text);
}

static void at(size_t i, int32_t t, int32_t h, int32_t w) {
    if (pos[i][0] != t || pos[i][1] != h || pos[i][2] != w)
        fail_msg("token %zu stands at (%d,%d,%d), expected (%d,%d,%d)", i, pos[i][0], pos[i][1], pos[i][2], t, h, w);
}

static void text_counts_on_all_axes(void **unused) {
    (void) unused;
    n = 0, text(5), walk(NULL, 0);
    for (int32_t i = 0; i < 5; i++)
        at((size_t) i, i, i, i);
    assert_int_equal(delta, 0);
}

static void picture_is_a_block_and_advances_by_its_longer_side(void **unused) {
    (void) unused;
    const struct hold_grid grid = { 1, 6, 8 };
    n = 0, text(3), places(12), text(3), walk(&grid, 1);
    at(2, 2, 2, 2);
    at(3, 3, 3, 3);
    at(6, 3, 3, 6);
    at(7, 3, 4, 3);
    at(14, 3, 5, 6);
    at(15, 7, 7, 7);
    at(17, 9, 9, 9);
    assert_int_equal(delta, -8);
}

static void two_pictures_give_the_golden_delta(void **unused) {
    (void) unused;
    const struct hold_grid grids[2] = { { 1, 6, 6 }, { 1, 6, 8 } };
    n = 0, text(2), places(9), text(2), places(12), text(3), walk(grids, 2);
    at(2, 2, 2, 2);
    at(10, 2, 4, 4);
    at(11, 5, 5, 5);
    at(13, 7, 7, 7);
    at(27, 13, 13, 13);
    assert_int_equal(delta, -14);
}

static void picture_may_come_first_and_be_one_row(void **unused) {
    (void) unused;
    const struct hold_grid grid = { 1, 2, 2 };
    n = 0, places(1), text(2), walk(&grid, 1);
    at(0, 0, 0, 0);
    at(2, 2, 2, 2);
    assert_int_equal(delta, 0);
}

static void screenshot_has_the_delta_of_the_specification(void **unused) {
    (void) unused;
    static uint32_t many[4000];
    static int32_t where[4000][3];
    const struct hold_grid grid = { 1, 172, 78 };
    struct hold_err err = { 0 };
    for (int i = 0; i < 3354; i++)
        many[i] = IMAGE;
    assert_int_equal(hold_grid_tokens(grid, 2), 3354);
    assert_int_equal(hold_positions(&record, many, 3354, &grid, 1, where, &delta, &err), 0);
    assert_int_equal(delta, -3268);
}

static void frames_of_a_video_stand_between_their_texts(void **unused) {
    (void) unused;
    const struct hold_grid grids[2] = { { 3, 4, 4 }, { 1, 2, 4 } };
    n = 0;
    ids[n++] = VIDEO_START;
    for (int frame = 0; frame < 3; frame++)
        text(1), places(4), text(1);
    ids[n++] = VIDEO_END;
    places(2);
    walk(grids, 2);
    at(1, 1, 1, 1);
    at(2, 2, 2, 2);
    at(5, 2, 3, 3);
    at(6, 4, 4, 4);
    at(8, 6, 6, 6);
    at(19, 13, 13, 13);
    at(20, 14, 14, 14);
    at(21, 14, 14, 15);
}

static void counts_that_disagree_are_refused(void **unused) {
    (void) unused;
    const struct hold_grid grids[2] = { { 1, 6, 8 }, { 1, 6, 8 } }, odd = { 1, 5, 8 };
    struct hold_err err = { 0 };
    n = 0, text(1), places(11), text(1);
    assert_int_equal(hold_positions(&record, ids, n, grids, 1, pos, &delta, &err), -1);
    assert_int_equal(err.code, HOLD_E_CONFIG);
    n = 0, text(1), places(13);
    assert_int_equal(hold_positions(&record, ids, n, grids, 1, pos, &delta, &err), -1);
    n = 0, text(1), places(12), text(1);
    assert_int_equal(hold_positions(&record, ids, n, grids, 2, pos, &delta, &err), -1);
    assert_int_equal(hold_positions(&record, ids, n, NULL, 0, pos, &delta, &err), -1);
    n = 0, places(24); /* two pictures without a word between them */
    assert_int_equal(hold_positions(&record, ids, n, grids, 2, pos, &delta, &err), -1);
    n = 0, places(8);
    assert_int_equal(hold_positions(&record, ids, n, &odd, 1, pos, &delta, &err), -1);
    assert_int_equal(hold_positions(&record, ids, 0, NULL, 0, pos, &delta, &err), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_counts_on_all_axes),
        cmocka_unit_test(picture_is_a_block_and_advances_by_its_longer_side),
        cmocka_unit_test(two_pictures_give_the_golden_delta),
        cmocka_unit_test(picture_may_come_first_and_be_one_row),
        cmocka_unit_test(screenshot_has_the_delta_of_the_specification),
        cmocka_unit_test(frames_of_a_video_stand_between_their_texts),
        cmocka_unit_test(counts_that_disagree_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
