/* behind.c - write-behind and dropping of pages. Floor: supervisor/job. */
#include "supervisor/job/behind.h"

#include "base/list.h"
#include "supervisor/job/facts.h"

#include <fcntl.h>

#define ARENA_MAX (64u << 10)

void hold_behind_start(int fd, uint64_t at, uint64_t n) {
    uint64_t first = at / HOLD_BEHIND_BYTES, next = (at + n) / HOLD_BEHIND_BYTES;
    if (next > first)
        (void) sync_file_range(fd, (off_t) (first * HOLD_BEHIND_BYTES), (off_t) ((next - first) * HOLD_BEHIND_BYTES), SYNC_FILE_RANGE_WRITE);
}

void hold_behind_drop(int fd, uint64_t at, uint64_t n) {
    for (uint64_t window = at / HOLD_BEHIND_BYTES; window < (at + n) / HOLD_BEHIND_BYTES; window++) {
        if (window == 0)
            continue;
        /* The one before: its writing began a window ago, so this seldom waits long. */
        off_t from = (off_t) ((window - 1) * HOLD_BEHIND_BYTES);
        (void) sync_file_range(fd, from, (off_t) HOLD_BEHIND_BYTES, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        (void) posix_fadvise(fd, from, (off_t) HOLD_BEHIND_BYTES, POSIX_FADV_DONTNEED);
    }
}

void hold_behind_drop_all(int fd) {
    (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

bool hold_behind_drops(enum hold_cache cache, uint64_t bytes) {
    if (cache != HOLD_CACHE_AUTO)
        return cache == HOLD_CACHE_DROP;
    hold_autoarena arena = hold_arena_with_max(ARENA_MAX);
    struct hold_fact_memory m = { 0 };
    hold_facts_memory(&arena, &m);
    uint64_t room = m.limit == HOLD_FACT_NO_LIMIT ? UINT64_MAX : m.limit - HOLD_MIN(m.limit, m.limit_used);
    if (bytes == UINT64_MAX)
        return room != UINT64_MAX; /* whatever it is, a limit is nearer than the machine's memory */
    if (m.available)
        room = HOLD_MIN(room, m.available);
    return bytes > room / 10 * 9;
}
