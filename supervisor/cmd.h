/* cmd.h - the sub-commands, one row each. Floor: supervisor. */
#ifndef HOLD_SUPERVISOR_CMD_H
#define HOLD_SUPERVISOR_CMD_H

#include "supervisor/host/child.h"

struct hold_cmd {
    const char *name;
    const char *args; /* shown after the name */
    const char *help;
    /* argv[0] is the sub-command's name; returns the exit status. inherited: for those that become another program. */
    int (*run)(int argc, char **argv, const struct hold_inherited *inherited);
};

/* The row of a word, or NULL; the one of help where the word after it (next, or "") asks for that. */
const struct hold_cmd *hold_cmd_find(const char *name, const char *next);
/* Says on standard error what was meant instead of name (NULL: nothing was given); returns the exit status. */
int hold_cmd_unknown(const char *name);

/* Supervises until the end (main.c): mode EXEC for `holdfast [options] -- CMD`, RUN for `holdfast run`. */
int hold_supervise_run(int argc, char **argv, const struct hold_inherited *inherited);

#endif
