/* front.c - all requests of one front. Floor: runtime/serve. */
#include "runtime/serve/front.h"

#include "base/auto.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "runtime/serve/api.h"
#include "runtime/serve/request.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { RETRY_LOADING_S = 5, RETRY_RESTART_S = 2, RETRY_BUSY_S = 1 };

struct hold_front {
    const struct hold_front_config *config;
    struct hold_http *http;
    struct hold_link link;
    bool was_paired;                   /* an engine has served in this front's life */
    bool has_status;                   /* this pairing's engine has said how it is: it serves */
    struct hold_frame_status status;
    struct hold_map plan_map;
    bool has_plan;
    struct hold_plan plan;
    struct hold_tok tok;
    struct hold_request_house house;
    struct hold_metrics metrics;
    uint64_t held_bytes;               /* of decoded pictures */
    char id_prefix[40];
    struct hold_request *requests;     /* oldest first */
    size_t n_requests;
    uint64_t next_session, next_number;
    char phase[64];
    uint64_t done, total;              /* progress of the phase */
    bool is_draining;
    uint64_t now_ms, wall_s, opened_s;
};

/* ---- answers ---- */

static void say(struct hold_call *call, unsigned status, unsigned retry_after_s, const struct hold_buf *json) {
    hold_call_answer(call, status, "application/json", retry_after_s, json->data ? json->data : "", json->n);
}

static void say_error(struct hold_call *call, unsigned status, unsigned retry_after_s, const char *message) {
    hold_autobuf json = hold_buf_with_max(8192);
    hold_api_error(&json, status, message, NULL);
    say(call, status, retry_after_s, &json);
}

bool hold_front_is_ready(const struct hold_front *front) {
    return front->has_plan && hold_link_is_up(&front->link) && front->has_status && front->status.is_healthy && !front->is_draining;
}

static const char *state_name(const struct hold_front *front) {
    if (front->is_draining)
        return "draining";
    if (front->has_status && hold_link_is_up(&front->link) && !front->status.is_healthy)
        return "unhealthy";
    return front->was_paired ? "restarting" : "loading";
}

static unsigned retry_after(const struct hold_front *front) {
    return front->was_paired ? RETRY_RESTART_S : RETRY_LOADING_S;
}

static void say_unready(struct hold_front *front, struct hold_call *call) {
    char text[256];
    if (front->total)
        (void) snprintf(text, sizeof text, "the model server is %s (phase %s, %.0f %%)", state_name(front), front->phase,
                        100.0 * (double) front->done / (double) front->total);
    else
        (void) snprintf(text, sizeof text, "the model server is %s (phase %s)", state_name(front), front->phase);
    say_error(call, 503, retry_after(front), text);
}

static void say_health(struct hold_front *front, struct hold_call *call) {
    hold_autobuf json = hold_buf_with_max(4096);
    if (hold_front_is_ready(front)) {
        hold_call_answer(call, 200, NULL, 0, "", 0);
        return;
    }
    hold_api_health(&json, state_name(front), front->phase, front->done, front->total);
    say(call, 503, retry_after(front), &json);
}

static void say_metrics(struct hold_front *front, struct hold_call *call) {
    hold_autobuf text = hold_buf_with_max(1u << 20);
    struct hold_metrics *m = &front->metrics;
    bool knows = front->has_status && hold_link_is_up(&front->link);

    m->requests_running = knows ? front->status.n_running : 0;
    m->requests_waiting = fmax(0, (double) front->n_requests - m->requests_running);
    m->cache_use = knows ? (double) front->status.pages_used / (double) front->status.pages_total : 0;
    hold_metrics_page(m, front->config->served_names.at[0], &text);
    hold_call_answer(call, 200, "text/plain; version=0.0.4; charset=utf-8", 0, text.data, text.n);
}

