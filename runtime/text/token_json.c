/* token_json.c - tokenizer.json to the flat token table. Floor: runtime/text, pure.
 *
 * Order: refuse every component that is not known; vocabulary (texts mapped back to bytes), added tokens over it, merges, the
 * two hash tables, then the sections one after another. */
#include "runtime/text/token_json.h"

#include "base/json.h"
#include "base/list.h"
#include "base/utf8.h"
#include "runtime/text/pretok.h"
#include "runtime/text/token.h"
#include "runtime/text/token_table.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The model's own words may hold these whatever their flag; they open neither a turn nor a picture. */
static const char *const content_tokens[] = {
    "<think>", "</think>", "<answer>", "</answer>", "<|begin_of_box|>", "<|end_of_box|>",
};
/* These never: they are the template's. */
static const char *const template_tokens[] = {
    "<|endoftext|>", "[MASK]",           "[gMASK]",        "[sMASK]",            "<sop>",            "<eop>",     "<|system|>",  "<|user|>",
    "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>", "<|image|>",   "<|video|>",
};

struct builder {
    const struct cJSON *root, *model;
    uint16_t byte_of_letter[512];    /* code point to byte, 0xFFFF: stands for none */
    struct hold_buf starts;          /* [n_ids + 1], while building: [n_ids] {offset, bytes} */
    struct hold_buf flags, blob, merges, merge_slots, word_slots, added;
    uint32_t byte_ids[256];
    struct hold_tok_head head;
};

struct text_row {
    uint32_t offset, n;
};

static int refuse(struct hold_err *err, const char *what, const char *name) {
    return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: %s '%s' is not supported", what, name);
}

static const char *type_of(const struct cJSON *v) {
    const char *type = "of no type";
    hold_json_str(hold_json_get(v, "type"), &type);
    return type;
}

static bool is_absent(const struct cJSON *v) {
    return !v || hold_json_type_of(v) == HOLD_JSON_NULL;
}

/* Every key of an object is one of names. */
static int keys_check(const struct cJSON *object, const char *where, const char *const *names, size_t n_names, struct hold_err *err) {
    for (const struct cJSON *v = hold_json_first(object); v; v = hold_json_next(v))
        if (hold_index_of(names, n_names, hold_json_key(v)) < 0)
            return refuse(err, where, hold_json_key(v));
    return 0;
}

static bool flag_is(const struct cJSON *object, const char *key, bool wanted, bool when_absent) {
    bool value = when_absent;
    const struct cJSON *v = hold_json_get(object, key);
    if (!is_absent(v) && !hold_json_bool(v, &value))
        return false;
    return value == wanted;
}

static int splitter_read(const struct cJSON *pre, uint32_t *ret_splitter, struct hold_err *err) {
    if (strcmp(type_of(pre), "Sequence") != 0)
        return refuse(err, "pre_tokenizer", type_of(pre));
    const struct cJSON *split = hold_json_first(hold_json_get(pre, "pretokenizers")), *bytes = split ? hold_json_next(split) : NULL;
    if (!split || strcmp(type_of(split), "Split") != 0)
        return refuse(err, "first pre_tokenizer", split ? type_of(split) : "(none)");
    if (!bytes || strcmp(type_of(bytes), "ByteLevel") != 0)
        return refuse(err, "second pre_tokenizer", bytes ? type_of(bytes) : "(none)");
    if (hold_json_next(bytes))
        return refuse(err, "third pre_tokenizer", type_of(hold_json_next(bytes)));
    const char *pattern, *behavior;
    if (!hold_json_str(hold_json_get(hold_json_get(split, "pattern"), "Regex"), &pattern))
        return refuse(err, "Split pattern", "without Regex");
    enum hold_pretok known;
    if (!hold_pretok_find(pattern, &known))
        return refuse(err, "Split pattern", pattern);
    if (!hold_json_str(hold_json_get(split, "behavior"), &behavior) || strcmp(behavior, "Isolated") != 0)
        return refuse(err, "Split behavior", "other than Isolated");
    if (!flag_is(split, "invert", false, false))
        return refuse(err, "Split option", "invert");
    if (!flag_is(bytes, "add_prefix_space", false, true))
        return refuse(err, "ByteLevel option", "add_prefix_space");
    if (!flag_is(bytes, "use_regex", false, true))
        return refuse(err, "ByteLevel option", "use_regex");
    *ret_splitter = known;
    return 0;
}

