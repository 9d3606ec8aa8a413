/* core.c - turns happenings into events and steps the two tables. Floor: host. */
#include "supervisor/host/core.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/host/died.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* So late behind a deadline is no scheduling delay of a machine that works. */
#define HOLD_LATE_MS 1000
#define HOLD_FILES_LEAST 12 /* descriptors that one server, its spawn and a look at /proc need at once */
#define HOLD_FILES_FEW 32

/* ---- events ---- */

/* A server may say the same thing a hundred times in one wake-up. To say it once more adds nothing: movement re-arms clocks by
 * the same time, and the rest is what the newest word already says. */
static bool is_said(const struct hold_core *core, int member, int event) {
    for (size_t i = core->queue_n; member >= 0 && i > 0; i--) {
        const struct hold_core_event *e = &core->queue[(core->queue_begin + i - 1) % HOLD_CORE_EVENTS];
        if (e->member != member)
            continue;
        if (e->event == event)
            return true;
        if (e->event != HOLD_MEMBER_EV_PROGRESS && event != HOLD_MEMBER_EV_PROGRESS)
            return false;
    }
    return false;
}

bool hold_core_can_hear(const struct hold_core *core) {
    return core->queue_n < HOLD_CORE_EVENTS / 2;
}

static void push(struct hold_core *core, int member, int event) {
    if (is_said(core, member, event))
        return;
    if (core->queue_n == HOLD_CORE_EVENTS) { /* more than every member can have in one batch: a broken promise */
        hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("what", "the event queue is full"), HOLD_LI("member", member), HOLD_LI("event", event));
        return;
    }
    size_t at = (core->queue_begin + core->queue_n++) % HOLD_CORE_EVENTS;
    core->queue[at] = (struct hold_core_event) { .member = (int8_t) member, .event = (uint8_t) event };
}

void hold_core_post_member(struct hold_core *core, int member, enum hold_member_event event) {
    push(core, member, (int) event);
}

void hold_core_post(struct hold_core *core, enum hold_container_event event) {
    push(core, -1, (int) event);
}

static void clear_foreign_deadlines(uint64_t *deadlines, size_t n, uint32_t owned) {
    for (size_t i = 0; i < n; i++)
        if (!(owned >> i & 1))
            deadlines[i] = HOLD_NEVER;
}

static void enter_member(struct hold_core *core, struct hold_member *m, enum hold_member_state next, uint64_t now_ms) {
    if (m->state == HOLD_MEMBER_READY) {
        m->healthy_ms += now_ms - m->ready_since_ms;
        m->ready_since_ms = 0;
    }
    if (next == HOLD_MEMBER_READY) {
        m->ready_since_ms = now_ms;
        m->starts_ready += m->ready_ms == 0;
        m->ready_ms = m->ready_ms ? m->ready_ms : now_ms;
        if (m->config->is_ours || m->config->health.ready || m->config->health.startup) { /* whatever was printed on the way, it did not keep it from serving */
            m->matched = HOLD_CAUSE_NONE;
            m->signature = NULL;
        }
    }
    hold_log(HOLD_LV_DEBUG, HOLD_EV_PHASE, HOLD_LS("member", m->config->name), HOLD_LS("from", hold_member_state_name(m->state)),
             HOLD_LS("to", hold_member_state_name(next)));
    m->state = next;
    m->since_ms = now_ms;
    clear_foreign_deadlines(m->deadline_ms, HOLD_MEMBER_DL_COUNT, hold_member_deadlines[next]);
    core->tree_changed |= next == HOLD_MEMBER_RECYCLING || next == HOLD_MEMBER_REAPING;
    hold_probing_follow(core, m, now_ms);
}

static void step_member(struct hold_core *core, struct hold_member *m, enum hold_member_event event, uint64_t now_ms) {
    struct hold_cell cell = hold_member_step(m->state, event);
    if (cell.kind == HOLD_CELL_NEVER || cell.kind == HOLD_CELL_HOLE) {
        hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("what", "an event that cannot be here"), HOLD_LS("member", m->config->name),
                 HOLD_LS("state", hold_member_state_name(m->state)), HOLD_LS("event", hold_member_event_name(event)));
        return;
    }
    if (cell.kind == HOLD_CELL_GO)
        enter_member(core, m, (enum hold_member_state) cell.next, now_ms);
    hold_act_member(core, m, cell.actions, now_ms);
}

