/* pace.c - measuring, doubling, going back. Floor: supervisor/policy, pure. */
#include "supervisor/policy/pace.h"

#include "base/list.h"

static void begin_window(struct hold_pace *pace, uint64_t now_ms, uint64_t bytes, uint64_t own_ms) {
    pace->begun_ms = now_ms;
    pace->begun_bytes = bytes;
    pace->begun_own_ms = own_ms;
}

static void try_more(struct hold_pace *pace, uint64_t rate) {
    pace->before = pace->wanted;
    pace->rate_before = rate;
    pace->wanted = HOLD_MIN(2 * pace->wanted, pace->max);
    pace->is_settled = pace->wanted == pace->before;
    pace->again_at_ms = UINT64_MAX; /* at the maximum there is nothing to try */
}

static void go_back(struct hold_pace *pace, uint64_t now_ms) {
    pace->wanted = pace->before;
    pace->is_settled = true;
    pace->again_ms = pace->again_ms ? HOLD_MIN(2 * pace->again_ms, (uint64_t) HOLD_PACE_AGAIN_MAX_MS) : HOLD_PACE_AGAIN_MS;
    pace->again_at_ms = now_ms + pace->again_ms;
}

uint32_t hold_pace_step(struct hold_pace *pace, uint64_t now_ms, uint64_t bytes, uint64_t own_ms, uint32_t running) {
    if (pace->window_ms == 0)
        return pace->wanted = pace->max;
    if (pace->wanted == 0) {
        pace->wanted = 1;
        begin_window(pace, now_ms, bytes, own_ms);
    }
    if (running < pace->wanted || bytes < pace->begun_bytes)
        begin_window(pace, now_ms, bytes, own_ms);
    uint64_t elapsed = now_ms - pace->begun_ms;
    if (elapsed < pace->window_ms)
        return pace->wanted;
    uint64_t rate = (bytes - pace->begun_bytes) / elapsed * 1000;
    bool is_ours = (own_ms - pace->begun_own_ms) * 100 > elapsed * HOLD_PACE_OWN_PCT;
    if (is_ours && (pace->before == 0 || pace->is_settled))
        ; /* another window */
    else if (pace->before == 0 || (pace->is_settled && now_ms >= pace->again_at_ms))
        try_more(pace, rate);
    else if (!pace->is_settled && rate / 5 >= pace->rate_before / 4)
        try_more(pace, rate);
    else if (!pace->is_settled)
        go_back(pace, now_ms);
    begin_window(pace, now_ms, bytes, own_ms);
    return pace->wanted;
}
