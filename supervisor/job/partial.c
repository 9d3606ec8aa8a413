/* partial.c - a file on its way to its name. Floor: supervisor/job. */
#include "supervisor/job/partial.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"
#include "supervisor/job/behind.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/owner.h"
#include "supervisor/policy/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define WRITE_PIECE ((size_t) 64 << 10) /* measured: half the kernel time of 1 MiB writes, which ask for large folios of fresh memory */
#define MAX_SEEN 64 /* partials of one key looked at */
static void prefix_of(const uint8_t key[8], char out[40]) {
    char hex[17];
    hold_hex_write(key, 8, hex);
    snprintf(out, 40, ".holdfast-%s-", hex);
}

static bool is_partial_of(const char *name, const char *prefix) {
    size_t n = strlen(name);
    return strncmp(name, prefix, strlen(prefix)) == 0 && n > 5 && n < 72 && strcmp(name + n - 5, ".part") == 0;
}

/* Calls each with every partial of a key, until it returns false. */
static void each_partial(int folder_fd, const uint8_t key[8], bool (*each)(int folder_fd, const char *name, void *argument), void *argument) {
    char prefix[40];
    prefix_of(key, prefix);
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        hold_close_fd(&fd);
        return;
    }
    int seen = 0;
    for (struct dirent *e = readdir(folder); e && seen < MAX_SEEN; e = readdir(folder))
        if (is_partial_of(e->d_name, prefix)) {
            seen++;
            if (!each(folder_fd, e->d_name, argument))
                break;
        }
    closedir(folder);
}

struct found {
    int fd;
    char name[80];
    uint64_t bytes;
    bool is_alone; /* its writer is dead: the kernel gave us its lock */
};

struct search {
    const struct hold_partial_target *target;
    struct found best;
};

/* The first digit after the key of a partial whose writer holds no lock. */
#define UNLOCKED 'n'

static bool is_named(int folder_fd, const char *name, int fd) {
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && S_ISREG(mine.st_mode) && fstatat(folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == mine.st_ino &&
           named.st_dev == mine.st_dev;
}

/* Opens an existing partial. Its owner may publish or remove it between open and lock: then it is not named any more. */
static bool open_old(int folder_fd, const char *name, bool uses_flock, struct found *ret) {
    char prefix[40];
    prefix_of((const uint8_t[8]) { 0 }, prefix);
    hold_autofd fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    bool is_alone = uses_flock && name[strlen(prefix)] != UNLOCKED && hold_locks_are_kept(fd) && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!is_named(folder_fd, name, fd))
        return false;
    *ret = (struct found) { .fd = hold_take_fd(&fd), .bytes = (uint64_t) st.st_size, .is_alone = is_alone };
    snprintf(ret->name, sizeof ret->name, "%.79s", name);
    return true;
}

static bool keep_largest(int folder_fd, const char *name, void *argument) {
    struct search *search = argument;
    struct found old = { .fd = -1 };
    if (!open_old(folder_fd, name, search->target->uses_flock, &old))
        return true;
    bool may_take = old.is_alone || search->target->is_owner;
    if (may_take && (search->best.fd < 0 || old.bytes > search->best.bytes)) {
        hold_close_fd(&search->best.fd);
        search->best = old;
    } else {
        hold_close_fd(&old.fd);
    }
    return true;
}

static uint64_t found_in(int folder_fd, const char *folder, int depth) {
    int fd = openat(folder_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        hold_close_fd(&fd);
        return 0;
    }
    uint64_t sum = 0;
    for (struct dirent *e = readdir(entries); e; e = readdir(entries)) {
        struct stat st;
        if (fstatat(dirfd(entries), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISREG(st.st_mode) && is_partial_of(e->d_name, ".holdfast-"))
            sum += (uint64_t) st.st_blocks * 512; /* what is reserved counts too */
        else if (S_ISDIR(st.st_mode) && depth > 0 && e->d_name[0] != '.')
            sum += found_in(dirfd(entries), e->d_name, depth - 1);
    }
    closedir(entries);
    return sum;
}

uint64_t hold_partial_found_all(int folder_fd) {
    return found_in(folder_fd, ".", 1);
}

static void from_name(const struct hold_partial *p, char out[96]) {
    snprintf(out, 96, "%s.from", p->name);
}

static void boot_id(char out[40]) {
    out[0] = '\0';
    hold_autofd fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, 36);
    out[n > 0 ? n : 0] = '\0';
}