static void step_container(struct hold_core *core, enum hold_container_event event, uint64_t now_ms) {
    struct hold_cell cell = hold_container_step(core->state, event);
    if (cell.kind == HOLD_CELL_NEVER || cell.kind == HOLD_CELL_HOLE) {
        hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("what", "an event that cannot be here"),
                 HOLD_LS("state", hold_container_state_name(core->state)), HOLD_LS("event", hold_container_event_name(event)));
        return;
    }
    if (cell.kind == HOLD_CELL_GO) {
        if (core->state == HOLD_CONTAINER_DRAINING)
            core->drain_ms = HOLD_MAX(now_ms - core->drain_begun_ms, (uint64_t) 1);
        if (cell.next == HOLD_CONTAINER_DRAINING)
            core->drain_begun_ms = now_ms;
        core->state = (enum hold_container_state) cell.next;
        core->since_ms = now_ms;
        clear_foreign_deadlines(core->deadline_ms, HOLD_CONTAINER_DL_COUNT, hold_container_deadlines[cell.next]);
        core->tree_changed |= core->state == HOLD_CONTAINER_REAPING;
        core->job.attempt = 0;
        core->job.retries = (struct hold_restarts) { 0 };
    }
    hold_act_container(core, cell.actions, now_ms);
}

/* ---- conditions that make events ---- */

static bool is_preparing_or_up(const struct hold_core *core) {
    return core->state <= HOLD_CONTAINER_UP;
}

static bool needs_are_met(const struct hold_core *core, const struct hold_member *m) {
    if (!is_preparing_or_up(core) || core->ending.is_fixed)
        return false;
    for (size_t i = 0; i < core->n_members; i++)
        if ((m->config->needs >> i & 1) && core->members[i].state != HOLD_MEMBER_READY)
            return false;
    if (!m->config->needs_weights) /* a stranger is started once nothing is left to prepare: in the first batch when there is nothing */
        return m->config->is_ours || core->state == HOLD_CONTAINER_UP;
    return core->state == HOLD_CONTAINER_UP && hold_store_find(&core->store, "plan") >= 0;
}

static void look_at_trees(struct hold_core *core) {
    core->tree_changed = false;
    for (size_t i = 0; i < core->n_members; i++) {
        struct hold_member *m = &core->members[i];
        if ((m->state != HOLD_MEMBER_RECYCLING && m->state != HOLD_MEMBER_REAPING) || m->child.pid != 0)
            continue;
        bool killing = m->deadline_ms[HOLD_MEMBER_DL_KILL] != HOLD_NEVER;
        /* What was born between two looks gets the KILL too. */
        if (hold_tree_signal(&core->tree, m->index, killing ? SIGKILL : 0, false) == 0)
            hold_core_post_member(core, m->index, HOLD_MEMBER_EV_TREE_GONE);
    }
    if (core->state == HOLD_CONTAINER_REAPING) {
        bool killing = core->deadline_ms[HOLD_CONTAINER_DL_KILL] != HOLD_NEVER;
        if (hold_tree_signal(&core->tree, HOLD_TREE_ANY, killing ? SIGKILL : 0, false) == 0)
            hold_core_post(core, HOLD_CONTAINER_EV_TREE_GONE);
    }
}

static bool all_ended(const struct hold_core *core) {
    for (size_t i = 0; i < core->n_members; i++)
        if (core->members[i].state != HOLD_MEMBER_ENDED)
            return false;
    return true;
}

/* Works the queue off and looks for conditions that make events, until there is nothing left to do. */
static void settle(struct hold_core *core, uint64_t now_ms) {
    for (;;) {
        while (core->queue_n > 0) {
            struct hold_core_event e = core->queue[core->queue_begin];
            core->queue_begin = (core->queue_begin + 1) % HOLD_CORE_EVENTS;
            core->queue_n--;
            if (e.member < 0)
                step_container(core, (enum hold_container_event) e.event, now_ms);
            else
                step_member(core, &core->members[e.member], (enum hold_member_event) e.event, now_ms);
        }
        for (size_t i = 0; i < core->n_members; i++)
            if (core->members[i].state == HOLD_MEMBER_WAITING && needs_are_met(core, &core->members[i]))
                hold_core_post_member(core, (int) i, HOLD_MEMBER_EV_NEEDS_MET);
        if (core->queue_n == 0 && core->tree_changed)
            look_at_trees(core);
        if (core->queue_n == 0 && all_ended(core) &&
            (core->state == HOLD_CONTAINER_DRAINING || (is_preparing_or_up(core) && core->job.child.pid == 0)))
            hold_core_post(core, HOLD_CONTAINER_EV_MEMBERS_ENDED);
        if (core->queue_n == 0)
            return;
    }
}

/* ---- happenings ---- */

