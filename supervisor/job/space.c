/* space.c - room on the disk. Floor: supervisor/job. */
#include "supervisor/job/space.h"

#include <sys/statvfs.h>

int hold_space_check(int folder_fd, uint64_t needed, uint64_t reserve, const char *out, struct hold_verdict *v) {
    struct statvfs fs;
    if (needed == 0 || fstatvfs(folder_fd, &fs) < 0)
        return 0;
    uint64_t free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
    if (needed <= free_bytes && free_bytes - needed >= reserve)
        return 0;
    return hold_verdict_fail(v, HOLD_EXIT_FETCH_SPACE, HOLD_E_IO, 0,
                             "'%.160s': %llu bytes are missing and %llu more stay reserved, the disk has %llu free: %.1f MiB too few", out,
                             (unsigned long long) needed, (unsigned long long) reserve, (unsigned long long) free_bytes,
                             (double) (needed + reserve - free_bytes) / (1 << 20));
}

int hold_space_look(int folder_fd, uint64_t reserve, const char *out, struct hold_verdict *v) {
    struct statvfs fs;
    if (reserve == 0 || fstatvfs(folder_fd, &fs) < 0)
        return 0;
    uint64_t free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
    if (free_bytes >= reserve / 4 * 3)
        return 0;
    return hold_verdict_fail(v, HOLD_EXIT_FETCH_SPACE, HOLD_E_IO, 0, "'%.160s': the disk fills up: %llu bytes are free, %llu stay reserved; stopped, and what came is kept", out,
                             (unsigned long long) free_bytes, (unsigned long long) reserve);
}
