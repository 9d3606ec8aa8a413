/* role_fetch.c - `holdfast-job fetch`: options to one errand. Floor: supervisor/job. */
#include "base/bars.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/job/bring.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/hubcache.h"
#include "supervisor/job/roles.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fetch_config {
    struct hold_hub_cache_where where;
    const char *out, *url, *sha256, *state, *manifest, *digest, *ca_file, *hub_endpoint, *hub_token, *hub_token_path;
    const char *modelscope_endpoint, *modelscope_token, *http_proxy;
    const char *s3_endpoint, *s3_endpoint_all, *s3_region, *s3_region_default, *s3_key, *s3_secret, *s3_session, *s3_credentials, *s3_profile;
    int s3_style, page_cache;
    uint64_t size, tries, backoff_ms, backoff_max_ms, retry_after_max_ms, connect_ms, stall_ms, stall_bytes, deadline_ms, connections, split_bytes, reserve_bytes;
    uint64_t takeover_ms, window_ms;
    struct hold_strs again;
    const char *offline, *ca_curl, *ca_requests, *ca_dir, *hub_token_old;
    bool deep, refresh, flock;
};

#define ROW(n, t, f, d, lo, hi, h, ...) { .name = n, .type = HOLD_OPT_##t, .offset = offsetof(struct fetch_config, f), .initial = d, .min = lo, .max = hi, .help = h, __VA_ARGS__ }

