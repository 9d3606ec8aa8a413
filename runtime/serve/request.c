/* request.c - one chat request, from its bytes to its last event. Floor: runtime/serve. */
#include "runtime/serve/request.h"

#include "base/list.h"
#include "runtime/serve/api.h"
#include "runtime/serve/sse.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SCRATCH_BYTES (128u << 20)
#define ARENA_BYTES (64u << 10)
#define TEXT_BYTES (8u << 20)
#define LOGPROB_BYTES (32u << 20)

/* ---- from bytes to ids and pictures ---- */

static int prepare_images(struct hold_request *r, const struct hold_request_house *house, struct hold_err *err) {
    struct hold_patch_rule rule = house->patch_rule;
    uint64_t n_pixels = 0;

    rule.max_pixels = HOLD_MIN(rule.max_pixels, r->chat.max_pixels);
    if (rule.max_pixels < rule.min_pixels)
        rule.min_pixels = rule.max_pixels;
    for (size_t i = 0; i < r->chat.n_images; i++) {
        const struct hold_chat_image *file = &r->chat.images[i];
        struct hold_request_image *image = &r->images[i];
        uint32_t height, width;

        if (hold_image_size(file->bytes, file->n, &height, &width, err) < 0)
            return hold_wrap(err, "image %zu", i + 1);
        n_pixels += (uint64_t) height * width;
        if (n_pixels > HOLD_REQUEST_MAX_PIXELS)
            return hold_fail(err, HOLD_E_LIMIT, 0, "image %zu (%u x %u): the images have more than %ju pixels together", i + 1, width, height,
                             (uintmax_t) HOLD_REQUEST_MAX_PIXELS);
        r->own_held_bytes += (uint64_t) height * width * 3;
        *house->held_bytes += (uint64_t) height * width * 3;
        if (*house->held_bytes > HOLD_REQUEST_MAX_HELD_BYTES)
            return hold_fail(err, HOLD_E_BUSY, 0, "too many pictures are waiting");
        if (hold_patch_plan(&rule, height, width, &image->size, err) < 0 ||
            hold_image_decode(file->bytes, file->n, (struct hold_image_limits) { 0 }, &image->rgb, err) < 0)
            return hold_wrap(err, "image %zu", i + 1);
    }
    return 0;
}

static int prepare_ids(struct hold_request *r, const struct hold_request_house *house, struct hold_err *err) {
    hold_autobuf pieces = hold_buf_with_max(HOLD_TEMPLATE_MAX_PIECES * sizeof(struct hold_piece));
    hold_autobuf plain = hold_buf_with_max(HOLD_TOK_MAX_IDS * sizeof(uint32_t));
    const struct hold_template_options options = { .format = house->format, .opens_reply = r->chat.opens_reply };
    const struct hold_tok_encode_options encode = { .parses_special = house->parses_special };
    uint32_t counts[HOLD_CHAT_MAX_IMAGES] = { 0 };
    size_t n_placeholders;

    if (hold_template_render(r->chat.messages, r->chat.n_messages, options, &pieces, &n_placeholders, err) < 0 ||
        hold_tok_encode(house->tok, hold_pieces_of(&pieces), hold_pieces_count(&pieces), &encode, &plain, err) < 0)
        return -1;
    for (size_t i = 0; i < r->chat.n_images; i++)
        counts[i] = r->images[i].size.n_tokens;
    if (hold_ids_expand_images(hold_ids_of(&plain), hold_ids_count(&plain), house->plan->record->image_token, counts, r->chat.n_images, &r->ids, err) < 0)
        return -1;
    size_t n = hold_ids_count(&r->ids);
    if (n >= house->max_context)
        return hold_fail(err, HOLD_E_CONFIG, 0, "the prompt has %zu tokens, and the maximum context length is %u tokens: no room for an answer", n,
                         house->max_context);
    uint32_t room = house->max_context - (uint32_t) n;
    r->max_tokens = r->chat.max_tokens ? HOLD_MIN(r->chat.max_tokens, room) : room;
    r->usage.prompt_tokens = (uint32_t) n;
    return 0;
}

