/* start.c - what a child is started with: command, environment, descriptors, sandbox. Floor: host. */
#include "supervisor/host/core.h"
#include "supervisor/host/hub.h"
#include "supervisor/host/words.h"
#include "supervisor/policy/sandbox_grants.h"

#include "base/auto.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One child is prepared at a time. */
static struct hold_words made;

/* ---- environment ---- */

/* What was meant for process 1 alone: a child that took these for its own would answer to the wrong parent. */
static const char *const not_passed[] = { "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                          "LISTEN_PIDFDID", "HOLDFAST_CONTROL_FD", "HOLDFAST_MEMBER" };

static bool is_for_us(const char *entry) {
    for (size_t i = 0; i < HOLD_COUNT_OF(not_passed); i++)
        if (strncmp(entry, not_passed[i], strlen(not_passed[i])) == 0 && entry[strlen(not_passed[i])] == '=')
            return true;
    return false;
}

static void pass_env(const struct hold_core *core, const struct hold_sandbox_plan *plan) {
    for (size_t i = 0; core->environment[i]; i++) {
        if (!is_for_us(core->environment[i]) && hold_sandbox_plan_passes(plan, core->environment[i]))
            hold_words_pass(&made, core->environment[i]);
    }
}

/* ---- programs of our own ---- */

size_t hold_start_prefix(struct hold_core *core, const char *name, const char **words) {
    static char library_path[PATH_MAX + 8], programs[2][PATH_MAX + 32];
    char *program = programs[strcmp(name, "holdfast-job") == 0];
    size_t n = 0;
    (void) snprintf(library_path, sizeof(library_path), "%s/lib", core->prefix);
    (void) snprintf(program, sizeof(programs[0]), "%s/libexec/%s", core->prefix, name);
    if (core->loader[0]) {
        words[n++] = core->loader;
        words[n++] = "--library-path";
        words[n++] = library_path;
    }
    words[n++] = program;
    return n;
}

static void find_loader(struct hold_core *core) {
    char folder[PATH_MAX + 8];
    (void) snprintf(folder, sizeof(folder), "%s/lib", core->prefix);
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, "ld-linux-", 9) == 0 && strstr(e->d_name, ".so."))
            (void) snprintf(core->loader, sizeof(core->loader), "%.*s/%.64s", (int) sizeof(core->loader) - 80, folder, e->d_name);
    closedir(dir);
}

int hold_start_find_prefix(char *prefix, size_t n_prefix, struct hold_err *err) {
    ssize_t n = readlink("/proc/self/exe", prefix, n_prefix - 1);
    prefix[n > 0 ? n : 0] = '\0';
    for (int up = 0; up < 2; up++) { /* the parent of the folder that the program is in */
        char *slash = strrchr(prefix, '/');
        if (slash)
            *slash = '\0';
    }
    return n > 0 ? 0 : hold_fail(err, HOLD_E_IO, errno, "find this program's folder (is /proc mounted?)");
}

int hold_start_init(struct hold_core *core, struct hold_err *err) {
    bool needs_ours = core->config->mode == HOLD_MODE_RUN || core->config->preflight || core->config->model_sources.n > 0 || core->config->needs.n > 0;
    if (needs_ours || core->config->sandbox != HOLD_SANDBOX_OFF)
        (void) hold_start_find_prefix(core->prefix, sizeof(core->prefix), NULL); /* "": only programs of our own need it */
    if (needs_ours)
        find_loader(core);
    core->facts = (struct hold_sandbox_facts) { .uid = geteuid(), .gid = getegid() }; /* whose the output pipes are, sandbox or not */
    if (core->config->sandbox != HOLD_SANDBOX_OFF)
        hold_sandbox_facts_find(&core->facts);
    (void) err;
    return 0;
}

/* ---- sandbox ---- */

struct lists {
    struct hold_sandbox_grant grants[HOLD_STRS_MAX + 32];
    size_t n_grants;
    uint16_t bind[HOLD_STRS_MAX], connect[HOLD_STRS_MAX];
    int keep[HOLD_CHILD_FDS + 1];
};

