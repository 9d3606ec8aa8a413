/* bind.h - the tensors a record needs against the directories of its files, both ways. Floor: runtime/weights, pure. */
#ifndef HOLD_RUNTIME_WEIGHTS_BIND_H
#define HOLD_RUNTIME_WEIGHTS_BIND_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "runtime/plan/plan.h"
#include "runtime/weights/safetensors.h"

#include <stddef.h>

/* One file and its directory; the position in the array is the plan's file number. */
struct hold_bind_file {
    const char *name;
    struct hold_st st;
};

/* Nothing missing, nothing extra, nothing twice; shapes exactly as needed; dtype BF16, F32 or F16. ret_tensors: the plan's
 * rows, sorted by role and layer, in the arena. Fails with FORMAT; the text has up to HOLD_FINDINGS_MAX findings, and
 * ret_findings (may be NULL) gets one line each, uncut. */
HOLD_MUST int hold_spec_bind(const struct hold_record *record, const struct hold_bind_file *files, size_t n_files,
                             struct hold_arena *arena, const struct hold_plan_tensor **ret_tensors, size_t *ret_n,
                             struct hold_buf *ret_findings, struct hold_err *err);

#endif
