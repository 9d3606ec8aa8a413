/* session.h - one request as the engine holds it: what came, what is stored, what was made. Floor: runtime/engine. */
#ifndef HOLD_RUNTIME_ENGINE_SESSION_H
#define HOLD_RUNTIME_ENGINE_SESSION_H

#include "base/err.h"
#include "runtime/model/model.h"
#include "runtime/model/position.h"
#include "runtime/model/sample.h"
#include "runtime/wire/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_SESSION_MAX_END_IDS (HOLD_PLAN_MAX_EOS + HOLD_FRAME_MAX_STOP_IDS)

enum hold_session_state {
    HOLD_SESSION_RECEIVING, /* ids or patches are still to come */
    HOLD_SESSION_WAITING,   /* whole; waits for a place and for pages */
    HOLD_SESSION_RUNNING,   /* has its pages; images are encoded, rows run */
};

struct hold_session_image {
    struct hold_grid grid;
    float *patches;       /* host; let go once encoded */
    uint64_t got_bytes, total_bytes;
    struct hold_t2 rows;  /* on the device once encoded; let go once the prompt is stored */
    uint32_t first, n;    /* place of its placeholders in the prompt */
};

/* What a session may be; from the model and the memory plan. */
struct hold_session_limits {
    const struct hold_record *record;
    uint32_t patch_len;    /* floats of one patch row; 0: text only */
    uint32_t max_context;
    uint32_t max_patches;  /* of one image */
    uint64_t max_image_bytes; /* of all patches of one session */
};

struct hold_session {
    struct hold_session *next;
    uint64_t id;
    enum hold_session_state state;
    struct hold_frame_open open; /* max_tokens cut to what fits */
    uint32_t *ids;               /* [n_ids + max_tokens]: prompt, then generated */
    uint32_t got_ids, n_generated, n_stored;
    struct hold_session_image images[HOLD_FRAME_MAX_IMAGES];
    uint32_t got_images, encoded_images;
    int32_t (*pos)[3]; /* [n_ids] */
    int32_t delta;
    int32_t *pages;
    uint32_t n_pages;
    struct hold_bias bias[HOLD_FRAME_MAX_BIAS];
    uint32_t end_ids[HOLD_SESSION_MAX_END_IDS];
    size_t n_end_ids;
};

/* A session from its first frame. On failure *ret_reason says what to answer: TOO_LONG, REFUSED, BUSY. */
HOLD_MUST int hold_session_new(const struct hold_frame *f, const struct hold_session_limits *limits, struct hold_session **ret_session,
                               enum hold_fail_reason *ret_reason, struct hold_err *err);
/* The caller has given pages and image rows back. Accepts NULL. */
void hold_session_free(struct hold_session *s);

/* The next ids; patches is the ring's memory, copied once and then checked. Fails with FORMAT when a rule of the protocol is broken. When everything has come the
 * positions are computed and the state is WAITING; prompt and images that disagree fail with CONFIG. */
HOLD_MUST int hold_session_ids(struct hold_session *s, const struct hold_frame_ids *ids, const struct hold_session_limits *limits,
                               struct hold_err *err);
HOLD_MUST int hold_session_patches(struct hold_session *s, const struct hold_frame_patches *p, const void *patches,
                                   const struct hold_session_limits *limits, struct hold_err *err);

/* Tokens it has, prompt and generated. */
static inline uint32_t hold_session_known(const struct hold_session *s) {
    return s->open.n_ids + s->n_generated;
}
/* Does this id end it now? */
bool hold_session_ends_at(const struct hold_session *s, const struct hold_record *record, uint32_t id);
/* The sampler of its next token; borrows from the session. */
struct hold_sampler hold_session_sampler(const struct hold_session *s);

#endif
