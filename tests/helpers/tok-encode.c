/* tok-encode.c - ids of texts by a tokenizer.json, for comparing with another implementation.
 *
 *   tok-encode FILE < HEX-LINES     each line of input is a text in hexadecimal, each line of output its ids
 *
 * Every added token counts (as other engines have it). Ends with 1 and a sentence when the file is refused. */
#include "runtime/text/token.h"
#include "runtime/text/token_json.h"
#include "tests/helpers/golden.h"

static int encode_line(const struct hold_tok *t, char *line, struct hold_err *err) {
    size_t n;
    const struct hold_tok_encode_options options = { .parses_special = true };
    hold_autobuf ids = hold_buf_with_max(HOLD_TOK_MAX_IDS * sizeof(uint32_t));
    golden_hex(line, line, &n); /* two digits become one byte: in place */
    const struct hold_piece piece = { .kind = HOLD_PIECE_TEXT, .text = line, .n = n };
    if (hold_tok_encode(t, &piece, 1, &options, &ids, err) < 0)
        return -1;
    for (size_t i = 0; i < hold_ids_count(&ids); i++)
        printf("%s%u", i ? " " : "", hold_ids_of(&ids)[i]);
    putchar('\n');
    return 0;
}

static int run(const char *path, struct hold_err *err) {
    hold_autobuf json = hold_buf_with_max(HOLD_TOK_MAX_JSON_BYTES);
    hold_autobuf table = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES);
    static char piece[65536];
    struct hold_tok t;
    FILE *f = fopen(path, "rb");
    if (!f)
        return hold_fail(err, HOLD_E_IO, 0, "cannot open '%s'", path);
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        hold_buf_add(&json, piece, n);
    fclose(f);
    if (hold_buf_check(&json, "tokenizer.json", err) < 0 || hold_tok_build(json.data, json.n, &table, err) < 0 ||
        hold_tok_open(table.data, table.n, &t, err) < 0)
        return -1;
    char *line = NULL;
    size_t room = 0;
    int result = 0;
    while (result == 0 && getline(&line, &room, stdin) > 0)
        result = encode_line(&t, line, err);
    free(line);
    return result;
}

int main(int argc, char **argv) {
    struct hold_err err = { 0 };
    if (argc != 2) {
        fprintf(stderr, "usage: tok-encode FILE < HEX-LINES\n");
        return 2;
    }
    if (run(argv[1], &err) < 0) {
        fprintf(stderr, "tok-encode: %s\n", err.text);
        return 1;
    }
    return 0;
}
