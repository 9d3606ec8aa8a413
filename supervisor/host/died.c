/* died.c - from a death to its events. Floor: host. */
#include "supervisor/host/died.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "base/num.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_INTERRUPTED (128 + SIGINT)

static void read_exec_result(struct hold_core *core, struct hold_child *child, const char *name, const struct hold_sandbox_plan *plan, int *status,
                             char text[HOLD_ERR_TEXT_BYTES]) {
    struct hold_err err = { 0 };
    int found = 0;
    if (!child->memory)
        return;
    if (child->exec_fd >= 0)
        hold_loop_drop(&core->loop, child->exec_fd);
    if (hold_child_exec_result(child, name, plan, &found, &err) >= 0)
        return;
    *status = found;
    (void) snprintf(text, HOLD_ERR_TEXT_BYTES, "%s", err.text);
}

static void forget(struct hold_core *core, struct hold_child *child, int *control_fd) {
    hold_child_forget(child);
    hold_hear_close(core, control_fd);
}

static struct hold_death death_of(int wait_status, int exec_status) {
    struct hold_death d = { .end = HOLD_END_EXITED, .code = exec_status };
    if (exec_status) {
        d.end = HOLD_END_NOT_STARTED;
    } else if (WIFSIGNALED(wait_status)) {
        d.end = HOLD_END_SIGNALED;
        d.code = WTERMSIG(wait_status);
    } else {
        d.code = WEXITSTATUS(wait_status);
    }
    return d;
}

static void say_not_started(struct hold_diagnosis *ret, const char *exec_text) {
    if (exec_text[0])
        (void) snprintf(ret->text, sizeof(ret->text), "%s", exec_text);
}

static struct hold_death facts_of(struct hold_core *core, struct hold_member *m, int wait_status, uint64_t now_ms) {
    struct hold_death d = death_of(wait_status, m->exec_status);
    if (d.end != HOLD_END_EXITED || d.code != 0)
        hold_act_read_memory(core);
    const struct hold_memory memory = core->memory;
    d.killed = m->killed;
    d.is_ours = m->config->is_ours;
    d.was_ready = m->ready_ms != 0 || (!d.is_ours && !hold_probing_check(m)); /* nobody asked: no news */
    d.uptime_ms = now_ms - m->started_ms;
    d.oom_kills = memory.known && memory.oom_kills > m->oom_before ? memory.oom_kills - m->oom_before : 0;
    d.memory_bytes = memory.known ? HOLD_MAX(memory.peak, memory.current) : 0;
    d.memory_limit_bytes = memory.known && memory.limit != UINT64_MAX ? memory.limit : 0;
    d.told = m->told[0] ? m->told : NULL;
    d.matched = m->matched;
    d.matched_line = m->matched_line[0] ? m->matched_line : NULL;
    d.wrapper_line = m->wrapper_line[0] ? m->wrapper_line : NULL;
    d.answered = m->answered[0] ? m->answered : NULL;
    return d;
}

static void fix_ending(struct hold_core *core, const struct hold_diagnosis *g, int exit_code, const char *who) {
    if (core->ending.is_fixed)
        return; /* the first failure is the cause, the rest are its consequences */
    core->ending = (struct hold_ending) { .is_fixed = true, .exit_code = exit_code, .cause = g->cause, .action = g->action, .member = who,
                                          .advice = g->advice };
    memcpy(core->ending.text, g->text, sizeof(core->ending.text));
}

static void post_final(struct hold_core *core, bool is_failure, enum hold_container_event exit_event, enum hold_container_event hold_event) {
    bool holds = is_failure && core->config->on_fatal == HOLD_ON_FATAL_HOLD && core->stop_ms == 0;
    hold_core_post(core, holds ? hold_event : exit_event);
}

/* Also where a verdict has fallen and is to be held: then the members end while the container stays what it is. */
static bool is_stopping(const struct hold_core *core) {
    return core->stop_ms != 0 || core->ending.is_fixed || core->state == HOLD_CONTAINER_DRAINING || core->state == HOLD_CONTAINER_REAPING;
}