static int read_grants(const struct hold_strs *texts, struct lists *l, struct hold_err *err) {
    for (size_t i = 0; i < texts->n; i++)
        if (hold_sandbox_grant_parse(texts->at[i], &l->grants[l->n_grants++], err) < 0)
            return -1;
    return 0;
}

static size_t read_ports(const struct hold_strs *texts, uint16_t *ret_ports) {
    size_t n = 0;
    for (size_t i = 0; i < texts->n; i++) {
        uint64_t port;
        if (hold_parse_u64(texts->at[i], 1, 65535, &port, NULL) == 0)
            ret_ports[n++] = (uint16_t) port;
    }
    return n;
}

/* The variable's value, or "". */
static const char *variable(const struct hold_core *core, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; core->environment[i]; i++)
        if (strncmp(core->environment[i], name, n) == 0 && core->environment[i][n] == '=')
            return core->environment[i] + n + 1;
    return "";
}

/* PATH as the child will have it. */
static const char *path_of(const struct hold_core *core, const struct hold_server_config *server) {
    for (size_t i = 0; server && i < server->n_env; i++)
        if (strncmp(server->env[i], "PATH=", 5) == 0)
            return server->env[i] + 5;
    const char *path = variable(core, "PATH");
    return *path ? path : NULL;
}

/* The virtual environment that the foreign server runs in: the one that its program lies in, else the one that is activated, else "". */
static const char *virtual_env_of(const struct hold_core *core) {
    static char folder[PATH_MAX];
    const struct hold_server_config *server = &core->config->servers[0];
    char program[PATH_MAX], mark[PATH_MAX];
    int status;
    if (core->config->n_servers == 0 || server->is_ours ||
        hold_child_find(server->command[0], path_of(core, server), core->inherited->folder, program, sizeof(program), &status, NULL) < 0)
        return variable(core, "VIRTUAL_ENV");
    for (int up = 0; up < 2; up++)
        *(strrchr(program, '/') ? strrchr(program, '/') : program) = '\0';
    const char *root = program[0] == '/' ? "" : core->inherited->folder;
    bool is_one = program[0] && (size_t) snprintf(folder, sizeof(folder), "%s%s%s", root, *root ? "/" : "", program) < sizeof(folder) &&
                  (size_t) snprintf(mark, sizeof(mark), "%s/pyvenv.cfg", folder) < sizeof(mark) && access(mark, F_OK) == 0;
    return is_one ? folder : variable(core, "VIRTUAL_ENV");
}

/* Where preflight looks for the packages of the server. */
static void package_grants(const struct hold_core *core, struct lists *l) {
    static char text[2 * PATH_MAX];
    enum { MAX_FOLDERS = 12 };
    int n = snprintf(text, sizeof(text), "%s:%s%s:%s", virtual_env_of(core), variable(core, "HOME"), "/.local", variable(core, "PYTHONPATH"));
    if (n < 0 || (size_t) n >= sizeof(text))
        return; /* what is not granted is named as not found */
    char *rest = text;
    for (int i = 0; i < MAX_FOLDERS && rest; i++) {
        const char *folder = strsep(&rest, ":");
        if (folder[0] == '/')
            l->grants[l->n_grants++] = (struct hold_sandbox_grant) { .path = folder, .access = HOLD_GRANT_READ | HOLD_GRANT_OPTIONAL };
    }
}

/* What the errands read beside the model's folder: a local source, a manifest elsewhere, a CA bundle named by variable, the packages of
 * a foreign server. */
