/* act.c - performs action bits, lowest first; what fails becomes an event. Floor: host. */
#include "supervisor/host/core.h"
#include "supervisor/host/hub.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/host/died.h"
#include "supervisor/host/pairing.h"
#include "supervisor/policy/phase.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOLD_END_MS 2000 /* reaping and report after the grace */
#define HOLD_LATE_MS 500

/* ---- clocks ---- */

static uint64_t after(uint64_t now_ms, uint64_t wait_ms) {
    return wait_ms > HOLD_NEVER - 1 - now_ms ? HOLD_NEVER : now_ms + wait_ms;
}

/* A deadline that runs is never extended by arming it again: sweep and kill bound what they bound. */
static void arm_once(uint64_t *deadline, uint64_t at_ms) {
    if (at_ms < *deadline)
        *deadline = at_ms;
}

/* Once a stop was asked, everything ends within grace + 2 s, whatever the single waits say. */
static uint64_t bounded(const struct hold_core *core, uint64_t at_ms, uint64_t tail_ms) {
    if (core->stop_ms == 0 || core->config->on_stop == HOLD_ON_STOP_FORWARD)
        return at_ms;
    /* Late ourselves (a starved or frozen machine): a process that just got its KILL still has the time to die. One that was
     * waited for already, and did not, is not waited for again. */
    uint64_t least = core->unkillable ? core->now_ms : after(core->now_ms, HOLD_LATE_MS);
    return HOLD_MIN(at_ms, HOLD_MAX(after(core->stop_ms, core->config->grace_ms + tail_ms), least));
}

static void arm_member(struct hold_core *core, struct hold_member *m, uint32_t actions, uint64_t now_ms) {
    const struct hold_config *c = core->config;
    uint64_t *dl = m->deadline_ms;
    if (actions & HOLD_MEMBER_ACT_ARM_PROGRESS)
        dl[HOLD_MEMBER_DL_PROGRESS] = c->no_progress_ms ? HOLD_MAX(after(now_ms, c->no_progress_ms),
                                                                    dl[HOLD_MEMBER_DL_PROGRESS] == HOLD_NEVER ? 0 : dl[HOLD_MEMBER_DL_PROGRESS])
                                                        : HOLD_NEVER;
    if (actions & HOLD_MEMBER_ACT_ARM_BACKSTOP)
        dl[HOLD_MEMBER_DL_BACKSTOP] = c->start_backstop_ms ? after(now_ms, c->start_backstop_ms) : HOLD_NEVER;
    if (actions & HOLD_MEMBER_ACT_ARM_WARM)
        dl[HOLD_MEMBER_DL_WARM] = after(now_ms, c->warm_timeout_ms);
    if (actions & HOLD_MEMBER_ACT_ARM_LIVE)
        dl[HOLD_MEMBER_DL_LIVE] = m->watchdog_ms ? after(now_ms, m->watchdog_ms) : HOLD_NEVER;
    if (actions & HOLD_MEMBER_ACT_ARM_DRAIN)
        dl[HOLD_MEMBER_DL_DRAIN] = core->stop_ms && c->on_stop == HOLD_ON_STOP_FORWARD ? HOLD_NEVER : after(core->stop_ms ? core->stop_ms : now_ms, c->grace_ms);
    if (actions & HOLD_MEMBER_ACT_ARM_SWEEP)
        arm_once(&dl[HOLD_MEMBER_DL_SWEEP], bounded(core, after(now_ms, c->sweep_wait_ms), HOLD_END_MS * 3 / 4));
    if (actions & HOLD_MEMBER_ACT_ARM_KILL)
        arm_once(&dl[HOLD_MEMBER_DL_KILL], bounded(core, after(now_ms, c->kill_wait_ms), HOLD_END_MS));
    if (actions & HOLD_MEMBER_ACT_ARM_BACKOFF)
        dl[HOLD_MEMBER_DL_BACKOFF] = after(now_ms, m->delay_ms);
}

/* ---- a member ---- */

