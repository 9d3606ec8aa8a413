/* arena.h - memory of one lifetime, with a maximum. Floor: base, pure. */
#ifndef HOLD_BASE_ARENA_H
#define HOLD_BASE_ARENA_H

#include <stddef.h>

struct hold_arena_block;

/* `= hold_arena_with_max(n)`; everything taken from it lives until hold_arena_release. Not for two threads. */
struct hold_arena {
    struct hold_arena_block *blocks;
    size_t used_bytes;
    size_t max_bytes;
};

struct hold_arena hold_arena_with_max(size_t max_bytes);
/* Zeroed, aligned to 16. NULL when the maximum would be passed or memory ran out. n = 0 gives a valid pointer. */
void *hold_arena_take(struct hold_arena *a, size_t n);
/* count elements of size bytes each, checked for overflow. */
void *hold_arena_array(struct hold_arena *a, size_t count, size_t size);
/* A terminated copy. */
char *hold_arena_copy(struct hold_arena *a, const char *text, size_t n);
void hold_arena_release(struct hold_arena *a);

#define hold_autoarena __attribute__((cleanup(hold_arena_release))) struct hold_arena

#endif
