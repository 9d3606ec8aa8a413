/* signals.c - what a received signal does: a stop request, a forward, or the two sides of job control. Floor: host.
 *
 * Everything that can be caught is in the signal descriptor, faults that somebody else sends included; a fault of our own ends
 * us all the same, since the kernel unblocks what it forces. */
#include "supervisor/host/core.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* timeout(1) and some shells send one request twice, to the process and to its group: within this time it is still one. */
#define HOLD_SAME_REQUEST_MS 100

int hold_signals_open(struct hold_core *core, struct hold_err *err) {
    struct sigaction inherited;
    const struct hold_config *c = core->config;
    core->ignores_int = sigaction(SIGINT, NULL, &inherited) == 0 && inherited.sa_handler == SIG_IGN;
    core->on_terminal = c->mode == HOLD_MODE_EXEC && isatty(0) && tcgetpgrp(0) == getpgrp();
    if (*c->parent_death_signal && prctl(PR_SET_PDEATHSIG, hold_signal_parse(c->parent_death_signal), 0, 0, 0) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "ask for %s when whoever started us ends", c->parent_death_signal);
    return 0;
}

static int mapped_of(const struct hold_core *core, int sig) {
    const struct hold_strs *map = &core->config->signal_map;
    for (size_t i = 0; i < map->n; i++) {
        char from[32];
        const char *equals = strchr(map->at[i], '=');
        (void) snprintf(from, sizeof(from), "%.*s", equals ? (int) (equals - map->at[i]) : 0, map->at[i]);
        if (equals && hold_signal_parse(from) == sig)
            return hold_signal_parse(equals + 1);
    }
    return sig;
}

static void forward(struct hold_core *core, int sig) {
    for (size_t i = 0; i < core->n_members; i++) {
        struct hold_member *m = &core->members[i];
        if (m->config->is_ours || m->child.pid <= 0)
            continue;
        /* What a terminal stopped is the whole group. */
        bool to_group = core->config->signal_to == HOLD_SIGNAL_TO_GROUP || (sig == SIGCONT && core->on_terminal);
        hold_child_signal(&m->child, sig, to_group);
    }
}

/* INT that was ignored when we were started (a shell's background job, nohup) is not meant for us: it is passed on, no more. */
bool hold_signals_is_stop(const struct hold_core *core, int sig) {
    for (size_t i = 0; i < core->config->stop_on.n; i++)
        if (hold_signal_parse(core->config->stop_on.at[i]) == sig)
            return true;
    return sig == SIGTERM || (sig == SIGINT && !core->ignores_int);
}

static void ask_stop(struct hold_core *core, int sig, int mapped, uint64_t now_ms) {
    const struct hold_config *c = core->config;
    if (core->stop_ms == 0) {
        core->stop_ms = now_ms;
        core->stop_signal = mapped;
        hold_log(HOLD_LV_INFO, HOLD_EV_STOP, HOLD_LS("signal", hold_signal_name(sig)), HOLD_LU("grace_ms", c->grace_ms));
        hold_core_post(core, HOLD_CONTAINER_EV_STOP);
    } else if (c->on_stop == HOLD_ON_STOP_FORWARD) {
        forward(core, mapped);
    } else if (now_ms >= core->stop_ms + HOLD_SAME_REQUEST_MS) {
        hold_core_post(core, HOLD_CONTAINER_EV_HURRY);
    }
}

/* Not while a grace runs out, which nobody would then end; and process 1 of a namespace cannot be stopped from inside. */
static bool may_stop(const struct hold_core *core) {
    return getpid() != 1 && (core->stop_ms == 0 || core->config->on_stop == HOLD_ON_STOP_FORWARD);
}

void hold_signals_on(struct hold_core *core, int sig, pid_t sender, uint64_t now_ms) {
    if (sig == SIGCHLD)
        return; /* whoever is dead is reaped once for the batch */
    if ((sig == SIGPIPE || sig == SIGTSTP) && sender == getpid())
        return; /* a write of our own to a closed pipe; the stop of our own group, below */
    int mapped = mapped_of(core, sig);
    hold_log(HOLD_LV_INFO, HOLD_EV_SIGNAL, HOLD_LS("signal", hold_signal_name(sig)), HOLD_LI("as", mapped), HOLD_LI("from_pid", sender));
    if (mapped == 0)
        return;
    if (hold_signals_is_stop(core, sig)) {
        ask_stop(core, sig, mapped, now_ms);
        return;
    }
    if (sig == SIGCONT && core->on_terminal && tcgetpgrp(0) == getpgrp())
        for (size_t i = 0; i < core->n_members; i++)
            hold_signals_give_terminal(core, &core->members[i]); /* `fg`: the shell gave it to us, and it is the child's */
    forward(core, mapped);
    /* `bg`-style stops are for whoever is the job: the shell waits for us. */
    if ((sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) && may_stop(core))
        (void) kill(getpid(), SIGSTOP);
}

void hold_signals_give_terminal(struct hold_core *core, struct hold_member *m) {
    if (core->on_terminal && m->child.pid > 0)
        (void) tcsetpgrp(0, m->child.pid);
}

void hold_signals_take_terminal(struct hold_core *core, pid_t group) {
    if (core->on_terminal && tcgetpgrp(0) == group) /* TTOU is blocked; what another job has is not taken */
        (void) tcsetpgrp(0, getpgrp());
}

void hold_signals_child_stopped(struct hold_core *core, struct hold_member *m, int sig) {
    if (!core->on_terminal || !may_stop(core))
        return;
    if ((sig == SIGTTIN || sig == SIGTTOU) && tcgetpgrp(0) == getpgrp()) { /* the job came to the foreground unasked */
        hold_signals_give_terminal(core, m);
        hold_child_signal(&m->child, SIGCONT, true);
        return;
    }
    /* ^Z: the terminal stopped the child's group alone, since that is the foreground; whoever waits for our group shall see it
     * stop as if there were no process 1 between: what else is in it (a script, the rest of a pipe) gets the TSTP it missed. */
    hold_signals_take_terminal(core, m->child.pid);
    (void) kill(0, SIGTSTP);
    (void) kill(getpid(), SIGSTOP);
}