static const struct hold_opt rows[] = {
    ROW("out", STR, out, NULL, 0, 0, "folder of the model, or with --url the file; without it an hf:// model goes to the hub's cache", .value = "PATH"),
    HOLD_HUB_CACHE_ROWS(offsetof(struct fetch_config, where)),
    ROW("url", STR, url, NULL, 0, 0, "fetch one file from this address", .value = "URL"),
    ROW("sha256", STR, sha256, NULL, 0, 0, "what the file's SHA-256 must be (with --url)", .value = "HEX"),
    ROW("size", BYTES, size, NULL, 0, 0, "what the file's size must be (with --url); 0: unknown"),
    ROW("state", STR, state, NULL, 0, 0, "folder for the marker that proves the file at once next time (with --url)", .value = "DIR"),
    ROW("manifest", STR, manifest, NULL, 0, 0, "pinned list of files instead of the source's own", .value = "FILE", .env = "HOLDFAST_MODEL_MANIFEST"),
    ROW("digest", STR, digest, NULL, 0, 0, "identity that the model must have", .value = "HEX", .env = "HOLDFAST_MODEL_DIGEST"),
    ROW("again", STRS, again, NULL, 0, 0, "hash this file whatever its marker says, and fetch it when it is wrong; repeatable", .value = "NAME"),
    ROW("deep", BOOL, deep, NULL, 0, 0, "believe no marker: hash every file that is there"),
    ROW("refresh", BOOL, refresh, NULL, 0, 0, "ask the source even when everything brought from it last time is proven"),
    ROW("fetch-connections", U64, connections, "8", 1, 16, "connections at most: up to four bring a file each, the others help with large files where that makes them faster"),
    ROW("fetch-window", MS, window_ms, "250ms", 0, 60000, "how long the speed of a large file is measured before it gets more connections; 0: all of them at once"),
    ROW("fetch-split", BYTES, split_bytes, "64MiB", 0, 0, "pinned files of at least this size come in pieces over several connections; 0: never, unless the manifest has piece digests"),
    ROW("fetch-tries", U64, tries, "4", 1, 100, "tries in a row that brought less than 1 MiB and end a file: the first and three more"),
    ROW("fetch-backoff", MS, backoff_ms, "1s", 0, 600000, "first wait between tries; it doubles"),
    ROW("fetch-backoff-max", MS, backoff_max_ms, "60s", 0, 3600000, "longest wait between tries"),
    ROW("fetch-retry-after-max", MS, retry_after_max_ms, "5m", 0, 3600000, "a longer Retry-After is cut to this"),
    ROW("fetch-connect-timeout", MS, connect_ms, "10s", 1, 600000, "until a connection stands"),
    ROW("fetch-stall", MS, stall_ms, "30s", 1, 3600000, "window in which --fetch-stall-bytes must come, else the connection is dropped and resumed"),
    ROW("fetch-stall-bytes", BYTES, stall_bytes, "1MiB", 0, 0, "bytes that must come in that window"),
    ROW("fetch-deadline", MS, deadline_ms, "6h", 0, 2592000000, "total time for everything; 0: none"),
    ROW("fetch-reserve", BYTES, reserve_bytes, "64MiB", 0, 0, "disk space that stays free"),
    ROW("fetch-page-cache", ENUM, page_cache, "auto", 0, 0, "whether what was fetched stays in memory; auto: it does where the cgroup's limit and the machine have room for all of it", .choices = "auto|keep|drop"),
    ROW("fetch-takeover", MS, takeover_ms, "60s", 200, 3600000, "another fetcher of the same folder whose record stands still for this long is taken over"),
    ROW("fetch-flock", BOOL, flock, "true", 0, 0, "where the kernel keeps file locks, learn of another fetcher's death from them at once; --no-fetch-flock: as on a network file system"),
    ROW("ca-file", STR, ca_file, NULL, 0, 0, "certificates to trust", .value = "FILE", .env = "SSL_CERT_FILE"),
    ROW("ca-file-curl", STR, ca_curl, NULL, 0, 0, "the same, where SSL_CERT_FILE is not set and this one can be read", .value = "FILE", .env = "CURL_CA_BUNDLE"),
    ROW("ca-file-requests", STR, ca_requests, NULL, 0, 0, "the same after that", .value = "FILE", .env = "REQUESTS_CA_BUNDLE"),
    ROW("ca-dir", STR, ca_dir, NULL, 0, 0, "folder of further ones, as c_rehash names them", .value = "DIR", .env = "SSL_CERT_DIR"),
    ROW("hf-endpoint", STR, hub_endpoint, "https://huggingface.co", 0, 0, "the hub behind hf://", .value = "URL", .env = "HF_ENDPOINT"),
    ROW("hf-token", SECRET, hub_token, NULL, 0, 0, "token for the hub; it never follows a redirect to another host", .env = "HF_TOKEN"),
    ROW("hf-token-old", SECRET, hub_token_old, NULL, 0, 0, "the same by its older name, where HF_TOKEN is not set", .env = "HUGGING_FACE_HUB_TOKEN"),
    ROW("hf-offline", STR, offline, NULL, 0, 0, "1, on, yes or true: ask no hub behind hf://; what the folder or cache has must do", .value = "WORD", .env = "HF_HUB_OFFLINE"),
    ROW("hf-token-path", STR, hub_token_path, NULL, 0, 0, "file that holds the token", .value = "FILE", .env = "HF_TOKEN_PATH"),
    ROW("modelscope-endpoint", STR, modelscope_endpoint, "https://modelscope.cn", 0, 0, "the hub behind modelscope://", .value = "URL", .env = "MODELSCOPE_ENDPOINT"),
    ROW("modelscope-token", SECRET, modelscope_token, NULL, 0, 0, "token for ModelScope", .env = "MODELSCOPE_API_TOKEN"),
    ROW("s3-endpoint", STR, s3_endpoint, NULL, 0, 0, "the store behind s3://; Amazon's own when empty", .value = "URL", .env = "AWS_ENDPOINT_URL_S3"),
    ROW("s3-endpoint-all", STR, s3_endpoint_all, NULL, 0, 0, "the same, where AWS_ENDPOINT_URL_S3 is not set", .value = "URL", .env = "AWS_ENDPOINT_URL"),
    ROW("s3-region", STR, s3_region, NULL, 0, 0, "region that requests are signed for", .value = "NAME", .env = "AWS_REGION"),
    ROW("s3-region-default", STR, s3_region_default, "us-east-1", 0, 0, "the same, where AWS_REGION is not set", .value = "NAME", .env = "AWS_DEFAULT_REGION"),
    ROW("s3-addressing", ENUM, s3_style, "auto", 0, 0, "where the bucket stands in an address: its path, or its host (auto: host at Amazon)", .choices = "auto|path|virtual"),
    ROW("s3-key", SECRET, s3_key, NULL, 0, 0, "key id; without one requests are not signed", .env = "AWS_ACCESS_KEY_ID"),
    ROW("s3-secret", SECRET, s3_secret, NULL, 0, 0, "its secret", .env = "AWS_SECRET_ACCESS_KEY"),
    ROW("s3-session", SECRET, s3_session, NULL, 0, 0, "session token of temporary credentials", .env = "AWS_SESSION_TOKEN"),
    ROW("s3-credentials", STR, s3_credentials, NULL, 0, 0, "shared credentials file, read when no key is given (~/.aws/credentials)", .value = "FILE", .env = "AWS_SHARED_CREDENTIALS_FILE"),
    ROW("s3-profile", STR, s3_profile, "default", 0, 0, "profile in that file", .value = "NAME", .env = "AWS_PROFILE"),
    ROW("http-proxy", STR, http_proxy, NULL, 0, 0, "proxy for http:// addresses where http_proxy is not set; https_proxy, HTTPS_PROXY, NO_PROXY are read as well", .value = "URL", .env = "HTTP_PROXY"),
};

