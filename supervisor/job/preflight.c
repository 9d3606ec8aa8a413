/* preflight.c - the judge's loop: gather, judge, wait for what may still come, print. Floor: supervisor/job. */
#include "supervisor/job/preflight.h"

#include "base/list.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/term.h"
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

void hold_preflight_table(const struct hold_findings *findings, bool all, size_t width, struct hold_buf *out) {
    enum { COLUMNS = 4 };
    static const char *const head[COLUMNS] = { "", "WHAT", "MEASURED", "NEEDED, CURE" };
    const char *cells[(HOLD_FINDING_MAX + 1) * COLUMNS];
    char last[HOLD_FINDING_MAX][sizeof findings->at[0].needed + sizeof findings->at[0].cure + 2];
    size_t n = 0;
    memcpy(cells, head, sizeof head);
    for (int severity = HOLD_SEV_FAIL; severity >= (all ? HOLD_SEV_OK : HOLD_SEV_NOTE); severity--)
        for (size_t i = 0; i < findings->n; i++) {
            const struct hold_finding *f = &findings->at[i];
            if ((int) f->severity != severity)
                continue;
            snprintf(last[n], sizeof last[n], "%s%s%s", f->needed, f->cure[0] ? ": " : "", f->cure);
            const char *row[COLUMNS] = { hold_severity_name(f->severity), f->what, f->measured, last[n] };
            n++;
            memcpy(&cells[n * COLUMNS], row, sizeof row);
        }
    hold_table(cells, n + 1, COLUMNS, width, out);
}
