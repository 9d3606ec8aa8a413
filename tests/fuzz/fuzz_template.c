/* fuzz_template.c - messages out of bytes: no word of the input becomes a token piece, none is lost, none is doubled. */
#include "runtime/text/template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGES = 16, MAX_PARTS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char *const roles[] = { "system", "user", "assistant", "tool", "", "User" };
    static struct hold_part parts[MAX_MESSAGES][MAX_PARTS];
    struct hold_message messages[MAX_MESSAGES];
    size_t n_messages = 0, at = 1, words = 0, images = 0, found_words = 0, found_images = 0;
    if (n == 0)
        return 0;
    /* a message: role, number of parts; a part: length (255: an image), bytes */
    while (n_messages < MAX_MESSAGES && at + 2 <= n) {
        struct hold_message *m = &messages[n_messages];
        const char *role = roles[data[at] % 6];
        const size_t wanted = data[at + 1] % MAX_PARTS;
        *m = (struct hold_message) { .role = role, .parts = parts[n_messages] };
        at += 2;
        while (m->n_parts < wanted && at < n) {
            const uint8_t length = data[at++];
            const bool counts = role == roles[0] || role == roles[1] || role == roles[2];
            struct hold_part *p = &parts[n_messages][m->n_parts++];
            if (length == 255) {
                *p = (struct hold_part) { .kind = HOLD_PART_IMAGE };
                images += counts;
                continue;
            }
            *p = (struct hold_part) { .kind = HOLD_PART_TEXT, .text = (const char *) data + at, .n = length < n - at ? length : n - at };
            at += p->n;
            words += counts ? p->n : 0;
        }
        n_messages++;
    }
    hold_autobuf pieces = hold_buf_with_max(HOLD_TEMPLATE_MAX_PIECES * sizeof(struct hold_piece));
    struct hold_err err;
    const struct hold_template_options o = { .format = data[0] & 1 ? HOLD_CONTENT_OPENAI : HOLD_CONTENT_STRING, .opens_reply = data[0] & 2 };
    if (hold_template_render(messages, n_messages, o, &pieces, &found_images, &err) < 0)
        return 0;
    for (size_t i = 0; i < hold_pieces_count(&pieces); i++) {
        const struct hold_piece *p = &hold_pieces_of(&pieces)[i];
        const bool is_theirs = p->text >= (const char *) data && p->text < (const char *) data + n;
        if (is_theirs && p->kind != HOLD_PIECE_TEXT)
            abort();
        found_words += is_theirs ? p->n : 0;
    }
    if (found_words != words || found_images != images)
        abort();
    return 0;
}
