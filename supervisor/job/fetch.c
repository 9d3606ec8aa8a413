/* fetch.c - one file over libcurl: tries, resume, stall, what an answer must look like. Floor: supervisor/job; only includer of libcurl. */
#include "supervisor/job/fetch.h"

#include "base/auto.h"
#include "base/json_scan.h"
#include "base/list.h"
#include "supervisor/job/attempt.h"
#include "supervisor/job/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_REDIRECTS 10L
#define MAX_SHOWN 160
#define ABSURD_SECONDS ((curl_off_t) 1000000000) /* policy cuts it to what is allowed */

struct hold_fetcher {
    CURL *curl;
    struct hold_fetch_shared *shared;
};

int hold_fetch_shared_open(struct hold_fetch_shared *shared, const struct hold_fetch_rules *rules, struct hold_verdict *v) {
    *shared = (struct hold_fetch_shared) { .rules = *rules };
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_INTERNAL, 0, "libcurl cannot be set up");
    pthread_mutex_init(&shared->lock, NULL);
    hold_turns_open(&shared->turns, rules->takeover_ms, rules->uses_flock);
    hold_job_cond_init(&shared->changed);
    return 0;
}

void hold_fetch_shared_close(struct hold_fetch_shared *shared) {
    hold_turns_close(&shared->turns);
    pthread_mutex_destroy(&shared->lock);
    pthread_cond_destroy(&shared->changed);
    curl_global_cleanup();
}

void hold_fetch_stop(struct hold_fetch_shared *shared) {
    pthread_mutex_lock(&shared->lock);
    atomic_store(&shared->stop, true);
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
}

bool hold_fetch_wait(struct hold_fetch_shared *shared, uint64_t ms) {
    const struct timespec until = hold_job_in_ms(ms);
    pthread_mutex_lock(&shared->lock);
    int rc = 0;
    while (!atomic_load(&shared->stop) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&shared->changed, &shared->lock, &until);
    pthread_mutex_unlock(&shared->lock);
    return !atomic_load(&shared->stop);
}

void hold_url_shown(const char *url, char *out, size_t out_bytes) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t host_n = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', host_n);
    int scheme_n = (int) (host - url);
    const char *rest = at ? at + 1 : host;
    snprintf(out, out_bytes, "%.*s%.*s", scheme_n, url, (int) strcspn(rest, "?#"), rest);
}

/* ---- what an answer must look like ---- */

static const char *header_of(CURL *curl, const char *name) {
    struct curl_header *header = NULL;
    return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : "";
}

static const char *subject(const struct hold_attempt *a) {
    return a->file ? a->file->path : "document";
}

/* Notes how the try ended; the first reason stays. A document has no name of its own: who asks for it says its address. */
HOLD_PRINTF(3, 4)
size_t hold_attempt_ends(struct hold_attempt *a, enum hold_try_end end, const char *format, ...) {
    if (a->end != HOLD_TRY_DONE)
        return 0;
    char text[320];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    a->end = end;
    if (a->file)
        hold_verdict_fail(a->v, hold_try_status(end), HOLD_E_NET, 0, "'%.*s': %s", MAX_SHOWN, a->file->path, text);
    else
        hold_verdict_fail(a->v, hold_try_status(end), HOLD_E_NET, 0, "%s", text);
    return 0;
}

static long http_status(const struct hold_attempt *a) {
    long status = 0;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool was_redirected(const struct hold_attempt *a) {
    long n = 0;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_REDIRECT_COUNT, &n);
    return n > 0;
}

/* S3 says 400 where others say 401. */
static bool is_denied_by_s3(const char *why) {
    static const char *const codes[] = { "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "InvalidAccessKeyId", "TokenRefreshRequired" };
    for (size_t i = 0; i < HOLD_COUNT_OF(codes); i++)
        if (strncmp(why, codes[i], strlen(codes[i])) == 0)
            return true;
    return false;
}

static void end_by_http(struct hold_attempt *a, long status) {
    char *effective = NULL, shown[200], why[121], region[40] = "";
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_EFFECTIVE_URL, &effective);
    hold_url_shown(effective ? effective : "", shown, sizeof shown);
    /* A hub says in a header which of its many 401 and 403 this is, others in the body. */
    const char *said = header_of(a->fetcher->curl, "X-Error-Message"), *code = header_of(a->fetcher->curl, "X-Error-Code");
    hold_error_sentence((const uint8_t *) a->body, a->body_n, why, sizeof why);
    bool is_absent = strcmp(code, "RepoNotFound") == 0 || strcmp(code, "RevisionNotFound") == 0 || strcmp(code, "EntryNotFound") == 0;
    enum hold_try_end end = is_absent ? HOLD_TRY_MISSING : hold_try_of_http(status, was_redirected(a));
    if (a->auth && a->auth->s3_region) {
        const char *home = header_of(a->fetcher->curl, "x-amz-bucket-region");
        if (*home && strcmp(home, a->auth->s3_region) != 0)
            snprintf(region, sizeof region, "; the bucket is in %.20s", home);
        if ((status == 400 && is_denied_by_s3(why)) || *region)
            end = HOLD_TRY_DENIED;
    }
    const bool is_known = !a->file && !was_redirected(a); /* the address that was asked for is in front */
    hold_attempt_ends(a, end, "HTTP %ld%s%.180s%s%.120s%s", status, is_known ? "" : " from ", is_known ? "" : shown, *said || *why ? ": " : "", *said ? said : why, region);
}

