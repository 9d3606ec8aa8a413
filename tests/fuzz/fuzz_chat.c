/* fuzz_chat.c - the body of a chat request. What is accepted keeps its promises about ranges. */
#include "runtime/serve/chat.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const struct hold_strs names = { .at = { "m" }, .n = 1 };
    static const struct hold_chat_rules rules = { .names = &names, .max_images = 4, .max_pixels = 1000000, .temperature = NAN, .top_p = NAN, .repetition_penalty = NAN };
    hold_autoarena arena = hold_arena_with_max(4u << 20);
    hold_autobuf notes = hold_buf_with_max(4096);
    struct hold_chat chat;
    struct hold_err err = { 0 };

    if (hold_chat_parse((const char *) data, n, &rules, &arena, &chat, &notes, &err) < 0) {
        if (err.code == HOLD_E_NONE || !err.text[0])
            abort();
        return 0;
    }
    bool is_right = chat.n_messages >= 1 && chat.temperature >= 0 && chat.temperature <= 100 && chat.top_p > 0 && chat.top_p <= 1 &&
                    chat.repetition_penalty > 0 && chat.n_images <= 4 && chat.n_stops <= HOLD_STOP_MAX_STRINGS && chat.n_bias <= HOLD_CHAT_MAX_BIAS &&
                    chat.n_stop_ids <= HOLD_CHAT_MAX_STOP_IDS && chat.n_top <= HOLD_CHAT_MAX_TOP && strcmp(chat.model, "m") == 0;
    for (size_t i = 0; i < chat.n_messages; i++)
        is_right = is_right && chat.messages[i].role && (chat.messages[i].n_parts == 0 || chat.messages[i].parts);
    if (!is_right)
        abort();
    return 0;
}
