/* token_stream.c - ids to text, a token at a time, whole characters only. Floor: runtime/text, pure.
 *
 * Tokens are pieces of bytes: a character may end in a later token. Its beginning is held back; bytes that can never become
 * a character are replaced by U+FFFD, one for each longest beginning (what Rust's and Python's lossy decoders do). */
#include "runtime/text/token.h"

#include <string.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

enum verdict { WHOLE, COULD_BE, NEVER };

/* What the first n bytes at s are: a whole character of *ret_n bytes; a beginning that more bytes could complete (all n of
 * them); or *ret_n bytes that are none. */
static enum verdict judge(const unsigned char *s, size_t n, size_t *ret_n) {
    const size_t length = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    *ret_n = 1;
    if (length == 0)
        return NEVER;
    for (size_t i = 1; i < length; i++) {
        /* the second byte rules out long forms, surrogates and what lies above U+10FFFF */
        const unsigned low = i > 1 ? 0x80 : s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
        const unsigned high = i > 1 ? 0xBF : s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
        *ret_n = i;
        if (i >= n)
            return COULD_BE;
        if (s[i] < low || s[i] > high)
            return NEVER;
    }
    *ret_n = length;
    return WHOLE;
}

static void put_byte(struct hold_tok_stream *stream, unsigned char byte, struct hold_buf *out) {
    stream->held[stream->n_held++] = byte;
    while (stream->n_held > 0) {
        size_t n;
        const enum verdict verdict = judge(stream->held, stream->n_held, &n);
        if (verdict == COULD_BE)
            return;
        if (verdict == WHOLE)
            hold_buf_add(out, stream->held, n);
        else
            hold_buf_adds(out, REPLACEMENT);
        stream->n_held -= (unsigned) n;
        memmove(stream->held, stream->held + n, stream->n_held);
    }
}

void hold_tok_stream_put(const struct hold_tok *t, struct hold_tok_stream *stream, uint32_t id, struct hold_buf *out) {
    size_t n;
    const char *text = hold_tok_text(t, id, &n);
    if (!stream->shows_special && hold_tok_is_special(t, id))
        return;
    for (size_t i = 0; i < n; i++)
        put_byte(stream, (unsigned char) text[i], out);
}

void hold_tok_stream_end(struct hold_tok_stream *stream, struct hold_buf *out) {
    if (stream->n_held > 0)
        hold_buf_adds(out, REPLACEMENT);
    stream->n_held = 0;
}

void hold_tok_decode(const struct hold_tok *t, const uint32_t *ids, size_t n_ids, bool shows_special, struct hold_buf *out) {
    struct hold_tok_stream stream = { .shows_special = shows_special };
    for (size_t i = 0; i < n_ids; i++)
        hold_tok_stream_put(t, &stream, ids[i], out);
    hold_tok_stream_end(&stream, out);
}