static void say_small(struct hold_front *front, struct hold_call *call, enum hold_route route) {
    hold_autobuf json = hold_buf_with_max(65536);

    switch (route) {
    case HOLD_ROUTE_HEALTH: say_health(front, call); return;
    case HOLD_ROUTE_PING:
        if (hold_front_is_ready(front))
            hold_call_answer(call, 200, NULL, 0, "", 0);
        else
            say_unready(front, call);
        return;
    case HOLD_ROUTE_METRICS: say_metrics(front, call); return;
    case HOLD_ROUTE_MODELS:
        hold_api_models(&json, &front->config->served_names, front->opened_s, front->config->root, front->has_status ? front->status.max_context : 0);
        break;
    case HOLD_ROUTE_VERSION:
        hold_buf_adds(&json, "{\"version\":");
        hold_buf_add_json(&json, front->config->version, strlen(front->config->version));
        hold_buf_adds(&json, "}");
        break;
    case HOLD_ROUTE_LOAD: hold_buf_addf(&json, "{\"server_load\":%zu}", front->n_requests); break;
    case HOLD_ROUTE_CHAT:
    case HOLD_ROUTE_TOKENIZE:
    case HOLD_ROUTE_DETOKENIZE:
    case HOLD_ROUTE_COUNT: return;
    }
    say(call, 200, 0, &json);
}

/* ---- the list of requests ---- */

static struct hold_request *find(struct hold_front *front, uint64_t session) {
    for (struct hold_request *r = front->requests; r; r = r->next)
        if (r->session == session)
            return r;
    return NULL;
}

static void add(struct hold_front *front, struct hold_request *r) {
    struct hold_request **at = &front->requests;
    while (*at)
        at = &(*at)->next;
    *at = r;
    front->n_requests++;
}

static void remove_request(struct hold_front *front, struct hold_request *r) {
    struct hold_request **at = &front->requests;
    while (*at && *at != r)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = r->next;
    front->n_requests--;
    hold_log(HOLD_LV_INFO, HOLD_EV_REQUEST, HOLD_LS("id", r->id), HOLD_LU("prompt_tokens", r->usage.prompt_tokens),
             HOLD_LU("completion_tokens", r->usage.completion_tokens), HOLD_LU("images", r->chat.n_images), HOLD_LB("stream", r->chat.is_stream),
             HOLD_LU("first_token_ms", r->first_ms ? r->first_ms - r->arrived_ms : 0), HOLD_LU("total_ms", front->now_ms - r->arrived_ms));
    hold_request_free(r);
}

/* ---- the engine's side ---- */

/* The pairing is over: every open request ends with one explicit error. */
static void lose_engine(struct hold_front *front, const char *why) {
    if (!hold_link_is_up(&front->link) && !front->has_status)
        return;
    hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("what", "engine lost"), HOLD_LS("why", why), HOLD_LU("generation", front->link.generation),
             HOLD_LU("requests", front->n_requests));
    hold_link_drop(&front->link);
    front->has_status = false;
    for (struct hold_request *r = front->requests; r; r = r->next)
        if (!r->is_over)
            hold_request_fail(r, &front->house, 503, RETRY_RESTART_S,
                              "the engine was lost and is being restarted while this answer was being written; send the request again");
}

static void lose_engine_by(struct hold_front *front, const struct hold_err *err) {
    lose_engine(front, err->text);
}

static void cancel(struct hold_front *front, const struct hold_request *r) {
    struct hold_frame f = { .kind = HOLD_FRAME_CANCEL, .session = r->session };
    struct hold_err err = { 0 };
    if (r->is_open && hold_link_is_up(&front->link) && hold_link_send(&front->link, &f, &err) < 0)
        lose_engine_by(front, &err);
}

/* Hands waiting requests to the engine, oldest first, as far as the ring has room. */
static void pump(struct hold_front *front) {
    if (!hold_front_is_ready(front) && !(front->is_draining && front->has_status))
        return;
    for (struct hold_request *r = front->requests; r; r = r->next) {
        struct hold_err err = { 0 };
        if (r->is_over)
            continue;
        if (!r->is_open)
            front->next_session++;
        int sent = hold_request_pump(r, &front->house, front->next_session, &front->link, front->now_ms, &err);
        if (sent < 0) {
            if (err.code == HOLD_E_LIMIT && hold_link_is_up(&front->link)) {
                hold_request_fail(r, &front->house, 500, 0, err.text);
                cancel(front, r);
            } else {
                lose_engine_by(front, &err);
            }
            return;
        }
        if (sent == 0)
            return; /* slices of one request are not mixed with another's: GAVE comes and it goes on */
    }
}

