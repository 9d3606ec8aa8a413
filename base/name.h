/* name.h - names of files inside a folder. Floor: base, pure. */
#ifndef HOLD_BASE_NAME_H
#define HOLD_BASE_NAME_H

#include <stdbool.h>

/* True when name is a relative path that cannot leave its folder: no empty, "." or ".." part, no leading '/', no
 * control byte or backslash, valid length. */
bool hold_name_is_safe(const char *name);

#endif
