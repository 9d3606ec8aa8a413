/* install.h - copies holdfast's own prefix into a folder. Floor: supervisor.
 *
 *     holdfast install DIR        afterwards DIR/bin/holdfast runs, in any image
 *
 * For charts that cannot change an image: an init container copies the prefix into a volume, the server's container starts
 * from there. */
#ifndef HOLD_SUPERVISOR_INSTALL_H
#define HOLD_SUPERVISOR_INSTALL_H

#include "base/err.h"

#include <stdint.h>

struct hold_installed {
    uint64_t files, bytes;
};

/* Copies bin, libexec, lib and share of prefix into target (made when it is not there), each file through a new one and a rename,
 * the programs last: a target with bin/holdfast in it is whole, and one that is in use stays usable. What else lies in target is
 * left alone. One at a time: a second one on the same folder waits for the first. Sets the umask to 022. Blocking. MISSING: prefix is a build folder, not an installed one; CONFIG: target lies inside prefix; IO otherwise,
 * err->sys says why (ENOSPC, EROFS, EACCES). */
HOLD_MUST int hold_install_prefix(const char *prefix, const char *target, struct hold_installed *ret, struct hold_err *err);

#endif
