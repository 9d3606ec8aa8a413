/* cmd.c - the sub-commands. Floor: supervisor. */
#include "supervisor/cmd.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/docs.h"
#include "supervisor/host/config.h"
#include "supervisor/host/core.h"
#include "supervisor/host/query.h"
#include "supervisor/install.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t) 1 << 20)

static int print(struct hold_buf *out) {
    struct hold_err err = { 0 };
    if (hold_buf_check(out, "output", &err) < 0 || hold_write_all(1, out->data ? out->data : "", out->n, "standard output", &err) < 0) {
        hold_log_err(&err);
        return HOLD_EXIT_INTERNAL;
    }
    return HOLD_EXIT_OK;
}

static int usage(const char *what, const char *word) {
    fprintf(stderr, "holdfast: %s '%s'\nSee `holdfast help`.\n", what, word);
    return HOLD_EXIT_USAGE;
}

/* Removes a flag that the option table does not know; true when it was there. */
static bool take_flag(int *argc, char **argv, const char *flag) {
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], flag) != 0)
            continue;
        memmove(&argv[i], &argv[i + 1], (size_t) (*argc - i) * sizeof(argv[0]));
        (*argc)--;
        return true;
    }
    return false;
}

static int say_mistakes(const struct hold_buf *mistakes, const struct hold_err *err) {
    if (mistakes->n > 0)
        fprintf(stderr, "%.*s", (int) mistakes->n, mistakes->data);
    else
        fprintf(stderr, "holdfast: %s\n", err->text);
    return HOLD_EXIT_CONFIG;
}

/* ---- rows ---- */