static void fail_from_engine(struct hold_front *front, struct hold_request *r, const struct hold_frame_fail *fail) {
    static const struct {
        unsigned status, retry_after_s;
    } how[HOLD_FAIL_COUNT] = {
        [HOLD_FAIL_REFUSED] = { 500, 0 }, [HOLD_FAIL_TOO_LONG] = { 400, 0 }, [HOLD_FAIL_BUSY] = { 429, RETRY_BUSY_S },
        [HOLD_FAIL_NAN] = { 500, 0 },     [HOLD_FAIL_DEVICE] = { 500, 0 },   [HOLD_FAIL_STOPPING] = { 503, RETRY_RESTART_S },
    };
    hold_log(HOLD_LV_ERROR, HOLD_EV_ERROR, HOLD_LS("what", "the engine failed a request"), HOLD_LS("reason", hold_fail_name(fail->reason)),
             HOLD_LS("text", fail->text), HOLD_LS("id", r->id));
    hold_request_fail(r, &front->house, how[fail->reason].status, how[fail->reason].retry_after_s, fail->text);
}

static void on_status(struct hold_front *front, const struct hold_frame_status *status) {
    bool was_ready = hold_front_is_ready(front);
    front->status = *status;
    front->has_status = true;
    front->was_paired = true;
    front->house.max_context = HOLD_MIN(status->max_context, HOLD_FRAME_MAX_PROMPT);
    if (!was_ready && hold_front_is_ready(front))
        hold_log(HOLD_LV_INFO, HOLD_EV_PAIR, HOLD_LU("generation", front->link.generation), HOLD_LU("max_context", status->max_context));
}

static void on_frame(struct hold_front *front, const struct hold_frame *f) {
    struct hold_request *r = f->session ? find(front, f->session) : NULL;
    struct hold_err err = { 0 };

    switch (f->kind) {
    case HOLD_FRAME_STATUS: on_status(front, &f->status); break;
    case HOLD_FRAME_GAVE:
        if (hold_ring_gave(&front->link.ring, f->gave.position, &err) < 0)
            lose_engine_by(front, &err);
        break;
    case HOLD_FRAME_TOKEN:
        if (r && !r->is_over && hold_request_token(r, &front->house, &f->token, front->now_ms))
            cancel(front, r);
        break;
    case HOLD_FRAME_END:
        if (r)
            hold_request_end(r, &front->house, &f->end, front->now_ms);
        break;
    case HOLD_FRAME_FAIL:
        if (r && !r->is_over)
            fail_from_engine(front, r, &f->fail);
        break;
    case HOLD_FRAME_NONE:
    case HOLD_FRAME_OPEN:
    case HOLD_FRAME_IDS:
    case HOLD_FRAME_PATCHES:
    case HOLD_FRAME_CANCEL:
    case HOLD_FRAME_KIND_COUNT: break;
    }
}

static void read_link(struct hold_front *front) {
    struct hold_err err = { 0 };
    for (int i = 0; i < 1024 && hold_link_is_up(&front->link); i++) {
        struct hold_frame f;
        int got = hold_link_recv(&front->link, &f, &err);
        if (got < 0)
            lose_engine_by(front, &err);
        if (got <= 0)
            return;
        on_frame(front, &f);
    }
}

/* ---- the clients' side ---- */

static void on_head(void *user, struct hold_call *call) {
    struct hold_front *front = user;
    enum hold_route route;
    unsigned status = hold_api_find(hold_call_method(call), hold_call_path(call), &route);

    if (front->config->api_key[0] && (status || !hold_route_is_open(route)) &&
        !hold_api_key_fits(hold_call_header(call, "Authorization"), front->config->api_key)) {
        say_error(call, 401, 0, "Unauthorized: the API key is missing or wrong");
        return;
    }
    if (status == 404)
        say_error(call, 404, 0, "Not Found");
    else if (status == 405)
        say_error(call, 405, 0, "Method Not Allowed");
    else if (route == HOLD_ROUTE_CHAT || route == HOLD_ROUTE_TOKENIZE || route == HOLD_ROUTE_DETOKENIZE) {
        if (!hold_front_is_ready(front))
            say_unready(front, call);
        else if (route == HOLD_ROUTE_CHAT && front->n_requests >= front->config->max_requests)
            say_error(call, 429, RETRY_BUSY_S, "too many requests are running or waiting");
    }
}

