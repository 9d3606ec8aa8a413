/* probe.c - thresholds, periods and the startup back-off of one probe. Floor: supervisor/policy, pure. */
#include "supervisor/policy/probe.h"

#include "base/list.h"

static const char *const verdict_names[HOLD_VERDICT_COUNT] = { "unknown", "up", "down" };

static uint64_t later(uint64_t at_ms, uint64_t by_ms) {
    return by_ms > UINT64_MAX - 1 - at_ms ? UINT64_MAX - 1 : at_ms + by_ms;
}

uint64_t hold_probe_wait_ms(const struct hold_probe_rule *rule, uint32_t n_failed) {
    if (rule->backoff_first_ms == 0 || n_failed == 0)
        return rule->period_ms;
    const uint64_t cap = rule->backoff_max_ms ? rule->backoff_max_ms : rule->period_ms;
    uint64_t wait = rule->backoff_first_ms;
    for (uint32_t i = 1; i < n_failed && wait < cap; i++)
        wait = wait > cap / 2 ? cap : wait * 2;
    return HOLD_MIN(wait, cap);
}

void hold_probe_init(struct hold_probe *p, const struct hold_probe_rule *rule, uint64_t now_ms) {
    *p = (struct hold_probe) { .rule = *rule, .verdict = HOLD_VERDICT_UNKNOWN };
    p->rule.period_ms = HOLD_MAX(rule->period_ms, (uint64_t) 1);
    p->rule.timeout_ms = HOLD_MAX(rule->timeout_ms, (uint64_t) 1);
    p->rule.failure_threshold = HOLD_MAX(rule->failure_threshold, 1u);
    p->rule.success_threshold = HOLD_MAX(rule->success_threshold, 1u);
    p->next_ms = later(now_ms, rule->initial_delay_ms);
    p->asked_ms = now_ms;
}

uint64_t hold_probe_next_ms(const struct hold_probe *p) {
    return p->next_ms;
}

uint64_t hold_probe_ask(struct hold_probe *p, uint64_t now_ms) {
    p->asked_ms = now_ms;
    p->next_ms = UINT64_MAX;
    p->n_asked++;
    return later(now_ms, p->rule.timeout_ms);
}

bool hold_probe_fold(struct hold_probe *p, bool passed, uint64_t now_ms) {
    if (passed) {
        p->failures = 0;
        p->n_failed = 0;
        p->n_passed++;
        if (p->passes < UINT32_MAX)
            p->passes++;
    } else {
        p->passes = 0;
        if (p->failures < UINT32_MAX)
            p->failures++;
        if (p->n_failed < UINT32_MAX)
            p->n_failed++;
    }
    /* The period runs from start to start, the back-off from the failure: it is a pause that the server is given. */
    const uint64_t by_period = later(p->asked_ms, p->rule.period_ms);
    const bool backs_off = !passed && p->rule.backoff_first_ms != 0;
    p->next_ms = backs_off ? later(now_ms, hold_probe_wait_ms(&p->rule, p->n_failed)) : HOLD_MAX(by_period, now_ms);

    const enum hold_verdict before = p->verdict;
    if (passed && p->passes >= p->rule.success_threshold)
        p->verdict = HOLD_VERDICT_UP;
    else if (!passed && p->failures >= p->rule.failure_threshold)
        p->verdict = HOLD_VERDICT_DOWN;
    return p->verdict != before;
}

void hold_probe_hasten(struct hold_probe *p, uint64_t now_ms) {
    if (p->rule.backoff_first_ms == 0 || p->n_asked == 0 || p->n_passed > 0)
        return;
    p->n_failed = 0;
    if (p->next_ms != UINT64_MAX) /* none is open */
        p->next_ms = HOLD_MIN(p->next_ms, later(now_ms, p->rule.backoff_first_ms));
}

const char *hold_verdict_name(enum hold_verdict v) {
    return hold_name_at(verdict_names, HOLD_COUNT_OF(verdict_names), (size_t) v);
}