static int cmd_job(int argc, char **argv, const struct hold_inherited *inherited) {
    static struct hold_core core; /* only its prefix is used */
    static const struct hold_config config = { .mode = HOLD_MODE_RUN, .preflight = true, .sandbox = HOLD_SANDBOX_OFF };
    const char *words[260];
    struct hold_err err = { 0 };
    core.config = &config;
    if (hold_start_init(&core, &err) < 0) {
        hold_log_err(&err);
        return HOLD_EXIT_INTERNAL;
    }
    size_t n = hold_start_prefix(&core, "holdfast-job", words);
    for (int i = 0; i < argc; i++) {
        if (n + 1 >= HOLD_COUNT_OF(words))
            return usage("too many words for", argv[0]);
        words[n++] = argv[i];
    }
    words[n] = NULL;
    (void) sigaction(SIGCHLD, &inherited->chld, NULL);
    (void) sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
    execv(words[0], (char *const *) (uintptr_t) words);
    fprintf(stderr, "holdfast: execute '%s': %s\n", words[0], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}

static int with_tool_config(int argc, char **argv, const struct hold_inherited *inherited, int (*act)(const struct hold_config *, const struct hold_strs *)) {
    static struct hold_config config;
    struct hold_config_store store = { 0 };
    struct hold_strs words = { 0 };
    struct hold_err err = { 0 };
    hold_autobuf mistakes = hold_buf_with_max(OUTPUT_MAX);
    (void) sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
    int status = hold_config_load(HOLD_MODE_TOOL, argc, argv, (const char *const *) environ, &config, &store, &words, &mistakes, &err) < 0
                     ? say_mistakes(&mistakes, &err)
                     : act(&config, &words);
    hold_config_store_release(&store);
    return status;
}

static int ask_probe(const struct hold_config *config, const struct hold_strs *words) {
    return hold_query_probe(config->state_dir, words->n > 0 ? words->at[0] : "");
}

static int cmd_probe(int argc, char **argv, const struct hold_inherited *inherited) {
    return with_tool_config(argc, argv, inherited, ask_probe);
}

static bool status_as_json, status_watch;

static int ask_status(const struct hold_config *config, const struct hold_strs *words) {
    if (words->n > 0)
        return usage("status: not an option:", words->at[0]);
    return hold_query_status(config->state_dir, status_as_json, status_watch);
}

static int cmd_status(int argc, char **argv, const struct hold_inherited *inherited) {
    status_as_json = take_flag(&argc, argv, "--json");
    status_watch = take_flag(&argc, argv, "--watch");
    return with_tool_config(argc, argv, inherited, ask_status);
}

static void exit_codes(struct hold_buf *out) {
    hold_buf_adds(out, "| status | name | meaning | what to do |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < hold_n_exit_rows; i++)
        hold_buf_addf(out, "| %d | `%s` | %s | %s |\n", hold_exit_rows[i].status, hold_exit_rows[i].name, hold_exit_rows[i].meaning,
                      hold_exit_rows[i].cure);
}

static int cmd_config(int argc, char **argv, const struct hold_inherited *inherited) {
    static struct hold_config config;
    struct hold_config_store store = { 0 };
    struct hold_strs words = { 0 };
    struct hold_err err = { 0 };
    hold_autobuf mistakes = hold_buf_with_max(OUTPUT_MAX);
    hold_autobuf out = hold_buf_with_max(OUTPUT_MAX);
    (void) inherited;
    bool as_json = take_flag(&argc, argv, "--json");
    if (take_flag(&argc, argv, "--markdown")) {
        hold_opt_markdown(hold_config_rows, hold_n_config_rows, &out);
        return print(&out);
    }
    if (take_flag(&argc, argv, "--roff")) {
        hold_opt_roff(hold_config_rows, hold_n_config_rows, &out);
        return print(&out);
    }
    if (take_flag(&argc, argv, "--exit-codes")) {
        exit_codes(&out);
        return print(&out);
    }
    int loaded = hold_config_load(HOLD_MODE_RUN, argc, argv, (const char *const *) environ, &config, &store, &words, &mistakes, &err);
    if (store.sources)
        hold_config_dump(&config, &store, as_json, &out);
    int status = print(&out);
    if (store.notes.n > 0)
        fprintf(stderr, "%.*s", (int) store.notes.n, store.notes.data);
    if (loaded < 0)
        status = say_mistakes(&mistakes, &err);
    hold_config_store_release(&store);
    return status;
}

static int install_status(const struct hold_err *err) {
    if (err->sys == ENOSPC || err->sys == EDQUOT)
        return HOLD_EXIT_FETCH_SPACE;
    return err->code == HOLD_E_CONFIG || err->code == HOLD_E_MISSING ? HOLD_EXIT_CONFIG : HOLD_EXIT_FETCH_WRITE;
}

static int cmd_install(int argc, char **argv, const struct hold_inherited *inherited) {
    char prefix[PATH_MAX];
    struct hold_installed done;
    struct hold_err err = { 0 };
    (void) sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
    if (argc != 2 || argv[1][0] == '-' || argv[1][0] == '\0')
        return usage("install: one folder is needed, as in", "install /shared/holdfast");
    if (hold_start_find_prefix(prefix, sizeof(prefix), &err) < 0 || hold_install_prefix(prefix, argv[1], &done, &err) < 0) {
        fprintf(stderr, "holdfast: %s\n", err.text);
        return install_status(&err);
    }
    printf("%s/bin/holdfast: holdfast " HOLD_VERSION ", %" PRIu64 " files, %" PRIu64 " bytes\n", argv[1], done.files, done.bytes);
    return fflush(stdout) == 0 ? HOLD_EXIT_OK : HOLD_EXIT_INTERNAL;
}

static int cmd_version(int argc, char **argv, const struct hold_inherited *inherited) {
    (void) argc, (void) argv, (void) inherited;
    return printf("holdfast %s\n", HOLD_VERSION) < 0 ? HOLD_EXIT_INTERNAL : HOLD_EXIT_OK;
}

static int cmd_docs(int argc, char **argv, const struct hold_inherited *inherited) {
    (void) inherited;
    return hold_docs_main(argc, argv);
}

static int cmd_help(int argc, char **argv, const struct hold_inherited *inherited);

static const struct hold_cmd rows[] = {
    { "run", "[options]", "run holdfast-runtime, or the servers of the file, for the configured model", hold_supervise_run },
    { "doctor", "[--json] [options]", "judge this machine, the model and the dependencies, and say what to do", cmd_job },
    { "fetch", "SOURCE --out DIR [options]", "bring a model's files and prove them", cmd_job },
    { "verify", "DIR [options]", "prove a model's files", cmd_job },
    { "gc", "[DIR...] [--older-than TIME] [--delete]", "say what of the hub's cache nobody uses, or remove it", cmd_job },
    { "ask", "http://HOST:PORT/v1 [options]", "one chat with a server, as its clients have it", cmd_job },
    { "probe", "live|ready|startup [--state-dir DIR]", "ask the holdfast that runs here; exit status 0 or 1", cmd_probe },
    { "status", "[--json] [--watch] [--state-dir DIR]", "show the holdfast that runs here", cmd_status },
    { "config", "[--json|--markdown|--roff|--exit-codes] [options]", "print each effective value with its source, or the tables behind it", cmd_config },
    { "install", "DIR", "copy holdfast into a folder; DIR/bin/holdfast then runs in any image", cmd_install },
    { "version", "", "print the version", cmd_version },
    { "help", "", "print this", cmd_help },
    { "docs", "", NULL, cmd_docs }, /* hidden: for the build */
};

static int cmd_help(int argc, char **argv, const struct hold_inherited *inherited) {
    hold_autobuf out = hold_buf_with_max(OUTPUT_MAX);
    (void) argc, (void) argv, (void) inherited;
    hold_buf_adds(&out, "usage: holdfast [options] -- COMMAND [ARG...]    run any server under supervision\n");
    for (size_t i = 0; i < HOLD_COUNT_OF(rows) && rows[i].help; i++)
        hold_buf_addf(&out, "       holdfast %s%s%s\n           %s\n", rows[i].name, *rows[i].args ? " " : "", rows[i].args, rows[i].help);
    hold_buf_adds(&out, "\nOptions (each is also HOLDFAST_<NAME> and a key of the configuration file; a flag wins):\n");
    hold_opt_help(hold_config_rows, hold_n_config_rows, &out);
    hold_buf_adds(&out, "\n`holdfast -- COMMAND` starts from other defaults: no status port, no --listen, --restart never, --sandbox off,\n"
                        "--preflight=false, --log-level warn.\n");
    return print(&out);
}

const struct hold_cmd *hold_cmd_find(const char *name, const char *next) {
    if (strcmp(name, "-h") == 0)
        name = "help";
    if (strncmp(name, "--", 2) == 0 && (strcmp(name + 2, "help") == 0 || strcmp(name + 2, "version") == 0))
        name += 2;
    const struct hold_cmd *found = NULL;
    for (size_t i = 0; i < HOLD_COUNT_OF(rows) && !found; i++)
        if (strcmp(rows[i].name, name) == 0)
            found = &rows[i];
    const bool asks_help = strcmp(next, "--help") == 0 || strcmp(next, "-h") == 0;
    return found && asks_help && found->run != cmd_job ? hold_cmd_find("help", "") : found; /* the jobs have a page of their own each */
}

int hold_cmd_unknown(const char *name) {
    const char *names[HOLD_COUNT_OF(rows)];
    size_t n = 0;
    for (; n < HOLD_COUNT_OF(rows) && rows[n].help; n++)
        names[n] = rows[n].name;
    const char *nearest = name ? hold_nearest(name, names, n) : NULL;
    if (!name)
        fprintf(stderr, "holdfast: a command is wanted\n");
    else if (nearest && nearest[0] == name[0])
        fprintf(stderr, "holdfast: no sub-command '%s'; did you mean `holdfast %s`?\n", name, nearest);
    else
        fprintf(stderr, "holdfast: no sub-command '%s'; a server is started with `holdfast -- %s ...`\n", name, name);
    fprintf(stderr, "usage: holdfast [options] -- COMMAND [ARG...], or see `holdfast help`\n");
    return HOLD_EXIT_USAGE;
}
