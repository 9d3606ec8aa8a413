/* lines.h - one line of a server's output to a milestone or a failure signature. Floor: supervisor/policy, pure.
 *
 * milestones.def and signatures.def are the data: fragments that stay the same over versions of the servers, each with a
 * fixture line that a test holds against the table. A line is read once, left to right; at each byte only the fragments
 * that begin with it are compared, so the time is bounded by the line's length, of which at most HOLD_LINE_MAX is read.
 *
 * Of several hits in one line a cause beats a wrapper, a wrapper a milestone, a milestone noise; then the earlier row wins. */
#ifndef HOLD_SUPERVISOR_POLICY_LINES_H
#define HOLD_SUPERVISOR_POLICY_LINES_H

#include "supervisor/policy/cause.h"

#include <stddef.h>
#include <stdint.h>

#define HOLD_LINE_MAX 16384 /* container runtimes split lines there; what lies beyond is not matched */

enum hold_line_class {
    HOLD_LINE_NOTHING,
    HOLD_LINE_NOISE,     /* printed on healthy runs too: never the verdict */
    HOLD_LINE_MILESTONE, /* the start moved */
    HOLD_LINE_WRAPPER,   /* announces a failure without explaining it */
    HOLD_LINE_CAUSE,     /* names one */
    HOLD_LINE_CLASS_COUNT
};

/* What a line means. id is a static string ("vllm-kv-none"); done/total are 0 where the line has no number. */
struct hold_line_match {
    enum hold_line_class class;
    int index;             /* row in milestones.def for MILESTONE, in signatures.def otherwise; -1 for NOTHING */
    const char *id;
    enum hold_cause cause; /* for CAUSE; else NONE */
    uint64_t done, total;  /* for MILESTONE: "40%" is 40 of 100, "2/5" is 2 of 5 */
};

/* Which fragments begin with which byte, and which pairs of bytes begin one at all: the caller's, filled once by
 * hold_lines_init, then only read. */
struct hold_lines {
    uint8_t pairs[65536 / 8];
    uint8_t head[256]; /* 1 + index of the first fragment, 0 for none */
    uint8_t next[255];
};

void hold_lines_init(struct hold_lines *t);
/* line: n bytes without the line end, any content. */
struct hold_line_match hold_lines_match(const struct hold_lines *t, const char *line, size_t n);

/* The id of a signature row, or "?" ; their number. */
const char *hold_signature_id(int index);
enum hold_line_class hold_signature_class(int index); /* NOTHING outside the table */
extern const int hold_n_signatures;
const char *hold_milestone_id(int index);
extern const int hold_n_milestones;
const char *hold_line_class_name(enum hold_line_class c);

#endif
