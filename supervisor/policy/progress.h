/* progress.h - has this phase moved? Floor: supervisor/policy, pure.
 *
 * Stuck is not slow: a start fails when nothing moved for the no-progress time, however long it takes in all. Four sources
 * count, from the most to the least trusted: what the child tells (X_HOLDFAST_PROGRESS, a changed STATUS or phase), log
 * milestones, bytes it read, memory it grew by. Each counts only past its own high-water mark and by at least a step, so
 * that a retry loop which reads the same megabyte, or a heap that breathes, is not taken for progress. */
#ifndef HOLD_SUPERVISOR_POLICY_PROGRESS_H
#define HOLD_SUPERVISOR_POLICY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum hold_moved { HOLD_MOVED_NOT, HOLD_MOVED_TOLD, HOLD_MOVED_LOG, HOLD_MOVED_READ, HOLD_MOVED_MEMORY, HOLD_MOVED_COUNT };

#define HOLD_PROGRESS_READ_STEP ((uint64_t) 1 << 20)    /* bytes read from storage or pipes that count as one step */
#define HOLD_PROGRESS_MEMORY_STEP ((uint64_t) 16 << 20) /* resident bytes past the highest seen */

/* What can be seen from outside, summed over the member's tree; 0 where it could not be read. */
struct hold_progress_sample {
    uint64_t read_bytes;   /* rchar of /proc/PID/io: counts page cache hits too, which mmap reads do not */
    uint64_t memory_bytes; /* resident */
};

struct hold_progress {
    uint64_t no_progress_ms; /* 0: never fails for want of progress */
    uint64_t begun_ms, moved_ms, sampled_ms;
    enum hold_moved moved_by;     /* of the last move */
    uint64_t done, total;         /* as last told, or read from a milestone; total 0: unknown */
    uint64_t best_done;
    uint64_t read_bytes, memory_bytes; /* high-water marks */
    int milestone;                /* index of the last one, or -1 */
    uint64_t milestone_done;
    bool has_sample;
};

/* A phase begins: it counts as moved now. */
void hold_progress_begin(struct hold_progress *p, uint64_t no_progress_ms, uint64_t now_ms);
/* done of total was told. True when it is further than ever before in this phase. A changed total begins a new count. */
bool hold_progress_told(struct hold_progress *p, uint64_t done, uint64_t total, uint64_t now_ms);
/* Something other than a number was told (a new phase, EXTEND_TIMEOUT_USEC): counts as moved, without condition. */
void hold_progress_touch(struct hold_progress *p, uint64_t now_ms);
/* A milestone line was read. True when it is another milestone than the last, or the same with a higher number. */
bool hold_progress_milestone(struct hold_progress *p, int index, uint64_t done, uint64_t total, uint64_t now_ms);
/* A look from outside. The first one only sets the marks. True when one of them moved by a step. */
bool hold_progress_sample(struct hold_progress *p, const struct hold_progress_sample *s, uint64_t now_ms);
/* When the phase fails if nothing moves until then; UINT64_MAX for never. */
uint64_t hold_progress_deadline_ms(const struct hold_progress *p);
/* When a look from outside is worth taking: a quarter of the no-progress time after the last move or look, so that a
 * phase which tells its progress is never looked at; UINT64_MAX for never. */
uint64_t hold_progress_sample_ms(const struct hold_progress *p);
const char *hold_moved_name(enum hold_moved m);

#endif
