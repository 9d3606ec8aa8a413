/* io.h - full reads and writes, safe opening below a directory, durable publish. Floor: base. Blocking. */
#ifndef HOLD_BASE_IO_H
#define HOLD_BASE_IO_H

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Everything up to the end of fd, at most max bytes (more is LIMIT). */
HOLD_MUST int hold_read_all(int fd, struct hold_buf *out, const char *what, struct hold_err *err);
/* A whole regular file of at most the buffer's maximum. */
HOLD_MUST int hold_read_file(const char *path, struct hold_buf *out, struct hold_err *err);
/* All n bytes, going on after EINTR and short writes. */
HOLD_MUST int hold_write_all(int fd, const void *bytes, size_t n, const char *what, struct hold_err *err);
HOLD_MUST int hold_pwrite_all(int fd, const void *bytes, size_t n, uint64_t offset, const char *what, struct hold_err *err);
/* Opens name below dir_fd; refuses names that escape, symbolic links that leave the folder, and anything but a regular file. */
HOLD_MUST int hold_open_below(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd, struct hold_err *err);
/* Opens the folder that a safe name below dir_fd lies in, and makes what of it is not there. A link on the way that leaves
 * dir_fd is DENIED, and nothing is made behind it. */
HOLD_MUST int hold_folder_below(int dir_fd, const char *name, int *ret_fd, struct hold_err *err);
/* The same, only made. */
HOLD_MUST int hold_mkdirs_below(int dir_fd, const char *name, struct hold_err *err);
HOLD_MUST int hold_mkdirs(const char *path, mode_t mode, struct hold_err *err);
/* The file becomes visible under its name whole or not at all, and stays after a power cut: fsync, rename, fsync of the folder. */
HOLD_MUST int hold_publish(int dir_fd, int fd, const char *from, const char *to, struct hold_err *err);
/* Writes a small file through a temporary one and hold_publish. */
HOLD_MUST int hold_write_file(const char *path, const void *bytes, size_t n, mode_t mode, struct hold_err *err);
/* Sets or clears O_NONBLOCK. */
HOLD_MUST int hold_set_nonblock(int fd, bool on, struct hold_err *err);

#endif
