/* sse.h - the framing of server-sent events. Floor: runtime/serve, pure. */
#ifndef HOLD_RUNTIME_SERVE_SSE_H
#define HOLD_RUNTIME_SERVE_SSE_H

#include "base/buf.h"

/* Appends one event that carries the n bytes of json, which holds no line break (JSON written by this house never does):
 * `data: ` json, two line breaks. */
void hold_sse_event(struct hold_buf *out, const char *json, size_t n);
/* The event that ends a chat stream: `data: [DONE]`. */
void hold_sse_done(struct hold_buf *out);
/* A comment, which every reader skips: keeps proxies from closing a stream that says nothing for long. */
void hold_sse_ping(struct hold_buf *out);

#endif
