/* config_servers.c - which servers run. Floor: host. */
#include "supervisor/host/config_servers.h"

#include "base/json.h"
#include "base/list.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

static void read_words(struct hold_json_reader *r, const char *key, const char **words, size_t max, size_t *ret_n) {
    const struct cJSON *array;
    if (!hold_json_opt_array(r, key, &array))
        return;
    size_t n = 0;
    for (const struct cJSON *v = hold_json_first(array); v; v = hold_json_next(v)) {
        if (n + 1 >= max || !hold_json_str(v, &words[n])) {
            hold_json_mistake(r, key, "must be an array of at most %zu strings", max - 1);
            return;
        }
        n++;
    }
    words[n] = NULL;
    *ret_n = n;
}

static void read_ms(struct hold_json_reader *r, const char *key, uint64_t *ret) {
    const char *text;
    struct hold_err err = { 0 };
    if (hold_json_opt_str(r, key, &text) && hold_parse_ms(text, 0, UINT64_MAX / 2, ret, &err) < 0)
        hold_json_mistake(r, key, "%s", err.text);
}

static void read_health(struct hold_json_reader *parent, const char *path, struct hold_health_config *h, uint64_t *watchdog_ms) {
    const struct cJSON *object;
    if (!hold_json_opt_object(parent, "health", &object))
        return;
    char where[96];
    (void) snprintf(where, sizeof(where), "%s.health", path);
    struct hold_json_reader r;
    hold_json_read(&r, object, where, parent->mistakes);
    (void) hold_json_opt_str(&r, "startup", &h->startup);
    (void) hold_json_opt_str(&r, "ready", &h->ready);
    (void) hold_json_opt_str(&r, "live", &h->live);
    read_ms(&r, "initial_delay", &h->initial_delay_ms);
    read_ms(&r, "period", &h->period_ms);
    read_ms(&r, "timeout", &h->timeout_ms);
    read_ms(&r, "backoff", &h->backoff_first_ms);
    read_ms(&r, "backoff_cap", &h->backoff_max_ms);
    read_ms(&r, "live_period", &h->live_period_ms);
    read_ms(&r, "live_timeout", &h->live_timeout_ms);
    read_ms(&r, "watchdog", watchdog_ms);
    (void) hold_json_opt_u64(&r, "failures", 1, 1000, &h->failures);
    (void) hold_json_opt_u64(&r, "successes", 1, 1000, &h->successes);
    (void) hold_json_opt_u64(&r, "live_failures", 1, 1000, &h->live_failures);
    hold_json_done(&r);
}

static void read_ladder(struct hold_json_reader *parent, const char *path, struct hold_ladder *ladder) {
    const struct cJSON *array;
    if (!hold_json_opt_array(parent, "ladder", &array))
        return;
    *ladder = (struct hold_ladder) { 0 };
    for (const struct cJSON *v = hold_json_first(array); v; v = hold_json_next(v)) {
        if (ladder->n == HOLD_LADDER_MAX) {
            hold_json_mistake(parent, "ladder", "has more than %d rungs", HOLD_LADDER_MAX);
            return;
        }
        struct hold_rung *rung = &ladder->rungs[ladder->n++];
        char where[96];
        (void) snprintf(where, sizeof(where), "%s.ladder[%zu]", path, ladder->n - 1);
        struct hold_json_reader r;
        size_t n;
        hold_json_read(&r, v, where, parent->mistakes);
        (void) hold_json_need_str(&r, "name", &rung->name);
        read_words(&r, "args", rung->args, HOLD_RUNG_WORDS, &n);
        read_words(&r, "env", rung->env, HOLD_RUNG_WORDS, &n);
        hold_json_done(&r);
    }
}

static void read_server(const struct cJSON *object, const char *path, struct hold_server_config *s, struct hold_buf *mistakes) {
    struct hold_json_reader r;
    hold_json_read(&r, object, path, mistakes);
    read_words(&r, "command", s->words, HOLD_CONFIG_WORDS, &s->n_command);
    s->command = s->words;
    read_words(&r, "args", s->args, HOLD_CONFIG_WORDS, &s->n_args);
    read_words(&r, "env", s->env, HOLD_CONFIG_WORDS, &s->n_env);
    for (size_t i = 0; i < s->n_env; i++)
        if (!strchr(s->env[i], '='))
            hold_json_mistake(&r, "env", "'%s' is not NAME=value", s->env[i]);
    (void) hold_json_opt_str(&r, "profile", &s->profile);
    size_t n = 0;
    read_words(&r, "grants", s->grants.at, HOLD_STRS_MAX, &n);
    s->grants.n = n ? n : s->grants.n;
    (void) hold_json_opt_str(&r, "warmup", &s->warmup);
    read_health(&r, path, &s->health, &s->watchdog_ms);
    read_ladder(&r, path, &s->ladder);
    hold_json_done(&r);
}

