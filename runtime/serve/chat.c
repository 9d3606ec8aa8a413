/* chat.c - a chat request's JSON to a checked struct. Floor: runtime/serve, pure. The answers are in chat_answer.c. */
#include "runtime/serve/chat.h"

#include "base/json.h"
#include "base/list.h"
#include "base/num.h"
#include "runtime/serve/api.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Fields that would change the answer and that this server does not do: refused unless null, false, 0, "" or empty. */
static const char *const undone[] = {
    "functions", "function_call", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_decoding_backend",
    "structured_outputs", "use_beam_search", "prompt_logprobs", "echo", "continue_final_message", "add_special_tokens", "documents",
    "chat_template", "audio", "prediction", "web_search_options", "truncate_prompt_tokens", "bad_words", "allowed_token_ids",
    "include_stop_str_in_output", "tool_resources", "logits_processors", "thinking",
};

/* Fields that are known and do not change the answer. */
static const char *const harmless[] = {
    "user", "metadata", "store", "request_id", "priority", "parallel_tool_calls", "service_tier", "spaces_between_special_tokens",
    "reasoning_effort", "safety_identifier", "prompt_cache_key", "cache_salt", "return_tokens_as_token_ids",
};

struct parser {
    const struct hold_chat_rules *rules;
    struct hold_arena *arena;
    struct hold_chat *chat;
    struct hold_json_reader top;
    struct hold_buf *mistakes;
    bool is_out_of_memory;
};

/* ---- values; null counts as absent ---- */

static const struct cJSON *value_of(struct hold_json_reader *r, const char *key) {
    const struct cJSON *v = hold_json_any(r, key);
    return v && hold_json_type_of(v) != HOLD_JSON_NULL ? v : NULL;
}

static void number(struct hold_json_reader *r, const char *key, double min, double max, float *ret) {
    const struct cJSON *v = value_of(r, key);
    double found;

    if (!v)
        return;
    if (!hold_json_f64(v, &found) || found < min || found > max)
        hold_json_mistake(r, key, "must be a number from %g to %g", min, max);
    else
        *ret = (float) found;
}

static bool integer(struct hold_json_reader *r, const char *key, int64_t min, int64_t max, int64_t *ret) {
    const struct cJSON *v = value_of(r, key);
    int64_t found;

    if (!v)
        return false;
    if (!hold_json_i64(v, &found) || found < min || found > max) {
        hold_json_mistake(r, key, "must be a whole number from %jd to %jd", (intmax_t) min, (intmax_t) max);
        return false;
    }
    *ret = found;
    return true;
}

static bool flag(struct hold_json_reader *r, const char *key, bool otherwise) {
    const struct cJSON *v = value_of(r, key);
    bool found = otherwise;

    if (v && !hold_json_bool(v, &found))
        hold_json_mistake(r, key, "must be true or false");
    return found;
}

static bool is_empty(const struct cJSON *v) {
    bool is_true = true;
    double n = 1;
    const char *text = "x";
    if (!v)
        return true;
    switch (hold_json_type_of(v)) {
    case HOLD_JSON_NULL: return true;
    case HOLD_JSON_BOOL: return hold_json_bool(v, &is_true) && !is_true;
    case HOLD_JSON_NUMBER: return hold_json_f64(v, &n) && fpclassify(n) == FP_ZERO;
    case HOLD_JSON_STRING: return hold_json_str(v, &text) && !*text;
    case HOLD_JSON_ARRAY:
    case HOLD_JSON_OBJECT: return hold_json_size(v) == 0;
    }
    return false;
}

static bool string_is(const struct cJSON *v, const char *wanted) {
    const char *text;
    return v && hold_json_str(v, &text) && strcmp(text, wanted) == 0;
}

static const char *keep(struct parser *p, const char *text, size_t n) {
    const char *copy = hold_arena_copy(p->arena, text, n);
    if (!copy)
        p->is_out_of_memory = true;
    return copy ? copy : "";
}

/* ---- messages ---- */

