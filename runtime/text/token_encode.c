/* token_encode.c - text to ids: added tokens, splitter, byte-pair merging. Floor: runtime/text, pure.
 *
 * Short words are merged by looking at every pair each time; long ones (a base64 blob has no spaces) with a heap of pairs
 * over a linked list, so that a word of a megabyte takes n log n. Both give the same ids: lowest rank first, leftmost among equals. */
#include "runtime/text/token.h"

#include "base/num.h"
#include "runtime/text/pretok.h"
#include "runtime/text/token_table.h"

#include <string.h>

enum { SHORT_WORD = 48 };
static const uint32_t NO_RANK = UINT32_MAX;

struct encoder {
    const struct hold_tok *t;
    struct hold_buf *ids;
    struct hold_buf plain; /* neighbouring text, joined */
    struct hold_buf nodes, heap;
    bool skips_space;      /* the last token eats white space on its right */
};

/* A symbol of a long word; dead ones have id UINT32_MAX. */
struct node {
    uint32_t id;
    uint32_t previous, next; /* UINT32_MAX: none */
};

static uint32_t rank_of(const struct hold_tok *t, uint32_t left, uint32_t right) {
    uint32_t slot = hold_tok_hash_pair(left, right) & t->merge_mask;
    for (uint32_t tries = 0; tries <= t->merge_mask; tries++, slot = (slot + 1) & t->merge_mask) {
        const uint32_t rank = t->merge_slots[slot] - 1;
        if (rank == NO_RANK)
            return NO_RANK;
        if (t->merges[rank].left == left && t->merges[rank].right == right)
            return rank;
    }
    return NO_RANK;
}

static bool find_word(const struct hold_tok *t, const char *word, size_t n, uint32_t *ret_id) {
    uint32_t slot = hold_tok_hash_word(word, n) & t->word_mask;
    for (uint32_t tries = 0; tries <= t->word_mask; tries++, slot = (slot + 1) & t->word_mask) {
        if (t->word_slots[slot] == 0)
            return false;
        const uint32_t id = t->word_slots[slot] - 1;
        size_t length;
        const char *text = hold_tok_text(t, id, &length);
        if (length == n && memcmp(text, word, n) == 0) {
            *ret_id = id;
            return true;
        }
    }
    return false;
}

static void merge_short(struct encoder *e, const unsigned char *word, size_t n) {
    const struct hold_tok *t = e->t;
    uint32_t ids[SHORT_WORD], ranks[SHORT_WORD];
    for (size_t i = 0; i < n; i++)
        ids[i] = t->byte_ids[word[i]];
    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_of(t, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == NO_RANK)
            break;
        ids[best] = t->merges[ranks[best]].result;
        memmove(&ids[best + 1], &ids[best + 2], (n - best - 2) * sizeof *ids);
        n--;
        memmove(&ranks[best], &ranks[best + 1], (n - best - 1) * sizeof *ranks);
        if (best + 1 < n)
            ranks[best] = rank_of(t, ids[best], ids[best + 1]);
        if (best > 0)
            ranks[best - 1] = rank_of(t, ids[best - 1], ids[best]);
    }
    hold_buf_add(e->ids, ids, n * sizeof *ids);
}

