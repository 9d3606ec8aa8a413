/* tries.c - failure classes of fetching and what follows from each. Floor: supervisor/policy, pure. */
#include "supervisor/policy/tries.h"

#include "base/exit.h"
#include "base/list.h"
#include "base/utf8.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    bool retry, restart;
    int status;
} classes[HOLD_TRY_COUNT] = {
#define X(id, again, zero, exit_id) [HOLD_TRY_##id] = { #id, again, zero, HOLD_EXIT_##exit_id },
    HOLD_TRY_LIST(X)
#undef X
};

const char *hold_try_name(enum hold_try_end end) {
    return (size_t) end < HOLD_TRY_COUNT ? classes[end].name : "?";
}

int hold_try_status(enum hold_try_end end) {
    return (size_t) end < HOLD_TRY_COUNT ? classes[end].status : HOLD_EXIT_INTERNAL;
}

enum hold_try_end hold_try_of_http(long http_status, bool was_redirected) {
    if (http_status == 403 && was_redirected)
        return HOLD_TRY_EXPIRED;
    if (http_status == 401 || http_status == 403 || http_status == 451)
        return HOLD_TRY_DENIED;
    if (http_status == 407)
        return HOLD_TRY_PROXY;
    if (http_status == 404 || http_status == 410)
        return HOLD_TRY_MISSING;
    if (http_status == 416)
        return HOLD_TRY_RANGE;
    if (http_status == 429)
        return HOLD_TRY_BUSY;
    if (http_status == 408 || http_status == 425 || (http_status >= 500 && http_status <= 599))
        return HOLD_TRY_SERVER;
    return HOLD_TRY_REFUSED;
}

static uint64_t backoff_ms(const struct hold_tries *tries, uint32_t random) {
    uint64_t whole = tries->first_ms;
    for (uint32_t i = 1; i < tries->in_row && whole < tries->max_ms; i++)
        whole *= 2;
    whole = HOLD_MIN(whole, tries->max_ms);
    uint64_t half = whole / 2;
    return half + ((whole - half) * random >> 32);
}

struct hold_try_next hold_tries_fold(struct hold_tries *tries, enum hold_try_end end, uint64_t reached, uint64_t retry_after_ms, uint32_t random) {
    uint64_t brought = reached > tries->furthest ? reached - tries->furthest : 0;
    tries->furthest += brought;
    tries->n_tries++;
    tries->in_row = brought >= HOLD_TRY_PROGRESS_BYTES ? 0 : tries->in_row + 1;
    if ((size_t) end >= HOLD_TRY_COUNT || !classes[end].retry || tries->in_row >= tries->max_in_row)
        return (struct hold_try_next) { .again = false };
    struct hold_try_next next = { .again = true, .from_zero = classes[end].restart };
    /* A try that brought something shows a living server: come back at once, less one short pause. */
    next.delay_ms = tries->in_row ? backoff_ms(tries, random) : HOLD_MIN(tries->first_ms, UINT64_C(100));
    if (retry_after_ms)
        next.delay_ms = HOLD_MAX(next.delay_ms, HOLD_MIN(retry_after_ms, tries->max_retry_after_ms));
    return next;
}

/* Decimal digits at *at, at most 18, moved over. */
static bool take_number(const char **at, uint64_t *ret) {
    uint64_t value = 0;
    int n = 0;
    for (; **at >= '0' && **at <= '9' && n < 18; n++, (*at)++)
        value = value * 10 + (uint64_t) (**at - '0');
    *ret = value;
    return n > 0;
}

bool hold_content_range(const char *text, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_total) {
    uint64_t first, last, total = UINT64_MAX;
    if (strncmp(text, "bytes ", 6) != 0)
        return false;
    const char *at = text + 6;
    if (!take_number(&at, &first) || *at++ != '-' || !take_number(&at, &last) || *at++ != '/')
        return false;
    if (*at == '*')
        at++;
    else if (!take_number(&at, &total))
        return false;
    if (*at != '\0' || last < first || last >= total)
        return false;
    *ret_first = first;
    *ret_last = last;
    *ret_total = total;
    return true;
}

/* One of the words between blanks is "next". */
static bool has_word_next(const char *text, size_t n) {
    for (size_t at = 0; at < n;) {
        size_t length = 0;
        while (at + length < n && text[at + length] != ' ')
            length++;
        if (length == 4 && strncasecmp(text + at, "next", 4) == 0)
            return true;
        at += length + 1;
    }
    return false;
}