static void strong_etag(const struct hold_attempt *a, char out[HOLD_VALIDATOR_BYTES]) {
    const char *etag = header_of(a->fetcher->curl, "ETag");
    size_t n = strlen(etag);
    bool is_strong = n >= 2 && n < HOLD_VALIDATOR_BYTES && etag[0] == '"' && etag[n - 1] == '"';
    snprintf(out, HOLD_VALIDATOR_BYTES, "%s", is_strong ? etag : "");
}

/* The validator of this answer against the first one. A pinned file goes on (the digest decides; servers behind one name
 * may disagree about ETags), an unpinned one must not mix two versions. */
static void compare_version(struct hold_attempt *a, uint64_t total) {
    char etag[HOLD_VALIDATOR_BYTES];
    strong_etag(a, etag);
    if (hold_attempt_is_pinned(a) && !a->first->etag[0]) { /* what an earlier life began with is not known */
        memcpy(a->first->etag, etag, sizeof etag);
        return;
    }
    const struct hold_validator *from = hold_attempt_is_pinned(a) ? a->first : &a->partial->from;
    bool differs = strcmp(etag, from->etag) != 0 || (total != UINT64_MAX && from->total != UINT64_MAX && total != from->total);
    if (!differs)
        return;
    snprintf(a->changed_to, HOLD_VALIDATOR_BYTES, "%s", etag);
    if (!hold_attempt_is_pinned(a))
        hold_attempt_ends(a, HOLD_TRY_CHANGED, "changed at the origin: begun with ETag %s, now %s", from->etag, *etag ? etag : "none");
}

static void judge_partial_content(struct hold_attempt *a) {
    uint64_t first, last, total;
    if (!hold_content_range(header_of(a->fetcher->curl, "Content-Range"), &first, &last, &total) || first != a->offset)
        hold_attempt_ends(a, HOLD_TRY_RANGE, "asked for bytes from %llu, got '%.60s'", (unsigned long long) a->offset,
             header_of(a->fetcher->curl, "Content-Range"));
    else if (hold_attempt_wants_size(a) && total != UINT64_MAX && total != a->file->size)
        hold_attempt_ends(a, HOLD_TRY_SIZE, "the origin's file has %llu bytes, %llu are wanted", (unsigned long long) total, (unsigned long long) a->file->size);
    else
        compare_version(a, total);
}

/* An object that is stored compressed is sent so, too: then its size or digest is that of what came. */
static bool is_compressed(const struct hold_attempt *a) {
    static const char *const names[] = { "gzip", "x-gzip", "deflate", "compress", "br", "zstd" };
    const char *encoding = header_of(a->fetcher->curl, "Content-Encoding");
    for (size_t i = 0; i < HOLD_COUNT_OF(names); i++)
        if (strcasecmp(encoding, names[i]) == 0)
            return true;
    return false;
}

