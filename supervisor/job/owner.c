/* owner.c - records of who brings a file. Floor: supervisor/job. */
#include "supervisor/job/owner.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"
#include "base/num.h"
#include "supervisor/job/clock.h"
#include "supervisor/policy/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define NAME_BYTES 64
#define MAX_SEEN 64
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#define ZFS_MAGIC 0x2fc12fc1

static const char head[] = "holdfast-owner 1 ";

bool hold_locks_are_kept(int fd) {
    static const unsigned long kept[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC, F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, ZFS_MAGIC };
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < HOLD_COUNT_OF(kept); i++)
        if ((unsigned long) fs.f_type == kept[i])
            return true;
    return false;
}

/* ---- the text ---- */

static bool is_host(const char *text) {
    static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return *text && text[strspn(text, may)] == '\0';
}

bool hold_owner_parse(const char *bytes, size_t n, struct hold_owner_text *ret_text) {
    char copy[HOLD_OWNER_BYTES + 1], *rest = NULL;
    struct hold_owner_text text = { 0 };
    uint64_t *const numbers[] = { &text.counter, &text.done, &text.total, &text.pid, &text.is_locked };
    if (n != HOLD_OWNER_BYTES || memcmp(bytes, head, sizeof head - 1) != 0 || bytes[n - 1] != '\n' || memchr(bytes, '\0', n))
        return false;
    memcpy(copy, bytes, n);
    copy[n - 1] = '\0';
    char *word = strtok_r(copy + sizeof head - 1, " ", &rest);
    uint8_t token[8];
    if (!word || strlen(word) != 16 || !hold_hex_read(word, 8, token))
        return false;
    memcpy(&text.token, token, 8);
    for (size_t i = 0; i < HOLD_COUNT_OF(numbers); i++) {
        word = strtok_r(NULL, " ", &rest);
        struct hold_err ignored;
        if (!word || hold_parse_u64(word, 0, UINT64_MAX, numbers[i], &ignored) < 0)
            return false;
    }
    word = strtok_r(NULL, " ", &rest);
    if (!word || strlen(word) >= sizeof text.host || !is_host(word) || strtok_r(NULL, " ", &rest))
        return false;
    memcpy(text.host, word, strlen(word) + 1);
    *ret_text = text;
    return true;
}

void hold_owner_write(const struct hold_owner_text *text, char out[HOLD_OWNER_BYTES]) {
    char hex[17], line[HOLD_OWNER_BYTES + 1];
    uint8_t token[8];
    memcpy(token, &text->token, 8);
    hold_hex_write(token, 8, hex);
    int n = snprintf(line, sizeof line, "%s%s %llu %llu %llu %llu %llu %s", head, hex, (unsigned long long) text->counter, (unsigned long long) text->done,
                     (unsigned long long) text->total, (unsigned long long) text->pid, (unsigned long long) text->is_locked, text->host);
    memset(out, ' ', HOLD_OWNER_BYTES);
    memcpy(out, line, HOLD_MIN((size_t) n, HOLD_OWNER_BYTES - 1));
    out[HOLD_OWNER_BYTES - 1] = '\n';
}

/* ---- names and files ---- */

/* end: "" for the record itself, else of something beside it that is ours alone. */
static void name_of(const uint8_t key[8], const char *end, char out[NAME_BYTES]) {
    char hex[17];
    hold_hex_write(key, 8, hex);
    if (*end)
        snprintf(out, NAME_BYTES, ".holdfast-%s-%08x.%s", hex, hold_job_random(), end);
    else
        snprintf(out, NAME_BYTES, ".holdfast-%s.owner", hex);
}

/* Opened by name each time: that is when network file systems look at the server again. */
static int open_record(int folder_fd, const char *name, char bytes[HOLD_OWNER_BYTES], size_t *ret_n) {
    hold_autofd fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    memset(bytes, 0, HOLD_OWNER_BYTES);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    ssize_t n = pread(fd, bytes, HOLD_OWNER_BYTES, 0);
    *ret_n = n > 0 ? (size_t) n : 0;
    return hold_take_fd(&fd);
}

