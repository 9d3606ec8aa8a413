/* grpc.h - one question to a gRPC health service (grpc.health.v1.Health/Check) over HTTP/2 in the clear. Floor: policy, pure.
 *
 * The smallest client there can be: preface, SETTINGS, one request on stream 1, and what the peer sends read frame by frame.
 * Every SETTINGS and PING is acknowledged; padding, priority, CONTINUATION, trailers and header compression are understood;
 * frames of unknown kinds are passed over. Whatever breaks a rule, or is larger than a health answer can be, ends it. */
#ifndef HOLD_SUPERVISOR_POLICY_GRPC_H
#define HOLD_SUPERVISOR_POLICY_GRPC_H

#include "supervisor/policy/hpack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_GRPC_SERVICE_BYTES 128  /* with the end; a longer name is refused where it is configured */
#define HOLD_GRPC_BLOCK_BYTES 8192   /* of one header block, and of one frame that matters */
#define HOLD_GRPC_MESSAGE_BYTES 256  /* of the answer's message */
#define HOLD_GRPC_OUT_BYTES 512      /* of request, or of acknowledgements not yet taken by the peer */

enum hold_grpc_word {
    HOLD_GRPC_MORE,
    HOLD_GRPC_SERVING,
    HOLD_GRPC_REFUSED, /* the server answered, and it is not SERVING; why says what it said */
    HOLD_GRPC_BROKEN,  /* no answer of a gRPC server; why says what was wrong */
};

struct hold_grpc {
    /* what is to be sent: the caller takes it from out and sets n_out to 0 */
    uint8_t out[HOLD_GRPC_OUT_BYTES];
    size_t n_out;
    enum hold_grpc_word word;
    char why[120]; /* once word is not MORE: "serving", "not serving", "grpc status 14 (UNAVAILABLE): ..." */

    /* the frame that is being read */
    uint8_t head[9];
    size_t n_head;
    uint32_t length, n_payload, stream; /* of the payload: in all, and read so far */
    uint8_t type, flags;
    uint8_t payload[HOLD_GRPC_BLOCK_BYTES];

    /* the answer so far */
    bool has_settings, in_block, ends_stream; /* a header block goes on in CONTINUATION; its HEADERS ended the stream */
    bool has_head;                            /* the first block was read: another is trailers */
    size_t n_block, n_message;
    uint8_t block[HOLD_GRPC_BLOCK_BYTES], message[HOLD_GRPC_MESSAGE_BYTES];
    int http_status, grpc_status; /* 0 and -1: not told */
    char service[HOLD_GRPC_SERVICE_BYTES], told[64]; /* told: grpc-message */
    struct hold_hpack hpack;
    struct hold_hpack_field field;
};

/* A question begins: out holds the whole request. authority: "127.0.0.1:50051", at most 63 bytes. service: "" asks about the server as
 * a whole; fewer than HOLD_GRPC_SERVICE_BYTES. */
void hold_grpc_begin(struct hold_grpc *g, const char *authority, const char *service);
/* The next n bytes from the peer, cut anywhere. Takes no more once word is not MORE. */
void hold_grpc_feed(struct hold_grpc *g, const uint8_t *bytes, size_t n);
/* The peer closed the connection. */
void hold_grpc_end(struct hold_grpc *g);

#endif
