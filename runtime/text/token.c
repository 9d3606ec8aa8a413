/* token.c - opening the flat token table and asking it about ids. Floor: runtime/text, pure.
 * Encoding is in token_encode.c, decoding in token_stream.c. */
#include "runtime/text/token.h"

#include "base/num.h"
#include "runtime/text/pretok.h"
#include "runtime/text/token_table.h"

#include <string.h>

static bool is_power_of_two(uint32_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

static int head_check(const struct hold_tok_head *h, size_t n, struct hold_err *err) {
    if (memcmp(h->magic, HOLD_TOK_MAGIC, sizeof h->magic) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: the first bytes are not those of a token table");
    if (h->total_bytes != n)
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: %zu bytes, its head says %llu", n, (unsigned long long) h->total_bytes);
    if (h->n_ids == 0 || h->n_ids > HOLD_TOK_MAX_IDS || h->n_merges > HOLD_TOK_MAX_MERGES || h->n_added > HOLD_TOK_MAX_ADDED)
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: %u ids, %u merges, %u added tokens: out of range", h->n_ids, h->n_merges,
                         h->n_added);
    if (!is_power_of_two(h->merge_slots) || !is_power_of_two(h->word_slots))
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: a hash table's size is no power of two");
    if (h->splitter != HOLD_PRETOK_DIGITS3 && h->splitter != HOLD_PRETOK_DIGITS1)
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: splitter %u is unknown", h->splitter);
    return 0;
}

static bool all_below(const uint32_t *values, size_t n, uint32_t limit) {
    for (size_t i = 0; i < n; i++)
        if (values[i] >= limit)
            return false;
    return true;
}

static int rows_check(const struct hold_tok *t, uint32_t blob_bytes, struct hold_err *err) {
    bool right = t->starts[0] == 0 && t->starts[t->n_ids] == blob_bytes;
    for (uint32_t i = 0; i < t->n_ids && right; i++)
        right = t->starts[i] <= t->starts[i + 1];
    if (!right)
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: the texts overlap or lie outside");
    for (uint32_t i = 0; i < t->n_merges; i++)
        if (t->merges[i].left >= t->n_ids || t->merges[i].right >= t->n_ids || t->merges[i].result >= t->n_ids)
            return hold_fail(err, HOLD_E_FORMAT, 0, "token table: merge %u names an unknown id", i);
    if (!all_below(t->merge_slots, (size_t) t->merge_mask + 1, t->n_merges + 1) ||
        !all_below(t->word_slots, (size_t) t->word_mask + 1, t->n_ids + 1) || !all_below(t->added, t->n_added, t->n_ids) ||
        !all_below(t->byte_ids, 256, t->n_ids))
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: a slot names an unknown id");
    for (uint32_t i = 0; i < t->n_added; i++) {
        const uint32_t length = t->starts[t->added[i] + 1] - t->starts[t->added[i]];
        if (length == 0 || (i > 0 && length > t->starts[t->added[i - 1] + 1] - t->starts[t->added[i - 1]]))
            return hold_fail(err, HOLD_E_FORMAT, 0, "token table: added tokens are empty or out of order");
    }
    return 0;
}

int hold_tok_open(const void *bytes, size_t n, struct hold_tok *ret_tok, struct hold_err *err) {
    struct hold_tok_head h;
    if ((uintptr_t) bytes % 16 != 0 || n < sizeof h)
        return hold_fail(err, HOLD_E_FORMAT, 0, "token table: too short or not aligned");
    memcpy(&h, bytes, sizeof h);
    if (head_check(&h, n, err) < 0)
        return -1;
    uint64_t sizes[8], at = sizeof h;
    const char *sections[8];
    hold_tok_sections(&h, sizes);
    for (int i = 0; i < 8; i++) {
        at = (at + 15) & ~UINT64_C(15);
        sections[i] = (const char *) bytes + at;
        if (!hold_add_u64(at, sizes[i], &at) || at > n)
            return hold_fail(err, HOLD_E_FORMAT, 0, "token table: section %d ends outside", i);
    }
    struct hold_tok t = {
        .starts = (const void *) sections[0],
        .flags = (const void *) sections[1],
        .blob = sections[2],
        .merges = (const void *) sections[3],
        .merge_slots = (const void *) sections[4],
        .word_slots = (const void *) sections[5],
        .added = (const void *) sections[6],
        .byte_ids = (const void *) sections[7],
        .n_ids = h.n_ids,
        .n_merges = h.n_merges,
        .n_added = h.n_added,
        .merge_mask = h.merge_slots - 1,
        .word_mask = h.word_slots - 1,
        .splitter = h.splitter,
        .ignores_merges = h.ignores_merges != 0,
    };
    if (rows_check(&t, h.blob_bytes, err) < 0)
        return -1;
    for (uint32_t i = 0; i < t.n_added; i++)
        t.starts_added[(unsigned char) t.blob[t.starts[t.added[i]]]] = true;
    *ret_tok = t;
    return 0;
}

uint32_t hold_tok_count(const struct hold_tok *t) {
    return t->n_ids;
}

const char *hold_tok_text(const struct hold_tok *t, uint32_t id, size_t *ret_n) {
    if (id >= t->n_ids) {
        *ret_n = 0;
        return "";
    }
    *ret_n = t->starts[id + 1] - t->starts[id];
    return t->blob + t->starts[id];
}

bool hold_tok_is_special(const struct hold_tok *t, uint32_t id) {
    return id < t->n_ids && (t->flags[id] & HOLD_TOK_SPECIAL);
}

bool hold_tok_find_added(const struct hold_tok *t, const char *text, size_t n, uint32_t *ret_id) {
    for (uint32_t i = 0; i < t->n_added; i++) {
        size_t length;
        const char *found = hold_tok_text(t, t->added[i], &length);
        if (length == n && memcmp(found, text, n) == 0) {
            *ret_id = t->added[i];
            return true;
        }
    }
    return false;
}

int hold_ids_expand_images(const uint32_t *ids, size_t n_ids, uint32_t image_token, const uint32_t *counts, size_t n_images,
                           struct hold_buf *ret_ids, struct hold_err *err) {
    size_t image = 0;
    for (size_t i = 0; i < n_ids; i++) {
        uint32_t copies = 1;
        if (ids[i] == image_token) {
            copies = image < n_images ? counts[image] : 0;
            image++;
        }
        for (; copies > 0 && !ret_ids->failed; copies--)
            hold_buf_add(ret_ids, &ids[i], sizeof ids[i]);
    }
    if (image != n_images)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the prompt has %zu image tokens, %zu images are given", image, n_images);
    return hold_buf_check(ret_ids, "prompt ids", err);
}
