/* prove.c - a model folder to one plan. Floor: runtime/weights, pure.
 *
 * Order: record, shards, index against shards, tensors against record, token table against record, template; then the plan,
 * which is opened once more by the writer. Nothing is read twice and nothing is believed that another file contradicts. */
#include "runtime/weights/prove.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/list.h"
#include "runtime/plan/plan.h"
#include "runtime/text/template.h"
#include "runtime/text/token.h"
#include "runtime/text/token_json.h"
#include "runtime/weights/bind.h"
#include "runtime/weights/containers.h"
#include "runtime/weights/index.h"
#include "runtime/weights/record.h"
#include "runtime/weights/safetensors.h"
#include "runtime/weights/spec.h"
#include "runtime/weights/torch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_ARENA_BYTES = 512 << 20, MAX_TEMPLATE_BYTES = 1 << 20 };

static const char INDEX_NAME[] = "model.safetensors.index.json", SINGLE_NAME[] = "model.safetensors";

struct proof {
    const struct hold_model_file *files;
    size_t n_files;
    const struct hold_prove_options *options;
    struct hold_buf *warnings;
    struct hold_arena arena;
    struct hold_record record;
    struct hold_bind_file *shards;
    size_t n_shards;
    struct hold_index index; /* n_entries 0: a single file */
    const struct hold_plan_tensor *tensors;
    size_t n_tensors;
    struct hold_buf tokens;
};

static const struct hold_model_file *file_find(const struct proof *p, const char *name) {
    for (size_t i = 0; i < p->n_files; i++)
        if (strcmp(p->files[i].name, name) == 0)
            return &p->files[i];
    return NULL;
}

HOLD_PRINTF(2, 3)
static void warn(struct proof *p, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (p->warnings)
        hold_buf_addf(p->warnings, "%s\n", line);
}

static bool ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), n_end = strlen(end);
    return n >= n_end && strcmp(name + n - n_end, end) == 0;
}

bool hold_model_file_is_read(const char *name) {
    static const char *const names[] = { "config.json",    "generation_config.json", "preprocessor_config.json", "processor_config.json",
                                         "tokenizer.json", "tokenizer_config.json",  "chat_template.jinja",      INDEX_NAME };
    return hold_index_of(names, HOLD_COUNT_OF(names), name) >= 0 || hold_containers_reads(name);
}

static struct hold_text_file text_file(const struct proof *p, const char *name) {
    const struct hold_model_file *f = file_find(p, name);
    return (struct hold_text_file) { .name = name, .text = f ? f->data : NULL, .n = f ? f->bytes : 0 };
}

static int record_prove(struct proof *p, struct hold_err *err) {
    struct hold_record_files files = {
        .config = text_file(p, "config.json"),
        .generation = text_file(p, "generation_config.json"),
        .preprocessor = text_file(p, "preprocessor_config.json"),
    };
    if (!files.config.text)
        return hold_fail(err, HOLD_E_MISSING, 0, "config.json is not in the model folder");
    if (!files.preprocessor.text)
        files.preprocessor = text_file(p, "processor_config.json");
    if (hold_record_parse(&files, &p->record, err) < 0)
        return -1;
    if (p->record.vision_depth && !files.preprocessor.text)
        warn(p, "preprocessor_config.json is not there: the model family's image sizes, mean and deviation are used");
    return 0;
}

/* No safetensors: a checkpoint of PyTorch is proven all the same, so that a damaged or hostile one is called that. */
static int pickles_refuse(struct proof *p, struct hold_err *err) {
    for (size_t i = 0; i < p->n_files; i++) {
        struct hold_torch torch;
        if (!hold_torch_name_is_weights(p->files[i].name))
            continue;
        if (hold_torch_parse(p->files[i].data, p->files[i].bytes, p->files[i].name, &p->arena, &torch, err) < 0)
            return -1;
        return hold_fail(err, HOLD_E_FORMAT, 0,
                         "%.100s is a sound PyTorch checkpoint of %zu tensors, but holdfast-runtime reads safetensors; convert it: load it with transformers and "
                         "save_pretrained(..., safe_serialization=True)",
                         p->files[i].name, torch.n_tensors);
    }
    return hold_fail(err, HOLD_E_MISSING, 0, "neither %s nor %s is in the model folder", INDEX_NAME, SINGLE_NAME);
}

