/* token_table.h - layout of the flat token table. Floor: runtime/text, pure. Private to token_json.c and token*.c. */
#ifndef HOLD_RUNTIME_TEXT_TOKEN_TABLE_H
#define HOLD_RUNTIME_TEXT_TOKEN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define HOLD_TOK_MAGIC "HOLDTOK1"
#define HOLD_TOK_MAX_ADDED 4096u
#define HOLD_TOK_MAX_MERGES (1u << 22)

enum {
    HOLD_TOK_SPECIAL = 1, /* the file's flag: not part of the answer's text */
    HOLD_TOK_ADDED = 2,
    HOLD_TOK_IN_CONTENT = 4, /* may be recognised in the words of a person or a model */
    HOLD_TOK_LSTRIP = 8,
    HOLD_TOK_RSTRIP = 16,
};

/* left followed by right becomes result; the row number is the rank. */
struct hold_tok_merge {
    uint32_t left, right, result;
};

/* Sections follow in this order, each at a multiple of 16: starts, flags, blob, merges, merge slots, word slots, added, byte ids. */
struct hold_tok_head {
    char magic[8];
    uint32_t n_ids, n_merges, n_added, merge_slots, word_slots, splitter, ignores_merges, blob_bytes;
    uint64_t total_bytes;
};

/* Sizes of the eight sections in bytes. */
static inline void hold_tok_sections(const struct hold_tok_head *h, uint64_t ret_bytes[8]) {
    ret_bytes[0] = 4 * ((uint64_t) h->n_ids + 1);
    ret_bytes[1] = h->n_ids;
    ret_bytes[2] = h->blob_bytes;
    ret_bytes[3] = sizeof(struct hold_tok_merge) * (uint64_t) h->n_merges;
    ret_bytes[4] = 4 * (uint64_t) h->merge_slots;
    ret_bytes[5] = 4 * (uint64_t) h->word_slots;
    ret_bytes[6] = 4 * (uint64_t) h->n_added;
    ret_bytes[7] = 4 * 256;
}

static inline uint32_t hold_tok_hash_pair(uint32_t left, uint32_t right) {
    uint64_t z = ((uint64_t) left << 32 | right) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t) (z ^ z >> 32);
}

static inline uint32_t hold_tok_hash_word(const char *text, size_t n) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char) text[i]) * UINT64_C(0x100000001b3);
    return (uint32_t) (h ^ h >> 32);
}

#endif
