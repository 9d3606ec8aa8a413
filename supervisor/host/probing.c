/* probing.c - the questions that process 1 asks its members: ready, live, warm-up. Floor: host.
 *
 * policy/probe.c folds answers, probe_io.c converses; here questions begin, end, and become events. Which question is asked
 * follows from the member's state alone: LOADING asks the startup check, or the ready one (with back-off), WARMING asks for
 * one warm-up, READY and UNREADY ask ready and live by their periods. */
#include "supervisor/host/core.h"

#include "base/list.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const char *const question_names[] = { "ready", "live", "warm-up" };

const char *hold_probing_check(const struct hold_member *m) {
    const struct hold_health_config *h = &m->config->health;
    return h->startup && m->state <= HOLD_MEMBER_LOADING ? h->startup : h->ready;
}

static const char *name_of(const struct hold_member *m, enum hold_question q) {
    return q == HOLD_ASK_READY && m->config->health.startup && m->state == HOLD_MEMBER_LOADING ? "startup" : question_names[q];
}

static const char *text_of(const struct hold_member *m, enum hold_question q) {
    switch (q) {
    case HOLD_ASK_READY:
        return hold_probing_check(m);
    case HOLD_ASK_LIVE:
        return m->config->health.live;
    case HOLD_ASK_WARM:
        return m->config->warmup;
    case HOLD_ASK_COUNT:
        break;
    }
    return NULL;
}

static bool is_asked_in(enum hold_question q, enum hold_member_state state) {
    bool serves = state == HOLD_MEMBER_READY || state == HOLD_MEMBER_UNREADY;
    switch (q) {
    case HOLD_ASK_READY:
        return state == HOLD_MEMBER_LOADING || serves;
    case HOLD_ASK_LIVE:
        return serves;
    case HOLD_ASK_WARM:
        return state == HOLD_MEMBER_WARMING;
    case HOLD_ASK_COUNT:
        break;
    }
    return false;
}

static uint64_t or_else(uint64_t own, uint64_t otherwise) {
    return own ? own : otherwise;
}

static struct hold_probe_rule rule_of(const struct hold_member *m, enum hold_question q) {
    const struct hold_health_config *h = &m->config->health;
    bool starting = m->state == HOLD_MEMBER_LOADING || q == HOLD_ASK_WARM;
    uint64_t period_ms = h->period_ms, timeout_ms = h->timeout_ms;
    if (q == HOLD_ASK_LIVE) {
        period_ms = or_else(h->live_period_ms, period_ms);
        timeout_ms = or_else(h->live_timeout_ms, timeout_ms);
    } else if (q == HOLD_ASK_READY && m->state == HOLD_MEMBER_LOADING) {
        period_ms = or_else(h->startup_period_ms, period_ms);
        timeout_ms = or_else(h->startup_timeout_ms, timeout_ms);
    } else if (q == HOLD_ASK_WARM) {
        timeout_ms = UINT64_MAX / 4; /* a warm-up is bounded by its state's deadline */
    }
    return (struct hold_probe_rule) {
        .initial_delay_ms = starting ? h->initial_delay_ms : q == HOLD_ASK_LIVE ? HOLD_MAX(period_ms, h->live_delay_ms) : period_ms,
        .period_ms = period_ms,
        .timeout_ms = timeout_ms,
        .failure_threshold = starting ? UINT32_MAX : (uint32_t) (q == HOLD_ASK_LIVE ? h->live_failures : h->failures),
        .success_threshold = starting ? 1 : (uint32_t) (q == HOLD_ASK_READY ? h->successes : 1),
        .backoff_first_ms = starting ? h->backoff_first_ms : 0,
        .backoff_max_ms = h->backoff_max_ms,
    };
}

static void cancel(struct hold_core *core, struct hold_asking *a) {
    hold_loop_drop(&core->loop, a->io.fd);
    hold_probe_io_cancel(&a->io);
    if (a->exec.pid > 0)
        hold_child_signal(&a->exec, SIGKILL, true); /* reaped as everything is; its answer no longer counts */
}

void hold_probing_begin(struct hold_core *core, struct hold_member *m, uint64_t now_ms) {
    if (!m->is_asked)
        return;
    for (enum hold_question q = 0; q < HOLD_ASK_COUNT; q++) {
        struct hold_asking *a = &m->ask[q];
        cancel(core, a);
        a->is_on = a->is_stalled = a->is_blind = false;
        a->probe = (struct hold_probe) { 0 };
        a->counter = (struct hold_counter) { 0 };
    }
    hold_probing_follow(core, m, now_ms);
}

