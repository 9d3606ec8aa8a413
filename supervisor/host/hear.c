/* hear.c - what children say: control pairs, and NOTIFY_SOCKET with its sender check. Floor: host.
 *
 * Input from less trusted processes: fixed vocabulary, fixed length, at most HOLD_HEAR_BATCH messages a wake-up so that a
 * flood cannot keep process 1 from its other work. What a message means depends on who said it, never on what it claims. */
#include "supervisor/host/core.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HOLD_HEAR_BATCH 64
#define HOLD_PROGRESS_LOG_MS 1000

void hold_hear_close(struct hold_core *core, int *control_fd) {
    hold_loop_drop(&core->loop, *control_fd);
    hold_close_fd(control_fd);
}

void hold_hear_tell(struct hold_core *core, struct hold_member *m, const char *text, int fd) {
    (void) core;
    if (m->control_fd < 0)
        return;
    struct hold_err err = { 0 };
    if (hold_notify_send(m->control_fd, text, &fd, fd >= 0 ? 1 : 0, &err) < 0 && err.sys != EPIPE) /* its death is news of its own */
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("member", m->config->name), HOLD_LS("what", err.text));
}

/* At most once a second, and at the end: true when it was said. */
static bool log_progress(struct hold_core *core, const char *who, uint64_t done, uint64_t total, const char *said, uint64_t now_ms) {
    if (now_ms < core->progress_said_ms + HOLD_PROGRESS_LOG_MS && (total == 0 || done < total))
        return false;
    core->progress_said_ms = now_ms;
    hold_log(HOLD_LV_INFO, HOLD_EV_PROGRESS, HOLD_LS("who", who), HOLD_LU("done", done), HOLD_LU("total", total), HOLD_LS("status", said));
    return true;
}

static void watch_store(struct hold_core *core) {
    struct hold_err err = { 0 };
    if (core->store.watch_fd > 0)
        return;
    if (hold_store_watch(&core->store, &err) < 0 || hold_loop_add(&core->loop, core->store.watch_fd, HOLD_ON_STORE, 0, EPOLLIN, &err) < 0)
        hold_log(HOLD_LV_WARN, HOLD_EV_STORE, HOLD_LS("what", err.text), HOLD_LS("then", "stored descriptors are not watched for their end"));
}

/* FDSTORE=1 with FDNAME and its descriptors; FDSTOREREMOVE=1. Every descriptor of the message is closed or stored. Of a stranger's
 * several may have one name, and one whose other end is gone is dropped (unless FDPOLL=0), as systemd has it; ours replaces the
 * one that it stored before. */
static void take_fds(struct hold_core *core, int owner, struct hold_notify *m) {
    char name[HOLD_STORE_NAME_BYTES + 1], poll[4] = "";
    const char *value;
    size_t n;
    bool is_foreign = owner < (int) core->n_members && !core->members[owner].config->is_ours;
    bool has_name = hold_notify_str(m, "FDNAME", name, sizeof(name));
    bool is_named = has_name && hold_store_is_name(name); /* as systemd has it: what is no name is none, and only a name is removed */
    if (has_name && !is_named)
        hold_log(HOLD_LV_WARN, HOLD_EV_STORE, HOLD_LS("name", name), HOLD_LS("what", "is not a name"));
    if (!is_named)
        memcpy(name, "stored", sizeof "stored");
    if (is_named && hold_notify_find(m, "FDSTOREREMOVE", &value, &n))
        hold_store_drop(&core->store, owner, name);
    bool may_store = hold_notify_find(m, "FDSTORE", &value, &n) && (m->n_fds == 1 || is_foreign);
    if (strcmp(name, "plan") == 0) /* only the verify job knows what a plan is */
        may_store &= owner == HOLD_CORE_JOB && core->job.kind == HOLD_JOB_VERIFY;
    uint32_t how = 0;
    if (is_foreign && may_store && m->n_fds > 0) {
        (void) hold_notify_str(m, "FDPOLL", poll, sizeof(poll));
        how = HOLD_STORE_BESIDE | (strcmp(poll, "0") == 0 ? 0 : HOLD_STORE_WATCHED);
        watch_store(core);
    }
    for (size_t i = 0; may_store && i < m->n_fds; i++) {
        struct hold_err err = { 0 };
        bool failed = hold_store_put(&core->store, owner, name, m->fds[i], how, &err) < 0;
        hold_log(failed ? HOLD_LV_WARN : HOLD_LV_INFO, HOLD_EV_STORE, HOLD_LS("name", name), HOLD_LS("what", failed ? err.text : "stored"));
    }
    if (may_store)
        m->n_fds = 0;
    hold_notify_close_fds(m);
}

