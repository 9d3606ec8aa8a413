/* template.c - the published chat template as a rule. Floor: runtime/text, pure.
 *
 * The template of GLM-4.1V (922 bytes of jinja) prints role tokens, a line break and the content; this file prints the same as
 * pieces, so that what the template wrote and what people wrote never mix. */
#include "runtime/text/template.h"

#include <stdint.h>
#include <string.h>

static void add_piece(struct hold_buf *out, enum hold_piece_kind kind, const char *text, size_t n) {
    const struct hold_piece piece = { .kind = kind, .text = text, .n = n };
    if (n > 0)
        hold_buf_add(out, &piece, sizeof piece);
}

static void add_token(struct hold_buf *out, const char *token) {
    add_piece(out, HOLD_PIECE_TOKEN, token, strlen(token));
}

static void add_line_break(struct hold_buf *out) {
    add_piece(out, HOLD_PIECE_TEXT, "\n", 1);
}

static void add_image(struct hold_buf *out) {
    add_token(out, "<|begin_of_image|>");
    add_token(out, "<|image|>");
    add_token(out, "<|end_of_image|>");
}

/* Images first, then texts, a line break between neighbours; when all texts are empty the images stand alone. */
static void content_as_string(const struct hold_message *m, struct hold_buf *out) {
    size_t n_images = 0, text_bytes = 0, n_texts = 0;
    for (size_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind == HOLD_PART_IMAGE) {
            if (n_images++ > 0)
                add_line_break(out);
            add_image(out);
        } else {
            text_bytes += m->parts[i].n;
            n_texts++;
        }
    }
    /* joined texts are empty only when there is at most one and it is empty */
    if (text_bytes == 0 && n_texts < 2)
        return;
    bool is_first = n_images == 0;
    for (size_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind != HOLD_PART_TEXT)
            continue;
        if (!is_first)
            add_line_break(out);
        is_first = false;
        add_piece(out, HOLD_PIECE_TEXT, m->parts[i].text, m->parts[i].n);
    }
}

static void content_in_order(const struct hold_message *m, struct hold_buf *out) {
    for (size_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind == HOLD_PART_IMAGE)
            add_image(out);
        else
            add_piece(out, HOLD_PIECE_TEXT, m->parts[i].text, m->parts[i].n);
    }
}

static int render_one(const struct hold_message *m, size_t index, enum hold_content_format format, struct hold_buf *out,
                      size_t *n_images, struct hold_err *err) {
    const bool is_user = strcmp(m->role, "user") == 0, is_assistant = strcmp(m->role, "assistant") == 0;
    if (!is_user && !is_assistant && strcmp(m->role, "system") != 0)
        return 0;
    if (m->n_parts > HOLD_TEMPLATE_MAX_PARTS)
        return hold_fail(err, HOLD_E_LIMIT, 0, "message %zu has %zu parts, the limit is %u", index, m->n_parts, HOLD_TEMPLATE_MAX_PARTS);
    for (size_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind != HOLD_PART_IMAGE)
            continue;
        if (!is_user)
            return hold_fail(err, HOLD_E_CONFIG, 0, "message %zu: an image in a message of role '%s'; the model takes images from the user only",
                             index, m->role);
        ++*n_images;
    }
    add_token(out, is_user ? "<|user|>" : is_assistant ? "<|assistant|>" : "<|system|>");
    if (is_assistant && m->metadata)
        add_piece(out, HOLD_PIECE_TEXT, m->metadata, strlen(m->metadata));
    add_line_break(out);
    if (format == HOLD_CONTENT_OPENAI)
        content_in_order(m, out);
    else
        content_as_string(m, out);
    return 0;
}

int hold_template_render(const struct hold_message *messages, size_t n_messages, struct hold_template_options options,
                         struct hold_buf *ret_pieces, size_t *ret_n_images, struct hold_err *err) {
    size_t n_images = 0;
    if (n_messages > HOLD_TEMPLATE_MAX_MESSAGES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%zu messages, the limit is %u", n_messages, HOLD_TEMPLATE_MAX_MESSAGES);
    add_token(ret_pieces, "[gMASK]");
    add_token(ret_pieces, "<sop>");
    for (size_t i = 0; i < n_messages; i++)
        if (render_one(&messages[i], i, options.format, ret_pieces, &n_images, err) < 0)
            return -1;
    if (options.opens_reply) {
        add_token(ret_pieces, "<|assistant|>");
        add_line_break(ret_pieces);
    }
    if (hold_buf_check(ret_pieces, "pieces of a prompt", err) < 0)
        return -1;
    *ret_n_images = n_images;
    return 0;
}

static bool contains(const char *text, size_t n, const char *word) {
    return memmem(text, n, word, strlen(word)) != NULL;
}

bool hold_template_is_known(const char *text, size_t n) {
    /* The published file's length: its bytes are not reproduced here, so length and tokens are what is compared. */
    enum { PUBLISHED_BYTES = 922 };
    static const char *const tokens[] = { "[gMASK]<sop>", "<|system|>", "<|user|>", "<|assistant|>", "metadata",
                                          "<|begin_of_image|><|image|><|end_of_image|>" };
    /* Other lengths that render by the rule: FNV-1a 64 of the trimmed bytes. */
    static const struct {
        size_t n;
        uint64_t hash;
    } known[] = {
        { 674, UINT64_C(0x67bdf242eae08647) }, /* examples/little-model */
    };
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char) text[i]) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].n == n && known[i].hash == hash)
            return true;
    bool has_all = n == PUBLISHED_BYTES || n + 1 == PUBLISHED_BYTES;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens && has_all; i++)
        has_all = contains(text, n, tokens[i]);
    return has_all;
}
