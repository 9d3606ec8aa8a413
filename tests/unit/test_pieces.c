/* test_pieces.c - a partial filled in pieces: its map is a claim that never exceeds the file, its digest follows from any order. */
#include "tests/unit/test.h"

#include "base/auto.h"
#include "supervisor/job/pieces.h"

#include <fcntl.h>
#include <unistd.h>

#define PIECE 1000u
#define SIZE 4500u

static uint8_t pattern[SIZE];

static int scratch(void) {
    char name[] = "/tmp/hold-pieces-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    return fd;
}

static void fill(void) {
    for (size_t i = 0; i < SIZE; i++)
        pattern[i] = (uint8_t) (i * 31 + i / 251);
}

static void write_piece(struct hold_pieces *p, size_t piece, size_t from, size_t n) {
    struct hold_verdict v = { 0 };
    uint8_t *block = malloc(HOLD_PIECES_BLOCK);
    memcpy(block, pattern + from, n);
    assert_int_equal(hold_pieces_write(p, piece, &block, n, &v), 0);
    free(block);
}

static void check_digest(struct hold_pieces *p) {
    struct hold_verdict v = { 0 };
    uint8_t got[32], wanted[32];
    assert_int_equal(hold_pieces_digest(p, got, &v), 0);
    assert_int_equal(hold_digest_bytes(pattern, SIZE, wanted, &v.err), 0);
    assert_memory_equal(got, wanted, 32);
}

static void any_order_gives_the_digest_of_the_whole(void **unused) {
    (void) unused;
    struct hold_pieces p = { 0 };
    struct hold_verdict v = { 0 };
    hold_autofd fd = scratch();
    _Atomic uint64_t progress = 0;
    size_t piece[6];
    uint64_t first[6], end[6];
    fill();
    assert_int_equal(hold_pieces_open(&p, fd, scratch(), SIZE, PIECE, 0, &progress, &v), 0);
    for (size_t i = 0; i < 5; i++)
        assert_true(hold_pieces_take(&p, &piece[i], &first[i], &end[i]));
    assert_false(hold_pieces_take(&p, &piece[5], &first[5], &end[5]));
    assert_int_equal(end[4] - first[4], 500);
    for (size_t i = 5; i-- > 0;) {
        write_piece(&p, piece[i], first[i], (size_t) (end[i] - first[i]));
        hold_pieces_give(&p, piece[i]);
    }
    assert_true(hold_pieces_wait(&p, 0));
    check_digest(&p);
    assert_int_equal(progress, SIZE);
    hold_pieces_close(&p);
}

static void the_map_brings_back_what_was_written_and_no_more(void **unused) {
    (void) unused;
    struct hold_pieces p = { 0 };
    struct hold_verdict v = { 0 };
    hold_autofd fd = scratch();
    int map = scratch();
    size_t piece;
    uint64_t first, end;
    fill();
    assert_int_equal(hold_pieces_open(&p, fd, dup(map), SIZE, PIECE, 0, NULL, &v), 0);
    assert_true(hold_pieces_take(&p, &piece, &first, &end));
    write_piece(&p, 0, 0, 300);
    assert_true(hold_pieces_take(&p, &piece, &first, &end));
    write_piece(&p, 1, 1000, 1000);
    hold_pieces_close(&p);
    assert_int_equal(hold_pieces_prefix(map, SIZE), 300);

    assert_int_equal(hold_pieces_open(&p, fd, dup(map), SIZE, PIECE, 0, NULL, &v), 0);
    assert_int_equal(hold_pieces_have(&p), 1300);
    assert_true(hold_pieces_take(&p, &piece, &first, &end));
    assert_int_equal(piece, 0);
    assert_int_equal(first, 300);
    write_piece(&p, 0, 300, 700);
    for (size_t i = 2; i < 5; i++) {
        assert_true(hold_pieces_take(&p, &piece, &first, &end));
        assert_int_equal(piece, i);
        write_piece(&p, i, first, (size_t) (end - first));
    }
    check_digest(&p);
    hold_pieces_close(&p);
    assert_int_equal(ftruncate(fd, 1200), 0); /* a file that lost its end */
    assert_int_equal(hold_pieces_open(&p, fd, map, SIZE, PIECE, 0, NULL, &v), 0);
    assert_int_equal(hold_pieces_have(&p), 1000);
    hold_pieces_close(&p);
}

static void a_map_of_another_file_or_a_broken_one_says_nothing(void **unused) {
    (void) unused;
    uint8_t map[HOLD_PIECES_HEAD + 40] = { 0 };
    uint64_t size = SIZE, piece_bytes = PIECE, much = PIECE + 1;
    struct hold_piece at[5];
    memcpy(map, "HOLDPCS1", 8);
    memcpy(map + 8, &size, 8);
    memcpy(map + 16, &piece_bytes, 8);
    assert_true(hold_pieces_read(map, sizeof map, SIZE, PIECE, SIZE, at));
    assert_false(hold_pieces_read(map, sizeof map - 1, SIZE, PIECE, SIZE, at));
    assert_false(hold_pieces_read(map, sizeof map, SIZE + 1, PIECE, SIZE, at));
    assert_false(hold_pieces_read(map, sizeof map, SIZE, PIECE + 1, SIZE, at));
    memcpy(map + HOLD_PIECES_HEAD, &much, 8);
    assert_true(hold_pieces_read(map, sizeof map, SIZE, PIECE, SIZE, at));
    assert_int_equal(at[0].have, 0); /* more than a piece can hold */
}

