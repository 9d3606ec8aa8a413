/* gc.h - what of a hub's cache or a model folder nobody uses any more, told or removed. Floor: supervisor/job.
 *
 * A revision (snapshots/COMMIT) is kept while one of these holds: a ref names it; a process holds its use lock; a process that can be
 * seen here has one of its blobs open or mapped; it was used or made within the age; its repository is being fetched. The use lock is
 * flock, shared, on snapshots/COMMIT/.holdfast/use: whoever verifies or fetches takes it, and process 1 keeps it for its life. A
 * file system that keeps no locks between hosts proves nothing by it: there only the age counts, and it must be given.
 * A blob is kept while any kept revision links to it, whoever brought it. Links are never followed: names are read, and only
 * what lies in the cache is removed. */
#ifndef HOLD_SUPERVISOR_JOB_GC_H
#define HOLD_SUPERVISOR_JOB_GC_H

#include "supervisor/job/verdict.h"

#include <stdbool.h>
#include <stdint.h>

#define HOLD_USE_NAME "use" /* below the state folder of a snapshot, and of a repository while it is fetched */

struct hold_gc {
    const char *folder;    /* a hub's cache (models--* in it) or a model folder */
    uint64_t older_ms;     /* what was used or written within this time stays */
    bool age_is_given;     /* by the person: allows removal where locks prove nothing */
    bool deletes;          /* false: only told */
};

struct hold_gc_result {
    uint64_t n_revisions, n_blobs, n_partials; /* removed, or to be removed */
    uint64_t n_kept;                           /* revisions */
    uint64_t freed_bytes;                      /* of disk */
};

/* One log line for each revision with the reason, and for each stale partial. Adds to result. Fails with CONFIG (no such folder),
 * FETCH_WRITE (it cannot be removed) or INTERNAL. Blocks. */
HOLD_MUST int hold_gc_run(const struct hold_gc *gc, struct hold_gc_result *result, struct hold_verdict *v);

/* Takes the use lock in a state folder, shared, and notes who and when; waits while a gc is at work. -1: no lock can be had (a folder
 * that cannot be written): then only the age and open files protect it. The lock lives as long as the descriptor. */
int hold_use_take(int state_fd);

#endif
