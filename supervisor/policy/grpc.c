/* grpc.c - one question to a gRPC health service over HTTP/2. Floor: supervisor/policy, pure. */
#include "supervisor/policy/grpc.h"

#include "base/list.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_FRAME 16384 /* what we allow a peer, since we announce nothing else */
#define STREAM 1

enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, SETTINGS = 4, PUSH_PROMISE = 5, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8, CONTINUATION = 9 };
enum { END_STREAM = 0x1, ACK = 0x1, END_HEADERS = 0x4, PADDED = 0x8, WITH_PRIORITY = 0x20 };

static const char *const status_names[] = {
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
};
enum { GRPC_NOT_FOUND = 5, GRPC_UNIMPLEMENTED = 12 };

HOLD_PRINTF(3, 4) static void decide(struct hold_grpc *g, enum hold_grpc_word word, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void) vsnprintf(g->why, sizeof g->why, format, args);
    va_end(args);
    for (char *c = g->why; *c; c++)
        if ((unsigned char) *c < 0x20 || *c == 0x7f)
            *c = '?';
    g->word = word;
}

/* ---- what we send ---- */

static void put(struct hold_grpc *g, const void *bytes, size_t n) {
    if (n > 0)
        memcpy(g->out + g->n_out, bytes, n);
    g->n_out += n;
}

static void put_frame(struct hold_grpc *g, uint8_t type, uint8_t flags, uint32_t stream, size_t length) {
    const uint8_t head[9] = { 0, (uint8_t) (length >> 8), (uint8_t) length, type, flags, 0, 0, 0, (uint8_t) stream };
    put(g, head, sizeof head);
}

/* A literal that no table takes in. index: of the name in the static table, below 128; 0: name follows. */
static void put_field(struct hold_grpc *g, uint8_t index, const char *name, const char *value) {
    const uint8_t small = index < 15 ? index : 15, rest = (uint8_t) (index - 15);
    const uint8_t n_name = (uint8_t) strlen(name), n_value = (uint8_t) strlen(value); /* below 127, so one byte each */
    put(g, &small, 1);
    if (index >= 15)
        put(g, &rest, 1);
    if (index == 0) {
        put(g, &n_name, 1);
        put(g, name, n_name);
    }
    put(g, &n_value, 1);
    put(g, value, n_value);
}

void hold_grpc_begin(struct hold_grpc *g, const char *authority, const char *service) {
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t settings[] = { 0, 2, 0, 0, 0, 0 }; /* ENABLE_PUSH 0; everything else as it is by default */
    static const uint8_t method_and_scheme[] = { 0x83, 0x86 }; /* POST, http: whole entries of the static table */
    *g = (struct hold_grpc) { .grpc_status = -1, .hpack = { .max_bytes = HOLD_HPACK_TABLE_BYTES } };
    (void) snprintf(g->service, sizeof g->service, "%s", service);
    put(g, preface, sizeof preface - 1);
    put_frame(g, SETTINGS, 0, 0, sizeof settings);
    put(g, settings, sizeof settings);

    const size_t at = g->n_out;
    put_frame(g, HEADERS, END_HEADERS, STREAM, 0);
    put(g, method_and_scheme, sizeof method_and_scheme);
    put_field(g, 4, "", "/grpc.health.v1.Health/Check");
    put_field(g, 1, "", authority);
    put_field(g, 31, "", "application/grpc");
    put_field(g, 0, "te", "trailers");
    put_field(g, 58, "", "holdfast-probe");
    const size_t length = g->n_out - at - 9;
    g->out[at + 1] = (uint8_t) (length >> 8);
    g->out[at + 2] = (uint8_t) length;

    /* HealthCheckRequest { string service = 1; } behind gRPC's five bytes: not compressed, length. */
    const uint8_t n = (uint8_t) strlen(g->service), message = n ? n + 2 : 0;
    const uint8_t prefix[5] = { 0, 0, 0, 0, message }, tag[2] = { 0x0a, n };
    put_frame(g, DATA, END_STREAM, STREAM, sizeof prefix + message);
    put(g, prefix, sizeof prefix);
    if (n) {
        put(g, tag, sizeof tag);
        put(g, g->service, n);
    }
}

static void acknowledge(struct hold_grpc *g, uint8_t type, const uint8_t *payload, size_t n) {
    if (g->n_out + 9 + n > sizeof g->out) {
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: the server sends SETTINGS or PING faster than it reads the answers");
        return;
    }
    put_frame(g, type, ACK, 0, n);
    put(g, payload, n);
}

/* ---- the answer ---- */

/* HealthCheckResponse { ServingStatus status = 1; }: the last varint of field 1, 0 when there is none; -1: it is none. */
static int read_status(const uint8_t *m, size_t n) {
    int status = 0;
    for (size_t at = 0; at < n;) {
        uint64_t values[2] = { 0, 0 }; /* tag, then value or length */
        for (int k = 0; k < 2; k++)
            for (unsigned shift = 0;; shift += 7) {
                if (at >= n || shift > 28)
                    return -1;
                values[k] |= (uint64_t) (m[at] & 0x7f) << shift;
                if (!(m[at++] & 0x80))
                    break;
            }
        const unsigned wire = values[0] & 7;
        if (values[0] == 8)
            status = (int) (values[1] & 0x7fffffff);
        if (wire == 2 && values[1] <= n - at)
            at += (size_t) values[1];
        else if (wire != 0)
            return -1;
    }
    return status;
}

