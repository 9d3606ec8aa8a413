/* config_probes.c - a pod's probes become checks. Floor: host. */
#include "supervisor/host/config_probes.h"

#include "base/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY_SECONDS 86400
#define MOST_TIMES 1000

struct probe {
    struct hold_json_reader r;
    char path[96];
    char *text; /* HOLD_CONFIG_PROBE_BYTES: the check that it becomes */
    uint64_t delay_ms, period_ms, timeout_ms, successes, failures;
    int n_ways;
    bool is_too_long;
};

static void put(struct probe *p, const char *way, const char *more) {
    size_t n = strlen(p->text);
    if (p->is_too_long || (size_t) snprintf(p->text + n, HOLD_CONFIG_PROBE_BYTES - n, "%s", more) < HOLD_CONFIG_PROBE_BYTES - n)
        return;
    p->is_too_long = true;
    hold_json_mistake(&p->r, way, "is longer than %d bytes", HOLD_CONFIG_PROBE_BYTES - 1);
}

/* Opens the object of one way to ask; false when it is not there. */
static bool open_way(struct probe *p, const char *way, struct hold_json_reader *ret_way, char where[128]) {
    const struct cJSON *object;
    if (!hold_json_opt_object(&p->r, way, &object))
        return false;
    (void) snprintf(where, 128, "%s.%s", p->path, way);
    hold_json_read(ret_way, object, where, p->r.mistakes);
    p->text[0] = '\0';
    p->n_ways++;
    return true;
}

