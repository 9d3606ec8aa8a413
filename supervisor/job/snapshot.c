/* snapshot.c - files of a hub's snapshot, which are links to its blobs. Floor: supervisor/job. */
#include "supervisor/job/snapshot.h"

#include "base/auto.h"
#include "base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int hold_snapshot_open(int folder_fd, const char *name, int *ret_fd, struct hold_err *err) {
    char link[64], real[PATH_MAX], below[PATH_MAX];
    if (hold_open_below(folder_fd, name, O_RDONLY, 0, ret_fd, err) == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder_fd);
    ssize_t n = err->code == HOLD_E_DENIED && hold_name_is_safe(name) ? readlink(link, real, sizeof real - 1) : -1;
    if (n <= 0)
        return -1;
    real[n] = '\0';
    char *commit = strrchr(real, '/');
    static const char parent[] = "/snapshots";
    size_t before = commit ? (size_t) (commit - real) : 0;
    if (before < sizeof parent - 1 || memcmp(commit - (sizeof parent - 1), parent, sizeof parent - 1) != 0)
        return -1;
    hold_autofd root = openat(folder_fd, "../..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || (size_t) snprintf(below, sizeof below, "snapshots%s/%s", commit, name) >= sizeof below)
        return -1;
    return hold_open_below(root, below, O_RDONLY, 0, ret_fd, err);
}