static int shards_parse(struct proof *p, struct hold_err *err) {
    const struct hold_model_file *index = file_find(p, INDEX_NAME);
    const char *const single[] = { SINGLE_NAME };
    const char *const *names = single;
    p->n_shards = 1;
    if (index) {
        if (hold_index_parse(index->data, index->bytes, INDEX_NAME, &p->arena, &p->index, err) < 0)
            return -1;
        names = p->index.files;
        p->n_shards = p->index.n_files;
    } else if (!file_find(p, SINGLE_NAME)) {
        return pickles_refuse(p, err);
    }
    p->shards = hold_arena_array(&p->arena, p->n_shards, sizeof *p->shards);
    if (!p->shards)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for %zu shards", p->n_shards);
    const size_t n_named = p->n_shards;
    p->n_shards = 0;
    for (size_t i = 0; i < n_named; i++) {
        const struct hold_model_file *f = file_find(p, names[i]);
        if (!f)
            continue; /* told by index_prove, with the others */
        p->shards[p->n_shards].name = names[i];
        if (hold_st_parse(f->data, f->bytes, names[i], &p->arena, &p->shards[p->n_shards].st, err) < 0)
            return -1;
        p->n_shards++;
    }
    return 0;
}

/* Index and shards tell the same story, both ways. */
static int index_prove(struct proof *p, struct hold_err *err) {
    uint64_t total = 0;
    if (p->index.n_entries == 0)
        return 0;
    struct hold_findings findings = { .lines = p->warnings };
    hold_index_check(&p->index, p->shards, p->n_shards, &findings);
    if (hold_findings_check(&findings, INDEX_NAME, err) < 0)
        return -1;
    for (size_t i = 0; i < p->n_shards; i++)
        for (size_t k = 0; k < p->shards[i].st.n_tensors; k++)
            total += p->shards[i].st.tensors[k].bytes;
    if (p->index.total_bytes != UINT64_MAX && p->index.total_bytes != total)
        warn(p, "%s: total_size is %" PRIu64 ", the shards hold %" PRIu64 " bytes of tensors", INDEX_NAME, p->index.total_bytes, total);
    for (size_t i = 0; i < p->n_files; i++)
        if (ends_with(p->files[i].name, ".safetensors") && !hold_index_names(&p->index, p->files[i].name))
            warn(p, "%.200s is not named by %s and not used", p->files[i].name, INDEX_NAME);
    return 0;
}

/* config.json may leave attention_bias out; the tensors know. They also know where it says false: the published class of the
 * model with a tower has the biases whatever the key says, only the text-only sibling follows it. */
static void bias_decide(struct proof *p) {
    if (p->record.has_qkv_bias == 1 || (p->record.has_qkv_bias == 0 && p->record.vision_depth == 0))
        return;
    struct hold_record with = p->record;
    with.has_qkv_bias = 1;
    p->record.has_qkv_bias = 0;
    for (size_t i = 0; i < p->n_shards; i++)
        for (size_t k = 0; k < p->shards[i].st.n_tensors; k++) {
            enum hold_role role;
            uint32_t layer;
            if (hold_spec_find(&with, p->shards[i].st.tensors[k].name, &role, &layer) && role == HOLD_ROLE_Q_BIAS)
                p->record.has_qkv_bias = 1;
        }
}

static int token_agree(const struct hold_tok *t, const char *text, uint32_t wanted, const char *key, struct hold_err *err) {
    uint32_t id;
    if (!hold_tok_find_added(t, text, strlen(text), &id))
        return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: the added token %s, which the chat template needs, is missing", text);
    if (wanted != UINT32_MAX && wanted != id)
        return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: %s has the id %u, config.json says %s is %u", text, id, key, wanted);
    return 0;
}

static int tokens_prove(struct proof *p, struct hold_err *err) {
    const struct hold_model_file *f = file_find(p, "tokenizer.json");
    const struct hold_record *r = &p->record;
    struct hold_tok t;
    if (!f) {
        if (p->options->needs_tokenizer)
            return hold_fail(err, HOLD_E_MISSING, 0, "tokenizer.json is not in the model folder");
        return 0;
    }
    if (hold_tok_build(f->data, f->bytes, &p->tokens, err) < 0 || hold_tok_open(p->tokens.data, p->tokens.n, &t, err) < 0)
        return -1;
    if (hold_tok_count(&t) > r->vocab)
        return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json has ids up to %u, config.json's vocab_size is %u", hold_tok_count(&t) - 1, r->vocab);
    static const char *const text_tokens[] = { "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>" };
    for (size_t i = 0; i < HOLD_COUNT_OF(text_tokens); i++)
        if (token_agree(&t, text_tokens[i], UINT32_MAX, "", err) < 0)
            return -1;
    if (r->vision_depth && (token_agree(&t, "<|image|>", r->image_token, "image_token_id", err) < 0 ||
                            token_agree(&t, "<|begin_of_image|>", r->image_start, "image_start_token_id", err) < 0 ||
                            token_agree(&t, "<|end_of_image|>", r->image_end, "image_end_token_id", err) < 0))
        return -1;
    return 0;
}

