/* config_servers.c - which servers run. Floor: host. */
#include "supervisor/host/config_servers.h"

#include "base/json.h"
#include "base/list.h"
#include "base/opt.h"
#include "supervisor/host/config_probes.h"

#include <stddef.h>
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

/* The object `group` of a server: keys, types and ranges are those of the table's rows group.KEY whose fields lie in the struct that
 * begins at base and is read into. */
static void read_rows(struct hold_json_reader *parent, const char *path, const char *group, void *into, size_t base, size_t bytes) {
    const struct cJSON *object;
    if (!hold_json_opt_object(parent, group, &object))
        return;
    char where[96];
    (void) snprintf(where, sizeof(where), "%s.%s", path, group);
    struct hold_json_reader r;
    hold_json_read(&r, object, where, parent->mistakes);
    size_t n = strlen(group);
    for (size_t i = 0; i < hold_n_config_rows; i++) {
        const struct hold_opt *row = &hold_config_rows[i];
        if (row->offset < base || row->offset >= base + bytes || !row->key || strncmp(row->key, group, n) != 0 || row->key[n] != '.')
            continue;
        const struct cJSON *value = hold_json_any(&r, row->key + n + 1);
        struct hold_err err = { 0 };
        if (value && hold_opt_from_json(row, value, (char *) into + (row->offset - base), &err) < 0)
            hold_json_mistake(&r, row->key + n + 1, "%s", err.text);
    }
    hold_json_done(&r);
}

static void none_if_empty(const char **text) {
    if (*text && !**text)
        *text = NULL;
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
    read_rows(&r, path, "health", &s->health, offsetof(struct hold_config, health), sizeof(s->health));
    read_rows(&r, path, "restart", &s->restart, offsetof(struct hold_config, restart), sizeof(s->restart));
    none_if_empty(&s->health.startup);
    none_if_empty(&s->health.ready);
    none_if_empty(&s->health.live);
    none_if_empty(&s->warmup);
    hold_config_probes(&r, path, s);
    read_ladder(&r, path, &s->ladder);
    const struct cJSON *needs;
    (void) hold_json_opt_array(&r, "needs", &needs); /* read_needs, when all servers are known */
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
    s->restart = c->restart;
    none_if_empty(&s->health.startup);
    none_if_empty(&s->health.ready);
    none_if_empty(&s->health.live);
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

/* It stands in file names, metrics and variables. */
static bool is_name(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n < HOLD_CONFIG_NAME_BYTES && name[n] == '\0' && name[0] != '.';
}

/* Whether what server i needs leads back to it, at most n steps away. */
static bool is_in_circle(const struct hold_config *c, size_t i) {
    uint32_t reached = c->servers[i].needs;
    for (size_t step = 0; step < c->n_servers; step++)
        for (size_t k = 0; k < c->n_servers; k++)
            if (reached >> k & 1)
                reached |= c->servers[k].needs;
    return reached >> i & 1;
}

/* servers.NAME.needs: those that are ready before it starts. All servers are known by now. */
static void read_needs(struct hold_config *c, const struct cJSON *servers, struct hold_buf *mistakes) {
    for (size_t i = 0; i < c->n_servers; i++) {
        const struct cJSON *needs = hold_json_get(hold_json_get(servers, c->servers[i].name), "needs");
        for (const struct cJSON *v = hold_json_first(needs); v; v = hold_json_next(v)) {
            const char *name = "";
            const struct hold_server_config *needed = hold_json_str(v, &name) ? find(c, name) : NULL;
            if (needed && !needed->is_ours)
                c->servers[i].needs |= 1u << (needed - c->servers);
            else
                hold_buf_addf(mistakes, "servers.%s.needs: '%.40s' is no server of this file\n", c->servers[i].name, name);
        }
    }
    for (size_t i = 0; i < c->n_servers; i++)
        if (is_in_circle(c, i))
            hold_buf_addf(mistakes, "servers.%s.needs: it would wait for itself\n", c->servers[i].name);
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
        if (!is_name(hold_json_key(v))) {
            hold_buf_addf(mistakes, "%s: a name has 1 to %d of A-Z a-z 0-9 . _ - and does not begin with a dot\n", path, HOLD_CONFIG_NAME_BYTES - 1);
            continue;
        }
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
    read_needs(c, servers, mistakes);
    if (n_command > 0)
        hold_buf_addf(mistakes, "`holdfast run` takes no command ('%s'); use `holdfast -- COMMAND`\n", command[0]);
}