/* "etag\ntotal\nboot\n"; false when absent, of another boot, or not ours. */
static bool read_from(const struct hold_partial *p, const char *partial, struct hold_validator *ret) {
    char name[96], text[HOLD_VALIDATOR_BYTES + 100] = { 0 }, boot[40];
    snprintf(name, sizeof name, "%s.from", partial);
    hold_autofd fd = openat(p->folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    char *total = n > 0 ? strchr(text, '\n') : NULL;
    char *at = total ? strchr(total + 1, '\n') : NULL;
    char *end = at ? strchr(at + 1, '\n') : NULL;
    if (!end || end[1] != '\0')
        return false;
    *total++ = *at++ = *end = '\0';
    boot_id(boot);
    if (boot[0] == '\0' || strcmp(boot, at) != 0 || text[0] == '\0' || strlen(text) >= HOLD_VALIDATOR_BYTES)
        return false;
    snprintf(ret->etag, sizeof ret->etag, "%.255s", text);
    char *rest = NULL;
    ret->total = strtoull(total, &rest, 10);
    return rest && *rest == '\0';
}

int hold_partial_remember(struct hold_partial *p, const struct hold_validator *from, struct hold_verdict *v) {
    char name[96], text[HOLD_VALIDATOR_BYTES + 100], boot[40];
    p->from = *from;
    if (from->etag[0] == '\0')
        return 0;
    from_name(p, name);
    boot_id(boot);
    int n = snprintf(text, sizeof text, "%s\n%llu\n%s\n", from->etag, (unsigned long long) from->total, boot);
    hold_autofd fd = openat(p->folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "create '%s'", name);
        return hold_verdict_of_write(v);
    }
    return hold_write_all(fd, text, (size_t) n, name, &v->err) < 0 ? hold_verdict_of_write(v) : 0;
}

static void forget_from(const struct hold_partial *p, const char *partial) {
    char name[96];
    snprintf(name, sizeof name, "%s.from", partial);
    unlinkat(p->folder_fd, name, 0);
    snprintf(name, sizeof name, "%s.pieces", partial);
    unlinkat(p->folder_fd, name, 0);
}

static int open_map(const struct hold_partial *p, const char *partial, int flags) {
    char name[96];
    snprintf(name, sizeof name, "%s.pieces", partial);
    return openat(p->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0644);
}

/* Locks a partial just made, to show others that we live. Between making and locking another fetcher may have taken it for
 * the leavings of a dead one: then it holds the lock, or the name is gone. */
static bool is_held_by_us(const struct hold_partial *p, bool locks) {
    return (!locks || flock(p->fd, LOCK_EX | LOCK_NB) == 0) && is_named(p->folder_fd, p->name, p->fd);
}

static int make_own(struct hold_partial *p, const struct hold_partial_target *target, struct hold_verdict *v) {
    char prefix[40];
    bool locks = target->uses_flock && hold_locks_are_kept(p->folder_fd);
    prefix_of(target->key, prefix);
    for (int i = 0; i < 16; i++) {
        snprintf(p->name, sizeof p->name, "%s%s%08x.part", prefix, locks ? "" : "n", hold_job_random());
        p->fd = openat(p->folder_fd, p->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (p->fd >= 0 && !is_held_by_us(p, locks)) {
            hold_close_fd(&p->fd); /* theirs now, or gone; who publishes last removes it */
            errno = EEXIST;
            continue;
        }
        if (p->fd >= 0 || errno != EEXIST)
            break;
    }
    if (p->fd < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "create a partial in the target folder");
        return hold_verdict_of_write(v);
    }
    return 0;
}

/* Feeds the bytes of an old partial to the hasher and, when it is not continued in place, to ours. A read error ends it
 * there: what follows is fetched. */
