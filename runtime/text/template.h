/* template.h - messages to the model's exact prompt. Floor: runtime/text, pure.
 *
 * The published chat template is small enough to be a rule: [gMASK]<sop>, then for each message of role system, user or
 * assistant its role token, a line break and the content; other roles are dropped; with `opens_reply` the assistant's
 * token and a line break at the end. Whether a checkpoint's own template is this rule is judged by hold_template_is_known. */
#ifndef HOLD_RUNTIME_TEXT_TEMPLATE_H
#define HOLD_RUNTIME_TEXT_TEMPLATE_H

#include "base/buf.h"
#include "base/err.h"
#include "runtime/text/piece.h"

#include <stdbool.h>
#include <stddef.h>

#define HOLD_TEMPLATE_MAX_MESSAGES 1024u
#define HOLD_TEMPLATE_MAX_PARTS 256u   /* in one message */
#define HOLD_TEMPLATE_MAX_PIECES 65536u

enum hold_part_kind { HOLD_PART_TEXT, HOLD_PART_IMAGE };

/* One part of a message's content; a content that is a plain string is one TEXT part. Borrowed. */
struct hold_part {
    enum hold_part_kind kind;
    const char *text; /* TEXT only */
    size_t n;
};

struct hold_message {
    const char *role; /* terminated */
    const struct hold_part *parts;
    size_t n_parts;
    const char *metadata; /* of an assistant message, between role token and line break; NULL: none */
};

/* How the parts of one message become one text. STRING: the tokens of all images first, then the texts, joined by line
 * breaks (what the model's publisher recommends). OPENAI: in order, nothing between. */
enum hold_content_format { HOLD_CONTENT_STRING, HOLD_CONTENT_OPENAI };

struct hold_template_options {
    enum hold_content_format format;
    bool opens_reply; /* the generation prompt */
};

/* Appends struct hold_piece values to ret_pieces (maximum at least HOLD_TEMPLATE_MAX_PIECES * sizeof; read with
 * hold_pieces_of/count); they borrow from the messages. ret_n_images: image placeholders in order of appearance, one
 * TOKEN piece "<|image|>" each. An image in a system or assistant message fails with CONFIG: the model has never seen one
 * there. Fails with CONFIG or LIMIT; the text is fit for an answer to the client. */
HOLD_MUST int hold_template_render(const struct hold_message *messages, size_t n_messages, struct hold_template_options options,
                                   struct hold_buf *ret_pieces, size_t *ret_n_images, struct hold_err *err);

static inline const struct hold_piece *hold_pieces_of(const struct hold_buf *pieces) {
    return (const struct hold_piece *) (const void *) pieces->data;
}
static inline size_t hold_pieces_count(const struct hold_buf *pieces) {
    return pieces->n / sizeof(struct hold_piece);
}

/* Is the text of a checkpoint's chat template one that renders by this rule? The published one is told by its length and
 * its tokens, others by length and hash of their bytes; white space at the end is ignored. */
bool hold_template_is_known(const char *text, size_t n);

#endif