/* A rung lower for the next start; what the budget says comes before. */
static void go_down(struct hold_member *m) {
    uint32_t next = hold_ladder_next(&m->config->ladder, m->rung, true);
    if (next == m->rung)
        return;
    m->rung = next;
    hold_log(HOLD_LV_WARN, HOLD_EV_RUNG, HOLD_LS("member", m->config->name), HOLD_LU("rung", next),
             HOLD_LS("name", hold_ladder_at(&m->config->ladder, next)->name), HOLD_LS("cause", hold_cause_info(m->diagnosis.cause)->name));
}

/* What the code alone (137) does not say. */
static void say_overdue(struct hold_core *core, const struct hold_member *m) {
    char grace[32];
    hold_format_ms(core->config->grace_ms, grace, sizeof(grace));
    core->ending.member = m->config->name;
    core->ending.advice = "let it end on its stop signal, or raise --grace and what the orchestrator grants";
    (void) snprintf(core->ending.text, sizeof(core->ending.text), "it was still running %s after the stop was asked, and was killed", grace);
}

static struct hold_backoff backoff_of(const struct hold_restart_config *r) {
    return (struct hold_backoff) { .first_ms = r->delay_ms, .max_ms = r->cap_ms, .jitter_pct = (uint32_t) r->jitter_pct };
}

static void follow(struct hold_core *core, struct hold_member *m, enum hold_fate fate, int status, uint64_t now_ms) {
    const struct hold_diagnosis *g = &m->diagnosis;
    switch (fate) {
    case HOLD_FATE_RETRY: {
        struct hold_backoff backoff = backoff_of(&m->config->restart);
        uint64_t healthy = m->healthy_ms + (m->ready_since_ms ? now_ms - m->ready_since_ms : 0);
        bool was_healthy = healthy >= m->config->restart.healthy_reset_ms;
        if (was_healthy)
            hold_budget_refill(&m->budget);
        m->delay_ms = hold_restarts_next_ms(&m->restarts, &backoff, was_healthy, hold_act_random(core));
        if (g->is_memory)
            go_down(m);
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_EXIT_RETRY);
        if (g->action == HOLD_ACTION_RETRY_CLEAN && m->config->needs_weights) {
            core->job.is_deep = true;
            hold_core_post(core, HOLD_CONTAINER_EV_HEAL);
        }
        return;
    }
    case HOLD_FATE_CLEAN:
    case HOLD_FATE_FAILED:
    case HOLD_FATE_GAVE_UP:
        break;
    }
    bool failed = fate != HOLD_FATE_CLEAN;
    if (is_stopping(core)) {
        if (!core->ending.is_fixed && m->killed_by == HOLD_MEMBER_DL_DRAIN)
            say_overdue(core, m);
        if (!core->ending.is_fixed && (!core->ending.has_status || core->ending.exit_code == 0))
            core->ending.exit_code = status;
        core->ending.has_status = true;
    } else {
        int code = fate == HOLD_FATE_GAVE_UP && g->exit_code == 0 ? HOLD_EXIT_GAVE_UP : failed ? g->exit_code : status;
        fix_ending(core, g, code, m->config->name);
        post_final(core, failed, HOLD_CONTAINER_EV_MEMBER_FATAL, HOLD_CONTAINER_EV_MEMBER_HOLD);
    }
    hold_core_post_member(core, m->index, HOLD_MEMBER_EV_EXIT_FATAL);
}

/* How many and how long: what a person asks first. */
static void say_given_up(const struct hold_core *core, struct hold_member *m, uint64_t now_ms) {
    char window[32];
    size_t n = strlen(m->diagnosis.text);
    uint64_t lasted_ms = now_ms - core->started_ms;
    hold_format_ms(m->config->restart.window_ms, window, sizeof(window));
    (void) snprintf(m->diagnosis.text + n, sizeof(m->diagnosis.text) - n, "; given up after %u starts in %llu.%llu s, %llu restart%s allowed in %s", m->attempt,
                    (unsigned long long) (lasted_ms / 1000), (unsigned long long) (lasted_ms % 1000 / 100), (unsigned long long) m->config->restart.budget,
                    m->config->restart.budget == 1 ? " is" : "s are", window);
}

/* --success-exit speaks of what the server chose, or of the stop that was asked: never of a start that failed or a health-caused KILL. */
static bool counts_as_success(const struct hold_config *c, const struct hold_death *d) {
    int status = hold_death_status(d);
    bool is_its_own = d->end != HOLD_END_NOT_STARTED && (d->killed == HOLD_KILL_NOT || d->killed == HOLD_KILL_STOP);
    return is_its_own && status >= 0 && status < 256 && (c->success_codes[status / 64] >> status % 64 & 1);
}

