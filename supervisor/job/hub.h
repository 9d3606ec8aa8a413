/* hub.h - what a model hub answers, as a list of files. Floor: supervisor/job; no I/O in here. */
#ifndef HOLD_SUPERVISOR_JOB_HUB_H
#define HOLD_SUPERVISOR_JOB_HUB_H

#include "base/arena.h"
#include "supervisor/policy/manifest.h"

#define HOLD_MODELSCOPE_SCHEME "modelscope://"
#define HOLD_HUB_MAX_BYTES (8u << 20) /* one page of a listing */

/* hf://org/repo@revision or modelscope://org/repo@revision, the revision optional ("main", "master"). */
struct hold_hub_name {
    char repo[200];     /* "org/repo" or "repo": letters, digits, '-', '_', '.' only */
    char revision[200]; /* the same, and any of "/+#=,@%" */
};
HOLD_MUST int hold_hub_name_parse(const char *source, struct hold_hub_name *ret_name, struct hold_err *err);
/* "hf://" and its like in front of name; 0 when there is none. */
size_t hold_hub_scheme(const char *source);
/* 40 hexadecimal digits name a commit, which never moves. */
bool hold_hub_is_commit(const char *revision);

/* The commit in the answer to /api/models/REPO/revision/REV: its "sha". */
HOLD_MUST int hold_hub_commit(const char *text, size_t n, char ret_commit[41], struct hold_err *err);
/* Appends the files of one page of /api/models/REPO/tree/COMMIT?recursive=1 to manifest->files, which has room for
 * HOLD_MANIFEST_MAX_FILES. LFS entries carry a SHA-256, the others their git blob id. Other keys are skipped: the hub adds
 * some now and then. Names are not checked here (hold_manifest_check does). */
HOLD_MUST int hold_hub_tree(const char *text, size_t n, struct hold_arena *arena, struct hold_manifest *manifest, struct hold_err *err);
/* Leaves out what no server opens: .gitattributes and its like and, where there are safetensors in the same folder or above, the
 * same weights in other formats with their index. Names that are not safe stay, for hold_manifest_check to refuse. */
void hold_hub_choose(struct hold_manifest *manifest);

#endif