static void judge_whole(struct hold_attempt *a) {
    curl_off_t length = -1;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const char *type = header_of(a->fetcher->curl, "Content-Type");
    bool has_right_size = hold_attempt_wants_size(a) && length >= 0 && (uint64_t) length == a->file->size;
    if (is_compressed(a) && !has_right_size && (hold_attempt_wants_size(a) || !hold_attempt_is_pinned(a)))
        hold_attempt_ends(a, HOLD_TRY_FORMAT, "it came compressed, which was not asked for (Content-Encoding %.30s)", header_of(a->fetcher->curl, "Content-Encoding"));
    else if (strncasecmp(type, "text/html", 9) == 0 && !has_right_size)
        hold_attempt_ends(a, HOLD_TRY_FORMAT, "a web page came instead of the file (Content-Type %.60s)", type);
    else if (hold_attempt_wants_size(a) && length >= 0 && !has_right_size && length > 1024)
        hold_attempt_ends(a, HOLD_TRY_SIZE, "the origin's file has %lld bytes, %llu are wanted", (long long) length, (unsigned long long) a->file->size);
    if (a->end != HOLD_TRY_DONE)
        return;
    /* 200 to a range request: the whole file again, so nothing of the old may stay. */
    if (a->partial->bytes && hold_partial_restart(a->partial, a->v) < 0) {
        a->end = hold_try_of_write(a->v->status);
        return;
    }
    struct hold_validator from = { .total = length >= 0 ? (uint64_t) length : UINT64_MAX };
    strong_etag(a, from.etag);
    if (a->first->etag[0] == '\0')
        *a->first = from;
    else if (strcmp(a->first->etag, from.etag) != 0)
        snprintf(a->changed_to, HOLD_VALIDATOR_BYTES, "%s", from.etag);
    if (!hold_attempt_is_pinned(a) && hold_partial_remember(a->partial, &from, a->v) < 0)
        a->end = hold_try_of_write(a->v->status);
    else if (!hold_attempt_wants_size(a) && length > 0 && hold_partial_reserve(a->partial, (uint64_t) length, a->v) < 0)
        a->end = hold_try_of_write(a->v->status);
}

/* ETags of the answers to a file's pieces; the digest decides, this only explains it. */
static void note_version(struct hold_attempt *a) {
    struct hold_fetch_split *split = a->split;
    struct hold_validator got = { 0 };
    strong_etag(a, got.etag);
    pthread_mutex_lock(&a->fetcher->shared->lock);
    if (!split->has_first)
        split->first = got;
    else if (strcmp(split->first.etag, got.etag) != 0)
        memcpy(split->changed_to, got.etag, sizeof got.etag);
    split->has_first = true;
    pthread_mutex_unlock(&a->fetcher->shared->lock);
}

/* The answer to a request for one piece. Only a whole file of the right size shows an origin without ranges. */
static void judge_piece(struct hold_attempt *a, long status) {
    uint64_t first, last, total;
    curl_off_t length = -1;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const char *range = header_of(a->fetcher->curl, "Content-Range"), *type = header_of(a->fetcher->curl, "Content-Type");
    if (status == 206 && (!hold_content_range(range, &first, &last, &total) || first != a->offset || last >= a->end_offset))
        hold_attempt_ends(a, HOLD_TRY_RANGE, "asked for bytes %llu-%llu, got '%.60s'", (unsigned long long) a->offset,
                          (unsigned long long) a->end_offset - 1, range);
    else if (status == 206 && total != UINT64_MAX && total != a->file->size)
        hold_attempt_ends(a, HOLD_TRY_SIZE, "the origin's file has %llu bytes, %llu are wanted", (unsigned long long) total, (unsigned long long) a->file->size);
    else if (status == 206)
        note_version(a);
    else if (status == 200 && (length < 0 || (uint64_t) length != a->file->size) && strncasecmp(type, "text/html", 9) == 0)
        hold_attempt_ends(a, HOLD_TRY_FORMAT, "a web page came instead of the file (Content-Type %.60s)", type);
    else if (status == 200 && length > 1024 && (uint64_t) length != a->file->size)
        hold_attempt_ends(a, HOLD_TRY_SIZE, "the origin's file has %lld bytes, %llu are wanted", (long long) length, (unsigned long long) a->file->size);
    else if (status == 200) {
        atomic_store(&a->split->ignores_ranges, true);
        hold_attempt_ends(a, HOLD_TRY_RANGE, "the origin ignores ranges");
    } else if (status > 299)
        end_by_http(a, status);
    else
        hold_attempt_ends(a, HOLD_TRY_RANGE, "HTTP %ld is no answer to this request", status);
}

/* Two lengths: which bytes belong to the answer nobody can tell (RFC 9110, 8.6). */
static bool has_two_lengths(CURL *curl) {
    const char *first = header_of(curl, "Content-Length");
    struct curl_header *other = NULL;
    for (size_t i = 1; curl_easy_header(curl, "Content-Length", i, CURLH_HEADER, -1, &other) == CURLHE_OK; i++)
        if (strcmp(other->value, first) != 0)
            return true;
    return false;
}

/* Once an answer, before its first byte is taken. */
static void judge(struct hold_attempt *a) {
    a->judged = true;
    long status = http_status(a);
    if (has_two_lengths(a->fetcher->curl)) {
        hold_attempt_ends(a, HOLD_TRY_NET, "the answer has two different lengths");
    } else if (status == 0 || a->document || a->is_head) { /* a folder, or a document */
        if (status > 299)
            end_by_http(a, status);
    } else if (a->split) {
        judge_piece(a, status);
    } else if (status == 206 && a->offset > 0) {
        judge_partial_content(a);
    } else if (status == 200) {
        judge_whole(a);
    } else if (status == 204 || status == 206) {
        hold_attempt_ends(a, HOLD_TRY_RANGE, "HTTP %ld is no answer to this request", status);
    } else {
        end_by_http(a, status);
    }
}

