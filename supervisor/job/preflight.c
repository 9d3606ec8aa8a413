/* preflight.c - the judge's loop: gather, judge, wait for what may still come, print. Floor: supervisor/job. */
#include "supervisor/job/preflight.h"

#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "base/notify.h"
#include "supervisor/job/clock.h"
#include "supervisor/policy/backoff.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static void say_waiting(const struct hold_preflight *preflight, const struct hold_findings *findings, uint64_t waited_ms, uint64_t delay_ms) {
    const struct hold_finding *worst = hold_preflight_worst(findings);
    hold_control_say(preflight->control_fd, "STATUS=waiting for %s: %s", worst->what, worst->measured);
    hold_control_say(preflight->control_fd, "X_HOLDFAST_PROGRESS=%llu/%llu", (unsigned long long) waited_ms, (unsigned long long) preflight->need_timeout_ms);
    hold_log(HOLD_LV_INFO, HOLD_EV_FINDING, HOLD_LS("id", worst->id), HOLD_LS("what", worst->what), HOLD_LS("measured", worst->measured),
             HOLD_LU("waited_ms", waited_ms), HOLD_LU("delay_ms", delay_ms));
}

void hold_preflight_run(const struct hold_preflight *preflight, struct hold_facts *ret_facts, struct hold_arena *arena, struct hold_findings *ret_findings) {
    const struct hold_backoff backoff = { .first_ms = preflight->backoff_first_ms, .max_ms = preflight->backoff_max_ms, .jitter_pct = 10 };
    uint64_t begun = hold_job_now_ms();
    hold_facts_gather(&preflight->asked, arena, ret_facts);
    for (uint32_t attempt = 0;; attempt++) {
        uint64_t waited = hold_job_now_ms() - begun;
        hold_facts_ask_needs(&preflight->asked, waited, arena, ret_facts);
        hold_preflight_judge(ret_facts, &preflight->wants, ret_findings);
        waited = hold_job_now_ms() - begun;
        if (!hold_preflight_may_pass(ret_findings) || waited >= preflight->need_timeout_ms)
            return;
        uint64_t delay = hold_backoff_delay_ms(&backoff, attempt, hold_job_random());
        delay = HOLD_MIN(delay, preflight->need_timeout_ms - waited);
        say_waiting(preflight, ret_findings, waited, delay);
        (void) poll(NULL, 0, (int) HOLD_MIN(delay, UINT64_C(60000)));
    }
}

static void add_pair(struct hold_buf *out, const char *key, const char *value) {
    hold_buf_addf(out, ", \"%s\": ", key);
    hold_buf_add_json(out, value, strlen(value));
}

void hold_preflight_json(const struct hold_findings *findings, struct hold_buf *out) {
    hold_buf_addf(out, "{\"status\": %d, \"findings\": [", hold_preflight_status(findings));
    for (size_t i = 0; i < findings->n; i++) {
        const struct hold_finding *f = &findings->at[i];
        hold_buf_addf(out, "%s\n  {\"id\": ", i ? "," : "");
        hold_buf_add_json(out, f->id, strlen(f->id));
        add_pair(out, "severity", hold_severity_name(f->severity));
        hold_buf_addf(out, ", \"status\": %d, \"may_pass\": %s", f->status, f->may_pass ? "true" : "false");
        add_pair(out, "what", f->what);
        add_pair(out, "measured", f->measured);
        add_pair(out, "needed", f->needed);
        add_pair(out, "cure", f->cure);
        hold_buf_addc(out, '}');
    }
    hold_buf_adds(out, "\n]}\n");
}

void hold_preflight_text(const struct hold_findings *findings, struct hold_buf *out) {
    size_t n[HOLD_SEV_FAIL + 1] = { 0 };
    for (int severity = HOLD_SEV_FAIL; severity >= HOLD_SEV_OK; severity--)
        for (size_t i = 0; i < findings->n; i++) {
            const struct hold_finding *f = &findings->at[i];
            if ((int) f->severity != severity)
                continue;
            n[severity]++;
            hold_buf_addf(out, "%-5s %s: %s", hold_severity_name(f->severity), f->what, f->measured);
            if (severity == HOLD_SEV_OK)
                hold_buf_addf(out, " (%s)\n", f->needed);
            else
                hold_buf_addf(out, "\n        needed: %s\n%s%s%s", f->needed, *f->cure ? "        cure:   " : "", f->cure, *f->cure ? "\n" : "");
        }
    const struct hold_exit_row *row = hold_exit_find(hold_preflight_status(findings));
    hold_buf_addf(out, "%zu to cure, %zu warning%s, %zu note%s, %zu in order", n[HOLD_SEV_FAIL], n[HOLD_SEV_WARN], n[HOLD_SEV_WARN] == 1 ? "" : "s",
                  n[HOLD_SEV_NOTE], n[HOLD_SEV_NOTE] == 1 ? "" : "s", n[HOLD_SEV_OK]);
    if (row)
        hold_buf_addf(out, "; exit status %d: %s", row->status, row->meaning);
    hold_buf_addc(out, '\n');
}