static int normalizer_check(const struct cJSON *v, struct hold_err *err) {
    if (is_absent(v))
        return 0;
    if (strcmp(type_of(v), "Sequence") == 0 && hold_json_size(hold_json_get(v, "normalizers")) == 0)
        return 0;
    return refuse(err, "normalizer", type_of(v));
}

/* What a post-processor adds is not wanted: the chat template writes every special token itself. */
static int post_check(const struct cJSON *v, int depth, struct hold_err *err) {
    if (is_absent(v) || strcmp(type_of(v), "ByteLevel") == 0 || strcmp(type_of(v), "TemplateProcessing") == 0)
        return 0;
    if (strcmp(type_of(v), "Sequence") != 0 || depth > 0)
        return refuse(err, "post_processor", type_of(v));
    for (const struct cJSON *p = hold_json_first(hold_json_get(v, "processors")); p; p = hold_json_next(p))
        if (post_check(p, depth + 1, err) < 0)
            return -1;
    return 0;
}

static bool is_empty_string(const struct cJSON *v) {
    const char *text;
    return hold_json_str(v, &text) && *text == '\0';
}

static int model_check(const struct cJSON *m, uint32_t *ret_ignores_merges, struct hold_err *err) {
    static const char *const names[] = { "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                                         "byte_fallback", "ignore_merges", "vocab", "merges" };
    if (strcmp(type_of(m), "BPE") != 0)
        return refuse(err, "model", type_of(m));
    if (keys_check(m, "model option", names, sizeof names / sizeof *names, err) < 0)
        return -1;
    if (!is_absent(hold_json_get(m, "dropout")))
        return refuse(err, "model option", "dropout");
    if (!is_absent(hold_json_get(m, "unk_token")))
        return refuse(err, "model option", "unk_token");
    for (int i = 3; i < 5; i++)
        if (!is_absent(hold_json_get(m, names[i])) && !is_empty_string(hold_json_get(m, names[i])))
            return refuse(err, "model option", names[i]);
    if (!flag_is(m, "byte_fallback", false, false))
        return refuse(err, "model option", "byte_fallback");
    *ret_ignores_merges = flag_is(m, "ignore_merges", true, false);
    if (hold_json_type_of(hold_json_get(m, "vocab")) != HOLD_JSON_OBJECT || hold_json_type_of(hold_json_get(m, "merges")) != HOLD_JSON_ARRAY)
        return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: the model has no vocab or no merges");
    return 0;
}

static int components_check(struct builder *b, struct hold_err *err) {
    static const char *const names[] = { "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                                         "decoder", "model" };
    if (hold_json_type_of(b->root) != HOLD_JSON_OBJECT)
        return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: not an object");
    if (keys_check(b->root, "component", names, sizeof names / sizeof *names, err) < 0 ||
        normalizer_check(hold_json_get(b->root, "normalizer"), err) < 0 ||
        splitter_read(hold_json_get(b->root, "pre_tokenizer"), &b->head.splitter, err) < 0 ||
        post_check(hold_json_get(b->root, "post_processor"), 0, err) < 0)
        return -1;
    if (strcmp(type_of(hold_json_get(b->root, "decoder")), "ByteLevel") != 0)
        return refuse(err, "decoder", type_of(hold_json_get(b->root, "decoder")));
    b->model = hold_json_get(b->root, "model");
    return model_check(b->model, &b->head.ignores_merges, err);
}

/* The alphabet of byte-level vocabularies: printing Latin-1 stands for itself, the other 68 bytes for U+0100 and up in order. */
static void letters_init(struct builder *b) {
    memset(b->byte_of_letter, 0xFF, sizeof b->byte_of_letter);
    uint16_t next = 256;
    for (uint16_t byte = 0; byte < 256; byte++) {
        const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        b->byte_of_letter[prints ? byte : next++] = byte;
    }
}

/* Appends the bytes that a vocabulary text stands for to blob; false (nothing appended) when a letter stands for none. */
static bool add_bytes(struct builder *b, const char *text, struct hold_buf *out) {
    const size_t n = strlen(text), begun = out->n;
    for (size_t at = 0; at < n;) {
        const size_t length = hold_utf8_length((const unsigned char *) text + at, n - at);
        const uint32_t code = length ? hold_utf8_decode((const unsigned char *) text + at, length) : UINT32_MAX;
        if (code >= 512 || b->byte_of_letter[code] == 0xFFFF) {
            out->n = begun;
            return false;
        }
        hold_buf_addc(out, (char) b->byte_of_letter[code]);
        at += length;
    }
    return true;
}

static struct text_row *rows_of(struct builder *b) {
    return (struct text_row *) (void *) b->starts.data;
}

/* Room for ids 0..id. */
static bool reach(struct builder *b, uint64_t id) {
    while (b->head.n_ids <= id && !b->starts.failed && !b->flags.failed) {
        hold_buf_add(&b->starts, &(struct text_row) { 0 }, sizeof(struct text_row));
        hold_buf_addc(&b->flags, 0);
        b->head.n_ids++;
    }
    return !b->starts.failed && !b->flags.failed;
}

static bool id_read(const struct cJSON *v, uint64_t *ret_id) {
    return hold_json_u64(v, ret_id) && *ret_id < HOLD_TOK_MAX_IDS;
}

static int added_read(struct builder *b, struct hold_err *err) {
    const struct cJSON *list = hold_json_get(b->root, "added_tokens");
    if (!is_absent(list) && hold_json_type_of(list) != HOLD_JSON_ARRAY)
        return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: added_tokens is not an array");
    for (const struct cJSON *v = hold_json_first(list); v; v = hold_json_next(v)) {
        const char *text;
        uint64_t id;
        if (!id_read(hold_json_get(v, "id"), &id) || !hold_json_str(hold_json_get(v, "content"), &text) || *text == '\0')
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: added token %u has no usable id or content", b->head.n_added);
        if (!flag_is(v, "single_word", false, false))
            return refuse(err, "option single_word of added token", text);
        if (!reach(b, id) || b->head.n_added == HOLD_TOK_MAX_ADDED)
            return hold_fail(err, HOLD_E_LIMIT, 0, "tokenizer.json: too many added tokens");
        if (b->flags.data[id])
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: two added tokens have the id %u", (uint32_t) id);
        const bool special = flag_is(v, "special", true, false);
        const bool is_content = hold_index_of(content_tokens, sizeof content_tokens / sizeof *content_tokens, text) >= 0;
        const bool is_template = hold_index_of(template_tokens, sizeof template_tokens / sizeof *template_tokens, text) >= 0;
        b->flags.data[id] = (char) (HOLD_TOK_ADDED | (special ? HOLD_TOK_SPECIAL : 0) |
                                    (is_content || (!special && !is_template) ? HOLD_TOK_IN_CONTENT : 0) |
                                    (flag_is(v, "lstrip", true, false) ? HOLD_TOK_LSTRIP : 0) |
                                    (flag_is(v, "rstrip", true, false) ? HOLD_TOK_RSTRIP : 0));
        const size_t n = strlen(text);
        rows_of(b)[id] = (struct text_row) { .offset = (uint32_t) b->blob.n, .n = (uint32_t) n };
        hold_buf_add(&b->blob, text, n);
        const uint32_t id32 = (uint32_t) id;
        hold_buf_add(&b->added, &id32, sizeof id32);
        b->head.n_added++;
    }
    /* longest first, so that the first that fits is the longest; equal lengths in the file's order */
    uint32_t *ids = (uint32_t *) (void *) b->added.data;
    for (uint32_t i = 1; i < b->head.n_added; i++)
        for (uint32_t k = i; k > 0 && rows_of(b)[ids[k - 1]].n < rows_of(b)[ids[k]].n; k--) {
            const uint32_t swap = ids[k];
            ids[k] = ids[k - 1];
            ids[k - 1] = swap;
        }
    return hold_buf_check(&b->added, "tokenizer.json: added tokens", err);
}

static void slot_put(uint32_t *slots, uint32_t mask, uint32_t hash, uint32_t value) {
    uint32_t slot = hash & mask;
    while (slots[slot])
        slot = (slot + 1) & mask;
    slots[slot] = value;
}

static uint32_t *slots_make(struct hold_buf *buf, size_t n, uint32_t *ret_count) {
    uint32_t count = 16;
    while (count < 2 * n)
        count *= 2;
    *ret_count = count;
    uint32_t *slots = hold_buf_reserve(buf, count * sizeof *slots);
    if (slots) {
        memset(slots, 0, count * sizeof *slots);
        hold_buf_commit(buf, count * sizeof *slots);
    }
    return slots;
}

static bool word_find(struct builder *b, const char *text, size_t n, uint32_t *ret_id) {
    const uint32_t *slots = (const uint32_t *) (const void *) b->word_slots.data;
    for (uint32_t slot = hold_tok_hash_word(text, n) & (b->head.word_slots - 1); slots[slot]; slot = (slot + 1) & (b->head.word_slots - 1)) {
        const struct text_row *row = &rows_of(b)[slots[slot] - 1];
        if (row->n == n && memcmp(b->blob.data + row->offset, text, n) == 0) {
            *ret_id = slots[slot] - 1;
            return true;
        }
    }
    return false;
}

static int vocab_read(struct builder *b, struct hold_err *err) {
    const struct cJSON *vocab = hold_json_get(b->model, "vocab");
    uint32_t *slots = slots_make(&b->word_slots, hold_json_size(vocab), &b->head.word_slots);
    if (!slots)
        return hold_fail(err, HOLD_E_LIMIT, 0, "tokenizer.json: the vocabulary is too large");
    for (const struct cJSON *v = hold_json_first(vocab); v; v = hold_json_next(v)) {
        uint64_t id;
        const char *text = hold_json_key(v);
        if (!id_read(v, &id) || !reach(b, id))
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: the id of '%.40s' is not a number below %u", text, HOLD_TOK_MAX_IDS);
        if (b->flags.data[id] & HOLD_TOK_ADDED)
            continue; /* listed twice, as added token and here: the added token is what it is */
        if (rows_of(b)[id].n)
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: '%.40s' has the id %u of another", text, (uint32_t) id);
        const size_t offset = b->blob.n;
        if (!*text || !add_bytes(b, text, &b->blob))
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: '%.40s' (id %u) is not made of byte letters", text, (uint32_t) id);
        rows_of(b)[id] = (struct text_row) { .offset = (uint32_t) offset, .n = (uint32_t) (b->blob.n - offset) };
        if (hold_buf_check(&b->blob, "tokenizer.json: vocabulary", err) < 0)
            return -1;
        slot_put(slots, b->head.word_slots - 1, hold_tok_hash_word(b->blob.data + offset, b->blob.n - offset), (uint32_t) id + 1);
    }
    for (int byte = 0; byte < 256; byte++) {
        const char c = (char) byte;
        if (!word_find(b, &c, 1, &b->byte_ids[byte]))
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: the vocabulary has no token for byte 0x%02x", byte);
    }
    return 0;
}

/* "a b" or ["a", "b"]; the two texts as bytes in *pair, the left one ending at *ret_split. */
static bool merge_read(struct builder *b, const struct cJSON *v, struct hold_buf *pair, size_t *ret_split) {
    const char *left, *right;
    char text[2048];
    hold_buf_clear(pair);
    if (hold_json_str(v, &left)) {
        const char *blank = strchr(left, ' ');
        if (!blank || blank == left || (size_t) (blank - left) >= sizeof text)
            return false;
        memcpy(text, left, (size_t) (blank - left));
        text[blank - left] = '\0';
        left = text;
        right = blank + 1;
    } else {
        const struct cJSON *first = hold_json_type_of(v) == HOLD_JSON_ARRAY ? hold_json_first(v) : NULL;
        const struct cJSON *second = first ? hold_json_next(first) : NULL;
        if (!hold_json_str(first, &left) || !hold_json_str(second, &right) || hold_json_next(second))
            return false;
    }
    if (!*left || !*right || !add_bytes(b, left, pair))
        return false;
    *ret_split = pair->n;
    return add_bytes(b, right, pair) && !pair->failed;
}

static int merges_read(struct builder *b, struct hold_err *err) {
    const struct cJSON *list = hold_json_get(b->model, "merges");
    const size_t n = hold_json_size(list);
    if (n > HOLD_TOK_MAX_MERGES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "tokenizer.json: %zu merges, the limit is %u", n, HOLD_TOK_MAX_MERGES);
    uint32_t *slots = slots_make(&b->merge_slots, n, &b->head.merge_slots);
    if (!slots)
        return hold_fail(err, HOLD_E_LIMIT, 0, "tokenizer.json: too many merges");
    hold_autobuf pair = hold_buf_with_max(1u << 16);
    for (const struct cJSON *v = hold_json_first(list); v; v = hold_json_next(v)) {
        struct hold_tok_merge m;
        size_t split = 0;
        if (!merge_read(b, v, &pair, &split))
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: merge %u is not a pair of byte texts", b->head.n_merges);
        if (!word_find(b, pair.data, split, &m.left) || !word_find(b, pair.data + split, pair.n - split, &m.right) ||
            !word_find(b, pair.data, pair.n, &m.result))
            return hold_fail(err, HOLD_E_FORMAT, 0, "tokenizer.json: merge %u names a text that the vocabulary does not have", b->head.n_merges);
        const uint32_t hash = hold_tok_hash_pair(m.left, m.right), mask = b->head.merge_slots - 1;
        const struct hold_tok_merge *rows = (const struct hold_tok_merge *) (const void *) b->merges.data;
        uint32_t slot = hash & mask;
        while (slots[slot] && (rows[slots[slot] - 1].left != m.left || rows[slots[slot] - 1].right != m.right))
            slot = (slot + 1) & mask;
        slots[slot] = ++b->head.n_merges; /* a pair listed twice has its later rank, as in the original */
        hold_buf_add(&b->merges, &m, sizeof m);
        if (hold_buf_check(&b->merges, "tokenizer.json: merges", err) < 0)
            return -1;
    }
    return 0;
}

static void add_section(struct hold_buf *out, size_t begun, const void *bytes, size_t n) {
    static const char zeros[16];
    hold_buf_add(out, zeros, (16 - (out->n - begun) % 16) % 16);
    if (n)
        hold_buf_add(out, bytes, n);
}

/* Texts in order of id, so that one array of starts is enough. */
static int table_write(struct builder *b, struct hold_buf *out, struct hold_err *err) {
    hold_autobuf blob = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES);
    hold_autobuf starts = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES);
    for (uint32_t id = 0; id <= b->head.n_ids; id++) {
        const uint32_t at = (uint32_t) blob.n;
        hold_buf_add(&starts, &at, sizeof at);
        if (id < b->head.n_ids && rows_of(b)[id].n)
            hold_buf_add(&blob, b->blob.data + rows_of(b)[id].offset, rows_of(b)[id].n);
    }
    b->head.blob_bytes = (uint32_t) blob.n;
    memcpy(b->head.magic, HOLD_TOK_MAGIC, sizeof b->head.magic);
    const size_t begun = out->n;
    hold_buf_add(out, &b->head, sizeof b->head);
    add_section(out, begun, starts.data, starts.n);
    add_section(out, begun, b->flags.data, b->flags.n);
    add_section(out, begun, blob.data, blob.n);
    add_section(out, begun, b->merges.data, b->merges.n);
    add_section(out, begun, b->merge_slots.data, b->merge_slots.n);
    add_section(out, begun, b->word_slots.data, b->word_slots.n);
    add_section(out, begun, b->added.data, b->added.n);
    add_section(out, begun, b->byte_ids, sizeof b->byte_ids);
    if (hold_buf_check(&blob, "token texts", err) < 0 || hold_buf_check(&starts, "token texts", err) < 0 ||
        hold_buf_check(out, "token table", err) < 0)
        return -1;
    b->head.total_bytes = out->n - begun;
    memcpy(out->data + begun, &b->head, sizeof b->head);
    return 0;
}