static void reap_all(struct hold_core *core, uint64_t now_ms) {
    int status;
    bool any_left = true;
    if (core->notify_fd >= 0)
        hold_hear_notify(core, now_ms);
    for (pid_t pid; (pid = hold_tree_reap(&status, &any_left)) > 0;) {
        struct hold_member *mine = NULL;
        for (size_t i = 0; i < core->n_members; i++)
            if (core->members[i].child.pid == pid)
                mine = &core->members[i];
        if (WIFSTOPPED(status)) {
            if (mine)
                hold_signals_child_stopped(core, mine, WSTOPSIG(status));
            continue;
        }
        core->tree_changed = true;
        if (mine)
            hold_died_member(core, mine, status, now_ms);
        else if (core->job.child.pid == pid)
            hold_died_job(core, status, now_ms);
        else if (!hold_probing_on_exit(core, pid, status, now_ms)) {
            core->orphans_reaped++;
            hold_log(HOLD_LV_DEBUG, HOLD_EV_REAP, HOLD_LI("pid", pid));
        }
    }
    core->tree.is_childless = !any_left;
}

/* The new program runs: which layers hold it, as the kernel sees it. Strict does not let it run when one is not there. */
static bool check_layers(const char *name, struct hold_sandbox_plan *plan, pid_t pid, bool is_job, struct hold_err *err) {
    uint32_t verified = 0;
    if (!plan || plan->level == HOLD_SANDBOX_OFF)
        return true;
    bool is_as_planned = hold_sandbox_settle(plan, pid, &verified);
    hold_autobuf on = hold_buf_with_max(512), partial = hold_buf_with_max(1024), missing = hold_buf_with_max(1024), seen = hold_buf_with_max(512);
    hold_sandbox_name_layers(plan, 1u << HOLD_LAYER_ON, UINT32_MAX, &on);
    hold_sandbox_name_layers(plan, 1u << HOLD_LAYER_PARTIAL, UINT32_MAX, &partial);
    hold_sandbox_name_layers(plan, 1u << HOLD_LAYER_MISSING, UINT32_MAX, &missing);
    hold_sandbox_name_layers(plan, 1u << HOLD_LAYER_ON, verified, &seen);
    enum hold_log_level level = is_job && is_as_planned ? HOLD_LV_DEBUG : missing.n ? HOLD_LV_WARN : HOLD_LV_INFO;
    hold_log(level, HOLD_EV_SANDBOX, HOLD_LS("member", name), HOLD_LS("profile", hold_profile_name(plan->profile)),
             HOLD_LS("level", hold_sandbox_level_name(plan->level)), HOLD_LS("on", on.data), HOLD_LS("verified", seen.data),
             HOLD_LS("partial", partial.data), HOLD_LS("missing", missing.data));
    if (is_as_planned || plan->level != HOLD_SANDBOX_STRICT)
        return true;
    (void) kill(pid, SIGKILL);
    hold_fail(err, HOLD_E_DENIED, 0, "sandbox of '%s': the kernel does not show what was applied: %s", name, missing.data ? missing.data : "");
    return false;
}

const char *hold_core_program(const struct hold_member *m) {
    return !m ? "holdfast-job" : m->config->n_command ? m->config->command[0] : m->config->name;
}

static void on_exec(struct hold_core *core, unsigned index, uint64_t now_ms) {
    struct hold_member *m = index < core->n_members ? &core->members[index] : NULL;
    struct hold_child *child = m ? &m->child : &core->job.child;
    if (!child->memory)
        return;
    int fd = child->exec_fd, status = 0;
    struct hold_err err = { 0 };
    if (fd >= 0)
        hold_loop_drop(&core->loop, fd); /* before it is closed: a child being started elsewhere may hold a copy */
    const char *name = m ? m->config->name : "holdfast-job";
    struct hold_sandbox_plan *plan = m ? m->plan : core->job.plan;
    int result = hold_child_exec_result(child, hold_core_program(m), plan, &status, &err);
    if (result > 0 && !check_layers(name, plan, child->pid, !m, &err)) {
        result = -1;
        status = HOLD_EXIT_SANDBOX;
    }
    if (result == 0 && fd < 0)
        core->settle_ms = HOLD_MIN(core->settle_ms, now_ms + HOLD_SETTLE_MS);
    else if (result == 0 && hold_loop_add(&core->loop, fd, HOLD_ON_EXEC, (uint16_t) index, EPOLLIN, &err) < 0)
        hold_log_err(&err);
    if (result < 0) { /* the death follows */
        *(m ? &m->exec_status : &core->job.exec_status) = status;
        memcpy(m ? m->exec_text : core->job.exec_text, err.text, sizeof(err.text));
    }
    if (result <= 0 || !m)
        return;
    hold_act_read_memory(core);
    m->oom_before = core->memory.known ? core->memory.oom_kills : 0;
    hold_act_record(core, m, true);
    if (!m->config->is_ours && !hold_probing_check(m))
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROBE_READY);
}

/* The cgroup runs against its limit. With memory.oom.group the next thing may be our own death, so the reading that tells
 * the next process 1 why is written now. Reclaim of page cache speaks up as well, a hundred times a second: once the record
 * says that memory is tight, ten times are enough; until then none is left out, since a server may eat all there is in less. */
