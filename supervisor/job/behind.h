/* behind.h - what happens to a file's pages behind the place where it is written: the disk begins early, and where memory is short they
 * are dropped. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_BEHIND_H
#define HOLD_SUPERVISOR_JOB_BEHIND_H

#include <stdbool.h>
#include <stdint.h>

#define HOLD_BEHIND_BYTES (UINT64_C(8) << 20) /* written at once, so that the end is not one burst at the fsync */

enum hold_cache { HOLD_CACHE_AUTO, HOLD_CACHE_KEEP, HOLD_CACHE_DROP };

/* Bytes [at, at + n) of fd were written: each window of HOLD_BEHIND_BYTES that ends in them begins to go to the disk. Does not wait. */
void hold_behind_start(int fd, uint64_t at, uint64_t n);
/* Nothing reads [at, at + n) again soon: the windows that end in them, less the last one, are waited for and leave the page cache. */
void hold_behind_drop(int fd, uint64_t at, uint64_t n);
/* All of the file is on the disk (after fsync) and leaves the page cache. */
void hold_behind_drop_all(int fd);

/* Whether a file or model of so many bytes (UINT64_MAX: unknown) shall be dropped: AUTO drops it when nine tenths of what this cgroup (v1
 * or v2) and the machine can still hold are less than that. Reads cgroup files and meminfo. */
bool hold_behind_drops(enum hold_cache cache, uint64_t bytes);

#endif
