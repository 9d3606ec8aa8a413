/* prop_text.c - random texts through tokenizer, stop matcher and template, HOLD_SEEDS times (200). The failing seed is printed.
 * Proven: what holds for every text. That the ids are the right ones is for tests/unit/test_token.c. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/text/template.h"
#include "runtime/text/token.h"
#include "runtime/text/token_json.h"
#include "tests/helpers/t_model.h"

#include <unistd.h>

static struct hold_buf table;
static struct hold_tok tiny;
static uint64_t state;

static uint64_t next(void) {
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t n_seeds(void) {
    const char *text = getenv("HOLD_SEEDS");
    const uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    return n ? n : 200;
}

static void add_char(struct hold_buf *b, uint32_t code) {
    if (code < 0x80) {
        hold_buf_addc(b, (char) code);
    } else if (code < 0x800) {
        hold_buf_addc(b, (char) (0xC0 | code >> 6));
        hold_buf_addc(b, (char) (0x80 | (code & 63)));
    } else if (code < 0x10000) {
        hold_buf_addc(b, (char) (0xE0 | code >> 12));
        hold_buf_addc(b, (char) (0x80 | (code >> 6 & 63)));
        hold_buf_addc(b, (char) (0x80 | (code & 63)));
    } else {
        hold_buf_addc(b, (char) (0xF0 | code >> 18));
        hold_buf_addc(b, (char) (0x80 | (code >> 12 & 63)));
        hold_buf_addc(b, (char) (0x80 | (code >> 6 & 63)));
        hold_buf_addc(b, (char) (0x80 | (code & 63)));
    }
}

/* Valid UTF-8 of up to n characters, from words, signs, tags and any code point. */
static struct hold_buf text_make(size_t n) {
    static const char *const words[] = { "finish", "hello", " the", "element", "=[500,500]", "\n", "  ", "\r\n", "'ll", "123456", "<|user|>",
                                         "<|image|>", "<think>", "</answer>", "[gMASK]", "<", "|>", "\xe4\xb8\xad\xe6\x96\x87", "\xf0\x9f\x91\x8d" };
    struct hold_buf b = hold_buf_with_max(1 << 20);
    for (uint64_t count = next() % n; count; count--) {
        uint32_t code = (uint32_t) (next() % (next() % 2 ? 0x110000 : 0x3000));
        if (next() % 3)
            hold_buf_adds(&b, words[next() % HOLD_COUNT_OF(words)]);
        else
            add_char(&b, code >= 0xD800 && code < 0xE000 ? 'x' : code);
    }
    hold_buf_add(&b, "", 0);
    return b;
}

static void every_text_comes_back_whole(void **unused) {
    (void) unused;
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        state = seed;
        struct hold_err err = { 0 };
        hold_autobuf text = text_make(80);
        hold_autobuf ids = hold_buf_with_max(1 << 20);
        hold_autobuf out = hold_buf_with_max(1 << 20);
        struct hold_tok_stream stream = { 0 };
        if (hold_tok_encode_text(&tiny, text.data, text.n, &ids, &err) < 0)
            fail_msg("seed %llu: %s", (unsigned long long) seed, err.text);
        for (size_t i = 0; i < hold_ids_count(&ids); i++) {
            hold_tok_stream_put(&tiny, &stream, hold_ids_of(&ids)[i], &out);
            if (hold_tok_is_special(&tiny, hold_ids_of(&ids)[i]))
                fail_msg("seed %llu: a special token out of a person's text", (unsigned long long) seed);
        }
        hold_tok_stream_end(&stream, &out);
        if (out.n != text.n || (out.n && memcmp(out.data, text.data, out.n) != 0))
            fail_msg("seed %llu: '%s' comes back as '%s'", (unsigned long long) seed, text.data, out.data);
    }
}

