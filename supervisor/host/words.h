/* words.h - the command line and the environment of one child while they are put together. Floor: host.
 *
 * argv and envp lie in one array that grows with what is added, words first, then variables: process 1 takes as many of either
 * as the kernel does. Texts are borrowed until the child is spawned (which copies them); those that hold_words_text makes live
 * until the next hold_words_begin. */
#ifndef HOLD_HOST_WORDS_H
#define HOLD_HOST_WORDS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_WORDS_TEXT_BYTES 16384
#define HOLD_WORDS_OF_LINE 128 /* most words of a line that is split; a check is no program */

struct hold_words {
    char text[HOLD_WORDS_TEXT_BYTES]; /* of what was made here, from its end down */
    size_t n_text, n_argv, n_envp, room;
    bool is_full;             /* something did not fit: what follows is dropped, hold_words_check tells */
    const char **argv, **envp; /* each ends with NULL; valid until the next call that adds */
};

/* Empty again. All words are to be added before the first variable. */
void hold_words_begin(struct hold_words *w);
void hold_words_add(struct hold_words *w, const char *word);
/* --name value, unless the value is NULL or empty. */
void hold_words_option(struct hold_words *w, const char *name, const char *value);
void hold_words_option_ms(struct hold_words *w, const char *name, uint64_t ms);
/* A text of our own; "" when there is no room. */
const char *hold_words_text(struct hold_words *w, const char *format, ...) HOLD_PRINTF(2, 3);

/* "NAME=value" behind the others, whatever they are; _put replaces one of that name, _drop takes it out. */
void hold_words_pass(struct hold_words *w, const char *entry);
void hold_words_put(struct hold_words *w, const char *entry);
void hold_words_drop(struct hold_words *w, const char *name);
/* The value of a variable, or NULL. */
const char *hold_words_value(const struct hold_words *w, const char *name);

/* Fails (LIMIT) when something did not fit. */
HOLD_MUST int hold_words_check(const struct hold_words *w, struct hold_err *err);

/* Splits a line as a shell does, without its expansions: blanks part words, '...' keeps all, "..." keeps blanks and takes \" and
 * \\, a \ outside quotes keeps the next byte. In place; ret_words (room for max) point into line. Returns the number of words,
 * or -1: FORMAT for a quote without its end, LIMIT for more than max. */
HOLD_MUST int hold_words_split(char *line, const char **ret_words, size_t max, struct hold_err *err);

#endif
