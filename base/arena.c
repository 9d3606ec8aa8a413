/* arena.c - memory of one lifetime. Floor: base. */
#include "base/arena.h"

#include "base/list.h"
#include "base/num.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, BLOCK_BYTES = 16 * 1024 };

struct hold_arena_block {
    struct hold_arena_block *next;
    size_t used, capacity;
    _Alignas(ALIGN) char bytes[];
};

struct hold_arena hold_arena_with_max(size_t max_bytes) {
    return (struct hold_arena) { .max_bytes = max_bytes };
}

void *hold_arena_take(struct hold_arena *a, size_t n) {
    size_t want;
    if (!hold_add_size(n, ALIGN - 1, &want))
        return NULL;
    want &= ~(size_t) (ALIGN - 1);
    if (want > a->max_bytes - a->used_bytes)
        return NULL;
    struct hold_arena_block *block = a->blocks;
    if (!block || block->capacity - block->used < want) {
        size_t capacity = HOLD_MAX(want, (size_t) BLOCK_BYTES);
        block = malloc(sizeof *block + capacity);
        if (!block)
            return NULL;
        *block = (struct hold_arena_block) { .next = a->blocks, .capacity = capacity };
        a->blocks = block;
    }
    void *taken = block->bytes + block->used;
    block->used += want;
    a->used_bytes += want;
    return memset(taken, 0, want);
}

void *hold_arena_array(struct hold_arena *a, size_t count, size_t size) {
    size_t n;
    return hold_mul_size(count, size, &n) ? hold_arena_take(a, n) : NULL;
}

char *hold_arena_copy(struct hold_arena *a, const char *text, size_t n) {
    size_t with_end;
    char *copy = hold_add_size(n, 1, &with_end) ? hold_arena_take(a, with_end) : NULL;
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

void hold_arena_release(struct hold_arena *a) {
    while (a->blocks) {
        struct hold_arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    a->used_bytes = 0;
}