void hold_hear_store(struct hold_core *core) {
    for (char name[HOLD_STORE_NAME_BYTES]; hold_store_drop_dead(&core->store, name);)
        hold_log(HOLD_LV_INFO, HOLD_EV_STORE, HOLD_LS("name", name), HOLD_LS("what", "dropped: its other end is gone"));
}

/* "id level text" of a preflight finding, for the status page; what does not fit stands in the log. */
static void hear_finding(struct hold_core *core, const struct hold_notify *n) {
    char told[HOLD_VIEW_TEXT];
    struct hold_view_finding f = { 0 };
    if (!hold_notify_str(n, "X_HOLDFAST_FINDING", told, sizeof(told)) || core->n_findings == HOLD_VIEW_FINDINGS)
        return;
    int used = 0;
    if (sscanf(told, "%31s %7s %n", f.id, f.level, &used) != 2)
        return;
    (void) snprintf(f.text, sizeof(f.text), "%s", told + used);
    core->findings[core->n_findings++] = f;
}

static void hear_job(struct hold_core *core, struct hold_notify *n, uint64_t now_ms) {
    struct hold_job *job = &core->job;
    take_fds(core, HOLD_CORE_JOB, n);
    if (job->kind == HOLD_JOB_VERIFY)
        (void) hold_notify_str(n, "X_HOLDFAST_DIGEST", core->digest, sizeof(core->digest));
    if (job->kind == HOLD_JOB_PREFLIGHT)
        hear_finding(core, n);
    (void) hold_notify_str(n, "STATUS", job->said, sizeof(job->said));
    if (hold_notify_str(n, "X_HOLDFAST_CAUSE", job->told, sizeof(job->told)))
        hold_log(HOLD_LV_INFO, HOLD_EV_CAUSE, HOLD_LS("who", "job"), HOLD_LS("cause", job->told));
    hold_act_arm_job(core, now_ms);
    if (!hold_notify_ratio(n, "X_HOLDFAST_PROGRESS", &job->done, &job->total))
        return;
    core->report_is_due |= log_progress(core, "job", job->done, job->total, job->said, now_ms);
    char text[64 + HOLD_VIEW_TEXT];
    (void) snprintf(text, sizeof(text), "PROGRESS=%llu/%llu\nSTATUS=%s", (unsigned long long) job->done, (unsigned long long) job->total, job->said);
    for (size_t i = 0; i < core->n_members; i++)
        if (hold_member_is_serving(core->members[i].state))
            hold_hear_tell(core, &core->members[i], text, -1);
}

static void hear_readiness(struct hold_core *core, struct hold_member *m, const struct hold_notify *n) {
    char phase[16], ready[4];
    const char *check = hold_probing_check(m);
    bool waits_for_told = m->config->is_ours || (check && strcmp(check, "notify") == 0);
    if (!waits_for_told)
        return; /* its own check decides; a word against it would be two truths */
    if (hold_notify_str(n, "X_HOLDFAST_PHASE", phase, sizeof(phase)) && strcmp(phase, "warming") == 0)
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROBE_READY);
    if (!hold_notify_str(n, "READY", ready, sizeof(ready)))
        return;
    if (strcmp(ready, "1") != 0) {
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROBE_UNREADY);
        return;
    }
    /* Ours has done its inference when it says so; a stranger only answers. */
    hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROBE_READY);
    if (m->config->is_ours)
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_WARM);
}

static void extend(struct hold_member *m, uint64_t usec, uint64_t now_ms) {
    uint64_t until = now_ms + HOLD_MIN(usec / 1000, (uint64_t) 24 * 3600 * 1000);
    static const enum hold_member_deadline which[] = { HOLD_MEMBER_DL_PROGRESS, HOLD_MEMBER_DL_WARM };
    for (size_t i = 0; i < HOLD_COUNT_OF(which); i++)
        if (m->deadline_ms[which[i]] != HOLD_NEVER && m->deadline_ms[which[i]] < until)
            m->deadline_ms[which[i]] = until;
}

