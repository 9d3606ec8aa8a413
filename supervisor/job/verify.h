/* verify.h - every file against the manifest; then the plan, sealed and handed up. Floor: supervisor/job. No network. */
#ifndef HOLD_SUPERVISOR_JOB_VERIFY_H
#define HOLD_SUPERVISOR_JOB_VERIFY_H

#include "supervisor/job/verdict.h"

#include <stdbool.h>
#include <stdint.h>

struct hold_verify {
    const char *folder;
    const char *state_dir;     /* markers; NULL or "": FOLDER/.holdfast */
    const char *manifest_file; /* pinned; NULL or "": FOLDER/holdfast.manifest.json, and without it nothing but structure is proven */
    const char *digest;        /* identity that the model must have; NULL or "": any */
    bool deep;                 /* believe no marker */
    bool write_manifest;       /* list and hash what is there and write the manifest first */
    uint64_t piece_bytes;      /* of the piece digests in that manifest; 0: none */
    bool needs_plan;           /* the model must be one that holdfast-runtime runs; its plan is made and handed up. False: the
                                * structure of weights and indices is proven, whatever the model */
    bool takes_other_template; /* an unknown chat template is a warning, not a refusal */
    uint64_t threads;          /* hashing at once, 1..8 */
    int control_fd;            /* -1: none */
};

/* What was found, for the last line of a person's run. */
struct hold_verify_result {
    char digest[65]; /* "" without a manifest */
    uint64_t bytes, hashed_bytes;
    uint64_t n_files, n_hashed;
    uint64_t plan_bytes; /* 0: no plan */
};

/* Fails with VERIFY_MISSING, VERIFY_DIGEST (wrong size or bytes), VERIFY_FORMAT, VERIFY_MODEL, MANIFEST, PERMISSION or VERIFY;
 * the text begins with the first bad file in quotes and counts the others. Damaged files lose their markers, so a fetch
 * brings exactly those again. Blocks. */
HOLD_MUST int hold_verify_run(const struct hold_verify *verify, struct hold_verify_result *ret_result, struct hold_verdict *v);

#endif
