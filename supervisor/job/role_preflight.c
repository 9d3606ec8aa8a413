/* role_preflight.c - `holdfast-job preflight` and `doctor`: one judgement, two ways to tell it. Floor: supervisor/job. */
#include "base/auto.h"
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "base/notify.h"
#include "supervisor/job/preflight.h"
#include "supervisor/job/roles.h"
#include "supervisor/job/verdict.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct preflight_config {
    const char *model, *manifest, *state_dir, *ca_file, *home, *virtual_env, *python_path;
    struct hold_strs sources, writable, packages, python, needs;
    uint64_t need_timeout_ms, ask_timeout_ms, gpu_timeout_ms, backoff_ms, backoff_max_ms, memory_bytes, reserve_bytes;
    int device;
    bool foreign, json, sandbox;
};

#define ROW(n, t, f, d, lo, hi, h, ...) { .name = n, .type = HOLD_OPT_##t, .offset = offsetof(struct preflight_config, f), .initial = d, .min = lo, .max = hi, .help = h, __VA_ARGS__ }

static const struct hold_opt rows[] = {
    ROW("json", BOOL, json, NULL, 0, 0, "findings as JSON"),
    ROW("model", STR, model, NULL, 0, 0, "model folder", .value = "DIR"),
    ROW("model-source", STRS, sources, NULL, 0, 0, "where missing files are fetched from; repeatable", .value = "SOURCE"),
    ROW("manifest", STR, manifest, NULL, 0, 0, "pinned list of files", .value = "FILE", .env = "HOLDFAST_MODEL_MANIFEST"),
    ROW("foreign", BOOL, foreign, NULL, 0, 0, "judge for a server that is not holdfast-runtime"),
    ROW("device", ENUM, device, "auto", 0, 0, "which device is wanted", .choices = "auto|cpu|cuda"),
    ROW("memory", BYTES, memory_bytes, NULL, 0, 0, "memory that the server needs; 0: judged from the model's bytes"),
    ROW("state-dir", STR, state_dir, NULL, 0, 0, "folder for holdfast's own state", .value = "DIR"),
    ROW("writable", STRS, writable, NULL, 0, 0, "folder that the server must be able to write; repeatable", .value = "DIR"),
    ROW("package", STRS, packages, NULL, 0, 0, "python package that the server needs, with >= or == and a version; repeatable", .value = "NAME"),
    ROW("python", STRS, python, NULL, 0, 0, "folder with python packages beside the usual ones; repeatable", .value = "DIR"),
    ROW("need", STRS, needs, NULL, 0, 0, "dependency: tcp://host:port or an http(s) address; repeatable", .value = "URL"),
    ROW("need-timeout", MS, need_timeout_ms, NULL, 0, 86400000, "how long dependencies are waited for (preflight: 5m, doctor: 0)", .value = "MS"),
    ROW("need-ask-timeout", MS, ask_timeout_ms, "5s", 1, 600000, "one question to a dependency"),
    ROW("need-backoff", MS, backoff_ms, "500ms", 1, 600000, "first wait between questions; it doubles"),
    ROW("need-backoff-max", MS, backoff_max_ms, "15s", 1, 600000, "longest wait between questions"),
    ROW("gpu-timeout", MS, gpu_timeout_ms, "30s", 1, 600000, "how long the driver may take to answer"),
    ROW("sandbox", BOOL, sandbox, "true", 0, 0, "judge the kernel features that the sandbox wants", .env = "HOLDFAST_PREFLIGHT_SANDBOX"),
    ROW("fetch-reserve", BYTES, reserve_bytes, "64MiB", 0, 0, "disk space that stays free"),
    ROW("ca-file", STR, ca_file, NULL, 0, 0, "certificates to trust", .value = "FILE", .env = "SSL_CERT_FILE"),
    ROW("home", STR, home, NULL, 0, 0, "home folder of the server", .value = "DIR", .env = "HOME"),
    ROW("virtual-env", STR, virtual_env, NULL, 0, 0, "python virtual environment of the server", .value = "DIR", .env = "VIRTUAL_ENV"),
    ROW("python-path", STR, python_path, NULL, 0, 0, "folders with python packages, split at colons", .value = "DIRS", .env = "PYTHONPATH"),
};

