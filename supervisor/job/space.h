/* space.h - room on the disk, before and while files are brought. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_SPACE_H
#define HOLD_SUPERVISOR_JOB_SPACE_H

#include "supervisor/job/verdict.h"

#include <stdint.h>

/* Whether needed more bytes fit on the disk of folder_fd with reserve bytes left; a disk that does not say fits. out: the target, for
 * the message. Fails with FETCH_SPACE and how many are too few. */
HOLD_MUST int hold_space_check(int folder_fd, uint64_t needed, uint64_t reserve, const char *out, struct hold_verdict *v);
/* While files are brought: somebody else filled the disk. Fails with FETCH_SPACE when less than three quarters of reserve are left (what
 * the files themselves cost beyond their bytes does not count); reserve 0: never. */
HOLD_MUST int hold_space_look(int folder_fd, uint64_t reserve, const char *out, struct hold_verdict *v);

#endif