/* What is left is said where another start follows and a limit is set: beside "final" it would promise one that never comes. */
static void log_diagnosis(const struct hold_member *m, enum hold_fate fate, uint64_t now_ms) {
    const struct hold_diagnosis *g = &m->diagnosis;
    const uint32_t left = hold_budget_left(&m->budget, now_ms);
    const bool is_final = fate != HOLD_FATE_RETRY;
    const struct hold_log_field end = { .kind = HOLD_LK_END };
    hold_log(HOLD_LV_ERROR, HOLD_EV_DIAGNOSIS, HOLD_LS("member", m->config->name), HOLD_LS("cause", hold_cause_info(g->cause)->name),
             HOLD_LS("action", hold_action_name(g->action)), HOLD_LS("text", g->text), HOLD_LS("advice", g->advice), HOLD_LB("final", is_final),
             is_final || left == UINT32_MAX ? end : HOLD_LU("restarts_left", left));
}

void hold_died_member(struct hold_core *core, struct hold_member *m, int wait_status, uint64_t now_ms) {
    const struct hold_config *c = core->config;
    /* Its last words first: news of life comes before a verdict of death. */
    if (core->has_output)
        hold_output_on_ready(&core->output);
    hold_hear_control(core, m->index, now_ms);
    read_exec_result(core, &m->child, hold_core_program(m), m->plan, &m->exec_status, m->exec_text);
    pid_t pid = m->child.pid;
    forget(core, &m->child, &m->control_fd);
    hold_probing_end(core, m);
    hold_signals_take_terminal(core, pid);

    struct hold_death d = facts_of(core, m, wait_status, now_ms);
    hold_log(HOLD_LV_INFO, HOLD_EV_EXIT, HOLD_LS("member", m->config->name), HOLD_LI("status", hold_death_status(&d)),
             HOLD_LS("signal", d.end == HOLD_END_SIGNALED ? hold_signal_name(d.code) : ""), HOLD_LU("uptime_ms", d.uptime_ms));
    if (counts_as_success(c, &d)) {
        d.end = HOLD_END_EXITED;
        d.code = 0;
    }
    hold_diagnose(&d, &m->diagnosis);
    if (m->exec_status)
        say_not_started(&m->diagnosis, m->exec_text);
    int status = hold_death_status(&d);
    m->has_exited = true;
    m->starts_failed += m->ready_ms == 0;
    m->wait_status = wait_status;
    m->exited_ms = now_ms;

    struct hold_fate_facts f = {
        .action = m->diagnosis.action, .is_stopping = is_stopping(core), .is_clean = d.end == HOLD_END_EXITED && d.code == 0,
        .is_interrupted = core->on_terminal && status == STATUS_INTERRUPTED, .may_never = m->config->restart.policy == HOLD_RESTART_NEVER,
        .may_always = m->config->restart.policy == HOLD_RESTART_ALWAYS, .budget_left = hold_budget_left(&m->budget, now_ms) > 0,
    };
    enum hold_fate fate = hold_fate_of(&f);
    if (fate == HOLD_FATE_RETRY && !hold_budget_spend(&m->budget, now_ms))
        fate = HOLD_FATE_GAVE_UP;
    if (fate == HOLD_FATE_GAVE_UP)
        say_given_up(core, m, now_ms);
    if (!f.is_stopping && !f.is_clean)
        log_diagnosis(m, fate, now_ms);
    if (!f.is_stopping && !f.is_clean)
        hold_act_keep_evidence(core, m, "death", m->diagnosis.text);
    core->report_is_due = true;
    follow(core, m, fate, status, now_ms);
}

