/* snapshot.c - files of a hub's snapshot, which are links to its blobs. Floor: supervisor/job. */
#include "supervisor/job/snapshot.h"

#include "base/auto.h"
#include "base/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The last part of the folder's path when its parent is called "snapshots"; "" otherwise. */
static const char *commit_of(int folder_fd, char real[PATH_MAX]) {
    static const char parent[] = "/snapshots";
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder_fd);
    ssize_t n = readlink(link, real, PATH_MAX - 1);
    real[n > 0 ? n : 0] = '\0';
    const char *commit = strrchr(real, '/');
    size_t before = commit ? (size_t) (commit - real) : 0;
    return before >= sizeof parent - 1 && memcmp(commit - (sizeof parent - 1), parent, sizeof parent - 1) == 0 ? commit : "";
}

bool hold_snapshot_is(int folder_fd) {
    char real[PATH_MAX];
    return *commit_of(folder_fd, real) != '\0';
}

int hold_snapshot_open(int folder_fd, const char *name, int *ret_fd, struct hold_err *err) {
    char real[PATH_MAX], below[PATH_MAX];
    if (hold_open_below(folder_fd, name, O_RDONLY, 0, ret_fd, err) == 0)
        return 0;
    const char *commit = err->code == HOLD_E_DENIED && hold_name_is_safe(name) ? commit_of(folder_fd, real) : "";
    if (!*commit)
        return -1;
    hold_autofd root = openat(folder_fd, "../..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || (size_t) snprintf(below, sizeof below, "snapshots%s/%s", commit, name) >= sizeof below)
        return -1;
    return hold_open_below(root, below, O_RDONLY, 0, ret_fd, err);
}
