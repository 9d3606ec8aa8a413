/* gc.c - what of a hub's cache or a model folder nobody uses any more. Floor: supervisor/job. */
#include "supervisor/job/gc.h"

#include "base/arena.h"
#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/hub.h"
#include "supervisor/job/owner.h"
#include "supervisor/job/proof.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEPTH 8
#define MAX_ITEMS 100000u
#define ARENA_MAX (64u << 20)
#define GONE ".holdfast-gc-" /* a snapshot on its way out, beside the others */

struct blob {
    char name[NAME_MAX + 1];
    uint64_t ino, bytes;
    dev_t dev;
    int64_t newest_s;
    size_t n_keepers; /* links from revisions that stay */
    bool is_open;
};

struct revision {
    char commit[41];
    char ref[200];       /* that names it; "" none */
    char reason[160];    /* why it stays; "" when it goes */
    int64_t used_s;
    size_t first_link, n_links; /* in links: indices of blobs */
};

struct repo {
    const struct hold_gc *gc;
    struct hold_arena arena;
    const char *name;
    int fd, blobs_fd, snapshots_fd;
    struct blob *blobs;
    size_t n_blobs;
    struct revision *revisions;
    size_t n_revisions;
    size_t *links;
    size_t n_links;
    int64_t now_s;
};

/* ---- use ---- */

int hold_use_take(int state_fd) {
    hold_autofd fd = openat(state_fd, HOLD_USE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0)
        fd = openat(state_fd, HOLD_USE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int rc = -1;
    while (fd >= 0 && (rc = flock(fd, LOCK_SH)) < 0 && errno == EINTR)
        continue;
    if (rc < 0)
        return -1;
    char host[64] = "", text[128];
    (void) gethostname(host, sizeof host - 1);
    int n = snprintf(text, sizeof text, "holdfast-use 1 %s %ld\n", host, (long) getppid());
    if (pwrite(fd, text, (size_t) n, 0) == n)
        (void) !ftruncate(fd, n);
    return hold_take_fd(&fd);
}

/* ---- reading a repository ---- */

static DIR *open_dir(int at, const char *name) {
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        hold_close_fd(&fd);
    return dir;
}

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int64_t newest_of(const struct stat *st) {
    return HOLD_MAX(st->st_mtim.tv_sec, st->st_ctim.tv_sec);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_ours(const char *name) {
    return strncmp(name, ".holdfast-", 10) == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct blob *) a)->name, ((const struct blob *) b)->name);
}

static int read_blobs(struct repo *r) {
    DIR *dir = open_dir(r->blobs_fd, ".");
    r->blobs = hold_arena_array(&r->arena, 16, sizeof *r->blobs);
    size_t capacity = 16;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && r->blobs; e = readdir(dir)) {
        struct stat st;
        if (is_dots(e->d_name) || is_ours(e->d_name) || ends_with(e->d_name, ".incomplete") || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (r->n_blobs == capacity) {
            capacity *= 2;
            struct blob *grown = capacity > MAX_ITEMS ? NULL : hold_arena_array(&r->arena, capacity, sizeof *grown);
            if (grown)
                memcpy(grown, r->blobs, r->n_blobs * sizeof *grown);
            r->blobs = grown;
            if (!grown)
                break;
        }
        struct blob *b = &r->blobs[r->n_blobs++];
        *b = (struct blob) { .ino = st.st_ino, .dev = st.st_dev, .bytes = st.st_nlink > 1 ? 0 : (uint64_t) st.st_blocks * 512, .newest_s = newest_of(&st) };
        snprintf(b->name, sizeof b->name, "%s", e->d_name);
    }
    if (dir)
        closedir(dir);
    if (!r->blobs)
        return -1;
    qsort(r->blobs, r->n_blobs, sizeof *r->blobs, by_name);
    return 0;
}

/* Every link below a snapshot that names a blob of this repository; the name is all that is looked at. */
static bool read_links(struct repo *r, int at, const char *name, struct revision *rev, int depth) {
    DIR *dir = open_dir(at, name);
    bool is_whole = dir != NULL || errno == ENOENT;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        struct stat st;
        char target[PATH_MAX];
        if (is_dots(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            is_whole &= depth < MAX_DEPTH && read_links(r, dirfd(dir), e->d_name, rev, depth + 1);
            continue;
        }
        ssize_t n = S_ISLNK(st.st_mode) ? readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1) : 0;
        if (n <= 0)
            continue;
        target[n] = '\0';
        struct blob key = { 0 };
        const char *slash = strrchr(target, '/');
        if (!slash || strlen(slash + 1) > NAME_MAX)
            continue;
        snprintf(key.name, sizeof key.name, "%s", slash + 1);
        const struct blob *b = r->n_blobs ? bsearch(&key, r->blobs, r->n_blobs, sizeof key, by_name) : NULL;
        is_whole &= r->n_links < MAX_ITEMS;
        if (b && r->n_links < MAX_ITEMS) {
            r->links[r->n_links++] = (size_t) (b - r->blobs);
            rev->n_links++;
        }
    }
    if (dir)
        closedir(dir);
    return is_whole;
}