static struct hold_server_config *add(struct hold_config *c, const char *name) {
    struct hold_server_config *s = &c->servers[c->n_servers++];
    s->name = name; /* it is zero, as all of the configuration was */
    s->profile = *c->profile ? c->profile : NULL;
    for (; s->grants.n < c->grants.n; s->grants.n++)
        s->grants.at[s->grants.n] = c->grants.at[s->grants.n];
    s->health = c->health;
    s->warmup = *c->warmup ? c->warmup : NULL;
    s->watchdog_ms = c->watchdog_ms;
    if (!*s->health.startup)
        s->health.startup = NULL;
    if (!*s->health.ready)
        s->health.ready = NULL;
    if (!*s->health.live)
        s->health.live = NULL;
    return s;
}

static void add_pair(struct hold_config *c) {
    static const char *const names[] = { "front", "engine" };
    for (size_t i = 0; i < 2; i++) {
        struct hold_server_config *s = add(c, names[i]);
        s->is_ours = true;
        s->needs_weights = i == 1;
        s->profile = NULL; /* by member and device */
        s->health.startup = s->health.ready = NULL; /* told over the control pair */
        s->warmup = NULL;
    }
    c->servers[1].ladder = hold_ladder_runtime;
    if (c->n_ctx > 0 && c->n_ctx <= HOLD_LADDER_RUNTIME_CONTEXT) /* its last rung would lengthen what was asked for */
        c->servers[1].ladder.n--;
}

static size_t foreign_in(const struct cJSON *servers) {
    size_t n = 0;
    for (const struct cJSON *v = hold_json_first(servers); v; v = hold_json_next(v))
        n += hold_json_get(v, "command") != NULL;
    return n;
}

static struct hold_server_config *find(struct hold_config *c, const char *name) {
    for (size_t i = 0; i < c->n_servers; i++)
        if (strcmp(c->servers[i].name, name) == 0)
            return &c->servers[i];
    return NULL;
}

void hold_config_servers(struct hold_config *c, const struct cJSON *root, int n_command, char *const *command, struct hold_buf *mistakes) {
    const struct cJSON *servers = hold_json_get(root, "servers");
    c->n_servers = 0;
    if (servers && hold_json_type_of(servers) != HOLD_JSON_OBJECT) {
        hold_buf_adds(mistakes, "config: servers: an object is wanted\n");
        return;
    }
    if (c->mode == HOLD_MODE_EXEC) {
        struct hold_server_config *s = add(c, "server");
        if (n_command <= 0) {
            hold_buf_adds(mistakes, "no command: holdfast [options] -- COMMAND [ARG...]\n");
            return;
        }
        s->command = (const char *const *) command;
        s->n_command = (size_t) n_command;
        return;
    }
    size_t n_foreign = foreign_in(servers);
    if (n_foreign == 0)
        add_pair(c);
    for (const struct cJSON *v = hold_json_first(servers); v; v = hold_json_next(v)) {
        char path[64];
        (void) snprintf(path, sizeof(path), "servers.%.40s", hold_json_key(v));
        struct hold_server_config *s = find(c, hold_json_key(v));
        if (!s && n_foreign > 0 && c->n_servers < HOLD_CONFIG_SERVERS)
            s = add(c, hold_json_key(v));
        if (!s) {
            if (n_foreign > 0)
                hold_buf_addf(mistakes, "%s: more than %d servers\n", path, HOLD_CONFIG_SERVERS);
            else
                hold_buf_addf(mistakes, "%s: has no command; without one only servers.front and servers.engine are known\n", path);
            continue;
        }
        read_server(v, path, s, mistakes);
        if (n_foreign > 0 && s->n_command == 0)
            hold_buf_addf(mistakes, "%s: has no command\n", path);
    }
    if (n_command > 0)
        hold_buf_addf(mistakes, "`holdfast run` takes no command ('%s'); use `holdfast -- COMMAND`\n", command[0]);
}
