/* role_ask.c - `holdfast-job ask`: one chat with a server, as its clients have it. Floor: supervisor/job.
 *
 * Asks again until an answer comes or the time is over: a Service has no endpoint yet, a server is loading (503). What waiting cannot
 * cure ends it at once. */
#include "base/exit.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/fetch.h"
#include "supervisor/job/roles.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX ((size_t) 4 << 20)
#define PAUSE_MS 500

struct ask_config {
    const char *model, *text, *api_key, *ca_file, *status_url, *digest;
    uint64_t timeout_ms, max_tokens;
};

#define ROW(n, t, f, d, lo, hi, h, ...) { .name = n, .type = HOLD_OPT_##t, .offset = offsetof(struct ask_config, f), .initial = d, .min = lo, .max = hi, .help = h, __VA_ARGS__ }

static const struct hold_opt rows[] = {
    ROW("ask-model", STR, model, "autoglm-phone-9b", 0, 0, "name of the model", .value = "NAME"),
    ROW("text", STR, text, "Hello", 0, 0, "what is said", .value = "TEXT"),
    ROW("max-tokens", U64, max_tokens, "16", 1, 1048576, "longest answer"),
    ROW("ask-timeout", MS, timeout_ms, "2m", 1, 86400000, "until the answer is there, waiting for the server included"),
    ROW("status-url", STR, status_url, NULL, 0, 0, "page of process 1, http://HOST:8181/status: what is served is compared with --digest", .value = "URL"),
    ROW("digest", STR, digest, NULL, 0, 0, "identity that the served model must have", .value = "HEX", .env = "HOLDFAST_MODEL_DIGEST"),
    ROW("ca-file", STR, ca_file, NULL, 0, 0, "certificates to trust", .value = "FILE", .env = "SSL_CERT_FILE"),
    ROW("api-key", SECRET, api_key, NULL, 0, 0, "key of the API", .env = "HOLDFAST_API_KEY"),
};

static int status_of_http(int http) {
    return http == 401 || http == 403 ? HOLD_EXIT_FETCH_DENIED : http == 404 || http == 410 ? HOLD_EXIT_FETCH_MISSING : HOLD_EXIT_FETCH;
}

