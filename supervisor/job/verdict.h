/* verdict.h - why an errand ended: an exit status of base/exit.def and the error behind it. Floor: supervisor/job.
 *
 * Inside the errands this stands where `struct hold_err *err` stands elsewhere: last argument, filled on failure only. */
#ifndef HOLD_SUPERVISOR_JOB_VERDICT_H
#define HOLD_SUPERVISOR_JOB_VERDICT_H

#include "base/err.h"
#include "base/exit.h"

struct hold_verdict {
    int status; /* HOLD_EXIT_* */
    struct hold_err err;
};

/* Fills v and returns -1, as hold_fail does. */
HOLD_PRINTF(5, 6)
int hold_verdict_fail(struct hold_verdict *v, int status, enum hold_errc code, int sys, const char *format, ...);
/* Gives the error already in v->err its status and returns -1. */
int hold_verdict_is(struct hold_verdict *v, int status);
/* The same for an error of writing: FETCH_SPACE, FETCH_QUOTA, FETCH_READONLY by its errno, everything else FETCH_WRITE. */
int hold_verdict_of_write(struct hold_verdict *v);

/* The last words of an errand: one log line, the cause to process 1 ("fetch-dns text"), and the exit status. */
int hold_verdict_end(const struct hold_verdict *v, int control_fd);

#endif