static void on_memory(struct hold_core *core, uint64_t now_ms) {
    const struct hold_memory *memory = &core->memory;
    bool is_told = memory->known && hold_ladder_is_tight(memory->current - HOLD_MIN(memory->inactive_file, memory->current), memory->limit);
    if (is_told && now_ms - core->pressed_ms < 100)
        return;
    core->pressed_ms = now_ms;
    hold_act_read_memory(core);
    for (size_t i = 0; i < core->n_members; i++)
        if (hold_member_has_tree(core->members[i].state))
            hold_act_record(core, &core->members[i], true);
}

static void dispatch(struct hold_core *core, const struct hold_ready *r, uint64_t now_ms) {
    pid_t sender;
    switch ((enum hold_loop_kind) r->kind) {
    case HOLD_ON_SIGNAL:
        for (int sig; (sig = hold_loop_signal(&core->loop, &sender)) > 0;)
            hold_signals_on(core, sig, sender, now_ms);
        return;
    case HOLD_ON_EXEC:
        on_exec(core, r->index, now_ms);
        return;
    case HOLD_ON_CONTROL:
        hold_hear_control(core, r->index, now_ms);
        return;
    case HOLD_ON_NOTIFY:
        hold_hear_notify(core, now_ms);
        return;
    case HOLD_ON_OUTPUT:
        hold_output_on_ready(&core->output);
        return;
    case HOLD_ON_PROBE:
        hold_probing_on_ready(core, r->index, now_ms);
        return;
    case HOLD_ON_STATUS: {
        static struct hold_view view; /* 20 KiB: not for the stack of process 1 */
        hold_core_view(core, now_ms, &view);
        hold_status_on_ready(&core->status, &view, now_ms);
        return;
    }
    case HOLD_ON_MEMORY:
        on_memory(core, now_ms);
        return;
    case HOLD_ON_STORE:
        hold_hear_store(core);
        return;
    case HOLD_ON_COUNT:
        return;
    }
}

/* ---- time ---- */

static uint64_t earliest(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t next_deadline(const struct hold_core *core) {
    uint64_t next = earliest(hold_probing_deadline_ms(core), core->job.deadline_ms);
    for (size_t i = 0; i < HOLD_CONTAINER_DL_COUNT; i++)
        next = earliest(next, core->deadline_ms[i]);
    for (size_t k = 0; k < core->n_members; k++) {
        const struct hold_member *m = &core->members[k];
        for (size_t i = 0; i < HOLD_MEMBER_DL_COUNT; i++)
            next = earliest(next, m->deadline_ms[i]);
        if (m->state == HOLD_MEMBER_LOADING)
            next = earliest(next, hold_progress_sample_ms(&m->progress));
    }
    if (core->has_status)
        next = earliest(next, hold_status_deadline_ms(&core->status));
    return earliest(earliest(next, core->settle_ms), core->above_ping_ms);
}

static void name_unkillable(struct hold_core *core, int owner, const char *name) {
    hold_autobuf who = hold_buf_with_max(1024);
    hold_tree_name(&core->tree, owner, &who);
    core->unkillable = hold_tree_left(&core->tree, owner);
    hold_log(HOLD_LV_ERROR, HOLD_EV_UNKILLABLE, HOLD_LS("member", name), HOLD_LS("processes", who.data));
    if (core->ending.is_fixed)
        return;
    const struct hold_cause_info *info = hold_cause_info(HOLD_CAUSE_UNKILLABLE);
    core->ending = (struct hold_ending) { .is_fixed = true, .exit_code = HOLD_EXIT_UNKILLABLE, .cause = HOLD_CAUSE_UNKILLABLE,
                                          .action = info->action, .member = name, .advice = info->advice };
    (void) snprintf(core->ending.text, sizeof(core->ending.text), "still alive after KILL: %s", who.data ? who.data : "");
}

/* What a member's processes read and hold in all: an engine's weights are loaded by its workers, not by its main process. */
static struct hold_progress_sample look_at_tree(struct hold_core *core, const struct hold_member *m) {
    pid_t pids[64];
    struct hold_progress_sample sum = { 0 };
    size_t n = hold_tree_pids(&core->tree, m->index, pids, HOLD_COUNT_OF(pids));
    for (size_t i = 0; i < n; i++) {
        struct hold_proc proc;
        hold_proc_read("", pids[i], &proc);
        sum.read_bytes += proc.read_bytes;
        sum.memory_bytes += proc.rss_bytes;
    }
    return sum;
}

static void member_deadlines(struct hold_core *core, struct hold_member *m, uint64_t now_ms) {
    for (size_t i = 0; i < HOLD_MEMBER_DL_COUNT; i++) {
        if (now_ms < m->deadline_ms[i])
            continue;
        m->deadline_ms[i] = HOLD_NEVER;
        if (i == HOLD_MEMBER_DL_KILL) {
            if (hold_tree_left(&core->tree, m->index) == 0) {
                core->tree_changed = true;
            } else {
                name_unkillable(core, m->index, m->config->name);
                hold_core_post_member(core, m->index, HOLD_MEMBER_EV_UNKILLABLE);
                if (is_preparing_or_up(core))
                    hold_core_post(core, HOLD_CONTAINER_EV_MEMBER_FATAL);
            }
        } else {
            m->killed_by = (enum hold_member_deadline) i;
            hold_core_post_member(core, m->index, HOLD_MEMBER_EV_DEADLINE);
        }
        settle(core, now_ms); /* it may have disarmed the others */
    }
    if (m->state == HOLD_MEMBER_LOADING && now_ms >= hold_progress_sample_ms(&m->progress)) {
        struct hold_progress_sample sample = look_at_tree(core, m);
        if (hold_progress_sample(&m->progress, &sample, now_ms))
            hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROGRESS);
    }
}

