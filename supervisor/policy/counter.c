/* counter.c - Prometheus text in pieces to "works", "idle" or "stands still". Floor: supervisor/policy, pure. */
#include "supervisor/policy/counter.h"

#include "base/list.h"
#include "base/num.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *set, *name;
    bool is_work;
} rows[] = {
#define WORK(set, name) { set, name, true },
#define MOVES(set, name) { set, name, false },
#include "supervisor/policy/counter.def"
#undef WORK
#undef MOVES
};

_Static_assert(HOLD_COUNT_OF(rows) <= HOLD_SERIES_MAX, "every row of counter.def has room");

/* ---- selectors ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

static int add_series(struct hold_page *p, const struct hold_series *s, struct hold_err *err) {
    if (p->n_series == HOLD_SERIES_MAX)
        return hold_fail(err, HOLD_E_LIMIT, 0, "more than %d selectors", HOLD_SERIES_MAX);
    p->series[p->n_series++] = *s;
    return 0;
}

/* Sets are numbered in their order from 1; every row of them, or those of one name. Returns how many rows were taken. */
static size_t add_sets(struct hold_page *p, const char *name, size_t n) {
    size_t taken = 0;
    uint8_t set = 0;
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++) {
        if (i == 0 || strcmp(rows[i].set, rows[i - 1].set) != 0)
            set++;
        if (name && (strlen(rows[i].set) != n || memcmp(rows[i].set, name, n) != 0))
            continue;
        p->series[p->n_series++] = (struct hold_series) { .name = { rows[i].name, strlen(rows[i].name) }, .set = set, .is_work = rows[i].is_work };
        taken++;
    }
    return taken;
}

static const char *set_name(size_t set) {
    size_t at = 0;
    for (size_t i = 0; i < HOLD_COUNT_OF(rows); i++) {
        at += i == 0 || strcmp(rows[i].set, rows[i - 1].set) != 0;
        if (at == set)
            return rows[i].set;
    }
    return "";
}

/* label=value or label="value" up to ',' or '}'. Returns where it stopped, NULL when it is wrong. */
static const char *read_matcher(const char *at, struct hold_series *s, struct hold_err *err) {
    if (s->n_matchers == HOLD_MATCHERS_MAX)
        return hold_fail(err, HOLD_E_LIMIT, 0, "a selector names more than %d labels", HOLD_MATCHERS_MAX), NULL;
    struct hold_slice label = { .at = at }, value;
    while (is_name(*at))
        at++;
    label.n = (size_t) (at - label.at);
    if (label.n == 0 || label.n >= HOLD_PAGE_TEXT_BYTES || *at != '=')
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.40s' is not label=\"value\"", label.at), NULL;
    const bool is_quoted = *++at == '"';
    at += is_quoted;
    value.at = at;
    while (*at && (is_quoted ? *at != '"' : *at != ',' && *at != '}' && !is_blank(*at)))
        at += *at == '\\' && at[1] ? 2 : 1;
    value.n = (size_t) (at - value.at);
    if (value.n >= HOLD_PAGE_TEXT_BYTES || (is_quoted && *at++ != '"'))
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.40s': the value has no end, or more than %d bytes", label.at, HOLD_PAGE_TEXT_BYTES - 1), NULL;
    s->matchers[s->n_matchers].label = label;
    s->matchers[s->n_matchers++].value = value;
    return at;
}

static const char *read_selector(const char *at, struct hold_series *s, struct hold_err *err) {
    s->name.at = at;
    while (is_name(*at))
        at++;
    s->name.n = (size_t) (at - s->name.at);
    if (s->name.n == 0 || s->name.n >= HOLD_PAGE_TEXT_BYTES)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.40s' does not begin with the name of a series", s->name.at), NULL;
    if (*at == '{') {
        do {
            at = read_matcher(at + 1, s, err);
        } while (at && *at == ',');
        if (at && *at++ != '}')
            return hold_fail(err, HOLD_E_CONFIG, 0, "'%.40s': the labels have no end", s->name.at), NULL;
    }
    if (at && *at && !is_blank(*at))
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.40s': a blank is wanted before '%.8s'", s->name.at, at), NULL;
    return at;
}

