/* config.c - the option table of process 1, read into its configuration. Floor: host. */
#include "supervisor/host/config.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/num.h"
#include "supervisor/host/config_check.h"
#include "supervisor/host/config_servers.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLD_CONFIG_FILE_BYTES ((size_t) 1 << 20)
#define NOTES_BYTES ((size_t) 16 << 10)
#define HOUR 3600000.0
#define DAY 86400000.0
#define AT(field) offsetof(struct hold_config, field)

/* .other: where `holdfast -- CMD` differs; it does nothing to the server that was not asked for. */
const struct hold_opt hold_config_rows[] = {
    { "config", HOLD_OPT_STR, AT(config_file), NULL, 0, 0, "configuration file (JSON)", .value = "FILE" },
    { "state-dir", HOLD_OPT_STR, AT(state_dir), HOLD_STATE_DIR_DEFAULT, 0, 0, "folder for the record and the UNIX socket", .value = "DIR" },
    { "log-level", HOLD_OPT_ENUM, AT(log_level), "info", 0, 0, "least important line that is written", .choices = "debug|info|warn|error", .other = "warn" },
    { "log-format", HOLD_OPT_ENUM, AT(log_format), "auto", 0, 0, "auto is text on a terminal and JSON elsewhere", .choices = "auto|json|text" },
    { "termination-log", HOLD_OPT_STR, AT(termination_log), "/dev/termination-log", 0, 0,
      "file for the termination message, rewritten at each phase change; the default is used only where it exists", .value = "FILE" },
    { "status-listen", HOLD_OPT_STR, AT(status_listen), "[::]:8181", 0, 0,
      "address of /livez /readyz /startupz /status /metrics; empty: UNIX socket only (default of `holdfast -- CMD`)", .value = "ADDR", .other = "" },
    { "listen", HOLD_OPT_STR, AT(listen), "[::]:8000", 0, 0,
      "socket that holdfast opens, keeps across restarts and hands to the server (LISTEN_FDS); empty: the server opens its own", .value = "ADDR", .other = "" },

    { "restart", HOLD_OPT_ENUM, AT(restart.policy), "on-failure", 0, 0, "when an ended server starts again", .key = "restart.policy",
      .choices = "never|on-failure|always", .other = "never" },
    { "restart-delay", HOLD_OPT_MS, AT(restart.delay_ms), "1s", 0, HOUR, "first wait of the back-off; it doubles; 0s: no wait ever, only with a budget", .key = "restart.delay" },
    { "restart-cap", HOLD_OPT_MS, AT(restart.cap_ms), "5m", 1, DAY, "longest wait of the back-off", .key = "restart.cap" },
    { "restart-jitter", HOLD_OPT_U64, AT(restart.jitter_pct), "10", 0, 100, "per cent that chance may add to a wait", .key = "restart.jitter_pct" },
    { "restart-budget", HOLD_OPT_STR, AT(restart.budget_text), "10/1h", 0, 0,
      "restarts within a window before giving up: N/WINDOW, or N within an hour; 0: no limit", .key = "restart.budget", .value = "N/WINDOW" },
    { "healthy-reset", HOLD_OPT_MS, AT(restart.healthy_reset_ms), "5m", 1, DAY,
      "a life that was ready this long restarts at once and refills the budget", .key = "restart.healthy_reset" },
    { "no-progress", HOLD_OPT_MS, AT(no_progress_ms), "5m", 0, DAY, "a start that does not move for this long is killed; 0: never",
      .key = "start.no_progress" },
    { "start-backstop", HOLD_OPT_MS, AT(start_backstop_ms), "2h", 0, 30 * DAY, "a start may last this long however much it moves; 0: for ever",
      .key = "start.backstop" },
    { "warm-timeout", HOLD_OPT_MS, AT(warm_timeout_ms), "10m", 1, DAY, "the first inference may last this long", .key = "start.warm_timeout" },

    { "grace", HOLD_OPT_MS, AT(grace_ms), "25s", 0, DAY, "from the stop request to the KILL, pre-stop delay included", .key = "stop.grace" },
    { "prestop-delay", HOLD_OPT_MS, AT(prestop_delay_ms), "0", 0, HOUR, "not ready, but still serving, for this long before TERM",
      .key = "stop.prestop_delay" },
    { "sweep-wait", HOLD_OPT_MS, AT(sweep_wait_ms), "1500ms", 0, HOUR, "what a dead server left behind has this long between TERM and KILL",
      .key = "stop.sweep_wait" },
    { "kill-wait", HOLD_OPT_MS, AT(kill_wait_ms), "30s", 1, HOUR, "what still lives this long after KILL is called unkillable", .key = "stop.kill_wait" },
    { "signal-to", HOLD_OPT_ENUM, AT(signal_to), "child", 0, 0, "who a forwarded signal goes to", .key = "signals.to", .choices = "child|group" },
    { "signal-map", HOLD_OPT_STRS, AT(signal_map), NULL, 0, 0, "rewrite a forwarded signal: TERM=INT, HUP=none", .key = "signals.map", .value = "A=B" },
    { "stop-on", HOLD_OPT_STRS, AT(stop_on), NULL, 0, 0,
      "a further signal that asks for the stop, beside TERM and INT: QUIT, where the image has STOPSIGNAL SIGQUIT; the server gets it as itself",
      .key = "signals.stop", .value = "SIGNAL" },
    { "parent-death-signal", HOLD_OPT_STR, AT(parent_death_signal), NULL, 0, 0,
      "signal that holdfast itself gets when the process that started it ends: TERM", .key = "signals.parent_death", .value = "SIGNAL" },
    { "success-exit", HOLD_OPT_STRS, AT(success_exit), NULL, 0, 0,
      "exit code of the server that counts as success, so that holdfast ends with 0: 143, or 1-3,7; 128+n for a signal", .key = "restart.success_exit",
      .value = "CODE" },
    { "on-stop", HOLD_OPT_ENUM, AT(on_stop), "escalate", 0, 0,
      "after TERM or INT: end the server within the grace, or pass each one on and kill nobody", .key = "stop.mode", .choices = "escalate|forward" },
    { "on-fatal", HOLD_OPT_ENUM, AT(on_fatal), "exit", 0, 0, "after an unfixable verdict: exit, or stay alive and not ready", .choices = "exit|hold" },
    { "output", HOLD_OPT_ENUM, AT(output), "drop", 0, 0,
      "when our output blocks: drop whole lines and count them, or block the server; direct hands it our own descriptors", .choices = "drop|block|direct" },

    { "ready", HOLD_OPT_STR, AT(health.ready), NULL, 0, 0,
      "how the server is asked whether it is ready: http://127.0.0.1:PORT/PATH, tcp://HOST:PORT, grpc://HOST:PORT/SERVICE, exec:COMMAND, notify (sd_notify), or counter:http://HOST:PORT/metrics (answers, and moves while work is pending)",
      .key = "health.ready", .value = "CHECK" },
    { "startup", HOLD_OPT_STR, AT(health.startup), NULL, 0, 0, "another check while the server starts, instead of --ready until it has passed once",
      .key = "health.startup", .value = "CHECK" },
    { "live", HOLD_OPT_STR, AT(health.live), NULL, 0, 0, "the same for liveness; a server that fails it is killed and started again",
      .key = "health.live", .value = "CHECK" },
    { "health-delay", HOLD_OPT_MS, AT(health.initial_delay_ms), "0", 0, DAY, "before the first question", .key = "health.initial_delay" },
    { "health-period", HOLD_OPT_MS, AT(health.period_ms), "10s", 1, DAY, "between two questions", .key = "health.period" },
    { "health-timeout", HOLD_OPT_MS, AT(health.timeout_ms), "3s", 1, HOUR, "an answer has this long", .key = "health.timeout" },
    { "health-failures", HOLD_OPT_U64, AT(health.failures), "3", 1, 1000, "failures in a row that make it unready", .key = "health.failures" },
    { "health-successes", HOLD_OPT_U64, AT(health.successes), "1", 1, 1000, "successes in a row that make it ready again", .key = "health.successes" },
    { "live-period", HOLD_OPT_MS, AT(health.live_period_ms), "0", 0, DAY, "between two liveness questions; 0: as --health-period", .key = "health.live_period" },
    { "live-timeout", HOLD_OPT_MS, AT(health.live_timeout_ms), "0", 0, HOUR, "a liveness answer has this long; 0: as --health-timeout",
      .key = "health.live_timeout" },
    { "live-failures", HOLD_OPT_U64, AT(health.live_failures), "6", 1, 1000, "liveness failures in a row that end it", .key = "health.live_failures" },
    { "health-backoff", HOLD_OPT_MS, AT(health.backoff_first_ms), "250ms", 0, HOUR,
      "first wait between two questions while it starts; it doubles; 0: the period", .key = "health.backoff" },
    { "health-backoff-cap", HOLD_OPT_MS, AT(health.backoff_max_ms), "0", 0, HOUR, "longest such wait; 0: the period", .key = "health.backoff_cap" },
    { "warmup", HOLD_OPT_STR, AT(warmup), NULL, 0, 0, "a check that must pass once before the server counts as ready", .value = "CHECK" },
    { "watchdog", HOLD_OPT_MS, AT(health.watchdog_ms), "0", 0, DAY, "a ready server must say WATCHDOG=1 this often; 0: need not", .key = "health.watchdog" },

    { "sandbox", HOLD_OPT_ENUM, AT(sandbox), "best-effort", 0, 0, "lock children in (default of `holdfast -- CMD`: off)",
      .key = "sandbox.level", .choices = "off|best-effort|strict", .other = "off" },
    { "profile", HOLD_OPT_STR, AT(profile), NULL, 0, 0, "sandbox profile of the server; empty: by what it is", .key = "sandbox.profile", .value = "NAME" },
    { "grant", HOLD_OPT_STRS, AT(grants), NULL, 0, 0, "a path the server may use: r:/path, rw:/path, x:/path, dev:/path", .key = "sandbox.grants",
      .value = "HOW:PATH" },
    { "keep-env", HOLD_OPT_STRS, AT(env_keep), NULL, 0, 0, "a further variable that is passed on; a final * matches any rest", .key = "sandbox.keep_env",
      .value = "NAME" },
    { "bind-port", HOLD_OPT_STRS, AT(bind_ports), NULL, 0, 0, "a TCP port the server may listen on", .key = "sandbox.bind_ports", .value = "PORT" },
    { "connect-port", HOLD_OPT_STRS, AT(connect_ports), NULL, 0, 0, "a TCP port the server may connect to", .key = "sandbox.connect_ports", .value = "PORT" },
    { "run-as", HOLD_OPT_STR, AT(run_as), NULL, 0, 0, "when started as root, children become this user", .value = "UID:GID" },

    { "preflight", HOLD_OPT_BOOL, AT(preflight), "true", 0, 0, "judge machine, model and dependencies before anything else", .key = "preflight.enabled", .other = "false" },
    { "need", HOLD_OPT_STRS, AT(needs), NULL, 0, 0, "a dependency to wait for: tcp://HOST:PORT, http(s)://...", .key = "preflight.needs", .value = "URL" },
    { "need-timeout", HOLD_OPT_MS, AT(need_timeout_ms), "5m", 0, DAY, "how long dependencies are waited for", .key = "preflight.need_timeout" },
    { "package", HOLD_OPT_STRS, AT(packages), NULL, 0, 0, "a Python package that a foreign server needs: NAME or NAME>=V", .key = "preflight.packages",
      .value = "NAME" },
    { "model", HOLD_OPT_STR, AT(model_dir), NULL, 0, 0, "folder of the model", .key = "model.dir", .value = "DIR" },
    { "hub-cache", HOLD_OPT_STR, AT(hub_cache), NULL, 0, 0,
      "the hub's own cache, where an hf:// model goes when --model is empty; else HF_HOME/hub, else ~/.cache/huggingface/hub", .key = "model.hub_cache",
      .env = "HF_HUB_CACHE", .value = "DIR" },
    { "model-source", HOLD_OPT_STRS, AT(model_sources), NULL, 0, 0,
      "where the model is fetched from: https://, hf://org/repo@rev, modelscope://org/repo@rev, s3://bucket/prefix, file://, /folder; repeatable: the next one when one cannot deliver",
      .key = "model.source", .value = "SOURCE" },
    { "model-manifest", HOLD_OPT_STR, AT(model_manifest), NULL, 0, 0, "manifest of the model when it is not in its folder", .key = "model.manifest",
      .value = "FILE" },
    { "model-digest", HOLD_OPT_STR, AT(model_digest), NULL, 0, 0, "the manifest must have this SHA-256", .key = "model.digest", .value = "HEX" },
    { "served-name", HOLD_OPT_STR, AT(served_name), NULL, 0, 0, "model name of the API; empty: autoglm-phone-9b, which the phone client asks for", .key = "model.served_name", .value = "NAME" },
    { "deep-verify", HOLD_OPT_BOOL, AT(deep_verify), "false", 0, 0, "hash every file at each start, valid marker or not", .key = "model.deep_verify" },
    { "other-template", HOLD_OPT_BOOL, AT(other_template), "false", 0, 0,
      "go on although the model's chat template is not a known one; prompts follow the built-in rule", .key = "model.other_template" },
    { "heal-budget", HOLD_OPT_U64, AT(heal_budget), "3", 0, 100, "how often damaged files are fetched again by themselves", .key = "model.heal_budget" },
    { "device", HOLD_OPT_ENUM, AT(device), "auto", 0, 0, "where the engine computes", .key = "model.device", .choices = "auto|cpu|cuda" },
    { "dtype", HOLD_OPT_ENUM, AT(dtype), "auto", 0, 0, "number format of the weights", .key = "model.dtype", .choices = "auto|f32|bf16|int8" },
    { "context", HOLD_OPT_U64, AT(n_ctx), "0", 0, 1048576, "longest context in tokens; 0: what fits", .key = "model.context" },
    { "threads", HOLD_OPT_U64, AT(n_threads), "0", 0, 1024, "threads of the CPU backend; 0: by the machine", .key = "model.threads" },
    { "fetch-tries", HOLD_OPT_U64, AT(fetch_tries), "4", 1, 100, "tries in a row that brought less than 1 MiB and end a file: the first and three more", .key = "fetch.tries" },
    { "fetch-backoff", HOLD_OPT_MS, AT(fetch_backoff_ms), "1s", 1, HOUR, "first wait between two tries; it doubles", .key = "fetch.backoff" },
    { "fetch-backoff-max", HOLD_OPT_MS, AT(fetch_backoff_max_ms), "30s", 1, HOUR, "longest such wait", .key = "fetch.backoff_max" },
    { "fetch-stall", HOLD_OPT_MS, AT(fetch_stall_ms), "30s", 1, HOUR, "an origin that sends nothing this long has stalled", .key = "fetch.stall" },
    { "fetch-deadline", HOLD_OPT_MS, AT(fetch_deadline_ms), "6h", 1, 30 * DAY, "all of fetching may last this long", .key = "fetch.deadline" },
    { "hf-token", HOLD_OPT_SECRET, AT(hf_token), NULL, 0, 0, "token for the hub; only the fetch job gets it", .key = "fetch.hf_token", .env = "HF_TOKEN" },
};
const size_t hold_n_config_rows = HOLD_COUNT_OF(hold_config_rows);

