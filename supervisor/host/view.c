/* view.c - the picture of process 1 that status, page, metrics and report are rendered from. Floor: host. */
#include "supervisor/host/view.h"

#include "base/list.h"
#include "base/log.h"
#include "supervisor/host/core.h"
#include "supervisor/host/report.h"
#include "supervisor/policy/phase.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define COPY(to, from) ((void) snprintf((to), sizeof(to), "%.*s", (int) sizeof(to) - 1, (from)))

static void view_asking(const struct hold_member *m, struct hold_view_member *v) {
    const struct hold_asking *a = &m->ask[HOLD_ASK_READY];
    v->has_probe = m->config->health.ready || m->config->health.startup;
    v->probe_ok = a->probe.verdict == HOLD_VERDICT_UP || (a->probe.verdict == HOLD_VERDICT_UNKNOWN && m->state == HOLD_MEMBER_READY);
    COPY(v->probe_text, a->io.why);
    for (size_t i = 0; i < HOLD_ASK_COUNT; i++) {
        v->is_stalled |= m->ask[i].is_stalled;
        v->probes_ok += m->ask[i].probe.n_passed;
        v->probes_failed += m->ask[i].probe.n_asked - HOLD_MIN(m->ask[i].probe.n_passed, m->ask[i].probe.n_asked);
    }
}

static void view_member(const struct hold_core *core, const struct hold_member *m, struct hold_view_member *v) {
    const struct hold_rung *rung = hold_ladder_at(&m->config->ladder, m->rung);
    *v = (struct hold_view_member) {
        .name = m->config->name, .profile = m->plan && core->config->sandbox != HOLD_SANDBOX_OFF ? hold_profile_name(m->plan->profile) : "",
        .state = m->state, .since_ms = m->since_ms, .pid = m->child.pid, .attempt = m->attempt, .restarts = m->attempt > 0 ? m->attempt - 1 : 0,
        .started_ms = m->started_ms, .ready_ms = m->ready_ms, .rung = m->rung, .rung_name = rung && rung->name ? rung->name : "",
        .retry_at_ms = m->deadline_ms[HOLD_MEMBER_DL_BACKOFF] == HOLD_NEVER ? 0 : m->deadline_ms[HOLD_MEMBER_DL_BACKOFF], .delay_ms = m->delay_ms,
        .has_exited = m->has_exited, .exited_ms = m->exited_ms, .progress_done = m->progress.done, .progress_total = m->progress.total,
        .progress_unit = m->progress.best_done > 0 ? "bytes" : m->progress.total == 100 ? "%" : "", .progress_ms = m->progress.moved_ms, .inflight = m->inflight,
    };
    v->exit_code = WIFEXITED(m->wait_status) ? WEXITSTATUS(m->wait_status) : -1;
    v->exit_signal = WIFSIGNALED(m->wait_status) ? WTERMSIG(m->wait_status) : 0;
    if (m->exec_status && m->has_exited && m->child.pid == 0)
        v->exit_code = m->exec_status;
    if (m->has_exited && m->diagnosis.cause != HOLD_CAUSE_NONE) {
        COPY(v->cause, hold_cause_info(m->diagnosis.cause)->name);
        COPY(v->action, hold_action_name(m->diagnosis.action));
        COPY(v->evidence, m->diagnosis.text);
    }
    memcpy(v->restart_causes, m->restart_causes, sizeof(v->restart_causes));
    v->starts_ready = m->starts_ready;
    v->starts_failed = m->starts_failed;
    COPY(v->said, m->said);
    view_asking(m, v);
    v->layers = m->plan ? m->plan->layers : NULL;
    for (size_t i = 0; m->plan && i < HOLD_LAYER_COUNT; i++) {
        enum hold_layer_state state = m->plan->layers[i].state;
        v->sandbox_applied |= (uint32_t) (state == HOLD_LAYER_ON || state == HOLD_LAYER_PARTIAL) << i;
        v->sandbox_missing |= (uint32_t) (state == HOLD_LAYER_MISSING) << i;
    }
}

static void view_job(const struct hold_core *core, struct hold_view *v) {
    const struct hold_job *job = &core->job;
    v->job = job->has_run ? hold_job_name(job->kind) : "";
    v->job_pid = job->child.pid;
    v->job_attempt = job->attempt;
    v->job_done = job->done;
    v->job_total = job->total;
    COPY(v->job_said, job->said);
}