static void job_deadline(struct hold_core *core, uint64_t now_ms) {
    struct hold_job *job = &core->job;
    if (now_ms < job->deadline_ms)
        return;
    job->deadline_ms = HOLD_NEVER;
    job->was_stuck = !job->is_ending;
    char evidence[HOLD_VIEW_TEXT] = "";
    hold_evidence_sentence("", job->child.pid, evidence, sizeof(evidence));
    hold_log(HOLD_LV_WARN, HOLD_EV_KILL, HOLD_LS("job", hold_job_name(job->kind)), HOLD_LS("why", job->is_ending ? "it does not end" : "no-progress"),
             HOLD_LS("evidence", evidence));
    hold_child_signal(&job->child, SIGKILL, true);
}

static int open_status(struct hold_core *core, struct hold_err *err) {
    if (core->has_status)
        return 0;
    if (hold_status_open(&core->status, err) < 0)
        return -1;
    core->has_status = true;
    return hold_loop_add(&core->loop, hold_status_fd(&core->status), HOLD_ON_STATUS, 0, EPOLLIN, err);
}

/* After the first start, which shall not wait for it: that nobody can ask yet is a warning, not a reason not to run. */
static void open_unix(struct hold_core *core) {
    struct hold_err err = { 0 };
    if (core->record.page && !core->status.unix_path[0] && (open_status(core, &err) < 0 || hold_status_listen_unix(&core->status, core->config->state_dir, &err) < 0))
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", err.text));
}

/* What was put off so that a start had the processor to itself. */
static void settle_start(struct hold_core *core, uint64_t now_ms) {
    if (now_ms < core->settle_ms)
        return;
    core->settle_ms = HOLD_NEVER;
    open_unix(core);
    hold_act_publish(core, now_ms); /* "loading", before an exec that is known by now makes it more */
    for (size_t i = 0; i < core->n_members; i++)
        on_exec(core, (unsigned) i, now_ms);
    on_exec(core, HOLD_CORE_JOB, now_ms);
}

static void on_time(struct hold_core *core, uint64_t now_ms) {
    settle_start(core, now_ms);
    job_deadline(core, now_ms);
    for (size_t i = 0; i < core->n_members; i++)
        member_deadlines(core, &core->members[i], now_ms);
    for (size_t i = 0; i < HOLD_CONTAINER_DL_COUNT; i++) {
        if (now_ms < core->deadline_ms[i])
            continue;
        core->deadline_ms[i] = HOLD_NEVER;
        if (i == HOLD_CONTAINER_DL_KILL) {
            if (hold_tree_left(&core->tree, HOLD_TREE_ANY) > 0) {
                name_unkillable(core, HOLD_TREE_ANY, "");
                hold_core_post(core, HOLD_CONTAINER_EV_UNKILLABLE);
            } else {
                core->tree_changed = true;
            }
        } else {
            hold_core_post(core, HOLD_CONTAINER_EV_DEADLINE);
        }
        settle(core, now_ms);
    }
    hold_probing_on_time(core, now_ms);
    hold_hear_ping_above(core, now_ms);
    if (core->has_status && now_ms >= hold_status_deadline_ms(&core->status))
        hold_status_on_time(&core->status, now_ms);
    settle(core, now_ms);
}

static void put_off(uint64_t *deadline_ms, uint64_t by_ms) {
    if (*deadline_ms != HOLD_NEVER)
        *deadline_ms += by_ms;
}

/* We did not run for a while that is in no proportion: the machine was frozen (docker pause, a snapshot, ^Z) or starved, and so
 * was everybody whom these deadlines judge. What is bad news is put off by the time that nobody had; what was promised to
 * somebody else (the grace, a back-off) runs on. */