/* Only data: addresses of PNG and JPEG: a server that opens a client's addresses opens its own files and network to it. */
static void image(struct parser *p, struct hold_json_reader *part, const struct cJSON *v) {
    const char *url = NULL;
    struct hold_json_reader r;
    static const char *const heads[] = { "data:image/png;base64,", "data:image/jpeg;base64,", "data:image/jpg;base64," };

    if (v && hold_json_type_of(v) == HOLD_JSON_OBJECT) {
        hold_json_read(&r, v, part->path, p->mistakes);
        v = value_of(&r, "url");
    }
    if (!v || !hold_json_str(v, &url)) {
        hold_json_mistake(part, "image_url", "must be {\"url\": \"data:image/png;base64,...\"}");
        return;
    }
    const char *base64 = NULL;
    for (size_t i = 0; i < HOLD_COUNT_OF(heads); i++)
        if (strncmp(url, heads[i], strlen(heads[i])) == 0)
            base64 = url + strlen(heads[i]);
    if (!base64) {
        hold_json_mistake(part, "image_url",
                          "only data:image/png;base64, and data:image/jpeg;base64, are accepted; this server opens no file: or http: address");
        return;
    }
    struct hold_chat *chat = p->chat;
    if (chat->n_images >= HOLD_MIN(p->rules->max_images, HOLD_CHAT_MAX_IMAGES)) {
        hold_json_mistake(part, "image_url", "is one image too many: at most %u in a request", p->rules->max_images);
        return;
    }
    size_t n = strlen(base64), n_bytes = 0;
    unsigned char *bytes = hold_arena_take(p->arena, n / 4 * 3 + 4);
    if (!bytes) {
        p->is_out_of_memory = true;
        return;
    }
    if (!hold_base64_decode(base64, n, bytes, &n_bytes) || n_bytes == 0) {
        hold_json_mistake(part, "image_url", "the data is not base64");
        return;
    }
    chat->images[chat->n_images++] = (struct hold_chat_image) { .bytes = bytes, .n = n_bytes };
}

static void part(struct parser *p, const struct cJSON *v, const char *path, struct hold_part *ret) {
    struct hold_json_reader r;
    const char *type = NULL, *text = NULL;

    hold_json_read(&r, v, path, p->mistakes);
    const struct cJSON *kind = value_of(&r, "type");
    if (!kind || !hold_json_str(kind, &type)) {
        hold_json_mistake(&r, "type", "must be \"text\" or \"image_url\"");
        return;
    }
    if (strcmp(type, "text") == 0) {
        if (!hold_json_str(value_of(&r, "text"), &text))
            hold_json_mistake(&r, "text", "must be a string");
        else
            *ret = (struct hold_part) { .kind = HOLD_PART_TEXT, .text = keep(p, text, strlen(text)), .n = strlen(text) };
    } else if (strcmp(type, "image_url") == 0) {
        *ret = (struct hold_part) { .kind = HOLD_PART_IMAGE };
        image(p, &r, value_of(&r, "image_url"));
    } else {
        hold_json_mistake(&r, "type", "'%.40s' is not done here: \"text\" and \"image_url\" are", type);
    }
}

static void content(struct parser *p, struct hold_json_reader *r, const struct cJSON *v, const char *path, struct hold_message *ret) {
    const char *text;
    size_t n = 0;

    if (!v)
        return; /* null: an assistant message that was only a tool call */
    if (hold_json_str(v, &text)) {
        struct hold_part *one = hold_arena_take(p->arena, sizeof *one);
        if (!one) {
            p->is_out_of_memory = true;
            return;
        }
        *one = (struct hold_part) { .kind = HOLD_PART_TEXT, .text = keep(p, text, strlen(text)), .n = strlen(text) };
        ret->parts = one;
        ret->n_parts = 1;
        return;
    }
    if (hold_json_type_of(v) != HOLD_JSON_ARRAY || hold_json_size(v) > HOLD_TEMPLATE_MAX_PARTS) {
        hold_json_mistake(r, "content", "must be a string or a list of at most %u parts", HOLD_TEMPLATE_MAX_PARTS);
        return;
    }
    struct hold_part *parts = hold_arena_array(p->arena, hold_json_size(v), sizeof *parts);
    if (!parts) {
        p->is_out_of_memory = true;
        return;
    }
    for (const struct cJSON *c = hold_json_first(v); c; c = hold_json_next(c)) {
        char where[96];
        const char *plain;
        (void) snprintf(where, sizeof where, "%s.content[%zu]", path, n);
        if (hold_json_str(c, &plain)) /* a bare string stands for a text part, as other servers take it */
            parts[n] = (struct hold_part) { .kind = HOLD_PART_TEXT, .text = keep(p, plain, strlen(plain)), .n = strlen(plain) };
        else
            part(p, c, where, &parts[n]);
        n++;
    }
    ret->parts = parts;
    ret->n_parts = n;
}

