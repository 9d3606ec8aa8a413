/* install.c - copies holdfast's own prefix into a folder. Floor: supervisor. */
#include "supervisor/install.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8 /* share/holdfast/licences is 3 */
#define FRESH ".holdfast-new" /* what a file is called until it is whole */

static void close_folder(DIR **dir) {
    if (*dir)
        closedir(*dir);
}

static int copy_bytes(int from, int to, const char *name, uint64_t *n_bytes, struct hold_err *err) {
    static char block[128 * 1024];
    for (;;) {
        ssize_t n = read(from, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hold_fail(err, HOLD_E_IO, errno, "read '%s'", name);
        if (n == 0)
            return 0;
        if (hold_write_all(to, block, (size_t) n, name, err) < 0)
            return -1;
        *n_bytes += (uint64_t) n;
    }
}

static int copy_file(int from_dir, int to_dir, const char *name, mode_t mode, struct hold_installed *count, struct hold_err *err) {
    char fresh[NAME_MAX + sizeof(FRESH) + 1];
    (void) snprintf(fresh, sizeof(fresh), "%s" FRESH, name);
    hold_autofd from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open '%s'", name);
    (void) unlinkat(to_dir, fresh, 0); /* of an earlier try that was cut short */
    hold_autofd to = openat(to_dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return hold_fail(err, HOLD_E_IO, errno, "make '%s'", name);
    bool whole = copy_bytes(from, to, name, &count->bytes, err) == 0;
    if (whole && (fchmod(to, mode & 0777) < 0 || renameat(to_dir, fresh, to_dir, name) < 0)) {
        (void) hold_fail(err, HOLD_E_IO, errno, "make '%s'", name);
        whole = false;
    }
    if (!whole)
        (void) unlinkat(to_dir, fresh, 0); /* what does not fit must not fill the volume */
    count->files += whole;
    return whole ? 0 : -1;
}

/* The folder name of both parents; takes neither parent. */
static int copy_tree(int from_parent, int to_parent, const char *name, int depth, struct hold_installed *count, struct hold_err *err) {
    if (depth > DEPTH_MAX)
        return hold_fail(err, HOLD_E_LIMIT, 0, "'%s' lies more than %d folders deep", name, DEPTH_MAX);
    int from = openat(from_parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    __attribute__((cleanup(close_folder))) DIR *dir = from < 0 ? NULL : fdopendir(from);
    if (!dir)
        return hold_fail(err, HOLD_E_IO, errno, "open folder '%s'", name);
    if (mkdirat(to_parent, name, 0755) < 0 && errno != EEXIST)
        return hold_fail(err, HOLD_E_IO, errno, "make folder '%s'", name);
    hold_autofd to = openat(to_parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open folder '%s' of the target", name);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return hold_fail(err, HOLD_E_IO, errno, "look at '%s'", e->d_name);
        int done = 0;
        if (S_ISDIR(st.st_mode))
            done = copy_tree(dirfd(dir), to, e->d_name, depth + 1, count, err);
        else if (S_ISREG(st.st_mode)) /* a prefix holds nothing else */
            done = copy_file(dirfd(dir), to, e->d_name, st.st_mode, count, err);
        if (done < 0)
            return hold_wrap(err, "%s", name);
    }
    return 0;
}

/* True when the folder inner is outer or lies in it; both are there. */
static bool lies_in(const char *inner, const char *outer) {
    char real_inner[PATH_MAX], real_outer[PATH_MAX];
    if (!realpath(inner, real_inner) || !realpath(outer, real_outer))
        return false;
    size_t n = strlen(real_outer);
    return strncmp(real_inner, real_outer, n) == 0 && (real_inner[n] == '\0' || real_inner[n] == '/');
}

int hold_install_prefix(const char *prefix, const char *target, struct hold_installed *ret, struct hold_err *err) {
    static const char *const folders[] = { "share", "lib", "libexec", "bin" };
    *ret = (struct hold_installed) { 0 };
    (void) umask(022); /* another user runs it */
    char mark[PATH_MAX];
    (void) snprintf(mark, sizeof(mark), "%s/share/holdfast", prefix);
    if (access(mark, F_OK) < 0)
        return hold_fail(err, HOLD_E_MISSING, 0, "'%s' is not an installed prefix, only a build folder: run `make install` and start from there", prefix);
    if (hold_mkdirs(target, 0755, err) < 0)
        return -1;
    if (lies_in(target, prefix))
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%s' lies inside '%s', which is to be copied: choose another folder", target, prefix);
    hold_autofd from = open(prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    hold_autofd to = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0 || to < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open folder '%s'", from < 0 ? prefix : target);
    while (flock(to, LOCK_EX) < 0 && errno == EINTR) /* a second one waits for the first; a volume without locks has to do without */
        continue;
    for (size_t i = 0; i < HOLD_COUNT_OF(folders); i++)
        if (copy_tree(from, to, folders[i], 0, ret, err) < 0)
            return hold_wrap(err, "install into '%s'", target);
    return 0;
}
