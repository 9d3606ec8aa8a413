/* test_proof.c - a marker is believed for the unchanged file and for no other. */
#include "tests/unit/test.h"

#include "base/auto.h"
#include "supervisor/job/digest.h"
#include "supervisor/job/proof.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static int folder_fd, state_fd;

static int put(const char *name, const char *text) {
    hold_autofd fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text) ? 0 : -1;
}

static int enter(void **unused) {
    (void) unused;
    snprintf(folder, sizeof folder, "/tmp/hold-proof-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(folder_fd, HOLD_STATE_FOLDER, 0755);
    mkdirat(folder_fd, "sub", 0755);
    state_fd = openat(folder_fd, HOLD_STATE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return state_fd < 0 ? -1 : put("sub/a", "abc");
}

static int leave(void **unused) {
    (void) unused;
    unlinkat(folder_fd, "sub/a", 0);
    unlinkat(state_fd, "proof/sub/a.proof", 0);
    unlinkat(state_fd, "proof/sub", AT_REMOVEDIR);
    unlinkat(state_fd, "proof", AT_REMOVEDIR);
    unlinkat(folder_fd, HOLD_STATE_FOLDER, AT_REMOVEDIR);
    unlinkat(folder_fd, "sub", AT_REMOVEDIR);
    close(state_fd);
    close(folder_fd);
    return rmdir(folder);
}

static struct hold_manifest_file abc(void) {
    struct hold_manifest_file f = { .path = "sub/a", .size = 3, .has_sha256 = true };
    hold_hex_read("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 32, f.sha256);
    return f;
}

static enum hold_have check(const struct hold_manifest_file *f, bool believe) {
    uint8_t sha256[32];
    struct hold_err err = { 0 };
    enum hold_have have = hold_proof_check(folder_fd, state_fd, f, believe, NULL, sha256, &err);
    if (have != HOLD_HAVE_MARKED && have != HOLD_HAVE_PROVEN && have != HOLD_HAVE_ABSENT)
        assert_non_null(strstr(err.text, f->path));
    return have;
}

static void a_proof_is_remembered(void **unused) {
    (void) unused;
    struct hold_manifest_file f = abc();
    assert_int_equal(check(&f, true), HOLD_HAVE_PROVEN);
    assert_int_equal(check(&f, true), HOLD_HAVE_MARKED);
    assert_int_equal(check(&f, false), HOLD_HAVE_PROVEN); /* deep */
    f.sha256[0] ^= 1;
    assert_int_equal(check(&f, true), HOLD_HAVE_DAMAGED); /* the marker vouches for other bytes */
}

static void any_change_ends_it(void **unused) {
    (void) unused;
    struct hold_manifest_file f = abc();
    assert_int_equal(check(&f, true), HOLD_HAVE_PROVEN);
    hold_autofd fd = openat(folder_fd, "sub/a", O_RDWR | O_CLOEXEC);
    struct stat before;
    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(pwrite(fd, "x", 1, 1), 1);
    const struct timespec times[2] = { before.st_atim, before.st_mtim };
    assert_int_equal(futimens(fd, times), 0); /* size, inode and mtime as before: ctime tells */
    assert_int_equal(check(&f, true), HOLD_HAVE_DAMAGED);
    assert_int_equal(pwrite(fd, "b", 1, 1), 1);
    assert_int_equal(check(&f, true), HOLD_HAVE_PROVEN);
    assert_int_equal(ftruncate(fd, 2), 0);
    assert_int_equal(check(&f, true), HOLD_HAVE_WRONG_SIZE);
    assert_int_equal(unlinkat(folder_fd, "sub/a", 0), 0);
    assert_int_equal(check(&f, true), HOLD_HAVE_ABSENT);
    assert_int_equal(put("sub/a", "abd"), 0);
    assert_int_equal(check(&f, true), HOLD_HAVE_DAMAGED);
}

static void a_forged_or_torn_marker_is_no_proof(void **unused) {
    (void) unused;
    static const char *const texts[] = { "", "holdfast-proof 1 ", "holdfast-proof 1 zz", "holdfast-proof 2 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 1 1 1\n" };
    struct hold_manifest_file f = abc();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(check(&f, true) == HOLD_HAVE_PROVEN || i > 0, true);
        hold_autofd marker = openat(state_fd, "proof/sub/a.proof", O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(marker, texts[i], strlen(texts[i])), strlen(texts[i]));
        assert_int_equal(check(&f, true), HOLD_HAVE_PROVEN); /* hashed, not believed */
    }
}

static void files_of_a_hub_are_proven_by_their_blob(void **unused) {
    (void) unused;
    struct hold_manifest_file f = { .path = "sub/a", .size = 3, .has_git_blob = true };
    hold_hex_read("f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f", 20, f.git_blob);
    assert_int_equal(check(&f, true), HOLD_HAVE_PROVEN);
    assert_int_equal(check(&f, true), HOLD_HAVE_PROVEN);
    f.git_blob[3] ^= 1;
    assert_int_equal(check(&f, true), HOLD_HAVE_DAMAGED);
    f.has_git_blob = false;
    assert_int_equal(check(&f, false), HOLD_HAVE_UNPROVABLE);
}

static void links_that_leave_and_folders_are_unreadable(void **unused) {
    (void) unused;
    struct hold_manifest_file f = abc();
    assert_int_equal(unlinkat(folder_fd, "sub/a", 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", folder_fd, "sub/a"), 0);
    assert_int_equal(check(&f, true), HOLD_HAVE_UNREADABLE);
    f.path = "sub";
    assert_int_equal(check(&f, true), HOLD_HAVE_UNREADABLE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_proof_is_remembered, enter, leave),
        cmocka_unit_test_setup_teardown(any_change_ends_it, enter, leave),
        cmocka_unit_test_setup_teardown(a_forged_or_torn_marker_is_no_proof, enter, leave),
        cmocka_unit_test_setup_teardown(files_of_a_hub_are_proven_by_their_blob, enter, leave),
        cmocka_unit_test_setup_teardown(links_that_leave_and_folders_are_unreadable, enter, leave),
    };
    return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