/* ---- signals ---- */

static const struct {
    const char *name;
    int number;
} signal_names[] = {
#define S(name) { #name, SIG##name }
    S(HUP), S(INT), S(QUIT), S(ILL), S(TRAP), S(ABRT), S(BUS), S(FPE), S(KILL), S(USR1), S(SEGV), S(USR2), S(PIPE), S(ALRM), S(TERM),
    S(CHLD), S(CONT), S(STOP), S(TSTP), S(TTIN), S(TTOU), S(URG), S(XCPU), S(XFSZ), S(VTALRM), S(PROF), S(WINCH), S(IO), S(PWR), S(SYS),
#undef S
};

int hold_signal_parse(const char *text) {
    uint64_t value;
    if (strcmp(text, "none") == 0)
        return 0;
    if (hold_parse_u64(text, 1, (uint64_t) SIGRTMAX, &value, NULL) == 0)
        return (int) value;
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    bool is_low = strncmp(text, "RTMIN", 5) == 0;
    if (is_low || strncmp(text, "RTMAX", 5) == 0) {
        value = 0;
        if (text[5] != '\0' && (text[5] != (is_low ? '+' : '-') || hold_parse_u64(text + 6, 0, (uint64_t) (SIGRTMAX - SIGRTMIN), &value, NULL) < 0))
            return -1;
        return is_low ? SIGRTMIN + (int) value : SIGRTMAX - (int) value;
    }
    for (size_t i = 0; i < HOLD_COUNT_OF(signal_names); i++)
        if (strcmp(text, signal_names[i].name) == 0)
            return signal_names[i].number;
    return -1;
}

