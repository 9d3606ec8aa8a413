/* preflight.h - gather, judge, wait with back-off, print. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_PREFLIGHT_H
#define HOLD_SUPERVISOR_JOB_PREFLIGHT_H

#include "supervisor/job/facts.h"

struct hold_preflight {
    struct hold_facts_asked asked;
    struct hold_wants wants;
    uint64_t need_timeout_ms;  /* how long dependencies are waited for; 0: asked once */
    uint64_t backoff_first_ms, backoff_max_ms;
    int control_fd;            /* -1: none */
};

/* Gathers, judges, and while every failure may pass with time asks again with back-off, telling process 1 what is waited
 * for. Strings in ret_findings are its own. Never fails; blocks up to need_timeout_ms and a little. */
void hold_preflight_run(const struct hold_preflight *preflight, struct hold_facts *ret_facts, struct hold_arena *arena,
                        struct hold_findings *ret_findings);
/* {"status": n, "findings": [{"id":...,"severity":...,"what":...,"measured":...,"needed":...,"cure":...}]} and a newline. */
void hold_preflight_json(const struct hold_findings *findings, struct hold_buf *out);
/* For people: what was measured, what is needed and the cure, worst first; a line for each sound finding; the sum. */
void hold_preflight_text(const struct hold_findings *findings, struct hold_buf *out);

#endif