static void job_grants(const struct hold_core *core, enum hold_profile profile, struct lists *l) {
    const struct hold_config *c = core->config;
    static const char *const names[] = { "SSL_CERT_FILE=", "SSL_CERT_DIR=", "CURL_CA_BUNDLE=", "REQUESTS_CA_BUNDLE=", "HF_TOKEN_FILE=", "HF_TOKEN_PATH=", "HUGGING_FACE_HUB_TOKEN_FILE=", "MODELSCOPE_API_TOKEN_FILE=",
                                         "AWS_ACCESS_KEY_ID_FILE=", "AWS_SECRET_ACCESS_KEY_FILE=", "AWS_SESSION_TOKEN_FILE=", "AWS_SHARED_CREDENTIALS_FILE=" };
    enum { N_CA_NAMES = 4 }; /* the rest are secrets: for fetch only */
    for (size_t i = 0; i < c->model_sources.n && profile != HOLD_PROFILE_JOB_VERIFY; i++) {
        const char *source = c->model_sources.at[i];
        source += strncmp(source, "file://", 7) == 0 ? 7 : 0;
        if (source[0] == '/')
            l->grants[l->n_grants++] = (struct hold_sandbox_grant) { .path = source, .access = HOLD_GRANT_READ | HOLD_GRANT_OPTIONAL };
    }
    if (c->model_manifest[0] == '/')
        l->grants[l->n_grants++] = (struct hold_sandbox_grant) { .path = c->model_manifest, .access = HOLD_GRANT_READ | HOLD_GRANT_OPTIONAL };
    for (size_t i = 0; core->environment[i] && profile != HOLD_PROFILE_JOB_VERIFY; i++)
        for (size_t k = 0; k < (profile == HOLD_PROFILE_JOB_FETCH ? HOLD_COUNT_OF(names) : N_CA_NAMES); k++)
            if (strncmp(core->environment[i], names[k], strlen(names[k])) == 0 && core->environment[i][strlen(names[k])] == '/')
                l->grants[l->n_grants++] = (struct hold_sandbox_grant) { .path = core->environment[i] + strlen(names[k]),
                                                                         .access = HOLD_GRANT_READ | HOLD_GRANT_OPTIONAL };
    if (profile == HOLD_PROFILE_JOB_PREFLIGHT && c->packages.n > 0)
        package_grants(core, l);
}

/* The folder for passing files of a foreign server; hardly one starts without. */
static const char *scratch_of(const struct hold_core *core, enum hold_profile profile) {
    const char *named = variable(core, "TMPDIR"), *folder = named[0] == '/' ? named : "/tmp";
    return profile == HOLD_PROFILE_FOREIGN && access(folder, F_OK) == 0 ? folder : NULL;
}

static struct lists lists;

/* The program itself, and what it is granted. */
static int add_grants(struct hold_core *core, const struct hold_server_config *server, size_t n_fds, struct hold_sandbox_request *request,
                      struct hold_err *err) {
    const struct hold_config *c = core->config;
    lists.n_grants = 0;
    for (size_t i = 0; i < n_fds; i++)
        lists.keep[i] = 3 + (int) i;
    request->keep_fds = lists.keep;
    request->n_keep_fds = n_fds;
    request->env_names = c->env_keep.at;
    request->n_env_names = c->env_keep.n;
    request->prefix = *core->prefix ? core->prefix : NULL;
    request->model_dir = *c->model_dir ? hold_hub_granted(c->model_dir) : hold_hub_root(core);
    static char absolute[PATH_MAX];
    char program[PATH_MAX];
    const char *folder = core->inherited->folder;
    int status;
    if (hold_child_find(made.argv[0], path_of(core, server), folder, program, sizeof(program), &status, err) < 0)
        return -1;
    if (program[0] != '/' && folder[0]) { /* relative to where process 1 was started, which it has left */
        if ((size_t) snprintf(absolute, sizeof(absolute), "%s/%s", folder, program) >= sizeof(absolute))
            return hold_fail(err, HOLD_E_LIMIT, 0, "the path of '%s' is too long", program);
        memcpy(program, absolute, strlen(absolute) + 1);
    }
    if (!realpath(program, absolute))
        return hold_fail(err, HOLD_E_MISSING, errno, "resolve '%s'", program);
    request->program = absolute;
    if (server && read_grants(&server->grants, &lists, err) < 0)
        return -1;
    if (!server)
        job_grants(core, request->profile, &lists);
    if (request->model_dir && access(request->model_dir, F_OK) < 0)
        request->model_dir = NULL; /* there is nothing to grant; whoever needs it says that it is missing */
    if (*c->run_as && hold_config_user(c->run_as, &request->run_uid, &request->run_gid, err) < 0)
        return -1;
    request->scratch_dir = scratch_of(core, request->profile);
    request->grants = lists.grants;
    request->n_grants = lists.n_grants;
    request->bind_ports = lists.bind;
    request->n_bind_ports = read_ports(&c->bind_ports, lists.bind);
    request->connect_ports = lists.connect;
    request->n_connect_ports = read_ports(&c->connect_ports, lists.connect);
    request->is_network_free = request->profile == HOLD_PROFILE_FOREIGN && request->n_bind_ports + request->n_connect_ports == 0;
    return 0;
}

