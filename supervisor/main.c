/* main.c - the order of life of process 1, nothing else. Floor: supervisor. */
#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "base/notify.h"
#include "supervisor/cmd.h"
#include "supervisor/host/config.h"
#include "supervisor/host/core.h"
#include "supervisor/host/report.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOLD_FILES_WANTED 256
#define MISTAKES_MAX ((size_t) 64 << 10)

/* Everything that can be caught: from the first statement on nothing is lost. A fault of our own still ends us, since the kernel
 * unblocks what it forces; one that somebody sends is for the child (ABRT makes a hung Python print its stacks). */
static sigset_t all_signals(void) {
    sigset_t set;
    memset(&set, 0xff, sizeof(set));
    return set;
}

static void open_log(const struct hold_config *config) {
    hold_log_open("holdfast", config->log_format == 2 || (config->log_format == 0 && isatty(2)));
    hold_log_set_level((enum hold_log_level) config->log_level);
}

/* What the configuration has that is no mistake: a line, a warning. */
static void say_notes(const struct hold_buf *notes) {
    for (size_t at = 0; at < notes->n;) {
        char line[256];
        size_t n = strcspn(notes->data + at, "\n");
        (void) snprintf(line, sizeof(line), "%.*s", (int) HOLD_MIN(n, sizeof(line) - 1), notes->data + at);
        hold_log(HOLD_LV_WARN, HOLD_EV_CONFIG, HOLD_LS("what", line));
        at += n + 1;
    }
}

/* Nothing was started: the log and the termination message say why. */
static int refuse(const struct hold_config *config, int status, const struct hold_err *why, const struct hold_buf *mistakes) {
    const char *path = config->termination_log ? config->termination_log : HOLD_REPORT_DEFAULT_PATH;
    const char *details = mistakes && mistakes->n > 0 ? mistakes->data : NULL;
    struct hold_err err = { 0 };
    hold_log_err(why);
    if (*path && hold_report_refusal(path, config->termination_log_is_set, status, why->text, details, &err) < 0)
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", err.text), HOLD_LS("then", "the termination message is not kept"));
    return status;
}

static int supervise(enum hold_mode mode, int argc, char **argv, const struct hold_inherited *inherited) {
    static struct hold_core core __attribute__((aligned(4096))); /* its first page is touched at every wake-up, alone */
    static struct hold_config config;
    struct hold_config_store store = { 0 };
    struct hold_strs words = { 0 };
    struct hold_err err = { 0 };
    hold_autobuf mistakes = hold_buf_with_max(MISTAKES_MAX);
    (void) hold_sandbox_hide_secrets(environ); /* before anything points into it */
    if (hold_config_load(mode, argc, argv, (const char *const *) environ, &config, &store, &words, &mistakes, &err) < 0) {
        hold_log_open("holdfast", isatty(2));
        if (mistakes.n > 0)
            fprintf(stderr, "%.*s", (int) mistakes.n, mistakes.data);
        say_notes(&store.notes);
        (void) refuse(&config, HOLD_EXIT_CONFIG, &err, &mistakes);
        hold_config_store_release(&store);
        return HOLD_EXIT_CONFIG;
    }
    open_log(&config);
    say_notes(&store.notes);
    hold_log(HOLD_LV_INFO, HOLD_EV_START, HOLD_LS("version", HOLD_VERSION), HOLD_LS("mode", mode == HOLD_MODE_RUN ? "run" : "exec"),
             HOLD_LI("pid", getpid()), HOLD_LS("config", store.file));
    if (config.sandbox != HOLD_SANDBOX_OFF)
        hold_sandbox_protect_self();
    hold_log_never_wait();
    const sigset_t signals = all_signals();
    int status = HOLD_EXIT_INTERNAL;
    if (hold_core_init(&core, &config, inherited, (const char *const *) environ, &signals, &status, &err) < 0) {
        status = refuse(&config, hold_exit_for(status, err.sys), &err, NULL);
    } else {
        status = hold_core_run(&core);
    }
    /* From here on nothing returns early: what was opened is closed, the exit code is the policy's. */
    hold_log(HOLD_LV_INFO, HOLD_EV_END, HOLD_LI("code", status), HOLD_LS("cause", core.ending.is_fixed ? hold_cause_info(core.ending.cause)->name : ""),
             HOLD_LS("action", core.ending.is_fixed ? hold_action_name(core.ending.action) : ""), HOLD_LU("orphans_reaped", core.orphans_reaped));
    hold_core_release(&core);
#ifndef __SANITIZE_ADDRESS__ /* whose leak check is an exit handler; there is no other, and whoever waits for us waits for it */
    _exit(status);
#endif
    return status;
}

int hold_supervise_run(int argc, char **argv, const struct hold_inherited *inherited) {
    return supervise(HOLD_MODE_RUN, argc, argv, inherited);
}

/* A closed 0, 1 or 2 would be the number of the next thing that is opened: log lines would go into a socket. For a server that we
 * start it stays closed. */
static void fill_standard(bool supervises) {
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | (supervises ? O_CLOEXEC : 0)) < 0)
            (void) open("/", O_PATH | O_CLOEXEC);
}

/* Process 1 needs a few dozen descriptors whatever its server is allowed; where only the soft limit is low it lifts its own. */
static void lift_files(struct hold_inherited *inherited) {
    if (getrlimit(RLIMIT_NOFILE, &inherited->files) < 0)
        return;
    struct rlimit own = inherited->files;
    if (own.rlim_cur < HOLD_FILES_WANTED && own.rlim_cur < own.rlim_max) {
        own.rlim_cur = HOLD_MIN((rlim_t) HOLD_FILES_WANTED, own.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &own) < 0)
            own = inherited->files;
    }
    inherited->files_now = own.rlim_cur;
}

int main(int argc, char **argv) {
    static struct hold_inherited inherited;
    const sigset_t blocked = all_signals();
    (void) hold_child_mask(SIG_BLOCK, &blocked, &inherited.mask);
    /* An inherited "ignore" would have the kernel reap in our place. */
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    sigaction(SIGCHLD, &plain, &inherited.chld);
    const struct hold_cmd *cmd = argc > 1 ? hold_cmd_find(argv[1], argc > 2 ? argv[2] : "") : NULL;
    bool supervises = !cmd || cmd->run == hold_supervise_run;
    if (supervises)
        lift_files(&inherited);
    fill_standard(supervises);
    if (supervises)
        inherited.n_listen = hold_listen_fds(HOLD_CHILD_LISTEN_MAX, &inherited.listen_names); /* by podman or systemd: the server behind us is meant */
    /* A folder that this user could not enter again (root started it and became another) is not left. */
    if (supervises && (getcwd(inherited.folder, sizeof(inherited.folder)) == NULL || access(inherited.folder, X_OK) < 0))
        inherited.folder[0] = '\0';
    if (cmd)
        return cmd->run(argc - 1, argv + 1, &inherited);
    if (argc < 2 || argv[1][0] != '-')
        return hold_cmd_unknown(argc > 1 ? argv[1] : NULL);
    return supervise(HOLD_MODE_EXEC, argc, argv, &inherited);
}
