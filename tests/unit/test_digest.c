/* test_digest.c - digests are the published ones, in line, of files and behind the ring. */
#include "tests/unit/test.h"

#include "base/auto.h"
#include "supervisor/job/digest.h"

#include <fcntl.h>
#include <unistd.h>

/* FIPS 180-4 examples, and `git hash-object` of the same bytes. */
#define SHA256_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA256_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA256_MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
#define GIT_ABC "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"

static void assert_hex(const uint8_t *bytes, size_t n, const char *wanted) {
    char hex[65];
    hold_hex_write(bytes, n, hex);
    assert_string_equal(hex, wanted);
}

static void known_answers(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    uint8_t sha256[32];
    assert_int_equal(hold_digest_bytes("abc", 3, sha256, &err), 0);
    assert_hex(sha256, 32, SHA256_ABC);
    assert_int_equal(hold_digest_bytes("", 0, sha256, &err), 0);
    assert_hex(sha256, 32, SHA256_EMPTY);
}

static void both_digests_in_one_pass_and_again_after_restart(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    struct hold_digest d = { 0 };
    struct hold_digest_value value;
    assert_int_equal(hold_digest_open(&d, true, 3, &err), 0);
    for (int i = 0; i < 2; i++) {
        hold_digest_feed(&d, "a", 1);
        hold_digest_feed(&d, "bc", 2);
        assert_int_equal(hold_digest_end(&d, &value, &err), 0);
        assert_hex(value.sha256, 32, SHA256_ABC);
        assert_hex(value.git_blob, 20, GIT_ABC);
        assert_int_equal(hold_digest_restart(&d, &err), 0);
    }
    hold_digest_close(&d);
    hold_digest_close(&d);
}

static void a_file_that_is_not_of_its_size_is_refused(void **unused) {
    (void) unused;
    char name[] = "/tmp/hold-digest-XXXXXX";
    hold_autofd fd = mkstemp(name);
    struct hold_err err = { 0 };
    struct hold_digest_value value;
    assert_int_equal(write(fd, "abc", 3), 3);
    _Atomic uint64_t progress = 0;
    assert_int_equal(hold_digest_file(fd, 3, false, &progress, &value, &err), 0);
    assert_hex(value.sha256, 32, SHA256_ABC);
    assert_int_equal(progress, 3);
    assert_int_equal(hold_digest_file(fd, 2, false, NULL, &value, &err), -1);
    assert_non_null(strstr(err.text, "grew"));
    assert_int_equal(hold_digest_file(fd, 4, false, NULL, &value, &err), -1);
    assert_non_null(strstr(err.text, "ends at byte 3 of 4"));
    unlink(name);
}

static void the_ring_gives_the_same_whatever_the_blocks(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    struct hold_hasher h = { 0 };
    struct hold_digest_value value;
    assert_int_equal(hold_hasher_open(&h, false, 0, &err), 0);
    for (size_t step = 1; step <= 300000; step = step * 7 + 11) {
        size_t left = 1000000;
        assert_int_equal(hold_hasher_restart(&h, &err), 0);
        for (int blocks = 0; left && blocks < 100000; blocks++) {
            size_t n = left < step ? left : step;
            memset(hold_hasher_block(&h), 'a', n);
            hold_hasher_give(&h, n);
            left -= n;
        }
        while (left) { /* small steps are finished in large ones, so that the test stays short */
            size_t n = left < HOLD_HASHER_BLOCK ? left : HOLD_HASHER_BLOCK;
            memset(hold_hasher_block(&h), 'a', n);
            hold_hasher_give(&h, n);
            left -= n;
        }
        assert_int_equal(hold_hasher_end(&h, &value, &err), 0);
        assert_hex(value.sha256, 32, SHA256_MILLION_A);
    }
    hold_hasher_close(&h);
    hold_hasher_close(&h);
}

static void identity_is_the_digest_of_the_lines(void **unused) {
    (void) unused;
    struct hold_err err = { 0 };
    struct hold_manifest_file file = { .path = "a", .size = 9, .has_sha256 = true };
    struct hold_manifest m = { .files = &file, .n_files = 1 };
    uint8_t identity[32], direct[32];
    static const char lines[] = "holdfast-model 1\na\t9\t0000000000000000000000000000000000000000000000000000000000000000\n";
    assert_int_equal(hold_manifest_identity(&m, identity, &err), 0);
    assert_int_equal(hold_digest_bytes(lines, sizeof lines - 1, direct, &err), 0);
    assert_memory_equal(identity, direct, 32);
    file.has_sha256 = false;
    assert_int_equal(hold_manifest_identity(&m, identity, &err), -1);
}

static void pieces_of_a_file_have_the_digests_of_their_bytes(void **unused) {
    (void) unused;
    char name[] = "/tmp/hold-digest-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    static uint8_t bytes[2500000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (i * 7 + i / 300);
    assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
    struct hold_digest_value value;
    struct hold_err err;
    uint8_t pieces[3 * 32], wanted[32];
    assert_int_equal(hold_digest_file_pieces(fd, sizeof bytes, 1000000, NULL, &value, pieces, &err), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hold_digest_bytes(bytes + i * 1000000, i == 2 ? 500000 : 1000000, wanted, &err), 0);
        assert_memory_equal(pieces + 32 * i, wanted, 32);
    }
    assert_int_equal(hold_digest_bytes(bytes, sizeof bytes, wanted, &err), 0);
    assert_memory_equal(value.sha256, wanted, 32);
    assert_int_equal(hold_digest_file_pieces(fd, sizeof bytes + 1, 1000000, NULL, &value, pieces, &err), -1);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(both_digests_in_one_pass_and_again_after_restart),
        cmocka_unit_test(a_file_that_is_not_of_its_size_is_refused),
        cmocka_unit_test(the_ring_gives_the_same_whatever_the_blocks),
        cmocka_unit_test(pieces_of_a_file_have_the_digests_of_their_bytes),
        cmocka_unit_test(identity_is_the_digest_of_the_lines),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
