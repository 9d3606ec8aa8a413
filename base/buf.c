/* buf.c - growable bytes with a maximum. Floor: base. */
#include "base/buf.h"

#include "base/list.h"
#include "base/num.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hold_buf hold_buf_with_max(size_t max_bytes) {
    return (struct hold_buf) { .max_bytes = max_bytes };
}

void *hold_buf_reserve(struct hold_buf *b, size_t n) {
    size_t need;
    if (b->failed || !hold_add_size(b->n, n, &need) || need > b->max_bytes) {
        b->failed = true;
        return NULL;
    }
    if (need >= b->capacity || !b->data) {
        size_t capacity = HOLD_MIN(HOLD_MAX(HOLD_MAX(need, b->capacity * 2), (size_t) 64), b->max_bytes) + 1;
        char *grown = realloc(b->data, capacity);
        if (!grown) {
            b->failed = true;
            return NULL;
        }
        b->data = grown;
        b->capacity = capacity;
        b->data[b->n] = '\0';
    }
    return b->data + b->n;
}

void hold_buf_commit(struct hold_buf *b, size_t n) {
    b->n += n;
    b->data[b->n] = '\0';
}

void hold_buf_add(struct hold_buf *b, const void *bytes, size_t n) {
    char *at = hold_buf_reserve(b, n);
    if (!at)
        return;
    if (n)
        memcpy(at, bytes, n);
    hold_buf_commit(b, n);
}

void hold_buf_adds(struct hold_buf *b, const char *text) {
    hold_buf_add(b, text, strlen(text));
}

void hold_buf_addc(struct hold_buf *b, char c) {
    hold_buf_add(b, &c, 1);
}

void hold_buf_addf(struct hold_buf *b, const char *format, ...) {
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int n = vsnprintf(NULL, 0, format, list);
    va_end(list);
    char *at = n < 0 ? NULL : hold_buf_reserve(b, (size_t) n);
    if (at) {
        vsnprintf(at, (size_t) n + 1, format, again);
        hold_buf_commit(b, (size_t) n);
    } else {
        b->failed = true;
    }
    va_end(again);
}

static void add_json_char(struct hold_buf *b, unsigned char c) {
    static const char *const shorts[32] = { ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t", ['\b'] = "\\b", ['\f'] = "\\f" };
    if (c == '"' || c == '\\')
        hold_buf_add(b, (const char[]) { '\\', (char) c }, 2);
    else if (c == 0x7f || (c < 0x20 && !shorts[c]))
        hold_buf_addf(b, "\\u%04x", c);
    else if (c < 0x20)
        hold_buf_adds(b, shorts[c]);
    else
        hold_buf_addc(b, (char) c);
}

void hold_buf_add_json(struct hold_buf *b, const char *text, size_t n) {
    hold_buf_addc(b, '"');
    for (size_t i = 0; i < n;) {
        size_t length = hold_utf8_length((const unsigned char *) text + i, n - i);
        if (length == 0) {
            hold_buf_adds(b, "\xef\xbf\xbd");
            i++;
        } else if (length == 1) {
            add_json_char(b, (unsigned char) text[i++]);
        } else {
            hold_buf_add(b, text + i, length);
            i += length;
        }
    }
    hold_buf_addc(b, '"');
}

void hold_buf_consume(struct hold_buf *b, size_t n) {
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->n - n);
    b->n -= n;
    b->data[b->n] = '\0';
}

int hold_buf_check(const struct hold_buf *b, const char *what, struct hold_err *err) {
    if (b->failed)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: more than %zu bytes, or no memory", what, b->max_bytes);
    return 0;
}

char *hold_buf_take(struct hold_buf *b, size_t *ret_n) {
    if (!b->data)
        hold_buf_reserve(b, 0);
    char *taken = b->failed ? NULL : b->data;
    if (ret_n)
        *ret_n = b->n;
    if (b->failed)
        free(b->data);
    *b = hold_buf_with_max(b->max_bytes);
    return taken;
}

void hold_buf_clear(struct hold_buf *b) {
    b->n = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

void hold_buf_release(struct hold_buf *b) {
    free(b->data);
    *b = hold_buf_with_max(b->max_bytes);
}
