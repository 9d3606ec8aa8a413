/* modelscope.h - what ModelScope answers, as a list of files. Floor: supervisor/job; no I/O in here. */
#ifndef HOLD_SUPERVISOR_JOB_MODELSCOPE_H
#define HOLD_SUPERVISOR_JOB_MODELSCOPE_H

#include "base/arena.h"
#include "supervisor/policy/manifest.h"

#define HOLD_MODELSCOPE_CUT 3000u /* its listings end there without a word */

/* Appends the files of /api/v1/models/REPO/repo/files?Revision=REV&Recursive=True to manifest->files, which has room for
 * HOLD_MANIFEST_MAX_FILES, each with size and SHA-256. ret_commit: the newest commit of the revision where the answer names
 * it, else "". Fails with FORMAT, LIMIT (cut listing), or DENIED when the answer is its own error ("Success": false), with
 * its message. Names are not checked here (hold_manifest_check does). */
HOLD_MUST int hold_modelscope_files(const char *text, size_t n, struct hold_arena *arena, struct hold_manifest *manifest, char ret_commit[41],
                                    struct hold_err *err);

#endif
