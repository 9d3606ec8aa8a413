/* io.c - full reads and writes, safe opening, durable publish. Floor: base. */
#include "base/io.h"

#include "base/auto.h"
#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int hold_read_all(int fd, struct hold_buf *out, const char *what, struct hold_err *err) {
    for (;;) {
        size_t room = HOLD_MIN(out->max_bytes - out->n, (size_t) 64 * 1024);
        char spare = 0;
        char *at = room ? hold_buf_reserve(out, room) : &spare;
        if (!at)
            return hold_fail(err, HOLD_E_LIMIT, ENOMEM, "read %s", what);
        ssize_t n = read(fd, at, room ? room : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hold_fail(err, HOLD_E_IO, errno, "read %s", what);
        if (n == 0)
            return 0;
        if (!room)
            return hold_fail(err, HOLD_E_LIMIT, 0, "%s is larger than the limit of %zu bytes", what, out->max_bytes);
        hold_buf_commit(out, (size_t) n);
    }
}

int hold_read_file(const char *path, struct hold_buf *out, struct hold_err *err) {
    hold_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return hold_fail(err, errno == ENOENT ? HOLD_E_MISSING : HOLD_E_IO, errno, "open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return hold_fail(err, HOLD_E_FORMAT, 0, "'%s' is not a regular file", path);
    return hold_read_all(fd, out, path, err);
}

int hold_write_all(int fd, const void *bytes, size_t n, const char *what, struct hold_err *err) {
    for (const char *p = bytes; n;) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return hold_fail(err, HOLD_E_IO, errno, "write %s", what);
        p += written;
        n -= (size_t) written;
    }
    return 0;
}

int hold_pwrite_all(int fd, const void *bytes, size_t n, uint64_t offset, const char *what, struct hold_err *err) {
    for (const char *p = bytes; n;) {
        ssize_t written = pwrite(fd, p, n, (off_t) offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return hold_fail(err, HOLD_E_IO, errno, "write %s", what);
        p += written;
        offset += (uint64_t) written;
        n -= (size_t) written;
    }
    return 0;
}

/* openat2 keeps links from leaving the folder. A kernel or filter without it (ENOSYS, EPERM) gets a plain open that
 * follows no link in the last part. */
static int open_beneath(int dir_fd, const char *name, int flags, mode_t mode) {
    struct open_how how = {
        .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    return (int) fd;
}

int hold_open_below(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd, struct hold_err *err) {
    if (!hold_name_is_safe(name))
        return hold_fail(err, HOLD_E_DENIED, 0, "'%.200s' is not a name inside the folder", name);
    hold_autofd fd = open_beneath(dir_fd, name, flags | O_NONBLOCK, mode);
    if (fd < 0)
        return hold_fail(err, errno == ENOENT ? HOLD_E_MISSING : errno == EXDEV ? HOLD_E_DENIED : HOLD_E_IO, errno,
                         "open '%s'", name);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "stat '%s'", name);
    if (!S_ISREG(st.st_mode))
        return hold_fail(err, HOLD_E_FORMAT, 0, "'%s' is not a regular file", name);
    if (!(flags & O_NONBLOCK) && hold_set_nonblock(fd, false, err) < 0)
        return -1;
    *ret_fd = hold_take_fd(&fd);
    return 0;
}

int hold_folder_below(int dir_fd, const char *name, int *ret_fd, struct hold_err *err) {
    if (!hold_name_is_safe(name))
        return hold_fail(err, HOLD_E_DENIED, 0, "'%.200s' is not a name inside the folder", name);
    char path[PATH_MAX / 2];
    hold_autofd at = open_beneath(dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    const char *part = name;
    for (const char *slash = strchr(name, '/'); slash && at >= 0; slash = strchr(part, '/')) {
        size_t n = (size_t) (slash - name);
        memcpy(path, name, n);
        path[n] = '\0';
        if (mkdirat(at, path + (part - name), 0777) < 0 && errno != EEXIST)
            return hold_fail(err, HOLD_E_IO, errno, "make folder '%s'", path);
        int next = open_beneath(dir_fd, path, O_RDONLY | O_DIRECTORY, 0); /* from the root: links inside it are fine */
        hold_close_fd(&at);
        at = next;
        part = slash + 1;
    }
    if (at < 0)
        return hold_fail(err, errno == EXDEV || errno == ELOOP ? HOLD_E_DENIED : HOLD_E_IO, errno, "open the folder of '%s'", name);
    *ret_fd = hold_take_fd(&at);
    return 0;
}

int hold_mkdirs_below(int dir_fd, const char *name, struct hold_err *err) {
    hold_autofd folder = -1;
    return hold_folder_below(dir_fd, name, &folder, err);
}

int hold_mkdirs(const char *path, mode_t mode, struct hold_err *err) {
    char part[PATH_MAX];
    size_t n = strlen(path);
    int why = 0;
    if (n == 0 || n >= sizeof part)
        return hold_fail(err, HOLD_E_LIMIT, 0, "path of %zu bytes; the limit is %zu", n, sizeof part - 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, mode) == 0 || errno == EEXIST)
            continue;
        if (errno != EROFS)
            return hold_fail(err, HOLD_E_IO, errno, "make folder '%s'", part);
        why = EROFS; /* what is there already is no failure: the kernel says EROFS for it too */
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return hold_fail(err, HOLD_E_IO, why ? why : errno, "make folder '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return hold_fail(err, HOLD_E_IO, ENOTDIR, "make folder '%s'", path);
    return 0;
}

int hold_publish(int dir_fd, int fd, const char *from, const char *to, struct hold_err *err) {
    if (fsync(fd) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "sync '%s'", from);
    if (renameat(dir_fd, from, dir_fd, to) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "rename '%s' to '%s'", from, to);
    char folder[PATH_MAX / 2 + 2] = ".";
    const char *slash = strrchr(to, '/');
    if (slash && (size_t) (slash - to) < sizeof folder) {
        memcpy(folder, to, (size_t) (slash - to));
        folder[slash - to] = '\0';
    }
    hold_autofd parent = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || (fsync(parent) < 0 && errno != EINVAL))
        return hold_fail(err, HOLD_E_IO, errno, "sync the folder of '%s'", to);
    return 0;
}

int hold_write_file(const char *path, const void *bytes, size_t n, mode_t mode, struct hold_err *err) {
    char part[PATH_MAX];
    uint32_t own = 0; /* not the process id: writers in two containers on one volume have the same one */
    if (getrandom(&own, sizeof own, GRND_NONBLOCK) != (ssize_t) sizeof own)
        own = (uint32_t) getpid();
    if (snprintf(part, sizeof part, "%s.%08x.part", path, own) >= (int) sizeof part)
        return hold_fail(err, HOLD_E_LIMIT, 0, "'%s' is too long a path", path);
    hold_autofd fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "create '%s'", part);
    if (hold_write_all(fd, bytes, n, part, err) < 0 || hold_publish(AT_FDCWD, fd, part, path, err) < 0) {
        unlink(part);
        return -1;
    }
    return 0;
}

int hold_set_nonblock(int fd, bool on, struct hold_err *err) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "set the blocking mode of descriptor %d", fd);
    return 0;
}