void hold_probing_follow(struct hold_core *core, struct hold_member *m, uint64_t now_ms) {
    if (!m->is_asked)
        return;
    for (enum hold_question q = 0; q < HOLD_ASK_COUNT; q++) {
        struct hold_asking *a = &m->ask[q];
        const char *text = text_of(m, q);
        bool wanted = text && strcmp(text, "notify") != 0 && is_asked_in(q, m->state);
        if (!wanted) {
            cancel(core, a);
            a->is_on = false;
            continue;
        }
        /* READY and UNREADY share one run of answers; LOADING to READY changes the rule. */
        if (a->is_on && (m->state == HOLD_MEMBER_READY || m->state == HOLD_MEMBER_UNREADY) && a->probe.rule.failure_threshold != UINT32_MAX)
            continue;
        struct hold_err err = { 0 };
        if (hold_probe_target_parse(text, &a->target, &err) < 0) { /* was checked when it was configured */
            hold_log_err(&err);
            continue;
        }
        struct hold_probe_rule rule = rule_of(m, q);
        cancel(core, a);
        hold_probe_init(&a->probe, &rule, now_ms);
        a->is_on = true;
    }
}

void hold_probing_hasten(struct hold_member *m, uint64_t now_ms) {
    for (enum hold_question q = 0; m->is_asked && q < HOLD_ASK_COUNT; q++)
        if (m->ask[q].is_on)
            hold_probe_hasten(&m->ask[q].probe, now_ms);
}

void hold_probing_end(struct hold_core *core, struct hold_member *m) {
    if (!m->is_asked)
        return;
    for (enum hold_question q = 0; q < HOLD_ASK_COUNT; q++) {
        cancel(core, &m->ask[q]);
        m->ask[q].is_on = false;
    }
}

/* A page of counters was read: does it move? One that says nothing passes, but is told of, once: a check that cannot fail
 * is worse than none. */
static bool moves(struct hold_member *m, enum hold_question q) {
    struct hold_asking *a = &m->ask[q];
    enum hold_counter_word word = hold_counter_judge(&a->counter, &a->io.seen);
    hold_counter_say(word, &a->io.seen, a->io.why, sizeof(a->io.why));
    if (word == HOLD_COUNTER_UNKNOWN && !a->is_blind)
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("member", m->config->name), HOLD_LS("question", name_of(m, q)), HOLD_LS("what", a->io.why),
                 HOLD_LS("then", "the check passes"));
    a->is_blind = word == HOLD_COUNTER_UNKNOWN;
    return word != HOLD_COUNTER_STANDS;
}

static void answered(struct hold_core *core, struct hold_member *m, enum hold_question q, enum hold_answer answer, uint64_t now_ms) {
    struct hold_asking *a = &m->ask[q];
    if (answer == HOLD_ANSWER_NONE || !a->is_on)
        return;
    bool passed = answer == HOLD_ANSWER_PASS;
    a->is_stalled = passed && a->target.kind == HOLD_PROBE_COUNTER && !moves(m, q);
    passed &= !a->is_stalled;
    if (!hold_probe_fold(&a->probe, passed, now_ms))
        return;
    hold_log(HOLD_LV_INFO, HOLD_EV_PROBE, HOLD_LS("member", m->config->name), HOLD_LS("question", name_of(m, q)), HOLD_LB("ok", passed),
             HOLD_LS("answer", a->io.why), HOLD_LU("failures", a->probe.failures));
    switch (q) {
    case HOLD_ASK_READY:
        hold_core_post_member(core, m->index, passed ? HOLD_MEMBER_EV_PROBE_READY : HOLD_MEMBER_EV_PROBE_UNREADY);
        return;
    case HOLD_ASK_LIVE:
        if (!passed) {
            m->killed = a->is_stalled ? HOLD_KILL_STALLED : HOLD_KILL_UNHEALTHY;
            (void) snprintf(m->answered, sizeof(m->answered), "%s", a->io.why);
            hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROBE_DEAD);
        }
        return;
    case HOLD_ASK_WARM:
        if (passed)
            hold_core_post_member(core, m->index, HOLD_MEMBER_EV_WARM);
        return;
    case HOLD_ASK_COUNT:
        return;
    }
}