/* The parameters of one link, moved over up to its comma. */
static bool take_rel_next(const char **at) {
    bool is_next = false;
    while (**at && **at != ',') {
        size_t name_n = strcspn(*at, "=;, \t\"");
        const char *value = *at + name_n + 1;
        bool is_rel = name_n == 3 && strncasecmp(*at, "rel", 3) == 0 && (*at)[3] == '=';
        if (name_n == 0 || (*at)[name_n] != '=') {
            *at += name_n + ((*at)[name_n] != '\0' && (*at)[name_n] != ',');
            continue;
        }
        bool is_quoted = *value == '"';
        size_t n = strcspn(value + is_quoted, is_quoted ? "\"" : ";, \t");
        is_next |= is_rel && has_word_next(value + is_quoted, n);
        *at = value + is_quoted + n;
        *at += is_quoted && **at == '"';
    }
    return is_next;
}

bool hold_link_next(const char *text, char *out, size_t out_bytes) {
    for (const char *open = strchr(text, '<'), *close; open && (close = strchr(open, '>')); open = strchr(close, '<')) {
        size_t n = (size_t) (close - open) - 1;
        close++;
        if (!take_rel_next(&close))
            continue;
        if (n == 0 || n >= out_bytes)
            return false;
        memcpy(out, open + 1, n);
        out[n] = '\0';
        return true;
    }
    return false;
}

static bool begins_with(const uint8_t *bytes, size_t n, const char *word) {
    size_t i = 0;
    for (; word[i]; i++) {
        if (i >= n)
            return false;
        uint8_t c = bytes[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t) (c + 32);
        if (c != (uint8_t) word[i])
            return false;
    }
    return true;
}

bool hold_looks_like_page(const uint8_t *bytes, size_t n) {
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
        bytes += 3, n -= 3;
    while (n && (*bytes == ' ' || *bytes == '\t' || *bytes == '\r' || *bytes == '\n'))
        bytes++, n--;
    return begins_with(bytes, n, "<!doctype html") || begins_with(bytes, n, "<html");
}

bool hold_looks_like_pointer(const uint8_t *bytes, size_t n) {
    return begins_with(bytes, n, "version https://git-lfs.github.com/spec/");
}

enum hold_try_end hold_try_of_write(int exit_status) {
    static const enum hold_try_end ends[] = { HOLD_TRY_SPACE, HOLD_TRY_QUOTA, HOLD_TRY_READONLY, HOLD_TRY_INTERNAL };
    for (size_t i = 0; i < HOLD_COUNT_OF(ends); i++)
        if (classes[ends[i]].status == exit_status)
            return ends[i];
    return HOLD_TRY_WRITE;
}

/* Appends what lies between begin and the byte end, whole characters only; a control character becomes a blank. */
static size_t copy_text(const uint8_t *from, size_t n, uint8_t end, char *out, size_t at, size_t out_bytes) {
    for (size_t i = 0; i < n && from[i] != end;) {
        bool is_escape = from[i] == '\\' && end == '"';
        size_t length = is_escape ? 2 : hold_utf8_length(from + i, n - i);
        if (at + HOLD_MAX(length, (size_t) 1) >= out_bytes)
            break;
        if (is_escape || length == 0 || from[i] < ' ' || from[i] == 127)
            out[at++] = ' ';
        else
            for (size_t k = 0; k < length; k++)
                out[at++] = (char) from[i + k];
        i += HOLD_MAX(length, (size_t) 1);
    }
    out[at] = '\0';
    return at;
}

static size_t copy_after(const uint8_t *bytes, size_t n, const char *mark, uint8_t end, char *out, size_t at, size_t out_bytes) {
    const uint8_t *found = memmem(bytes, n, mark, strlen(mark));
    if (!found)
        return at;
    found += strlen(mark);
    return copy_text(found, n - (size_t) (found - bytes), end, out, at, out_bytes);
}

void hold_error_sentence(const uint8_t *bytes, size_t n, char *out, size_t out_bytes) {
    static const char *const keys[] = { "\"Message\":\"", "\"Message\": \"", "\"message\":\"", "\"message\": \"", "\"error\":\"", "\"error\": \"" };
    out[0] = '\0';
    size_t at = copy_after(bytes, n, "<Code>", '<', out, 0, out_bytes);
    if (at && at + 3 < out_bytes && memmem(bytes, n, "<Message>", 9)) {
        memcpy(out + at, ": ", 3);
        at += 2;
    }
    at = copy_after(bytes, n, "<Message>", '<', out, at, out_bytes);
    for (size_t i = 0; at == 0 && i < HOLD_COUNT_OF(keys); i++)
        at = copy_after(bytes, n, keys[i], '"', out, 0, out_bytes);
}
