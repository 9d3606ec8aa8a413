/* docs.h - the parts of README and man pages that are made from the code's own tables. Floor: supervisor.
 *
 *     holdfast docs options|exits|phases|events|causes|signatures --markdown|--roff
 *
 * Used by the build; hidden from the help. */
#ifndef HOLD_SUPERVISOR_DOCS_H
#define HOLD_SUPERVISOR_DOCS_H

#include "base/buf.h"

#include <stdbool.h>

/* One table; false when what is unknown. */
bool hold_docs_table(const char *what, bool as_roff, struct hold_buf *out);
/* The hidden sub-command: argv[0] is "docs". Returns the exit status. */
int hold_docs_main(int argc, char *const *argv);

#endif