static void ask(struct hold_core *core, struct hold_member *m, enum hold_question q, uint64_t now_ms) {
    struct hold_asking *a = &m->ask[q];
    if (a->exec.pid > 0)
        return; /* the killed one of the last question is not reaped yet; its death wakes us */
    uint64_t deadline = hold_probe_ask(&a->probe, now_ms);
    enum hold_answer answer = HOLD_ANSWER_NONE;
    struct hold_err err = { 0 };
    int began = 0;
    if (a->target.kind == HOLD_PROBE_EXEC) {
        began = hold_start_exec_probe(core, m, a->target.command, &a->exec, &err);
        if (began == 0) {
            hold_probe_io_start_exec(&a->io, a->exec.pid, deadline);
            core->tree.owners[HOLD_CORE_PROBE(m->index, q)] = (struct hold_tree_owner) { .pid = a->exec.pid, .is_apart = true };
        }
    } else {
        began = hold_probe_io_start(&a->io, &a->target, deadline, &answer, &err);
        if (began == 0 && answer == HOLD_ANSWER_NONE)
            began = hold_loop_add(&core->loop, a->io.fd, HOLD_ON_PROBE, (uint16_t) (m->index * HOLD_ASK_COUNT + (int) q), HOLD_PROBE_IO_EVENTS, &err);
    }
    if (began < 0) {
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("member", m->config->name), HOLD_LS("what", err.text));
        (void) snprintf(a->io.why, sizeof(a->io.why), "%.*s", (int) sizeof(a->io.why) - 1, err.text);
        answer = HOLD_ANSWER_FAIL;
    }
    answered(core, m, q, answer, now_ms);
}

void hold_probing_on_ready(struct hold_core *core, unsigned index, uint64_t now_ms) {
    unsigned i = index / HOLD_ASK_COUNT;
    enum hold_question q = (enum hold_question) (index % HOLD_ASK_COUNT);
    if (i >= core->n_members || !hold_probe_io_running(&core->members[i].ask[q].io))
        return;
    struct hold_probe_io *io = &core->members[i].ask[q].io;
    struct hold_err err = { 0 };
    enum hold_answer answer = hold_probe_io_on_ready(io);
    if (io->wants_more && hold_loop_change(&core->loop, io->fd, HOLD_ON_PROBE, (uint16_t) index, HOLD_PROBE_IO_EVENTS, &err) < 0)
        hold_log_err(&err); /* the deadline ends it */
    answered(core, &core->members[i], q, answer, now_ms);
}

uint64_t hold_probing_deadline_ms(const struct hold_core *core) {
    uint64_t next = HOLD_NEVER;
    for (size_t i = 0; i < core->n_members; i++) {
        for (enum hold_question q = 0; core->members[i].is_asked && q < HOLD_ASK_COUNT; q++) {
            const struct hold_asking *a = &core->members[i].ask[q];
            if (!a->is_on || (a->exec.pid > 0 && !hold_probe_io_running(&a->io)))
                continue;
            uint64_t at = hold_probe_io_running(&a->io) ? hold_probe_io_deadline_ms(&a->io) : hold_probe_next_ms(&a->probe);
            next = at < next ? at : next;
        }
    }
    return next;
}

void hold_probing_on_time(struct hold_core *core, uint64_t now_ms) {
    for (size_t i = 0; i < core->n_members; i++) {
        struct hold_member *m = &core->members[i];
        for (enum hold_question q = 0; m->is_asked && q < HOLD_ASK_COUNT; q++) {
            struct hold_asking *a = &m->ask[q];
            if (!a->is_on)
                continue;
            if (hold_probe_io_running(&a->io)) {
                hold_loop_drop(&core->loop, now_ms >= hold_probe_io_deadline_ms(&a->io) ? a->io.fd : -1);
                enum hold_answer answer = hold_probe_io_on_time(&a->io, now_ms);
                if (answer != HOLD_ANSWER_NONE && a->exec.pid > 0)
                    hold_child_signal(&a->exec, SIGKILL, true);
                answered(core, m, q, answer, now_ms);
            } else if (now_ms >= hold_probe_next_ms(&a->probe)) {
                ask(core, m, q, now_ms);
            }
        }
    }
}

bool hold_probing_on_exit(struct hold_core *core, pid_t pid, int wait_status, uint64_t now_ms) {
    for (size_t i = 0; i < core->n_members; i++) {
        for (enum hold_question q = 0; core->members[i].is_asked && q < HOLD_ASK_COUNT; q++) {
            struct hold_asking *a = &core->members[i].ask[q];
            if (a->exec.pid != pid)
                continue;
            (void) kill(-pid, SIGKILL); /* helpers of the question */
            hold_child_forget(&a->exec);
            core->tree.owners[HOLD_CORE_PROBE((int) i, q)].pid = 0;
            if (hold_probe_io_running(&a->io))
                answered(core, &core->members[i], q, hold_probe_io_on_exit(&a->io, wait_status), now_ms);
            return true;
        }
    }
    return false;
}
