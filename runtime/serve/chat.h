/* chat.h - a chat request's JSON to a checked struct, and answers back to JSON. Floor: runtime/serve, pure.
 *
 * What changes an answer is either done or refused by name; nothing that matters is ignored. Unknown fields are noted and skipped, as
 * other servers do. All mistakes of a request are told at once. */
#ifndef HOLD_RUNTIME_SERVE_CHAT_H
#define HOLD_RUNTIME_SERVE_CHAT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"
#include "runtime/text/stop.h"
#include "runtime/text/template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_CHAT_MAX_IMAGES 16u
#define HOLD_CHAT_MAX_STOP_IDS 16u
#define HOLD_CHAT_MAX_BIAS 128u
#define HOLD_CHAT_MAX_TOP 20u

/* What the server allows and where its defaults come from. Borrowed. */
struct hold_chat_rules {
    const struct hold_strs *names; /* served model names; the first is the answer's */
    uint32_t max_images;           /* at most HOLD_CHAT_MAX_IMAGES; 0: the model takes none */
    uint64_t max_pixels;           /* of an image, after its resize: a request may ask for less */
    float temperature, top_p, repetition_penalty; /* the checkpoint's defaults; NAN: none */
    uint32_t top_k;                               /* 0: none */
};

struct hold_chat_image {
    const unsigned char *bytes; /* a PNG or JPEG file */
    size_t n;
};

struct hold_chat_bias {
    uint32_t id;
    float add;
};

struct hold_chat {
    const char *model; /* as asked for: one of the served names */
    const struct hold_message *messages;
    size_t n_messages;
    struct hold_chat_image images[HOLD_CHAT_MAX_IMAGES]; /* in order of appearance */
    size_t n_images;
    bool opens_reply;    /* add_generation_prompt */
    uint64_t max_pixels;
    uint32_t max_tokens; /* 0: as many as fit */
    uint32_t min_tokens;
    float temperature, top_p, min_p, frequency_penalty, presence_penalty, repetition_penalty;
    uint32_t top_k; /* 0: off */
    bool has_seed;
    uint64_t seed;
    const char *stops[HOLD_STOP_MAX_STRINGS];
    size_t n_stops;
    uint32_t stop_ids[HOLD_CHAT_MAX_STOP_IDS];
    size_t n_stop_ids;
    struct hold_chat_bias bias[HOLD_CHAT_MAX_BIAS];
    size_t n_bias;
    bool ignore_eos, shows_special;
    bool want_logprobs;
    uint32_t n_top;
    bool is_stream, include_usage, continuous_usage;
};

/* body n bytes of JSON. Everything that ret_chat points to lives in arena. notes gets the unknown fields' names, one a line.
 * Fails with MISSING (no such model: 404), or FORMAT, CONFIG, LIMIT (400), the text fit for the client. */
HOLD_MUST int hold_chat_parse(const char *body, size_t n, const struct hold_chat_rules *rules, struct hold_arena *arena,
                              struct hold_chat *ret_chat, struct hold_buf *notes, struct hold_err *err);

/* What every piece of one answer has in common. */
struct hold_chat_answer {
    const char *id; /* "chatcmpl-..." */
    uint64_t created;
    const char *model;
};

struct hold_usage {
    uint32_t prompt_tokens, completion_tokens, cached_tokens;
};

/* Pieces of a stream, appended as JSON without line breaks. logprobs NULL: none; else the JSON of a content list's elements. */
void hold_chat_chunk_role(struct hold_buf *out, const struct hold_chat_answer *a);
void hold_chat_chunk_text(struct hold_buf *out, const struct hold_chat_answer *a, const char *text, size_t n,
                          const struct hold_buf *logprobs, const struct hold_usage *usage);
/* finish_reason "stop" or "length"; stop_reason is the request's own stop string or stop id that ended it, else null. */
struct hold_chat_finish {
    const char *reason;
    const char *stop; /* NULL: none */
    bool has_stop_id;
    uint32_t stop_id;
};
void hold_chat_chunk_finish(struct hold_buf *out, const struct hold_chat_answer *a, const struct hold_chat_finish *finish,
                            const struct hold_usage *usage);
void hold_chat_chunk_usage(struct hold_buf *out, const struct hold_chat_answer *a, const struct hold_usage *usage);
/* The whole answer of a request without stream. */
void hold_chat_whole(struct hold_buf *out, const struct hold_chat_answer *a, const char *text, size_t n, const struct hold_buf *logprobs,
                     const struct hold_chat_finish *finish, const struct hold_usage *usage);

/* One element of a logprobs list: a token's raw bytes, its logprob and its alternatives, each with bytes. */
struct hold_chat_logprob {
    const char *bytes;
    size_t n;
    float logprob;
};
void hold_chat_logprob(struct hold_buf *out, const struct hold_chat_logprob *token, const struct hold_chat_logprob *top, size_t n_top);

#endif
