/* pretok.c - the splitter of the GLM-4 / Llama 3 family, written by hand for its pattern. Floor: runtime/text, pure.
 *
 * The pattern's seven alternatives, in order; the first that matches wins:
 *   1  an apostrophe with s t re ve m ll d, in either case (the long s too, as case folding has it)
 *   2  at most one sign that is no letter, number or line end, then letters
 *   3  one to three numbers (one in the other variant)
 *   4  at most one blank, then signs that are neither space, letter nor number, then line ends
 *   5  white space up to its last line end
 *   6  white space that ends the text, or all of it but the last character
 *   7  white space */
#include "runtime/text/pretok.h"

#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

enum kind { OTHER, LETTER, NUMBER, SPACE };

static const struct {
    uint32_t first, last;
    enum kind kind;
} ranges[] = {
#include "runtime/text/unicode.inc"
};

static enum kind kind_of(uint32_t code) {
    if (code < 0x80) {
        if ((code | 0x20) >= 'a' && (code | 0x20) <= 'z')
            return LETTER;
        if (code >= '0' && code <= '9')
            return NUMBER;
        return code == ' ' || (code >= 9 && code <= 13) ? SPACE : OTHER;
    }
    size_t low = 0, high = sizeof ranges / sizeof *ranges;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (code > ranges[middle].last)
            low = middle + 1;
        else if (code < ranges[middle].first)
            high = middle;
        else
            return ranges[middle].kind;
    }
    return OTHER;
}

/* The character at `at`: its length in bytes, 0 at the end. Bytes that are not UTF-8 are OTHER, one by one. */
static size_t look(const char *text, size_t n, size_t at, enum kind *ret_kind) {
    if (at >= n)
        return 0;
    const unsigned char *s = (const unsigned char *) text + at;
    const size_t length = hold_utf8_length(s, n - at);
    *ret_kind = length == 0 ? OTHER : kind_of(hold_utf8_decode(s, length));
    return length == 0 ? 1 : length;
}

static size_t skip(const char *text, size_t n, size_t at, enum kind kind) {
    enum kind found;
    size_t length;
    while ((length = look(text, n, at, &found)) > 0 && found == kind)
        at += length;
    return at;
}

static bool is_line_end(char c) {
    return c == '\r' || c == '\n';
}

static size_t contraction(const char *text, size_t n) {
    if (n < 2 || text[0] != '\'')
        return 0;
    const char a = (char) (text[1] | 0x20);
    if (n >= 3) {
        const char b = (char) (text[2] | 0x20);
        if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
            return 3;
        if (memcmp(text + 1, "\xC5\xBF", 2) == 0) /* U+017F, the long s */
            return 3;
    }
    return a == 's' || a == 't' || a == 'm' || a == 'd' ? 2 : 0;
}

static size_t spaces(const char *text, size_t n) {
    size_t end = 0, last = 0, after_line_end = 0;
    enum kind kind;
    size_t length;
    while ((length = look(text, n, end, &kind)) > 0 && kind == SPACE) {
        last = end;
        end += length;
        if (is_line_end(text[last]))
            after_line_end = end;
    }
    if (after_line_end)
        return after_line_end;
    return end == n || last == 0 ? end : last;
}

bool hold_pretok_is_space(const char *text, size_t n, size_t *ret_length) {
    enum kind kind = OTHER;
    *ret_length = look(text, n, 0, &kind);
    return kind == SPACE;
}

size_t hold_pretok_next(enum hold_pretok splitter, const char *text, size_t n) {
    if (n == 0)
        return 0;
    size_t end = contraction(text, n);
    if (end)
        return end;
    enum kind first, second = OTHER;
    const size_t length = look(text, n, 0, &first);
    const bool has_second = look(text, n, length, &second) > 0;
    if (first == LETTER)
        return skip(text, n, length, LETTER);
    if (first != NUMBER && !is_line_end(text[0]) && has_second && second == LETTER)
        return skip(text, n, length, LETTER);
    if (first == NUMBER) {
        end = length;
        enum kind kind;
        for (int digits = splitter == HOLD_PRETOK_DIGITS3 ? 2 : 0; digits > 0; digits--) {
            const size_t more = look(text, n, end, &kind);
            if (more == 0 || kind != NUMBER)
                break;
            end += more;
        }
        return end;
    }
    if (first == OTHER || (text[0] == ' ' && has_second && second == OTHER)) {
        end = skip(text, n, length, OTHER);
        while (end < n && is_line_end(text[end]))
            end++;
        return end;
    }
    return spaces(text, n);
}

bool hold_pretok_find(const char *pattern, enum hold_pretok *ret) {
#define BEFORE "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
#define AFTER "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    if (strcmp(pattern, BEFORE "{1,3}" AFTER) == 0)
        *ret = HOLD_PRETOK_DIGITS3;
    else if (strcmp(pattern, BEFORE AFTER) == 0)
        *ret = HOLD_PRETOK_DIGITS1;
    else
        return false;
    return true;
#undef BEFORE
#undef AFTER
}