static void name_host(char out[64]) {
    if (gethostname(out, 64) < 0)
        out[0] = '\0';
    out[63] = '\0';
    if (!is_host(out))
        memcpy(out, "unnamed", 8);
}

bool hold_owner_take(struct hold_owner *owner, int folder_fd, const uint8_t key[8], uint64_t total, bool uses_flock) {
    char name[NAME_BYTES], claim[NAME_BYTES], bytes[HOLD_OWNER_BYTES];
    struct hold_err ignored;
    *owner = (struct hold_owner) { .folder_fd = folder_fd, .fd = -1, .text = { .token = (uint64_t) hold_job_random() << 32 | hold_job_random(), .total = total, .pid = (uint64_t) getpid() } };
    memcpy(owner->key, key, 8);
    name_host(owner->text.host);
    name_of(key, "", name);
    name_of(key, "claim", claim);
    /* Whole and locked before it has its name. */
    hold_autofd fd = openat(folder_fd, claim, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return false;
    owner->text.is_locked = uses_flock && hold_locks_are_kept(fd) && flock(fd, LOCK_EX | LOCK_NB) == 0;
    hold_owner_write(&owner->text, bytes);
    bool is_ours = hold_pwrite_all(fd, bytes, sizeof bytes, 0, "owner record", &ignored) == 0 && linkat(folder_fd, claim, folder_fd, name, 0) == 0;
    int sys = errno;
    unlinkat(folder_fd, claim, 0);
    if (!is_ours && (sys == EPERM || sys == EOPNOTSUPP || sys == ENOSYS || sys == EMLINK)) { /* no hard links here */
        hold_close_fd(&fd);
        fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        sys = errno;
        owner->text.is_locked = 0;
        hold_owner_write(&owner->text, bytes);
        is_ours = fd >= 0 && hold_pwrite_all(fd, bytes, sizeof bytes, 0, "owner record", &ignored) == 0;
    }
    errno = sys;
    if (is_ours)
        owner->fd = hold_take_fd(&fd);
    return is_ours;
}

/* The record by its name, when it is ours; -1 with false in *ret_ours when it is gone or another's. */
static int open_ours(const struct hold_owner *owner, bool *ret_ours) {
    char name[NAME_BYTES], bytes[HOLD_OWNER_BYTES];
    struct hold_owner_text text;
    size_t n = 0;
    name_of(owner->key, "", name);
    hold_autofd fd = open_record(owner->folder_fd, name, bytes, &n);
    bool is_others = fd >= 0 && hold_owner_parse(bytes, n, &text) && text.token != owner->text.token;
    *ret_ours = !is_others && (fd >= 0 || errno != ENOENT);
    return is_others ? -1 : hold_take_fd(&fd);
}

bool hold_owner_is_ours(const struct hold_owner *owner) {
    bool is_ours = false;
    int fd = open_ours(owner, &is_ours);
    hold_close_fd(&fd);
    return is_ours;
}

bool hold_owner_beat(struct hold_owner *owner, uint64_t done) {
    char bytes[HOLD_OWNER_BYTES];
    struct hold_err ignored;
    bool is_ours = false;
    hold_autofd fd = open_ours(owner, &is_ours);
    owner->text.counter++;
    owner->text.done = done;
    hold_owner_write(&owner->text, bytes);
    if (fd >= 0)
        (void) !hold_pwrite_all(fd, bytes, sizeof bytes, 0, "owner record", &ignored); /* a beat that cannot be written is missed, the next may not be */
    return is_ours;
}

/* Claims of takers that died between making and linking; all: whatever else has the key in its name. */
static void sweep(int folder_fd, const uint8_t key[8], bool all) {
    char prefix[NAME_BYTES], hex[17];
    hold_hex_write(key, 8, hex);
    snprintf(prefix, sizeof prefix, ".holdfast-%s-", hex);
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        hold_close_fd(&fd);
        return;
    }
    int seen = 0;
    for (struct dirent *e = readdir(folder); e && seen < MAX_SEEN; e = readdir(folder)) {
        const char *dot = strrchr(e->d_name, '.');
        bool is_claim = dot && (strcmp(dot, ".claim") == 0 || strcmp(dot, ".gone") == 0);
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0 || !(all || is_claim))
            continue;
        seen++;
        unlinkat(folder_fd, e->d_name, 0);
    }
    closedir(folder);
}

