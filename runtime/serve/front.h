/* front.h - all requests of one front, between the HTTP side and the engine of the moment. Floor: runtime/serve.
 *
 * It answers 503 with Retry-After and the phase until a plan and an engine that has said how it is are there. An engine that
 * dies ends what was open with one explicit error each; the next one serves the next request. One thread; the caller
 * (runtime/front_main.c) waits on the two descriptors and calls hold_front_run. */
#ifndef HOLD_RUNTIME_SERVE_FRONT_H
#define HOLD_RUNTIME_SERVE_FRONT_H

#include "base/err.h"
#include "base/opt.h"
#include "runtime/plan/plan.h"
#include "runtime/text/template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold_front;

/* Borrowed until hold_front_close. */
struct hold_front_config {
    struct hold_strs served_names;
    const char *api_key; /* "" : none */
    const char *root;    /* where the model came from, for /v1/models */
    const char *version;
    enum hold_content_format format;
    bool parses_special;
    size_t max_body_bytes, max_total_bytes;
    uint32_t max_connections, idle_s, max_requests, max_images;
    uint64_t max_pixels; /* 0: the checkpoint's */
};

/* Serves on listen_fd, which becomes the front's. wall_s: seconds since 1970. */
HOLD_MUST int hold_front_open(const struct hold_front_config *config, int listen_fd, uint64_t wall_s, struct hold_front **ret_front,
                              struct hold_err *err);
void hold_front_close(struct hold_front **front);

/* What process 1 tells. total 0: no progress. */
void hold_front_phase(struct hold_front *front, const char *phase, uint64_t done, uint64_t total);
/* The model's plan: plan_fd (a sealed memfd or a file; becomes the front's) is mapped and checked. One with the digest that is held
 * already changes nothing; another one ends what is open. */
HOLD_MUST int hold_front_plan(struct hold_front *front, int plan_fd, bool is_sealed, struct hold_err *err);
/* A new pairing; both descriptors become the front's, also on failure. What was open on an old one ends. */
HOLD_MUST int hold_front_pair(struct hold_front *front, uint64_t generation, int fd, int ring_fd, struct hold_err *err);

/* The descriptors to wait on: HTTP always; the engine's end or -1, for writing too when *ret_wants_write. */
int hold_front_http_fd(const struct hold_front *front);
int hold_front_link_fd(const struct hold_front *front, bool *ret_wants_write);
/* Milliseconds until hold_front_run is due anyway, or -1. */
int hold_front_timeout_ms(const struct hold_front *front);
/* Does everything that can be done without waiting. */
void hold_front_run(struct hold_front *front, uint64_t now_ms, uint64_t wall_s);

/* From now on /health and new requests are 503 and connections are not kept; what runs goes on. */
void hold_front_drain(struct hold_front *front);
/* Requests that still have to be answered. */
size_t hold_front_inflight(const struct hold_front *front);
/* Those whose request is whole and whose answer is not. */
size_t hold_front_working(const struct hold_front *front);
bool hold_front_is_ready(const struct hold_front *front);

#endif
