/* exit.h - holdfast's own exit statuses, from exit.def. Floor: base, pure. */
#ifndef HOLD_BASE_EXIT_H
#define HOLD_BASE_EXIT_H

#include <stddef.h>

enum hold_exit {
    HOLD_EXIT_OK = 0,
#define X(id, status, name, meaning, cure) HOLD_EXIT_##id = status,
#include "base/exit.def"
#undef X
};

struct hold_exit_row {
    int status;
    const char *name, *meaning, *cure;
};

/* All rows of exit.def in their order. */
extern const struct hold_exit_row hold_exit_rows[];
extern const size_t hold_n_exit_rows;
/* The row of a status, or NULL when the status is not holdfast's own. */
const struct hold_exit_row *hold_exit_find(int status);
/* status, but RESOURCES where it would be no verdict (0) or INTERNAL and the errno says that the kernel had nothing to give. */
int hold_exit_for(int status, int sys);

#endif
