/* piece.h - what a prompt is made of before it becomes ids. Floor: runtime/text, pure. */
#ifndef HOLD_RUNTIME_TEXT_PIECE_H
#define HOLD_RUNTIME_TEXT_PIECE_H

#include <stddef.h>

enum hold_piece_kind {
    HOLD_PIECE_TEXT,  /* words of a person or a model, or the template's own line break: never a role or media token */
    HOLD_PIECE_TOKEN, /* exactly one added token, written by the template; only the template makes this kind */
};

/* Borrows its text: from the template's constants or from the messages. Not terminated. */
struct hold_piece {
    enum hold_piece_kind kind;
    const char *text;
    size_t n;
};

#endif
