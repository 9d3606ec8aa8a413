/* config.h - process 1's option table and its checked configuration. Floor: host.
 *
 * Flat options come from the table (flag, variable, JSON key); `servers.NAME` objects from the file only. Defaults differ
 * between `holdfast -- CMD` and `holdfast run` where DESIGN 5 says so; hold_config_load applies that before the sources. */
#ifndef HOLD_HOST_CONFIG_H
#define HOLD_HOST_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"
#include "supervisor/policy/ladder.h"

#include <stdbool.h>
#include <stdint.h>

struct cJSON;

enum hold_mode { HOLD_MODE_EXEC, HOLD_MODE_RUN, HOLD_MODE_TOOL }; /* holdfast -- CMD; holdfast run; any other sub-command */
enum hold_restart_policy { HOLD_RESTART_NEVER, HOLD_RESTART_ON_FAILURE, HOLD_RESTART_ALWAYS };
enum hold_on_fatal { HOLD_ON_FATAL_EXIT, HOLD_ON_FATAL_HOLD };
enum hold_output_mode { HOLD_OUTPUT_DROP, HOLD_OUTPUT_BLOCK, HOLD_OUTPUT_DIRECT };
enum hold_on_stop { HOLD_ON_STOP_ESCALATE, HOLD_ON_STOP_FORWARD };
enum hold_signal_to { HOLD_SIGNAL_TO_CHILD, HOLD_SIGNAL_TO_GROUP };

#define HOLD_STATE_DIR_DEFAULT "/run/holdfast"
#define HOLD_CONFIG_SERVERS 4
#define HOLD_CONFIG_NAME_BYTES 32 /* of a server, with its end mark */
#define HOLD_CONFIG_PROBE_BYTES 1024 /* a check that a pod's probe becomes */
#define HOLD_CONFIG_WORDS 512 /* of a command, its arguments or its variables in the file */

/* One check of a server: an address in probe_io.h's form, NULL when there is none. */
struct hold_health_config {
    const char *startup;      /* instead of ready until it has passed once; NULL: ready */
    const char *ready, *live; /* live NULL: the ready check is not used for liveness either */
    uint64_t initial_delay_ms, period_ms, timeout_ms;
    uint64_t live_period_ms, live_timeout_ms; /* 0: as ready */
    uint64_t startup_period_ms, startup_timeout_ms, live_delay_ms; /* of a pod's probes alone; 0: as ready, as ready, none */
    uint64_t failures, live_failures, successes;
    uint64_t backoff_first_ms, backoff_max_ms; /* between failed startup questions */
    uint64_t watchdog_ms;     /* 0: none is asked for */
};

/* When an ended server starts again. */
struct hold_restart_config {
    int policy;                 /* enum hold_restart_policy */
    uint64_t delay_ms, cap_ms, jitter_pct, healthy_reset_ms;
    const char *budget_text;    /* "N" or "N/WINDOW" */
    uint64_t budget, window_ms; /* read from it */
};

struct hold_server_config {
    const char *name;                       /* "front", "engine", "server"; at most 31 of [A-Za-z0-9._-] */
    size_t n_command, n_args, n_env;
    const char *profile;                    /* sandbox profile; NULL: by member */
    bool needs_weights;
    bool is_ours;                           /* speaks the control pair, passes exit.def statuses */
    struct hold_health_config health;
    struct hold_restart_config restart;
    const char *warmup;                     /* a request to send once before READY; NULL: none */
    uint32_t needs;                         /* bit i: starts only while servers[i] is ready */
    const char *const *command;             /* NULL after the last: in argv as it was given, or words; built-in members have none */
    const char *words[HOLD_CONFIG_WORDS];   /* servers.NAME.command */
    struct hold_ladder ladder;
    struct hold_strs grants;                /* "r:/path", "rw:/path", "x:/path", "dev:/path" */
    const char *args[HOLD_CONFIG_WORDS];    /* servers.NAME.args: added to a built-in member's command */
    const char *env[HOLD_CONFIG_WORDS];     /* "NAME=value", wins over what is passed on */
    char probes[3][HOLD_CONFIG_PROBE_BYTES]; /* what servers.NAME.startupProbe, readinessProbe and livenessProbe become */
};