static void answer(struct hold_grpc *g) {
    const uint8_t *m = g->message;
    const size_t length = g->n_message >= 5 ? (size_t) m[1] << 24 | (size_t) m[2] << 16 | (size_t) m[3] << 8 | m[4] : 0;
    if (g->n_message < 5 || m[0] != 0 || length != g->n_message - 5) {
        decide(g, HOLD_GRPC_BROKEN, g->n_message >= 5 && m[0] ? "gRPC: the answer is compressed, which was not asked for" : "gRPC: the answer is not one whole message");
        return;
    }
    switch (read_status(m + 5, length)) {
    case 0: decide(g, HOLD_GRPC_REFUSED, "the server says UNKNOWN: its service has no status yet"); return;
    case 1: decide(g, HOLD_GRPC_SERVING, "serving"); return;
    case 2: decide(g, HOLD_GRPC_REFUSED, "the server says NOT_SERVING"); return;
    case 3: decide(g, HOLD_GRPC_REFUSED, "the server says SERVICE_UNKNOWN: no service '%s'", g->service); return;
    default: decide(g, HOLD_GRPC_BROKEN, "gRPC: the answer is not a health status"); return;
    }
}

static void stream_ended(struct hold_grpc *g) {
    if (g->http_status != 200)
        decide(g, HOLD_GRPC_BROKEN, "http %d instead of a gRPC answer", g->http_status);
    else if (g->grpc_status == 0)
        answer(g);
    else if (g->grpc_status == GRPC_NOT_FOUND)
        decide(g, HOLD_GRPC_REFUSED, "the server knows no service '%s' (NOT_FOUND)", g->service);
    else if (g->grpc_status == GRPC_UNIMPLEMENTED)
        decide(g, HOLD_GRPC_REFUSED, "the server has no health service (UNIMPLEMENTED)");
    else if (g->grpc_status > 0)
        decide(g, HOLD_GRPC_REFUSED, "grpc status %d (%s)%s%s", g->grpc_status,
               hold_name_at(status_names, HOLD_COUNT_OF(status_names), (size_t) g->grpc_status), g->told[0] ? ": " : "", g->told);
    else
        decide(g, HOLD_GRPC_BROKEN, "gRPC: the answer ended without a grpc-status");
}

static int small_number(const char *text) {
    int value = 0;
    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > 99)
            return -1;
        value = value * 10 + (*text - '0');
    }
    return value;
}

/* A whole header block: headers, trailers, or both in one. */
static void take_block(struct hold_grpc *g) {
    struct hold_err err = { 0 };
    size_t at = 0;
    int got;
    int status = 0;
    while ((got = hold_hpack_next(&g->hpack, g->block, g->n_block, &at, &g->field, &err)) > 0) {
        if (strcmp(g->field.name, ":status") == 0)
            status = small_number(g->field.value);
        else if (strcmp(g->field.name, "grpc-status") == 0)
            g->grpc_status = small_number(g->field.value);
        else if (strcmp(g->field.name, "grpc-message") == 0)
            (void) snprintf(g->told, sizeof g->told, "%.*s", (int) sizeof g->told - 1, g->field.value);
    }
    g->n_block = 0;
    if (got < 0) {
        decide(g, HOLD_GRPC_BROKEN, "%s", err.text);
        return;
    }
    if (!g->has_head && status >= 100 && status < 200 && !g->ends_stream)
        return; /* an interim answer */
    if (!g->has_head)
        g->http_status = status;
    g->has_head = true;
    if (g->ends_stream)
        stream_ended(g);
}

static void take_fragment(struct hold_grpc *g, const uint8_t *bytes, size_t n, bool is_last) {
    if (n > sizeof g->block - g->n_block) {
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: a header block of more than %d bytes", HOLD_GRPC_BLOCK_BYTES);
        return;
    }
    memcpy(g->block + g->n_block, bytes, n);
    g->n_block += n;
    g->in_block = !is_last;
    if (is_last)
        take_block(g);
}

