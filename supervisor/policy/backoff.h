/* backoff.h - how long to wait before the next try, and how many tries there are. Floor: policy, pure. */
#ifndef HOLD_POLICY_BACKOFF_H
#define HOLD_POLICY_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct hold_backoff {
    uint64_t first_ms;   /* the first wait */
    uint64_t max_ms;     /* the cap before jitter; below first_ms it is taken as first_ms */
    uint32_t jitter_pct; /* up to this much is added, 0..100 */
};

/* first_ms * 2^attempt, at most max_ms, plus 0..jitter_pct per cent by `random` (uniform over all of uint32_t). */
uint64_t hold_backoff_delay_ms(const struct hold_backoff *b, uint32_t attempt, uint32_t random);

/* A run of restarts: `streak` counts the lives since the last healthy one. */
struct hold_restarts {
    uint32_t streak;
};

/* The wait after a life. A life that was healthy (ready for at least the reset time) refills: its restart is immediate and
 * the next one waits first_ms again. Merely running does not count as healthy. */
uint64_t hold_restarts_next_ms(struct hold_restarts *r, const struct hold_backoff *b, bool was_healthy, uint32_t random);

/* At most max spendings in a sliding window. Zero max or zero window: no limit. max is cut to HOLD_BUDGET_MAX. */
#define HOLD_BUDGET_MAX 2048
struct hold_budget {
    uint64_t spent_ms[HOLD_BUDGET_MAX]; /* the newest n times, a ring */
    uint32_t n, at;
    uint32_t max;
    uint64_t window_ms;
};

/* Spends one at now_ms; false, and nothing is spent, when max were spent in the window that ends now. */
bool hold_budget_spend(struct hold_budget *b, uint64_t now_ms);
/* How many are left at now_ms; UINT32_MAX without a limit. */
uint32_t hold_budget_left(const struct hold_budget *b, uint64_t now_ms);
void hold_budget_refill(struct hold_budget *b);

#endif