/* Plan for a child whose command line stands in made.argv. n_fds descriptors from 3 up survive. */
static int plan_for(struct hold_core *core, enum hold_profile profile, const struct hold_server_config *server, size_t n_fds,
                    struct hold_sandbox_plan **plan, struct hold_err *err) {
    const struct hold_config *c = core->config;
    if (!*plan && !(*plan = calloc(1, sizeof(**plan))))
        return hold_fail(err, HOLD_E_LIMIT, ENOMEM, "plan the sandbox");
    struct hold_sandbox_request request = { .profile = profile, .level = (enum hold_sandbox_level) c->sandbox };
    if (c->sandbox != HOLD_SANDBOX_OFF && add_grants(core, server, n_fds, &request, err) < 0)
        return -1;
    if (hold_sandbox_plan_for(&request, &core->facts, *plan, err) < 0)
        return hold_wrap(err, "sandbox of '%s'", server ? server->name : hold_profile_name(profile));
    return c->sandbox == HOLD_SANDBOX_OFF ? 0 : hold_sandbox_prepare(*plan, err);
}

static enum hold_profile profile_of(const struct hold_core *core, const struct hold_member *m) {
    if (m->config->profile)
        return hold_profile_find(m->config->profile);
    if (!m->config->is_ours)
        return HOLD_PROFILE_FOREIGN;
    if (strcmp(m->config->name, "front") == 0)
        return HOLD_PROFILE_FRONT;
    bool cuda = core->config->device == 2 || (core->config->device == 0 && access("/dev/nvidiactl", F_OK) == 0);
    return cuda ? HOLD_PROFILE_ENGINE_CUDA : HOLD_PROFILE_ENGINE_CPU;
}

/* ---- commands ---- */

static void runtime_words(struct hold_core *core, const struct hold_member *m) {
    const struct hold_config *c = core->config;
    const char *words[4];
    size_t n = hold_start_prefix(core, "holdfast-runtime", words);
    for (size_t i = 0; i < n; i++)
        hold_words_add(&made, words[i]);
    hold_words_add(&made, m->config->name);
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    hold_words_option(&made, "--log-level", hold_name_at(levels, HOLD_COUNT_OF(levels), (size_t) c->log_level));
    hold_words_option(&made, "--log-format", hold_log_is_text() ? "text" : "json"); /* its standard error is our pipe, never the terminal */
    hold_words_option(&made, "--model-dir", c->model_dir);
    if (strcmp(m->config->name, "front") == 0) {
        hold_words_option(&made, "--served-name", c->served_name);
    } else {
        static const char *const devices[] = { "", "cpu", "cuda" }, *const dtypes[] = { "", "f32", "bf16", "int8" };
        hold_words_option(&made, "--device", devices[c->device]);
        hold_words_option(&made, "--dtype", dtypes[c->dtype]);
        if (c->n_ctx)
            hold_words_option(&made, "--max-context", hold_words_text(&made, "%llu", (unsigned long long) c->n_ctx));
        if (c->n_threads)
            hold_words_option(&made, "--threads", hold_words_text(&made, "%llu", (unsigned long long) c->n_threads));
    }
    for (size_t i = 0; i < m->config->n_args; i++)
        hold_words_add(&made, m->config->args[i]);
}