int hold_page_init(struct hold_page *p, const char *words, struct hold_err *err) {
    *p = (struct hold_page) { 0 };
    const char *at = words + strspn(words, " \t");
    if (!*at) {
        (void) add_sets(p, NULL, 0);
        return 0;
    }
    bool has[2] = { false, false };
    const size_t n = strcspn(at, " \t=");
    if (at[n] != '=') {
        if (at[n + strspn(at + n, " \t")] != '\0' || add_sets(p, at, n) == 0)
            return hold_fail(err, HOLD_E_CONFIG, 0, "'%.40s' is none of vllm, sglang, tgi, llamacpp, work=SELECTOR, moves=SELECTOR", at);
        return 0;
    }
    while (*at) {
        struct hold_series s = { .is_work = strncmp(at, "work=", 5) == 0 };
        if (!s.is_work && strncmp(at, "moves=", 6) != 0)
            return hold_fail(err, HOLD_E_CONFIG, 0, "'%.40s' is neither work=SELECTOR nor moves=SELECTOR", at);
        at = read_selector(at + (s.is_work ? 5 : 6), &s, err);
        if (!at || add_series(p, &s, err) < 0)
            return -1;
        has[s.is_work] = true;
        at += strspn(at, " \t");
    }
    if (!has[0] || !has[1])
        return hold_fail(err, HOLD_E_CONFIG, 0, "both are wanted: work=SELECTOR for what is pending, moves=SELECTOR for what must move meanwhile");
    return 0;
}

/* ---- the page ---- */

static void begin_text(struct hold_page *p, enum hold_page_state state) {
    p->n_text = 0;
    p->is_cut = false;
    p->state = state;
}

static void add(struct hold_page *p, char c) {
    if (p->n_text < sizeof p->text - 1)
        p->text[p->n_text++] = c;
    else
        p->is_cut = true;
}

static void name_ends(struct hold_page *p, enum hold_page_state next) {
    p->meant = 0;
    for (size_t i = 0; i < p->n_series && !p->is_cut; i++) {
        if (p->series[i].name.n == p->n_text && memcmp(p->series[i].name.at, p->text, p->n_text) == 0)
            p->meant |= UINT32_C(1) << i;
        p->matched[i] = 0;
    }
    begin_text(p, p->meant ? next : HOLD_PAGE_REST);
}

/* A matcher's value as written (\\, \", \n) is this text. */
static bool is_value(const struct hold_slice *written, const char *text, size_t n) {
    size_t at = 0;
    for (size_t i = 0; i < written->n; i++, at++) {
        char c = written->at[i];
        if (c == '\\' && i + 1 < written->n) {
            c = written->at[++i];
            c = c == 'n' ? '\n' : c;
        }
        if (at >= n || text[at] != c)
            return false;
    }
    return at == n;
}

static void label_ends(struct hold_page *p) {
    for (size_t i = 0; i < p->n_series && !p->is_cut; i++) {
        const struct hold_series *s = &p->series[i];
        for (size_t k = 0; k < s->n_matchers && (p->meant >> i & 1); k++)
            if (s->matchers[k].label.n == p->n_label && memcmp(s->matchers[k].label.at, p->label, p->n_label) == 0 &&
                is_value(&s->matchers[k].value, p->text, p->n_text))
                p->matched[i] |= (uint8_t) (1u << k);
    }
    begin_text(p, HOLD_PAGE_AFTER_VALUE);
}

static void number_ends(struct hold_page *p) {
    double value;
    struct hold_err ignored;
    p->text[p->n_text] = '\0';
    const char *text = p->text + (p->text[0] == '+');
    if (p->is_cut || hold_parse_f64(text, -DBL_MAX, DBL_MAX, &value, &ignored) < 0)
        return;
    for (size_t i = 0; i < p->n_series; i++) {
        const struct hold_series *s = &p->series[i];
        if (!(p->meant >> i & 1) || p->matched[i] != (1u << s->n_matchers) - 1)
            continue;
        const double sum = p->sums[s->set][s->is_work] + (s->is_work && value < 0 ? 0 : value);
        if (!isfinite(sum))
            continue;
        p->sums[s->set][s->is_work] = sum;
        p->has[s->set][s->is_work] = true;
    }
}

/* The labels' part of a line; NUMBER and what is outside are hold_page_feed's. */
static void take_label(struct hold_page *p, char c) {
    switch (p->state) {
    case HOLD_PAGE_LABELS: /* after '{' or ',' */
        if (c == '}')
            begin_text(p, HOLD_PAGE_GAP);
        else if (is_name(c)) {
            begin_text(p, HOLD_PAGE_LABEL);
            add(p, c);
        } else if (!is_blank(c))
            p->state = HOLD_PAGE_REST;
        return;
    case HOLD_PAGE_LABEL:
        if (is_name(c)) {
            add(p, c);
            return;
        }
        if (is_blank(c))
            return;
        p->n_label = p->is_cut ? 0 : p->n_text;
        memcpy(p->label, p->text, p->n_label);
        p->state = c == '=' ? HOLD_PAGE_EQUALS : HOLD_PAGE_REST;
        return;
    case HOLD_PAGE_EQUALS:
        if (c == '"')
            begin_text(p, HOLD_PAGE_VALUE);
        else if (!is_blank(c))
            p->state = HOLD_PAGE_REST;
        return;
    case HOLD_PAGE_VALUE:
        if (c == '"')
            label_ends(p);
        else if (c == '\\')
            p->state = HOLD_PAGE_ESCAPE;
        else
            add(p, c);
        return;
    case HOLD_PAGE_ESCAPE:
        add(p, c == 'n' ? '\n' : c);
        p->state = HOLD_PAGE_VALUE;
        return;
    case HOLD_PAGE_AFTER_VALUE:
        if (c == ',')
            p->state = HOLD_PAGE_LABELS;
        else if (c == '}')
            begin_text(p, HOLD_PAGE_GAP);
        else if (!is_blank(c))
            p->state = HOLD_PAGE_REST;
        return;
    case HOLD_PAGE_LINE:
    case HOLD_PAGE_NAME:
    case HOLD_PAGE_GAP:
    case HOLD_PAGE_NUMBER:
    case HOLD_PAGE_REST:
        return;
    }
}

