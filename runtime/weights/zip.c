/* zip.c - the directory of a zip archive of stored entries. Floor: runtime/weights, pure. */
#include "runtime/weights/zip.h"

#include "base/name.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL_BYTES = 30, CENTRAL_BYTES = 46, END_BYTES = 22, END64_BYTES = 56, LOCATOR_BYTES = 20 };
enum { FLAG_ENCRYPTED = 1 << 0, FLAG_DESCRIPTOR = 1 << 3, FLAG_UTF8 = 1 << 11, FLAGS_KNOWN = FLAG_DESCRIPTOR | FLAG_UTF8 | 1 << 1 | 1 << 2 };

static uint64_t le(const uint8_t *b, size_t n) {
    uint64_t v = 0;
    while (n--)
        v = v << 8 | b[n];
    return v;
}

/* What the ends of the file say about the central directory. */
struct central {
    uint64_t at, bytes, n_entries;
};

/* One record of the central directory. */
struct record {
    const uint8_t *name;
    size_t name_n;
    uint32_t flags;
    uint64_t crc, bytes, begin;
};

bool hold_zip_begins(const void *bytes, size_t n) {
    return n >= 4 && (memcmp(bytes, "PK\x03\x04", 4) == 0 || memcmp(bytes, "PK\x05\x06", 4) == 0);
}