static uint32_t xorshift(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

uint32_t hold_act_random(struct hold_core *core) {
    return xorshift(&core->random);
}

/* Reading a memory controller can take milliseconds, so it is never done between a start and its exec. */
void hold_act_read_memory(struct hold_core *core) {
    if (!core->cgroup_is_known) {
        struct hold_err err = { 0 };
        hold_cgroup_find("", &core->cgroup);
        core->memory_fd = hold_cgroup_watch(&core->cgroup);
        if (core->memory_fd >= 0 && hold_loop_add(&core->loop, core->memory_fd, HOLD_ON_MEMORY, 0, EPOLLPRI | EPOLLET, &err) < 0)
            hold_close_fd(&core->memory_fd);
    }
    core->cgroup_is_known = true;
    hold_cgroup_memory(&core->cgroup, &core->memory);
}

void hold_act_record(struct hold_core *core, const struct hold_member *m, bool is_open) {
    if (!core->record.page)
        return;
    const struct hold_memory *memory = &core->memory;
    struct hold_record_life life = { .is_open = is_open, .rung = m->rung, .streak = m->restarts.streak, .attempt = m->attempt,
                                     .wall_s = core->started_wall_s + (core->now_ms - core->started_ms) / 1000 };
    life.memory_bytes = memory->known ? memory->current - HOLD_MIN(memory->inactive_file, memory->current) : 0;
    life.limit_bytes = memory->known && memory->limit != UINT64_MAX ? memory->limit : 0;
    (void) snprintf(life.name, sizeof(life.name), "%s", m->config->name);
    (void) snprintf(life.phase, sizeof(life.phase), "%s", hold_member_state_name(m->state));
    hold_record_put(&core->record, (unsigned) m->index, &life);
}

static void begin_life(struct hold_member *m, uint64_t now_ms) {
    m->attempt++;
    if (m->attempt > 1) { /* two lists of causes share some names: counted under the first, so that no metric appears twice */
        const char *name = hold_cause_info(m->diagnosis.cause)->name;
        m->restart_causes[hold_cause_find(name, strlen(name))]++;
    }
    m->started_ms = now_ms;
    m->killed_by = HOLD_MEMBER_DL_COUNT;
    m->watchdog_ms = m->config->health.watchdog_ms;
    if (m->attempt == 1) /* all zero yet, and left alone: a page is ours when it is written to */
        return;
    m->ready_ms = m->ready_since_ms = m->healthy_ms = 0;
    m->killed = HOLD_KILL_NOT;
    m->exec_status = 0;
    m->exec_text[0] = m->told[0] = m->said[0] = m->matched_line[0] = m->wrapper_line[0] = m->answered[0] = '\0';
    m->matched = HOLD_CAUSE_NONE;
    m->signature = NULL;
    m->inflight = 0;
    m->memory_peak = 0;
}

static void tell_life(struct hold_core *core, struct hold_member *m) {
    char text[64];
    (void) snprintf(text, sizeof(text), "PHASE=%s", core->phase ? core->phase : "");
    hold_hear_tell(core, m, text, -1);
    int plan = hold_store_find(&core->store, "plan");
    if (plan >= 0)
        hold_hear_tell(core, m, "PLAN=1", plan);
}

static void spawn(struct hold_core *core, struct hold_member *m, uint64_t now_ms) {
    struct hold_err err = { 0 };
    int status = 0;
    begin_life(m, now_ms);
    hold_progress_begin(&m->progress, core->config->no_progress_ms, now_ms);
    if (hold_start_member(core, m, now_ms, &status, &err) < 0) {
        if (m->child.pid > 0) { /* it lives, but cannot be watched: it ends, and its death is reaped as any other */
            hold_child_signal(&m->child, SIGKILL, true);
            hold_log_err(&err);
            return;
        }
        m->exec_status = hold_exit_for(status ? status : HOLD_EXIT_INTERNAL, err.sys);
        (void) snprintf(m->exec_text, sizeof(m->exec_text), "%s", err.text);
        hold_died_member(core, m, 0, now_ms);
        return;
    }
    hold_log(HOLD_LV_INFO, HOLD_EV_SPAWN, HOLD_LS("member", m->config->name), HOLD_LI("pid", m->child.pid), HOLD_LU("attempt", m->attempt),
             HOLD_LU("rung", m->rung));
    hold_probing_begin(core, m, now_ms);
    tell_life(core, m);
}

static void pair(struct hold_core *core) {
    struct hold_member *ends[2];
    size_t n = 0;
    for (size_t i = 0; i < core->n_members; i++)
        if (core->members[i].config->is_ours && hold_member_is_serving(core->members[i].state) && core->members[i].control_fd >= 0 && n < 2)
            ends[n++] = &core->members[i];
    if (n < 2)
        return; /* the partner pairs when it comes */
    int failed;
    struct hold_err err = { 0 };
    core->generation++;
    if (hold_pairing_make(ends[0]->control_fd, ends[1]->control_fd, core->generation, &failed, &err) == 0) {
        hold_log(HOLD_LV_INFO, HOLD_EV_PAIR, HOLD_LU("generation", core->generation));
        return;
    }
    hold_log_err(&err);
    struct hold_member *deaf = ends[failed == 1 ? 1 : 0];
    deaf->killed = HOLD_KILL_UNHEALTHY; /* it does not read its control pair: it cannot be worked with */
    hold_core_post_member(core, deaf->index, HOLD_MEMBER_EV_PROBE_DEAD);
}

static void warm_up(struct hold_core *core, struct hold_member *m) {
    if (m->config->is_ours || m->config->warmup)
        return; /* its READY=1, or the check that the new state asks for, is the answer */
    hold_core_post_member(core, m->index, HOLD_MEMBER_EV_WARM);
}

void hold_act_keep_evidence(struct hold_core *core, const struct hold_member *m, const char *moment, const char *why) {
    char name[64];
    hold_autobuf last = hold_buf_with_max(32768);
    struct hold_err err = { 0 };
    if (!core->record.page) /* no state folder */
        return;
    if (core->has_output)
        (void) hold_output_last(&core->output, m->index, HOLD_OUTPUT_LAST_LINES, &last);
    (void) snprintf(name, sizeof(name), "%s-%s", moment, m->config->name);
    struct hold_evidence_moment e = { .folder = core->config->state_dir, .name = name, .member = m->config->name, .why = why, .pid = m->child.pid,
                                      .unix_s = core->started_wall_s + (core->now_ms - core->started_ms) / 1000, .last_lines = last.data };
    if (hold_evidence_keep(&core->cgroup, &e, &err) < 0)
        hold_log(HOLD_LV_DEBUG, HOLD_EV_WARN, HOLD_LS("what", err.text), HOLD_LS("then", "the evidence is not kept"));
}

static void kill_tree(struct hold_core *core, struct hold_member *m) {
    char evidence[HOLD_VIEW_TEXT] = "";
    if (m->child.pid <= 0 && hold_tree_left(&core->tree, m->index) == 0) {
        core->tree_changed = true;
        return; /* the first KILL did it all */
    }
    if (m->child.pid > 0)
        hold_evidence_sentence("", m->child.pid, evidence, sizeof(evidence));
    if (m->killed == HOLD_KILL_NOT && m->child.pid > 0)
        m->killed = m->killed_by == HOLD_MEMBER_DL_PROGRESS                                                ? HOLD_KILL_NO_PROGRESS
                    : m->killed_by == HOLD_MEMBER_DL_BACKSTOP || m->killed_by == HOLD_MEMBER_DL_WARM ? HOLD_KILL_BACKSTOP
                    : m->killed_by == HOLD_MEMBER_DL_LIVE                                              ? HOLD_KILL_UNHEALTHY
                                                                                                       : HOLD_KILL_STOP;
    hold_log(HOLD_LV_WARN, HOLD_EV_KILL, HOLD_LS("member", m->config->name), HOLD_LS("why", hold_kill_name(m->killed)),
             HOLD_LS("deadline", m->killed_by < HOLD_MEMBER_DL_COUNT ? hold_member_deadline_name(m->killed_by) : ""), HOLD_LS("evidence", evidence));
    if (evidence[0])
        (void) snprintf(m->said, sizeof(m->said), "%s", evidence);
    if (m->child.pid > 0)
        hold_act_keep_evidence(core, m, "kill", hold_kill_name(m->killed));
    hold_child_signal(&m->child, SIGKILL, false);
    (void) hold_tree_signal(&core->tree, m->index, SIGKILL, false);
    core->tree_changed = true;
}

static void sweep(struct hold_core *core, struct hold_member *m) {
    size_t left = hold_tree_signal(&core->tree, m->index, SIGTERM, true);
    if (left > 0) {
        hold_autobuf who = hold_buf_with_max(1024);
        hold_tree_name(&core->tree, m->index, &who);
        hold_log(HOLD_LV_INFO, HOLD_EV_LEFTOVER, HOLD_LS("member", m->config->name), HOLD_LU("processes", left), HOLD_LS("who", who.data));
    }
    core->tree_changed = true;
}

static void term(struct hold_core *core, struct hold_member *m) {
    int sig = !m->config->is_ours && core->stop_signal ? core->stop_signal : SIGTERM;
    m->killed = HOLD_KILL_STOP;
    hold_log(HOLD_LV_INFO, HOLD_EV_SIGNAL, HOLD_LS("member", m->config->name), HOLD_LS("sent", hold_signal_name(sig)));
    hold_child_signal(&m->child, sig, core->config->signal_to == HOLD_SIGNAL_TO_GROUP);
    if (hold_tree_is_stopped(m->child.pid)) /* a stopped process cannot end; one that runs may have a use of its own for CONT */
        hold_child_signal(&m->child, SIGCONT, core->config->signal_to == HOLD_SIGNAL_TO_GROUP || core->on_terminal);
}

static void close_life(struct hold_core *core, struct hold_member *m) {
    core->tree.owners[m->index] = (struct hold_tree_owner) { 0 };
    if (core->has_output)
        hold_output_finish(&core->output, m->index);
    hold_act_record(core, m, false);
}

void hold_act_member(struct hold_core *core, struct hold_member *m, uint32_t actions, uint64_t now_ms) {
    if (actions & HOLD_MEMBER_ACT_OPEN_RECORD)
        hold_act_record(core, m, true);
    if (actions & HOLD_MEMBER_ACT_SPAWN)
        spawn(core, m, now_ms);
    if ((actions & HOLD_MEMBER_ACT_PAIR) && m->config->is_ours && m->child.pid > 0)
        pair(core);
    if (actions & HOLD_MEMBER_ACT_WARMUP)
        warm_up(core, m);
    if (actions & HOLD_MEMBER_ACT_TERM)
        term(core, m);
    if (actions & HOLD_MEMBER_ACT_SWEEP)
        sweep(core, m);
    if (actions & HOLD_MEMBER_ACT_KILL)
        kill_tree(core, m);
    if (actions & HOLD_MEMBER_ACT_CLOSE_RECORD)
        close_life(core, m);
    arm_member(core, m, actions, now_ms);
    if ((actions & HOLD_MEMBER_ACT_ARM_BACKOFF) && m->state == HOLD_MEMBER_BACKOFF)
        hold_log(HOLD_LV_WARN, HOLD_EV_RESTART, HOLD_LS("member", m->config->name), HOLD_LS("cause", hold_cause_info(m->diagnosis.cause)->name),
                 HOLD_LU("attempt", m->attempt + 1), HOLD_LU("delay_ms", m->delay_ms));
    /* ANNOUNCE: hold_act_publish compares at the end of the batch, so that what lasted no time is not told. */
}

/* ---- the container ---- */

static bool has_work(const struct hold_core *core, enum hold_job_kind kind) {
    const struct hold_config *c = core->config;
    bool ours = c->n_servers > 0 && c->servers[0].is_ours;
    switch (kind) {
    case HOLD_JOB_PREFLIGHT:
        return c->preflight || c->needs.n > 0;
    case HOLD_JOB_FETCH:
        return c->model_sources.n > 0 && (*c->model_dir || hold_hub_root(core));
    case HOLD_JOB_VERIFY: /* markers make it instant for what was fetched; then the structure of the weights, which no digest proves */
        return hold_hub_root(core) || (*c->model_dir && (ours || c->deep_verify || c->preflight || c->model_sources.n > 0));
    case HOLD_JOB_COUNT:
        break;
    }
    return false;
}

static enum hold_job_kind job_of(enum hold_container_state state) {
    return state == HOLD_CONTAINER_PREFLIGHT ? HOLD_JOB_PREFLIGHT : state == HOLD_CONTAINER_FETCHING ? HOLD_JOB_FETCH : HOLD_JOB_VERIFY;
}

const char *hold_job_name(enum hold_job_kind kind) {
    static const char *const names[] = { "preflight", "fetch", "verify" };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) kind);
}

