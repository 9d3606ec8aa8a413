/* probe.h - folding the answers of one probe into a verdict. Floor: supervisor/policy, pure.
 *
 * The fields are the kubelet's and mean what they mean there: after initial_delay the first question, then one every
 * period, counted from start to start and never two at once; an answer that does not come within timeout is a failure; the
 * verdict changes after failure_threshold failures, or success_threshold passes, in a row. Between a failed *startup*
 * question and the next the wait grows: first, x2, ... up to a cap, so that a server that loads for ten minutes is not
 * asked six hundred times, and one that is up in a second is seen in a second. Time comes in as an argument. */
#ifndef HOLD_SUPERVISOR_POLICY_PROBE_H
#define HOLD_SUPERVISOR_POLICY_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct hold_probe_rule {
    uint64_t initial_delay_ms;
    uint64_t period_ms;          /* >= 1; smaller is taken as 1 */
    uint64_t timeout_ms;         /* >= 1 */
    uint32_t failure_threshold;  /* >= 1 */
    uint32_t success_threshold;  /* >= 1; 1 for startup and liveness, as in the kubelet */
    uint64_t backoff_first_ms;   /* wait after the first failure; doubles. 0: no back-off, period counts */
    uint64_t backoff_max_ms;     /* cap of that wait; 0: period_ms */
};

/* UNKNOWN until the first threshold is passed; a new life begins with hold_probe_init. */
enum hold_verdict { HOLD_VERDICT_UNKNOWN, HOLD_VERDICT_UP, HOLD_VERDICT_DOWN, HOLD_VERDICT_COUNT };

struct hold_probe {
    struct hold_probe_rule rule;
    enum hold_verdict verdict;
    uint32_t passes, failures; /* in a row; one of them is 0 */
    uint32_t n_failed;         /* failures in a row that the back-off counts */
    uint64_t next_ms;          /* when the next question is due; UINT64_MAX while one is open */
    uint64_t asked_ms;         /* when the open, or else the last, question began */
    uint64_t n_asked, n_passed;
};

/* A probe at the beginning of a life. Values of 0 that make no sense (period, timeout, thresholds) are taken as 1. */
void hold_probe_init(struct hold_probe *p, const struct hold_probe_rule *rule, uint64_t now_ms);
/* When the next question is due; UINT64_MAX while one is open. */
uint64_t hold_probe_next_ms(const struct hold_probe *p);
/* The question begins now. Returns the deadline of its answer. Call only when none is open. */
uint64_t hold_probe_ask(struct hold_probe *p, uint64_t now_ms);
/* The answer came (or its time ran out: passed = false). True when the verdict changed by it, and only then. An answer
 * without a question is counted in the same way (a told READY=1 is an answer that nobody asked for). */
bool hold_probe_fold(struct hold_probe *p, bool passed, uint64_t now_ms);
/* The server gave a sign of life while it starts (a milestone in its output): the back-off begins again, so that the next question comes
 * soon after it. Changes nothing before the first question, after the first pass and without a back-off. */
void hold_probe_hasten(struct hold_probe *p, uint64_t now_ms);
/* The wait between the failure number n (1, 2, ...) and the next question. */
uint64_t hold_probe_wait_ms(const struct hold_probe_rule *rule, uint32_t n_failed);
const char *hold_verdict_name(enum hold_verdict v);

#endif
