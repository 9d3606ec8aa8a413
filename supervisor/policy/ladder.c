/* ladder.c - the rung of the next start. Floor: policy, pure. */
#include "supervisor/policy/ladder.h"

#include "base/list.h"

#define HOLD_LADDER_TIGHT_PCT 90

/* Each rung keeps what the ones above it gave up. What is given up first is what a single user misses least. */
const struct hold_ladder hold_ladder_runtime = {
    .rungs = {
        { .name = "few-sessions", .args = { "--max-sessions", "2", "--chunk-tokens", "128" } },
        { .name = "short-context", .args = { "--max-sessions", "1", "--chunk-tokens", "64", "--max-context", "8192" } },
    },
    .n = 2,
};

static uint32_t cut(const struct hold_ladder *ladder, uint64_t rung) {
    return (uint32_t) HOLD_MIN(rung, (uint64_t) HOLD_MIN(ladder->n, (size_t) HOLD_LADDER_MAX));
}

bool hold_ladder_is_tight(uint64_t memory_bytes, uint64_t limit_bytes) {
    return limit_bytes > 0 && memory_bytes > limit_bytes / 100 * HOLD_LADDER_TIGHT_PCT;
}

uint32_t hold_ladder_next(const struct hold_ladder *ladder, uint32_t rung, bool out_of_memory) {
    return cut(ladder, (uint64_t) rung + (out_of_memory ? 1 : 0));
}

uint32_t hold_ladder_from_record(const struct hold_ladder *ladder, uint32_t rung, uint64_t memory_bytes, uint64_t limit_bytes, bool was_open) {
    return hold_ladder_next(ladder, rung, was_open && hold_ladder_is_tight(memory_bytes, limit_bytes));
}

const struct hold_rung *hold_ladder_at(const struct hold_ladder *ladder, uint32_t rung) {
    return rung > 0 && rung <= ladder->n && rung <= HOLD_LADDER_MAX ? &ladder->rungs[rung - 1] : NULL;
}