static void forgive(struct hold_core *core, uint64_t lost_ms) {
    static const enum hold_member_deadline bad[] = { HOLD_MEMBER_DL_PROGRESS, HOLD_MEMBER_DL_BACKSTOP, HOLD_MEMBER_DL_WARM, HOLD_MEMBER_DL_LIVE,
                                                     HOLD_MEMBER_DL_SWEEP, HOLD_MEMBER_DL_KILL };
    static const enum hold_container_deadline bad_of_all[] = { HOLD_CONTAINER_DL_SWEEP, HOLD_CONTAINER_DL_KILL };
    hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", "process 1 did not run for a while: the machine was suspended, frozen or starved"), HOLD_LU("ms", lost_ms),
             HOLD_LS("then", "deadlines that judge are put off by as much"));
    for (size_t i = 0; i < core->n_members; i++) {
        struct hold_member *m = &core->members[i];
        for (size_t k = 0; k < HOLD_COUNT_OF(bad); k++)
            put_off(&m->deadline_ms[bad[k]], lost_ms);
        m->ready_since_ms += m->ready_since_ms ? lost_ms : 0; /* nobody was healthy meanwhile */
        for (size_t q = 0; q < HOLD_ASK_COUNT; q++)
            put_off(&m->ask[q].io.deadline_ms, lost_ms);
    }
    for (size_t k = 0; k < HOLD_COUNT_OF(bad_of_all); k++)
        put_off(&core->deadline_ms[bad_of_all[k]], lost_ms);
    put_off(&core->job.deadline_ms, lost_ms);
}

/* ---- life ---- */

static uint32_t seed(void) {
    uint32_t value = 0;
    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != (ssize_t) sizeof(value))
        value = (uint32_t) hold_loop_now_ms() ^ (uint32_t) getpid() << 16;
    return value | 1; /* a xorshift state is never zero */
}

static void on_line(void *context, int who, int stream, const char *line, size_t n) {
    struct hold_core *core = context;
    (void) stream;
    if (who < 0 || (size_t) who >= core->n_members || core->members[who].config->is_ours)
        return; /* ours tell over the control pair; their log may quote anything */
    struct hold_member *m = &core->members[who];
    if (!core->has_lines) /* most of a silent server's life */
        hold_lines_init(&core->lines);
    core->has_lines = true;
    struct hold_line_match match = hold_lines_match(&core->lines, line, n);
    if (match.class != HOLD_LINE_NOTHING && match.class != HOLD_LINE_MILESTONE && match.index < HOLD_VIEW_SIGNATURES)
        core->signatures[match.index]++;
    switch (match.class) {
    case HOLD_LINE_NOTHING:
    case HOLD_LINE_NOISE:
    case HOLD_LINE_CLASS_COUNT:
        return;
    case HOLD_LINE_MILESTONE:
        if (hold_progress_milestone(&m->progress, match.index, match.done, match.total, core->now_ms)) {
            hold_core_post_member(core, who, HOLD_MEMBER_EV_PROGRESS);
            hold_probing_hasten(m, core->now_ms);
        }
        return;
    case HOLD_LINE_CAUSE:
        if (m->matched == HOLD_CAUSE_NONE) {
            m->matched = match.cause;
            m->signature = match.id;
            (void) snprintf(m->matched_line, sizeof(m->matched_line), "%.*s", (int) HOLD_MIN(n, sizeof(m->matched_line) - 1), line);
        }
        return;
    case HOLD_LINE_WRAPPER:
        (void) snprintf(m->wrapper_line, sizeof(m->wrapper_line), "%.*s", (int) HOLD_MIN(n, sizeof(m->wrapper_line) - 1), line);
        return;
    }
}

static int open_outside(struct hold_core *core, int *ret_status, struct hold_err *err) {
    const struct hold_config *c = core->config;
    struct hold_err soft = { 0 };
    *ret_status = HOLD_EXIT_STATE;
    /* A plain `holdfast -- CMD` of a user who may not write /run asked for no state: no reason to warn each time. */
    bool is_asked = c->mode != HOLD_MODE_EXEC || strcmp(c->state_dir, HOLD_STATE_DIR_DEFAULT) != 0;
    if (!core->is_tight && hold_record_open(&core->record, c->state_dir, &soft) < 0)
        hold_log(is_asked ? HOLD_LV_WARN : HOLD_LV_INFO, HOLD_EV_WARN, HOLD_LS("what", soft.text), HOLD_LS("then", "going on without a record and a UNIX socket"));
    *ret_status = HOLD_EXIT_LISTEN;
    if (*c->listen && hold_store_listen(c->listen, &core->listen_fd, err) < 0)
        return hold_wrap(err, "--listen");
    if (!*c->status_listen)
        return 0;
    if (open_status(core, err) < 0 || hold_status_listen(&core->status, c->status_listen, err) < 0)
        return hold_wrap(err, "--status-listen");
    return 0;
}


