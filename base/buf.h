/* buf.h - growable bytes with a maximum fixed at birth. Floor: base, pure. */
#ifndef HOLD_BASE_BUF_H
#define HOLD_BASE_BUF_H

#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Owned by the caller. data is terminated with a zero that n does not count, or NULL while nothing was added.
 * Once an addition did not fit (maximum or memory) the buffer is `failed`: later additions are ignored, so a writer
 * may add many pieces and ask once with hold_buf_check. */
struct hold_buf {
    char *data;
    size_t n;
    size_t capacity;
    size_t max_bytes;
    bool failed;
};

/* An empty buffer that never holds more than max_bytes. Allocates nothing yet. */
struct hold_buf hold_buf_with_max(size_t max_bytes);
void hold_buf_add(struct hold_buf *b, const void *bytes, size_t n);
void hold_buf_adds(struct hold_buf *b, const char *text);
void hold_buf_addc(struct hold_buf *b, char c);
HOLD_PRINTF(2, 3) void hold_buf_addf(struct hold_buf *b, const char *format, ...);
/* Adds text as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void hold_buf_add_json(struct hold_buf *b, const char *text, size_t n);
/* Room for n more bytes at data + n, or NULL (failed). The caller adds what it wrote to n with hold_buf_commit. */
void *hold_buf_reserve(struct hold_buf *b, size_t n);
void hold_buf_commit(struct hold_buf *b, size_t n);
/* Removes the first n bytes. */
void hold_buf_consume(struct hold_buf *b, size_t n);
/* -1 with code LIMIT, naming what, when an addition was lost. */
HOLD_MUST int hold_buf_check(const struct hold_buf *b, const char *what, struct hold_err *err);
/* The bytes move to the caller (free() them); the buffer is empty again. Never NULL unless failed. */
char *hold_buf_take(struct hold_buf *b, size_t *ret_n);
void hold_buf_clear(struct hold_buf *b); /* n = 0 and not failed; keeps the memory */
void hold_buf_release(struct hold_buf *b);

#define hold_autobuf __attribute__((cleanup(hold_buf_release))) struct hold_buf

#endif
