/* s3.c - reading names, listings and credentials of S3. Floor: supervisor/job; no I/O in here. */
#include "supervisor/job/s3.h"

#include "base/name.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

int hold_s3_name_parse(const char *source, struct hold_s3_name *ret_name, struct hold_err *err) {
    struct hold_s3_name name = { 0 };
    const char *text = strncmp(source, "s3://", 5) == 0 ? source + 5 : source;
    size_t bucket_n = strcspn(text, "/"), inner = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    const char *prefix = text[bucket_n] ? text + bucket_n + 1 : "";
    size_t prefix_n = strlen(prefix);
    while (prefix_n && prefix[prefix_n - 1] == '/')
        prefix_n--;
    bool is_bucket = bucket_n >= 3 && bucket_n < sizeof name.bucket && inner >= bucket_n && text[0] != '.' && text[0] != '-' &&
                     text[bucket_n - 1] != '.' && text[bucket_n - 1] != '-' && !memmem(text, bucket_n, "..", 2);
    if (!is_bucket || prefix_n + 2 > sizeof name.prefix)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.200s' is not s3://bucket/prefix (a bucket has 3 to 63 of a-z, 0-9, '.', '-'; a prefix at most 1023 bytes)", source);
    memcpy(name.bucket, text, bucket_n);
    memcpy(name.prefix, prefix, prefix_n);
    if (prefix_n && !hold_name_is_safe(name.prefix))
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.200s': the prefix has an empty part, '.', '..' or a control character", source);
    if (prefix_n)
        name.prefix[prefix_n] = '/';
    *ret_name = name;
    return 0;
}