/* Until an answer of 200 or until_ms; out is that answer. */
static int talk_until(struct hold_fetch_talk *talk, uint64_t until_ms, struct hold_buf *out, struct hold_verdict *v) {
    char why[200] = "no time was given";
    bool is_said = false;
    for (uint64_t now_ms = hold_job_now_ms(); now_ms < until_ms; now_ms = hold_job_now_ms()) {
        struct hold_err err = { 0 };
        int http = 0;
        hold_buf_clear(out);
        talk->timeout_ms = until_ms - now_ms;
        if (hold_fetch_talk(talk, &http, out, &err) < 0)
            snprintf(why, sizeof why, "%.199s", err.text);
        else if (http == 200)
            return 0;
        else
            snprintf(why, sizeof why, "HTTP %d: %.*s", http, (int) HOLD_MIN(out->n, (size_t) 150), out->data ? out->data : "");
        if (http != 0 && http != 503 && http != 502 && http != 504 && http != 429)
            return hold_verdict_fail(v, status_of_http(http), HOLD_E_NET, 0, "%.200s: %s", talk->url, why);
        if (!is_said)
            hold_log(HOLD_LV_INFO, HOLD_EV_WARN, HOLD_LS("what", why), HOLD_LS("then", "asked again until it answers, or --ask-timeout is over"), HOLD_LU("left_ms", until_ms - now_ms));
        is_said = true;
        const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
        (void) clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    return hold_verdict_fail(v, HOLD_EXIT_FETCH_NET, HOLD_E_NET, 0, "%.200s: no answer in time; last: %s", talk->url, why);
}

/* {"choices":[{"message":{"content":"..."}}]} to its text; borrowed from root. */
static int content_of(const struct cJSON *root, const char **ret_text, struct hold_verdict *v) {
    const struct cJSON *choice = hold_json_first(hold_json_get(root, "choices"));
    if (!hold_json_str(hold_json_get(hold_json_get(choice, "message"), "content"), ret_text) || !**ret_text)
        return hold_verdict_fail(v, HOLD_EXIT_FETCH_FORMAT, HOLD_E_FORMAT, 0, "the answer has no choices[0].message.content");
    return 0;
}

static int parse(const struct hold_buf *text, const char *what, struct cJSON **ret_root, struct hold_verdict *v) {
    if (hold_json_parse(text->data ? text->data : "", text->n, what, (struct hold_json_limits) { .max_bytes = ANSWER_MAX, .max_tokens = 1u << 16 }, ret_root, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_FETCH_FORMAT);
    return 0;
}

static int check_digest(const struct ask_config *c, struct hold_fetch_talk *talk, uint64_t until_ms, struct hold_buf *answer, struct hold_verdict *v) {
    hold_autojson *root = NULL;
    const char *served = "";
    talk->url = c->status_url;
    talk->body = talk->token = NULL;
    if (talk_until(talk, until_ms, answer, v) < 0 || parse(answer, "the status page", &root, v) < 0)
        return -1;
    (void) hold_json_str(hold_json_get(root, "digest"), &served);
    if (strcmp(served, c->digest) != 0)
        return hold_verdict_fail(v, HOLD_EXIT_VERIFY_DIGEST, HOLD_E_FORMAT, 0, "served is '%.64s', wanted is '%.64s'", served, c->digest);
    return 0;
}

static int ask(const struct ask_config *c, const char *base, struct hold_verdict *v) {
    hold_autobuf body = hold_buf_with_max(1u << 20);
    hold_autobuf answer = hold_buf_with_max(ANSWER_MAX);
    hold_autojson *root = NULL;
    char url[HOLD_URL_BYTES], ca[4096];
    const char *text = NULL;
    const uint64_t begun_ms = hold_job_now_ms(), until_ms = begun_ms + c->timeout_ms;
    size_t n = strlen(base);
    if (snprintf(url, sizeof url, "%s%schat/completions", base, n > 0 && base[n - 1] == '/' ? "" : "/") >= (int) sizeof url)
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_LIMIT, 0, "the address is longer than %d bytes", HOLD_URL_BYTES - 32);
    hold_buf_adds(&body, "{\"model\":");
    hold_buf_add_json(&body, c->model, strlen(c->model));
    hold_buf_addf(&body, ",\"temperature\":0,\"max_tokens\":%llu,\"messages\":[{\"role\":\"user\",\"content\":", (unsigned long long) c->max_tokens);
    hold_buf_add_json(&body, c->text, strlen(c->text));
    hold_buf_adds(&body, "}]}");
    if (hold_buf_check(&body, "request", &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_USAGE);
    struct hold_fetch_talk talk = { .url = url, .ca_file = hold_role_ca_file(c->ca_file, ca, sizeof ca), .token = c->api_key, .body = body.data };
    if (talk_until(&talk, until_ms, &answer, v) < 0 || parse(&answer, "the answer", &root, v) < 0 || content_of(root, &text, v) < 0)
        return -1;
    printf("%s\n", text);
    if (c->status_url && *c->status_url && c->digest && *c->digest && check_digest(c, &talk, until_ms, &answer, v) < 0)
        return -1;
    hold_log(HOLD_LV_INFO, HOLD_EV_REQUEST, HOLD_LS("url", url), HOLD_LS("model", c->model), HOLD_LU("bytes", strlen(text)), HOLD_LU("ms", hold_job_now_ms() - begun_ms));
    return fflush(stdout) == 0 ? 0 : hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_IO, errno, "write the answer");
}

int hold_role_ask(int argc, char **argv) {
    struct ask_config config = { 0 };
    enum hold_opt_source sources[HOLD_COUNT_OF(rows)];
    hold_autobuf store = hold_buf_with_max(64u << 10);
    struct hold_strs words = { 0 };
    int control_fd = -1;
    const struct hold_role_begin begin = {
        .log_name = "job:ask",
        .synopsis = "holdfast ask http://HOST:PORT/v1 [--ask-model NAME] [--text TEXT] [options]",
        .set = { .rows = rows, .n_rows = HOLD_COUNT_OF(rows), .sources = sources, .store = &store },
        .config = &config,
        .max_words = 1,
    };
    int status = hold_role_begin(&begin, argc, argv, &words, &control_fd);
    if (status >= 0)
        return status;
    struct hold_verdict v = { 0 };
    if (words.n != 1 || (strncmp(words.at[0], "http://", 7) != 0 && strncmp(words.at[0], "https://", 8) != 0)) {
        hold_verdict_fail(&v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "the API's address is wanted, as http://HOST:PORT/v1");
        return hold_verdict_end(&v, control_fd);
    }
    return ask(&config, words.at[0], &v) < 0 ? hold_verdict_end(&v, control_fd) : HOLD_EXIT_OK;
}
