/* record.h - the record in the state folder that outlives process 1. Floor: host.
 *
 * On cgroup v2 the kubelet has the whole container killed at once when memory runs out: nothing in memory survives. One
 * small file, mapped and written in place, opened before each spawn and closed at each end, holds what the next process 1
 * needs. It is rewritten by plain stores into the mapping, so keeping it fresh costs no system call and never blocks. */
#ifndef HOLD_HOST_RECORD_H
#define HOLD_HOST_RECORD_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define HOLD_RECORD_MEMBERS 4

struct hold_record_life {
    char name[32];
    char phase[16];
    uint32_t is_open;  /* a life runs, or its end was never written */
    uint32_t rung;
    uint32_t streak;   /* restarts since the last healthy life */
    uint32_t attempt;
    uint64_t memory_bytes, limit_bytes; /* last reading of the cgroup */
    uint64_t wall_s;   /* when it was opened or closed */
};

struct hold_record {
    struct hold_record_page *page; /* mapped, or NULL: no state folder, everything is a no-op */
    int lock_fd; /* the file, locked while this process 1 lives; -1 with no page */
    struct hold_record_life last[HOLD_RECORD_MEMBERS]; /* what the previous process 1 left */
};

/* Maps (or makes) folder/record. What stood there is copied to r->last; a file of another version or size, or damaged, counts
 * as none. Fails with IO when the folder cannot be used, with BUSY when a running holdfast has it: the caller warns and goes on without. */
HOLD_MUST int hold_record_open(struct hold_record *r, const char *folder, struct hold_err *err);
/* The life that the previous process 1 left for this member, or NULL. */
const struct hold_record_life *hold_record_last(const struct hold_record *r, const char *name);
/* Writes the slot of a member. */
void hold_record_put(struct hold_record *r, unsigned slot, const struct hold_record_life *life);
void hold_record_release(struct hold_record *r);

#endif
