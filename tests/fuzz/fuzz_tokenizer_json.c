/* fuzz_tokenizer_json.c - tokenizer.json: whatever is accepted makes a table that opens and encodes. */
#include "runtime/text/token.h"
#include "runtime/text/token_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char sample[] = "<think> hello, the 12 finish messages</think>\n\n\xe4\xb8\xad";
    hold_autobuf table = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES);
    struct hold_tok tokens;
    struct hold_err err;
    if (hold_tok_build((const char *) data, n, &table, &err) < 0)
        return 0;
    if (hold_tok_open(table.data, table.n, &tokens, &err) < 0)
        abort();
    hold_autobuf ids = hold_buf_with_max(4096);
    if (hold_tok_encode_text(&tokens, sample, strlen(sample), &ids, &err) < 0)
        abort();
    for (size_t i = 0; i < hold_ids_count(&ids); i++)
        if (hold_ids_of(&ids)[i] >= hold_tok_count(&tokens))
            abort();
    return 0;
}