/* The first bytes of a whole file show what no header says. */
static void look_inside(struct hold_attempt *a, const uint8_t *bytes, size_t n) {
    curl_off_t length = -1;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (hold_attempt_wants_size(a) && length >= 0 && (uint64_t) length == a->file->size)
        return;
    if (hold_looks_like_pointer(bytes, n))
        hold_attempt_ends(a, HOLD_TRY_FORMAT, "a git-lfs pointer came instead of the file: use an address that serves LFS content");
    else if (hold_looks_like_page(bytes, n))
        hold_attempt_ends(a, HOLD_TRY_FORMAT, "a web page came instead of the file");
    else if (hold_attempt_wants_size(a) && length >= 0)
        hold_attempt_ends(a, HOLD_TRY_SIZE, "the origin's file has %lld bytes, %llu are wanted", (long long) length, (unsigned long long) a->file->size);
}

void hold_attempt_flush(struct hold_attempt *a) {
    uint64_t begun = hold_job_now_ms();
    if (a->gathered && hold_pieces_write(a->split->pieces, a->piece, a->gather, a->gathered, a->v) < 0)
        a->end = hold_try_of_write(a->v->status);
    a->gathered = 0;
    a->blocked_ms += hold_job_now_ms() - begun;
}

/* At the end of a piece the request runs on into the next one, unless another connection has it. */
static bool enter_next(struct hold_attempt *a) {
    hold_attempt_flush(a);
    a->is_met = a->end == HOLD_TRY_DONE && !hold_pieces_go_on(a->split->pieces, a->piece);
    if (a->end != HOLD_TRY_DONE || a->is_met)
        return false;
    a->piece++;
    a->piece_end = HOLD_MIN(a->piece_end + a->split->pieces->piece_bytes, a->file->size);
    return true;
}

static size_t take_for_piece(struct hold_attempt *a, const char *bytes, size_t n) {
    if (a->received + n > a->end_offset - a->offset)
        return hold_attempt_ends(a, HOLD_TRY_SIZE, "more than the %llu bytes asked for came", (unsigned long long) (a->end_offset - a->offset));
    for (size_t done = 0; done < n && a->end == HOLD_TRY_DONE;) {
        if (a->offset + a->received == a->piece_end && !enter_next(a))
            return CURL_WRITEFUNC_ERROR;
        size_t part = (size_t) HOLD_MIN((uint64_t) HOLD_MIN(n - done, HOLD_PIECES_BLOCK - a->gathered), a->piece_end - a->offset - a->received);
        memcpy(*a->gather + a->gathered, bytes + done, part);
        a->gathered += part;
        a->received += part;
        done += part;
        if (a->gathered == HOLD_PIECES_BLOCK)
            hold_attempt_flush(a);
    }
    return a->end == HOLD_TRY_DONE ? n : CURL_WRITEFUNC_ERROR;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *argument) {
    struct hold_attempt *a = argument;
    n *= size;
    if (!a->judged) {
        a->body = bytes;
        a->body_n = n;
        judge(a);
        a->body_n = 0;
    }
    if (a->end == HOLD_TRY_DONE && a->received == 0 && a->partial && a->partial->bytes == 0)
        look_inside(a, (const uint8_t *) bytes, n);
    if (a->end == HOLD_TRY_DONE && a->received == 0 && a->document && hold_looks_like_page((const uint8_t *) bytes, n))
        hold_attempt_ends(a, HOLD_TRY_FORMAT, "a web page came instead of the document");
    if (a->end != HOLD_TRY_DONE)
        return CURL_WRITEFUNC_ERROR;
    if (a->split)
        return take_for_piece(a, bytes, n);
    a->received += n;
    if (a->document) {
        hold_buf_add(a->document, bytes, n);
        return a->document->failed ? hold_attempt_ends(a, HOLD_TRY_REFUSED, "longer than the limit of %zu bytes", a->document->max_bytes) : n;
    }
    if (hold_attempt_wants_size(a) && a->partial->bytes + n > a->file->size)
        return hold_attempt_ends(a, HOLD_TRY_SIZE, "more than the %llu bytes wanted came", (unsigned long long) a->file->size);
    if (hold_partial_add(a->partial, bytes, n, a->v) < 0) {
        a->end = hold_try_of_write(a->v->status);
        return CURL_WRITEFUNC_ERROR;
    }
    return n;
}

