/* snapshot.h - opening a model's file where the folder is a snapshot of a hub's cache. Floor: supervisor/job.
 *
 * models--org--name/snapshots/COMMIT/ holds symbolic links to ../../blobs/DIGEST. A link that leaves the model's folder is
 * refused everywhere else; here it may lead anywhere inside models--org--name, and no further. */
#ifndef HOLD_SUPERVISOR_JOB_SNAPSHOT_H
#define HOLD_SUPERVISOR_JOB_SNAPSHOT_H

#include "base/err.h"

#include <stdbool.h>

/* hold_open_below for reading; a folder whose parent is called "snapshots" is looked at from the folder above that. */
HOLD_MUST int hold_snapshot_open(int folder_fd, const char *name, int *ret_fd, struct hold_err *err);

/* Is this folder's parent called "snapshots"? */
bool hold_snapshot_is(int folder_fd);

#endif