static int take_prefix(struct hold_partial *p, int old_fd, uint64_t bytes, struct hold_verdict *v) {
    bool in_place = old_fd == p->fd;
    while (p->bytes < bytes) {
        uint8_t *block = hold_hasher_block(&p->hasher);
        ssize_t n = pread(old_fd, block, HOLD_MIN((uint64_t) HOLD_HASHER_BLOCK, bytes - p->bytes), (off_t) p->bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (!in_place && hold_pwrite_all(p->fd, block, (size_t) n, p->bytes, "partial", &v->err) < 0)
            return hold_verdict_of_write(v);
        hold_hasher_give(&p->hasher, (size_t) n);
        if (p->drops_cache)
            hold_behind_drop(old_fd, p->bytes, (uint64_t) n);
        p->bytes += (uint64_t) n;
        if (p->progress)
            atomic_fetch_add(p->progress, (uint64_t) n);
    }
    if (in_place && p->bytes < bytes && ftruncate(p->fd, (off_t) p->bytes) < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "cut '%s' at an unreadable byte", p->name);
        return hold_verdict_of_write(v);
    }
    return 0;
}

/* All bytes of a small file or a partial, holes too. */
static int copy_file(int from_fd, int to_fd, uint64_t bytes, struct hold_err *err) {
    hold_autofree uint8_t *block = malloc(HOLD_HASHER_BLOCK);
    for (uint64_t at = 0; block && at < bytes;) {
        ssize_t n = pread(from_fd, block, HOLD_MIN((uint64_t) HOLD_HASHER_BLOCK, bytes - at), (off_t) at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* what follows is fetched, or found wrong */
        if (hold_pwrite_all(to_fd, block, (size_t) n, at, "partial", err) < 0)
            return -1;
        at += (uint64_t) n;
    }
    return block ? 0 : hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a block");
}

/* The same for a partial that is filled in pieces; old->fd -1: there is none. */
static int take_pieces(struct hold_partial *p, const struct hold_partial_target *target, struct found *old, struct hold_verdict *v) {
    uint64_t prefix = 0;
    hold_autofd map = -1;
    if (old->fd >= 0 && old->bytes > target->size) {
        unlinkat(p->folder_fd, old->name, 0);
        forget_from(p, old->name);
        hold_close_fd(&old->fd);
    }
    if (old->fd >= 0) {
        map = open_map(p, old->name, 0);
        prefix = map < 0 ? old->bytes : hold_pieces_prefix(map, old->bytes);
    }
    if (old->fd >= 0 && old->is_alone) {
        p->fd = hold_take_fd(&old->fd);
        memcpy(p->name, old->name, sizeof p->name);
    } else if (make_own(p, target, v) < 0) {
        return -1;
    }
    hold_autofd own_map = open_map(p, p->name, O_CREAT);
    if (old->fd >= 0) { /* the map first: it never claims more than the data that is copied after it */
        struct stat st;
        if (map >= 0 && own_map >= 0 && fstat(map, &st) == 0 && copy_file(map, own_map, (uint64_t) st.st_size, &v->err) < 0)
            return hold_verdict_of_write(v);
        if (copy_file(old->fd, p->fd, old->bytes, &v->err) < 0)
            return hold_verdict_of_write(v);
        unlinkat(p->folder_fd, old->name, 0);
        forget_from(p, old->name);
    }
    return hold_pieces_open(&p->pieces, p->fd, hold_take_fd(&own_map), target->size, target->piece_bytes, prefix, target->progress, v);
}

/* A partial that was filled in pieces is continued as a stream behind its first gap. */
static int cut_to_stream(struct hold_partial *p, struct found *old, struct hold_verdict *v) {
    hold_autofd map = open_map(p, old->name, 0);
    if (map < 0)
        return 0;
    old->bytes = hold_pieces_prefix(map, old->bytes);
    if (old->is_alone && ftruncate(old->fd, (off_t) old->bytes) < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "cut '%s'", old->name);
        return hold_verdict_of_write(v);
    }
    forget_from(p, old->name);
    return 0;
}