/* "fetch, 12 % of 7103863 bytes: another pod fetches it": who, how far, and its own words. */
static void say_waits(char out[HOLD_VIEW_TEXT], const char *who, uint64_t done, uint64_t total, const char *unit, const char *said) {
    char far[80] = "", of[48] = "";
    if (unit[0] != '\0')
        (void) snprintf(of, sizeof(of), " of %llu %s", (unsigned long long) total, unit);
    if (total > 0)
        (void) snprintf(far, sizeof(far), ", %u %%%s", (unsigned) ((double) HOLD_MIN(done, total) / (double) total * 100), of);
    (void) snprintf(out, HOLD_VIEW_TEXT, "%s%s%s%.*s", who, far, said[0] ? ": " : "", HOLD_VIEW_TEXT - 160, said);
}

static void waits_for(const struct hold_core *core, char out[HOLD_VIEW_TEXT]) {
    const struct hold_job *job = &core->job;
    out[0] = '\0';
    if (core->state == HOLD_CONTAINER_PREFLIGHT || core->state == HOLD_CONTAINER_FETCHING || core->state == HOLD_CONTAINER_VERIFYING) {
        if (job->has_run)
            say_waits(out, hold_job_name(job->kind), job->done, job->total, job->kind == HOLD_JOB_PREFLIGHT ? "ms" : "bytes", job->said);
        return;
    }
    for (size_t i = 0; core->state == HOLD_CONTAINER_UP && out[0] == '\0' && i < core->n_members; i++) {
        const struct hold_member *m = &core->members[i];
        if (m->state == HOLD_MEMBER_LOADING || m->state == HOLD_MEMBER_WARMING)
            say_waits(out, m->config->name, m->progress.done, m->state == HOLD_MEMBER_LOADING ? m->progress.total : 0, m->progress.best_done > 0 ? "bytes" : "", m->said);
    }
}

void hold_core_view(const struct hold_core *core, uint64_t now_ms, struct hold_view *v) {
    enum hold_member_state states[HOLD_CONFIG_SERVERS];
    *v = (struct hold_view) {
        .now_ms = now_ms, .started_ms = core->started_ms, .started_wall_s = core->started_wall_s,
        .mode = core->config->mode == HOLD_MODE_RUN ? "run" : "exec", .container = core->state, .phase_since_ms = core->phase_since_ms,
        .is_started = core->is_started, .is_stopping = core->stop_ms != 0, .n_phases = core->n_phases, .cold_start_ms = core->cold_start_ms,
        .n_members = (uint32_t) core->n_members, .n_findings = core->n_findings, .generation = core->generation,
        .orphans_reaped = core->orphans_reaped, .unkillable = core->unkillable, .drain_ms = core->drain_ms, .restarts_left = UINT64_MAX, .stored_fds = core->store.n + (core->listen_fd >= 0),
        .exit_code = core->state == HOLD_CONTAINER_EXITED ? core->ending.exit_code : -1,
    };
    for (size_t i = 0; i < core->n_members; i++) {
        states[i] = core->members[i].state;
        view_member(core, &core->members[i], &v->members[i]);
        uint32_t left = hold_budget_left(&core->members[i].budget, now_ms);
        if (left != UINT32_MAX)
            v->restarts_left = HOLD_MIN(v->restarts_left, (uint64_t) left);
        if (core->has_output)
            v->members[i].output_lost_lines = hold_output_lost(&core->output, (int) i);
    }
    v->phase = hold_phase_fold(core->state, states, core->n_members);
    v->is_ready = hold_phase_is_ready(core->state, states, core->n_members);
    memcpy(v->phases, core->phases, sizeof(v->phases));
    if (v->n_phases > 0)
        v->phases[v->n_phases - 1].took_ms = now_ms - v->phases[v->n_phases - 1].begun_ms;
    memcpy(v->findings, core->findings, sizeof(v->findings));
    memcpy(v->signatures, core->signatures, sizeof(v->signatures));
    view_job(core, v);
    waits_for(core, v->waits_for);
    if (core->ending.is_fixed) {
        COPY(v->cause, hold_cause_info(core->ending.cause)->name);
        COPY(v->action, hold_action_name(core->ending.action));
        COPY(v->advice, core->ending.advice ? core->ending.advice : "");
    }
    COPY(v->model, core->config->model_dir);
    COPY(v->digest, core->digest);
}

#define MIB(bytes) ((unsigned long long) (bytes) >> 20)