void hold_owner_drop(struct hold_owner *owner, bool is_done) {
    char name[NAME_BYTES];
    bool is_ours = false;
    if (owner->fd < 0)
        return;
    hold_autofd fd = open_ours(owner, &is_ours);
    if (fd >= 0) {
        name_of(owner->key, "", name);
        sweep(owner->folder_fd, owner->key, is_done);
        unlinkat(owner->folder_fd, name, 0);
    }
    hold_close_fd(&owner->fd);
}

/* ---- the others ---- */

/* The kernel gave the lock back: its holder is dead. Between our open and our lock a live one may have come to the name. */
static bool lock_has_fallen(int folder_fd, const char *name, int fd) {
    struct stat mine, named;
    return hold_locks_are_kept(fd) && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 && fstatat(folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_ino == mine.st_ino && named.st_dev == mine.st_dev;
}

enum hold_owner_look hold_owner_look(int folder_fd, const uint8_t key[8], uint64_t now_ms, uint64_t still_ms, uint64_t every_ms, bool uses_flock,
                                     struct hold_owner_seen *seen, struct hold_owner_text *ret_text) {
    char name[NAME_BYTES], bytes[HOLD_OWNER_BYTES];
    size_t n = 0;
    name_of(key, "", name);
    hold_autofd fd = open_record(folder_fd, name, bytes, &n);
    if (fd < 0 && errno == ENOENT)
        return HOLD_OWNER_NONE;
    if (!hold_owner_parse(bytes, n, ret_text))
        *ret_text = (struct hold_owner_text) { 0 };
    bool is_same = seen->has_bytes && memcmp(seen->bytes, bytes, sizeof bytes) == 0;
    seen->still_ms = is_same ? seen->still_ms + HOLD_MIN(now_ms - seen->looked_ms, 2 * every_ms) : 0;
    seen->looked_ms = now_ms;
    seen->has_bytes = true;
    memcpy(seen->bytes, bytes, sizeof bytes);
    bool is_dead = seen->still_ms >= still_ms || (fd >= 0 && uses_flock && ret_text->is_locked && lock_has_fallen(folder_fd, name, fd));
    return is_dead ? HOLD_OWNER_DEAD : HOLD_OWNER_MOVES;
}

void hold_owner_evict(int folder_fd, const uint8_t key[8], const struct hold_owner_seen *seen) {
    char name[NAME_BYTES], gone[NAME_BYTES], bytes[HOLD_OWNER_BYTES];
    size_t n = 0;
    name_of(key, "", name);
    name_of(key, "gone", gone);
    hold_autofd before = open_record(folder_fd, name, bytes, &n);
    if (before >= 0 && memcmp(bytes, seen->bytes, sizeof bytes) != 0)
        return; /* moved meanwhile */
    if (renameat(folder_fd, name, folder_fd, gone) < 0)
        return;
    /* Somebody else was quicker and this is already the next one's: it gets its name back. */
    hold_autofd fd = open_record(folder_fd, gone, bytes, &n);
    if (fd >= 0 && memcmp(bytes, seen->bytes, sizeof bytes) != 0)
        (void) !linkat(folder_fd, gone, folder_fd, name, 0);
    unlinkat(folder_fd, gone, 0);
}
