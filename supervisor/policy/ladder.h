/* ladder.h - which rung the next start gets: each rung asks for less memory than the one above. Floor: policy, pure.
 *
 * Rung 0 is what was configured. Rungs are data: from `servers.NAME.ladder`, or the built-in ones of holdfast-runtime. */
#ifndef HOLD_POLICY_LADDER_H
#define HOLD_POLICY_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_LADDER_MAX 8
#define HOLD_RUNG_WORDS 8

struct hold_rung {
    const char *name;                  /* "ctx-4096" */
    const char *args[HOLD_RUNG_WORDS]; /* added at the end of the command, NULL after the last */
    const char *env[HOLD_RUNG_WORDS];  /* "NAME=value", NULL after the last */
};

struct hold_ladder {
    size_t n;
    struct hold_rung rungs[HOLD_LADDER_MAX]; /* rungs[0] is rung 1 */
};

/* More than 90 % of the limit is in use. */
bool hold_ladder_is_tight(uint64_t memory_bytes, uint64_t limit_bytes);
/* The rung of the next start. Only memory moves it, one step down, and never below the last; it does not climb by itself. */
uint32_t hold_ladder_next(const struct hold_ladder *ladder, uint32_t rung, bool out_of_memory);
/* The first rung of a new process 1: from an unclosed record whose last memory reading was above 90 % of its limit one step
 * below the record's rung, else the record's own; both cut to the ladder. */
uint32_t hold_ladder_from_record(const struct hold_ladder *ladder, uint32_t rung, uint64_t memory_bytes, uint64_t limit_bytes, bool was_open);
/* NULL for rung 0 and for a rung that does not exist. */
const struct hold_rung *hold_ladder_at(const struct hold_ladder *ladder, uint32_t rung);
/* The ladder of holdfast-runtime: smaller batch, shorter context, int8 where it may. */
extern const struct hold_ladder hold_ladder_runtime;
#define HOLD_LADDER_RUNTIME_CONTEXT 8192 /* tokens of its last rung */

#endif