/* Below HOLD_FILES_FEW descriptors what can be done without is: the server still runs, is reaped, stopped and started again. */
static int look_at_limit(struct hold_core *core, struct hold_err *err) {
    rlim_t n = core->inherited->files_now;
    core->is_tight = n < HOLD_FILES_FEW;
    if (n < HOLD_FILES_LEAST)
        return hold_fail(err, HOLD_E_LIMIT, EMFILE, "%llu descriptors are allowed, process 1 needs %d: raise ulimit -n", (unsigned long long) n, HOLD_FILES_LEAST);
    if (core->is_tight)
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", "few descriptors are allowed: raise ulimit -n"), HOLD_LU("limit", (uint64_t) n),
                 HOLD_LU("wanted", HOLD_FILES_FEW), HOLD_LS("then", "the server has our output itself, and there is no record and no UNIX socket"));
    return 0;
}

static void open_output(struct hold_core *core) {
    if (core->on_terminal || core->is_tight || core->config->output == HOLD_OUTPUT_DIRECT)
        return;
    hold_output_open(&core->output, &core->loop, 1, 2, core->config->output == HOLD_OUTPUT_BLOCK, on_line, core);
    core->has_output = true;
}

static void init_member(struct hold_core *core, size_t i) {
    const struct hold_config *c = core->config;
    struct hold_member *m = &core->members[i];
    /* It is zero already, and zeroing it again would only make its pages ours. */
    m->config = &c->servers[i];
    m->index = (int) i;
    m->state = HOLD_MEMBER_WAITING;
    m->since_ms = core->started_ms;
    m->child = hold_child_none();
    m->control_fd = -1;
    clear_foreign_deadlines(m->deadline_ms, HOLD_MEMBER_DL_COUNT, 0);
    m->budget.max = (uint32_t) m->config->restart.budget;
    m->budget.window_ms = m->config->restart.window_ms;
    m->is_asked = m->config->health.startup || m->config->health.ready || m->config->health.live || m->config->warmup;
    for (size_t k = 0; m->is_asked && k < HOLD_ASK_COUNT; k++) {
        m->ask[k].io = hold_probe_io_idle();
        m->ask[k].exec = hold_child_none();
    }
    const struct hold_record_life *last = hold_record_last(&core->record, m->config->name);
    if (!last)
        return;
    m->rung = hold_ladder_from_record(&m->config->ladder, last->rung, last->memory_bytes, last->limit_bytes, last->is_open);
    m->restarts.streak = last->is_open ? last->streak + (last->streak < UINT32_MAX) : 0;
    if (last->is_open && hold_ladder_is_tight(last->memory_bytes, last->limit_bytes)) {
        m->last_bytes = last->memory_bytes;
        m->last_limit_bytes = last->limit_bytes;
    }
    if (last->is_open)
        hold_log(HOLD_LV_WARN, HOLD_EV_RUNG, HOLD_LS("member", m->config->name), HOLD_LU("rung", m->rung), HOLD_LS("phase", last->phase),
                 HOLD_LU("memory_bytes", last->memory_bytes), HOLD_LU("limit_bytes", last->limit_bytes),
                 HOLD_LS("why", "the last holdfast here was killed while this ran"));
}

int hold_core_init(struct hold_core *core, const struct hold_config *config, const struct hold_inherited *inherited,
                   const char *const *environment, const sigset_t *signals, int *ret_status, struct hold_err *err) {
    core->config = config;
    core->inherited = inherited;
    core->environment = environment;
    core->listen_fd = core->notify_fd = core->above_fd = core->memory_fd = core->job.control_fd = -1;
    core->loop = (struct hold_loop) { .epoll_fd = -1, .signal_fd = -1 };
    core->job.child = hold_child_none();
    core->job.deadline_ms = core->above_ping_ms = HOLD_NEVER;
    core->started_ms = core->since_ms = core->phase_since_ms = hold_loop_now_ms();
    core->started_wall_s = hold_log_wall_s();
    core->random = seed();
    clear_foreign_deadlines(core->deadline_ms, HOLD_CONTAINER_DL_COUNT, 0);
    *ret_status = HOLD_EXIT_INTERNAL;
    if (inherited->folder[0] && chdir("/") < 0) /* the start folder is the child's; we do not hold its file system */
        return hold_fail(err, HOLD_E_IO, errno, "go to '/'");
    hold_tree_spare(&core->tree);
    if (look_at_limit(core, err) < 0 || hold_loop_init(&core->loop, signals, err) < 0 || hold_tree_adopt(err) < 0 || hold_signals_open(core, err) < 0 || hold_start_init(core, err) < 0)
        return -1;
    open_output(core);
    if (open_outside(core, ret_status, err) < 0)
        return -1;
    *ret_status = HOLD_EXIT_STATE;
    if (hold_hear_open(core, err) < 0)
        return -1;
    core->n_members = config->n_servers;
    for (size_t i = 0; i < core->n_members; i++)
        init_member(core, i);
    return 0;
}

