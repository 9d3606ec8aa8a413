/* lines.c - the fragment tables and one pass over a line. Floor: supervisor/policy, pure. */
#include "supervisor/policy/lines.h"

#include "base/list.h"

#include <stdbool.h>
#include <string.h>

enum number { PLAIN, PERCENT, RATIO };

struct fragment {
    const char *id, *text, *also; /* also: must follow in the same line, or "" */
    enum hold_line_class class;
    enum hold_cause cause;
    enum number number;
};

/* Both tables as one, signatures first: an index below n_signatures is a row there. */
static const struct fragment fragments[] = {
#define SIGNATURE(id, text, also, class, cause, fixture) { id, text, also, HOLD_LINE_##class, HOLD_CAUSE_##cause, PLAIN },
#include "supervisor/policy/signatures.def"
#undef SIGNATURE
#define MILESTONE(id, text, number, fixture) { id, text, "", HOLD_LINE_MILESTONE, HOLD_CAUSE_NONE, number },
#include "supervisor/policy/milestones.def"
#undef MILESTONE
};

enum {
    N_SIGNATURES = 0
#define SIGNATURE(id, text, also, class, cause, fixture) +1
#include "supervisor/policy/signatures.def"
#undef SIGNATURE
};

#define N_FRAGMENTS ((int) HOLD_COUNT_OF(fragments))
_Static_assert(HOLD_COUNT_OF(fragments) < 255, "an index and its successor must fit in a byte");

const int hold_n_signatures = N_SIGNATURES;
const int hold_n_milestones = N_FRAGMENTS - N_SIGNATURES;

static const char *const class_names[HOLD_LINE_CLASS_COUNT] = { "nothing", "noise", "milestone", "wrapper", "cause" };

void hold_lines_init(struct hold_lines *t) {
    *t = (struct hold_lines) { 0 };
    for (int i = N_FRAGMENTS - 1; i >= 0; i--) { /* backwards, so that each chain is in table order */
        const unsigned char first = (unsigned char) fragments[i].text[0];
        t->next[i] = t->head[first];
        t->head[first] = (uint8_t) (i + 1);
        const unsigned pair = (unsigned) first << 8 | (unsigned char) fragments[i].text[1];
        t->pairs[pair / 8] |= (uint8_t) (1u << pair % 8);
    }
}

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

/* A run of at most 15 digits at line[*at]; *at moves behind it. */
static uint64_t digits(const char *line, size_t n, size_t *at) {
    uint64_t value = 0;
    for (size_t used = 0; *at < n && digit(line[*at]) && used < 15; used++, (*at)++)
        value = value * 10 + (uint64_t) (line[*at] - '0');
    return value;
}

/* The first "N%" or "N/M" in the rest of a line. */
static void find_number(const char *line, size_t n, enum number kind, uint64_t *ret_done, uint64_t *ret_total) {
    for (size_t at = 0; at < n;) {
        if (!digit(line[at])) {
            at++;
            continue;
        }
        const uint64_t value = digits(line, n, &at);
        if (at >= n)
            return;
        if (kind == PERCENT && line[at] == '%' && value <= 100) {
            *ret_done = value;
            *ret_total = 100;
            return;
        }
        if (kind == RATIO && line[at] == '/' && at + 1 < n && digit(line[at + 1])) {
            at++;
            *ret_done = value;
            *ret_total = digits(line, n, &at);
            return;
        }
    }
}

static bool begins(const char *line, size_t n, const char *text, size_t *ret_length) {
    size_t i = 0;
    for (; text[i] != '\0'; i++)
        if (i >= n || line[i] != text[i])
            return false;
    *ret_length = i;
    return true;
}

static bool contains(const char *line, size_t n, const char *text) {
    return text[0] == '\0' || memmem(line, n, text, strlen(text)) != NULL;
}

struct hold_line_match hold_lines_match(const struct hold_lines *t, const char *line, size_t n) {
    if (n > HOLD_LINE_MAX)
        n = HOLD_LINE_MAX;
    bool is_hopeless[N_FRAGMENTS] = { false }; /* its second fragment is not in the rest, so not in a shorter rest either */
    int best = -1;
    size_t best_end = 0;
    for (size_t at = 0; at + 1 < n; at++) {
        const unsigned pair = (unsigned) (unsigned char) line[at] << 8 | (unsigned char) line[at + 1];
        if (!(t->pairs[pair / 8] >> pair % 8 & 1))
            continue;
        for (int f = t->head[(unsigned char) line[at]] - 1; f >= 0; f = t->next[f] - 1) {
            const struct fragment *row = &fragments[f];
            const bool is_better = best < 0 || row->class > fragments[best].class ||
                                   (row->class == fragments[best].class && f < best);
            size_t length = 0;
            if (!is_better || is_hopeless[f] || !begins(line + at, n - at, row->text, &length))
                continue;
            is_hopeless[f] = !contains(line + at + length, n - at - length, row->also);
            if (!is_hopeless[f]) {
                best = f;
                best_end = at + length;
            }
        }
    }
    if (best < 0)
        return (struct hold_line_match) { .class = HOLD_LINE_NOTHING, .index = -1, .id = "" };

    struct hold_line_match match = {
        .class = fragments[best].class,
        .index = best < N_SIGNATURES ? best : best - N_SIGNATURES,
        .id = fragments[best].id,
        .cause = fragments[best].cause,
    };
    if (fragments[best].number != PLAIN)
        find_number(line + best_end, n - best_end, fragments[best].number, &match.done, &match.total);
    return match;
}

const char *hold_signature_id(int index) {
    return index >= 0 && index < N_SIGNATURES ? fragments[index].id : "?";
}

enum hold_line_class hold_signature_class(int index) {
    return index >= 0 && index < N_SIGNATURES ? fragments[index].class : HOLD_LINE_NOTHING;
}

const char *hold_milestone_id(int index) {
    return index >= 0 && index < N_FRAGMENTS - N_SIGNATURES ? fragments[N_SIGNATURES + index].id : "?";
}

const char *hold_line_class_name(enum hold_line_class c) {
    return hold_name_at(class_names, HOLD_COUNT_OF(class_names), (size_t) c);
}
