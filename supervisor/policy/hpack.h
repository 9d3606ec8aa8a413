/* hpack.h - header blocks of HTTP/2 decoded (RFC 7541): static and dynamic table, Huffman. Floor: supervisor/policy, pure.
 *
 * For reading what a peer sends, all of it bounded: the dynamic table holds at most HOLD_HPACK_TABLE_BYTES by the RFC's
 * count (the default that we never change), names more than HOLD_HPACK_NAME_BYTES are an error, longer values are cut. */
#ifndef HOLD_SUPERVISOR_POLICY_HPACK_H
#define HOLD_SUPERVISOR_POLICY_HPACK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_HPACK_TABLE_BYTES 4096
#define HOLD_HPACK_ENTRIES (HOLD_HPACK_TABLE_BYTES / 32)
#define HOLD_HPACK_NAME_BYTES 256
#define HOLD_HPACK_VALUE_BYTES 4096

/* The dynamic table of one connection, oldest first; `= { .max_bytes = HOLD_HPACK_TABLE_BYTES }` before the first block. */
struct hold_hpack {
    size_t max_bytes;  /* as the peer last chose; at most HOLD_HPACK_TABLE_BYTES */
    size_t n_bytes;    /* by the RFC's count: names, values and 32 for each entry */
    size_t n_entries;
    struct { uint16_t n_name, n_value; } entries[HOLD_HPACK_ENTRIES];
    char bytes[HOLD_HPACK_TABLE_BYTES]; /* name, value, name, value, ... without gaps */
};

/* One header; terminated, though a value may hold a NUL of its own. */
struct hold_hpack_field {
    size_t n_name, n_value; /* n_value at most HOLD_HPACK_VALUE_BYTES - 1: the rest is cut off */
    char name[HOLD_HPACK_NAME_BYTES], value[HOLD_HPACK_VALUE_BYTES];
};

/* The next field of a whole block (all its fragments joined): *at goes from 0 to n. 1: *ret is filled; 0: the block is over;
 * -1: it breaks the rules, and so the connection is over. */
HOLD_MUST int hold_hpack_next(struct hold_hpack *h, const uint8_t *block, size_t n, size_t *at, struct hold_hpack_field *ret, struct hold_err *err);

/* Huffman-coded bytes to text: at most max of it is stored, all of it counted. Fails when padding or a code is wrong. */
HOLD_MUST int hold_huffman_decode(const uint8_t *bytes, size_t n, char *out, size_t max, size_t *ret_n, struct hold_err *err);

#endif
