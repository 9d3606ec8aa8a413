/* http_answer.h - an HTTP/1 answer in pieces: its status, then its body without the framing. Floor: supervisor/policy, pure.
 *
 * Holds 128 bytes of one line and a few numbers whatever the peer sends: a head of more than HOLD_HTTP_HEAD_BYTES is an
 * error, a body may be of any length. Knows Content-Length, chunked, and a body that ends with the connection. */
#ifndef HOLD_SUPERVISOR_POLICY_HTTP_ANSWER_H
#define HOLD_SUPERVISOR_POLICY_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_HTTP_HEAD_BYTES 65536
#define HOLD_HTTP_LINE_BYTES 128 /* of a line that are looked at; the rest of it is read and dropped */

/* The status code of an answer's first line; 0: not enough bytes yet; -1: this is not HTTP. */
int hold_http_status_of(const char *bytes, size_t n);

enum hold_http_state {
    HOLD_HTTP_STATUS_LINE, HOLD_HTTP_HEADER, HOLD_HTTP_BODY, HOLD_HTTP_BODY_TO_END, HOLD_HTTP_CHUNK_SIZE, HOLD_HTTP_CHUNK,
    HOLD_HTTP_CHUNK_END, HOLD_HTTP_TRAILER,
    HOLD_HTTP_DONE,   /* the body is complete; further bytes are not taken */
    HOLD_HTTP_BROKEN, /* why says what was wrong; further bytes are not taken */
};

/* One answer; `= { 0 }` before the first byte. */
struct hold_http_answer {
    enum hold_http_state state;
    int status;          /* of the final answer; 0: not known yet (1xx are passed over) */
    bool has_length, is_chunked;
    uint64_t left;       /* of the body or chunk */
    size_t head_bytes;   /* of framing since the beginning, or since the last chunk began */
    size_t n_line;
    char line[HOLD_HTTP_LINE_BYTES];
    const char *why;     /* static; BROKEN only */
};

/* Takes bytes up to the end of one run of body, returns how many (at least 1 while neither DONE nor BROKEN and n > 0).
 * *ret_body is that run, a part of bytes, *ret_n its length, 0 when these bytes were framing. */
size_t hold_http_answer_feed(struct hold_http_answer *a, const char *bytes, size_t n, const char **ret_body, size_t *ret_n);
/* The connection was closed by the peer: DONE where the body ends with it, else BROKEN. */
void hold_http_answer_end(struct hold_http_answer *a);

#endif