void hold_act_arm_job(struct hold_core *core, uint64_t now_ms) {
    struct hold_job *job = &core->job;
    const struct hold_config *c = core->config;
    if (job->is_ending)
        arm_once(&job->deadline_ms, after(now_ms, c->sweep_wait_ms));
    else if (c->no_progress_ms == 0)
        job->deadline_ms = HOLD_NEVER;
    else /* preflight may have nothing to tell while it waits for a dependency */
        job->deadline_ms = after(now_ms, c->no_progress_ms + (job->kind == HOLD_JOB_PREFLIGHT ? c->need_timeout_ms : 0));
}

static void start_job(struct hold_core *core, uint64_t now_ms) {
    struct hold_job *job = &core->job;
    struct hold_err err = { 0 };
    int status = 0;
    enum hold_job_kind kind = job_of(core->state);
    if (!has_work(core, kind)) {
        hold_core_post(core, HOLD_CONTAINER_EV_JOB_OK);
        return;
    }
    job->kind = kind;
    if (kind == HOLD_JOB_PREFLIGHT)
        core->n_findings = 0;
    job->has_run = true;
    job->is_ending = false;
    job->attempt++;
    job->done = job->total = 0;
    job->told[0] = job->said[0] = job->exec_text[0] = '\0';
    job->exec_status = 0;
    job->was_stuck = false;
    if (kind == HOLD_JOB_PREFLIGHT)
        core->n_findings = 0;
    if (kind == HOLD_JOB_VERIFY)
        hold_store_drop(&core->store, HOLD_CORE_JOB, "plan"); /* the old plan is no proof of what is there now */
    if (hold_start_job(core, kind, now_ms, &status, &err) < 0) {
        job->exec_status = hold_exit_for(status ? status : HOLD_EXIT_INTERNAL, err.sys);
        (void) snprintf(job->exec_text, sizeof(job->exec_text), "%s", err.text);
        hold_died_job(core, 0, now_ms);
        return;
    }
    hold_act_arm_job(core, now_ms);
    hold_log(HOLD_LV_INFO, HOLD_EV_JOB_START, HOLD_LS("job", hold_job_name(kind)), HOLD_LI("pid", job->child.pid), HOLD_LU("attempt", job->attempt));
}