static void log_notes(const struct hold_buf *notes) {
    if (notes->n)
        hold_log(HOLD_LV_INFO, HOLD_EV_WARN, HOLD_LS("what", "unknown request fields were ignored"), HOLD_LS("fields", notes->data));
}

static void chat(struct hold_front *front, struct hold_call *call, const char *body, size_t n) {
    hold_autobuf notes = hold_buf_with_max(4096);
    struct hold_request *r = NULL;
    struct hold_err err = { 0 };
    unsigned status;

    if (!hold_front_is_ready(front)) {
        say_unready(front, call);
        return;
    }
    if (front->n_requests >= front->config->max_requests) {
        say_error(call, 429, RETRY_BUSY_S, "too many requests are running or waiting");
        return;
    }
    if (hold_request_new(&front->house, body, n, ++front->next_number, front->now_ms, front->wall_s, &notes, &r, &status, &err) < 0) {
        say_error(call, status, status == 429 ? RETRY_BUSY_S : 0, err.text);
        return;
    }
    log_notes(&notes);
    r->call = call;
    hold_call_set_user(call, r);
    add(front, r);
    pump(front);
}

static void tokenize(struct hold_front *front, struct hold_call *call, const char *body, size_t n) {
    hold_autojson *root = NULL;
    hold_autobuf ids = hold_buf_with_max(HOLD_TOK_MAX_IDS * sizeof(uint32_t)), json = hold_buf_with_max(64u << 20);
    struct hold_err err = { 0 };
    const char *prompt;

    if (hold_json_parse(body, n, "body", (struct hold_json_limits) { .max_bytes = n, .max_tokens = 65536 }, &root, &err) < 0) {
        say_error(call, 400, 0, err.text);
        return;
    }
    if (!hold_json_str(hold_json_get(root, "prompt"), &prompt)) {
        say_error(call, 400, 0, "prompt: must be a string (messages are not done here)");
        return;
    }
    if (hold_tok_encode_text(&front->tok, prompt, strlen(prompt), &ids, &err) < 0) {
        say_error(call, 400, 0, err.text);
        return;
    }
    hold_buf_addf(&json, "{\"count\":%zu,\"max_model_len\":%u,\"tokens\":[", hold_ids_count(&ids), front->house.max_context);
    for (size_t i = 0; i < hold_ids_count(&ids); i++)
        hold_buf_addf(&json, i ? ",%u" : "%u", hold_ids_of(&ids)[i]);
    hold_buf_adds(&json, "],\"token_strs\":null}");
    say(call, 200, 0, &json);
}

static void detokenize(struct hold_front *front, struct hold_call *call, const char *body, size_t n) {
    hold_autojson *root = NULL;
    hold_autobuf ids = hold_buf_with_max(HOLD_TOK_MAX_IDS * sizeof(uint32_t)), text = hold_buf_with_max(64u << 20), json = hold_buf_with_max(64u << 20);
    struct hold_err err = { 0 };

    if (hold_json_parse(body, n, "body", (struct hold_json_limits) { .max_bytes = n, .max_tokens = 1u << 20 }, &root, &err) < 0) {
        say_error(call, 400, 0, err.text);
        return;
    }
    const struct cJSON *list = hold_json_get(root, "tokens");
    if (!list || hold_json_type_of(list) != HOLD_JSON_ARRAY) {
        say_error(call, 400, 0, "tokens: must be a list of token ids");
        return;
    }
    for (const struct cJSON *v = hold_json_first(list); v; v = hold_json_next(v)) {
        uint64_t id;
        if (!hold_json_u64(v, &id) || id >= hold_tok_count(&front->tok)) {
            say_error(call, 400, 0, "tokens: must hold token ids of this model");
            return;
        }
        uint32_t narrow = (uint32_t) id;
        hold_buf_add(&ids, &narrow, sizeof narrow);
    }
    hold_tok_decode(&front->tok, hold_ids_of(&ids), hold_ids_count(&ids), true, &text);
    hold_buf_adds(&json, "{\"prompt\":");
    hold_buf_add_json(&json, text.data ? text.data : "", text.n);
    hold_buf_adds(&json, "}");
    say(call, 200, 0, &json);
}