static void on_retry(const struct hold_fetch_retry *r) {
    hold_bars_clear();
    hold_log(HOLD_LV_WARN, HOLD_EV_FETCH_RETRY, HOLD_LS("file", r->name), HOLD_LS("why", r->why), HOLD_LS("text", r->text),
             HOLD_LU("have_bytes", r->have_bytes), HOLD_LU("failed_in_row", r->in_row), HOLD_LU("delay_ms", r->delay_ms));
}

static int check_usage(const struct fetch_config *c, const struct hold_strs *words, struct hold_verdict *v) {
    bool has_url = c->url && *c->url, has_out = c->out && *c->out, is_hub = words->n > 0;
    for (size_t i = 0; i < words->n; i++)
        is_hub &= strncmp(words->at[i], "hf://", 5) == 0;
    if (has_url == (words->n > 0))
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, has_url ? "either SOURCE or --url, not both" : "a SOURCE or --url is missing");
    if (!has_out && (has_url || !is_hub))
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--out is missing (only hf:// models can go to the hub's cache)");
    if (!has_url && ((c->sha256 && *c->sha256) || c->size || (c->state && *c->state)))
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--sha256, --size and --state belong to --url");
    if (has_url && ((c->manifest && *c->manifest) || (c->digest && *c->digest)))
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--manifest and --digest belong to a SOURCE");
    if (has_url && strncmp(c->url, "http://", 7) != 0 && strncmp(c->url, "https://", 8) != 0 && strncmp(c->url, "file:///", 8) != 0)
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--url '%.60s': http://, https:// or file:/// is wanted", c->url);
    for (size_t i = 0; i < (has_url ? 1 : words->n); i++)
        if (strlen(has_url ? c->url : words->at[i]) >= HOLD_URL_BYTES)
            return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "the source's address is longer than %d bytes", HOLD_URL_BYTES - 1);
    return 0;
}

static const char *first_of(const char *a, const char *b) {
    return a && *a ? a : b ? b : "";
}

/* The file named for us, else one that other clients in the same pod were told, when it is there. */
static const char *chosen_ca(const struct fetch_config *c) {
    const char *others[] = { c->ca_curl, c->ca_requests };
    for (size_t i = 0; i < HOLD_COUNT_OF(others) && !*first_of(c->ca_file, ""); i++)
        if (others[i] && *others[i] && access(others[i], R_OK) == 0)
            return others[i];
    return c->ca_file;
}

/* As the hub's own client reads it. */
static bool is_true(const char *word) {
    static const char *const words[] = { "1", "on", "yes", "true" };
    for (size_t i = 0; word && i < HOLD_COUNT_OF(words); i++)
        if (strcasecmp(word, words[i]) == 0)
            return true;
    return false;
}

/* Secrets out of files and of manifests written with echo end with a line end that nobody meant. */
static void trim_end(char *text) {
    for (size_t n = strlen(text); n && strchr(" \t\r\n", text[n - 1]); n--)
        text[n - 1] = '\0';
}