static void put_address(struct probe *p, const char *way, struct hold_json_reader *r, const char *scheme, const char *host) {
    char address[256];
    uint64_t port = 0;
    const struct cJSON *given = hold_json_any(r, "port");
    const char *name;
    if (hold_json_str(given, &name))
        hold_json_mistake(r, "port", "'%s': a number is wanted, nobody gives names to ports here", name);
    else
        (void) hold_json_need_u64(r, "port", 1, 65535, &port);
    bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
    (void) snprintf(address, sizeof(address), "%s%s%s%s:%" PRIu64, scheme, is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    put(p, way, address);
}

static void read_http(struct probe *p) {
    struct hold_json_reader r;
    char where[128];
    const char *host = "127.0.0.1", *path = "/", *scheme = "HTTP";
    if (!open_way(p, "httpGet", &r, where))
        return;
    (void) hold_json_opt_str(&r, "host", &host);
    if (hold_json_opt_str(&r, "path", &path) && path[0] != '/')
        hold_json_mistake(&r, "path", "'%s' does not begin with '/'", path);
    if (hold_json_opt_str(&r, "scheme", &scheme) && strcmp(scheme, "HTTP") != 0)
        hold_json_mistake(&r, "scheme", "'%s': process 1 speaks no TLS; use HTTP, tcpSocket or exec", scheme);
    put_address(p, "httpGet", &r, "http://", host);
    put(p, "httpGet", path);
    hold_json_done(&r);
}

static void read_tcp(struct probe *p) {
    struct hold_json_reader r;
    char where[128];
    const char *host = "127.0.0.1";
    if (!open_way(p, "tcpSocket", &r, where))
        return;
    (void) hold_json_opt_str(&r, "host", &host);
    put_address(p, "tcpSocket", &r, "tcp://", host);
    hold_json_done(&r);
}

static void read_grpc(struct probe *p) {
    struct hold_json_reader r;
    char where[128];
    const char *service = "";
    if (!open_way(p, "grpc", &r, where))
        return;
    put_address(p, "grpc", &r, "grpc://", "127.0.0.1");
    if (hold_json_opt_str(&r, "service", &service) && service[0]) {
        put(p, "grpc", "/");
        put(p, "grpc", service);
    }
    hold_json_done(&r);
}

/* A word as hold_words_split gives it back. */
static void put_quoted(struct probe *p, const char *word) {
    put(p, "exec", " '");
    for (; *word; word++)
        put(p, "exec", *word == '\'' ? "'\\''" : (const char[]) { *word, '\0' });
    put(p, "exec", "'");
}

static void read_exec(struct probe *p) {
    struct hold_json_reader r;
    char where[128];
    const struct cJSON *words;
    if (!open_way(p, "exec", &r, where))
        return;
    put(p, "exec", "exec:");
    if (!hold_json_opt_array(&r, "command", &words) || !hold_json_first(words)) {
        hold_json_mistake(&r, "command", "must be an array of words, the program first");
        words = NULL;
    }
    for (const struct cJSON *v = hold_json_first(words); v; v = hold_json_next(v)) {
        const char *word;
        if (hold_json_str(v, &word))
            put_quoted(p, word);
        else
            hold_json_mistake(&r, "command", "must be an array of words, the program first");
    }
    hold_json_done(&r);
}

static void read_seconds(struct probe *p, const char *key, uint64_t least, uint64_t otherwise, uint64_t *ret_ms) {
    uint64_t seconds = otherwise;
    (void) hold_json_opt_u64(&p->r, key, least, DAY_SECONDS, &seconds);
    *ret_ms = seconds * 1000;
}

/* False: not there, or wrong and told. already: the same check as `health` gives it, or NULL. */
static bool read_probe(struct hold_json_reader *server, const char *path, const char *key, const char *already, char *text, struct probe *p) {
    const struct cJSON *object;
    bool is_start = strcmp(key, "startupProbe") == 0, is_ready = strcmp(key, "readinessProbe") == 0;
    const size_t told = server->mistakes->n;
    if (!hold_json_opt_object(server, key, &object))
        return false;
    *p = (struct probe) { .text = text, .successes = 1, .failures = 3 };
    (void) snprintf(p->path, sizeof(p->path), "%s.%s", path, key);
    hold_json_read(&p->r, object, p->path, server->mistakes);
    read_http(p);
    read_tcp(p);
    read_exec(p);
    read_grpc(p);
    if (p->n_ways != 1)
        hold_json_mistake(server, key, "has %d of httpGet, tcpSocket, exec and grpc; one is wanted", p->n_ways);
    if (already)
        hold_json_mistake(server, key, "the same check is given under health: '%s'", already);
    read_seconds(p, "initialDelaySeconds", 0, 0, &p->delay_ms);
    read_seconds(p, "periodSeconds", 1, 10, &p->period_ms);
    read_seconds(p, "timeoutSeconds", 1, 1, &p->timeout_ms);
    (void) hold_json_opt_u64(&p->r, "successThreshold", 1, is_ready ? MOST_TIMES : 1, &p->successes);
    if (!is_start)
        (void) hold_json_opt_u64(&p->r, "failureThreshold", 1, MOST_TIMES, &p->failures);
    else if (hold_json_any(&p->r, "failureThreshold"))
        hold_json_mistake(&p->r, "failureThreshold", "a start is judged by its progress, not by a count: start.no_progress and start.backstop bound it");
    hold_json_done(&p->r);
    return server->mistakes->n == told;
}

void hold_config_probes(struct hold_json_reader *server, const char *path, struct hold_server_config *s) {
    struct hold_health_config *h = &s->health;
    struct probe p;
    uint64_t delay_ms = 0;
    if (read_probe(server, path, "startupProbe", h->startup, s->probes[0], &p)) {
        h->startup = p.text;
        h->startup_period_ms = p.period_ms;
        h->startup_timeout_ms = p.timeout_ms;
        delay_ms = h->initial_delay_ms = p.delay_ms;
    }
    if (read_probe(server, path, "readinessProbe", h->ready, s->probes[1], &p)) {
        h->ready = p.text;
        h->period_ms = p.period_ms;
        h->timeout_ms = p.timeout_ms;
        h->successes = p.successes;
        h->failures = p.failures;
        h->initial_delay_ms = HOLD_MAX(delay_ms, p.delay_ms);
    }
    if (read_probe(server, path, "livenessProbe", h->live, s->probes[2], &p)) {
        h->live = p.text;
        h->live_period_ms = p.period_ms;
        h->live_timeout_ms = p.timeout_ms;
        h->live_failures = p.failures;
        h->live_delay_ms = p.delay_ms;
    }
}