static void messages(struct parser *p) {
    const struct cJSON *list = value_of(&p->top, "messages");
    size_t n = 0;

    if (!list || hold_json_type_of(list) != HOLD_JSON_ARRAY || hold_json_size(list) == 0 ||
        hold_json_size(list) > HOLD_TEMPLATE_MAX_MESSAGES) {
        hold_json_mistake(&p->top, "messages", "must be a list of 1 to %u messages", HOLD_TEMPLATE_MAX_MESSAGES);
        return;
    }
    struct hold_message *all = hold_arena_array(p->arena, hold_json_size(list), sizeof *all);
    if (!all) {
        p->is_out_of_memory = true;
        return;
    }
    for (const struct cJSON *v = hold_json_first(list); v; v = hold_json_next(v)) {
        static const char *const roles[] = { "system", "developer", "user", "assistant", "tool" };
        char path[40];
        const char *role = "";
        struct hold_json_reader r;

        (void) snprintf(path, sizeof path, "messages[%zu]", n);
        hold_json_read(&r, v, path, p->mistakes);
        (void) hold_json_str(value_of(&r, "role"), &role);
        int index = hold_index_of(roles, HOLD_COUNT_OF(roles), role);
        if (index < 0)
            hold_json_mistake(&r, "role", "must be system, developer, user, assistant or tool");
        else
            all[n].role = index == 1 ? "system" : roles[index];
        if (!is_empty(hold_json_any(&r, "tool_calls")))
            hold_json_mistake(&r, "tool_calls", "the model's template has no tools");
        content(p, &r, value_of(&r, "content"), path, &all[n]);
        n++;
    }
    p->chat->messages = all;
    p->chat->n_messages = n;
}

/* ---- the rest ---- */

static void sampling(struct parser *p) {
    struct hold_chat *c = p->chat;
    struct hold_json_reader *r = &p->top;
    const struct hold_chat_rules *rules = p->rules;
    int64_t whole;

    c->temperature = isnan(rules->temperature) ? 1 : rules->temperature;
    c->top_p = isnan(rules->top_p) ? 1 : rules->top_p;
    c->repetition_penalty = isnan(rules->repetition_penalty) ? 1 : rules->repetition_penalty;
    c->top_k = rules->top_k;
    number(r, "temperature", 0, 100, &c->temperature);
    number(r, "top_p", 1e-6, 1, &c->top_p);
    number(r, "min_p", 0, 1, &c->min_p);
    number(r, "frequency_penalty", -2, 2, &c->frequency_penalty);
    number(r, "presence_penalty", -2, 2, &c->presence_penalty);
    number(r, "repetition_penalty", 0.01, 100, &c->repetition_penalty);
    if (integer(r, "top_k", -1, INT32_MAX, &whole))
        c->top_k = whole < 0 ? 0 : (uint32_t) whole;
    if (integer(r, "seed", -(INT64_C(1) << 53), INT64_C(1) << 53, &whole)) {
        c->has_seed = true;
        c->seed = (uint64_t) whole;
    }
    if (integer(r, "max_tokens", 1, INT32_MAX, &whole))
        c->max_tokens = (uint32_t) whole;
    if (integer(r, "max_completion_tokens", 1, INT32_MAX, &whole))
        c->max_tokens = (uint32_t) whole;
    if (integer(r, "min_tokens", 0, INT32_MAX, &whole))
        c->min_tokens = (uint32_t) whole;
    if (c->max_tokens && c->min_tokens > c->max_tokens)
        hold_json_mistake(r, "min_tokens", "is above max_tokens");
    c->ignore_eos = flag(r, "ignore_eos", false);
    c->shows_special = !flag(r, "skip_special_tokens", true);
}