static void job_words(struct hold_core *core, enum hold_job_kind kind) {
    const struct hold_config *c = core->config;
    const char *words[4];
    size_t n = hold_start_prefix(core, "holdfast-job", words);
    for (size_t i = 0; i < n; i++)
        hold_words_add(&made, words[i]);
    switch (kind) {
    case HOLD_JOB_PREFLIGHT: {
        static const char *const devices[] = { "auto", "cpu", "cuda" };
        hold_words_add(&made, "preflight");
        hold_words_option(&made, "--model", c->model_dir);
        for (size_t i = 0; i < c->model_sources.n; i++)
            hold_words_option(&made, "--model-source", c->model_sources.at[i]);
        hold_words_option(&made, "--manifest", c->model_manifest);
        hold_words_option(&made, "--device", devices[c->device]);
        if (!*c->run_as) /* the folder is process 1's; the job judges for the user that it runs as */
            hold_words_option(&made, "--state-dir", c->state_dir);
        if (c->n_servers > 0 && !c->servers[0].is_ours)
            hold_words_add(&made, "--foreign");
        for (size_t i = 0; i < c->needs.n; i++)
            hold_words_option(&made, "--need", c->needs.at[i]);
        for (size_t i = 0; i < c->packages.n; i++)
            hold_words_option(&made, "--package", c->packages.at[i]);
        if (c->packages.n > 0)
            hold_words_option(&made, "--virtual-env", virtual_env_of(core));
        hold_words_option_ms(&made, "--need-timeout", c->need_timeout_ms);
        return;
    }
    case HOLD_JOB_FETCH:
        hold_words_add(&made, "fetch");
        for (size_t i = 0; i < c->model_sources.n; i++)
            hold_words_add(&made, c->model_sources.at[i]);
        hold_words_option(&made, "--out", c->model_dir);
        if (hold_hub_root(core))
            hold_words_option(&made, "--hub-cache", hold_hub_root(core));
        hold_words_option(&made, "--manifest", c->model_manifest);
        hold_words_option(&made, "--digest", c->model_digest);
        hold_words_option(&made, "--fetch-tries", hold_words_text(&made, "%llu", (unsigned long long) c->fetch_tries));
        hold_words_option_ms(&made, "--fetch-backoff", c->fetch_backoff_ms);
        hold_words_option_ms(&made, "--fetch-backoff-max", c->fetch_backoff_max_ms);
        hold_words_option_ms(&made, "--fetch-stall", c->fetch_stall_ms);
        hold_words_option_ms(&made, "--fetch-deadline", c->fetch_deadline_ms);
        if (core->job.is_deep) /* what a deep verify found bad may still have a marker that fits */
            hold_words_add(&made, "--deep");
        return;
    case HOLD_JOB_VERIFY:
        hold_words_add(&made, "verify");
        hold_words_add(&made, *c->model_dir ? c->model_dir : c->model_sources.at[0]);
        if (hold_hub_root(core))
            hold_words_option(&made, "--hub-cache", hold_hub_root(core));
        hold_words_option(&made, "--manifest", c->model_manifest);
        hold_words_option(&made, "--digest", c->model_digest);
        if (c->deep_verify || core->job.is_deep)
            hold_words_add(&made, "--deep");
        if (c->other_template)
            hold_words_add(&made, "--other-template");
        if (c->n_servers > 0 && !c->servers[0].is_ours)
            hold_words_add(&made, "--no-plan");
        return;
    case HOLD_JOB_COUNT:
        return;
    }
}

/* ---- spawning ---- */

static int control_pair(int *ret_ours, int *ret_theirs, struct hold_err *err) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "make the control pair");
    (void) fcntl(ends[1], F_SETFL, 0); /* the child blocks when it says something and we are slow: nothing is lost */
    *ret_ours = ends[0];
    *ret_theirs = ends[1];
    return 0;
}