static void end_job(struct hold_core *core) {
    core->deadline_ms[HOLD_CONTAINER_DL_RETRY] = HOLD_NEVER;
    if (core->job.child.pid <= 0)
        return;
    core->job.is_ending = true;
    hold_act_arm_job(core, core->now_ms);
    hold_child_signal(&core->job.child, SIGTERM, false);
}

static void sweep_all(struct hold_core *core) {
    size_t left = hold_tree_signal(&core->tree, HOLD_TREE_ANY, SIGTERM, false);
    if (left > 0)
        hold_log(HOLD_LV_INFO, HOLD_EV_LEFTOVER, HOLD_LU("processes", left));
    core->tree_changed = true;
}

void hold_act_container(struct hold_core *core, uint32_t actions, uint64_t now_ms) {
    const struct hold_config *c = core->config;
    if (actions & HOLD_CONTAINER_ACT_ANNOUNCE_UNREADY)
        hold_hear_tell_above(core, "STOPPING=1");
    if (actions & HOLD_CONTAINER_ACT_START_JOB)
        start_job(core, now_ms);
    if (actions & HOLD_CONTAINER_ACT_END_JOB)
        end_job(core);
    if (actions & HOLD_CONTAINER_ACT_STOP_MEMBERS)
        for (size_t i = 0; i < core->n_members; i++)
            hold_core_post_member(core, (int) i, HOLD_MEMBER_EV_STOP);
    if (actions & HOLD_CONTAINER_ACT_HURRY_MEMBERS)
        for (size_t i = 0; i < core->n_members; i++)
            hold_core_post_member(core, (int) i, HOLD_MEMBER_EV_HURRY);
    if (actions & HOLD_CONTAINER_ACT_SWEEP)
        sweep_all(core);
    if (actions & HOLD_CONTAINER_ACT_KILL) {
        (void) hold_tree_signal(&core->tree, HOLD_TREE_ANY, SIGKILL, false);
        core->tree_changed = true;
    }
    if (actions & HOLD_CONTAINER_ACT_REPORT)
        core->report_is_due = true;
    if (actions & HOLD_CONTAINER_ACT_ARM_RETRY)
        core->deadline_ms[HOLD_CONTAINER_DL_RETRY] = after(now_ms, core->job.delay_ms);
    if (actions & HOLD_CONTAINER_ACT_ARM_PRESTOP)
        core->deadline_ms[HOLD_CONTAINER_DL_PRESTOP] = after(now_ms, c->prestop_delay_ms);
    if (actions & HOLD_CONTAINER_ACT_ARM_SWEEP)
        arm_once(&core->deadline_ms[HOLD_CONTAINER_DL_SWEEP], bounded(core, after(now_ms, c->sweep_wait_ms), HOLD_END_MS * 3 / 4));
    if (actions & HOLD_CONTAINER_ACT_ARM_KILL)
        arm_once(&core->deadline_ms[HOLD_CONTAINER_DL_KILL], bounded(core, after(now_ms, c->kill_wait_ms), HOLD_END_MS));
    if (core->state == HOLD_CONTAINER_UP && (actions & HOLD_CONTAINER_ACT_ANNOUNCE))
        for (size_t i = 0; i < core->n_members; i++) /* those that started before there was a plan */
            if (core->members[i].config->is_ours && hold_member_is_serving(core->members[i].state))
                hold_hear_tell(core, &core->members[i], "PLAN=1", hold_store_find(&core->store, "plan"));
    if (core->state == HOLD_CONTAINER_EXITED)
        hold_died_fix_ending(core);
}

