/* config_check.c - the checks across values, and the texts among them that become numbers. Floor: host. */
#include "supervisor/host/config_check.h"

#include "base/auto.h"
#include "base/json.h"
#include "base/list.h"
#include "base/num.h"
#include "supervisor/host/address.h"
#include "supervisor/host/probe_io.h"
#include "supervisor/policy/backoff.h"
#include "supervisor/policy/sandbox_grants.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HOUR 3600000.0
#define DAY 86400000.0

void hold_config_mistake(struct hold_buf *mistakes, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hold_buf_addf(mistakes, "%s\n", text);
}

static void check_ports(struct hold_buf *mistakes, const char *option, const struct hold_strs *ports) {
    for (size_t i = 0; i < ports->n; i++) {
        uint64_t port;
        struct hold_err err = { 0 };
        if (hold_parse_u64(ports->at[i], 1, 65535, &port, &err) < 0)
            hold_config_mistake(mistakes, "--%s: %s", option, err.text);
    }
}

static void check_check(struct hold_buf *mistakes, const char *server, const char *text) {
    struct hold_probe_target target;
    struct hold_err err = { 0 };
    if (text && *text && strcmp(text, "notify") != 0 && hold_probe_target_parse(text, &target, &err) < 0)
        hold_config_mistake(mistakes, "%s: %s", server, err.text);
}

static void check_address(struct hold_buf *mistakes, const char *option, const char *text) {
    struct sockaddr_storage address;
    socklen_t n;
    struct hold_err err = { 0 };
    if (*text && hold_address_parse(text, &address, &n, &err) < 0)
        hold_config_mistake(mistakes, "--%s: %s", option, err.text);
}