static int watch(struct hold_core *core, const struct hold_child *child, int control_fd, int index, uint64_t now_ms, struct hold_err *err) {
    if (child->exec_fd < 0) /* nothing hangs on the moment of its exec; a failure is a death, which is seen at once */
        core->settle_ms = HOLD_MIN(core->settle_ms, now_ms + HOLD_SETTLE_MS);
    else if (hold_loop_add(&core->loop, child->exec_fd, HOLD_ON_EXEC, (uint16_t) index, EPOLLIN, err) < 0)
        return -1;
    return control_fd < 0 ? 0 : hold_loop_add(&core->loop, control_fd, HOLD_ON_CONTROL, (uint16_t) index, EPOLLIN, err);
}

static int finish(struct hold_child_request *r, const struct hold_sandbox_plan *plan, struct hold_err *err) {
    if (hold_words_check(&made, err) < 0)
        return -1;
    r->argv = made.argv;
    r->envp = made.envp;
    r->path = hold_words_value(&made, "PATH");
    r->plan = plan;
    return 0;
}

static int spawn(struct hold_core *core, const struct hold_child_request *r, struct hold_child *ret_child, int *ret_status, struct hold_err *err) {
    core->tree.is_childless = false;
    return hold_child_spawn(r, ret_child, ret_status, err);
}

/* The i-th of names "a:b:c"; "unknown", as systemd has it, when there is none. */
static void add_name(struct hold_buf *names, const char *inherited, size_t i) {
    for (; inherited && i > 0; i--)
        inherited = strchr(inherited, ':') ? strchr(inherited, ':') + 1 : NULL;
    size_t n = inherited ? strcspn(inherited, ":") : 0;
    hold_buf_add(names, n ? inherited : "unknown", n ? n : strlen("unknown"));
}

/* What whoever started us opened for it, our listening socket, then what this member stored in an earlier life. Returns their
 * number and their names "a:b". */
static size_t hand_over(const struct hold_core *core, const struct hold_member *m, int fds[HOLD_CHILD_FDS], struct hold_buf *names) {
    size_t n = 0;
    bool gets_api = !m->config->is_ours || strcmp(m->config->name, "front") == 0;
    for (size_t i = 0; !m->config->is_ours && i < core->inherited->n_listen; i++) {
        fds[n++] = 3 + (int) i;
        hold_buf_adds(names, i ? ":" : "");
        add_name(names, core->inherited->listen_names, i);
    }
    if (core->listen_fd >= 0 && gets_api) {
        fds[n] = core->listen_fd;
        hold_buf_adds(names, n++ ? ":api" : "api");
    }
    for (size_t i = 0; i < core->store.n && n < HOLD_CHILD_FDS; i++) {
        if (core->store.entries[i].owner != m->index)
            continue;
        fds[n] = core->store.entries[i].fd;
        hold_buf_addf(names, "%s%s", n++ ? ":" : "", core->store.entries[i].name);
    }
    return n;
}

static void build_member(struct hold_core *core, struct hold_member *m) {
    if (m->config->is_ours)
        runtime_words(core, m);
    for (size_t i = 0; i < m->config->n_command; i++)
        hold_words_add(&made, m->config->command[i]);
    const struct hold_rung *rung = hold_ladder_at(&m->config->ladder, m->rung);
    for (size_t i = 0; rung && i < HOLD_RUNG_WORDS && rung->args[i]; i++)
        hold_words_add(&made, rung->args[i]);
}

