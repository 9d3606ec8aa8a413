/* json_scan.c - strict JSON within bounds, before a tree is built of it. Floor: base.
 *
 * cJSON takes raw control bytes, invalid UTF-8 and "\u0000" (after which two readers see different strings), and builds
 * 64 bytes of tree for each byte of "1,1,1": so the text is proven first and counted. */
#include "base/json_scan.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct scan {
    const char *text, *what;
    size_t n, at;
    size_t n_tokens, max_tokens;
    struct hold_err *err;
};

static int bad(struct scan *s, const char *why) {
    return hold_fail(s->err, HOLD_E_FORMAT, 0, "%s: %s at byte %zu", s->what, why, s->at);
}

static void skip_blanks(struct scan *s) {
    while (s->at < s->n && (s->text[s->at] == ' ' || s->text[s->at] == '\n' || s->text[s->at] == '\t' || s->text[s->at] == '\r'))
        s->at++;
}

static int count_token(struct scan *s) {
    if (++s->n_tokens > s->max_tokens)
        return hold_fail(s->err, HOLD_E_LIMIT, 0, "%s: more than %zu values and keys at byte %zu", s->what, s->max_tokens, s->at);
    return 0;
}

/* Four hexadecimal digits at `at`, or -1. */
static int32_t hex4(const struct scan *s, size_t at) {
    int32_t code = 0;
    if (s->n - at < 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        char c = s->text[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

static int scan_escape(struct scan *s) {
    char c = s->at + 1 < s->n ? s->text[s->at + 1] : '\0';
    if (c != 'u') {
        if (c == '\0' || !strchr("\"\\/bfnrt", c))
            return bad(s, "unknown escape");
        s->at += 2;
        return 0;
    }
    int32_t code = hex4(s, s->at + 2);
    if (code < 0)
        return bad(s, "\\u without four hexadecimal digits");
    if (code == 0)
        return bad(s, "\\u0000 is not allowed");
    s->at += 6;
    if (code < 0xd800 || code > 0xdfff)
        return 0;
    if (code > 0xdbff || s->n - s->at < 6 || s->text[s->at] != '\\' || s->text[s->at + 1] != 'u')
        return bad(s, "lone surrogate");
    int32_t low = hex4(s, s->at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return bad(s, "lone surrogate");
    s->at += 6;
    return 0;
}

static int scan_string(struct scan *s) {
    for (s->at++; s->at < s->n;) {
        unsigned char c = (unsigned char) s->text[s->at];
        if (c == '"') {
            s->at++;
            return 0;
        }
        if (c == '\\') {
            if (scan_escape(s) < 0)
                return -1;
            continue;
        }
        if (c < 0x20)
            return bad(s, "raw control byte in a string");
        size_t length = hold_utf8_length((const unsigned char *) s->text + s->at, s->n - s->at);
        if (length == 0)
            return bad(s, "invalid UTF-8");
        s->at += length;
    }
    return bad(s, "string without an end");
}

static bool digits(struct scan *s) {
    size_t begin = s->at;
    while (s->at < s->n && s->text[s->at] >= '0' && s->text[s->at] <= '9')
        s->at++;
    return s->at > begin;
}

static int scan_number(struct scan *s) {
    size_t begin = s->at;
    if (s->text[s->at] == '-')
        s->at++;
    size_t first = s->at;
    if (!digits(s) || (s->text[first] == '0' && s->at - first > 1))
        return bad(s, "malformed number");
    if (s->at < s->n && s->text[s->at] == '.') {
        s->at++;
        if (!digits(s))
            return bad(s, "malformed number");
    }
    if (s->at < s->n && (s->text[s->at] == 'e' || s->text[s->at] == 'E')) {
        s->at++;
        if (s->at < s->n && (s->text[s->at] == '+' || s->text[s->at] == '-'))
            s->at++;
        if (!digits(s))
            return bad(s, "malformed number");
    }
    return s->at - begin > 60 ? bad(s, "number of more than 60 characters") : 0;
}

static int scan_scalar(struct scan *s) {
    static const char *const words[] = { "true", "false", "null" };
    char c = s->text[s->at];
    if (c == '"')
        return scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if (s->n - s->at >= n && memcmp(s->text + s->at, words[i], n) == 0) {
            s->at += n;
            return 0;
        }
    }
    return bad(s, "not a value");
}

/* A key and its colon; the cursor stands on the opening quote. */
static int scan_key(struct scan *s) {
    if (s->at >= s->n || s->text[s->at] != '"')
        return bad(s, "a key was expected");
    if (count_token(s) < 0 || scan_string(s) < 0)
        return -1;
    skip_blanks(s);
    if (s->at >= s->n || s->text[s->at] != ':')
        return bad(s, "':' was expected");
    s->at++;
    skip_blanks(s);
    return 0;
}

int hold_json_scan(const char *text, size_t n, const char *what, size_t max_depth, size_t max_tokens, struct hold_err *err) {
    struct scan s = { .text = text, .what = what, .n = n, .max_tokens = max_tokens, .err = err };
    uint64_t is_object = 0; /* one bit a level */
    size_t depth = 0;
    bool want_value = true, may_close = false;
    skip_blanks(&s);
    for (;;) {
        if (want_value && !(may_close && s.at < n && (text[s.at] == ']' || text[s.at] == '}'))) {
            if (depth && (is_object >> (depth - 1) & 1) && scan_key(&s) < 0)
                return -1;
            if (s.at >= n)
                return bad(&s, "the text ends too early");
            if (count_token(&s) < 0)
                return -1;
            may_close = text[s.at] == '{' || text[s.at] == '[';
            if (may_close) {
                if (depth == max_depth || depth == 64)
                    return hold_fail(err, HOLD_E_LIMIT, 0, "%s: more than %zu levels deep at byte %zu", what, max_depth, s.at);
                is_object = (is_object & ~(UINT64_C(1) << depth)) | (uint64_t) (text[s.at] == '{') << depth;
                depth++;
                s.at++;
                skip_blanks(&s);
                continue;
            }
            if (scan_scalar(&s) < 0)
                return -1;
        } else {
            char close = (is_object >> (depth - 1) & 1) ? '}' : ']';
            if (text[s.at] != close)
                return bad(&s, "the wrong bracket");
            s.at++;
            depth--;
        }
        skip_blanks(&s);
        if (depth == 0)
            return s.at == n ? 0 : bad(&s, "text after the value");
        if (s.at >= n)
            return bad(&s, "the text ends too early");
        want_value = text[s.at] == ',';
        may_close = false;
        if (want_value) {
            s.at++;
            skip_blanks(&s);
        } else if (text[s.at] != ']' && text[s.at] != '}') {
            return bad(&s, "',' or a closing bracket was expected");
        }
    }
}