static void a_forgotten_piece_is_missing_and_everything_is_hashed_again(void **unused) {
    (void) unused;
    struct hold_pieces p = { 0 };
    struct hold_verdict v = { 0 };
    hold_autofd fd = scratch();
    uint8_t sha256[32];
    size_t piece;
    uint64_t first, end;
    fill();
    assert_int_equal(hold_pieces_open(&p, fd, scratch(), SIZE, PIECE, 0, NULL, &v), 0);
    pattern[2100] ^= 1;
    while (hold_pieces_take(&p, &piece, &first, &end)) {
        write_piece(&p, piece, first, (size_t) (end - first));
        hold_pieces_give(&p, piece);
    }
    pattern[2100] ^= 1;
    assert_int_equal(hold_pieces_digest(&p, sha256, &v), 0);
    assert_int_equal(hold_pieces_forget(&p, 2, &v), 0);
    assert_int_equal(hold_pieces_have(&p), SIZE - PIECE);
    assert_true(hold_pieces_take(&p, &piece, &first, &end));
    assert_int_equal(piece, 2);
    write_piece(&p, 2, 2000, 1000);
    check_digest(&p);
    hold_pieces_close(&p);
}

static void good_pieces_are_taken_from_a_damaged_file(void **unused) {
    (void) unused;
    struct hold_pieces p = { 0 };
    struct hold_verdict v = { 0 };
    hold_autofd fd = scratch(), damaged = scratch();
    uint8_t digests[5 * 32];
    size_t piece;
    uint64_t first, end;
    fill();
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(hold_digest_bytes(pattern + i * PIECE, i == 4 ? 500 : PIECE, digests + 32 * i, &v.err), 0);
    assert_int_equal(pwrite(damaged, pattern, SIZE, 0), SIZE);
    assert_int_equal(pwrite(damaged, "?", 1, 3333), 1);
    assert_int_equal(hold_pieces_open(&p, fd, scratch(), SIZE, PIECE, 0, NULL, &v), 0);
    assert_int_equal(hold_pieces_salvage(&p, damaged, digests, &v), 0);
    assert_int_equal(hold_pieces_have(&p), SIZE - PIECE);
    assert_true(hold_pieces_take(&p, &piece, &first, &end));
    assert_int_equal(piece, 3);
    write_piece(&p, 3, 3000, 1000);
    check_digest(&p);
    hold_pieces_close(&p);
}

static void a_transfer_runs_on_into_free_pieces_only(void **unused) {
    (void) unused;
    struct hold_pieces p = { 0 };
    struct hold_verdict v = { 0 };
    hold_autofd fd = scratch();
    size_t a, b;
    uint64_t first, end;
    fill();
    assert_int_equal(hold_pieces_open(&p, fd, scratch(), SIZE, PIECE, 0, NULL, &v), 0);
    assert_true(hold_pieces_take(&p, &a, &first, &end));
    assert_int_equal(hold_pieces_free_end(&p, a), SIZE);
    write_piece(&p, a, 0, PIECE);
    assert_true(hold_pieces_go_on(&p, a)); /* now we hold the second */
    assert_true(hold_pieces_take(&p, &b, &first, &end));
    assert_int_equal(b, 2);
    assert_int_equal(hold_pieces_free_end(&p, a + 1), 2 * PIECE);
    write_piece(&p, a + 1, PIECE, PIECE);
    assert_false(hold_pieces_go_on(&p, a + 1)); /* the third is another's */
    hold_pieces_give(&p, a + 1);
    write_piece(&p, b, 2 * PIECE, PIECE);
    assert_true(hold_pieces_go_on(&p, b));
    write_piece(&p, 3, 3 * PIECE, PIECE);
    assert_true(hold_pieces_go_on(&p, 3));
    write_piece(&p, 4, 4 * PIECE, SIZE - 4 * PIECE);
    assert_false(hold_pieces_go_on(&p, 4)); /* there is no sixth */
    hold_pieces_give(&p, 4);
    check_digest(&p);
    hold_pieces_close(&p);
}

/* Every write continues the prefix: the digest gets it from memory, and the file may be spoilt behind its back. */
static void what_continues_the_prefix_is_hashed_from_memory(void **unused) {
    (void) unused;
    struct hold_pieces p = { 0 };
    struct hold_verdict v = { 0 };
    hold_autofd fd = scratch();
    size_t piece;
    uint64_t first, end;
    fill();
    assert_int_equal(hold_pieces_open(&p, fd, scratch(), SIZE, PIECE, 0, NULL, &v), 0);
    while (hold_pieces_take(&p, &piece, &first, &end)) {
        for (uint64_t at = first; at < end; at += 100)
            write_piece(&p, piece, at, (size_t) (end - at < 100 ? end - at : 100));
        hold_pieces_give(&p, piece);
    }
    check_digest(&p);
    assert_in_range(p.n_spare, 1, HOLD_PIECES_RING + 1);
    assert_int_equal(hold_pieces_forget(&p, 1, &v), 0); /* and what is hashed again comes from the file, with the new piece */
    assert_true(hold_pieces_take(&p, &piece, &first, &end));
    assert_int_equal(piece, 1);
    write_piece(&p, piece, first, (size_t) (end - first));
    hold_pieces_give(&p, piece);
    check_digest(&p);
    hold_pieces_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transfer_runs_on_into_free_pieces_only),
        cmocka_unit_test(what_continues_the_prefix_is_hashed_from_memory),
        cmocka_unit_test(any_order_gives_the_digest_of_the_whole),
        cmocka_unit_test(the_map_brings_back_what_was_written_and_no_more),
        cmocka_unit_test(a_map_of_another_file_or_a_broken_one_says_nothing),
        cmocka_unit_test(a_forgotten_piece_is_missing_and_everything_is_hashed_again),
        cmocka_unit_test(good_pieces_are_taken_from_a_damaged_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