/* Whoever is killed with its whole container cannot say afterwards that memory was short: it is said before, and by the next. */
static void add_memory(const struct hold_core *core, struct hold_report *r, struct hold_buf *text) {
    const struct hold_memory *now = &core->memory;
    const uint64_t used = now->current - HOLD_MIN(now->inactive_file, now->current);
    if (now->known && now->limit != UINT64_MAX && hold_ladder_is_tight(used, now->limit))
        hold_buf_addf(text, "%smemory stands at %llu of %llu MiB, its limit", text->n ? "; " : "", MIB(used), MIB(now->limit));
    for (size_t i = 0; i < core->n_members; i++) {
        const struct hold_member *m = &core->members[i];
        if (m->last_limit_bytes == 0 || m->state == HOLD_MEMBER_READY)
            continue;
        r->cause = hold_cause_info(HOLD_CAUSE_HOST_OOM)->name;
        r->member = m->config->name;
        r->advice = hold_cause_info(HOLD_CAUSE_HOST_OOM)->advice;
        hold_buf_addf(text, "%sthe container before this one was killed at %llu of %llu MiB of its memory limit", text->n ? "; " : "", MIB(m->last_bytes), MIB(m->last_limit_bytes));
    }
}

/* The last try of the job in hand failed, and another follows or runs. */
static bool job_failed(const struct hold_core *core) {
    const struct hold_job *job = &core->job;
    const bool prepares = core->state == HOLD_CONTAINER_PREFLIGHT || core->state == HOLD_CONTAINER_FETCHING || core->state == HOLD_CONTAINER_VERIFYING;
    return prepares && job->diagnosis.cause != HOLD_CAUSE_NONE && job->diagnosis.cause != HOLD_CAUSE_FINISHED && (job->child.pid == 0 || job->attempt > 1);
}

/* The newest failure that is known: what ended us, else the last death of a member that is not back yet, else the job's; and
 * what the start waits for, how memory stands. */
void hold_act_report(struct hold_core *core) {
    if (!*core->config->termination_log) /* set to nothing: none is wanted */
        return;
    struct hold_report r = { .phase = core->phase ? core->phase : "", .exit_code = -1 };
    struct hold_err err = { 0 };
    hold_autobuf last = hold_buf_with_max(HOLD_REPORT_MAX_BYTES);
    hold_autobuf text = hold_buf_with_max(HOLD_REPORT_MAX_BYTES);
    char waits[HOLD_VIEW_TEXT];
    int who = -1;
    if (!core->has_report)
        return;
    waits_for(core, waits);
    if (waits[0])
        hold_buf_addf(&text, "waits for %s", waits);
    add_memory(core, &r, &text);
    if (job_failed(core)) {
        const struct hold_diagnosis *g = &core->job.diagnosis;
        r.cause = hold_cause_info(g->cause)->name;
        r.action = hold_action_name(g->action);
        r.attempt = core->job.attempt;
        r.advice = g->advice;
        hold_buf_addf(&text, "; last: %s", g->text);
    }
    r.text = text.data;
    if (core->ending.is_fixed) {
        const struct hold_ending *e = &core->ending;
        r.cause = hold_cause_info(e->cause)->name;
        r.action = hold_action_name(e->action);
        r.member = e->member;
        r.text = e->text;
        r.advice = e->advice;
        r.exit_code = core->state == HOLD_CONTAINER_EXITED ? e->exit_code : -1;
    }
    for (size_t i = 0; i < core->n_members; i++) {
        const struct hold_member *m = &core->members[i];
        bool is_it = core->ending.is_fixed ? core->ending.member && strcmp(core->ending.member, m->config->name) == 0
                                           : m->has_exited && m->diagnosis.cause != HOLD_CAUSE_NONE && m->state != HOLD_MEMBER_READY;
        if (!is_it)
            continue;
        who = (int) i;
        r.attempt = m->attempt;
        r.signature = m->diagnosis.cause == m->matched ? m->signature : NULL;
        if (!core->ending.is_fixed) {
            r.member = m->config->name;
            r.cause = hold_cause_info(m->diagnosis.cause)->name;
            r.action = hold_action_name(m->diagnosis.action);
            r.text = m->diagnosis.text;
            r.advice = m->diagnosis.advice;
        }
    }
    if (who >= 0 && core->has_output && hold_output_last(&core->output, who, HOLD_OUTPUT_LAST_LINES, &last) > 0)
        r.last_lines = last.data;
    if (hold_report_write(core->config->termination_log, core->config->termination_log_is_set, &r, &err) < 0 && !core->report_failed) {
        core->report_failed = true;
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", err.text), HOLD_LS("then", "the termination message is not kept"));
    }
}