static int build(struct builder *b, struct hold_buf *out, struct hold_err *err) {
    if (components_check(b, err) < 0)
        return -1;
    letters_init(b);
    if (added_read(b, err) < 0 || vocab_read(b, err) < 0 || merges_read(b, err) < 0)
        return -1;
    return table_write(b, out, err);
}

int hold_tok_build(const char *json, size_t n, struct hold_buf *ret_table, struct hold_err *err) {
    hold_autojson *root = NULL;
    const struct hold_json_limits limits = { .max_bytes = HOLD_TOK_MAX_JSON_BYTES, .max_depth = 16, .max_tokens = 8u << 20 };
    if (hold_json_parse(json, n, "tokenizer.json", limits, &root, err) < 0)
        return -1;
    struct builder b = {
        .root = root,
        .starts = hold_buf_with_max(sizeof(struct text_row) * (size_t) HOLD_TOK_MAX_IDS),
        .flags = hold_buf_with_max(HOLD_TOK_MAX_IDS),
        .blob = hold_buf_with_max(HOLD_TOK_MAX_JSON_BYTES),
        .merges = hold_buf_with_max(sizeof(struct hold_tok_merge) * (size_t) HOLD_TOK_MAX_MERGES),
        .merge_slots = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES),
        .word_slots = hold_buf_with_max(HOLD_TOK_MAX_TABLE_BYTES),
        .added = hold_buf_with_max(sizeof(uint32_t) * HOLD_TOK_MAX_ADDED),
    };
    const int result = build(&b, ret_table, err);
    struct hold_buf *owned[] = { &b.starts, &b.flags, &b.blob, &b.merges, &b.merge_slots, &b.word_slots, &b.added };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        hold_buf_release(owned[i]);
    return result;
}