static void cutting_a_text_into_pieces_changes_nothing(void **unused) {
    (void) unused;
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        state = seed ^ 0x5555;
        struct hold_err err = { 0 };
        hold_autobuf text = text_make(60);
        for (size_t i = 0; i < text.n; i++)
            if (text.data[i] == '<') /* a tag cut in two is no tag: leave tags out */
                text.data[i] = '(';
        hold_autobuf whole = hold_buf_with_max(1 << 20);
        hold_autobuf parts = hold_buf_with_max(1 << 20);
        struct hold_piece pieces[64];
        size_t n = 0, at = 0;
        while (at < text.n) {
            const size_t wanted = n == 63 ? text.n : next() % 9, step = HOLD_MIN(wanted, text.n - at);
            pieces[n++] = (struct hold_piece) { HOLD_PIECE_TEXT, text.data + at, step };
            at += step;
        }
        assert_int_equal(hold_tok_encode_text(&tiny, text.data, text.n, &whole, &err), 0);
        assert_int_equal(hold_tok_encode(&tiny, pieces, n, NULL, &parts, &err), 0);
        if (whole.n != parts.n || (whole.n && memcmp(whole.data, parts.data, whole.n) != 0))
            fail_msg("seed %llu: '%s' in %zu pieces gives other ids", (unsigned long long) seed, text.data, n);
    }
}

static void a_prompt_has_only_the_templates_special_ids(void **unused) {
    (void) unused;
    static const char *const roles[] = { "system", "user", "assistant", "tool" };
    for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
        state = seed ^ 0xABCD;
        struct hold_err err = { 0 };
        struct hold_buf texts[8];
        struct hold_part parts[8][2];
        struct hold_message messages[8];
        const size_t n = 1 + next() % 8;
        size_t n_special = 3, n_images, found = 0; /* [gMASK] <sop>, and <|assistant|> at the end */
        for (size_t i = 0; i < n; i++) {
            const char *role = roles[next() % 4];
            const bool has_image = strcmp(role, "user") == 0 && next() % 2;
            texts[i] = text_make(20);
            parts[i][0] = (struct hold_part) { .kind = HOLD_PART_TEXT, .text = texts[i].data, .n = texts[i].n };
            parts[i][1] = (struct hold_part) { .kind = HOLD_PART_IMAGE };
            messages[i] = (struct hold_message) { .role = role, .parts = parts[i], .n_parts = has_image ? 2 : 1 };
            n_special += strcmp(role, "tool") != 0 ? (has_image ? 4 : 1) : 0;
        }
        hold_autobuf pieces = hold_buf_with_max(HOLD_TEMPLATE_MAX_PIECES * sizeof(struct hold_piece));
        hold_autobuf ids = hold_buf_with_max(1 << 20);
        const struct hold_template_options o = { .format = next() % 2 ? HOLD_CONTENT_STRING : HOLD_CONTENT_OPENAI, .opens_reply = true };
        assert_int_equal(hold_template_render(messages, n, o, &pieces, &n_images, &err), 0);
        assert_int_equal(hold_tok_encode(&tiny, hold_pieces_of(&pieces), hold_pieces_count(&pieces), NULL, &ids, &err), 0);
        for (size_t i = 0; i < hold_ids_count(&ids); i++)
            found += hold_tok_is_special(&tiny, hold_ids_of(&ids)[i]);
        if (found != n_special)
            fail_msg("seed %llu: %zu special ids, the template wrote %zu", (unsigned long long) seed, found, n_special);
        for (size_t i = 0; i < n; i++)
            hold_buf_release(&texts[i]);
    }
}

static int tiny_open(void **unused) {
    (void) unused;
    char folder[] = "/tmp/hold-prop-XXXXXX", path[128], piece[4096];
    struct hold_err err;
    hold_autobuf json = hold_buf_with_max(1 << 20);
    if (!mkdtemp(folder))
        return -1;
    t_write_tokenizer(folder);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    FILE *f = fopen(path, "rb");
    for (size_t n; f && (n = fread(piece, 1, sizeof piece, f)) > 0;)
        hold_buf_add(&json, piece, n);
    if (f)
        fclose(f);
    unlink(path);
    rmdir(folder);
    table = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES);
    return hold_tok_build(json.data, json.n, &table, &err) < 0 ? -1 : hold_tok_open(table.data, table.n, &tiny, &err);
}

static int tiny_close(void **unused) {
    (void) unused;
    hold_buf_release(&table);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_comes_back_whole),
        cmocka_unit_test(cutting_a_text_into_pieces_changes_nothing),
        cmocka_unit_test(a_prompt_has_only_the_templates_special_ids),
    };
    return cmocka_run_group_tests_name("text", tests, tiny_open, tiny_close);
}
