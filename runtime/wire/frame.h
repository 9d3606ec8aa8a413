/* frame.h - one message between front and engine: versioned, fixed layout, every field bounded. Floor: runtime/wire, pure.
 *
 * Little-endian, no padding, at most HOLD_FRAME_MAX_BYTES, one frame a SOCK_SEQPACKET message:
 *
 *     0  u32 magic      "HFw1"           16 u64 generation   of the pairing that the frame belongs to
 *     4  u16 version    1                24 u64 session      chosen by the front, never 0 for a session's frame
 *     6  u16 kind                        32 the payload of the kind, laid out as frame.c's put functions write it
 *     8  u32 bytes      of the frame, this head included
 *    12  u32 zero
 *
 * A session goes: OPEN, then IDS until n_ids have come, PATCHES until every image is whole (in image order, each slice where the last one
 * ended); back come TOKENs numbered from 0 and exactly one END or FAIL. CANCEL may come at any time; its answer is the END.
 * The parser believes nothing: counts, ranges, finite numbers, exact length. What only the receiver can know (ids below
 * the vocabulary, ring positions, order) the receiver checks. */
#ifndef HOLD_RUNTIME_WIRE_FRAME_H
#define HOLD_RUNTIME_WIRE_FRAME_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_FRAME_VERSION 1u
#define HOLD_FRAME_HEAD_BYTES 32u
#define HOLD_FRAME_MAX_BYTES 17000u
#define HOLD_FRAME_MAX_IDS 4096u          /* in one IDS frame */
#define HOLD_FRAME_MAX_PROMPT (1u << 20)  /* ids of one session */
#define HOLD_FRAME_MAX_IMAGES 16u
#define HOLD_FRAME_MAX_SIDE 4096u         /* a side of an image's grid, in patches */
#define HOLD_FRAME_MAX_STOP_IDS 16u
#define HOLD_FRAME_MAX_BIAS 128u
#define HOLD_FRAME_MAX_TOP 20u
#define HOLD_FRAME_MAX_TEXT 240u
#define HOLD_FRAME_MAX_SLICE (4u << 20)   /* bytes of one PATCHES slice in the ring */

/* Who may send a kind: X(ID, "name", from front). */
#define HOLD_FRAME_KIND_LIST(X)                                                             \
    X(OPEN, "open", true)        /* a session: how much will come, how to sample */         \
    X(IDS, "ids", true)          /* the next token ids of the prompt */                     \
    X(PATCHES, "patches", true)  /* the next slice of an image's patches stands in the ring */ \
    X(CANCEL, "cancel", true)    /* the client left */                                      \
    X(STATUS, "status", false)   /* how the engine is; first frame of a pairing, then at each change */ \
    X(GAVE, "gave", false)       /* the ring is free again up to a position */              \
    X(TOKEN, "token", false)     /* one generated token */                                  \
    X(END, "end", false)         /* the session is over, with reason and usage */           \
    X(FAIL, "fail", false)       /* the session is over, with an error */

enum hold_frame_kind {
    HOLD_FRAME_NONE,
#define X(id, name, from_front) HOLD_FRAME_##id,
    HOLD_FRAME_KIND_LIST(X)
#undef X
    HOLD_FRAME_KIND_COUNT
};

/* Why a session ended by itself. CANCELLED answers a CANCEL. X(ID, "name") */
#define HOLD_END_LIST(X) X(STOP, "stop") X(LENGTH, "length") X(CANCELLED, "abort")
enum hold_end_reason {
#define X(id, name) HOLD_END_##id,
    HOLD_END_LIST(X)
#undef X
    HOLD_END_COUNT
};

/* Why a session failed. X(ID, "name") */
#define HOLD_FAIL_LIST(X)                                                              \
    X(REFUSED, "refused")   /* the frames of the session broke a rule of this protocol */ \
    X(TOO_LONG, "too_long") /* the prompt leaves no room */                            \
    X(BUSY, "busy")         /* the line is full */                                     \
    X(NAN, "nan")           /* the logits are not numbers; the engine is unhealthy */  \
    X(DEVICE, "device")     /* the device failed */                                    \
    X(STOPPING, "stopping") /* the engine takes no new session */
enum hold_fail_reason {
#define X(id, name) HOLD_FAIL_##id,
    HOLD_FAIL_LIST(X)
#undef X
    HOLD_FAIL_COUNT
};

/* Temporal, vertical and horizontal number of patches; each at least 1. */
struct hold_frame_grid {
    uint32_t t, h, w;
};

struct hold_frame_bias {
    uint32_t id;
    float add; /* -100..100 */
};

