/* token.h - the flat token table in use: text to ids, ids to text. Floor: runtime/text, pure.
 *
 * The table is made once from tokenizer.json by runtime/text/token_json.h and lives inside the plan. All text is UTF-8;
 * ids are uint32_t. Lists of ids are kept in a hold_buf: `hold_ids_of(&buf)` and `hold_ids_count(&buf)` read it. */
#ifndef HOLD_RUNTIME_TEXT_TOKEN_H
#define HOLD_RUNTIME_TEXT_TOKEN_H

#include "base/buf.h"
#include "base/err.h"
#include "runtime/text/piece.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_TOK_MAX_IDS (1u << 22)
#define HOLD_TOK_MAX_TEXT_BYTES (16u << 20) /* of one call to hold_tok_encode */
#define HOLD_TOK_MAX_WORD_BYTES (2u << 20)  /* one word of the splitter; longer is refused */

/* A checked view of the table; borrows its bytes. Fields are private to runtime/text (layout: token_table.h). */
struct hold_tok {
    const uint32_t *starts;    /* [n_ids + 1] into blob */
    const uint8_t *flags;      /* [n_ids] */
    const char *blob;          /* raw bytes of every token */
    const struct hold_tok_merge *merges; /* [n_merges] by rank */
    const uint32_t *merge_slots; /* [merge_mask + 1] rank + 1, or 0 */
    const uint32_t *word_slots;  /* [word_mask + 1] id + 1, or 0 */
    const uint32_t *added;     /* [n_added] ids of added tokens, longest text first */
    const uint32_t *byte_ids;  /* [256] */
    uint32_t n_ids, n_merges, n_added, merge_mask, word_mask;
    uint32_t splitter;         /* enum hold_pretok */
    bool ignores_merges;
    bool starts_added[256];    /* an added token begins with this byte */
};

/* bytes: 16-byte aligned, must outlive ret_tok. Checks every offset, id and count. Fails with FORMAT. */
HOLD_MUST int hold_tok_open(const void *bytes, size_t n, struct hold_tok *ret_tok, struct hold_err *err);

static inline const uint32_t *hold_ids_of(const struct hold_buf *ids) {
    return (const uint32_t *) (const void *) ids->data;
}
static inline size_t hold_ids_count(const struct hold_buf *ids) {
    return ids->n / sizeof(uint32_t);
}

/* Number of ids the table knows: 0..n-1; some inside may be holes without text. */
uint32_t hold_tok_count(const struct hold_tok *t);
/* The raw bytes an id stands for, not terminated and perhaps half a character; "" with n = 0 for holes and unknown ids. */
const char *hold_tok_text(const struct hold_tok *t, uint32_t id, size_t *ret_n);
/* The file's `special` flag. */
bool hold_tok_is_special(const struct hold_tok *t, uint32_t id);
/* The id of an added token with exactly this text; false when there is none. */
bool hold_tok_find_added(const struct hold_tok *t, const char *text, size_t n, uint32_t *ret_id);

struct hold_tok_encode_options {
    bool parses_special; /* --parse-special-in-content: TEXT pieces may hold any added token, as other engines allow */
};

/* Pieces to ids, appended to ret_ids (its maximum bounds the number of ids: 4 bytes each). Neighbouring TEXT is split as one
 * text, so that a line break of the template joins the words after it exactly as in the original. Inside TEXT only
 * added tokens that cannot open a turn or an image are recognised (think, answer and box tags, and tokens without the special
 * flag); everything else is plain bytes. NULL options: the defaults. Bytes that are not UTF-8 are encoded byte by byte.
 * Allocates scratch of at most about 40 bytes per byte of the longest word.
 * Fails with LIMIT (text, word or ids too many), FORMAT (a TOKEN piece that the table does not have). */
HOLD_MUST int hold_tok_encode(const struct hold_tok *t, const struct hold_piece *pieces, size_t n_pieces,
                              const struct hold_tok_encode_options *options, struct hold_buf *ret_ids, struct hold_err *err);

/* Plain text, nothing recognised but what content may hold: one TEXT piece. */
HOLD_MUST int hold_tok_encode_text(const struct hold_tok *t, const char *text, size_t n, struct hold_buf *ret_ids,
                                   struct hold_err *err);

/* Copies ids to ret_ids with the k-th image_token replaced by counts[k] copies of itself. Fails with FORMAT when there are
 * more or fewer image tokens than n_images, LIMIT when ret_ids is too small. */
HOLD_MUST int hold_ids_expand_images(const uint32_t *ids, size_t n_ids, uint32_t image_token, const uint32_t *counts,
                                     size_t n_images, struct hold_buf *ret_ids, struct hold_err *err);

/* Streaming decode: whole characters only; what is not UTF-8 comes out as U+FFFD, as the original library's decoder does.
 * `= {0}` begins a text. */
struct hold_tok_stream {
    unsigned char held[4]; /* a valid beginning of one character */
    unsigned n_held;
    bool shows_special;    /* special tokens come out as their text; default: as nothing */
};
/* Appends the text that id completes to out. An id outside the table adds nothing. */
void hold_tok_stream_put(const struct hold_tok *t, struct hold_tok_stream *stream, uint32_t id, struct hold_buf *out);
/* The end: an incomplete character becomes U+FFFD. */
void hold_tok_stream_end(struct hold_tok_stream *stream, struct hold_buf *out);
/* All at once. */
void hold_tok_decode(const struct hold_tok *t, const uint32_t *ids, size_t n_ids, bool shows_special, struct hold_buf *out);

#endif