bool hold_s3_address(const struct hold_s3_name *name, const char *endpoint, const char *region, enum hold_s3_style style, char *out, size_t out_bytes) {
    char amazon[128];
    if (!*endpoint) {
        snprintf(amazon, sizeof amazon, "https://s3.%.60s.amazonaws.com%s", region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
        if (style == HOLD_S3_AUTO && !strchr(name->bucket, '.'))
            style = HOLD_S3_VIRTUAL;
        endpoint = amazon;
    }
    const char *host = strstr(endpoint, "://");
    host = host ? host + 3 : endpoint;
    int n = style == HOLD_S3_VIRTUAL ? snprintf(out, out_bytes, "%.*s%s.%s/", (int) (host - endpoint), endpoint, name->bucket, host)
                                     : snprintf(out, out_bytes, "%s/%s/", endpoint, name->bucket);
    return n > 0 && (size_t) n < out_bytes;
}

/* ---- listings ---- */

#define MAX_DEPTH 8

struct span {
    const char *at;
    size_t n;
};

struct listing {
    const char *prefix;
    struct hold_arena *arena;
    struct hold_manifest *manifest;
    bool *has_sha256;
    struct hold_err *err;
    char next[HOLD_S3_NEXT_BYTES];
    bool is_cut; /* IsTruncated */
    struct span open[MAX_DEPTH];
    size_t depth;
    const char *leaf; /* where the text of the innermost element began, while nothing else was in it */
    const char *key;
    uint64_t size;
    bool has_size, is_summed, is_composite;
};

static bool is_word(struct span s, const char *word) {
    return s.n == strlen(word) && memcmp(s.at, word, s.n) == 0;
}

static size_t put_utf8(uint64_t code, char *out) {
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    if (code < 0x80)
        return out[0] = (char) code, 1;
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6)
        out[i] = (char) (0x80 | (code & 0x3f));
    out[0] = (char) ((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | code);
    return n;
}

/* One entity at s.at, moved over; 0 when it is none of XML's own. */
static size_t take_entity(struct span *s, char *out) {
    static const struct { const char *name; char c; } named[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        size_t n = strlen(named[i].name);
        if (s->n >= n && memcmp(s->at, named[i].name, n) == 0) {
            *s = (struct span) { s->at + n, s->n - n };
            return out[0] = named[i].c, 1;
        }
    }
    const char *end = memchr(s->at, ';', s->n < 12 ? s->n : 12);
    if (!end || end - s->at < 3 || s->at[1] != '#')
        return 0;
    bool is_hex = s->at[2] == 'x';
    uint64_t code = 0;
    for (const char *c = s->at + 2 + is_hex; c < end; c++) {
        int digit = *c >= '0' && *c <= '9' ? *c - '0' : is_hex && (*c | 32) >= 'a' && (*c | 32) <= 'f' ? (*c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return 0;
        code = code * (is_hex ? 16 : 10) + (uint64_t) digit;
    }
    s->n -= (size_t) (end + 1 - s->at);
    s->at = end + 1;
    return put_utf8(code, out);
}

/* The characters of an element's text into out; never longer than the text. */
static bool decode(struct span s, char *out) {
    while (s.n) {
        if (*s.at != '&') {
            *out++ = *s.at++;
            s.n--;
            continue;
        }
        size_t n = take_entity(&s, out);
        if (n == 0)
            return false;
        out += n;
    }
    *out = '\0';
    return true;
}

static int take_leaf(struct listing *l, struct span name, struct span text) {
    bool in_object = l->depth == 3 && is_word(l->open[1], "Contents");
    char *value = hold_arena_array(l->arena, text.n + 1, 1);
    if (!value)
        return hold_fail(l->err, HOLD_E_LIMIT, 0, "no memory for the listing");
    if (!decode(text, value))
        return hold_fail(l->err, HOLD_E_FORMAT, 0, "listing: '%.60s' has an entity that XML does not define", value);
    if (l->depth == 2 && is_word(name, "IsTruncated"))
        l->is_cut = strcmp(value, "true") == 0;
    else if (l->depth == 2 && is_word(name, "NextContinuationToken") && strlen(value) < sizeof l->next)
        memcpy(l->next, value, strlen(value) + 1);
    else if (in_object && is_word(name, "Key"))
        l->key = value;
    else if (in_object && is_word(name, "Size"))
        l->has_size = hold_parse_u64(value, 0, HOLD_MANIFEST_MAX_FILE_BYTES, &l->size, NULL) == 0;
    else if (in_object && is_word(name, "ChecksumAlgorithm"))
        l->is_summed |= strcmp(value, "SHA256") == 0;
    else if (in_object && is_word(name, "ChecksumType"))
        l->is_composite = strcmp(value, "COMPOSITE") == 0;
    return 0;
}

static int take_object(struct listing *l) {
    size_t prefix_n = strlen(l->prefix);
    const char *key = l->key;
    if (!key || !l->has_size)
        return hold_fail(l->err, HOLD_E_FORMAT, 0, "listing: an object '%.120s' has no key or no size", key ? key : "");
    if (strncmp(key, l->prefix, prefix_n) != 0)
        return hold_fail(l->err, HOLD_E_FORMAT, 0, "listing: '%.120s' does not begin with the prefix asked for", key);
    key += prefix_n;
    size_t n = strlen(key);
    if (n && key[n - 1] != '/') {
        const struct hold_manifest_file file = { .path = key, .size = l->size };
        if (hold_manifest_add(l->manifest, l->arena, &file, l->err) < 0)
            return hold_wrap(l->err, "listing");
        l->has_sha256[l->manifest->n_files - 1] = l->is_summed && !l->is_composite;
    }
    l->key = NULL;
    l->has_size = l->is_summed = l->is_composite = false;
    return 0;
}

/* tag: between '<' and '>', both left out. */
static int take_tag(struct listing *l, struct span tag, const char *after) {
    if (tag.n && (tag.at[0] == '?' || (tag.n >= 5 && memcmp(tag.at, "!--", 3) == 0 && memcmp(tag.at + tag.n - 2, "--", 2) == 0)))
        return 0;
    bool is_close = tag.n && tag.at[0] == '/', is_empty = tag.n > 1 && tag.at[tag.n - 1] == '/';
    struct span name = { tag.at + is_close, tag.n - is_close - is_empty };
    for (size_t i = 0; i < name.n; i++)
        if (memchr(" \t\r\n", name.at[i], 4))
            name.n = i;
    if (name.n == 0 || name.at[0] == '!')
        return hold_fail(l->err, HOLD_E_FORMAT, 0, "listing: a tag that is no element (document types and CDATA are refused)");
    if (l->depth == 0 && !is_close && !is_word(name, "ListBucketResult"))
        return hold_fail(l->err, HOLD_E_FORMAT, 0, "listing: <%.*s> came instead of <ListBucketResult>", (int) (name.n < 40 ? name.n : 40), name.at);
    if (!is_close) {
        if (l->depth == MAX_DEPTH)
            return hold_fail(l->err, HOLD_E_LIMIT, 0, "listing: elements nest deeper than %d", MAX_DEPTH);
        l->leaf = is_empty ? NULL : after;
        if (!is_empty)
            l->open[l->depth++] = name;
        return 0;
    }
    if (l->depth == 0 || l->open[l->depth - 1].n != name.n || memcmp(l->open[l->depth - 1].at, name.at, name.n) != 0)
        return hold_fail(l->err, HOLD_E_FORMAT, 0, "listing: </%.*s> closes nothing", (int) (name.n < 40 ? name.n : 40), name.at);
    if (l->leaf && take_leaf(l, name, (struct span) { l->leaf, (size_t) (tag.at - 1 - l->leaf) }) < 0)
        return -1;
    l->leaf = NULL;
    l->depth--;
    return l->depth == 1 && is_word(name, "Contents") ? take_object(l) : 0;
}

int hold_s3_listing(const char *text, size_t n, const char *prefix, struct hold_arena *arena, struct hold_manifest *manifest,
                    bool *ret_has_sha256, char ret_next[HOLD_S3_NEXT_BYTES], struct hold_err *err) {
    struct listing l = { .prefix = prefix, .arena = arena, .manifest = manifest, .has_sha256 = ret_has_sha256, .err = err };
    bool was_open = false;
    if (memchr(text, '\0', n))
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: a zero byte");
    for (const char *at = text, *end = text + n; (at = memchr(at, '<', (size_t) (end - at)));) {
        const char *close = memchr(at, '>', (size_t) (end - at));
        if (!close)
            return hold_fail(err, HOLD_E_FORMAT, 0, "listing: it is cut inside a tag");
        if (take_tag(&l, (struct span) { at + 1, (size_t) (close - at - 1) }, close + 1) < 0)
            return -1;
        was_open |= l.depth > 0;
        at = close + 1;
    }
    if (!was_open || l.depth)
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: it is no whole ListBucketResult");
    if (l.is_cut && !l.next[0])
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: it goes on, but has no continuation token");
    memcpy(ret_next, l.is_cut ? l.next : "", l.is_cut ? sizeof l.next : 1);
    return 0;
}

/* ---- digests and credentials ---- */

bool hold_s3_checksum(const char *text, uint8_t ret_sha256[32]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t out[33];
    if (strlen(text) != 44 || text[43] != '=')
        return false;
    for (size_t group = 0; group < 11; group++) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            char c = text[4 * group + i];
            const char *at = c == '=' && group == 10 && i == 3 ? alphabet : strchr(alphabet, c);
            if (!at || c == '\0')
                return false;
            bits = bits << 6 | (uint32_t) (at - alphabet);
        }
        out[3 * group] = (uint8_t) (bits >> 16);
        out[3 * group + 1] = (uint8_t) (bits >> 8);
        out[3 * group + 2] = (uint8_t) bits;
    }
    if (out[32])
        return false;
    memcpy(ret_sha256, out, 32);
    return true;
}

static char *trim(char *text) {
    text += strspn(text, " \t\r");
    for (size_t n = strlen(text); n && strchr(" \t\r", text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}

bool hold_s3_profile_find(char *text, const char *profile, struct hold_s3_profile *ret_profile) {
    struct hold_s3_profile found = { "", "", "" };
    bool is_in = false, was_in = false;
    for (char *line; (line = strsep(&text, "\n"));) {
        line = trim(line);
        size_t n = strlen(line);
        if (line[0] == '[') {
            if (n > 1 && line[n - 1] == ']')
                line[n - 1] = '\0';
            is_in = strcmp(trim(line + 1), profile) == 0;
            was_in |= is_in;
            continue;
        }
        char *equals = strchr(line, '=');
        if (!is_in || !equals || line[0] == '#' || line[0] == ';')
            continue;
        *equals = '\0';
        const char *name = trim(line), *value = trim(equals + 1);
        if (strcmp(name, "aws_access_key_id") == 0)
            found.key = value;
        else if (strcmp(name, "aws_secret_access_key") == 0)
            found.secret = value;
        else if (strcmp(name, "aws_session_token") == 0)
            found.session = value;
    }
    if (was_in)
        *ret_profile = found;
    return was_in;
}