static void member_env(struct hold_core *core, struct hold_member *m, size_t n_listen, const char *names, int control_number) {
    pass_env(core, m->plan);
    if (hold_hub_root(core) && !m->config->is_ours) { /* what was proven is what it loads */
        hold_words_put(&made, hold_words_text(&made, "HF_HUB_CACHE=%s", hold_hub_root(core)));
        hold_words_put(&made, "HF_HUB_OFFLINE=1");
    }
    for (size_t i = 0; i < m->config->n_env; i++)
        hold_words_put(&made, m->config->env[i]);
    const struct hold_rung *rung = hold_ladder_at(&m->config->ladder, m->rung);
    for (size_t i = 0; rung && i < HOLD_RUNG_WORDS && rung->env[i]; i++)
        hold_words_put(&made, rung->env[i]);
    hold_words_put(&made, hold_words_text(&made, "HOLDFAST_MEMBER=%s", m->config->name));
    if (n_listen > 0) {
        hold_words_put(&made, hold_words_text(&made, "LISTEN_FDS=%zu", n_listen));
        hold_words_put(&made, hold_words_text(&made, "LISTEN_FDNAMES=%s", names ? names : ""));
    }
    if (control_number >= 0)
        hold_words_put(&made, hold_words_text(&made, "HOLDFAST_CONTROL_FD=%d", control_number));
    if (core->notify_fd >= 0 && !m->config->is_ours)
        hold_words_put(&made, hold_words_text(&made, "NOTIFY_SOCKET=%s", core->notify_path));
    if (m->config->health.watchdog_ms > 0)
        hold_words_put(&made, hold_words_text(&made, "WATCHDOG_USEC=%llu", (unsigned long long) m->config->health.watchdog_ms * 1000));
}

int hold_start_member(struct hold_core *core, struct hold_member *m, uint64_t now_ms, int *ret_status, struct hold_err *err) {
    hold_autobuf names = hold_buf_with_max(8192);
    hold_autofd ours = -1, theirs = -1, out = -1, errs = -1;
    struct hold_child_request r = { .inherited = core->inherited, .in_fd = -1, .out_fd = -1, .err_fd = -1, .control_fd = -1,
                                    .own_group = true, .take_terminal = core->on_terminal && tcgetpgrp(0) == getpgrp() };
    *ret_status = HOLD_EXIT_INTERNAL;
    hold_words_begin(&made);
    build_member(core, m);
    r.n_listen = hand_over(core, m, r.listen, &names);
    if (m->config->is_ours && control_pair(&ours, &theirs, err) < 0)
        return -1;
    r.control_fd = theirs;
    if (core->config->sandbox == HOLD_SANDBOX_OFF)
        m->plan = &m->open_plan;
    if (plan_for(core, profile_of(core, m), m->config, r.n_listen + (theirs >= 0), &m->plan, err) < 0) {
        *ret_status = err->code == HOLD_E_DENIED ? HOLD_EXIT_SANDBOX : err->code == HOLD_E_MISSING ? 127 : HOLD_EXIT_CONFIG;
        return -1;
    }
    member_env(core, m, r.n_listen, names.data, theirs >= 0 ? 3 + (int) r.n_listen : -1);
    if (core->has_output) {
        int ends[2];
        struct hold_err soft = { 0 };
        if (hold_output_attach(&core->output, m->index, m->plan->uid, getgid(), ends, &soft) == 0) {
            r.out_fd = out = ends[0];
            r.err_fd = errs = ends[1];
        } else { /* it runs all the same */
            hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("member", m->config->name), HOLD_LS("what", soft.text),
                     HOLD_LS("then", "it has our output itself; no lines are kept of this life"));
        }
    }
    if (finish(&r, m->plan, err) < 0 || spawn(core, &r, &m->child, ret_status, err) < 0)
        return -1;
    m->control_fd = hold_take_fd(&ours);
    core->tree.owners[m->index] = (struct hold_tree_owner) { .pid = m->child.pid, .name = m->config->name };
    return watch(core, &m->child, m->control_fd, m->index, now_ms, err);
}

/* Where it is fetched to and not there yet: what does not exist cannot be granted, and the child may not be able to make it. */
static int make_model_folder(const struct hold_core *core, struct hold_err *err) {
    const struct hold_config *c = core->config;
    const char *folder = *c->model_dir ? c->model_dir : hold_hub_root(core);
    uint32_t uid = 0, gid = 0;
    if (c->model_sources.n == 0 || !folder || access(folder, F_OK) == 0)
        return 0;
    if (hold_mkdirs(folder, 0755, err) < 0 || (*c->run_as && hold_config_user(c->run_as, &uid, &gid, err) < 0))
        return -1;
    if (uid != 0 && chown(folder, uid, gid) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "give '%s' to user %u", folder, uid);
    return 0;
}