static void hear_member(struct hold_core *core, struct hold_member *m, struct hold_notify *n, uint64_t now_ms) {
    uint64_t done, total, usec;
    const char *value;
    size_t length;
    char before[sizeof(m->said)];
    take_fds(core, m->index, n);
    memcpy(before, m->said, sizeof(before));
    if (hold_notify_str(n, "STATUS", m->said, sizeof(m->said)) && strcmp(before, m->said) != 0 && m->state == HOLD_MEMBER_LOADING) {
        hold_progress_touch(&m->progress, now_ms);
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROGRESS);
    }
    if (hold_notify_str(n, "X_HOLDFAST_CAUSE", m->told, sizeof(m->told)))
        hold_log(HOLD_LV_INFO, HOLD_EV_CAUSE, HOLD_LS("who", m->config->name), HOLD_LS("cause", m->told));
    if (hold_notify_ratio(n, "X_HOLDFAST_PROGRESS", &done, &total) && hold_progress_told(&m->progress, done, total, now_ms)) {
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROGRESS);
        if (log_progress(core, m->config->name, done, total, m->said, now_ms)) {
            hold_act_read_memory(core); /* a loader that is killed for its memory leaves the last reading behind */
            hold_act_record(core, m, true);
            core->report_is_due = true;
        }
    }
    if (hold_notify_u64(n, "EXTEND_TIMEOUT_USEC", &usec))
        extend(m, usec, now_ms);
    if (hold_notify_u64(n, "WATCHDOG_USEC", &usec) && usec > 0) { /* another rhythm from now on */
        m->watchdog_ms = HOLD_MAX(HOLD_MIN(usec / 1000, (uint64_t) 24 * 3600 * 1000), (uint64_t) 1);
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROGRESS);
    }
    if (hold_notify_find(n, "WATCHDOG", &value, &length))
        hold_core_post_member(core, m->index, length == 7 && memcmp(value, "trigger", 7) == 0 ? HOLD_MEMBER_EV_PROBE_DEAD : HOLD_MEMBER_EV_PROGRESS);
    (void) hold_notify_u64(n, "X_HOLDFAST_INFLIGHT", &m->inflight);
    if (hold_notify_find(n, "STOPPING", &value, &length) && m->state != HOLD_MEMBER_DRAINING)
        hold_core_post_member(core, m->index, HOLD_MEMBER_EV_PROBE_UNREADY);
    hear_readiness(core, m, n);
}

void hold_hear_control(struct hold_core *core, int child, uint64_t now_ms) {
    static struct hold_notify message; /* 4 KiB, one at a time */
    struct hold_member *m = child < (int) core->n_members ? &core->members[child] : NULL;
    int *fd = m ? &m->control_fd : child == HOLD_CORE_JOB ? &core->job.control_fd : NULL;
    struct hold_err err = { 0 };
    for (int i = 0; fd && *fd >= 0 && i < HOLD_HEAR_BATCH && hold_core_can_hear(core); i++) {
        int got = hold_notify_recv(*fd, &message, &err);
        if (got < 0) {
            hold_hear_close(core, fd);
            return;
        }
        if (got == 0)
            return;
        if (m)
            hear_member(core, m, &message, now_ms);
        else
            hear_job(core, &message, now_ms);
    }
}

static bool may_speak(const struct hold_member *m) {
    return !m->config->is_ours && hold_member_has_tree(m->state) && m->child.pid > 0;
}

/* The only member that can have sent it. */
static struct hold_member *sole_of(struct hold_core *core) {
    struct hold_member *sole = NULL;
    for (size_t i = 0; i < core->n_members; i++) {
        if (!may_speak(&core->members[i]))
            continue;
        if (sole)
            return NULL;
        sole = &core->members[i];
    }
    return sole;
}

/* A datagram counts only when its sender, whom the kernel names, belongs to a member's tree. Who spoke and ended at once is still
 * there to be looked at, since messages are read before anything is reaped, unless its own parent in the tree reaped it. Of one that
 * is gone without a trace nothing is known but its user: as process 1 of a namespace, where nobody else's processes are, the word
 * of the server's own user counts, who could as well have written it into the server's memory; elsewhere it does not. */
static struct hold_member *member_of(struct hold_core *core, const struct hold_notify *n) {
    int owner = hold_tree_owner_of(&core->tree, n->sender);
    if (owner >= 0)
        return owner < (int) core->n_members && may_speak(&core->members[owner]) ? &core->members[owner] : NULL;
    struct hold_member *m = owner == HOLD_TREE_ANY || (owner == HOLD_TREE_GONE && getpid() == 1) ? sole_of(core) : NULL;
    bool is_same_user = m && (n->sender_uid == geteuid() || (m->plan && n->sender_uid == m->plan->uid));
    return owner == HOLD_TREE_ANY || is_same_user ? m : NULL;
}