/* The payload without padding and, for HEADERS, without the priority; false when it is shorter than they say. */
static bool strip(const struct hold_grpc *g, const uint8_t **ret, size_t *ret_n) {
    size_t begin = 0, n = g->length, pad = 0;
    if (g->flags & PADDED) {
        if (n < 1)
            return false;
        pad = g->payload[0];
        begin = 1;
    }
    if (g->type == HEADERS && (g->flags & WITH_PRIORITY))
        begin += 5;
    if (begin + pad > n)
        return false;
    *ret = g->payload + begin;
    *ret_n = n - begin - pad;
    return true;
}

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static void take_stream_frame(struct hold_grpc *g) {
    const uint8_t *bytes;
    size_t n;
    if (g->stream != STREAM) {
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: frames of stream %u, which nobody asked for", g->stream);
    } else if (!strip(g, &bytes, &n)) {
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: padding is longer than its frame");
    } else if (g->type == HEADERS) {
        g->ends_stream = g->flags & END_STREAM;
        take_fragment(g, bytes, n, g->flags & END_HEADERS);
    } else if (!g->has_head) {
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: data before the headers");
    } else if (n > sizeof g->message - g->n_message) {
        decide(g, HOLD_GRPC_BROKEN, "gRPC: the answer has more than %d bytes", HOLD_GRPC_MESSAGE_BYTES);
    } else {
        memcpy(g->message + g->n_message, bytes, n);
        g->n_message += n;
        if (g->flags & END_STREAM)
            stream_ended(g);
    }
}

static void take_frame(struct hold_grpc *g) {
    switch (g->type) {
    case DATA:
    case HEADERS:
        take_stream_frame(g);
        return;
    case CONTINUATION:
        take_fragment(g, g->payload, g->length, g->flags & END_HEADERS);
        return;
    case RST_STREAM:
        if (g->length != 4)
            decide(g, HOLD_GRPC_BROKEN, "HTTP/2: a RST_STREAM of %u bytes", g->length);
        else if (g->stream == STREAM)
            decide(g, HOLD_GRPC_BROKEN, "HTTP/2: the server reset the stream (error %u)", read_u32(g->payload));
        return;
    case SETTINGS:
        if (g->length % 6 != 0 || g->stream != 0 || ((g->flags & ACK) && g->length > 0))
            decide(g, HOLD_GRPC_BROKEN, "HTTP/2: a SETTINGS frame that breaks the rules");
        else if (!(g->flags & ACK))
            acknowledge(g, SETTINGS, NULL, 0);
        g->has_settings = true;
        return;
    case PUSH_PROMISE:
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: the server pushes, which was forbidden to it");
        return;
    case PING:
        if (g->length != 8 || g->stream != 0)
            decide(g, HOLD_GRPC_BROKEN, "HTTP/2: a PING that breaks the rules");
        else if (!(g->flags & ACK))
            acknowledge(g, PING, g->payload, 8);
        return;
    case GOAWAY:
        if (g->length < 8 || g->stream != 0)
            decide(g, HOLD_GRPC_BROKEN, "HTTP/2: a GOAWAY that breaks the rules");
        else if ((read_u32(g->payload) & 0x7fffffff) < STREAM || read_u32(g->payload + 4) != 0)
            decide(g, HOLD_GRPC_BROKEN, "HTTP/2: the server goes away (error %u)", read_u32(g->payload + 4));
        return;
    case PRIORITY:
    case WINDOW_UPDATE: /* what we send fits the smallest window */
    default:
        return;
    }
}

/* The nine bytes of a frame's head are there. */
static void begin_frame(struct hold_grpc *g) {
    g->length = (uint32_t) g->head[0] << 16 | (uint32_t) g->head[1] << 8 | g->head[2];
    g->type = g->head[3];
    g->flags = g->head[4];
    g->stream = read_u32(g->head + 5) & 0x7fffffff;
    g->n_payload = 0;
    const bool matters = g->type <= CONTINUATION && g->type != GOAWAY;
    if (!g->has_settings && (g->type != SETTINGS || g->stream != 0 || (g->flags & ACK)))
        decide(g, HOLD_GRPC_BROKEN, "the answer is not HTTP/2");
    else if (g->length > MAX_FRAME || (matters && g->length > sizeof g->payload))
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: a frame of %u bytes", g->length);
    else if (g->in_block != (g->type == CONTINUATION) || (g->in_block && g->stream != STREAM))
        decide(g, HOLD_GRPC_BROKEN, "HTTP/2: a header block that is torn apart");
}

void hold_grpc_feed(struct hold_grpc *g, const uint8_t *bytes, size_t n) {
    for (size_t at = 0; g->word == HOLD_GRPC_MORE && at < n;) {
        if (g->n_head < sizeof g->head) {
            g->head[g->n_head++] = bytes[at++];
            if (g->n_head < sizeof g->head)
                continue;
            begin_frame(g);
        } else {
            const size_t take = HOLD_MIN(n - at, (size_t) (g->length - g->n_payload));
            const size_t room = g->n_payload < sizeof g->payload ? sizeof g->payload - g->n_payload : 0;
            if (room > 0)
                memcpy(g->payload + g->n_payload, bytes + at, HOLD_MIN(take, room));
            g->n_payload += (uint32_t) take;
            at += take;
        }
        if (g->word == HOLD_GRPC_MORE && g->n_payload == g->length) {
            g->n_head = 0;
            take_frame(g);
        }
    }
}

void hold_grpc_end(struct hold_grpc *g) {
    if (g->word == HOLD_GRPC_MORE)
        decide(g, HOLD_GRPC_BROKEN, g->has_settings ? "closed without an answer" : "closed before it spoke HTTP/2");
}
