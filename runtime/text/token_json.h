/* token_json.h - tokenizer.json to the flat token table. Floor: runtime/text, pure.
 *
 * Knows byte-level BPE as the model's family writes it: no normalizer, a Split with a known pattern (runtime/text/pretok.h) then
 * ByteLevel, decoder ByteLevel, merges as "a b" or ["a", "b"]. Every other component is refused by its name. */
#ifndef HOLD_RUNTIME_TEXT_TOKEN_JSON_H
#define HOLD_RUNTIME_TEXT_TOKEN_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

#define HOLD_TOK_MAX_JSON_BYTES (64u << 20)
#define HOLD_TOK_MAX_TABLE_BYTES (96u << 20)

/* json need not be terminated. The table is appended to ret_table, which must be empty and have a maximum of at least
 * HOLD_TOK_MAX_TABLE_BYTES. Fails with FORMAT or LIMIT. */
HOLD_MUST int hold_tok_build(const char *json, size_t n, struct hold_buf *ret_table, struct hold_err *err);

#endif