int hold_start_job(struct hold_core *core, enum hold_job_kind kind, uint64_t now_ms, int *ret_status, struct hold_err *err) {
    static const enum hold_profile profiles[] = { HOLD_PROFILE_JOB_PREFLIGHT, HOLD_PROFILE_JOB_FETCH, HOLD_PROFILE_JOB_VERIFY };
    struct hold_job *job = &core->job;
    hold_autofd ours = -1, theirs = -1;
    struct hold_child_request r = { .inherited = core->inherited, .in_fd = -1, .out_fd = 2, .err_fd = -1, .control_fd = -1, .own_group = true };
    *ret_status = HOLD_EXIT_INTERNAL;
    hold_words_begin(&made);
    job_words(core, kind);
    if (make_model_folder(core, err) < 0 && kind == HOLD_JOB_FETCH) { /* preflight says it better, with its cure */
        *ret_status = HOLD_EXIT_FETCH_WRITE;
        return hold_wrap(err, "make the model's folder");
    }
    if (control_pair(&ours, &theirs, err) < 0)
        return -1;
    r.control_fd = theirs;
    if (plan_for(core, profiles[kind], NULL, 1, &job->plan, err) < 0) {
        *ret_status = err->code == HOLD_E_DENIED ? HOLD_EXIT_SANDBOX : err->code == HOLD_E_MISSING ? 127 : HOLD_EXIT_CONFIG;
        return -1;
    }
    pass_env(core, job->plan);
    if (*core->config->run_as)
        hold_words_drop(&made, "HOLDFAST_STATE_DIR"); /* as --state-dir above: not the job's folder */
    hold_words_put(&made, "HOLDFAST_CONTROL_FD=3");
    if (kind == HOLD_JOB_FETCH && *core->config->hf_token)
        hold_words_put(&made, hold_words_text(&made, "HF_TOKEN=%s", core->config->hf_token));
    if (finish(&r, job->plan, err) < 0 || spawn(core, &r, &job->child, ret_status, err) < 0)
        return -1;
    job->control_fd = hold_take_fd(&ours);
    job->started_ms = now_ms;
    core->tree.owners[HOLD_CORE_JOB] = (struct hold_tree_owner) { .pid = job->child.pid, .is_apart = true };
    return watch(core, &job->child, job->control_fd, HOLD_CORE_JOB, now_ms, err);
}

int hold_start_exec_probe(struct hold_core *core, struct hold_member *m, const char *command, struct hold_child *ret_child, struct hold_err *err) {
    const char *words[HOLD_WORDS_OF_LINE];
    hold_autofree char *line = strdup(command);
    if (!line)
        return hold_fail(err, HOLD_E_LIMIT, ENOMEM, "start the command of a check");
    int n = hold_words_split(line, words, HOLD_COUNT_OF(words), err);
    if (n <= 0)
        return n < 0 ? -1 : hold_fail(err, HOLD_E_CONFIG, 0, "a check has an empty command");
    hold_words_begin(&made);
    for (int i = 0; i < n; i++)
        hold_words_add(&made, words[i]);
    pass_env(core, m->plan);
    hold_autofd nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* A group of its own, so that a question that does not end can be ended with its helpers. */
    struct hold_child_request r = { .inherited = core->inherited, .in_fd = nothing, .out_fd = nothing, .err_fd = -1, .control_fd = -1, .own_group = true };
    int status;
    if (finish(&r, NULL, err) < 0 || spawn(core, &r, ret_child, &status, err) < 0)
        return -1;
    hold_close_fd(&ret_child->exec_fd); /* a command that cannot run fails like one that says no */
    return 0;
}
