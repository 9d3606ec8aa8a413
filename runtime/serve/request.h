/* request.h - one chat request, from its bytes to its last event. Floor: runtime/serve.
 *
 * It is made whole or not at all: after hold_request_new the prompt's ids and the pictures are there and checked, and what
 * is left is to hand them to an engine and to turn tokens into text. The front (serve/front.c) owns the list of them. */
#ifndef HOLD_RUNTIME_SERVE_REQUEST_H
#define HOLD_RUNTIME_SERVE_REQUEST_H

#include "runtime/image/decode.h"
#include "runtime/image/patch.h"
#include "runtime/plan/plan.h"
#include "runtime/serve/chat.h"
#include "runtime/serve/http.h"
#include "runtime/serve/metrics.h"
#include "runtime/text/token.h"
#include "runtime/wire/link.h"

#define HOLD_REQUEST_PING_MS 10000u
#define HOLD_REQUEST_MAX_PIXELS (UINT64_C(64) << 20) /* of all pictures of a request, before their resize */

#define HOLD_REQUEST_MAX_HELD_BYTES (UINT64_C(512) << 20)

/* What every request of one front needs. Borrowed by all of them. */
struct hold_request_house {
    const struct hold_plan *plan;
    const struct hold_tok *tok;
    struct hold_chat_rules rules;
    struct hold_patch_rule patch_rule;
    enum hold_content_format format;
    bool parses_special;
    uint32_t max_context;     /* as the engine said */
    uint64_t *held_bytes;     /* of decoded pictures of all requests, up to HOLD_REQUEST_MAX_HELD_BYTES */
    struct hold_metrics *metrics;
    const char *id_prefix;    /* "chatcmpl-" and this front's own part */
};

struct hold_request_image {
    struct hold_image rgb; /* let go once its patches are made */
    struct hold_patch_size size;
    float *patches;        /* [n_patches, patch_dim]; made when the first slice is due, let go after the last */
    uint64_t sent_bytes;
};

struct hold_request {
    struct hold_request *next;
    struct hold_call *call;
    uint64_t session; /* 0: not opened yet */
    struct hold_arena arena; /* the stop strings; the messages are let go once the ids are there */
    struct hold_chat chat;
    uint64_t *held_bytes, own_held_bytes; /* of pictures not cut into patches yet */
    struct hold_buf ids; /* of the prompt, image tokens expanded */
    struct hold_request_image images[HOLD_CHAT_MAX_IMAGES];
    uint32_t max_tokens;
    uint64_t seed;
    /* towards the engine */
    bool is_open;
    size_t sent_ids, sent_images;
    /* towards the client */
    char id[80];
    uint64_t created;
    bool is_streaming, is_over;
    struct hold_tok_stream decoder;
    struct hold_stop stop;
    struct hold_buf text;     /* of the whole answer, or of a stream what is not out yet */
    struct hold_buf logprobs; /* elements of the tokens whose text is not out yet; all of them without a stream */
    struct hold_usage usage;
    uint64_t arrived_ms, opened_ms, first_ms, last_ms, said_ms;
};

/* Parses body and prepares everything. On failure *ret_status is what to answer with (400, 404, 429, 500) and err says why. notes as
 * hold_chat_parse. wall_s: seconds since 1970. Takes the time of decoding the pictures. */
HOLD_MUST int hold_request_new(const struct hold_request_house *house, const char *body, size_t n, uint64_t number, uint64_t now_ms,
                               uint64_t wall_s, struct hold_buf *notes, struct hold_request **ret_request, unsigned *ret_status,
                               struct hold_err *err);
void hold_request_free(struct hold_request *r); /* accepts NULL */

/* Sends what the engine does not have yet: 1 all of it is sent, 0 the ring has no room, -1 the link broke. session is given at the first call. */
HOLD_MUST int hold_request_pump(struct hold_request *r, const struct hold_request_house *house, uint64_t session, struct hold_link *link,
                                uint64_t now_ms, struct hold_err *err);

/* One token came. True: the answer is complete by a stop string, or the client reads too slowly: the session is to be cancelled. */
bool hold_request_token(struct hold_request *r, const struct hold_request_house *house, const struct hold_frame_token *token,
                        uint64_t now_ms);
/* The engine ended it. */
void hold_request_end(struct hold_request *r, const struct hold_request_house *house, const struct hold_frame_end *end, uint64_t now_ms);
/* It cannot go on: an answer with this status where nothing was sent yet, else one error event, then the end of the stream. */
void hold_request_fail(struct hold_request *r, const struct hold_request_house *house, unsigned status, unsigned retry_after_s,
                       const char *message);
/* A comment to a client that has heard nothing for HOLD_REQUEST_PING_MS. */
void hold_request_ping(struct hold_request *r, uint64_t now_ms);

#endif
