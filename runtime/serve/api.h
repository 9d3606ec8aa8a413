/* api.h - the route table, the shape of errors, and the small answers. Floor: runtime/serve, pure. */
#ifndef HOLD_RUNTIME_SERVE_API_H
#define HOLD_RUNTIME_SERVE_API_H

#include "base/buf.h"
#include "base/opt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(ID, "method", "path", is open without a key). */
#define HOLD_ROUTE_LIST(X)                                \
    X(CHAT, "POST", "/v1/chat/completions", false)        \
    X(MODELS, "GET", "/v1/models", false)                 \
    X(TOKENIZE, "POST", "/tokenize", false)               \
    X(DETOKENIZE, "POST", "/detokenize", false)           \
    X(HEALTH, "GET", "/health", true)                     \
    X(PING, "GET", "/ping", false)                        \
    X(VERSION, "GET", "/version", false)                  \
    X(LOAD, "GET", "/load", false)                        \
    X(METRICS, "GET", "/metrics", false)

enum hold_route {
#define X(id, method, path, open) HOLD_ROUTE_##id,
    HOLD_ROUTE_LIST(X)
#undef X
    HOLD_ROUTE_COUNT
};

/* 0 and the route; or the status to refuse with: 404 for a path nobody serves, 405 for a path with another method. HEAD
 * counts as GET. */
unsigned hold_api_find(const char *method, const char *path, enum hold_route *ret_route);
bool hold_route_is_open(enum hold_route route);

/* The error type that belongs to a status, as clients of vLLM know it: 400 "BadRequestError". Any other: InternalServerError. */
const char *hold_api_error_type(unsigned status);
/* Appends {"error":{"message":...,"type":...,"param":...,"code":...}}; param NULL is null. */
void hold_api_error(struct hold_buf *out, unsigned status, const char *message, const char *param);

/* Is the Authorization header (NULL: none) "Bearer <key>"? Takes the same time for every wrong key of one length. */
bool hold_api_key_fits(const char *authorization, const char *key);

/* The list of /v1/models. created: seconds since 1970; root: what the model was loaded from; max_context 0: not known yet. */
void hold_api_models(struct hold_buf *out, const struct hold_strs *names, uint64_t created, const char *root, uint32_t max_context);
/* What /health says while it answers 503: {"status":...,"phase":...,"progress":{...}}; total 0: no progress known. */
void hold_api_health(struct hold_buf *out, const char *status, const char *phase, uint64_t done, uint64_t total);

/* Decodes base64 of the standard alphabet with padding; white space inside is refused. out has room for n / 4 * 3 bytes.
 * False when it is not base64. */
bool hold_base64_decode(const char *text, size_t n, unsigned char *out, size_t *ret_n);

#endif