static void on_request(void *user, struct hold_call *call, const char *body, size_t n) {
    struct hold_front *front = user;
    enum hold_route route;

    if (hold_api_find(hold_call_method(call), hold_call_path(call), &route) != 0)
        return; /* answered at its head */
    if (route == HOLD_ROUTE_CHAT)
        chat(front, call, body, n);
    else if (route == HOLD_ROUTE_TOKENIZE && hold_front_is_ready(front))
        tokenize(front, call, body, n);
    else if (route == HOLD_ROUTE_DETOKENIZE && hold_front_is_ready(front))
        detokenize(front, call, body, n);
    else if (route == HOLD_ROUTE_TOKENIZE || route == HOLD_ROUTE_DETOKENIZE)
        say_unready(front, call);
    else
        say_small(front, call, route);
}

static void on_end(void *user, struct hold_call *call) {
    struct hold_front *front = user;
    struct hold_request *r = hold_call_user(call);

    if (!r)
        return;
    r->call = NULL;
    if (!r->is_over) { /* the client left */
        r->is_over = true;
        front->metrics.finished_abort++;
        cancel(front, r);
    }
    remove_request(front, r);
}

/* ---- the whole ---- */

int hold_front_open(const struct hold_front_config *config, int listen_fd, uint64_t wall_s, struct hold_front **ret_front,
                    struct hold_err *err) {
    static const struct hold_http_ops ops = { .on_head = on_head, .on_request = on_request, .on_end = on_end };
    hold_autofd own_listen = listen_fd;
    hold_autofree struct hold_front *front = calloc(1, sizeof *front);
    uint64_t random;

    if (!front)
        return hold_fail(err, HOLD_E_LIMIT, 0, "front: out of memory");
    if (getrandom(&random, sizeof random, 0) != (ssize_t) sizeof random)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "front: no random numbers");
    *front = (struct hold_front) { .config = config, .wall_s = wall_s, .opened_s = wall_s, .phase = "waiting" };
    (void) snprintf(front->id_prefix, sizeof front->id_prefix, "chatcmpl-%016jx", (uintmax_t) random);
    hold_link_init(&front->link, true);
    const struct hold_http_limits limits = {
        .max_body_bytes = config->max_body_bytes,
        .max_total_bytes = config->max_total_bytes,
        .max_connections = config->max_connections,
        .idle_s = config->idle_s,
    };
    if (hold_http_open(hold_take_fd(&own_listen), &limits, &ops, front, &front->http, err) < 0)
        return -1;
    *ret_front = hold_take_ptr(&front);
    return 0;
}

void hold_front_close(struct hold_front **slot) {
    struct hold_front *front = *slot;
    if (!front)
        return;
    hold_http_close(&front->http);
    hold_link_drop(&front->link);
    hold_map_close(&front->plan_map);
    free(front);
    *slot = NULL;
}

void hold_front_phase(struct hold_front *front, const char *phase, uint64_t done, uint64_t total) {
    if (*phase && strcmp(phase, front->phase) != 0) {
        (void) snprintf(front->phase, sizeof front->phase, "%s", phase);
        front->done = front->total = 0;
    }
    if (total) {
        front->done = HOLD_MIN(done, total);
        front->total = total;
    }
}