/* ---- what is published ---- */

static void next_phase(struct hold_core *core, const char *phase, uint64_t now_ms) {
    uint64_t took = now_ms - core->phase_since_ms;
    if (core->n_phases > 0)
        core->phases[core->n_phases - 1].took_ms = now_ms - core->phases[core->n_phases - 1].begun_ms;
    hold_log(HOLD_LV_INFO, HOLD_EV_PHASE, HOLD_LS("phase", phase), HOLD_LS("last", core->phase), HOLD_LU("last_took_ms", core->phase ? took : 0));
    if (core->n_phases < HOLD_VIEW_PHASES)
        core->n_phases++;
    core->phases[core->n_phases - 1] = (struct hold_view_phase) { .name = phase, .begun_ms = now_ms };
    core->phase = phase;
    core->phase_since_ms = now_ms;
    char text[64] = "";
    if (core->config->mode == HOLD_MODE_RUN)
        (void) snprintf(text, sizeof(text), "PHASE=%s", phase);
    for (size_t i = 0; i < core->n_members && text[0]; i++)
        if (core->members[i].config->is_ours)
            hold_hear_tell(core, &core->members[i], text, -1);
}

static void log_ready(struct hold_core *core, uint64_t now_ms) {
    hold_autobuf text = hold_buf_with_max(2048);
    for (uint32_t i = 0; i < core->n_phases; i++) {
        const struct hold_view_phase *p = &core->phases[i];
        if (strcmp(p->name, "ready") != 0)
            hold_buf_addf(&text, "%s%s %llu", i ? ", " : "", p->name, (unsigned long long) p->took_ms);
    }
    if (core->cold_start_ms == 0)
        core->cold_start_ms = HOLD_MAX(now_ms - core->started_ms, (uint64_t) 1);
    hold_log(HOLD_LV_INFO, HOLD_EV_READY, HOLD_LU("since_start_ms", now_ms - core->started_ms), HOLD_LS("phases_ms", text.data));
}

void hold_act_publish(struct hold_core *core, uint64_t now_ms) {
    enum hold_member_state states[HOLD_CONFIG_SERVERS];
    for (size_t i = 0; i < core->n_members; i++)
        states[i] = core->members[i].state;
    const char *phase = hold_phase_fold(core->state, states, core->n_members);
    bool ready = hold_phase_is_ready(core->state, states, core->n_members);
    bool changed = core->phase == NULL || strcmp(phase, core->phase) != 0;
    if (changed)
        next_phase(core, phase, now_ms);
    if (ready && !core->is_ready)
        log_ready(core, now_ms);
    if (!ready && core->is_ready)
        hold_log(core->state == HOLD_CONTAINER_UP ? HOLD_LV_WARN : HOLD_LV_INFO, HOLD_EV_UNREADY, HOLD_LS("phase", phase));
    if (ready && !core->is_started)
        hold_hear_tell_above(core, "READY=1");
    core->is_ready = ready;
    core->is_started |= ready;
    if (changed || core->report_is_due)
        hold_act_report(core);
    core->report_is_due = false;
}
