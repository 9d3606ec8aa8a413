/* hubcache.c - the cache that the hub's own client keeps. Floor: supervisor/job. */
#include "supervisor/job/hubcache.h"

#include "base/auto.h"
#include "base/io.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/gc.h"
#include "supervisor/job/proof.h"
#include "supervisor/job/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100

static int write_failed(struct hold_verdict *v, const char *what, const char *name) {
    (void) hold_fail(&v->err, HOLD_E_IO, errno, "hub cache: %s '%.200s'", what, name);
    return hold_verdict_of_write(v);
}

static bool is_set(const char *text) {
    return text && *text;
}

int hold_hub_cache_root(const struct hold_hub_cache_where *where, char out[PATH_MAX], struct hold_verdict *v) {
    int n;
    if (is_set(where->hub_cache))
        n = snprintf(out, PATH_MAX, "%s", where->hub_cache);
    else if (is_set(where->hf_home))
        n = snprintf(out, PATH_MAX, "%s/hub", where->hf_home);
    else if (is_set(where->cache_home))
        n = snprintf(out, PATH_MAX, "%s/huggingface/hub", where->cache_home);
    else if (is_set(where->home))
        n = snprintf(out, PATH_MAX, "%s/.cache/huggingface/hub", where->home);
    else
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "no folder is known for the hub's cache: give --hub-cache");
    return n < PATH_MAX ? 0 : hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "the path of the hub's cache is longer than %d bytes", PATH_MAX - 1);
}

/* "org/repo" as a folder; hold_hub_name_parse left nothing in it that could escape. */
static void repo_folder(const struct hold_hub_name *name, char out[220]) {
    const char *slash = strchr(name->repo, '/');
    if (slash)
        snprintf(out, 220, "models--%.*s--%s", (int) (slash - name->repo), name->repo, slash + 1);
    else
        snprintf(out, 220, "models--%s", name->repo);
}

bool hold_hub_cache_find(const char *root, const struct hold_hub_name *name, char ret_commit[41], char out[PATH_MAX]) {
    char repo[220], path[PATH_MAX], commit[42] = "";
    struct hold_err ignored;
    hold_autobuf text = hold_buf_with_max(256);
    repo_folder(name, repo);
    if (hold_hub_is_commit(name->revision)) {
        memcpy(commit, name->revision, 41);
    } else {
        if ((size_t) snprintf(path, sizeof path, "%s/%s/refs/%s", root, repo, name->revision) >= sizeof path || hold_read_file(path, &text, &ignored) < 0)
            return false;
        const size_t n = text.n ? strcspn(text.data, "\r\n \t") : 0;
        if (n != 40)
            return false;
        memcpy(commit, text.data, 40);
    }
    struct stat st;
    if (!hold_hub_is_commit(commit) || (size_t) snprintf(out, PATH_MAX, "%s/%s/snapshots/%s", root, repo, commit) >= PATH_MAX || stat(out, &st) < 0 || !S_ISDIR(st.st_mode))
        return false;
    memcpy(ret_commit, commit, 41);
    return true;
}