static const char *text_of(const char *text) {
    return text ? text : "";
}

static struct hold_preflight preflight_of(const struct preflight_config *c, int control_fd, const char *ca_file) {
    bool has_source = false;
    for (size_t i = 0; i < c->sources.n; i++)
        has_source |= c->sources.at[i][0] != '\0';
    return (struct hold_preflight) {
        .asked = { .model = text_of(c->model), .manifest_file = text_of(c->manifest), .has_source = has_source, .state_dir = text_of(c->state_dir),
                   .writable = c->writable, .packages = c->packages, .python = c->python, .python_path = text_of(c->python_path),
                   .virtual_env = text_of(c->virtual_env), .home = text_of(c->home), .needs = c->needs, .ca_file = ca_file,
                   .ask_timeout_ms = c->ask_timeout_ms, .ask_gpu = c->device != HOLD_WANT_CPU, .gpu_timeout_ms = c->gpu_timeout_ms },
        .wants = { .is_own_server = !c->foreign, .has_source = has_source, .is_sandboxed = c->sandbox, .device = (enum hold_want_device) c->device,
                   .memory_bytes = c->memory_bytes, .reserve_bytes = c->reserve_bytes },
        .need_timeout_ms = c->need_timeout_ms,
        .backoff_first_ms = c->backoff_ms,
        .backoff_max_ms = c->backoff_max_ms,
        .control_fd = control_fd,
    };
}