/* At least once a second, also when nothing comes. */
static int on_progress(void *argument, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
    (void) total, (void) now, (void) up_total, (void) up_now;
    struct hold_attempt *a = argument;
    const struct hold_fetch_rules *rules = &a->fetcher->shared->rules;
    uint64_t now_ms = hold_job_now_ms();
    if (a->leads)
        hold_split_pace(a, now_ms);
    if (atomic_load(&a->fetcher->shared->stop))
        return (int) hold_attempt_ends(a, HOLD_TRY_STOPPED, "ended because another file failed") + 1;
    if (a->turn && atomic_load(&a->turn->is_lost))
        return (int) hold_attempt_ends(a, HOLD_TRY_STOPPED, "another fetcher brings it") + 1;
    if (rules->deadline_at_ms && now_ms >= rules->deadline_at_ms)
        return (int) hold_attempt_ends(a, HOLD_TRY_DEADLINE, "the total deadline passed") + 1;
    if (a->split && (atomic_load(&a->split->is_over) || atomic_load(&a->split->ignores_ranges)))
        return (int) hold_attempt_ends(a, HOLD_TRY_STOPPED, "the file is brought otherwise") + 1;
    uint64_t blocked = a->partial ? a->partial->blocked_ms : a->blocked_ms;
    uint64_t idle = now_ms - a->window_begun_ms - HOLD_MIN(blocked - a->window_blocked_ms, now_ms - a->window_begun_ms);
    if (idle < rules->stall_ms)
        return 0;
    uint64_t came = a->received - a->window_bytes;
    if (came < rules->stall_bytes)
        return (int) hold_attempt_ends(a, HOLD_TRY_STALL, "only %llu bytes came in %llu ms", (unsigned long long) came, (unsigned long long) idle) + 1;
    a->window_begun_ms = now_ms;
    a->window_bytes = a->received;
    a->window_blocked_ms = blocked;
    return 0;
}

/* ---- one try ---- */

static enum hold_try_end end_of_code(CURL *curl, CURLcode code) {
    curl_off_t resolved_us = 0;
    char *effective = NULL;
    curl_easy_getinfo(curl, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
    curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &effective);
    if (code == CURLE_OPERATION_TIMEDOUT && resolved_us == 0)
        return HOLD_TRY_DNS;
    if (code == CURLE_UNSUPPORTED_PROTOCOL && effective && strncasecmp(effective, "http", 4) == 0)
        return HOLD_TRY_NET; /* the address is one we speak: what came is no HTTP */
    switch ((int) code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return HOLD_TRY_DNS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return HOLD_TRY_TLS;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS: return HOLD_TRY_REFUSED;
    case CURLE_FILE_COULDNT_READ_FILE:
    case CURLE_REMOTE_FILE_NOT_FOUND: return HOLD_TRY_MISSING;
    case CURLE_RANGE_ERROR:
    case CURLE_BAD_DOWNLOAD_RESUME: return HOLD_TRY_RANGE;
    case CURLE_FAILED_INIT: return HOLD_TRY_INTERNAL;
    default: return HOLD_TRY_NET; /* refused, reset, cut, timed out, protocol, a header beyond libcurl's memory: all may pass */
    }
}

/* Header lines of one request, linked without a heap. */
struct headers {
    char text[4][2304];
    struct curl_slist at[5];
    size_t n;
    bool is_full;
};

HOLD_PRINTF(2, 3)
static void add_header(struct headers *h, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = h->n < HOLD_COUNT_OF(h->text) ? vsnprintf(h->text[h->n], sizeof h->text[0], format, args) : -1;
    va_end(args);
    if (n < 0 || (size_t) n >= sizeof h->text[0]) {
        h->is_full = true;
        return;
    }
    h->at[h->n] = (struct curl_slist) { .data = h->text[h->n] };
    if (h->n)
        h->at[h->n - 1].next = &h->at[h->n];
    h->n++;
}

/* Signed by libcurl with what it was given: nothing of it is in an address or on a command line. */
static void sign_for_s3(CURL *c, const struct hold_fetch_auth *auth, struct headers *h) {
    char what[96];
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    if (!auth->s3_key || !*auth->s3_key)
        return;
    snprintf(what, sizeof what, "aws:amz:%.60s:s3", auth->s3_region);
    curl_easy_setopt(c, CURLOPT_AWS_SIGV4, what);
    curl_easy_setopt(c, CURLOPT_USERNAME, auth->s3_key);
    curl_easy_setopt(c, CURLOPT_PASSWORD, auth->s3_secret ? auth->s3_secret : "");
    add_header(h, "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"); /* of no body; libcurl before 8 forgets it */
    if (auth->s3_session && *auth->s3_session)
        add_header(h, "X-Amz-Security-Token: %s", auth->s3_session);
}