/* HF_TOKEN, else the first line of HF_TOKEN_PATH; "" when neither is set. */
static int read_token(const struct fetch_config *c, struct hold_buf *store, const char **ret_token, struct hold_verdict *v) {
    *ret_token = first_of(c->hub_token, c->hub_token_old);
    if (**ret_token || !c->hub_token_path || !*c->hub_token_path)
        return 0;
    if (hold_read_file(c->hub_token_path, store, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_CONFIG);
    if (store->n) {
        store->data[strcspn(store->data, "\r\n")] = '\0';
        trim_end(store->data);
    }
    *ret_token = store->n ? store->data + strspn(store->data, " \t") : "";
    return 0;
}

/* "host" and "https://host/" to "https://host". */
static const char *endpoint_of(const char *text, char *out, size_t out_bytes) {
    snprintf(out, out_bytes, "%s%s", *text && !strstr(text, "://") ? "https://" : "", text);
    for (size_t n = strlen(out); n && out[n - 1] == '/'; n--)
        out[n - 1] = '\0';
    return out;
}

/* The keys of the shared credentials file where no variable gives one. The file may be absent, unless it was named. */
static int read_s3_keys(const struct fetch_config *c, struct hold_source_wants *wants, struct hold_buf *store, struct hold_verdict *v) {
    char path[PATH_MAX];
    struct hold_s3_profile profile = { 0 };
    bool is_named = c->s3_credentials && *c->s3_credentials;
    wants->s3_key = c->s3_key, wants->s3_secret = c->s3_secret, wants->s3_session = c->s3_session;
    if ((wants->s3_key && *wants->s3_key) || (!is_named && !*first_of(c->where.home, "")))
        return 0;
    snprintf(path, sizeof path, is_named ? "%s" : "%s/.aws/credentials", is_named ? c->s3_credentials : c->where.home);
    if (hold_read_file(path, store, &v->err) < 0)
        return is_named ? hold_verdict_is(v, HOLD_EXIT_CONFIG) : 0;
    hold_buf_addc(store, '\0');
    if (store->failed || !hold_s3_profile_find(store->data, c->s3_profile, &profile))
        return is_named ? hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "'%.200s' has no profile '%.60s' (AWS_PROFILE)", path, c->s3_profile) : 0;
    wants->s3_key = profile.key, wants->s3_secret = profile.secret, wants->s3_session = profile.session;
    return 0;
}

/* What stands in a header has no blank and no line end: said here, not by an origin that answers 400. */
static int check_tokens(const struct hold_source_wants *wants, struct hold_verdict *v) {
    const struct { const char *name, *token; } tokens[] = { { "HF_TOKEN", wants->hub_token }, { "MODELSCOPE_API_TOKEN", wants->modelscope_token },
                                                            { "AWS_ACCESS_KEY_ID", wants->s3_key }, { "AWS_SESSION_TOKEN", wants->s3_session } };
    for (size_t i = 0; i < HOLD_COUNT_OF(tokens); i++)
        if (tokens[i].token && !hold_token_is_plain(tokens[i].token))
            return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "%s holds a blank, a line end or another character that no token has", tokens[i].name);
    if (wants->s3_key && *wants->s3_key && !(wants->s3_secret && *wants->s3_secret))
        return hold_verdict_fail(v, HOLD_EXIT_CONFIG, HOLD_E_CONFIG, 0, "AWS_ACCESS_KEY_ID is given, AWS_SECRET_ACCESS_KEY is not");
    return 0;
}

