/* counter.h - is an engine that answers also working? Prometheus text in pieces to a verdict. Floor: supervisor/policy, pure.
 *
 * A hung engine often still answers its health page with 200; its counters tell it apart: work is pending and nothing moves.
 * One question reads one page (hold_page_*): how much is pending, summed over the series that tell it, and how far things
 * are, summed over the series that must move. Two questions in a row make a verdict (hold_counter_judge): stalled is work
 * at both and no movement between them. Any change is movement, a fall too: that is a server that began again.
 *
 * The page may be megabytes and its lines of any length: names and label values of more than HOLD_PAGE_TEXT_BYTES cannot be
 * meant by a selector and are passed over. Comments, histograms, timestamps, exemplars are passed over, and so are NaN,
 * infinities and lines that break the format's rules. Names in quotes inside the braces (UTF-8 names) are not known. */
#ifndef HOLD_SUPERVISOR_POLICY_COUNTER_H
#define HOLD_SUPERVISOR_POLICY_COUNTER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_PAGE_TEXT_BYTES 128
#define HOLD_SERIES_MAX 32   /* selectors of one check, or rows of counter.def */
#define HOLD_MATCHERS_MAX 4  /* labels that one selector names */
#define HOLD_SERIES_SETS 8   /* sets of counter.def; 0 when the selectors were given */

/* A part of the check's text, or of a static string; not terminated. */
struct hold_slice {
    const char *at;
    size_t n;
};

struct hold_series {
    struct hold_slice name;
    struct { struct hold_slice label, value; } matchers[HOLD_MATCHERS_MAX]; /* value as written, escapes included */
    uint8_t n_matchers, set;
    bool is_work; /* else it must move */
};

/* What one page said. */
struct hold_counter_seen {
    bool has_work, has_moves; /* such a series was there, with a number */
    double work, moves;
    const char *set;          /* name of the set of counter.def that was read, "" for selectors of one's own */
};

enum hold_page_state { HOLD_PAGE_LINE, HOLD_PAGE_NAME, HOLD_PAGE_LABELS, HOLD_PAGE_LABEL, HOLD_PAGE_EQUALS, HOLD_PAGE_VALUE, HOLD_PAGE_ESCAPE,
                       HOLD_PAGE_AFTER_VALUE, HOLD_PAGE_GAP, HOLD_PAGE_NUMBER, HOLD_PAGE_REST };

/* One page being read; the caller's. Selectors borrow the check's text. */
struct hold_page {
    struct hold_series series[HOLD_SERIES_MAX];
    size_t n_series;
    enum hold_page_state state;
    bool is_cut;                       /* text is longer than its room: it matches nothing */
    size_t n_text, n_label;
    char text[HOLD_PAGE_TEXT_BYTES];   /* name, label value or number of this line */
    char label[HOLD_PAGE_TEXT_BYTES];
    uint32_t meant;                    /* bit per series whose name is this line's */
    uint8_t matched[HOLD_SERIES_MAX];  /* bit per matcher that this line satisfies */
    double sums[HOLD_SERIES_SETS][2];  /* [set][is_work] */
    bool has[HOLD_SERIES_SETS][2];
};

/* words: what stands after the address of a counter check. Nothing: every set of counter.def is looked for. A set's name
 * ("vllm"): that one. "work=SELECTOR" and "moves=SELECTOR", each at least once: those. A selector is NAME or
 * NAME{label="value",...}; the quotes may be left out. Fails with a sentence that names what is wrong. */
HOLD_MUST int hold_page_init(struct hold_page *p, const char *words, struct hold_err *err);
/* The next n bytes of the page, cut anywhere. A last line without its line end does not count. */
void hold_page_feed(struct hold_page *p, const char *bytes, size_t n);
void hold_page_seen(const struct hold_page *p, struct hold_counter_seen *ret);

enum hold_counter_word {
    HOLD_COUNTER_UNKNOWN, /* the page lacks work or moves: nothing can be said */
    HOLD_COUNTER_IDLE,    /* nothing is pending */
    HOLD_COUNTER_FRESH,   /* work is pending; it was not at the last question, or there was none */
    HOLD_COUNTER_MOVES,
    HOLD_COUNTER_STANDS,  /* stalled since the last question */
};

/* What the last question saw; `= { 0 }` when a life begins. */
struct hold_counter {
    bool is_known;
    double work, moves;
};

/* The verdict of two questions in a row. now becomes the last. */
enum hold_counter_word hold_counter_judge(struct hold_counter *last, const struct hold_counter_seen *now);
/* The verdict for people: "3 pending, stands at 1234". Always terminated. */
void hold_counter_say(enum hold_counter_word word, const struct hold_counter_seen *now, char *out, size_t out_bytes);

#endif