const char *hold_signal_name(int sig) {
    static char real_time[24];
    for (size_t i = 0; i < HOLD_COUNT_OF(signal_names); i++)
        if (signal_names[i].number == sig)
            return signal_names[i].name;
    if (sig < SIGRTMIN || sig > SIGRTMAX)
        return "?";
    (void) snprintf(real_time, sizeof(real_time), "RTMIN+%d", sig - SIGRTMIN);
    return real_time;
}

/* ---- the file ---- */

/* An option that is wanted before the table is read: flag ("--config") over variable ("HOLDFAST_CONFIG="), NULL: neither is there. */
static const char *early(const char *flag, const char *variable, int argc, char *const *argv, const char *const *environment) {
    const size_t flag_n = strlen(flag), variable_n = strlen(variable);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], flag, flag_n) == 0 && argv[i][flag_n] == '=')
            return argv[i] + flag_n + 1;
        if (strcmp(argv[i], flag) == 0 && i + 1 < argc)
            return argv[i + 1];
    }
    for (size_t i = 0; environment[i]; i++)
        if (strncmp(environment[i], variable, variable_n) == 0 && environment[i][variable_n])
            return environment[i] + variable_n;
    return NULL;
}

/* One that is named must be there; only the default place may be empty. */
static int read_file(const char *given, struct hold_config_store *store, struct hold_err *err) {
    const char *path = given ? given : HOLD_SYSCONFDIR "/holdfast/holdfast.json";
    if (!given && access(path, F_OK) < 0)
        return 0;
    hold_autobuf text = hold_buf_with_max(HOLD_CONFIG_FILE_BYTES);
    if (hold_read_file(path, &text, err) < 0)
        return hold_wrap(err, "configuration");
    char what[160];
    (void) snprintf(what, sizeof(what), "configuration '%s'", path);
    if (hold_json_parse(text.data ? text.data : "", text.n, what, (struct hold_json_limits) { .max_bytes = HOLD_CONFIG_FILE_BYTES }, &store->root,
                        err) < 0)
        return -1;
    if (hold_json_type_of(store->root) != HOLD_JSON_OBJECT)
        return hold_fail(err, HOLD_E_CONFIG, 0, "%s: an object {...} is wanted", what);
    store->file = strdup(path);
    return 0;
}