/* What ended the wait was a signal, and it asks for nothing. */
static bool may_wait_on(struct hold_core *core) {
    pid_t sender;
    bool has_come = false, is_asked = false;
    for (int sig; (sig = hold_loop_signal(&core->loop, &sender)) > 0; has_come = true)
        is_asked |= hold_signals_is_stop(core, sig);
    return has_come && !is_asked;
}

/* Everything is over and written down; only our own output may still wait for its reader: as long as a server would have been given,
 * when nobody is in a hurry. */
static void flush_output(struct hold_core *core) {
    if (!core->has_output)
        return;
    for (size_t i = 0; i < core->n_members; i++)
        hold_output_finish(&core->output, (int) i);
    int patience_ms = (int) HOLD_MIN(core->config->grace_ms, (uint64_t) 3600000);
    if (core->stop_ms != 0 && core->config->output != HOLD_OUTPUT_BLOCK)
        patience_ms = HOLD_LATE_MS;
    size_t lost;
    do
        lost = hold_output_flush(&core->output, patience_ms, core->loop.signal_fd);
    while (lost > 0 && may_wait_on(core));
    if (lost > 0)
        hold_log(HOLD_LV_WARN, HOLD_EV_OUTPUT_LOST, HOLD_LU("bytes", lost), HOLD_LS("why", "nobody read them at the end"));
    if (hold_tree_spared(&core->tree) == 0)
        return;
    /* Whoever came with us through exec may be a tee behind our output: it sees the end of it and has a moment, since the end
     * of process 1 is the end of all. */
    hold_output_close(&core->output);
    core->has_output = false;
    hold_autofd nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nothing < 0)
        return;
    for (int fd = 1; fd <= 2; fd++)
        (void) dup3(nothing, fd, O_CLOEXEC);
    for (int i = 0; i < 50 && hold_tree_spared(&core->tree) > 0; i++)
        (void) poll(NULL, 0, 20);
}

int hold_core_run(struct hold_core *core) {
    uint64_t now_ms = core->started_ms;
    struct hold_ready batch[HOLD_LOOP_BATCH];
    struct hold_err err = { 0 };
    hold_act_container(core, HOLD_CONTAINER_ACT_START_JOB | HOLD_CONTAINER_ACT_ANNOUNCE, now_ms);
    core->settle_ms = now_ms + HOLD_SETTLE_MS;
    settle(core, now_ms);
    core->has_report = core->config->termination_log_is_set || access(core->config->termination_log, F_OK) == 0 || errno != ENOENT;
    if (core->state == HOLD_CONTAINER_EXITED) /* it could not even be started */
        hold_act_publish(core, now_ms);
    while (core->state != HOLD_CONTAINER_EXITED) {
        uint64_t slept_ms = now_ms, deadline_ms = next_deadline(core);
        int n = hold_loop_wait(&core->loop, deadline_ms, batch, &now_ms, &err);
        if (n < 0) { /* epoll itself is broken: nothing can be waited for any more */
            hold_log_err(&err);
            return HOLD_EXIT_INTERNAL;
        }
        bool has_reaped = false;
        core->tree.is_childless = false;
        core->now_ms = now_ms;
        if (now_ms > slept_ms + HOLD_LATE_MS && deadline_ms < now_ms - HOLD_LATE_MS && core->stop_ms == 0)
            forgive(core, now_ms - slept_ms);
        for (int i = 0; i < n; i++) {
            if (!has_reaped && batch[i].kind > HOLD_ON_SIGNAL && batch[0].kind == HOLD_ON_SIGNAL) {
                reap_all(core, now_ms);
                has_reaped = true;
            }
            if (i == 0 || batch[i].kind != HOLD_ON_OUTPUT || batch[i - 1].kind != HOLD_ON_OUTPUT) /* all its pipes in one go */
                dispatch(core, &batch[i], now_ms);
        }
        if (!has_reaped && n > 0 && batch[0].kind == HOLD_ON_SIGNAL) /* a death is told by its SIGCHLD */
            reap_all(core, now_ms);
        settle(core, now_ms);
        if (core->state != HOLD_CONTAINER_EXITED)
            on_time(core, now_ms);
        hold_act_publish(core, now_ms);
    }
    flush_output(core);
    return core->ending.exit_code;
}

void hold_core_release(struct hold_core *core) {
    if (core->has_status)
        hold_status_close(&core->status);
    if (core->notify_fd >= 0)
        (void) unlink(core->notify_path);
}
