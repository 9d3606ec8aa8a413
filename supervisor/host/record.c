/* record.c - the record in the state folder. Floor: host. */
#include "supervisor/host/record.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define HOLD_RECORD_MAGIC UINT64_C(0x314452434552444c) /* "LDRECRD1" */

struct hold_record_slot {
    struct hold_record_life life;
    uint64_t sum; /* over life: a slot that was torn by a power cut or a full disk is not believed */
};

struct hold_record_page {
    uint64_t magic;
    struct hold_record_slot slots[HOLD_RECORD_MEMBERS];
};

static uint64_t sum_of(const struct hold_record_life *life) {
    const unsigned char *at = (const unsigned char *) life;
    uint64_t sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */
    for (size_t i = 0; i < sizeof(*life); i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return sum;
}

int hold_record_open(struct hold_record *r, const char *folder, struct hold_err *err) {
    *r = (struct hold_record) { .lock_fd = -1 };
    hold_autofd dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        if (hold_mkdirs(folder, 0755, err) < 0)
            return hold_wrap(err, "state folder '%s'", folder);
        dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    hold_autofd fd = dir < 0 ? -1 : openat(dir, "record", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open '%s/record'", folder);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return hold_fail(err, HOLD_E_BUSY, 0, "state folder '%s' belongs to a running holdfast; use another --state-dir", folder);
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return hold_fail(err, HOLD_E_IO, errno, "'%s/record' is not a regular file", folder);
    bool fits = st.st_size == (off_t) sizeof(struct hold_record_page);
    /* Blocks are taken now, so that a store into the mapping can never meet a full disk (SIGBUS). */
    bool has_blocks = fits && st.st_blocks > 0;
    int sys = !fits && ftruncate(fd, 0) < 0 ? errno : has_blocks ? 0 : posix_fallocate(fd, 0, (off_t) sizeof(struct hold_record_page));
    if (sys != 0)
        return hold_fail(err, HOLD_E_IO, sys, "make '%s/record'", folder);
    struct hold_record_page before; /* a look at the mapping would cost a page fault of its own */
    fits = fits && pread(fd, &before, sizeof(before), 0) == (ssize_t) sizeof(before);
    void *p = mmap(NULL, sizeof(struct hold_record_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return hold_fail(err, HOLD_E_IO, errno, "map '%s/record'", folder);
    r->page = p;
    r->lock_fd = hold_take_fd(&fd);
    for (size_t i = 0; i < HOLD_RECORD_MEMBERS && fits && before.magic == HOLD_RECORD_MAGIC; i++) {
        struct hold_record_slot slot = before.slots[i];
        slot.life.name[sizeof(slot.life.name) - 1] = '\0';
        slot.life.phase[sizeof(slot.life.phase) - 1] = '\0';
        if (slot.sum == sum_of(&slot.life))
            r->last[i] = slot.life;
    }
    r->page->magic = HOLD_RECORD_MAGIC;
    return 0;
}

const struct hold_record_life *hold_record_last(const struct hold_record *r, const char *name) {
    for (size_t i = 0; i < HOLD_RECORD_MEMBERS; i++)
        if (r->last[i].name[0] && strcmp(r->last[i].name, name) == 0)
            return &r->last[i];
    return NULL;
}

void hold_record_put(struct hold_record *r, unsigned slot, const struct hold_record_life *life) {
    if (!r->page || slot >= HOLD_RECORD_MEMBERS)
        return;
    r->page->slots[slot].sum = 0; /* not believed while it changes */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    r->page->slots[slot].life = *life;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    r->page->slots[slot].sum = sum_of(life);
}

void hold_record_release(struct hold_record *r) {
    if (!r->page)
        return;
    (void) munmap(r->page, sizeof(*r->page));
    r->page = NULL;
    hold_close_fd(&r->lock_fd);
}