/* An empty source is none, as with every other text. */
static void drop_empty(struct hold_strs *strs) {
    size_t n = 0;
    for (size_t i = 0; i < strs->n; i++)
        if (*strs->at[i])
            strs->at[n++] = strs->at[i];
    strs->n = n;
}

/* Children are sandboxed by absolute paths, and process 1 leaves the folder that it was started in. */
static void make_absolute(struct hold_config *c, struct hold_buf *mistakes) {
    static const char *const names[] = { "model", "state-dir", "termination-log", "model-manifest", "hub-cache" };
    const char **const texts[] = { &c->model_dir, &c->state_dir, &c->termination_log, &c->model_manifest, &c->hub_cache };
    for (size_t i = 0; i < HOLD_COUNT_OF(names); i++) {
        char here[2048];
        if (!**texts[i] || **texts[i] == '/')
            continue;
        if (!getcwd(here, sizeof(here)) || (size_t) snprintf(c->paths[i], sizeof(c->paths[i]), "%s/%s", here, *texts[i]) >= sizeof(c->paths[i]))
            hold_config_mistake(mistakes, "--%s: '%s' cannot be made absolute", names[i], *texts[i]);
        else
            *texts[i] = c->paths[i];
    }
}

/* Variables that are not options of process 1: what it tells its children, and the options of holdfast-runtime, which reads its own. */
const char *const hold_config_other_names[] = {
    "HOLDFAST_MEMBER", "HOLDFAST_CONTROL_FD", "HOLDFAST_PLAN", "HOLDFAST_MODEL_DIR", "HOLDFAST_API_KEY", "HOLDFAST_API_KEY_FILE", "HOLDFAST_CONTENT_FORMAT",
    "HOLDFAST_PARSE_SPECIAL_IN_CONTENT", "HOLDFAST_MAX_BODY", "HOLDFAST_MAX_BODIES", "HOLDFAST_MAX_CONNECTIONS", "HOLDFAST_MAX_REQUESTS",
    "HOLDFAST_MAX_IMAGES", "HOLDFAST_MAX_IMAGE_PIXELS", "HOLDFAST_IDLE_TIMEOUT", "HOLDFAST_BACKEND_LIB", "HOLDFAST_CUDA_DRIVER",
    "HOLDFAST_DETERMINISTIC", "HOLDFAST_MAX_CONTEXT", "HOLDFAST_MAX_SESSIONS", "HOLDFAST_MAX_WAITING", "HOLDFAST_CHUNK_TOKENS",
    "HOLDFAST_CACHE_BYTES", "HOLDFAST_MEMORY_BYTES", NULL,
};