/* Ids that the request names must be ones that the model has. */
static int check_ids(const struct hold_request *r, const struct hold_request_house *house, struct hold_err *err) {
    uint32_t vocab = house->plan->record->vocab;

    for (size_t i = 0; i < r->chat.n_bias; i++)
        if (r->chat.bias[i].id >= vocab)
            return hold_fail(err, HOLD_E_CONFIG, 0, "logit_bias: the model has no token %u", r->chat.bias[i].id);
    for (size_t i = 0; i < r->chat.n_stop_ids; i++)
        if (r->chat.stop_ids[i] >= vocab)
            return hold_fail(err, HOLD_E_CONFIG, 0, "stop_token_ids: the model has no token %u", r->chat.stop_ids[i]);
    return 0;
}

/* The messages and the files of the pictures live in scratch: many requests may wait, and they need neither. */
static int prepare(struct hold_request *r, const struct hold_request_house *house, const char *body, size_t n, struct hold_buf *notes,
                   struct hold_err *err) {
    hold_autoarena scratch = hold_arena_with_max(SCRATCH_BYTES);
    if (hold_chat_parse(body, n, &house->rules, &scratch, &r->chat, notes, err) < 0)
        return -1;
    for (size_t i = 0; i < r->chat.n_stops; i++)
        if (!(r->chat.stops[i] = hold_arena_copy(&r->arena, r->chat.stops[i], strlen(r->chat.stops[i]))))
            return hold_fail(err, HOLD_E_INTERNAL, 0, "out of memory");
    if (prepare_images(r, house, err) < 0 || prepare_ids(r, house, err) < 0 || check_ids(r, house, err) < 0)
        return -1;
    if (hold_stop_init(&r->stop, r->chat.stops, r->chat.n_stops, err) < 0)
        return -1;
    r->chat.messages = NULL;
    r->chat.n_messages = 0;
    memset(r->chat.images, 0, sizeof r->chat.images); /* n_images stays */
    r->decoder.shows_special = r->chat.shows_special;
    r->seed = r->chat.seed;
    if (!r->chat.has_seed && getrandom(&r->seed, sizeof r->seed, 0) != (ssize_t) sizeof r->seed)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "no random numbers");
    return 0;
}

static unsigned status_of(enum hold_errc code) {
    switch (code) {
    case HOLD_E_MISSING: return 404;
    case HOLD_E_CONFIG:
    case HOLD_E_FORMAT:
    case HOLD_E_LIMIT:
    case HOLD_E_DENIED: return 400;
    case HOLD_E_BUSY: return 429;
    case HOLD_E_NONE:
    case HOLD_E_IO:
    case HOLD_E_NET:
    case HOLD_E_DEVICE:
    case HOLD_E_INTERNAL:
    case HOLD_ERRC_COUNT: break;
    }
    return 500;
}

int hold_request_new(const struct hold_request_house *house, const char *body, size_t n, uint64_t number, uint64_t now_ms,
                     uint64_t wall_s, struct hold_buf *notes, struct hold_request **ret_request, unsigned *ret_status,
                     struct hold_err *err) {
    struct hold_request *r = calloc(1, sizeof *r);

    *ret_status = 500;
    if (!r)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "out of memory");
    *r = (struct hold_request) { .arrived_ms = now_ms, .said_ms = now_ms, .created = wall_s, .held_bytes = house->held_bytes };
    r->arena = hold_arena_with_max(ARENA_BYTES);
    r->ids = hold_buf_with_max(HOLD_FRAME_MAX_PROMPT * sizeof(uint32_t));
    r->text = hold_buf_with_max(TEXT_BYTES);
    r->logprobs = hold_buf_with_max(LOGPROB_BYTES);
    (void) snprintf(r->id, sizeof r->id, "%s%08jx", house->id_prefix, (uintmax_t) number);
    struct hold_err why = { 0 };
    if (prepare(r, house, body, n, notes, &why) < 0) {
        *ret_status = status_of(why.code);
        hold_request_free(r);
        return hold_fail(err, why.code, 0, "%s", why.text);
    }
    hold_metrics_observe(house->metrics, HOLD_HISTOGRAM_PROMPT, r->usage.prompt_tokens);
    hold_metrics_observe(house->metrics, HOLD_HISTOGRAM_MAX_TOKENS, r->max_tokens);
    house->metrics->prompt_tokens += r->usage.prompt_tokens;
    *ret_request = r;
    return 0;
}

