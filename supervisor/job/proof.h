/* proof.h - markers: this very file was proven before. Floor: supervisor/job.
 *
 * One small text file for each proven file, "holdfast-proof 1 sha256 size inode mtime_ns ctime_ns", in
 * FOLDER/.holdfast/proof/. A marker is believed only while size, inode, mtime and ctime are as they were, and only if the
 * marker is younger than the file's ctime by at least one tick of the clock that stamps files: a change within the same
 * tick would leave the same stamps. Losing a marker costs one hash; a wrong one is never believed for a changed file. */
#ifndef HOLD_SUPERVISOR_JOB_PROOF_H
#define HOLD_SUPERVISOR_JOB_PROOF_H

#include "base/err.h"
#include "supervisor/policy/manifest.h"

#include <stdbool.h>
#include <stdint.h>

#define HOLD_STATE_FOLDER ".holdfast"

enum hold_have {
    HOLD_HAVE_MARKED,     /* proven before, and unchanged since */
    HOLD_HAVE_PROVEN,     /* hashed just now, and right */
    HOLD_HAVE_ABSENT,
    HOLD_HAVE_WRONG_SIZE,
    HOLD_HAVE_DAMAGED,    /* right size, wrong bytes */
    HOLD_HAVE_UNPROVABLE, /* right size, but nothing says what its bytes should be */
    HOLD_HAVE_UNREADABLE, /* not a regular file, no permission, read error: see err */
};

/* Whether wanted is there and right. believe_marker false hashes whatever the marker says. progress (may be NULL) is
 * increased by the file's size when it is right, and while it is hashed. ret_sha256: of what is there, for MARKED, PROVEN,
 * DAMAGED. Writes a marker for what it proved, drops one that is wrong. err is filled for all but the first two. Blocks. */
enum hold_have hold_proof_check(int folder_fd, int state_fd, const struct hold_manifest_file *wanted, bool believe_marker,
                                _Atomic uint64_t *progress, uint8_t ret_sha256[32], struct hold_err *err);

/* The digest that the marker of name vouches for, when it fits the open file fd. state_fd: the folder .holdfast, or -1
 * (then false). Never fails: what cannot be read is no proof. */
bool hold_proof_read(int state_fd, const char *name, int fd, uint8_t ret_sha256[32]);
/* Writes the marker for fd. state_fd -1: does nothing. May wait some milliseconds for the clock to tick. */
HOLD_MUST int hold_proof_write(int state_fd, const char *name, int fd, const uint8_t sha256[32], struct hold_err *err);
/* Forgets it; absent is fine. */
void hold_proof_drop(int state_fd, const char *name);

#endif