static void prepare(struct hold_attempt *a, const char *url, const struct hold_fetch_auth *auth, struct headers *h, char *error_text) {
    CURL *c = a->fetcher->curl;
    const struct hold_fetch_rules *rules = &a->fetcher->shared->rules;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, strncmp(url, "file://", 7) == 0 ? "file" : "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long) HOLD_MIN(rules->connect_ms, UINT64_C(3600000)));
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, a);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "holdfast/" HOLD_VERSION);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(c, CURLOPT_NOBODY, a->is_head ? 1L : 0L);
    if (rules->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, rules->ca_file);
    if (rules->ca_dir && *rules->ca_dir)
        curl_easy_setopt(c, CURLOPT_CAPATH, rules->ca_dir);
    bool is_s3 = auth && auth->s3_region;
    if (is_s3)
        sign_for_s3(c, auth, h);
    else if (a->document)
        curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, ""); /* what libcurl can undo */
    else
        add_header(h, "Accept-Encoding: identity"); /* to S3 it would be signed, and some gateways rewrite it */
    if (is_s3 && a->is_head)
        add_header(h, "x-amz-checksum-mode: ENABLED");
    if (auth && auth->bearer && *auth->bearer) { /* libcurl drops it when a redirect leaves host, port or protocol */
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long) CURLAUTH_BEARER);
        curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, auth->bearer);
    }
    if (auth && auth->cookie)
        add_header(h, "Cookie: %s", auth->cookie); /* the same holds for this header */
}

/* Where a redirect led is asked directly for the next pieces. */
static void note_via(struct hold_attempt *a) {
    char *effective = NULL;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_EFFECTIVE_URL, &effective);
    pthread_mutex_lock(&a->fetcher->shared->lock);
    if (effective && strlen(effective) < HOLD_URL_BYTES && !a->split->has_no_via)
        snprintf(a->split->via, HOLD_URL_BYTES, "%s", effective);
    pthread_mutex_unlock(&a->fetcher->shared->lock);
}

/* A pipe would hold libcurl for ever, and it takes a folder for an empty file. What is absent is for libcurl to say. */
static bool is_no_file(CURL *curl, const char *url) {
    struct stat st;
    int n = 0;
    char *path = strncmp(url, "file://", 7) == 0 ? curl_easy_unescape(curl, url + 7, 0, &n) : NULL;
    bool is = path && stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    curl_free(path);
    return is;
}

/* Fills a->end. */
void hold_attempt_perform(struct hold_attempt *a, const char *url, const struct hold_fetch_auth *auth) {
    char error_text[CURL_ERROR_SIZE] = "", range[48];
    struct headers headers;
    headers.n = 0;
    headers.is_full = false;
    a->auth = auth;
    if (is_no_file(a->fetcher->curl, url)) {
        hold_attempt_ends(a, HOLD_TRY_MISSING, "the source is no regular file");
        return;
    }
    prepare(a, url, auth, &headers, error_text);
    if (a->split) {
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long) a->offset, (unsigned long long) a->end_offset - 1);
        curl_easy_setopt(a->fetcher->curl, CURLOPT_RANGE, range);
    } else if (a->offset) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long) a->offset);
        curl_easy_setopt(a->fetcher->curl, CURLOPT_RANGE, range);
    }
    if (a->offset && !a->split && !hold_attempt_is_pinned(a)) /* a pinned file needs none: its digest decides, and some servers drop Range for it */
        add_header(&headers, "If-Range: %s", a->partial->from.etag);
    curl_easy_setopt(a->fetcher->curl, CURLOPT_HTTPHEADER, headers.n ? headers.at : NULL);
    if (headers.is_full) {
        hold_attempt_ends(a, HOLD_TRY_REFUSED, "the token is longer than %zu bytes", sizeof headers.text[0] - 32);
        return;
    }
    a->window_begun_ms = hold_job_now_ms();
    a->window_blocked_ms = a->partial ? a->partial->blocked_ms : 0;
    CURLcode code = curl_easy_perform(a->fetcher->curl);
    long by_proxy = 0;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_HTTP_CONNECTCODE, &by_proxy);
    if (code != CURLE_OK && by_proxy >= 400)
        hold_attempt_ends(a, by_proxy < 500 ? HOLD_TRY_PROXY : HOLD_TRY_SERVER, "the proxy answered HTTP %ld", by_proxy);
    if (a->end == HOLD_TRY_DONE && !a->judged && (code == CURLE_OK || code == CURLE_PARTIAL_FILE))
        judge(a); /* an answer without a body */
    if (a->split && a->end == HOLD_TRY_DONE && was_redirected(a))
        note_via(a);
    if (a->end == HOLD_TRY_DONE && code != CURLE_OK && !a->is_met)
        hold_attempt_ends(a, end_of_code(a->fetcher->curl, code), "%.200s", *error_text ? error_text : curl_easy_strerror(code));
}