void hold_request_free(struct hold_request *r) {
    if (!r)
        return;
    *r->held_bytes -= r->own_held_bytes;
    for (size_t i = 0; i < HOLD_CHAT_MAX_IMAGES; i++) {
        hold_image_release(&r->images[i].rgb);
        free(r->images[i].patches);
    }
    hold_arena_release(&r->arena);
    hold_buf_release(&r->ids);
    hold_buf_release(&r->text);
    hold_buf_release(&r->logprobs);
    free(r);
}

/* ---- to the engine ---- */

static int send_open(struct hold_request *r, struct hold_link *link, struct hold_err *err) {
    const struct hold_chat *c = &r->chat;
    struct hold_frame f = { .kind = HOLD_FRAME_OPEN, .session = r->session };
    struct hold_frame_open *o = &f.open;

    o->n_ids = (uint32_t) hold_ids_count(&r->ids);
    o->max_tokens = r->max_tokens;
    o->min_tokens = HOLD_MIN(c->min_tokens, r->max_tokens);
    o->ignore_eos = c->ignore_eos;
    o->want_logprobs = c->want_logprobs;
    o->n_top = c->n_top;
    o->sampling = (struct hold_frame_sampling) {
        .temperature = c->temperature,
        .top_p = c->top_p,
        .min_p = c->min_p,
        .frequency_penalty = c->frequency_penalty,
        .presence_penalty = c->presence_penalty,
        .repetition_penalty = c->repetition_penalty,
        .top_k = c->top_k,
        .seed = r->seed,
    };
    o->n_images = (uint32_t) c->n_images;
    for (size_t i = 0; i < c->n_images; i++)
        o->images[i] = (struct hold_frame_grid) { 1, r->images[i].size.grid_h, r->images[i].size.grid_w };
    o->n_stop_ids = (uint32_t) c->n_stop_ids;
    memcpy(o->stop_ids, c->stop_ids, c->n_stop_ids * sizeof *c->stop_ids);
    o->n_bias = (uint32_t) c->n_bias;
    for (size_t i = 0; i < c->n_bias; i++)
        o->bias[i] = (struct hold_frame_bias) { c->bias[i].id, c->bias[i].add };
    return hold_link_send(link, &f, err);
}

static int send_ids(struct hold_request *r, struct hold_link *link, struct hold_err *err) {
    size_t n_ids = hold_ids_count(&r->ids);

    while (r->sent_ids < n_ids) {
        struct hold_frame f = { .kind = HOLD_FRAME_IDS, .session = r->session };
        f.ids.offset = (uint32_t) r->sent_ids;
        f.ids.n = (uint32_t) HOLD_MIN(n_ids - r->sent_ids, (size_t) HOLD_FRAME_MAX_IDS);
        memcpy(f.ids.ids, hold_ids_of(&r->ids) + r->sent_ids, f.ids.n * sizeof(uint32_t));
        if (hold_link_send(link, &f, err) < 0)
            return -1;
        r->sent_ids += f.ids.n;
    }
    return 0;
}

