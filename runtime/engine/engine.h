/* engine.h - sessions: frame in, step, frame out. Floor: runtime/engine. One thread; blocks only inside a step.
 *
 * A session's pages are reserved when it starts to run, for prompt and longest answer, so nothing that runs is ever put out. A cancel
 * is seen before the next step. Logits that are not numbers fail their request and mark the engine unhealthy for good: a
 * plausible answer from a broken model is worse than none. When the front goes, its sessions end; weights and cache stay. */
#ifndef HOLD_RUNTIME_ENGINE_ENGINE_H
#define HOLD_RUNTIME_ENGINE_ENGINE_H

#include "base/err.h"
#include "runtime/model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold_engine;

struct hold_engine_limits {
    uint32_t max_context;  /* tokens of one session, prompt and answer */
    uint32_t max_sessions; /* running at once */
    uint32_t max_waiting;  /* whole or arriving, beside the running ones */
    uint32_t max_rows;     /* rows of one step; at least max_sessions + 1 */
    uint32_t max_patches;  /* of one image; 0: text only */
    uint32_t n_pages;      /* of the cache; at least one context */
};

/* Takes cache and work space on the stream's device. Weights and stream are borrowed until hold_engine_close. */
HOLD_MUST int hold_engine_open(const struct hold_weights *weights, struct hold_stream *stream, const struct hold_engine_limits *limits,
                               struct hold_engine **ret_engine, struct hold_err *err);
void hold_engine_close(struct hold_engine **engine);

/* One real inference: a prompt with a small picture where the model has eyes, and two tokens. Fails with DEVICE when a logit
 * is not a number. */
HOLD_MUST int hold_engine_warm(struct hold_engine *engine, struct hold_err *err);

/* A new pairing; both descriptors become the engine's, also on failure. Sessions of the old one end. */
HOLD_MUST int hold_engine_pair(struct hold_engine *engine, uint64_t generation, int fd, int ring_fd, struct hold_err *err);
/* The end to wait on or -1, for writing too when *ret_wants_write. */
int hold_engine_link_fd(const struct hold_engine *engine, bool *ret_wants_write);
/* Takes in and sends out what can be without waiting. */
void hold_engine_talk(struct hold_engine *engine);
/* Is there something to compute? Then hold_engine_step does one piece of it: one image, or one batch. Fails with DEVICE when the device
 * cannot be used any more: the process ends and another one starts. */
bool hold_engine_has_work(const struct hold_engine *engine);
HOLD_MUST int hold_engine_step(struct hold_engine *engine, struct hold_err *err);

/* No new session from now on. */
void hold_engine_drain(struct hold_engine *engine);
size_t hold_engine_sessions(const struct hold_engine *engine);
bool hold_engine_is_healthy(const struct hold_engine *engine);
uint64_t hold_engine_tokens(const struct hold_engine *engine); /* generated so far */

#endif
