/* backoff.c - delays and the restart budget. Floor: policy, pure. */
#include "supervisor/policy/backoff.h"

#include "base/list.h"

uint64_t hold_backoff_delay_ms(const struct hold_backoff *b, uint32_t attempt, uint32_t random) {
    uint64_t cap = HOLD_MAX(b->max_ms, b->first_ms);
    uint64_t delay = b->first_ms;
    for (uint32_t i = 0; i < attempt && delay < cap && delay > 0; i++)
        delay = delay > cap / 2 ? cap : delay * 2;
    uint64_t pct = HOLD_MIN(b->jitter_pct, 100u);
    uint64_t most = delay / 100 * pct + delay % 100 * pct / 100;
    most = HOLD_MIN(most, (uint64_t) UINT32_MAX); /* 49 days: beyond any cap, and the product below cannot wrap */
    uint64_t more = most * random / UINT32_MAX;
    return more > UINT64_MAX - delay ? UINT64_MAX : delay + more;
}

uint64_t hold_restarts_next_ms(struct hold_restarts *r, const struct hold_backoff *b, bool was_healthy, uint32_t random) {
    if (was_healthy) {
        r->streak = 0;
        return 0;
    }
    uint64_t delay = hold_backoff_delay_ms(b, r->streak, random);
    if (r->streak < UINT32_MAX)
        r->streak++;
    return delay;
}

static uint32_t limit_of(const struct hold_budget *b) {
    return b->max > HOLD_BUDGET_MAX ? HOLD_BUDGET_MAX : b->max;
}

uint32_t hold_budget_left(const struct hold_budget *b, uint64_t now_ms) {
    uint32_t limit = limit_of(b);
    if (limit == 0 || b->window_ms == 0)
        return UINT32_MAX;
    uint32_t inside = 0;
    for (uint32_t i = 0; i < b->n; i++)
        inside += now_ms < b->spent_ms[i] || now_ms - b->spent_ms[i] < b->window_ms;
    return inside >= limit ? 0 : limit - inside;
}

bool hold_budget_spend(struct hold_budget *b, uint64_t now_ms) {
    uint32_t left = hold_budget_left(b, now_ms);
    if (left == 0)
        return false;
    if (left == UINT32_MAX)
        return true;
    b->spent_ms[b->at] = now_ms;
    b->at = (b->at + 1) % HOLD_BUDGET_MAX;
    if (b->n < HOLD_BUDGET_MAX)
        b->n++;
    return true;
}

void hold_budget_refill(struct hold_budget *b) {
    b->n = 0;
    b->at = 0;
}
