/* fuzz_token.c - encode and streaming decode with the tiny tokenizer: valid text comes back whole, in any number of steps;
 * bytes that are no text come back as what a lossy decoder makes of them; a person's words give no special id. */
#include "base/utf8.h"
#include "runtime/text/token.h"
#include "runtime/text/token_json.h"
#include "tests/helpers/t_model.h"

#include <unistd.h>

static const struct hold_tok *tiny(void) {
    static struct hold_buf table;
    static struct hold_tok tokens;
    if (table.n)
        return &tokens;
    char folder[] = "/tmp/hold-fuzz-XXXXXX", path[128];
    struct hold_err err;
    hold_autobuf json = hold_buf_with_max(1 << 20);
    if (!mkdtemp(folder))
        abort();
    t_write_tokenizer(folder);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    FILE *f = fopen(path, "rb");
    int c;
    while (f && (c = fgetc(f)) != EOF)
        hold_buf_addc(&json, (char) c);
    if (f)
        fclose(f);
    unlink(path);
    rmdir(folder);
    table = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES);
    if (hold_tok_build(json.data, json.n, &table, &err) < 0 || hold_tok_open(table.data, table.n, &tokens, &err) < 0)
        abort();
    return &tokens;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const struct hold_tok *t = tiny();
    hold_autobuf ids = hold_buf_with_max(1 << 24);
    hold_autobuf streamed = hold_buf_with_max(1 << 24);
    hold_autobuf whole = hold_buf_with_max(1 << 24);
    struct hold_err err;
    if (hold_tok_encode_text(t, (const char *) data, n, &ids, &err) < 0)
        abort();
    struct hold_tok_stream stream = { 0 };
    for (size_t i = 0; i < hold_ids_count(&ids); i++) {
        if (hold_tok_is_special(t, hold_ids_of(&ids)[i]))
            abort();
        hold_tok_stream_put(t, &stream, hold_ids_of(&ids)[i], &streamed);
    }
    hold_tok_stream_end(&stream, &streamed);
    hold_tok_decode(t, hold_ids_of(&ids), hold_ids_count(&ids), false, &whole);
    if (whole.n != streamed.n || (whole.n && memcmp(whole.data, streamed.data, whole.n) != 0))
        abort();
    size_t valid = 0;
    for (size_t length; valid < n && (length = hold_utf8_length(data + valid, n - valid)) > 0;)
        valid += length;
    if (whole.n < valid || (valid && memcmp(whole.data, data, valid) != 0) || (valid == n && whole.n != n))
        abort();
    return 0;
}