static int take_over(struct hold_partial *p, const struct hold_partial_target *target, struct found *old, struct hold_verdict *v) {
    if (cut_to_stream(p, old, v) < 0)
        return -1;
    /* Without a digest only the dead are continued: one that wakes again might begin anew with another version under our eyes. */
    bool may_go_on = target->is_pinned || (old->is_alone && read_from(p, old->name, &p->from));
    if (!may_go_on || old->bytes > target->size) {
        unlinkat(p->folder_fd, old->name, 0);
        forget_from(p, old->name);
        p->from = (struct hold_validator) { .total = UINT64_MAX };
        return make_own(p, target, v);
    }
    if (old->is_alone) {
        p->fd = hold_take_fd(&old->fd);
        memcpy(p->name, old->name, sizeof p->name);
        return take_prefix(p, p->fd, old->bytes, v);
    }
    struct hold_validator from = p->from;
    if (make_own(p, target, v) < 0 || take_prefix(p, old->fd, old->bytes, v) < 0)
        return -1;
    unlinkat(p->folder_fd, old->name, 0);
    forget_from(p, old->name);
    return target->is_pinned ? 0 : hold_partial_remember(p, &from, v);
}

int hold_partial_open(struct hold_partial *p, const struct hold_partial_target *target, struct hold_verdict *v) {
    *p = (struct hold_partial) { .folder_fd = target->folder_fd, .fd = -1, .from = { .total = UINT64_MAX }, .progress = target->progress, .pieces = { .map_fd = -1 } };
    p->is_owner = target->is_owner;
    p->uses_flock = target->uses_flock;
    p->drops_cache = target->drops_cache;
    memcpy(p->key, target->key, sizeof p->key);
    if (target->piece_bytes == 0 && hold_hasher_open(&p->hasher, target->with_git, target->size, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    struct search search = { .target = target, .best = { .fd = -1 } };
    struct found *old = &search.best;
    each_partial(target->folder_fd, target->key, keep_largest, &search);
    int rc = target->piece_bytes ? take_pieces(p, target, old, v) : old->fd >= 0 ? take_over(p, target, old, v) : make_own(p, target, v);
    hold_close_fd(&old->fd);
    if (rc < 0)
        hold_partial_close(p);
    else if (target->piece_bytes && target->drops_cache)
        hold_pieces_drop_cache(&p->pieces);
    return rc;
}

int hold_partial_reserve(struct hold_partial *p, uint64_t size, struct hold_verdict *v) {
    if (size <= p->bytes || size == UINT64_MAX)
        return 0;
    if (fallocate(p->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t) size) == 0 || (errno != ENOSPC && errno != EDQUOT))
        return 0;
    (void) hold_fail(&v->err, HOLD_E_IO, errno, "reserve %llu more bytes", (unsigned long long) (size - p->bytes));
    return hold_verdict_of_write(v);
}

static int write_block(struct hold_partial *p, const uint8_t *block, uint64_t at, struct hold_err *err) {
    for (size_t done = 0; done < p->block_n; done += WRITE_PIECE)
        if (hold_pwrite_all(p->fd, block + done, HOLD_MIN(p->block_n - done, WRITE_PIECE), at + done, "partial", err) < 0)
            return -1;
    return 0;
}

int hold_partial_flush(struct hold_partial *p, struct hold_verdict *v) {
    if (p->block_n == 0)
        return 0;
    uint64_t begun = hold_job_now_ms();
    uint8_t *block = hold_hasher_block(&p->hasher);
    uint64_t at = p->bytes - p->block_n;
    if (write_block(p, block, at, &v->err) < 0) {
        /* What did reach the file is beyond the hashed prefix: a later life hashes it again anyway. */
        if (p->progress)
            atomic_fetch_sub(p->progress, p->block_n);
        p->bytes = at;
        p->block_n = 0;
        (void) !ftruncate(p->fd, (off_t) at); /* what stays beyond is hashed again by the next owner */
        return hold_verdict_of_write(v);
    }
    hold_hasher_give(&p->hasher, p->block_n);
    p->block_n = 0;
    (void) hold_hasher_block(&p->hasher); /* a hash slower than the network is waited for here, on our account */
    hold_behind_start(p->fd, at, p->bytes - at);
    if (p->drops_cache)
        hold_behind_drop(p->fd, at, p->bytes - at);
    p->blocked_ms += hold_job_now_ms() - begun;
    return 0;
}

int hold_partial_add(struct hold_partial *p, const void *bytes, size_t n, struct hold_verdict *v) {
    const uint8_t *from = bytes;
    while (n) {
        size_t part = HOLD_MIN(n, HOLD_HASHER_BLOCK - p->block_n);
        memcpy(hold_hasher_block(&p->hasher) + p->block_n, from, part);
        p->block_n += part;
        p->bytes += part;
        from += part;
        n -= part;
        if (p->progress)
            atomic_fetch_add(p->progress, part);
        if (p->block_n == HOLD_HASHER_BLOCK && hold_partial_flush(p, v) < 0)
            return -1;
    }
    return 0;
}

int hold_partial_restart(struct hold_partial *p, struct hold_verdict *v) {
    if (p->progress)
        atomic_fetch_sub(p->progress, p->bytes);
    p->bytes = 0;
    p->block_n = 0;
    p->from = (struct hold_validator) { .total = UINT64_MAX };
    forget_from(p, p->name);
    if (hold_hasher_restart(&p->hasher, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    if (ftruncate(p->fd, 0) < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "empty '%s'", p->name);
        return hold_verdict_of_write(v);
    }
    return 0;
}

int hold_partial_to_stream(struct hold_partial *p, struct hold_verdict *v) {
    if (p->progress)
        atomic_fetch_sub(p->progress, hold_pieces_have(&p->pieces));
    hold_pieces_close(&p->pieces);
    if (hold_hasher_open(&p->hasher, false, 0, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    return hold_partial_restart(p, v);
}

int hold_partial_digest(struct hold_partial *p, struct hold_digest_value *ret_value, struct hold_verdict *v) {
    if (hold_partial_flush(p, v) < 0)
        return -1;
    return hold_hasher_end(&p->hasher, ret_value, &v->err) < 0 ? hold_verdict_is(v, HOLD_EXIT_INTERNAL) : 0;
}

/* Now that the target is there, what nobody holds is rubbish of the dead; for the holder of the record, everything is. */
static bool remove_rubbish(int folder_fd, const char *name, void *argument) {
    const struct hold_partial *p = argument;
    struct found old = { .fd = -1 };
    if (open_old(folder_fd, name, p->uses_flock, &old) && (old.is_alone || p->is_owner)) {
        unlinkat(folder_fd, name, 0);
        forget_from(p, name);
    }
    hold_close_fd(&old.fd);
    return true;
}

int hold_partial_publish(struct hold_partial *p, const char *name, struct hold_verdict *v) {
    struct stat st;
    if (p->pieces.is_open)
        p->bytes = p->pieces.size;
    /* Room reserved beyond the end is given back; the size is what was hashed. */
    if (ftruncate(p->fd, (off_t) p->bytes) < 0 || fstat(p->fd, &st) < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "finish '%s'", name);
        return hold_verdict_of_write(v);
    }
    if (hold_publish(p->folder_fd, p->fd, p->name, name, &v->err) < 0)
        return hold_verdict_of_write(v);
    if (p->drops_cache)
        hold_behind_drop_all(p->fd);
    forget_from(p, p->name);
    each_partial(p->folder_fd, p->key, remove_rubbish, p);
    p->name[0] = '\0';
    return 0;
}

void hold_partial_close(struct hold_partial *p) {
    if (p->pieces.is_open)
        p->bytes = hold_pieces_have(&p->pieces);
    hold_pieces_close(&p->pieces);
    if (p->fd >= 0 && p->name[0]) {
        struct hold_verdict ignored = { 0 };
        (void) !hold_partial_flush(p, &ignored);
        struct stat st;
        if (fstat(p->fd, &st) == 0)
            (void) !ftruncate(p->fd, st.st_size); /* the room reserved beyond the end is everybody's again */
        if (p->bytes == 0) {
            unlinkat(p->folder_fd, p->name, 0);
            forget_from(p, p->name);
        }
    }
    hold_hasher_close(&p->hasher);
    hold_close_fd(&p->fd);
}