/* The template's text: its own file, or a string or a list of named ones in tokenizer_config.json. The JSON tree owns it. */
static const char *template_in(const struct cJSON *config) {
    const struct cJSON *v = hold_json_get(config, "chat_template");
    const char *text = NULL, *name;
    if (hold_json_str(v, &text))
        return text;
    for (const struct cJSON *one = v && hold_json_type_of(v) == HOLD_JSON_ARRAY ? hold_json_first(v) : NULL; one; one = hold_json_next(one))
        if (hold_json_str(hold_json_get(one, "name"), &name) && strcmp(name, "default") == 0 &&
            hold_json_str(hold_json_get(one, "template"), &text))
            return text;
    return NULL;
}

static int template_prove(struct proof *p, struct hold_err *err) {
    const struct hold_model_file *f = file_find(p, "chat_template.jinja"), *config = file_find(p, "tokenizer_config.json");
    hold_autojson *root = NULL;
    const char *text = f ? f->data : NULL;
    size_t n = f ? f->bytes : 0;
    if (!f && config) {
        const struct hold_json_limits limits = { .max_bytes = 16 << 20, .max_depth = 16, .max_tokens = 1 << 20 };
        if (hold_json_parse(config->data, config->bytes, "tokenizer_config.json", limits, &root, err) < 0)
            return -1;
        text = template_in(root);
        n = text ? strlen(text) : 0;
    }
    if (!text) {
        warn(p, "no chat template is in the model folder: the model family's own rule is used");
        return 0;
    }
    if (n <= MAX_TEMPLATE_BYTES && hold_template_is_known(text, n))
        return 0;
    if (p->options->needs_tokenizer && !p->options->takes_other_template)
        return hold_fail(err, HOLD_E_FORMAT, 0,
                         "the chat template (%zu bytes) is not one that is known to print what the built-in rule prints; prompts could "
                         "differ from what the model was trained on (--other-template goes on all the same)",
                         n);
    warn(p, "the chat template (%zu bytes) is not a known one: prompts are made by the built-in rule all the same", n);
    return 0;
}

static int plan_make(struct proof *p, struct hold_buf *ret_plan, struct hold_err *err) {
    struct hold_plan_file *files = hold_arena_array(&p->arena, p->n_shards, sizeof *files);
    if (!files)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for %zu files", p->n_shards);
    for (size_t i = 0; i < p->n_shards; i++)
        files[i] = (struct hold_plan_file) { .name = p->shards[i].name, .bytes = file_find(p, p->shards[i].name)->bytes };
    struct hold_plan_parts parts = {
        .record = &p->record,
        .files = files,
        .n_files = p->n_shards,
        .tensors = p->tensors,
        .n_tensors = p->n_tensors,
        .tokens = p->tokens.n ? p->tokens.data : NULL,
        .tokens_bytes = p->tokens.n,
    };
    memcpy(parts.digest, p->options->digest, sizeof parts.digest);
    return hold_plan_write(&parts, ret_plan, err);
}

static int prove(struct proof *p, struct hold_buf *ret_plan, struct hold_err *err) {
    if (record_prove(p, err) < 0 || shards_parse(p, err) < 0 || index_prove(p, err) < 0)
        return -1;
    bias_decide(p);
    if (hold_spec_bind(&p->record, p->shards, p->n_shards, &p->arena, &p->tensors, &p->n_tensors, p->warnings, err) < 0 ||
        tokens_prove(p, err) < 0 || template_prove(p, err) < 0)
        return -1;
    return plan_make(p, ret_plan, err);
}

int hold_model_prove(const struct hold_model_file *files, size_t n_files, const struct hold_prove_options *options,
                     struct hold_buf *ret_plan, struct hold_buf *ret_warnings, struct hold_err *err) {
    struct proof p = {
        .files = files,
        .n_files = n_files,
        .options = options,
        .warnings = ret_warnings,
        .arena = hold_arena_with_max(MAX_ARENA_BYTES),
        .tokens = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES),
    };
    const int result = prove(&p, ret_plan, err);
    hold_arena_release(&p.arena);
    hold_buf_release(&p.tokens);
    return result;
}