static int run(const struct fetch_config *c, const struct hold_strs *words, int control_fd, struct hold_verdict *v) {
    char ca[PATH_MAX], cache[PATH_MAX], folder[PATH_MAX], hub[520], modelscope[520], s3[520];
    bool uses_cache = !c->out || !*c->out;
    hold_autobuf token_text = hold_buf_with_max(4096), keys_text = hold_buf_with_max(HOLD_S3_CREDENTIALS_MAX);
    struct hold_source_wants wants = { .manifest_file = c->manifest, .hub_endpoint = endpoint_of(c->hub_endpoint, hub, sizeof hub),
                                       .modelscope_endpoint = endpoint_of(c->modelscope_endpoint, modelscope, sizeof modelscope),
                                       .modelscope_token = c->modelscope_token, .s3_endpoint = endpoint_of(first_of(c->s3_endpoint, c->s3_endpoint_all), s3, sizeof s3),
                                       .s3_region = first_of(c->s3_region, c->s3_region_default), .s3_style = (enum hold_s3_style) c->s3_style };
    if (check_usage(c, words, v) < 0 || read_token(c, &token_text, &wants.hub_token, v) < 0 || read_s3_keys(c, &wants, &keys_text, v) < 0 || check_tokens(&wants, v) < 0 ||
        (uses_cache && hold_hub_cache_root(&c->where, cache, v) < 0))
        return -1;
    if (c->http_proxy && *c->http_proxy)
        (void) setenv("http_proxy", c->http_proxy, 0); /* libcurl reads it in this form only */
    struct hold_fetch_rules rules = { .tries = c->tries, .backoff_ms = c->backoff_ms, .backoff_max_ms = c->backoff_max_ms,
                                      .retry_after_max_ms = c->retry_after_max_ms, .connect_ms = c->connect_ms, .stall_ms = c->stall_ms,
                                      .stall_bytes = c->stall_bytes, .deadline_at_ms = c->deadline_ms ? hold_job_now_ms() + c->deadline_ms : 0,
                                      .split_bytes = c->split_bytes, .connections = c->connections, .window_ms = c->window_ms, .takeover_ms = c->takeover_ms, .uses_flock = c->flock, .ca_file = hold_role_ca_file(chosen_ca(c), ca, sizeof ca), .ca_dir = c->ca_dir };
    struct hold_fetch_shared shared;
    if (hold_fetch_shared_open(&shared, &rules, v) < 0)
        return -1;
    shared.on_retry = on_retry;
    int rc;
    if (c->url && *c->url) {
        size_t n = strlen(hub);
        bool is_hub = strncmp(c->url, hub, n) == 0 && c->url[n] == '/';
        rc = hold_bring_one(&(struct hold_bring_one) { .url = c->url, .out = c->out, .state_dir = c->state, .auth = { .bearer = is_hub ? wants.hub_token : NULL }, .sha256 = c->sha256,
                                                       .size = c->size ? c->size : UINT64_MAX, .reserve_bytes = c->reserve_bytes, .page_cache = (enum hold_cache) c->page_cache, .deep = c->deep, .connections = c->connections,
                                                       .control_fd = control_fd }, &shared, v);
    } else {
        rc = hold_bring_run(&(struct hold_bring) { .sources = *words, .wants = wants, .out = c->out, .hub_cache = uses_cache ? cache : NULL, .ret_folder = folder, .digest = c->digest, .deep = c->deep, .offline = is_true(c->offline), .refresh = c->refresh, .again = c->again,
                                                   .connections = c->connections, .reserve_bytes = c->reserve_bytes, .page_cache = (enum hold_cache) c->page_cache, .control_fd = control_fd }, &shared, v);
    }
    hold_fetch_shared_close(&shared);
    if (rc == 0 && uses_cache && control_fd < 0 && printf("%s\n", folder) < 0)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_IO, errno, "print the snapshot's folder");
    return rc;
}

/* Moves the secrets, less blanks around them, out of the block that /proc/<pid>/environ shows. */
static bool hide_secrets(struct fetch_config *c, struct hold_arena *arena) {
    const char **const secrets[] = { &c->hub_token, &c->hub_token_old, &c->modelscope_token, &c->s3_key, &c->s3_secret, &c->s3_session };
    for (size_t i = 0; i < HOLD_COUNT_OF(secrets); i++) {
        const char *shown = *secrets[i];
        if (!shown || !*shown)
            continue;
        const char *first = shown + strspn(shown, " \t\r\n");
        char *copy = hold_arena_copy(arena, first, strlen(first));
        if (!copy)
            return false;
        trim_end(copy);
        *secrets[i] = copy;
        explicit_bzero((char *) (uintptr_t) shown, strlen(shown));
    }
    return true;
}

int hold_role_fetch(int argc, char **argv) {
    struct fetch_config config = { 0 };
    enum hold_opt_source sources[HOLD_COUNT_OF(rows)];
    hold_autobuf store = hold_buf_with_max(64u << 10);
    struct hold_strs words = { 0 };
    int control_fd = -1;
    const struct hold_role_begin begin = {
        .log_name = "job:fetch",
        .synopsis = "holdfast fetch SOURCE [SOURCE...] --out DIR [options]\n       holdfast fetch hf://ORG/REPO[@REV] [--hub-cache DIR] [options]\n       holdfast fetch --url URL [--sha256 HEX] [--size BYTES] --out FILE [--state DIR] [options]",
        .set = { .rows = rows, .n_rows = HOLD_COUNT_OF(rows), .sources = sources, .store = &store },
        .config = &config,
        .max_words = 8,
    };
    int status = hold_role_begin(&begin, argc, argv, &words, &control_fd);
    if (status >= 0)
        return status;
    hold_autoarena secrets = hold_arena_with_max(64u << 10);
    if (!hide_secrets(&config, &secrets))
        return HOLD_EXIT_INTERNAL;
    struct hold_verdict v = { 0 };
    return run(&config, &words, control_fd, &v) < 0 ? hold_verdict_end(&v, control_fd) : HOLD_EXIT_OK;
}