struct hold_config {
    enum hold_mode mode;
    /* table */
    const char *config_file, *state_dir, *termination_log;
    int log_level;             /* enum hold_log_level */
    int log_format;            /* auto json text */
    const char *status_listen; /* "" : no port */
    const char *listen;        /* "" : the server's own */
    struct hold_restart_config restart; /* of jobs, and what servers.NAME.restart starts from */
    uint64_t no_progress_ms, start_backstop_ms, warm_timeout_ms;
    uint64_t grace_ms, prestop_delay_ms, sweep_wait_ms, kill_wait_ms;
    int signal_to;             /* enum hold_signal_to */
    struct hold_strs signal_map; /* "TERM=INT", "USR1=none" */
    struct hold_strs stop_on;    /* "QUIT": beside TERM and INT */
    const char *parent_death_signal; /* "" : none */
    int on_fatal;              /* enum hold_on_fatal */
    int on_stop;               /* enum hold_on_stop */
    struct hold_strs success_exit; /* "143", "1-3" */
    int output;                /* enum hold_output_mode */
    struct hold_health_config health; /* for `-- CMD`, and what servers.NAME.health starts from */
    const char *warmup;
    int sandbox;               /* enum hold_sandbox_level */
    const char *profile;
    struct hold_strs grants, env_keep, bind_ports, connect_ports;
    const char *run_as;        /* "UID:GID" or "" */
    bool preflight;            /* whether the PREFLIGHT job runs */
    const char *model_dir, *hub_cache, *model_manifest, *model_digest, *served_name;
    struct hold_strs model_sources; /* in the order in which they are asked, at most 8 */
    struct hold_strs needs, packages;
    uint64_t need_timeout_ms, heal_budget;
    uint64_t fetch_tries, fetch_backoff_ms, fetch_backoff_max_ms, fetch_stall_ms, fetch_deadline_ms;
    bool deep_verify;
    bool other_template;
    int device;                /* auto cpu cuda */
    int dtype;                 /* auto f32 bf16 int8 */
    uint64_t n_ctx, n_threads;
    const char *hf_token;      /* secret: passed to the fetch job only */
    /* after the table */
    size_t n_servers;
    bool termination_log_is_set;
    uint64_t success_codes[4]; /* bit n: exit code n counts as success */
    struct hold_server_config servers[HOLD_CONFIG_SERVERS];
    char paths[5][4096];       /* what was given relative to the start folder, made absolute: process 1 leaves it */
};

extern const struct hold_opt hold_config_rows[];
extern const size_t hold_n_config_rows;
/* Variables with our prefix that are no row of the table, NULL-terminated. */
extern const char *const hold_config_other_names[];

/* Everything that the configuration's strings live in; the caller's, zeroed, released after the config. */
struct hold_config_store {
    struct hold_buf text;
    struct cJSON *root;
    enum hold_opt_source *sources;
    char *file; /* path of the file read, or NULL */
    struct hold_buf notes; /* what is no mistake and still worth a warning, one a line */
};

/* argv: argv[0] is skipped; for RUN and TOOL the sub-command's name stands there. environment as environ. Reads the file
 * named by --config or HOLDFAST_CONFIG (missing: an error) or SYSCONFDIR/holdfast/holdfast.json (missing: fine), then the
 * table, then the servers, then the checks across values. ret_config is zeroed by the caller. All mistakes are in err and, one a line, in mistakes. For EXEC
 * the words after "--" are the command; none is a mistake. ret_words: words that are no options (TOOL). */
HOLD_MUST int hold_config_load(enum hold_mode mode, int argc, char *const *argv, const char *const *environment,
                               struct hold_config *ret_config, struct hold_config_store *store, struct hold_strs *ret_words,
                               struct hold_buf *mistakes, struct hold_err *err);
void hold_config_store_release(struct hold_config_store *store);
/* `holdfast config`: every effective value with its source. */
void hold_config_dump(const struct hold_config *config, const struct hold_config_store *store, bool as_json, struct hold_buf *out);

/* "UID:GID" or "UID" (both): 1 to 4294967294. */
HOLD_MUST int hold_config_user(const char *text, uint32_t *ret_uid, uint32_t *ret_gid, struct hold_err *err);
/* "TERM", "SIGTERM" or "15" to a number, "none" to 0; -1 when it is none. Real-time signals as numbers or "RTMIN+n". */
int hold_signal_parse(const char *text);
/* "TERM" for 15; "RTMIN+3"; "?" */
const char *hold_signal_name(int sig);

#endif