/* The heap holds rank << 32 | position of the left symbol, smallest on top: rank first, then place. */
static void heap_push(uint64_t *heap, size_t *n, uint64_t value) {
    size_t at = (*n)++;
    for (; at > 0 && heap[(at - 1) / 2] > value; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = value;
}

static uint64_t heap_pop(uint64_t *heap, size_t *n) {
    const uint64_t top = heap[0], last = heap[--*n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < *n; at = child) {
        if (child + 1 < *n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= last)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

static void push_pair(const struct hold_tok *t, const struct node *nodes, uint32_t at, uint64_t *heap, size_t *n_heap) {
    if (at == UINT32_MAX || nodes[at].next == UINT32_MAX)
        return;
    const uint32_t rank = rank_of(t, nodes[at].id, nodes[nodes[at].next].id);
    if (rank != NO_RANK)
        heap_push(heap, n_heap, (uint64_t) rank << 32 | at);
}

static int merge_long(struct encoder *e, const unsigned char *word, size_t n, struct hold_err *err) {
    const struct hold_tok *t = e->t;
    hold_buf_clear(&e->nodes);
    hold_buf_clear(&e->heap);
    struct node *nodes = hold_buf_reserve(&e->nodes, n * sizeof *nodes);
    /* n pairs at first, two more for each of fewer than n merges */
    uint64_t *heap = hold_buf_reserve(&e->heap, 3 * n * sizeof *heap);
    if (!nodes || !heap)
        return hold_fail(err, HOLD_E_LIMIT, 0, "one word of %zu bytes without a break: no memory to encode it", n);
    for (size_t i = 0; i < n; i++)
        nodes[i] = (struct node) { .id = t->byte_ids[word[i]],
                                   .previous = i ? (uint32_t) i - 1 : UINT32_MAX,
                                   .next = i + 1 < n ? (uint32_t) i + 1 : UINT32_MAX };
    size_t n_heap = 0;
    for (size_t i = 0; i + 1 < n; i++)
        push_pair(t, nodes, (uint32_t) i, heap, &n_heap);
    while (n_heap > 0) {
        const uint64_t top = heap_pop(heap, &n_heap);
        const uint32_t rank = (uint32_t) (top >> 32), at = (uint32_t) top, right = nodes[at].next;
        if (nodes[at].id != t->merges[rank].left || right == UINT32_MAX || nodes[right].id != t->merges[rank].right)
            continue; /* one of the two has merged with another meanwhile */
        nodes[at].id = t->merges[rank].result;
        nodes[at].next = nodes[right].next;
        nodes[right].id = UINT32_MAX;
        if (nodes[at].next != UINT32_MAX)
            nodes[nodes[at].next].previous = at;
        push_pair(t, nodes, nodes[at].previous, heap, &n_heap);
        push_pair(t, nodes, at, heap, &n_heap);
    }
    for (uint32_t at = 0; at != UINT32_MAX; at = nodes[at].next)
        hold_buf_add(e->ids, &nodes[at].id, sizeof nodes[at].id);
    return 0;
}

static int encode_word(struct encoder *e, const char *word, size_t n, struct hold_err *err) {
    uint32_t id;
    if (n > HOLD_TOK_MAX_WORD_BYTES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "one word of %zu bytes without a break, the limit is %u", n, HOLD_TOK_MAX_WORD_BYTES);
    if (e->t->ignores_merges && find_word(e->t, word, n, &id)) {
        hold_buf_add(e->ids, &id, sizeof id);
        return 0;
    }
    if (n <= SHORT_WORD)
        merge_short(e, (const unsigned char *) word, n);
    else if (merge_long(e, (const unsigned char *) word, n, err) < 0)
        return -1;
    return 0;
}

/* Everything in plain becomes words and ids. */
static int flush(struct encoder *e, struct hold_err *err) {
    for (size_t at = 0; at < e->plain.n && !e->ids->failed;) {
        const size_t n = hold_pretok_next(e->t->splitter, e->plain.data + at, e->plain.n - at);
        if (encode_word(e, e->plain.data + at, n, err) < 0)
            return -1;
        at += n;
    }
    hold_buf_clear(&e->plain);
    return 0;
}

static void trim_right(struct hold_buf *plain) {
    while (plain->n > 0) {
        size_t back = 1, length;
        while (back < plain->n && back < 4 && (plain->data[plain->n - back] & 0xC0) == 0x80)
            back++;
        if (!hold_pretok_is_space(plain->data + plain->n - back, back, &length) || length != back)
            return;
        plain->n -= back;
    }
}

static int emit_added(struct encoder *e, uint32_t id, struct hold_err *err) {
    if (e->t->flags[id] & HOLD_TOK_LSTRIP)
        trim_right(&e->plain);
    if (flush(e, err) < 0)
        return -1;
    hold_buf_add(e->ids, &id, sizeof id);
    e->skips_space = e->t->flags[id] & HOLD_TOK_RSTRIP;
    return 0;
}

static bool match_added(const struct hold_tok *t, const char *text, size_t n, bool any, uint32_t *ret_id, size_t *ret_n) {
    for (uint32_t i = 0; i < t->n_added; i++) {
        size_t length;
        const char *added = hold_tok_text(t, t->added[i], &length);
        if (length <= n && (any || (t->flags[t->added[i]] & HOLD_TOK_IN_CONTENT)) && memcmp(added, text, length) == 0) {
            *ret_id = t->added[i];
            *ret_n = length;
            return true;
        }
    }
    return false;
}

static int encode_text(struct encoder *e, const char *text, size_t n, bool any, struct hold_err *err) {
    size_t begun = 0, at = 0;
    while (at < n) {
        size_t length;
        uint32_t id;
        if (e->skips_space) {
            if (hold_pretok_is_space(text + at, n - at, &length)) {
                at += length;
                begun = at;
                continue;
            }
            e->skips_space = false;
        }
        if (!e->t->starts_added[(unsigned char) text[at]] || !match_added(e->t, text + at, n - at, any, &id, &length)) {
            at++;
            continue;
        }
        hold_buf_add(&e->plain, text + begun, at - begun);
        if (emit_added(e, id, err) < 0)
            return -1;
        at += length;
        begun = at;
    }
    hold_buf_add(&e->plain, text + begun, n - begun);
    return 0;
}

static int encode_pieces(struct encoder *e, const struct hold_piece *pieces, size_t n_pieces, bool any, struct hold_err *err) {
    for (size_t i = 0; i < n_pieces && !e->ids->failed; i++) {
        const struct hold_piece *p = &pieces[i];
        uint32_t id;
        if (p->kind == HOLD_PIECE_TEXT) {
            if (encode_text(e, p->text, p->n, any, err) < 0)
                return -1;
            if (e->plain.failed)
                return hold_buf_check(&e->plain, "text of a prompt", err);
        } else if (!hold_tok_find_added(e->t, p->text, p->n, &id)) {
            return hold_fail(err, HOLD_E_FORMAT, 0, "the tokenizer has no token '%.*s'", (int) (p->n < 64 ? p->n : 64), p->text);
        } else if (emit_added(e, id, err) < 0) {
            return -1;
        }
    }
    if (flush(e, err) < 0)
        return -1;
    return hold_buf_check(e->ids, "prompt ids", err);
}

int hold_tok_encode(const struct hold_tok *t, const struct hold_piece *pieces, size_t n_pieces,
                    const struct hold_tok_encode_options *options, struct hold_buf *ret_ids, struct hold_err *err) {
    struct encoder e = {
        .t = t,
        .ids = ret_ids,
        .plain = hold_buf_with_max(HOLD_TOK_MAX_TEXT_BYTES),
        .nodes = hold_buf_with_max(sizeof(struct node) * (size_t) HOLD_TOK_MAX_WORD_BYTES),
        .heap = hold_buf_with_max(3 * sizeof(uint64_t) * (size_t) HOLD_TOK_MAX_WORD_BYTES),
    };
    const int result = encode_pieces(&e, pieces, n_pieces, options && options->parses_special, err);
    hold_buf_release(&e.plain);
    hold_buf_release(&e.nodes);
    hold_buf_release(&e.heap);
    return result;
}

int hold_tok_encode_text(const struct hold_tok *t, const char *text, size_t n, struct hold_buf *ret_ids, struct hold_err *err) {
    const struct hold_piece piece = { .kind = HOLD_PIECE_TEXT, .text = text, .n = n };
    return hold_tok_encode(t, &piece, 1, NULL, ret_ids, err);
}