static bool is_set(const struct hold_config_store *store, const char *name) {
    for (size_t i = 0; i < hold_n_config_rows; i++)
        if (strcmp(hold_config_rows[i].name, name) == 0)
            return store->sources[i] != HOLD_FROM_DEFAULT;
    return false;
}

static int count_lines(const struct hold_buf *b) {
    int n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->data[i] == '\n';
    return n;
}

int hold_config_load(enum hold_mode mode, int argc, char *const *argv, const char *const *environment, struct hold_config *ret_config,
                     struct hold_config_store *store, struct hold_strs *ret_words, struct hold_buf *mistakes, struct hold_err *err) {
    struct hold_config *c = ret_config;
    c->mode = mode;
    store->text = hold_buf_with_max(HOLD_CONFIG_FILE_BYTES);
    store->sources = calloc(hold_n_config_rows, sizeof(store->sources[0]));
    if (!store->sources)
        return hold_fail(err, HOLD_E_LIMIT, ENOMEM, "read the configuration");
    c->termination_log = early("--termination-log", "HOLDFAST_TERMINATION_LOG=", argc, argv, environment); /* to say what is wrong with the file */
    c->termination_log_is_set = c->termination_log != NULL;
    if (read_file(early("--config", "HOLDFAST_CONFIG=", argc, argv, environment), store, err) < 0)
        return -1;

    static const char *const elsewhere[] = { "servers", NULL };
    struct hold_opt_set set = { .rows = hold_config_rows, .n_rows = hold_n_config_rows, .sources = store->sources, .is_other = mode == HOLD_MODE_EXEC, .store = &store->text };
    int rest = argc;
    struct hold_err ignored = { 0 }; /* each mistake is already a line */
    int loaded = hold_opt_load(&set, c, store->root, elsewhere, environment, argc, argv, false, ret_words, &rest, mistakes, &ignored);
    if (loaded < 0 && mistakes->n == 0)
        hold_config_mistake(mistakes, "%s", ignored.text);
    if (mode != HOLD_MODE_TOOL && ret_words->n > 0)
        hold_config_mistake(mistakes, "'%s' is not an option%s", ret_words->at[0], mode == HOLD_MODE_EXEC ? "; the command stands after --" : "");
    store->notes = hold_buf_with_max(NOTES_BYTES);
    struct hold_opt_names names = { .prefix = "HOLDFAST_", .rows = hold_config_rows, .n_rows = hold_n_config_rows, .known = hold_config_other_names };
    hold_opt_strangers(&names, environment, &store->notes);
    drop_empty(&c->model_sources);
    c->termination_log_is_set = is_set(store, "termination-log");
    if (mode == HOLD_MODE_EXEC && (*c->health.ready || *c->health.startup) && !is_set(store, "status-listen"))
        c->status_listen = "[::]:8181"; /* a check was given: somebody wants to know */
    hold_config_servers(c, store->root, mode == HOLD_MODE_TOOL ? 0 : argc - rest, argv + rest, mistakes);
    make_absolute(c, mistakes);
    hold_config_check(c, mistakes);
    int n = count_lines(mistakes);
    if (n > 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "%d mistake%s in the configuration: %.*s", n, n == 1 ? "" : "s",
                         (int) HOLD_MIN(strcspn(mistakes->data, "\n"), (size_t) 300), mistakes->data);
    return 0;
}

void hold_config_store_release(struct hold_config_store *store) {
    hold_buf_release(&store->text);
    hold_buf_release(&store->notes);
    hold_json_release(&store->root);
    free(store->sources);
    free(store->file);
    *store = (struct hold_config_store) { 0 };
}

void hold_config_dump(const struct hold_config *config, const struct hold_config_store *store, bool as_json, struct hold_buf *out) {
    struct hold_opt_set set = { .rows = hold_config_rows, .n_rows = hold_n_config_rows, .sources = store->sources };
    hold_opt_dump(&set, config, as_json, out);
}
