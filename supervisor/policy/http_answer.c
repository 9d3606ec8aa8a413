/* http_answer.c - an HTTP/1 answer in pieces. Floor: supervisor/policy, pure. */
#include "supervisor/policy/http_answer.h"

#include "base/list.h"

#include <string.h>
#include <strings.h>

int hold_http_status_of(const char *bytes, size_t n) {
    static const char begin[] = "HTTP/1.";
    const size_t same = HOLD_MIN(n, sizeof begin - 1);
    if (memcmp(bytes, begin, same) != 0)
        return -1;
    if (n < 13) /* "HTTP/1.1 200" and one byte more, so that "2000" is not taken for 200 */
        return memchr(bytes, '\n', n) ? -1 : 0;
    if ((bytes[7] != '0' && bytes[7] != '1') || bytes[8] != ' ')
        return -1;
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (bytes[i] < '0' || bytes[i] > '9')
            return -1;
        status = status * 10 + (bytes[i] - '0');
    }
    const bool ends = bytes[12] == ' ' || bytes[12] == '\r' || bytes[12] == '\n';
    return ends && status >= 100 ? status : -1;
}

static void broken(struct hold_http_answer *a, const char *why) {
    a->state = HOLD_HTTP_BROKEN;
    a->why = why;
}

static bool read_number(const char *text, uint64_t base, uint64_t *ret) {
    uint64_t value = 0;
    size_t i = 0;
    for (;; i++) {
        const char c = text[i];
        const uint64_t digit = c >= '0' && c <= '9' ? (uint64_t) (c - '0') : c >= 'a' && c <= 'f' ? (uint64_t) (c - 'a' + 10)
                             : c >= 'A' && c <= 'F' ? (uint64_t) (c - 'A' + 10) : 99;
        if (digit >= base)
            break;
        if (value > (UINT64_MAX >> 1) / base)
            return false;
        value = value * base + digit;
    }
    if (i == 0 || (text[i] != '\0' && text[i] != ' ' && text[i] != '\t' && text[i] != ';'))
        return false;
    *ret = value;
    return true;
}

