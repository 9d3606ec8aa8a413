/* map.c - mapped bytes and sealed memfds. Floor: base. */
#include "base/map.h"

#include "base/auto.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

int hold_map_fd(int fd, int must_be_sealed, const char *what, struct hold_map *ret_map, struct hold_err *err) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "stat '%s'", what);
    if (!S_ISREG(st.st_mode) || st.st_size <= 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "'%s' is not a non-empty regular file", what);
    if (must_be_sealed) {
        int seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 || (seals & SEALS) != SEALS)
            return hold_fail(err, HOLD_E_DENIED, 0, "'%s' is not sealed against change", what);
    }
    void *data = mmap(NULL, (size_t) st.st_size, PROT_READ, must_be_sealed ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return hold_fail(err, HOLD_E_IO, errno, "map %jd bytes of '%s'", (intmax_t) st.st_size, what);
    *ret_map = (struct hold_map) { .data = data, .bytes = (size_t) st.st_size };
    return 0;
}

int hold_map_open(const char *path, struct hold_map *ret_map, struct hold_err *err) {
    hold_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return hold_fail(err, errno == ENOENT ? HOLD_E_MISSING : HOLD_E_IO, errno, "open '%s'", path);
    return hold_map_fd(fd, 0, path, ret_map, err);
}

void hold_map_close(struct hold_map *map) {
    if (map->data)
        munmap((void *) (uintptr_t) map->data, map->bytes);
    *map = (struct hold_map) { 0 };
}

int hold_memfd_seal(const char *name, const void *bytes, size_t n, int *ret_fd, struct hold_err *err) {
    hold_autofd fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "create the memory file '%s'", name);
    if (hold_write_all(fd, bytes, n, name, err) < 0)
        return -1;
    if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "seal the memory file '%s'", name);
    *ret_fd = hold_take_fd(&fd);
    return 0;
}