static void stops(struct parser *p) {
    struct hold_chat *c = p->chat;
    struct hold_json_reader *r = &p->top;
    const struct cJSON *v = value_of(r, "stop");
    const char *text;
    uint64_t id;

    if (v && hold_json_str(v, &text)) {
        c->stops[c->n_stops++] = keep(p, text, strlen(text));
    } else if (v && hold_json_type_of(v) == HOLD_JSON_ARRAY && hold_json_size(v) <= HOLD_STOP_MAX_STRINGS) {
        for (const struct cJSON *s = hold_json_first(v); s; s = hold_json_next(s)) {
            if (hold_json_str(s, &text))
                c->stops[c->n_stops++] = keep(p, text, strlen(text));
            else
                hold_json_mistake(r, "stop", "must be a string or a list of strings");
        }
    } else if (v) {
        hold_json_mistake(r, "stop", "must be a string or a list of at most %u strings", HOLD_STOP_MAX_STRINGS);
    }
    for (size_t i = 0; i < c->n_stops; i++)
        if (!*c->stops[i] || strlen(c->stops[i]) > HOLD_STOP_MAX_BYTES)
            hold_json_mistake(r, "stop", "each must have 1 to %u bytes", HOLD_STOP_MAX_BYTES);

    v = value_of(r, "stop_token_ids");
    if (v && (hold_json_type_of(v) != HOLD_JSON_ARRAY || hold_json_size(v) > HOLD_CHAT_MAX_STOP_IDS)) {
        hold_json_mistake(r, "stop_token_ids", "must be a list of at most %u ids", HOLD_CHAT_MAX_STOP_IDS);
    } else if (v) {
        for (const struct cJSON *s = hold_json_first(v); s; s = hold_json_next(s)) {
            if (hold_json_u64(s, &id) && id < UINT32_MAX)
                c->stop_ids[c->n_stop_ids++] = (uint32_t) id;
            else
                hold_json_mistake(r, "stop_token_ids", "must hold token ids");
        }
    }
}

static void bias(struct parser *p) {
    const struct cJSON *v = value_of(&p->top, "logit_bias");

    if (!v)
        return;
    if (hold_json_type_of(v) != HOLD_JSON_OBJECT || hold_json_size(v) > HOLD_CHAT_MAX_BIAS) {
        hold_json_mistake(&p->top, "logit_bias", "must be an object of at most %u ids", HOLD_CHAT_MAX_BIAS);
        return;
    }
    for (const struct cJSON *b = hold_json_first(v); b; b = hold_json_next(b)) {
        uint64_t id;
        double add;
        struct hold_err ignored = { 0 };
        if (hold_parse_u64(hold_json_key(b), 0, UINT32_MAX - 1, &id, &ignored) < 0 || !hold_json_f64(b, &add) || add < -100 || add > 100)
            hold_json_mistake(&p->top, "logit_bias", "must map token ids to numbers from -100 to 100");
        else
            p->chat->bias[p->chat->n_bias++] = (struct hold_chat_bias) { .id = (uint32_t) id, .add = (float) add };
    }
}

static void output(struct parser *p) {
    struct hold_chat *c = p->chat;
    struct hold_json_reader *r = &p->top, options;
    int64_t whole;

    c->is_stream = flag(r, "stream", false);
    const struct cJSON *v = value_of(r, "stream_options");
    if (v) {
        hold_json_read(&options, v, "stream_options", p->mistakes);
        c->include_usage = flag(&options, "include_usage", false);
        c->continuous_usage = flag(&options, "continuous_usage_stats", false);
        if (!c->is_stream)
            hold_json_mistake(r, "stream_options", "goes with \"stream\": true only");
    }
    c->want_logprobs = flag(r, "logprobs", false);
    if (integer(r, "top_logprobs", 0, HOLD_CHAT_MAX_TOP, &whole)) {
        c->n_top = (uint32_t) whole;
        if (c->n_top && !c->want_logprobs)
            hold_json_mistake(r, "top_logprobs", "goes with \"logprobs\": true only");
    }
    if (integer(r, "n", 1, INT32_MAX, &whole) && whole != 1)
        hold_json_mistake(r, "n", "only 1 is done here");
    if (integer(r, "best_of", 1, INT32_MAX, &whole) && whole != 1)
        hold_json_mistake(r, "best_of", "only 1 is done here");
    c->opens_reply = flag(r, "add_generation_prompt", true);
}

/* Answer shapes and tools: accepted where they ask for nothing, refused otherwise. */
static void refusals(struct parser *p) {
    struct hold_json_reader *r = &p->top;
    const struct cJSON *v = value_of(r, "response_format");

    if (v && !string_is(hold_json_get(v, "type"), "text"))
        hold_json_mistake(r, "response_format", "only {\"type\": \"text\"} is done here: this server cannot constrain the answer");
    const struct cJSON *choice = value_of(r, "tool_choice");
    const struct cJSON *tools = value_of(r, "tools");
    if (!is_empty(tools) && !string_is(choice, "none"))
        hold_json_mistake(r, "tools", "the model's template has no tools; leave them out, or send \"tool_choice\": \"none\"");
    else if (choice && !string_is(choice, "none") && !string_is(choice, "auto"))
        hold_json_mistake(r, "tool_choice", "the model's template has no tools");
    v = value_of(r, "modalities");
    if (v && !(hold_json_size(v) == 1 && string_is(hold_json_first(v), "text")))
        hold_json_mistake(r, "modalities", "only [\"text\"] is done here");
    for (size_t i = 0; i < HOLD_COUNT_OF(undone); i++)
        if (!is_empty(hold_json_any(r, undone[i])))
            hold_json_mistake(r, undone[i], "is not done here and is not ignored either: leave it out");
    for (size_t i = 0; i < HOLD_COUNT_OF(harmless); i++)
        (void) hold_json_any(r, harmless[i]);
}

