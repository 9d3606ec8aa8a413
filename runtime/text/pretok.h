/* pretok.h - splitting text into the words that byte-pair merging works on. Floor: runtime/text, pure.
 *
 * Hand-written for the patterns it knows; linear in the text. Letter, number and space are Unicode's L, N and White_Space
 * (runtime/text/unicode.inc, made by unicode.py). */
#ifndef HOLD_RUNTIME_TEXT_PRETOK_H
#define HOLD_RUNTIME_TEXT_PRETOK_H

#include <stdbool.h>
#include <stddef.h>

enum hold_pretok {
    HOLD_PRETOK_DIGITS3 = 1, /* numbers in groups of up to three: GLM-4, Llama 3 */
    HOLD_PRETOK_DIGITS1 = 2, /* each digit alone: Qwen 2 and 3 */
};

/* Which splitter a regular expression of tokenizer.json asks for; false: none that is known here. */
bool hold_pretok_find(const char *pattern, enum hold_pretok *ret);
/* Bytes of the first word of text; at least 1 when n > 0. A byte that is not UTF-8 counts as a sign of its own. */
size_t hold_pretok_next(enum hold_pretok splitter, const char *text, size_t n);
/* Is the first character white space? Its length (1 for a byte that is not UTF-8, 0 at the end) either way. */
bool hold_pretok_is_space(const char *text, size_t n, size_t *ret_length);

#endif