static int make_patches(struct hold_request *r, struct hold_request_image *image, const struct hold_patch_rule *rule, struct hold_err *err) {
    uint64_t rgb_bytes = (uint64_t) image->rgb.height * image->rgb.width * 3;

    image->patches = calloc((size_t) image->size.n_patches * image->size.patch_dim, sizeof(float));
    if (!image->patches)
        return hold_fail(err, HOLD_E_LIMIT, 0, "out of memory for %u patches", image->size.n_patches);
    if (hold_patchify(rule, (const uint8_t *) image->rgb.pixels.data, image->rgb.height, image->rgb.width, &image->size, image->patches, err) < 0)
        return -1;
    hold_image_release(&image->rgb);
    r->own_held_bytes -= rgb_bytes;
    *r->held_bytes -= rgb_bytes;
    return 0;
}

/* 1 all sent, 0 no room, -1 error. */
static int send_patches(struct hold_request *r, const struct hold_request_house *house, struct hold_link *link, struct hold_err *err) {
    while (r->sent_images < r->chat.n_images) {
        struct hold_request_image *image = &r->images[r->sent_images];
        uint64_t total = (uint64_t) image->size.n_patches * image->size.patch_dim * sizeof(float);
        uint32_t n = (uint32_t) HOLD_MIN(total - image->sent_bytes, HOLD_MIN((uint64_t) HOLD_FRAME_MAX_SLICE, (uint64_t) link->ring.bytes / 4));
        struct hold_frame f = { .kind = HOLD_FRAME_PATCHES, .session = r->session };
        struct hold_err busy = { 0 };
        void *place;

        if (!image->patches && make_patches(r, image, &house->patch_rule, err) < 0)
            return -1;
        if (hold_ring_claim(&link->ring, n, &f.patches.position, &place, &busy) < 0)
            return busy.code == HOLD_E_BUSY ? 0 : hold_fail(err, busy.code, 0, "%s", busy.text);
        memcpy(place, (const char *) image->patches + image->sent_bytes, n);
        f.patches.image = (uint32_t) r->sent_images;
        f.patches.bytes = n;
        f.patches.offset = image->sent_bytes;
        if (hold_link_send(link, &f, err) < 0)
            return -1;
        image->sent_bytes += n;
        if (image->sent_bytes == total) {
            free(image->patches);
            image->patches = NULL;
            r->sent_images++;
        }
    }
    return 1;
}

int hold_request_pump(struct hold_request *r, const struct hold_request_house *house, uint64_t session, struct hold_link *link,
                      uint64_t now_ms, struct hold_err *err) {
    if (!r->is_open) {
        r->session = session;
        if (send_open(r, link, err) < 0)
            return -1;
        r->is_open = true;
        r->opened_ms = now_ms;
    }
    if (send_ids(r, link, err) < 0)
        return -1;
    return send_patches(r, house, link, err);
}

/* ---- to the client ---- */

static struct hold_chat_answer answer_of(const struct hold_request *r) {
    return (struct hold_chat_answer) { .id = r->id, .created = r->created, .model = r->chat.model };
}

/* False: the client reads too slowly. */
static bool say(struct hold_request *r, const struct hold_buf *events, uint64_t now_ms) {
    r->said_ms = now_ms;
    return r->call && hold_call_write(r->call, events->data, events->n);
}

static bool begin_stream(struct hold_request *r, uint64_t now_ms) {
    if (r->is_streaming)
        return true;
    hold_autobuf json = hold_buf_with_max(4096), events = hold_buf_with_max(8192);
    struct hold_chat_answer a = answer_of(r);
    r->is_streaming = true;
    hold_call_stream(r->call);
    hold_chat_chunk_role(&json, &a);
    hold_sse_event(&events, json.data, json.n);
    return say(r, &events, now_ms);
}