/* The value of a header line when it has that name, else NULL. */
static const char *value_of(const char *line, const char *name) {
    const size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

static void on_header(struct hold_http_answer *a) {
    const char *value;
    if ((value = value_of(a->line, "content-length"))) {
        uint64_t length;
        if (!read_number(value, 10, &length) || (a->has_length && length != a->left))
            broken(a, "the Content-Length is not one number");
        else
            a->left = length;
        a->has_length = true;
    } else if ((value = value_of(a->line, "transfer-encoding"))) {
        if (strcasecmp(value, "chunked") != 0)
            broken(a, "the Transfer-Encoding is not known");
        a->is_chunked = true;
    } else if ((value = value_of(a->line, "content-encoding"))) {
        if (strcasecmp(value, "identity") != 0)
            broken(a, "the body is compressed, which was not asked for");
    }
}

static void on_head_end(struct hold_http_answer *a) {
    if (a->status < 200 && a->status != 101) { /* an interim answer: another follows */
        a->state = HOLD_HTTP_STATUS_LINE;
        a->status = 0;
        a->has_length = a->is_chunked = false;
        a->left = 0;
        return;
    }
    if (a->status == 204 || a->status == 304)
        a->state = HOLD_HTTP_DONE;
    else if (a->is_chunked)
        a->state = HOLD_HTTP_CHUNK_SIZE;
    else if (!a->has_length)
        a->state = HOLD_HTTP_BODY_TO_END;
    else
        a->state = a->left > 0 ? HOLD_HTTP_BODY : HOLD_HTTP_DONE;
}

static void on_chunk_size(struct hold_http_answer *a) {
    if (!read_number(a->line, 16, &a->left))
        broken(a, "a chunk has no size");
    else
        a->state = a->left > 0 ? HOLD_HTTP_CHUNK : HOLD_HTTP_TRAILER;
    a->head_bytes = 0;
}

/* a->line is a whole line, or the beginning of one that is longer, without its end. */
static void on_line(struct hold_http_answer *a) {
    if (a->n_line > 0 && a->line[a->n_line - 1] == '\r')
        a->n_line--;
    a->line[a->n_line] = '\0';
    const bool is_empty = a->n_line == 0;
    a->n_line = 0;
    switch (a->state) {
    case HOLD_HTTP_STATUS_LINE: {
        char text[HOLD_HTTP_LINE_BYTES + 1];
        const size_t n = strlen(a->line);
        memcpy(text, a->line, n);
        text[n] = '\n';
        const int status = hold_http_status_of(text, n + 1);
        if (status <= 0)
            broken(a, "the answer is not HTTP");
        else
            a->status = status;
        if (status > 0)
            a->state = HOLD_HTTP_HEADER;
        return;
    }
    case HOLD_HTTP_HEADER:
        if (is_empty)
            on_head_end(a);
        else
            on_header(a);
        return;
    case HOLD_HTTP_CHUNK_SIZE:
        on_chunk_size(a);
        return;
    case HOLD_HTTP_CHUNK_END:
        if (is_empty)
            a->state = HOLD_HTTP_CHUNK_SIZE;
        else
            broken(a, "a chunk is longer than it said");
        return;
    case HOLD_HTTP_TRAILER:
        if (is_empty)
            a->state = HOLD_HTTP_DONE;
        return;
    case HOLD_HTTP_BODY:
    case HOLD_HTTP_BODY_TO_END:
    case HOLD_HTTP_CHUNK:
    case HOLD_HTTP_DONE:
    case HOLD_HTTP_BROKEN:
        return;
    }
}

/* Framing: up to and with the next line end. */
static size_t take_line(struct hold_http_answer *a, const char *bytes, size_t n) {
    const char *end = memchr(bytes, '\n', n);
    const size_t taken = end ? (size_t) (end - bytes) + 1 : n;
    const size_t text = end ? taken - 1 : taken;
    const size_t room = sizeof a->line - 1 - a->n_line;
    memcpy(a->line + a->n_line, bytes, HOLD_MIN(text, room));
    a->n_line += HOLD_MIN(text, room);
    a->head_bytes += taken;
    if (a->head_bytes > HOLD_HTTP_HEAD_BYTES)
        broken(a, "the head has more than 64 KiB");
    else if (end)
        on_line(a);
    else if (a->state == HOLD_HTTP_STATUS_LINE && hold_http_status_of(a->line, a->n_line) < 0)
        broken(a, "the answer is not HTTP");
    return taken;
}

size_t hold_http_answer_feed(struct hold_http_answer *a, const char *bytes, size_t n, const char **ret_body, size_t *ret_n) {
    *ret_body = bytes;
    *ret_n = 0;
    if (n == 0)
        return 0;
    switch (a->state) {
    case HOLD_HTTP_BODY_TO_END:
        *ret_n = n;
        return n;
    case HOLD_HTTP_BODY:
    case HOLD_HTTP_CHUNK: {
        const size_t taken = a->left < n ? (size_t) a->left : n;
        *ret_n = taken;
        a->left -= taken;
        if (a->left == 0)
            a->state = a->state == HOLD_HTTP_CHUNK ? HOLD_HTTP_CHUNK_END : HOLD_HTTP_DONE;
        return taken;
    }
    case HOLD_HTTP_STATUS_LINE:
    case HOLD_HTTP_HEADER:
    case HOLD_HTTP_CHUNK_SIZE:
    case HOLD_HTTP_CHUNK_END:
    case HOLD_HTTP_TRAILER:
        return take_line(a, bytes, n);
    case HOLD_HTTP_DONE:
    case HOLD_HTTP_BROKEN:
        break;
    }
    return 0;
}

void hold_http_answer_end(struct hold_http_answer *a) {
    if (a->state == HOLD_HTTP_BODY_TO_END)
        a->state = HOLD_HTTP_DONE;
    else if (a->state != HOLD_HTTP_DONE && a->state != HOLD_HTTP_BROKEN)
        broken(a, a->status == 0 ? "closed without an answer" : "closed in the middle of the answer");
}