static void template_arguments(struct parser *p) {
    struct hold_json_reader *r = &p->top, inner;
    int64_t whole;
    const struct cJSON *v = value_of(r, "chat_template_kwargs");

    if (v) {
        hold_json_read(&inner, v, "chat_template_kwargs", p->mistakes);
        (void) flag(&inner, "enable_thinking", true); /* the template has no such switch: without effect, as in the original */
        hold_json_done(&inner);
    }
    p->chat->max_pixels = p->rules->max_pixels;
    v = value_of(r, "mm_processor_kwargs");
    if (v) {
        hold_json_read(&inner, v, "mm_processor_kwargs", p->mistakes);
        if (integer(&inner, "max_pixels", 1, INT64_C(1) << 40, &whole))
            p->chat->max_pixels = HOLD_MIN(p->chat->max_pixels, (uint64_t) whole);
        hold_json_done(&inner);
    }
}

static void note_unknown(struct parser *p, const struct cJSON *root, struct hold_buf *notes) {
    for (const struct cJSON *v = hold_json_first(root); v; v = hold_json_next(v)) {
        bool is_known = false;
        for (size_t i = 0; i < p->top.n_asked; i++)
            is_known = is_known || strcmp(p->top.asked[i], hold_json_key(v)) == 0;
        if (!is_known)
            hold_buf_addf(notes, "%.60s\n", hold_json_key(v));
    }
}

/* The first few mistakes, which stand one a line, as one sentence. */
static int tell_mistakes(struct hold_buf *mistakes, struct hold_err *err) {
    if (mistakes->n && mistakes->data[mistakes->n - 1] == '\n')
        mistakes->n--;
    hold_autobuf line = hold_buf_with_max(2 * mistakes->n + 1);
    for (size_t i = 0; i < mistakes->n; i++)
        hold_buf_add(&line, mistakes->data[i] == '\n' ? "; " : &mistakes->data[i], mistakes->data[i] == '\n' ? 2 : 1);
    return hold_fail(err, HOLD_E_CONFIG, 0, "%.*s", (int) HOLD_MIN(line.n, (size_t) 470), line.data ? line.data : "");
}

int hold_chat_parse(const char *body, size_t n, const struct hold_chat_rules *rules, struct hold_arena *arena,
                    struct hold_chat *ret_chat, struct hold_buf *notes, struct hold_err *err) {
    hold_autojson *root = NULL;
    hold_autobuf mistakes = hold_buf_with_max(16384);
    struct hold_chat *chat = hold_arena_take(arena, sizeof *chat);
    const struct hold_json_limits limits = { .max_bytes = n, .max_depth = 16, .max_tokens = 65536 };
    const char *model = NULL;

    if (!chat)
        return hold_fail(err, HOLD_E_LIMIT, 0, "the request needs more memory than one may have");
    if (hold_json_parse(body, n, "body", limits, &root, err) < 0)
        return -1;
    if (hold_json_type_of(root) != HOLD_JSON_OBJECT)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the body must be a JSON object");

    struct parser p = { .rules = rules, .arena = arena, .chat = chat, .mistakes = &mistakes };
    hold_json_read(&p.top, root, "", &mistakes);
    if (!hold_json_str(value_of(&p.top, "model"), &model))
        hold_json_mistake(&p.top, "model", "must be the name of a served model");
    messages(&p);
    sampling(&p);
    stops(&p);
    bias(&p);
    output(&p);
    refusals(&p);
    template_arguments(&p);
    note_unknown(&p, root, notes);
    if (p.is_out_of_memory)
        return hold_fail(err, HOLD_E_LIMIT, 0, "the request needs more memory than one may have");
    if (mistakes.n)
        return tell_mistakes(&mistakes, err);
    for (size_t i = 0; i < rules->names->n; i++)
        if (strcmp(rules->names->at[i], model) == 0)
            chat->model = rules->names->at[i];
    if (!chat->model)
        return hold_fail(err, HOLD_E_MISSING, 0, "the model '%.100s' does not exist; this server has '%s'", model,
                         rules->names->n ? rules->names->at[0] : "");
    *ret_chat = *chat;
    return 0;
}