static int end64_read(const uint8_t *b, uint64_t end_at, const char *what, struct central *ret, struct hold_err *err) {
    const uint8_t *locator = b + end_at - LOCATOR_BYTES;
    const uint64_t at = le(locator + 8, 8);
    if (le(locator + 4, 4) != 0 || le(locator + 16, 4) > 1)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip is spread over several disks", what);
    if (end_at < LOCATOR_BYTES + END64_BYTES || at > end_at - LOCATOR_BYTES - END64_BYTES || memcmp(b + at, "PK\x06\x06", 4) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's 64-bit end record is not where its locator points", what);
    const uint8_t *end = b + at;
    if (le(end + 4, 8) != end_at - LOCATOR_BYTES - at - 12)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's 64-bit end record does not end at its locator", what);
    if (le(end + 16, 4) != 0 || le(end + 20, 4) != 0 || le(end + 24, 8) != le(end + 32, 8))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip is spread over several disks", what);
    *ret = (struct central) { .n_entries = le(end + 32, 8), .bytes = le(end + 40, 8), .at = le(end + 48, 8) };
    if (ret->at > at || ret->bytes != at - ret->at)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's central directory [%" PRIu64 ", +%" PRIu64 "] does not end at its end record", what, ret->at, ret->bytes);
    return 0;
}

/* A field of the short end record says the same as the long one, or stands at its maximum. */
static bool agrees(uint64_t small, uint64_t large, uint64_t most) {
    return small == large || (small == most && large >= small) || small == most;
}

static int end_read(const uint8_t *b, size_t n, const char *what, struct central *ret, struct hold_err *err) {
    if (n < END_BYTES || memcmp(b + n - END_BYTES, "PK\x05\x06", 4) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: cut short, or more follows: the file does not end with a zip's end record", what);
    const uint64_t end_at = n - END_BYTES;
    const uint8_t *end = b + end_at;
    if (le(end + 20, 2) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's end record speaks of a comment that is not there", what);
    if (le(end + 4, 2) != 0 || le(end + 6, 2) != 0 || le(end + 8, 2) != le(end + 10, 2))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip is spread over several disks", what);
    const struct central small = { .n_entries = le(end + 10, 2), .bytes = le(end + 12, 4), .at = le(end + 16, 4) };
    if (end_at >= LOCATOR_BYTES && memcmp(b + end_at - LOCATOR_BYTES, "PK\x06\x07", 4) == 0) {
        struct central large = { 0 };
        if (end64_read(b, end_at, what, &large, err) < 0)
            return -1;
        if (!agrees(small.n_entries, large.n_entries, UINT16_MAX) || !agrees(small.bytes, large.bytes, UINT32_MAX) || !agrees(small.at, large.at, UINT32_MAX))
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's two end records contradict each other", what);
        *ret = large;
        return 0;
    }
    if (small.at > end_at || small.bytes != end_at - small.at)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's central directory [%" PRIu64 ", +%" PRIu64 "] does not end at its end record", what, small.at, small.bytes);
    *ret = small;
    return 0;
}

/* The 64-bit values of an extra field: those of the three that stand at their maximum, in this order. */
static bool extra64_read(const uint8_t *extra, size_t n, uint64_t *bytes, uint64_t *packed, uint64_t *begin) {
    for (size_t at = 0; at + 4 <= n;) {
        const size_t field = (size_t) le(extra + at + 2, 2);
        if (field > n - at - 4)
            return false;
        if (le(extra + at, 2) == 1) {
            const uint8_t *v = extra + at + 4;
            size_t left = field;
            uint64_t *const wanted[] = { bytes, packed, begin };
            for (size_t i = 0; i < 3; i++) {
                if (!wanted[i] || *wanted[i] != UINT32_MAX)
                    continue;
                if (left < 8)
                    return false;
                *wanted[i] = le(v, 8);
                v += 8;
                left -= 8;
            }
            return true;
        }
        at += 4 + field;
    }
    return *bytes != UINT32_MAX && *packed != UINT32_MAX && (!begin || *begin != UINT32_MAX);
}

/* What no entry of a checkpoint is, told with its name. */
static int kind_check(const struct record *r, uint64_t method, uint64_t packed, const char *what, struct hold_err *err) {
    const int shown = r->name_n < 120 ? (int) r->name_n : 120;
    if (r->flags & FLAG_ENCRYPTED)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.*s' is encrypted", what, shown, (const char *) r->name);
    if (method != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.*s' is compressed (method %" PRIu64 "), only stored ones are read", what, shown, (const char *) r->name, method);
    if (r->flags & ~(uint32_t) FLAGS_KNOWN)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.*s' has the flags %#x, which are not known here", what, shown, (const char *) r->name, r->flags);
    if (packed != r->bytes)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.*s' is stored in %" PRIu64 " bytes but %" PRIu64 " long", what, shown, (const char *) r->name, packed, r->bytes);
    return 0;
}

/* One record at *at, which moves on. */
static int record_read(const uint8_t *b, uint64_t *at, uint64_t end, const char *what, struct record *ret, struct hold_err *err) {
    const uint8_t *c = b + *at;
    if (end - *at < CENTRAL_BYTES || memcmp(c, "PK\x01\x02", 4) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's central directory is broken at byte %" PRIu64, what, *at);
    const uint64_t name_n = le(c + 28, 2), extra_n = le(c + 30, 2), comment_n = le(c + 32, 2);
    if (end - *at - CENTRAL_BYTES < name_n + extra_n + comment_n)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's central directory is broken at byte %" PRIu64, what, *at);
    uint64_t packed = le(c + 20, 4);
    *ret = (struct record) { .name = c + CENTRAL_BYTES, .name_n = (size_t) name_n, .flags = (uint32_t) le(c + 8, 2), .crc = le(c + 16, 4), .bytes = le(c + 24, 4), .begin = le(c + 42, 4) };
    if (le(c + 34, 2) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip is spread over several disks", what);
    if (!extra64_read(c + CENTRAL_BYTES + name_n, (size_t) extra_n, &ret->bytes, &packed, &ret->begin))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: an extra field of the zip's central directory is broken at byte %" PRIu64, what, *at);
    *at += CENTRAL_BYTES + name_n + extra_n + comment_n;
    return kind_check(ret, le(c + 10, 2), packed, what, err);
}

static int name_read(const struct record *r, const char *what, struct hold_arena *arena, const char **ret_name, struct hold_err *err) {
    if (r->name_n == 0 || r->name_n > HOLD_ZIP_MAX_NAME || memchr(r->name, 0, r->name_n))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: an entry's name has %zu bytes or a zero in it, 1 to %u are allowed", what, r->name_n, HOLD_ZIP_MAX_NAME);
    const char *name = hold_arena_copy(arena, (const char *) r->name, r->name_n);
    if (!name)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for the zip's directory", what);
    if (!hold_name_is_safe(name))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.120s' could leave its folder", what, name);
    *ret_name = name;
    return 0;
}

/* The local header says the same; where the data lies. */
static int local_read(const uint8_t *b, uint64_t before, const struct record *r, const char *what, struct hold_zip_entry *entry, struct hold_err *err) {
    if (r->begin > before || before - r->begin < LOCAL_BYTES || memcmp(b + r->begin, "PK\x03\x04", 4) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.120s' has no local header at byte %" PRIu64, what, entry->name, r->begin);
    const uint8_t *l = b + r->begin;
    const uint64_t name_n = le(l + 26, 2), extra_n = le(l + 28, 2), room = before - r->begin - LOCAL_BYTES;
    if (room < name_n + extra_n)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: cut short: entry '%.120s' has a broken local header", what, entry->name);
    uint64_t bytes = le(l + 22, 4), packed = le(l + 18, 4);
    if (!extra64_read(l + LOCAL_BYTES + name_n, (size_t) extra_n, &bytes, &packed, NULL))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.120s' has a broken local header", what, entry->name);
    const bool is_later = r->flags & FLAG_DESCRIPTOR; /* sizes and CRC follow the data */
    bool agree = name_n == r->name_n && memcmp(l + LOCAL_BYTES, r->name, r->name_n) == 0 && le(l + 6, 2) == r->flags && le(l + 8, 2) == 0;
    agree = agree && (is_later ? (bytes == 0 || bytes == r->bytes) && (packed == 0 || packed == r->bytes)
                               : bytes == r->bytes && packed == r->bytes && le(l + 14, 4) == r->crc);
    if (!agree)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.120s': local header and central directory contradict each other", what, entry->name);
    if (r->bytes > room - name_n - extra_n)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: cut short: entry '%.120s' passes the end of the data", what, entry->name);
    entry->begin = r->begin;
    entry->offset = r->begin + LOCAL_BYTES + name_n + extra_n;
    entry->bytes = r->bytes;
    return 0;
}

static int by_begin(const void *a, const void *b) {
    const struct hold_zip_entry *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct hold_zip_entry *) a)->name, ((const struct hold_zip_entry *) b)->name);
}

/* Bytes of the descriptor that follows an entry's data, which ends at `end`; 0: none of any form fits the gap. */
static uint64_t descriptor_bytes(const uint8_t *b, const struct hold_zip_entry *e, uint64_t gap) {
    const uint8_t *d = b + e->offset + e->bytes;
    const uint64_t mark = gap == 16 || gap == 24 ? 4 : 0, word = gap >= 20 ? 8 : 4;
    if (gap != 12 && gap != 16 && gap != 20 && gap != 24)
        return 0;
    if (mark && memcmp(d, "PK\x07\x08", 4) != 0)
        return 0;
    return le(d + mark + 4, word) == e->bytes && le(d + mark + 4 + word, word) == e->bytes ? gap : 0;
}

static int cover_check(const uint8_t *b, const struct hold_zip_entry *e, size_t n, uint64_t end, const char *what, struct hold_err *err) {
    if (n && e[0].begin != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: %" PRIu64 " bytes before the first entry belong to nothing", what, e[0].begin);
    for (size_t i = 0; i < n; i++) {
        const uint64_t stop = e[i].offset + e[i].bytes, next = i + 1 < n ? e[i + 1].begin : end;
        if (next < stop)
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.120s' overlaps '%.120s'", what, e[i].name, i + 1 < n ? e[i + 1].name : "the central directory");
        const bool has_descriptor = le(b + e[i].begin + 6, 2) & FLAG_DESCRIPTOR;
        if (has_descriptor ? descriptor_bytes(b, &e[i], next - stop) == 0 : next != stop)
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: %" PRIu64 " bytes behind entry '%.120s' are %s", what, next - stop, e[i].name,
                             has_descriptor ? "not its data descriptor" : "no entry's");
    }
    return 0;
}

int hold_zip_parse(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_zip *ret_zip, struct hold_err *err) {
    const uint8_t *b = bytes;
    struct central central = { 0 };
    if (end_read(b, n, what, &central, err) < 0)
        return -1;
    if (central.n_entries > HOLD_ZIP_MAX_ENTRIES || central.n_entries > central.bytes / CENTRAL_BYTES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: %" PRIu64 " zip entries in %" PRIu64 " bytes of directory; the limit is %u", what, central.n_entries, central.bytes,
                         HOLD_ZIP_MAX_ENTRIES);
    const size_t count = (size_t) central.n_entries;
    struct hold_zip_entry *entries = hold_arena_array(arena, count, sizeof *entries);
    if (!entries)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for a directory of %zu entries", what, count);
    uint64_t at = central.at;
    for (size_t i = 0; i < count; i++) {
        struct record r;
        if (record_read(b, &at, central.at + central.bytes, what, &r, err) < 0 || name_read(&r, what, arena, &entries[i].name, err) < 0 ||
            local_read(b, central.at, &r, what, &entries[i], err) < 0)
            return -1;
    }
    if (at != central.at + central.bytes)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the zip's central directory has more than its %zu entries", what, count);
    qsort(entries, count, sizeof *entries, by_begin);
    if (cover_check(b, entries, count, central.at, what, err) < 0)
        return -1;
    qsort(entries, count, sizeof *entries, by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(entries[i - 1].name, entries[i].name) == 0)
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: entry '%.120s' is there twice", what, entries[i].name);
    *ret_zip = (struct hold_zip) { .entries = entries, .n_entries = count };
    return 0;
}

const struct hold_zip_entry *hold_zip_find(const struct hold_zip *zip, const char *name) {
    const struct hold_zip_entry key = { .name = name };
    return zip->n_entries ? bsearch(&key, zip->entries, zip->n_entries, sizeof key, by_name) : NULL;
}
