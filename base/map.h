/* map.h - mapped read-only bytes and sealed memfds. Floor: base. */
#ifndef HOLD_BASE_MAP_H
#define HOLD_BASE_MAP_H

#include "base/err.h"

#include <stddef.h>

/* Owned by the caller; hold_map_close accepts a zeroed struct. */
struct hold_map {
    const void *data;
    size_t bytes;
};

/* A whole non-empty regular file, private and read-only. Symbolic links in the last part are followed only below
 * dir_fd (openat2 RESOLVE_BENEATH is not asked for: model caches link from snapshots to blobs). */
HOLD_MUST int hold_map_open(const char *path, struct hold_map *ret_map, struct hold_err *err);
/* The bytes of an open descriptor, which stays the caller's. must_be_sealed: a memfd with SHRINK, GROW and WRITE seals. */
HOLD_MUST int hold_map_fd(int fd, int must_be_sealed, const char *what, struct hold_map *ret_map, struct hold_err *err);
void hold_map_close(struct hold_map *map);
#define hold_automap __attribute__((cleanup(hold_map_close))) struct hold_map

/* A sealed memfd that holds a copy of the bytes. */
HOLD_MUST int hold_memfd_seal(const char *name, const void *bytes, size_t n, int *ret_fd, struct hold_err *err);

#endif