static bool need_is_known(const char *url) {
    return strncmp(url, "tcp://", 6) == 0 || strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

static int check_usage(const struct preflight_config *c, struct hold_verdict *v) {
    for (size_t i = 0; i < c->needs.n; i++)
        if (!need_is_known(c->needs.at[i]))
            return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--need '%.80s': tcp://host:port, http:// or https:// is wanted", c->needs.at[i]);
    return 0;
}

/* Worst first, since the status page has room for a few. */
static void say_findings(const struct hold_findings *findings, int control_fd) {
    for (int severity = HOLD_SEV_FAIL; severity >= HOLD_SEV_NOTE; severity--)
        for (size_t i = 0; i < findings->n; i++) {
            const struct hold_finding *f = &findings->at[i];
            if ((int) f->severity == severity)
                hold_control_say(control_fd, "X_HOLDFAST_FINDING=%s %s %s: %s; %s", f->id, hold_severity_name(f->severity), f->what, f->measured, f->cure);
        }
}

static void log_findings(const struct hold_findings *findings) {
    for (size_t i = 0; i < findings->n; i++) {
        const struct hold_finding *f = &findings->at[i];
        static const enum hold_log_level levels[] = { HOLD_LV_DEBUG, HOLD_LV_INFO, HOLD_LV_WARN, HOLD_LV_ERROR };
        hold_log(levels[f->severity], HOLD_EV_FINDING, HOLD_LS("id", f->id), HOLD_LS("severity", hold_severity_name(f->severity)), HOLD_LS("what", f->what),
                 HOLD_LS("measured", f->measured), HOLD_LS("needed", f->needed), HOLD_LS("cure", f->cure));
    }
}

/* The worst finding as the verdict: cause "memory", text "memory limit ...: 2.0 GiB, 3.1 GiB needed: raise ...". */
static int end_with(const struct hold_findings *findings, bool is_logged, int control_fd) {
    const struct hold_finding *worst = hold_preflight_worst(findings);
    int status = hold_preflight_status(findings);
    if (status == HOLD_EXIT_OK)
        return status;
    struct hold_verdict v;
    hold_verdict_fail(&v, status, HOLD_E_CONFIG, 0, "%s: %s; needed: %s; %s", worst->what, worst->measured, worst->needed, worst->cure);
    if (is_logged || control_fd >= 0)
        return hold_verdict_end(&v, control_fd);
    return status;
}

/* need_timeout_ms: where nobody says otherwise. */
static int begin_role(const char *log_name, const char *synopsis, uint64_t need_timeout_ms, int argc, char **argv, struct preflight_config *config,
                      struct hold_buf *store, int *ret_control_fd) {
    enum hold_opt_source sources[HOLD_COUNT_OF(rows)];
    struct hold_strs words = { 0 };
    const struct hold_role_begin begin = {
        .log_name = log_name, .synopsis = synopsis, .config = config, .max_words = 0,
        .set = { .rows = rows, .n_rows = HOLD_COUNT_OF(rows), .sources = sources, .store = store },
    };
    int status = hold_role_begin(&begin, argc, argv, &words, ret_control_fd);
    for (size_t i = 0; status < 0 && i < HOLD_COUNT_OF(rows); i++)
        if (strcmp(rows[i].name, "need-timeout") == 0 && sources[i] == HOLD_FROM_DEFAULT)
            config->need_timeout_ms = need_timeout_ms;
    struct hold_verdict v;
    return status < 0 && check_usage(config, &v) < 0 ? hold_verdict_end(&v, *ret_control_fd) : status;
}

static int judge(const struct preflight_config *config, int control_fd, struct hold_findings *findings) {
    char ca[PATH_MAX];
    hold_autoarena arena = hold_arena_with_max(HOLD_FACTS_ARENA);
    hold_autofree struct hold_facts *facts = calloc(1, sizeof *facts);
    if (!facts)
        return -1;
    struct hold_preflight preflight = preflight_of(config, control_fd, hold_role_ca_file(config->ca_file, ca, sizeof ca));
    hold_preflight_run(&preflight, facts, &arena, findings);
    return 0;
}

int hold_role_preflight(int argc, char **argv) {
    struct preflight_config config = { 0 };
    hold_autobuf store = hold_buf_with_max(64u << 10);
    hold_autofree struct hold_findings *findings = calloc(1, sizeof *findings);
    int control_fd = -1;
    int status = begin_role("job:preflight", "holdfast-job preflight [options]", 300000, argc, argv, &config, &store, &control_fd);
    if (status >= 0 || !findings)
        return status >= 0 ? status : HOLD_EXIT_INTERNAL;
    if (judge(&config, control_fd, findings) < 0)
        return HOLD_EXIT_INTERNAL;
    log_findings(findings);
    say_findings(findings, control_fd);
    if (config.json) {
        hold_autobuf text = hold_buf_with_max(1u << 20);
        hold_preflight_json(findings, &text);
        (void) !fwrite(text.data, 1, text.n, stdout);
    }
    return end_with(findings, true, control_fd);
}

int hold_role_doctor(int argc, char **argv) {
    struct preflight_config config = { 0 };
    hold_autobuf store = hold_buf_with_max(64u << 10), text = hold_buf_with_max(1u << 20);
    hold_autofree struct hold_findings *findings = calloc(1, sizeof *findings);
    int control_fd = -1;
    int status = begin_role("job:doctor", "holdfast doctor [--json] [--model DIR] [--model-source SOURCE] [--need URL]... [options]", 0, argc, argv, &config, &store, &control_fd);
    if (status >= 0 || !findings)
        return status >= 0 ? status : HOLD_EXIT_INTERNAL;
    if (judge(&config, control_fd, findings) < 0)
        return HOLD_EXIT_INTERNAL;
    if (config.json)
        hold_preflight_json(findings, &text);
    else
        hold_preflight_text(findings, &text);
    if (fwrite(text.data, 1, text.n, stdout) != text.n)
        return HOLD_EXIT_INTERNAL;
    return end_with(findings, false, control_fd);
}
