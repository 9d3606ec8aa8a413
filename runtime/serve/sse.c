/* sse.c - the framing of server-sent events. Floor: runtime/serve, pure. */
#include "runtime/serve/sse.h"

void hold_sse_event(struct hold_buf *out, const char *json, size_t n) {
    hold_buf_adds(out, "data: ");
    hold_buf_add(out, json, n);
    hold_buf_adds(out, "\n\n");
}

void hold_sse_done(struct hold_buf *out) {
    hold_buf_adds(out, "data: [DONE]\n\n");
}

void hold_sse_ping(struct hold_buf *out) {
    hold_buf_adds(out, ": working\n\n");
}