static void take(struct hold_page *p, char c) {
    switch (p->state) {
    case HOLD_PAGE_LINE:
        if (is_name(c)) {
            begin_text(p, HOLD_PAGE_NAME);
            add(p, c);
        } else if (!is_blank(c)) {
            p->state = HOLD_PAGE_REST; /* a comment, or nothing that we know */
        }
        return;
    case HOLD_PAGE_NAME:
        if (is_name(c))
            add(p, c);
        else if (c == '{')
            name_ends(p, HOLD_PAGE_LABELS);
        else if (is_blank(c))
            name_ends(p, HOLD_PAGE_GAP);
        else
            p->state = HOLD_PAGE_REST;
        return;
    case HOLD_PAGE_GAP:
        if (c == '{')
            p->state = HOLD_PAGE_LABELS; /* "name {...}" */
        else if (!is_blank(c)) {
            begin_text(p, HOLD_PAGE_NUMBER);
            add(p, c);
        }
        return;
    case HOLD_PAGE_NUMBER:
        if (!is_blank(c)) {
            add(p, c);
            return;
        }
        number_ends(p); /* a timestamp or an exemplar may follow */
        p->state = HOLD_PAGE_REST;
        return;
    case HOLD_PAGE_REST:
        return;
    case HOLD_PAGE_LABELS:
    case HOLD_PAGE_LABEL:
    case HOLD_PAGE_EQUALS:
    case HOLD_PAGE_VALUE:
    case HOLD_PAGE_ESCAPE:
    case HOLD_PAGE_AFTER_VALUE:
        take_label(p, c);
        return;
    }
}

void hold_page_feed(struct hold_page *p, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p->state == HOLD_PAGE_REST) { /* most of a page */
            const char *end = memchr(bytes + i, '\n', n - i);
            if (!end)
                return;
            i = (size_t) (end - bytes);
        }
        if (bytes[i] != '\n') {
            take(p, bytes[i]);
            continue;
        }
        if (p->state == HOLD_PAGE_NUMBER)
            number_ends(p);
        p->state = HOLD_PAGE_LINE;
    }
}

void hold_page_seen(const struct hold_page *p, struct hold_counter_seen *ret) {
    size_t best = p->n_series ? p->series[0].set : 0;
    for (size_t set = HOLD_SERIES_SETS; set-- > 0;)
        if (p->has[set][0] && p->has[set][1])
            best = set;
    *ret = (struct hold_counter_seen) { .has_work = p->has[best][1], .has_moves = p->has[best][0], .work = p->sums[best][1], .moves = p->sums[best][0],
                                        .set = set_name(best) };
}

/* ---- the verdict ---- */

enum hold_counter_word hold_counter_judge(struct hold_counter *last, const struct hold_counter_seen *now) {
    const struct hold_counter before = *last;
    *last = (struct hold_counter) { .is_known = now->has_work && now->has_moves, .work = now->work, .moves = now->moves };
    if (!last->is_known)
        return HOLD_COUNTER_UNKNOWN;
    if (!(now->work > 0))
        return HOLD_COUNTER_IDLE;
    if (!before.is_known || !(before.work > 0))
        return HOLD_COUNTER_FRESH;
    return now->moves < before.moves || now->moves > before.moves ? HOLD_COUNTER_MOVES : HOLD_COUNTER_STANDS;
}

void hold_counter_say(enum hold_counter_word word, const struct hold_counter_seen *now, char *out, size_t out_bytes) {
    switch (word) {
    case HOLD_COUNTER_UNKNOWN:
        (void) snprintf(out, out_bytes, "the page has no series that %s", now->has_work ? "must move" : "tells what is pending");
        return;
    case HOLD_COUNTER_IDLE:
        (void) snprintf(out, out_bytes, "nothing pending, at %.17g", now->moves);
        return;
    case HOLD_COUNTER_FRESH:
    case HOLD_COUNTER_MOVES:
        (void) snprintf(out, out_bytes, "%.17g pending, moved to %.17g", now->work, now->moves);
        return;
    case HOLD_COUNTER_STANDS:
        (void) snprintf(out, out_bytes, "stalled: %.17g pending, but it stands at %.17g", now->work, now->moves);
        return;
    }
}
