/* progress.c - four sources of movement, one deadline. Floor: supervisor/policy, pure. */
#include "supervisor/policy/progress.h"

#include "base/list.h"

static const char *const moved_names[HOLD_MOVED_COUNT] = { "nothing", "told", "log", "read", "memory" };

static void moved(struct hold_progress *p, enum hold_moved by, uint64_t now_ms) {
    p->moved_ms = now_ms;
    p->moved_by = by;
}

void hold_progress_begin(struct hold_progress *p, uint64_t no_progress_ms, uint64_t now_ms) {
    *p = (struct hold_progress) {
        .no_progress_ms = no_progress_ms,
        .begun_ms = now_ms,
        .moved_ms = now_ms,
        .sampled_ms = now_ms,
        .moved_by = HOLD_MOVED_NOT,
        .milestone = -1,
    };
}

bool hold_progress_told(struct hold_progress *p, uint64_t done, uint64_t total, uint64_t now_ms) {
    const bool is_new_count = total != p->total;
    p->done = done;
    p->total = total;
    if (!is_new_count && done <= p->best_done)
        return false;
    p->best_done = done;
    moved(p, HOLD_MOVED_TOLD, now_ms);
    return true;
}

void hold_progress_touch(struct hold_progress *p, uint64_t now_ms) {
    moved(p, HOLD_MOVED_TOLD, now_ms);
}

bool hold_progress_milestone(struct hold_progress *p, int index, uint64_t done, uint64_t total, uint64_t now_ms) {
    if (index == p->milestone && done <= p->milestone_done)
        return false;
    p->milestone = index;
    p->milestone_done = done;
    /* A number in the log is shown only while the child tells none of its own. */
    if (p->best_done == 0 && total != 0) {
        p->done = done;
        p->total = total;
    }
    moved(p, HOLD_MOVED_LOG, now_ms);
    return true;
}

bool hold_progress_sample(struct hold_progress *p, const struct hold_progress_sample *s, uint64_t now_ms) {
    p->sampled_ms = now_ms;
    if (!p->has_sample) {
        p->has_sample = true;
        p->read_bytes = s->read_bytes;
        p->memory_bytes = s->memory_bytes;
        return false;
    }
    bool is_moved = false;
    if (s->read_bytes > p->read_bytes && s->read_bytes - p->read_bytes >= HOLD_PROGRESS_READ_STEP) {
        p->read_bytes = s->read_bytes;
        moved(p, HOLD_MOVED_READ, now_ms);
        is_moved = true;
    }
    if (s->memory_bytes > p->memory_bytes && s->memory_bytes - p->memory_bytes >= HOLD_PROGRESS_MEMORY_STEP) {
        p->memory_bytes = s->memory_bytes;
        if (!is_moved)
            moved(p, HOLD_MOVED_MEMORY, now_ms);
        is_moved = true;
    }
    return is_moved;
}

uint64_t hold_progress_deadline_ms(const struct hold_progress *p) {
    if (p->no_progress_ms == 0 || p->no_progress_ms >= UINT64_MAX - p->moved_ms)
        return UINT64_MAX;
    return p->moved_ms + p->no_progress_ms;
}

uint64_t hold_progress_sample_ms(const struct hold_progress *p) {
    if (hold_progress_deadline_ms(p) == UINT64_MAX)
        return UINT64_MAX;
    const uint64_t step = HOLD_MAX(p->no_progress_ms / 4, (uint64_t) 1);
    return HOLD_MAX(p->moved_ms, p->sampled_ms) + step;
}

const char *hold_moved_name(enum hold_moved m) {
    return hold_name_at(moved_names, HOLD_COUNT_OF(moved_names), (size_t) m);
}