void hold_died_job(struct hold_core *core, int wait_status, uint64_t now_ms) {
    const struct hold_config *c = core->config;
    struct hold_job *job = &core->job;
    hold_hear_control(core, HOLD_CORE_JOB, now_ms);
    read_exec_result(core, &job->child, hold_core_program(NULL), job->plan, &job->exec_status, job->exec_text);
    forget(core, &job->child, &job->control_fd);
    core->tree.owners[HOLD_CORE_JOB] = (struct hold_tree_owner) { 0 };

    struct hold_death d = death_of(wait_status, job->exec_status);
    d.is_ours = d.is_job = true;
    d.killed = job->is_ending ? HOLD_KILL_STOP : job->was_stuck ? HOLD_KILL_NO_PROGRESS : HOLD_KILL_NOT;
    job->deadline_ms = HOLD_NEVER;
    d.uptime_ms = job->started_ms ? now_ms - job->started_ms : 0;
    d.told = job->told[0] ? job->told : NULL;
    hold_diagnose(&d, &job->diagnosis);
    if (job->exec_status)
        say_not_started(&job->diagnosis, job->exec_text);
    const struct hold_diagnosis *g = &job->diagnosis;
    enum hold_job_word word = hold_job_word(&d, g, c->model_sources.n > 0);
    hold_log(word == HOLD_JOB_OK ? HOLD_LV_INFO : HOLD_LV_WARN, HOLD_EV_JOB_END, HOLD_LS("job", hold_job_name(job->kind)),
             HOLD_LI("status", hold_death_status(&d)), HOLD_LS("cause", word == HOLD_JOB_OK ? "" : hold_cause_info(g->cause)->name),
             HOLD_LS("action", hold_action_name(g->action)), HOLD_LS("text", word == HOLD_JOB_OK ? "" : g->text),
             HOLD_LU("took_ms", d.uptime_ms));
    if (job->is_ending) {
        job->is_ending = false;
        return; /* asked for: MEMBERS_ENDED and TREE_GONE find that it is gone */
    }
    core->report_is_due = true;
    if (word == HOLD_JOB_OK && job->kind == HOLD_JOB_VERIFY && c->servers[0].is_ours && hold_store_find(&core->store, "plan") < 0) {
        word = HOLD_JOB_RETRY;
        (void) snprintf(job->diagnosis.text, sizeof(job->diagnosis.text), "verify ended well, but handed no plan up");
    }
    if (job->kind == HOLD_JOB_VERIFY && word != HOLD_JOB_OK && c->deep_verify)
        job->is_deep = true; /* so that fetch looks as deep as the verify that found it */
    if (word == HOLD_JOB_HEAL || (word == HOLD_JOB_RETRY && job->kind == HOLD_JOB_VERIFY))
        word = job->heals++ < c->heal_budget ? HOLD_JOB_RETRY : HOLD_JOB_FATAL;
    else if (word == HOLD_JOB_RETRY && c->restart.budget && job->attempt > c->restart.budget)
        word = HOLD_JOB_FATAL;
    if (word == HOLD_JOB_OK) {
        if (job->kind == HOLD_JOB_VERIFY)
            job->is_deep = false;
        hold_core_post(core, HOLD_CONTAINER_EV_JOB_OK);
        return;
    }
    hold_log(HOLD_LV_ERROR, HOLD_EV_DIAGNOSIS, HOLD_LS("job", hold_job_name(job->kind)), HOLD_LS("cause", hold_cause_info(g->cause)->name),
             HOLD_LS("action", hold_action_name(g->action)), HOLD_LS("text", g->text), HOLD_LS("advice", g->advice),
             HOLD_LB("final", word != HOLD_JOB_RETRY));
    if (word == HOLD_JOB_RETRY) {
        struct hold_backoff backoff = backoff_of(&c->restart);
        job->delay_ms = hold_restarts_next_ms(&job->retries, &backoff, false, hold_act_random(core));
        hold_core_post(core, HOLD_CONTAINER_EV_JOB_RETRY);
        return;
    }
    fix_ending(core, g, g->exit_code ? g->exit_code : HOLD_EXIT_GAVE_UP, hold_job_name(job->kind));
    post_final(core, true, HOLD_CONTAINER_EV_JOB_FATAL, HOLD_CONTAINER_EV_JOB_HOLD);
}

void hold_died_fix_ending(struct hold_core *core) {
    struct hold_ending *e = &core->ending;
    if (e->is_fixed)
        return;
    e->is_fixed = true;
    if (!e->has_status)
        e->exit_code = 128 + (core->stop_signal > 0 ? core->stop_signal : SIGTERM); /* nothing ran that could have answered */
    e->cause = HOLD_CAUSE_STOPPED;
    e->action = HOLD_ACTION_NONE;
    e->advice = e->advice ? e->advice : "";
}
