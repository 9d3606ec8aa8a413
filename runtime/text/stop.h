/* stop.h - stop strings across token borders. Floor: runtime/text, pure.
 *
 * Text goes in as it is decoded, text that may be shown comes out; what could be the beginning of a stop string is held
 * back until it is decided. */
#ifndef HOLD_RUNTIME_TEXT_STOP_H
#define HOLD_RUNTIME_TEXT_STOP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_STOP_MAX_STRINGS 16u
#define HOLD_STOP_MAX_BYTES 256u /* of one string */

/* The caller owns it; nothing to release. */
struct hold_stop {
    size_t n_strings;
    struct {
        uint16_t n;
        uint16_t matched;                   /* bytes of it that the text ends with */
        uint16_t fall[HOLD_STOP_MAX_BYTES]; /* where matching goes on after a mismatch */
        char text[HOLD_STOP_MAX_BYTES];
    } strings[HOLD_STOP_MAX_STRINGS];
    char held[HOLD_STOP_MAX_BYTES];
    size_t n_held;
    bool is_stopped;
};

/* Copies the strings. Fails with CONFIG: too many, an empty one, one too long. n_strings 0 gives a matcher that never stops. */
HOLD_MUST int hold_stop_init(struct hold_stop *stop, const char *const *strings, size_t n_strings, struct hold_err *err);
/* Appends to out what is now certain to be shown, the stop string itself never. True: a stop string is complete, the text
 * has ended (the earliest end wins; of those the longest string), further calls add nothing. */
bool hold_stop_feed(struct hold_stop *stop, const char *text, size_t n, struct hold_buf *out);
/* The text ended without a stop string: appends what was held back. */
void hold_stop_end(struct hold_stop *stop, struct hold_buf *out);

#endif
