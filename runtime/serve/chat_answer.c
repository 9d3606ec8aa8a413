/* chat_answer.c - the JSON of chat answers, whole and in pieces. Floor: runtime/serve, pure. */
#include "runtime/serve/chat.h"

#include <string.h>

static void head(struct hold_buf *out, const struct hold_chat_answer *a, const char *object) {
    hold_buf_adds(out, "{\"id\":");
    hold_buf_add_json(out, a->id, strlen(a->id));
    hold_buf_addf(out, ",\"object\":\"%s\",\"created\":%ju,\"model\":", object, (uintmax_t) a->created);
    hold_buf_add_json(out, a->model, strlen(a->model));
}

static void add_usage(struct hold_buf *out, const struct hold_usage *u) {
    if (!u)
        return;
    hold_buf_addf(out, ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,\"prompt_tokens_details\":", u->prompt_tokens,
                  u->completion_tokens, u->prompt_tokens + u->completion_tokens);
    if (u->cached_tokens)
        hold_buf_addf(out, "{\"cached_tokens\":%u}}", u->cached_tokens);
    else
        hold_buf_adds(out, "null}");
}

static void add_logprobs(struct hold_buf *out, const struct hold_buf *logprobs) {
    hold_buf_adds(out, ",\"logprobs\":");
    if (!logprobs) {
        hold_buf_adds(out, "null");
        return;
    }
    hold_buf_adds(out, "{\"content\":[");
    hold_buf_add(out, logprobs->data, logprobs->n);
    hold_buf_adds(out, "]}");
}

static void add_finish(struct hold_buf *out, const struct hold_chat_finish *finish) {
    hold_buf_addf(out, ",\"finish_reason\":\"%s\",\"stop_reason\":", finish->reason);
    if (finish->stop)
        hold_buf_add_json(out, finish->stop, strlen(finish->stop));
    else if (finish->has_stop_id)
        hold_buf_addf(out, "%u", finish->stop_id);
    else
        hold_buf_adds(out, "null");
}

void hold_chat_chunk_role(struct hold_buf *out, const struct hold_chat_answer *a) {
    head(out, a, "chat.completion.chunk");
    hold_buf_adds(out, ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}");
}

void hold_chat_chunk_text(struct hold_buf *out, const struct hold_chat_answer *a, const char *text, size_t n,
                          const struct hold_buf *logprobs, const struct hold_usage *usage) {
    head(out, a, "chat.completion.chunk");
    hold_buf_adds(out, ",\"choices\":[{\"index\":0,\"delta\":{\"content\":");
    hold_buf_add_json(out, text, n);
    hold_buf_adds(out, "}");
    add_logprobs(out, logprobs);
    hold_buf_adds(out, ",\"finish_reason\":null}]");
    add_usage(out, usage);
    hold_buf_adds(out, "}");
}

void hold_chat_chunk_finish(struct hold_buf *out, const struct hold_chat_answer *a, const struct hold_chat_finish *finish,
                            const struct hold_usage *usage) {
    head(out, a, "chat.completion.chunk");
    hold_buf_adds(out, ",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null");
    add_finish(out, finish);
    hold_buf_adds(out, "}]");
    add_usage(out, usage);
    hold_buf_adds(out, "}");
}

void hold_chat_chunk_usage(struct hold_buf *out, const struct hold_chat_answer *a, const struct hold_usage *usage) {
    head(out, a, "chat.completion.chunk");
    hold_buf_adds(out, ",\"choices\":[]");
    add_usage(out, usage);
    hold_buf_adds(out, "}");
}

void hold_chat_whole(struct hold_buf *out, const struct hold_chat_answer *a, const char *text, size_t n, const struct hold_buf *logprobs,
                     const struct hold_chat_finish *finish, const struct hold_usage *usage) {
    head(out, a, "chat.completion");
    hold_buf_adds(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    hold_buf_add_json(out, text, n);
    hold_buf_adds(out, ",\"refusal\":null,\"tool_calls\":[]}");
    add_logprobs(out, logprobs);
    add_finish(out, finish);
    hold_buf_adds(out, "}]");
    add_usage(out, usage);
    hold_buf_adds(out, "}");
}

static void logprob_fields(struct hold_buf *out, const struct hold_chat_logprob *t) {
    hold_buf_adds(out, "{\"token\":");
    hold_buf_add_json(out, t->bytes, t->n);
    hold_buf_addf(out, ",\"logprob\":%.9g,\"bytes\":[", (double) t->logprob);
    for (size_t i = 0; i < t->n; i++)
        hold_buf_addf(out, i ? ",%u" : "%u", (unsigned) (unsigned char) t->bytes[i]);
    hold_buf_adds(out, "]");
}

void hold_chat_logprob(struct hold_buf *out, const struct hold_chat_logprob *token, const struct hold_chat_logprob *top, size_t n_top) {
    logprob_fields(out, token);
    hold_buf_adds(out, ",\"top_logprobs\":[");
    for (size_t i = 0; i < n_top; i++) {
        if (i)
            hold_buf_addc(out, ',');
        logprob_fields(out, &top[i]);
        hold_buf_addc(out, '}');
    }
    hold_buf_adds(out, "]}");
}