static void say_stranger(struct hold_core *core, const struct hold_notify *n, uint64_t now_ms) {
    if (core->stranger_said_ms != 0 && now_ms < core->stranger_said_ms + HOLD_PROGRESS_LOG_MS)
        return;
    core->stranger_said_ms = now_ms;
    hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", "a message on the notify socket does not come from a server's process, and is not believed"),
             HOLD_LI("from_pid", n->sender));
}

void hold_hear_notify(struct hold_core *core, uint64_t now_ms) {
    static struct hold_notify message;
    struct hold_err err = { 0 };
    for (int i = 0; core->notify_fd >= 0 && i < HOLD_HEAR_BATCH && hold_core_can_hear(core); i++) {
        int got = hold_notify_recv(core->notify_fd, &message, &err);
        if (got == 0)
            return;
        if (got < 0 && err.code == HOLD_E_MISSING)
            continue; /* an empty datagram without credentials; datagram sockets have no end */
        if (got < 0)
            return;
        struct hold_member *m = message.sender > 0 ? member_of(core, &message) : NULL;
        if (m) {
            hear_member(core, m, &message, now_ms);
            continue;
        }
        hold_notify_close_fds(&message);
        say_stranger(core, &message, now_ms);
    }
}

static bool is_wanted(const struct hold_config *c) {
    for (size_t i = 0; i < c->n_servers; i++) {
        const struct hold_server_config *s = &c->servers[i];
        bool is_told = (s->health.ready && strcmp(s->health.ready, "notify") == 0) || (s->health.startup && strcmp(s->health.startup, "notify") == 0);
        if (!s->is_ours && (is_told || s->health.watchdog_ms > 0 || c->mode == HOLD_MODE_RUN))
            return true;
    }
    return false;
}

/* Whoever watches us kills us when this stops: it is said by the loop itself, so that a loop that hangs does not say it. */
void hold_hear_ping_above(struct hold_core *core, uint64_t now_ms) {
    if (now_ms < core->above_ping_ms)
        return;
    core->above_ping_ms = now_ms + core->above_every_ms;
    hold_hear_tell_above(core, "WATCHDOG=1");
}

void hold_hear_tell_above(struct hold_core *core, const char *text) {
    struct hold_err err = { 0 };
    if (core->above_fd >= 0 && hold_notify_send(core->above_fd, text, NULL, 0, &err) < 0)
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", err.text), HOLD_LS("then", "whoever started us is not told"));
}

/* A path or, after '@', an abstract name. Anything else is not ours to understand. */
static void open_above(struct hold_core *core) {
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    const char *name = NULL;
    for (size_t i = 0; core->environment[i]; i++)
        if (strncmp(core->environment[i], "NOTIFY_SOCKET=", 14) == 0)
            name = core->environment[i] + 14;
    size_t n = name ? strlen(name) : 0;
    if (n < 2 || n >= sizeof(where.sun_path) || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(where.sun_path, name, n);
    if (name[0] == '@')
        where.sun_path[0] = '\0';
    hold_autofd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &where, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n)) == 0)
        core->above_fd = hold_take_fd(&fd);
    uint64_t usec;
    if (core->above_fd >= 0 && hold_watchdog_usec(&usec)) { /* pings come at half of what is asked */
        core->above_every_ms = HOLD_MAX(usec / 2000, (uint64_t) 1);
        core->above_ping_ms = core->started_ms + core->above_every_ms;
    }
}

int hold_hear_open(struct hold_core *core, struct hold_err *err) {
    open_above(core);
    if (!is_wanted(core->config))
        return 0;
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    int n = snprintf(where.sun_path, sizeof(where.sun_path), "%s/notify", core->config->state_dir);
    if (n < 0 || (size_t) n >= sizeof(where.sun_path))
        return hold_fail(err, HOLD_E_CONFIG, 0, "--state-dir: '%s' is too long for a socket's name", core->config->state_dir);
    hold_autofd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    (void) unlink(where.sun_path);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 || bind(fd, (struct sockaddr *) &where, sizeof(where)) < 0 ||
        chmod(where.sun_path, 0666) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open the notify socket '%s'", where.sun_path);
    if (hold_loop_add(&core->loop, fd, HOLD_ON_NOTIFY, 0, EPOLLIN, err) < 0)
        return -1;
    (void) snprintf(core->notify_path, sizeof(core->notify_path), "%s", where.sun_path);
    core->notify_fd = hold_take_fd(&fd);
    return 0;
}