static void read_refs(struct repo *r, int at, const char *name, const char *path, int depth) {
    DIR *dir = open_dir(at, name);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        struct stat st;
        char below[200], text[42] = "";
        if (is_dots(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            (size_t) snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", e->d_name) >= sizeof below)
            continue;
        if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH)
            read_refs(r, dirfd(dir), e->d_name, below, depth + 1);
        hold_autofd fd = S_ISREG(st.st_mode) ? openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        if (fd < 0 || read(fd, text, 40) != 40)
            continue;
        for (size_t i = 0; i < r->n_revisions; i++)
            if (strcmp(r->revisions[i].commit, text) == 0)
                memcpy(r->revisions[i].ref, below, sizeof below);
    }
    if (dir)
        closedir(dir);
}

static int read_revisions(struct repo *r) {
    enum { MAX_REVISIONS = 4096 };
    DIR *dir = open_dir(r->snapshots_fd, ".");
    r->revisions = hold_arena_array(&r->arena, MAX_REVISIONS, sizeof *r->revisions);
    r->links = hold_arena_array(&r->arena, MAX_ITEMS, sizeof *r->links);
    for (struct dirent *e = dir && r->revisions && r->links ? readdir(dir) : NULL; e; e = readdir(dir)) {
        struct stat st, use;
        if (!hold_hub_is_commit(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
            continue;
        if (r->n_revisions == MAX_REVISIONS)
            break;
        struct revision *rev = &r->revisions[r->n_revisions++];
        *rev = (struct revision) { .used_s = newest_of(&st), .first_link = r->n_links };
        memcpy(rev->commit, e->d_name, 40);
        char path[80];
        snprintf(path, sizeof path, "%s/" HOLD_STATE_FOLDER "/" HOLD_USE_NAME, rev->commit);
        if (fstatat(dirfd(dir), path, &use, AT_SYMLINK_NOFOLLOW) == 0)
            rev->used_s = HOLD_MAX(rev->used_s, newest_of(&use));
        if (!read_links(r, dirfd(dir), e->d_name, rev, 0))
            snprintf(rev->reason, sizeof rev->reason, "it cannot be read to its end");
    }
    if (dir)
        closedir(dir);
    return r->revisions && r->links ? 0 : -1;
}

/* ---- who has what open ---- */

static void mark_open(struct repo *r, uint64_t ino, const dev_t *dev) {
    for (size_t i = 0; i < r->n_blobs; i++)
        if (r->blobs[i].ino == ino && (!dev || r->blobs[i].dev == *dev))
            r->blobs[i].is_open = true;
}

/* The device in a mapping's line is not the one that stat tells on some file systems: the inode alone counts, a file kept for
 * nothing is no harm. */
static void read_maps(struct repo *r, int process_fd) {
    hold_autofd fd = openat(process_fd, "maps", O_RDONLY | O_CLOEXEC);
    hold_autofile FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
    char line[PATH_MAX + 200];
    if (maps)
        fd = -1;
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long long ino = 0;
        if (sscanf(line, "%*s %*s %*s %*s %llu", &ino) == 1 && ino)
            mark_open(r, ino, NULL);
    }
}

static void read_processes(struct repo *r) {
    DIR *proc = open_dir(AT_FDCWD, "/proc");
    for (struct dirent *e = proc ? readdir(proc) : NULL; e; e = readdir(proc)) {
        hold_autofd process = isdigit((unsigned char) e->d_name[0]) ? openat(dirfd(proc), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (process < 0)
            continue;
        read_maps(r, process);
        DIR *fds = open_dir(process, "fd");
        for (struct dirent *f = fds ? readdir(fds) : NULL; f; f = readdir(fds)) {
            struct stat st;
            if (!is_dots(f->d_name) && fstatat(dirfd(fds), f->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
                mark_open(r, st.st_ino, &st.st_dev);
        }
        if (fds)
            closedir(fds);
    }
    if (proc)
        closedir(proc);
}

/* ---- the judgement ---- */

static bool is_young(const struct repo *r, int64_t when_s) {
    return r->now_s - when_s < (int64_t) (r->gc->older_ms / 1000);
}

/* The exclusive lock of a file, for the moment; false when somebody holds it. *ret_fd stays -1 when there is no such file. */
static bool lock_alone(int at, const char *path, int *ret_fd) {
    hold_autofd fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return false;
    *ret_fd = hold_take_fd(&fd);
    return true;
}

static void judge(struct repo *r, struct revision *rev) {
    char path[80];
    if (rev->reason[0])
        return;
    for (size_t i = 0; i < rev->n_links; i++)
        if (r->blobs[r->links[rev->first_link + i]].is_open) {
            snprintf(rev->reason, sizeof rev->reason, "a process has a file of it open");
            return;
        }
    snprintf(path, sizeof path, "%s/" HOLD_STATE_FOLDER "/" HOLD_USE_NAME, rev->commit);
    hold_autofd lock = -1;
    if (!lock_alone(r->snapshots_fd, path, &lock))
        snprintf(rev->reason, sizeof rev->reason, "it is in use");
    else if (rev->ref[0])
        snprintf(rev->reason, sizeof rev->reason, "%.120s means it", rev->ref);
    else if (is_young(r, rev->used_s))
        snprintf(rev->reason, sizeof rev->reason, "it was made or used within --older-than");
    else if (!r->gc->age_is_given && !hold_locks_are_kept(r->fd))
        snprintf(rev->reason, sizeof rev->reason, "this file system keeps no locks between hosts: give --older-than, longer than any server runs");
}

/* ---- removal ---- */

static uint64_t remove_tree(int at, const char *name, bool deletes, int depth) {
    uint64_t bytes = 0;
    DIR *dir = open_dir(at, name);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        struct stat st;
        if (is_dots(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            bytes += depth < MAX_DEPTH + 4 ? remove_tree(dirfd(dir), e->d_name, deletes, depth + 1) : 0;
            continue;
        }
        bytes += (uint64_t) st.st_blocks * 512;
        if (deletes)
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
    if (deletes)
        unlinkat(at, name, AT_REMOVEDIR);
    return bytes;
}

/* A revision leaves by one rename, so that nobody sees half of it; under its lock, so that nobody begins to use it meanwhile. */
static int remove_revision(struct repo *r, struct revision *rev, struct hold_gc_result *result, struct hold_verdict *v) {
    char path[80], gone[80];
    snprintf(path, sizeof path, "%s/" HOLD_STATE_FOLDER "/" HOLD_USE_NAME, rev->commit);
    snprintf(gone, sizeof gone, GONE "%08x", hold_job_random());
    hold_autofd lock = -1;
    if (!lock_alone(r->snapshots_fd, path, &lock)) {
        snprintf(rev->reason, sizeof rev->reason, "it is in use");
        return 0;
    }
    if (r->gc->deletes && renameat(r->snapshots_fd, rev->commit, r->snapshots_fd, gone) < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "remove '%s' of '%.160s'", rev->commit, r->name);
        return hold_verdict_is(v, HOLD_EXIT_FETCH_WRITE);
    }
    hold_close_fd(&lock);
    result->freed_bytes += remove_tree(r->snapshots_fd, r->gc->deletes ? gone : rev->commit, r->gc->deletes, 0);
    result->n_revisions++;
    return 0;
}

/* Under the client's own lock: it looks for the blob and links it under that. */
static void remove_blob(const struct repo *r, const struct blob *b, struct hold_gc_result *result) {
    char path[PATH_MAX];
    hold_autofd lock = -1;
    snprintf(path, sizeof path, "../.locks/%.200s/%s.lock", r->name, b->name);
    if (r->gc->deletes && (!lock_alone(r->fd, path, &lock) || unlinkat(r->blobs_fd, b->name, 0) < 0))
        return;
    snprintf(path, sizeof path, HOLD_STATE_FOLDER "/proof/%s.proof", b->name);
    if (r->gc->deletes)
        unlinkat(r->fd, path, 0);
    result->n_blobs++;
    result->freed_bytes += b->bytes;
}

/* Partials of dead fetchers, ours and the client's, and what an earlier gc left when it was killed. */
static void remove_partials(const struct hold_gc *gc, int at, const char *name, bool is_cache, int depth, int64_t now_s, struct hold_gc_result *result) {
    DIR *dir = open_dir(at, name);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        struct stat st;
        if (is_dots(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        const bool is_gone = S_ISDIR(st.st_mode) && strncmp(e->d_name, GONE, strlen(GONE)) == 0;
        if (S_ISDIR(st.st_mode) && !is_gone) {
            if (depth < MAX_DEPTH && e->d_name[0] != '.')
                remove_partials(gc, dirfd(dir), e->d_name, is_cache, depth + 1, now_s, result);
            continue;
        }
        const bool is_partial = is_ours(e->d_name) || (is_cache && ends_with(e->d_name, ".incomplete"));
        if (!is_gone && (!is_partial || now_s - newest_of(&st) < (int64_t) (gc->older_ms / 1000)))
            continue;
        hold_autofd fd = S_ISREG(st.st_mode) ? openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue; /* its fetcher lives */
        const uint64_t bytes = is_gone ? remove_tree(dirfd(dir), e->d_name, gc->deletes, 0) : (uint64_t) st.st_blocks * 512;
        if (!is_gone && gc->deletes && unlinkat(dirfd(dir), e->d_name, 0) < 0)
            continue;
        hold_log(HOLD_LV_INFO, HOLD_EV_GC, HOLD_LS("what", gc->deletes ? "removed" : "would be removed"), HOLD_LS("partial", e->d_name), HOLD_LU("bytes", bytes));
        result->n_partials++;
        result->freed_bytes += bytes;
    }
    if (dir)
        closedir(dir);
}

/* ---- a repository, a cache ---- */

static void tell(const struct repo *r, const struct revision *rev, uint64_t freed) {
    const char *what = rev->reason[0] ? "kept" : r->gc->deletes ? "removed" : "would be removed";
    hold_log(HOLD_LV_INFO, HOLD_EV_GC, HOLD_LS("what", what), HOLD_LS("repo", r->name), HOLD_LS("revision", rev->commit),
             HOLD_LS("why", rev->reason[0] ? rev->reason : "no ref means it, nobody uses it"), HOLD_LU("unused_s", (uint64_t) HOLD_MAX(r->now_s - rev->used_s, (int64_t) 0)),
             HOLD_LU("bytes", freed));
}

static int collect(struct repo *r, struct hold_gc_result *result, struct hold_verdict *v) {
    if (read_blobs(r) < 0 || read_revisions(r) < 0)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "'%.160s' has more files than can be judged", r->name);
    read_refs(r, r->fd, "refs", "", 0);
    read_processes(r);
    for (size_t i = 0; i < r->n_revisions; i++) {
        struct revision *rev = &r->revisions[i];
        const uint64_t before = result->freed_bytes;
        judge(r, rev);
        if (!rev->reason[0] && remove_revision(r, rev, result, v) < 0)
            return -1;
        result->n_kept += rev->reason[0] != '\0';
        for (size_t k = 0; k < rev->n_links && rev->reason[0]; k++)
            r->blobs[r->links[rev->first_link + k]].n_keepers++;
        tell(r, rev, result->freed_bytes - before);
    }
    for (size_t i = 0; i < r->n_blobs; i++)
        if (r->blobs[i].n_keepers == 0 && !r->blobs[i].is_open && !is_young(r, r->blobs[i].newest_s))
            remove_blob(r, &r->blobs[i], result);
    return 0;
}

static int collect_repo(const struct hold_gc *gc, int root_fd, const char *name, struct hold_gc_result *result, struct hold_verdict *v) {
    struct repo r = { .gc = gc, .arena = hold_arena_with_max(ARENA_MAX), .name = name, .now_s = time(NULL), .blobs_fd = -1, .snapshots_fd = -1 };
    int rc = 0;
    hold_autofd fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    hold_autofd blobs = fd < 0 ? -1 : openat(fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    hold_autofd snapshots = fd < 0 ? -1 : openat(fd, "snapshots", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    r.fd = fd, r.blobs_fd = blobs, r.snapshots_fd = snapshots;
    hold_autofd lock = -1;
    if (fd >= 0 && !lock_alone(fd, HOLD_STATE_FOLDER "/" HOLD_USE_NAME, &lock)) {
        hold_log(HOLD_LV_INFO, HOLD_EV_GC, HOLD_LS("what", "kept"), HOLD_LS("repo", name), HOLD_LS("why", "it is being fetched"));
    } else if (blobs >= 0 && snapshots >= 0) {
        rc = collect(&r, result, v);
        if (rc == 0) {
            remove_partials(gc, blobs, ".", true, 0, r.now_s, result);
            remove_partials(gc, snapshots, ".", true, 0, r.now_s, result);
        }
    }
    hold_arena_release(&r.arena);
    return rc;
}

int hold_gc_run(const struct hold_gc *gc, struct hold_gc_result *result, struct hold_verdict *v) {
    hold_autofd root = open(gc->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_MISSING, errno, "folder '%.160s' (HF_HUB_CACHE, HF_HOME or an argument names another)", gc->folder);
    DIR *dir = open_dir(root, ".");
    bool is_cache = false;
    int rc = 0;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && rc == 0; e = readdir(dir)) {
        if (strncmp(e->d_name, "models--", 8) != 0 && strncmp(e->d_name, "datasets--", 10) != 0 && strncmp(e->d_name, "spaces--", 8) != 0)
            continue;
        is_cache = true;
        rc = collect_repo(gc, root, e->d_name, result, v);
    }
    if (dir)
        closedir(dir);
    if (!is_cache)
        remove_partials(gc, root, ".", false, 0, time(NULL), result);
    return rc;
}