/* How tokens are chosen; the order of the steps is model/sample.h's. */
struct hold_frame_sampling {
    float temperature;        /* 0..100; 0 is greedy */
    float top_p;              /* above 0, at most 1 */
    float min_p;              /* 0..1 */
    float frequency_penalty;  /* -2..2 */
    float presence_penalty;   /* -2..2 */
    float repetition_penalty; /* above 0, at most 100; 1 is none */
    uint32_t top_k;           /* 0: off */
    uint64_t seed;            /* with the position, the whole of the randomness */
};

struct hold_frame_open {
    uint32_t n_ids;      /* 1..HOLD_FRAME_MAX_PROMPT, image tokens expanded */
    uint32_t max_tokens; /* at least 1 */
    uint32_t min_tokens; /* at most max_tokens: no end token is chosen before */
    bool ignore_eos;
    bool want_logprobs;
    uint32_t n_top;      /* 0..HOLD_FRAME_MAX_TOP alternatives a token; 0 unless want_logprobs */
    struct hold_frame_sampling sampling;
    uint32_t n_images;
    struct hold_frame_grid images[HOLD_FRAME_MAX_IMAGES];
    uint32_t n_stop_ids;
    uint32_t stop_ids[HOLD_FRAME_MAX_STOP_IDS];
    uint32_t n_bias;
    struct hold_frame_bias bias[HOLD_FRAME_MAX_BIAS];
};

struct hold_frame_ids {
    uint32_t offset; /* of ids[0] in the prompt */
    uint32_t n;      /* 1..HOLD_FRAME_MAX_IDS */
    uint32_t ids[HOLD_FRAME_MAX_IDS];
};

/* A slice of one image's patches, f32 rows as image/patch.h makes them, raw bytes in the ring. */
struct hold_frame_patches {
    uint32_t image;    /* index into the session's images */
    uint32_t bytes;    /* 1..HOLD_FRAME_MAX_SLICE */
    uint64_t offset;   /* of this slice in the image's patches, bytes */
    uint64_t position; /* in the ring, as hold_ring_claim gave it */
};

struct hold_frame_status {
    bool is_healthy;
    uint32_t max_context; /* tokens of one session, prompt and answer */
    uint32_t n_running, n_waiting;
    uint32_t pages_used, pages_total;
    uint32_t page_tokens; /* tokens of a page */
};

struct hold_frame_gave {
    uint64_t position;
};

struct hold_frame_top {
    uint32_t id;
    float logprob; /* at most 0; -INFINITY is sent as -FLT_MAX */
};

struct hold_frame_token {
    uint32_t index; /* 0 for the first generated one */
    uint32_t id;
    float logprob;  /* 0 unless asked for */
    uint32_t n_top;
    struct hold_frame_top top[HOLD_FRAME_MAX_TOP];
};

struct hold_frame_end {
    enum hold_end_reason reason;
    uint32_t stop_id; /* the token that stopped it, not among the TOKENs; UINT32_MAX: none */
    uint32_t prompt_tokens, completion_tokens, cached_tokens;
};

struct hold_frame_fail {
    enum hold_fail_reason reason;
    char text[HOLD_FRAME_MAX_TEXT + 1]; /* for people; terminated, no control byte */
};

struct hold_frame {
    enum hold_frame_kind kind;
    uint64_t generation;
    uint64_t session; /* 0 in STATUS and GAVE only */
    union {
        struct hold_frame_open open;
        struct hold_frame_ids ids;
        struct hold_frame_patches patches;
        struct hold_frame_status status;
        struct hold_frame_gave gave;
        struct hold_frame_token token;
        struct hold_frame_end end;
        struct hold_frame_fail fail;
    };
};

const char *hold_frame_name(enum hold_frame_kind kind);
const char *hold_end_name(enum hold_end_reason reason);
const char *hold_fail_name(enum hold_fail_reason reason);

/* Writes f into out and gives its length. The frame must be one that hold_frame_parse accepts from the same side: the
 * writer checks with the same rules, so that a mistake is found where it was made (INTERNAL). No allocation. */
HOLD_MUST int hold_frame_put(const struct hold_frame *f, unsigned char out[HOLD_FRAME_MAX_BYTES], size_t *ret_n,
                             struct hold_err *err);
/* n bytes that came from the other side; from_front says which side that is. Fails with FORMAT, naming the field. */
HOLD_MUST int hold_frame_parse(const unsigned char *bytes, size_t n, bool from_front, struct hold_frame *ret_frame,
                               struct hold_err *err);

#endif