static uint64_t retry_after_ms(const struct hold_attempt *a) {
    curl_off_t seconds = 0;
    curl_easy_getinfo(a->fetcher->curl, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds == 0 && strspn(header_of(a->fetcher->curl, "Retry-After"), "0123456789") > 18)
        seconds = ABSURD_SECONDS; /* libcurl gives up on what its own number does not hold */
    return seconds > 0 ? (uint64_t) HOLD_MIN(seconds, ABSURD_SECONDS) * 1000 : 0;
}

struct hold_fetch_shared *hold_fetcher_shared(struct hold_fetcher *fetcher) {
    return fetcher->shared;
}

struct hold_tries hold_attempt_tries(const struct hold_fetcher *fetcher) {
    const struct hold_fetch_rules *rules = &fetcher->shared->rules;
    return (struct hold_tries) { .max_in_row = (uint32_t) rules->tries, .first_ms = rules->backoff_ms, .max_ms = rules->backoff_max_ms,
                                 .max_retry_after_ms = rules->retry_after_max_ms };
}

/* Waits as policy says, or turns v into the end of the file. */
int hold_attempt_wait(struct hold_attempt *a, struct hold_tries *tries, uint64_t reached, struct hold_try_next *ret_next) {
    struct hold_fetch_shared *shared = a->fetcher->shared;
    struct hold_try_next next = hold_tries_fold(tries, a->end, reached, retry_after_ms(a), hold_job_random());
    if (!next.again) {
        if (tries->n_tries > 1)
            (void) hold_wrap(&a->v->err, "given up after %llu tries", (unsigned long long) tries->n_tries);
        return hold_verdict_is(a->v, hold_try_status(a->end));
    }
    uint64_t deadline = shared->rules.deadline_at_ms;
    if (deadline && hold_job_now_ms() + next.delay_ms >= deadline) {
        (void) hold_wrap(&a->v->err, "the total deadline would pass before the next try; the last one");
        return hold_verdict_is(a->v, HOLD_EXIT_FETCH_DEADLINE);
    }
    if (shared->on_retry)
        shared->on_retry(&(struct hold_fetch_retry) { .name = subject(a), .why = hold_try_name(a->end), .text = a->v->err.text,
                                                      .have_bytes = reached, .delay_ms = next.delay_ms, .in_row = tries->in_row });
    if (!hold_fetch_wait(shared, next.delay_ms))
        return hold_verdict_fail(a->v, hold_try_status(HOLD_TRY_STOPPED), HOLD_E_NET, 0, "'%.*s': ended because another file failed", MAX_SHOWN, subject(a));
    *ret_next = next;
    return 0;
}

/* ---- documents and questions ---- */

/* The address with rel="next" in any of the answer's Link headers; "" without one. */
static void next_link(CURL *curl, char *ret_next) {
    struct curl_header *link = NULL;
    ret_next[0] = '\0';
    for (size_t i = 0; !ret_next[0] && curl_easy_header(curl, "Link", i, CURLH_HEADER, -1, &link) == CURLHE_OK; i++)
        (void) hold_link_next(link->value, ret_next, HOLD_URL_BYTES);
}

/* What begins as JSON is JSON to its end, else it was cut by something that thought it knew the length. */
static void check_json(struct hold_attempt *a) {
    const struct hold_buf *out = a->document;
    struct hold_err err = { 0 };
    if (out->n && strchr("{[", out->data[0]) && hold_json_scan(out->data, out->n, "document", 64, SIZE_MAX, &err) < 0 && err.code == HOLD_E_FORMAT)
        hold_attempt_ends(a, HOLD_TRY_FORMAT, "%.200s", err.text);
}

/* With out a GET, without it a HEAD; the fetcher's handle holds the answer's headers. */
static int ask(struct hold_fetcher *fetcher, const char *url, const struct hold_fetch_auth *auth, struct hold_buf *out, struct hold_verdict *v) {
    struct hold_tries tries = hold_attempt_tries(fetcher);
    char shown[300];
    hold_url_shown(url, shown, sizeof shown);
    for (;;) {
        struct hold_attempt a = { .fetcher = fetcher, .document = out, .is_head = !out, .v = v };
        if (out)
            hold_buf_clear(out);
        hold_attempt_perform(&a, url, auth);
        if (out && a.end == HOLD_TRY_DONE)
            check_json(&a);
        if (a.end == HOLD_TRY_DONE)
            return 0;
        struct hold_try_next next = { 0 };
        if (hold_attempt_wait(&a, &tries, 0, &next) < 0)
            return hold_wrap(&v->err, "%s", shown);
    }
}