/* What of the text is certain goes out as one chunk. */
static bool flush_text(struct hold_request *r, uint64_t now_ms) {
    if (r->text.n == 0)
        return true;
    hold_autobuf json = hold_buf_with_max(LOGPROB_BYTES + TEXT_BYTES), events = hold_buf_with_max(LOGPROB_BYTES + TEXT_BYTES);
    struct hold_chat_answer a = answer_of(r);
    hold_chat_chunk_text(&json, &a, r->text.data, r->text.n, r->chat.want_logprobs && r->logprobs.n ? &r->logprobs : NULL,
                         r->chat.continuous_usage ? &r->usage : NULL);
    hold_sse_event(&events, json.data, json.n);
    hold_buf_clear(&r->text);
    hold_buf_clear(&r->logprobs);
    return !json.failed && !events.failed && say(r, &events, now_ms);
}

static void count_end(struct hold_request *r, const struct hold_request_house *house, uint64_t now_ms) {
    struct hold_metrics *m = house->metrics;

    hold_metrics_observe(m, HOLD_HISTOGRAM_GENERATION, r->usage.completion_tokens);
    hold_metrics_observe(m, HOLD_HISTOGRAM_E2E, (double) (now_ms - r->arrived_ms) / 1000);
    if (r->first_ms)
        hold_metrics_observe(m, HOLD_HISTOGRAM_DECODE, (double) (r->last_ms - r->first_ms) / 1000);
    m->cached_tokens += r->usage.cached_tokens;
}

static void finish(struct hold_request *r, const struct hold_request_house *house, const struct hold_chat_finish *why, uint64_t now_ms) {
    hold_autobuf json = hold_buf_with_max(LOGPROB_BYTES + TEXT_BYTES), events = hold_buf_with_max(65536);
    struct hold_chat_answer a = answer_of(r);

    r->is_over = true;
    count_end(r, house, now_ms);
    if (!r->call)
        return;
    if (!r->chat.is_stream) {
        hold_chat_whole(&json, &a, r->text.data ? r->text.data : "", r->text.n, r->chat.want_logprobs ? &r->logprobs : NULL, why, &r->usage);
        if (json.failed || r->text.failed || r->logprobs.failed) {
            hold_request_fail(r, house, 500, 0, "the answer is longer than this server can hold");
            return;
        }
        hold_call_answer(r->call, 200, "application/json", 0, json.data, json.n);
        return;
    }
    if (begin_stream(r, now_ms) && flush_text(r, now_ms)) {
        hold_chat_chunk_finish(&json, &a, why, r->chat.continuous_usage ? &r->usage : NULL);
        hold_sse_event(&events, json.data, json.n);
        if (r->chat.include_usage) {
            hold_buf_clear(&json);
            hold_chat_chunk_usage(&json, &a, &r->usage);
            hold_sse_event(&events, json.data, json.n);
        }
        hold_sse_done(&events);
        (void) say(r, &events, now_ms);
    }
    hold_call_finish(r->call);
}

static void add_logprob(struct hold_request *r, const struct hold_tok *tok, const struct hold_frame_token *t) {
    struct hold_chat_logprob one = { .logprob = t->logprob }, top[HOLD_FRAME_MAX_TOP];

    one.bytes = hold_tok_text(tok, t->id, &one.n);
    for (uint32_t i = 0; i < t->n_top; i++) {
        top[i].bytes = hold_tok_text(tok, t->top[i].id, &top[i].n);
        top[i].logprob = t->top[i].logprob;
    }
    if (r->logprobs.n)
        hold_buf_addc(&r->logprobs, ',');
    hold_chat_logprob(&r->logprobs, &one, top, t->n_top);
}

/* The longest of the strings that the text ends with, as hold_stop_feed has it. */
static const char *stopped_by(const struct hold_request *r) {
    const char *longest = NULL;
    for (size_t i = 0; i < r->chat.n_stops; i++)
        if (r->stop.strings[i].matched == r->stop.strings[i].n && (!longest || strlen(longest) < r->stop.strings[i].n))
            longest = r->chat.stops[i];
    return longest;
}