int hold_hub_cache_list(const char *snapshot, struct hold_arena *arena, struct hold_manifest *ret_manifest, struct hold_err *err) {
    struct hold_manifest made;
    if (hold_folder_list(snapshot, arena, &made, err) < 0)
        return -1;
    for (size_t i = 0; i < made.n_files; i++) {
        struct hold_manifest_file *file = &made.files[i];
        char path[PATH_MAX], target[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", snapshot, file->path);
        const ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : "";
        file->has_sha256 = hold_hex_read(name, 32, file->sha256);
        file->has_git_blob = !file->has_sha256 && hold_hex_read(name, 20, file->git_blob);
        if (!file->has_sha256 && !file->has_git_blob)
            return hold_fail(err, HOLD_E_FORMAT, 0, "'%.200s' is no link to a blob that its digest names", path);
    }
    *ret_manifest = made;
    return 0;
}

struct hold_hub_cache hold_hub_cache_none(void) {
    return (struct hold_hub_cache) { .root_fd = -1, .repo_fd = -1, .blobs_fd = -1, .blob_state_fd = -1, .snapshot_fd = -1, .snapshot_state_fd = -1, .use_fd = -1, .snapshot_use_fd = -1 };
}

static int folder_below(int at, const char *name, int *ret_fd, struct hold_verdict *v) {
    if (mkdirat(at, name, 0777) < 0 && errno != EEXIST)
        return write_failed(v, "make", name);
    *ret_fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return *ret_fd < 0 ? write_failed(v, "open", name) : 0;
}

/* Where nothing can be written everything is hashed, and nothing else changes. */
static int state_below(int at) {
    (void) !mkdirat(at, HOLD_STATE_FOLDER, 0755);
    return openat(at, HOLD_STATE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int hold_hub_cache_open(struct hold_hub_cache *cache, const char *root, const struct hold_hub_name *name, const char *commit, struct hold_verdict *v) {
    *cache = hold_hub_cache_none();
    repo_folder(name, cache->repo);
    memcpy(cache->revision, name->revision, sizeof cache->revision);
    memcpy(cache->commit, commit, sizeof cache->commit);
    if ((size_t) snprintf(cache->snapshot, sizeof cache->snapshot, "%s/%s/snapshots/%s", root, cache->repo, commit) >= sizeof cache->snapshot)
        return hold_verdict_fail(v, HOLD_EXIT_FETCH_WRITE, HOLD_E_LIMIT, 0, "hub cache: the path of the snapshot is longer than %d bytes", PATH_MAX - 1);
    hold_autofd snapshots = -1;
    if (hold_mkdirs(root, 0777, &v->err) < 0)
        return hold_verdict_of_write(v);
    cache->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->root_fd < 0)
        return write_failed(v, "open", root);
    if (folder_below(cache->root_fd, cache->repo, &cache->repo_fd, v) < 0)
        return -1;
    cache->blob_state_fd = state_below(cache->repo_fd);
    cache->use_fd = hold_use_take(cache->blob_state_fd); /* before anything is looked for that a gc could take away */
    if (folder_below(cache->repo_fd, "blobs", &cache->blobs_fd, v) < 0 || folder_below(cache->repo_fd, "snapshots", &snapshots, v) < 0 ||
        folder_below(snapshots, commit, &cache->snapshot_fd, v) < 0)
        return -1;
    cache->snapshot_state_fd = state_below(cache->snapshot_fd);
    cache->snapshot_use_fd = hold_use_take(cache->snapshot_state_fd);
    return 0;
}

void hold_hub_cache_close(struct hold_hub_cache *cache) {
    int *const all[] = { &cache->root_fd, &cache->repo_fd, &cache->blobs_fd, &cache->blob_state_fd, &cache->snapshot_fd, &cache->snapshot_state_fd, &cache->use_fd, &cache->snapshot_use_fd };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        hold_close_fd(all[i]);
}

void hold_hub_cache_blob(const struct hold_manifest_file *file, char out[HOLD_BLOB_BYTES]) {
    if (file->has_git_blob)
        hold_hex_write(file->git_blob, 20, out);
    else
        hold_hex_write(file->sha256, 32, out);
}

int hold_hub_cache_link(const struct hold_hub_cache *cache, const char *path, const char *blob, struct hold_verdict *v) {
    char target[PATH_MAX] = "../../", there[PATH_MAX], temporary[40];
    size_t n = 6;
    for (const char *slash = strchr(path, '/'); slash && n + 3 < sizeof target - 100; slash = strchr(slash + 1, '/'), n += 3)
        memcpy(target + n, "../", 4);
    snprintf(target + n, sizeof target - n, "blobs/%s", blob);
    hold_autofd folder = -1;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (hold_folder_below(cache->snapshot_fd, path, &folder, &v->err) < 0)
        return hold_verdict_of_write(v);
    const ssize_t there_n = readlinkat(folder, name, there, sizeof there - 1);
    if (there_n > 0 && (size_t) there_n == strlen(target) && memcmp(there, target, (size_t) there_n) == 0)
        return 0;
    snprintf(temporary, sizeof temporary, ".holdfast-%08x.link", hold_job_random());
    if (symlinkat(target, folder, temporary) < 0)
        return write_failed(v, "link", path);
    if (renameat(folder, temporary, folder, name) < 0) {
        (void) write_failed(v, "link", path);
        unlinkat(folder, temporary, 0);
        return -1;
    }
    return 0;
}

int hold_hub_cache_publish(const struct hold_hub_cache *cache, struct hold_verdict *v) {
    char path[PATH_MAX];
    if (hold_hub_is_commit(cache->revision))
        return 0;
    const size_t root_n = strlen(cache->snapshot) - strlen(cache->commit) - strlen("snapshots/");
    if ((size_t) snprintf(path, sizeof path, "%.*srefs/%s", (int) root_n, cache->snapshot, cache->revision) >= sizeof path)
        return hold_verdict_fail(v, HOLD_EXIT_FETCH_WRITE, HOLD_E_LIMIT, 0, "hub cache: the path of the ref is longer than %d bytes", PATH_MAX - 1);
    hold_autobuf old = hold_buf_with_max(256);
    struct hold_err ignored;
    if (hold_read_file(path, &old, &ignored) == 0 && old.n == 40 && memcmp(old.data, cache->commit, 40) == 0)
        return 0;
    char name[220];
    snprintf(name, sizeof name, "refs/%s", cache->revision); /* a branch may have '/' in it */
    if (hold_mkdirs_below(cache->repo_fd, name, &v->err) < 0 || hold_write_file(path, cache->commit, 40, 0644, &v->err) < 0)
        return hold_verdict_of_write(v);
    return 0;
}

/* ---- the client's lock ---- */

/* Bytes of everything on its way in the folder of blobs: it moves while somebody brings something. */
static uint64_t on_its_way(int blobs_fd) {
    int fd = openat(blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        hold_close_fd(&fd);
        return 0;
    }
    uint64_t sum = 0;
    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        struct stat st;
        const size_t n = strlen(e->d_name);
        const bool is_theirs = n > 11 && strcmp(e->d_name + n - 11, ".incomplete") == 0;
        if ((is_theirs || strncmp(e->d_name, ".holdfast-", 10) == 0) && fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += (uint64_t) st.st_size + (uint64_t) st.st_mtim.tv_nsec;
    }
    closedir(folder);
    return sum;
}

/* Opens the lock file and tries it. -1 with errno EWOULDBLOCK when another holds it. */
static int try_lock(int folder_fd, const char *name) {
    hold_autofd fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    struct stat mine, named;
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    /* Some versions of the client remove the file before they let it go. */
    if (fstat(fd, &mine) < 0 || fstatat(folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || mine.st_ino != named.st_ino) {
        errno = EWOULDBLOCK;
        return -1;
    }
    return hold_take_fd(&fd);
}

bool hold_hub_cache_lock(const struct hold_hub_cache *cache, const char *blob, uint64_t still_ms, const _Atomic bool *stop, int *ret_fd) {
    char folder[240], name[HOLD_BLOB_BYTES + 8];
    struct hold_err ignored;
    snprintf(folder, sizeof folder, ".locks/%s/x", cache->repo);
    *ret_fd = -1;
    if (hold_mkdirs_below(cache->root_fd, folder, &ignored) < 0)
        return false;
    folder[strlen(folder) - 2] = '\0';
    hold_autofd locks = openat(cache->root_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(name, sizeof name, "%s.lock", blob);
    uint64_t moved_ms = hold_job_now_ms(), last = 0;
    for (bool has_waited = false; locks >= 0; has_waited = true) {
        *ret_fd = try_lock(locks, name);
        if (*ret_fd >= 0 || errno != EWOULDBLOCK || atomic_load(stop))
            return has_waited;
        const uint64_t now = hold_job_now_ms(), sum = on_its_way(cache->blobs_fd);
        if (!has_waited || sum != last)
            moved_ms = now;
        if (now - moved_ms >= still_ms)
            return true;
        last = sum;
        (void) poll(NULL, 0, LOOK_EVERY_MS);
    }
    return false;
}