int hold_fetch_text(struct hold_fetcher *fetcher, const char *url, const struct hold_fetch_auth *auth, struct hold_buf *out, char *ret_next,
                    struct hold_verdict *v) {
    if (ask(fetcher, url, auth, out, v) < 0)
        return -1;
    if (ret_next)
        next_link(fetcher->curl, ret_next);
    return 0;
}

int hold_fetch_header(struct hold_fetcher *fetcher, const char *url, const struct hold_fetch_auth *auth, const char *header, char *ret_value,
                      size_t value_bytes, struct hold_verdict *v) {
    if (ask(fetcher, url, auth, NULL, v) < 0)
        return -1;
    const char *value = header_of(fetcher->curl, header);
    snprintf(ret_value, value_bytes, "%s", strlen(value) < value_bytes ? value : "");
    return 0;
}

bool hold_token_is_plain(const char *token) {
    for (; *token; token++)
        if (*token <= ' ' || *token > '~')
            return false;
    return true;
}

static size_t ignore_body(char *bytes, size_t size, size_t n, void *argument) {
    (void) bytes, (void) argument;
    return size * n;
}

/* One connection for one question: no tries, no redirects, one bound on its time. */
static CURL *question(const char *url, const char *ca_file, uint64_t timeout_ms, char *error_text) {
    CURL *c = curl_easy_init();
    if (!c)
        return NULL;
    *error_text = '\0';
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long) timeout_ms);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore_body);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "holdfast/" HOLD_VERSION);
    if (ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
    return c;
}

bool hold_fetch_ask(const char *url, const char *ca_file, uint64_t timeout_ms, char *answer, size_t answer_bytes) {
    bool is_tcp = strncmp(url, "tcp://", 6) == 0;
    char address[HOLD_URL_BYTES], error_text[CURL_ERROR_SIZE];
    snprintf(address, sizeof address, "%s%s", is_tcp ? "http://" : "", is_tcp ? url + 6 : url);
    CURL *c = question(address, ca_file, timeout_ms, error_text);
    if (!c) {
        snprintf(answer, answer_bytes, "libcurl cannot be set up");
        return false;
    }
    curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, is_tcp ? 1L : 0L);
    if (is_tcp)
        curl_easy_setopt(c, CURLOPT_PROXY, ""); /* the port itself is asked, not a proxy */
    CURLcode code = curl_easy_perform(c);
    long status = 0;
    double seconds = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c, CURLINFO_TOTAL_TIME, &seconds);
    bool is_up = code == CURLE_OK && (is_tcp || (status >= 200 && status < 400));
    if (code != CURLE_OK)
        snprintf(answer, answer_bytes, "%s", *error_text ? error_text : curl_easy_strerror(code));
    else if (is_tcp)
        snprintf(answer, answer_bytes, "connected in %.0f ms", seconds * 1000);
    else
        snprintf(answer, answer_bytes, "HTTP %ld", status);
    curl_easy_cleanup(c);
    return is_up;
}

/* An answer beyond the buffer's maximum ends the transfer. */
static size_t keep_body(char *bytes, size_t size, size_t n, void *argument) {
    struct hold_buf *out = argument;
    hold_buf_add(out, bytes, size * n);
    return out->failed ? 0 : size * n;
}

int hold_fetch_talk(const struct hold_fetch_talk *talk, int *ret_status, struct hold_buf *out, struct hold_err *err) {
    char error_text[CURL_ERROR_SIZE];
    CURL *c = question(talk->url, talk->ca_file, talk->timeout_ms, error_text);
    if (!c)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "libcurl cannot be set up");
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    long status = 0;
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    if (talk->body)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, talk->body);
    if (talk->token && *talk->token) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, talk->token);
    }
    CURLcode code = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return hold_fail(err, HOLD_E_NET, 0, "%s", *error_text ? error_text : curl_easy_strerror(code));
    *ret_status = (int) status;
    return 0;
}

struct hold_fetcher *hold_fetcher_new(struct hold_fetch_shared *shared) {
    struct hold_fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return NULL;
    *fetcher = (struct hold_fetcher) { .curl = curl_easy_init(), .shared = shared };
    if (!fetcher->curl) {
        hold_fetcher_free(fetcher);
        return NULL;
    }
    return fetcher;
}

void hold_fetcher_free(struct hold_fetcher *fetcher) {
    if (!fetcher)
        return;
    curl_easy_cleanup(fetcher->curl);
    free(fetcher);
}