static void furnish(struct hold_front *front) {
    const struct hold_record *record = front->plan.record;
    const struct hold_front_config *config = front->config;

    front->house = (struct hold_request_house) {
        .plan = &front->plan,
        .tok = &front->tok,
        .rules = {
            .names = &config->served_names,
            .max_images = record->vision_depth ? config->max_images : 0,
            .max_pixels = config->max_pixels ? HOLD_MIN(config->max_pixels, record->max_pixels) : record->max_pixels,
            .temperature = record->temperature,
            .top_p = record->top_p,
            .repetition_penalty = record->repetition_penalty,
            .top_k = record->top_k,
        },
        .patch_rule = {
            .patch = record->patch,
            .temporal = record->temporal_patch,
            .merge = record->merge,
            .min_pixels = record->min_pixels,
            .max_pixels = record->max_pixels,
        },
        .format = config->format,
        .parses_special = config->parses_special,
        .max_context = front->house.max_context,
        .held_bytes = &front->held_bytes,
        .metrics = &front->metrics,
        .id_prefix = front->id_prefix,
    };
    memcpy(front->house.patch_rule.mean, record->image_mean, sizeof record->image_mean);
    memcpy(front->house.patch_rule.std, record->image_std, sizeof record->image_std);
    /* a checkpoint may say nothing (NAN or 0); 0 is a temperature, but no top_p and no penalty */
    if (front->house.rules.top_p <= 0)
        front->house.rules.top_p = NAN;
    if (front->house.rules.repetition_penalty <= 0)
        front->house.rules.repetition_penalty = NAN;
}

int hold_front_plan(struct hold_front *front, int plan_fd, bool is_sealed, struct hold_err *err) {
    hold_autofd fd = plan_fd;
    hold_automap map = { 0 };
    struct hold_plan plan;
    struct hold_tok tok;

    if (hold_map_fd(fd, is_sealed, "plan", &map, err) < 0 || hold_plan_open(map.data, map.bytes, &plan, err) < 0)
        return hold_wrap(err, "plan");
    if (!plan.tokens)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: it has no tokenizer");
    if (hold_tok_open(plan.tokens, plan.tokens_bytes, &tok, err) < 0)
        return hold_wrap(err, "plan");
    if (front->has_plan && memcmp(front->plan.digest, plan.digest, 32) == 0 && front->plan_map.bytes == map.bytes &&
        memcmp(front->plan_map.data, map.data, map.bytes) == 0)
        return 0;
    lose_engine(front, "another plan");
    hold_map_close(&front->plan_map);
    front->plan_map = map;
    map = (struct hold_map) { 0 };
    front->plan = plan;
    front->tok = tok;
    front->has_plan = true;
    furnish(front);
    return 0;
}

int hold_front_pair(struct hold_front *front, uint64_t generation, int fd, int ring_fd, struct hold_err *err) {
    lose_engine(front, "a new pairing");
    return hold_link_take(&front->link, generation, fd, ring_fd, err);
}

int hold_front_http_fd(const struct hold_front *front) {
    return hold_http_fd(front->http);
}

int hold_front_link_fd(const struct hold_front *front, bool *ret_wants_write) {
    *ret_wants_write = hold_link_wants_write(&front->link);
    return front->link.fd;
}

int hold_front_timeout_ms(const struct hold_front *front) {
    int ms = hold_http_timeout_ms(front->http);
    int ping = front->n_requests ? (int) (HOLD_REQUEST_PING_MS / 4) : -1;
    return ms < 0 || (ping >= 0 && ping < ms) ? ping : ms;
}

void hold_front_run(struct hold_front *front, uint64_t now_ms, uint64_t wall_s) {
    struct hold_err err = { 0 };

    front->now_ms = now_ms;
    front->wall_s = wall_s;
    hold_http_run(front->http); /* who left is known before the engine's tokens are looked at */
    read_link(front);
    if (hold_link_flush(&front->link, &err) < 0)
        lose_engine_by(front, &err);
    pump(front);
    for (struct hold_request *r = front->requests; r; r = r->next)
        hold_request_ping(r, now_ms);
    hold_http_run(front->http);
}

void hold_front_drain(struct hold_front *front) {
    front->is_draining = true;
    hold_http_quiesce(front->http);
}

size_t hold_front_inflight(const struct hold_front *front) {
    return hold_http_live(front->http);
}

size_t hold_front_working(const struct hold_front *front) {
    return hold_http_working(front->http);
}
