/* proof.c - markers beside proven files. Floor: supervisor/job. */
#include "supervisor/job/proof.h"

#include "base/auto.h"
#include "base/io.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/digest.h"
#include "supervisor/job/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MARKER_MAX 256
#define NAME_MAX_BYTES 600
#define TICKS_WAITED 50 /* of 2 ms; a tick is 10 ms at most */

static int64_t nanoseconds(struct timespec t) {
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void marker_name(const char *name, char out[NAME_MAX_BYTES]) {
    snprintf(out, NAME_MAX_BYTES, "proof/%s.proof", name);
}

static void marker_text(const struct stat *st, const uint8_t sha256[32], char out[MARKER_MAX]) {
    char hex[65];
    hold_hex_write(sha256, 32, hex);
    snprintf(out, MARKER_MAX, "holdfast-proof 1 %s %lld %llu %lld %lld\n", hex, (long long) st->st_size, (unsigned long long) st->st_ino,
             (long long) nanoseconds(st->st_mtim), (long long) nanoseconds(st->st_ctim));
}

bool hold_proof_read(int state_fd, const char *name, int fd, uint8_t ret_sha256[32]) {
    char path[NAME_MAX_BYTES], found[MARKER_MAX] = { 0 }, wanted[MARKER_MAX];
    if (state_fd < 0)
        return false;
    marker_name(name, path);
    hold_autofd marker = openat(state_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat file, st;
    if (marker < 0 || fstat(marker, &st) < 0 || !S_ISREG(st.st_mode) || fstat(fd, &file) < 0)
        return false;
    ssize_t n = pread(marker, found, sizeof found - 1, 0);
    uint8_t sha256[32];
    static const char head[] = "holdfast-proof 1 ";
    if (n < (ssize_t) sizeof head + 64 || memcmp(found, head, sizeof head - 1) != 0)
        return false;
    char hex[65] = { 0 };
    memcpy(hex, found + sizeof head - 1, 64);
    if (!hold_hex_read(hex, 32, sha256))
        return false;
    /* Written again from what the file is now: equal text is equal everything. */
    marker_text(&file, sha256, wanted);
    if (strcmp(found, wanted) != 0 || nanoseconds(st.st_mtim) <= nanoseconds(file.st_ctim))
        return false;
    memcpy(ret_sha256, sha256, 32);
    return true;
}

int hold_proof_write(int state_fd, const char *name, int fd, const uint8_t sha256[32], struct hold_err *err) {
    if (state_fd < 0)
        return 0;
    char path[NAME_MAX_BYTES], text[MARKER_MAX], temporary[NAME_MAX_BYTES + 16];
    marker_name(name, path);
    if (hold_mkdirs_below(state_fd, path, err) < 0)
        return -1;
    /* Not by process id: fetchers in two containers on one volume have the same one. */
    snprintf(temporary, sizeof temporary, "%s.%08x", path, hold_job_random());
    hold_autofd marker = openat(state_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (marker < 0)
        return hold_fail(err, HOLD_E_IO, errno, "create the marker of '%s'", name);
    struct stat file, st;
    if (fstat(fd, &file) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "stat '%s'", name);
    marker_text(&file, sha256, text);
    for (int tick = 0; tick < TICKS_WAITED; tick++) {
        if (hold_pwrite_all(marker, text, strlen(text), 0, "marker", err) < 0 || fstat(marker, &st) < 0)
            break;
        if (nanoseconds(st.st_mtim) > nanoseconds(file.st_ctim)) {
            /* Not synced: after a power cut a lost marker costs one hash. */
            if (renameat(state_fd, temporary, state_fd, path) == 0)
                return 0;
            break;
        }
        (void) poll(NULL, 0, 2);
    }
    int sys = errno;
    unlinkat(state_fd, temporary, 0);
    return hold_fail(err, HOLD_E_IO, sys, "write the marker of '%s'", name);
}

void hold_proof_drop(int state_fd, const char *name) {
    char path[NAME_MAX_BYTES];
    if (state_fd < 0)
        return;
    marker_name(name, path);
    unlinkat(state_fd, path, 0);
}

static enum hold_have compare(const struct hold_manifest_file *wanted, const struct hold_digest_value *value, struct hold_err *err) {
    const uint8_t *got = wanted->has_sha256 ? value->sha256 : value->git_blob, *want = wanted->has_sha256 ? wanted->sha256 : wanted->git_blob;
    size_t n = wanted->has_sha256 ? 32 : 20;
    if (memcmp(got, want, n) == 0)
        return HOLD_HAVE_PROVEN;
    char got_hex[65], want_hex[65];
    hold_hex_write(got, n, got_hex);
    hold_hex_write(want, n, want_hex);
    (void) hold_fail(err, HOLD_E_FORMAT, 0, "'%.160s': %s is %s, %s is wanted", wanted->path, n == 32 ? "SHA-256" : "git blob", got_hex, want_hex);
    return HOLD_HAVE_DAMAGED;
}

/* The open file by its bytes. */
static enum hold_have check_bytes(int state_fd, int fd, const struct hold_manifest_file *wanted, _Atomic uint64_t *progress, uint8_t ret_sha256[32],
                                  struct hold_err *err) {
    struct hold_digest_value value;
    bool with_git = wanted->has_git_blob && !wanted->has_sha256;
    _Atomic uint64_t read_bytes = 0;
    if (hold_digest_file(fd, wanted->size, with_git, progress ? progress : &read_bytes, &value, err) < 0) {
        (void) hold_wrap(err, "'%.160s'", wanted->path);
        return HOLD_HAVE_UNREADABLE;
    }
    memcpy(ret_sha256, value.sha256, 32);
    enum hold_have have = compare(wanted, &value, err);
    if (have == HOLD_HAVE_PROVEN) {
        struct hold_err ignored; /* a folder that cannot take markers is hashed again next time */
        (void) !hold_proof_write(state_fd, wanted->path, fd, value.sha256, &ignored);
        return have;
    }
    hold_proof_drop(state_fd, wanted->path);
    if (progress)
        atomic_fetch_sub(progress, wanted->size);
    return have;
}

enum hold_have hold_proof_check(int folder_fd, int state_fd, const struct hold_manifest_file *wanted, bool believe_marker,
                                _Atomic uint64_t *progress, uint8_t ret_sha256[32], struct hold_err *err) {
    hold_autofd fd = -1;
    if (hold_snapshot_open(folder_fd, wanted->path, &fd, err) < 0)
        return err->code == HOLD_E_MISSING || err->sys == ENOTDIR ? HOLD_HAVE_ABSENT : HOLD_HAVE_UNREADABLE;
    struct stat st;
    if (fstat(fd, &st) < 0) {
        (void) hold_fail(err, HOLD_E_IO, errno, "stat '%s'", wanted->path);
        return HOLD_HAVE_UNREADABLE;
    }
    if ((uint64_t) st.st_size != wanted->size) {
        (void) hold_fail(err, HOLD_E_FORMAT, 0, "'%.160s' has %lld bytes, %llu are wanted", wanted->path, (long long) st.st_size,
                         (unsigned long long) wanted->size);
        return HOLD_HAVE_WRONG_SIZE;
    }
    /* A git blob id is not in the marker: files that have only that are small and hashed again. */
    bool is_only_git = wanted->has_git_blob && !wanted->has_sha256;
    uint8_t marked[32];
    if (believe_marker && !is_only_git && hold_proof_read(state_fd, wanted->path, fd, marked) &&
        (!wanted->has_sha256 || memcmp(marked, wanted->sha256, 32) == 0)) {
        memcpy(ret_sha256, marked, 32);
        if (progress)
            atomic_fetch_add(progress, wanted->size);
        return HOLD_HAVE_MARKED;
    }
    if (!wanted->has_sha256 && !wanted->has_git_blob) {
        (void) hold_fail(err, HOLD_E_FORMAT, 0, "'%.160s': nothing says what its bytes should be", wanted->path);
        return HOLD_HAVE_UNPROVABLE;
    }
    return check_bytes(state_fd, fd, wanted, progress, ret_sha256, err);
}
