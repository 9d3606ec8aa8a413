/* exit.c - the table of exit.def. Floor: base. */
#include "base/exit.h"

#include "base/list.h"

#include <errno.h>
#include <stdbool.h>

const struct hold_exit_row hold_exit_rows[] = {
#define X(id, status, name, meaning, cure) { status, name, meaning, cure },
#include "base/exit.def"
#undef X
};

const size_t hold_n_exit_rows = HOLD_COUNT_OF(hold_exit_rows);

const struct hold_exit_row *hold_exit_find(int status) {
    for (size_t i = 0; i < hold_n_exit_rows; i++)
        if (hold_exit_rows[i].status == status)
            return &hold_exit_rows[i];
    return NULL;
}

int hold_exit_for(int status, int sys) {
    bool is_refused = sys == EMFILE || sys == ENFILE || sys == ENOMEM || sys == EAGAIN || sys == ENOBUFS;
    return (status == HOLD_EXIT_OK || status == HOLD_EXIT_INTERNAL) && is_refused ? HOLD_EXIT_RESOURCES : status;
}