static void check_profile(struct hold_buf *mistakes, const char *name) {
    const char *names[HOLD_PROFILE_COUNT];
    if (hold_profile_find(name) != HOLD_PROFILE_NONE)
        return;
    for (size_t i = 0; i < HOLD_PROFILE_COUNT; i++)
        names[i] = hold_profile_name((enum hold_profile) i);
    const char *near = hold_nearest(name, names, HOLD_PROFILE_COUNT);
    hold_config_mistake(mistakes, "--profile: there is no sandbox profile '%.60s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int hold_config_user(const char *text, uint32_t *ret_uid, uint32_t *ret_gid, struct hold_err *err) {
    char uid[16];
    uint64_t u, g;
    const char *colon = strchr(text, ':');
    (void) snprintf(uid, sizeof(uid), "%.*s", (int) (colon ? colon - text : (long) strlen(text)), text);
    if (hold_parse_u64(uid, 1, UINT32_MAX - 1, &u, NULL) < 0 || hold_parse_u64(colon ? colon + 1 : uid, 1, UINT32_MAX - 1, &g, NULL) < 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "--run-as '%s' is not UID:GID", text);
    *ret_uid = (uint32_t) u;
    *ret_gid = (uint32_t) g;
    return 0;
}

static void check_sandbox(const struct hold_config *c, struct hold_buf *mistakes) {
    uint32_t uid, gid;
    struct hold_err err = { 0 };
    if (*c->run_as && hold_config_user(c->run_as, &uid, &gid, &err) < 0)
        hold_config_mistake(mistakes, "%s", err.text);
    else if (*c->run_as && c->sandbox == HOLD_SANDBOX_OFF)
        hold_config_mistake(mistakes, "--run-as is done by the sandbox, which is off: add --sandbox best-effort");
    if (*c->profile)
        check_profile(mistakes, c->profile);
    for (size_t i = 0; i < c->n_servers; i++) {
        const struct hold_server_config *s = &c->servers[i];
        if (s->profile && s->profile != c->profile)
            check_profile(mistakes, s->profile);
        for (size_t k = 0; k < s->grants.n; k++) {
            struct hold_sandbox_grant grant;
            if (hold_sandbox_grant_parse(s->grants.at[k], &grant, &err) < 0)
                hold_config_mistake(mistakes, "%s: %s", s->name, err.text);
        }
    }
    check_ports(mistakes, "bind-port", &c->bind_ports);
    check_ports(mistakes, "connect-port", &c->connect_ports);
}

static void check_signals(const struct hold_config *c, struct hold_buf *mistakes) {
    for (size_t i = 0; i < c->signal_map.n; i++) {
        char from[32] = "";
        const char *equals = strchr(c->signal_map.at[i], '=');
        if (equals && (size_t) (equals - c->signal_map.at[i]) < sizeof(from))
            (void) snprintf(from, sizeof(from), "%.*s", (int) (equals - c->signal_map.at[i]), c->signal_map.at[i]);
        int sig = equals ? hold_signal_parse(from) : -1;
        if (sig <= 0 || hold_signal_parse(equals + 1) < 0)
            hold_config_mistake(mistakes, "--signal-map: '%s' is not SIGNAL=SIGNAL or SIGNAL=none", c->signal_map.at[i]);
        else if (sig == SIGKILL || sig == SIGSTOP || sig == SIGCHLD)
            hold_config_mistake(mistakes, "--signal-map: '%s': %s never comes to be rewritten", c->signal_map.at[i], from);
    }
    for (size_t i = 0; i < c->stop_on.n; i++)
        if (hold_signal_parse(c->stop_on.at[i]) <= 0)
            hold_config_mistake(mistakes, "--stop-on: '%s' is not a signal", c->stop_on.at[i]);
    if (*c->parent_death_signal && hold_signal_parse(c->parent_death_signal) <= 0)
        hold_config_mistake(mistakes, "--parent-death-signal: '%s' is not a signal", c->parent_death_signal);
}


/* "10", "10/1h". where: the way to the restart values, "--restart-" or "servers.NAME.restart." */
static void read_budget(struct hold_restart_config *r, const char *where, struct hold_buf *mistakes) {
    char number[32];
    struct hold_err err = { 0 };
    const char *slash = strchr(r->budget_text, '/');
    size_t n = slash ? (size_t) (slash - r->budget_text) : strlen(r->budget_text);
    (void) snprintf(number, sizeof(number), "%.*s", (int) HOLD_MIN(n, sizeof(number) - 1), r->budget_text);
    r->window_ms = (uint64_t) HOUR;
    if (hold_parse_u64(number, 0, HOLD_BUDGET_MAX, &r->budget, &err) < 0 || (slash && hold_parse_ms(slash + 1, 1, (uint64_t) (30 * DAY), &r->window_ms, &err) < 0))
        hold_config_mistake(mistakes, "%sbudget: %s", where, err.text);
    else if (r->delay_ms == 0 && r->budget == 0)
        hold_config_mistake(mistakes, "%sdelay: 0s means no wait ever, which needs a %sbudget", where, where);
}

static void read_budgets(struct hold_config *c, struct hold_buf *mistakes) {
    read_budget(&c->restart, "--restart-", mistakes);
    for (size_t i = 0; i < c->n_servers; i++) {
        struct hold_restart_config *r = &c->servers[i].restart;
        char where[80];
        (void) snprintf(where, sizeof(where), "servers.%.40s.restart.", c->servers[i].name);
        if (r->budget_text == c->restart.budget_text && r->delay_ms == c->restart.delay_ms) { /* said above */
            r->budget = c->restart.budget;
            r->window_ms = c->restart.window_ms;
        } else {
            read_budget(r, where, mistakes);
        }
    }
}

/* "143", "1-3" */
static bool read_codes(const char *text, size_t n, uint64_t codes[4]) {
    char copy[8];
    uint64_t from, to;
    if (n >= sizeof(copy))
        return false;
    (void) snprintf(copy, sizeof(copy), "%.*s", (int) n, text);
    char *dash = strchr(copy, '-');
    if (dash)
        *dash = '\0';
    if (hold_parse_u64(copy, 0, 255, &from, NULL) < 0 || hold_parse_u64(dash ? dash + 1 : copy, from, 255, &to, NULL) < 0)
        return false;
    for (uint64_t code = from; code <= to; code++)
        codes[code / 64] |= (uint64_t) 1 << code % 64;
    return true;
}

static void read_success(struct hold_config *c, struct hold_buf *mistakes) {
    for (size_t i = 0; i < c->success_exit.n; i++)
        for (const char *at = c->success_exit.at[i];; at++) {
            size_t n = strcspn(at, ",");
            if (!read_codes(at, n, c->success_codes))
                hold_config_mistake(mistakes, "--success-exit: '%.*s' is not an exit code (0 to 255) or a range of them (1-3)", (int) n, at);
            at += n;
            if (!*at)
                break;
        }
}

static void check_values(const struct hold_config *c, struct hold_buf *mistakes) {
    if (c->mode == HOLD_MODE_TOOL)
        return;
    check_signals(c, mistakes);
    check_sandbox(c, mistakes);
    check_address(mistakes, "listen", c->listen);
    check_address(mistakes, "status-listen", c->status_listen);
    for (size_t i = 0; i < c->n_servers; i++) {
        const struct hold_server_config *s = &c->servers[i];
        check_check(mistakes, s->name, s->health.startup);
        check_check(mistakes, s->name, s->health.ready);
        check_check(mistakes, s->name, s->health.live);
        check_check(mistakes, s->name, s->warmup);
        if (s->health.live && strcmp(s->health.live, "notify") == 0)
            hold_config_mistake(mistakes, "%s: liveness cannot be 'notify'; use --watchdog", s->name);
        if (s->warmup && strcmp(s->warmup, "notify") == 0)
            hold_config_mistake(mistakes, "%s: a warm-up cannot be 'notify', which is readiness", s->name);
    }
    if (!*c->state_dir)
        hold_config_mistake(mistakes, "--state-dir: a folder is wanted");
    if (c->prestop_delay_ms > c->grace_ms)
        hold_config_mistake(mistakes, "--prestop-delay is longer than --grace, which includes it");
    if (c->mode == HOLD_MODE_RUN && c->n_servers == 2 && c->servers[0].is_ours && !*c->listen)
        hold_config_mistake(mistakes, "--listen: `holdfast run` needs an address: the front serves a socket that is handed to it");
    if (c->model_sources.n > 8)
        hold_config_mistake(mistakes, "--model-source: %zu sources, the limit is 8", c->model_sources.n);
    for (size_t i = 0; i < c->model_sources.n && !*c->model_dir; i++)
        if (i > 0 || strncmp(c->model_sources.at[i], "hf://", 5) != 0)
            hold_config_mistake(mistakes, "--model-source: without --model it goes to the hub's cache, and one hf:// source is wanted for that, not '%.60s'", c->model_sources.at[i]);
    if (c->mode == HOLD_MODE_RUN && c->n_servers == 2 && c->servers[0].is_ours && !*c->model_dir)
        hold_config_mistake(mistakes, "--model: `holdfast run` needs the model's folder (a mount, or where --model-source is fetched to)");
}

void hold_config_check(struct hold_config *c, struct hold_buf *mistakes) {
    read_budgets(c, mistakes);
    read_success(c, mistakes);
    check_values(c, mistakes);
}