bool hold_request_token(struct hold_request *r, const struct hold_request_house *house, const struct hold_frame_token *token,
                        uint64_t now_ms) {
    hold_autobuf decoded = hold_buf_with_max(65536);

    if (r->is_over)
        return false;
    if (r->usage.completion_tokens == 0) {
        r->first_ms = now_ms;
        hold_metrics_observe(house->metrics, HOLD_HISTOGRAM_TTFT, (double) (now_ms - r->arrived_ms) / 1000);
        hold_metrics_observe(house->metrics, HOLD_HISTOGRAM_PREFILL, (double) (now_ms - r->opened_ms) / 1000);
    } else {
        hold_metrics_observe(house->metrics, HOLD_HISTOGRAM_TPOT, (double) (now_ms - r->last_ms) / 1000);
    }
    r->last_ms = now_ms;
    r->usage.completion_tokens++;
    house->metrics->generation_tokens++;

    hold_tok_stream_put(house->tok, &r->decoder, token->id, &decoded);
    bool is_stopped = hold_stop_feed(&r->stop, decoded.data ? decoded.data : "", decoded.n, &r->text);
    if (r->chat.want_logprobs)
        add_logprob(r, house->tok, token);
    if (is_stopped) {
        const struct hold_chat_finish why = { .reason = "stop", .stop = stopped_by(r) };
        finish(r, house, &why, now_ms);
        house->metrics->finished_stop++;
        return true;
    }
    if (r->chat.is_stream && !(begin_stream(r, now_ms) && flush_text(r, now_ms))) {
        hold_request_fail(r, house, 500, 0, "the client reads too slowly");
        return true;
    }
    return false;
}

void hold_request_end(struct hold_request *r, const struct hold_request_house *house, const struct hold_frame_end *end, uint64_t now_ms) {
    struct hold_chat_finish why = { .reason = end->reason == HOLD_END_LENGTH ? "length" : "stop" };
    hold_autobuf decoded = hold_buf_with_max(64);

    if (r->is_over)
        return;
    r->usage.cached_tokens = end->cached_tokens;
    r->usage.completion_tokens = end->completion_tokens; /* with the token that ended it */
    hold_tok_stream_end(&r->decoder, &decoded);
    if (!hold_stop_feed(&r->stop, decoded.data ? decoded.data : "", decoded.n, &r->text))
        hold_stop_end(&r->stop, &r->text);
    for (size_t i = 0; i < r->chat.n_stop_ids; i++)
        if (end->reason == HOLD_END_STOP && r->chat.stop_ids[i] == end->stop_id) {
            why.has_stop_id = true;
            why.stop_id = end->stop_id;
        }
    finish(r, house, &why, now_ms);
    if (end->reason == HOLD_END_LENGTH)
        house->metrics->finished_length++;
    else
        house->metrics->finished_stop++;
}

void hold_request_fail(struct hold_request *r, const struct hold_request_house *house, unsigned status, unsigned retry_after_s,
                       const char *message) {
    hold_autobuf json = hold_buf_with_max(8192), events = hold_buf_with_max(16384);

    r->is_over = true;
    house->metrics->finished_error++;
    if (!r->call)
        return;
    hold_api_error(&json, status, message, NULL);
    if (!r->is_streaming) {
        hold_call_answer(r->call, status, "application/json", retry_after_s, json.data, json.n);
        return;
    }
    hold_sse_event(&events, json.data, json.n);
    (void) say(r, &events, r->said_ms); /* no room: the stream is cut, which its reader notices by the missing [DONE] */
    hold_call_finish(r->call);
}

void hold_request_ping(struct hold_request *r, uint64_t now_ms) {
    hold_autobuf events = hold_buf_with_max(64);

    if (r->is_over || !r->chat.is_stream || !r->call || now_ms - r->said_ms < HOLD_REQUEST_PING_MS)
        return;
    hold_sse_ping(&events);
    (void) (begin_stream(r, now_ms) && say(r, &events, now_ms));
}
