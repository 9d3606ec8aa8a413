/* fuzz_record.c - config.json, and after a zero byte generation_config.json and preprocessor_config.json: whatever is accepted
 * is a checked record. */
#include "runtime/weights/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct hold_record_files files = { 0 };
    struct hold_text_file *parts[] = { &files.config, &files.generation, &files.preprocessor };
    struct hold_record record;
    struct hold_err err;
    for (size_t i = 0, at = 0; i < 3 && at <= n; i++) {
        const uint8_t *end = at < n ? memchr(data + at, 0, n - at) : NULL;
        const size_t length = end ? (size_t) (end - data) - at : n - at;
        *parts[i] = (struct hold_text_file) { .name = "input", .text = (const char *) data + at, .n = length };
        at += length + 1;
    }
    if (hold_record_parse(&files, &record, &err) < 0)
        return 0;
    if (record.has_qkv_bias == HOLD_RECORD_BIAS_UNSAID)
        record.has_qkv_bias = 1;
    if (hold_record_check(&record, &err) < 0)
        abort();
    return 0;
}
