/* hpack.c - header blocks of HTTP/2 decoded. Floor: supervisor/policy, pure. */
#include "supervisor/policy/hpack.h"

#include "base/list.h"

#include <string.h>

/* RFC 7541, appendix A; index 1 is the first. */
static const struct { const char *name, *value; } static_table[] = {
    { ":authority", "" }, { ":method", "GET" }, { ":method", "POST" }, { ":path", "/" }, { ":path", "/index.html" },
    { ":scheme", "http" }, { ":scheme", "https" }, { ":status", "200" }, { ":status", "204" }, { ":status", "206" },
    { ":status", "304" }, { ":status", "400" }, { ":status", "404" }, { ":status", "500" }, { "accept-charset", "" },
    { "accept-encoding", "gzip, deflate" }, { "accept-language", "" }, { "accept-ranges", "" }, { "accept", "" },
    { "access-control-allow-origin", "" }, { "age", "" }, { "allow", "" }, { "authorization", "" },
    { "cache-control", "" }, { "content-disposition", "" }, { "content-encoding", "" }, { "content-language", "" },
    { "content-length", "" }, { "content-location", "" }, { "content-range", "" }, { "content-type", "" },
    { "cookie", "" }, { "date", "" }, { "etag", "" }, { "expect", "" }, { "expires", "" }, { "from", "" }, { "host", "" },
    { "if-match", "" }, { "if-modified-since", "" }, { "if-none-match", "" }, { "if-range", "" },
    { "if-unmodified-since", "" }, { "last-modified", "" }, { "link", "" }, { "location", "" }, { "max-forwards", "" },
    { "proxy-authenticate", "" }, { "proxy-authorization", "" }, { "range", "" }, { "referer", "" }, { "refresh", "" },
    { "retry-after", "" }, { "server", "" }, { "set-cookie", "" }, { "strict-transport-security", "" },
    { "transfer-encoding", "" }, { "user-agent", "" }, { "vary", "" }, { "via", "" }, { "www-authenticate", "" },
};

#define N_STATIC HOLD_COUNT_OF(static_table)
#define EOS 256
#define LONGEST_CODE 30

/* RFC 7541, appendix B. The code is canonical: symbols in the order of their codes, and how many there are of each length. */
static const uint16_t symbols[257] = {
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100,
    102, 103, 104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81,
    82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63,
    39, 43, 124, 35, 62, 0, 36, 64, 91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194,
    224, 226, 153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154,
    156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233, 1, 135, 137, 138,
    139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191,
    197, 231, 239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207, 234, 235, 192, 193, 200, 201,
    202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245,
    246, 247, 248, 250, 251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25,
    26, 27, 28, 29, 30, 31, 127, 220, 249, 10, 13, 22, 256,
};
static const uint8_t n_of_length[LONGEST_CODE + 1] = { 0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4 };

int hold_huffman_decode(const uint8_t *bytes, size_t n, char *out, size_t max, size_t *ret_n, struct hold_err *err) {
    uint32_t code = 0, first = 0, index = 0, length = 0;
    size_t stored = 0;
    bool is_ones = true; /* the bits since the last symbol */
    for (size_t i = 0; i < n * 8; i++) {
        const uint32_t bit = bytes[i / 8] >> (7 - i % 8) & 1;
        is_ones &= bit == 1;
        code = code << 1 | bit;
        length++;
        if (length > LONGEST_CODE)
            return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: a Huffman code that does not exist");
        if (code - first < n_of_length[length]) {
            const uint16_t symbol = symbols[index + code - first];
            if (symbol == EOS)
                return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: the end symbol inside a string");
            if (stored < max)
                out[stored] = (char) symbol;
            stored++;
            code = first = index = length = 0;
            is_ones = true;
            continue;
        }
        index += n_of_length[length];
        first = (first + n_of_length[length]) << 1;
    }
    if (length > 7 || !is_ones)
        return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: wrong padding of a Huffman string");
    *ret_n = stored;
    return 0;
}

/* ---- the dynamic table ---- */

static size_t size_of(const struct hold_hpack *h, size_t entry) {
    return (size_t) h->entries[entry].n_name + h->entries[entry].n_value;
}

static void evict_to(struct hold_hpack *h, size_t max_bytes) {
    size_t n = 0, text = 0, all = 0;
    for (; n < h->n_entries && h->n_bytes > max_bytes; n++) {
        text += size_of(h, n);
        h->n_bytes -= size_of(h, n) + 32;
    }
    for (size_t i = n; i < h->n_entries; i++)
        all += size_of(h, i);
    memmove(h->bytes, h->bytes + text, all);
    memmove(h->entries, h->entries + n, (h->n_entries - n) * sizeof h->entries[0]);
    h->n_entries -= n;
}

/* n_value: of the whole value, which may be longer than what was kept of it. */
static void insert(struct hold_hpack *h, const struct hold_hpack_field *f, size_t n_value) {
    const size_t size = f->n_name + n_value + 32;
    if (size > h->max_bytes) { /* the RFC: not an error, but nothing stays */
        evict_to(h, 0);
        return;
    }
    evict_to(h, h->max_bytes - size);
    size_t end = 0;
    for (size_t i = 0; i < h->n_entries; i++)
        end += size_of(h, i);
    memcpy(h->bytes + end, f->name, f->n_name);
    memcpy(h->bytes + end + f->n_name, f->value, n_value);
    h->entries[h->n_entries].n_name = (uint16_t) f->n_name;
    h->entries[h->n_entries++].n_value = (uint16_t) n_value;
    h->n_bytes += size;
}

/* Name, and value when it is wanted, of an index. */
static int look_up(const struct hold_hpack *h, uint64_t index, bool wants_value, struct hold_hpack_field *ret, struct hold_err *err) {
    if (index == 0 || index > N_STATIC + h->n_entries)
        return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: index %ju is in no table", (uintmax_t) index);
    const char *name, *value;
    if (index <= N_STATIC) {
        name = static_table[index - 1].name;
        value = static_table[index - 1].value;
        ret->n_name = strlen(name);
        ret->n_value = strlen(value);
    } else {
        const size_t entry = h->n_entries - (size_t) (index - N_STATIC); /* the newest has the lowest index */
        name = h->bytes;
        for (size_t i = 0; i < entry; i++)
            name += size_of(h, i);
        ret->n_name = h->entries[entry].n_name;
        ret->n_value = h->entries[entry].n_value;
        value = name + ret->n_name;
    }
    memcpy(ret->name, name, ret->n_name);
    ret->name[ret->n_name] = '\0';
    if (!wants_value)
        return 0;
    memcpy(ret->value, value, ret->n_value);
    ret->value[ret->n_value] = '\0';
    return 0;
}

/* ---- the block ---- */

/* An integer whose first byte has `bits` of it. */
static int read_int(const uint8_t *block, size_t n, size_t *at, unsigned bits, uint64_t *ret, struct hold_err *err) {
    const uint64_t full = (UINT64_C(1) << bits) - 1;
    uint64_t value = block[(*at)++] & full;
    for (unsigned shift = 0; value >= full; shift += 7) {
        if (*at >= n || shift > 21)
            return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: an integer is cut or too large");
        const uint8_t byte = block[(*at)++];
        value += (uint64_t) (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    *ret = value;
    return 0;
}

/* A string, raw or Huffman: at most max - 1 bytes are kept and terminated, *ret_n is the whole length. */
static int read_text(const uint8_t *block, size_t n, size_t *at, char *out, size_t max, size_t *ret_n, struct hold_err *err) {
    if (*at >= n)
        return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: a string is missing");
    const bool is_huffman = block[*at] & 0x80;
    uint64_t length;
    if (read_int(block, n, at, 7, &length, err) < 0)
        return -1;
    if (length > n - *at)
        return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: a string reaches behind its block");
    size_t whole = (size_t) length;
    if (is_huffman) {
        if (hold_huffman_decode(block + *at, (size_t) length, out, max - 1, &whole, err) < 0)
            return -1;
    } else {
        memcpy(out, block + *at, HOLD_MIN(whole, max - 1));
    }
    out[HOLD_MIN(whole, max - 1)] = '\0';
    *at += (size_t) length;
    *ret_n = whole;
    return 0;
}

static int read_literal(struct hold_hpack *h, const uint8_t *block, size_t n, size_t *at, unsigned bits, bool is_indexed, struct hold_hpack_field *ret,
                        struct hold_err *err) {
    uint64_t index;
    size_t whole;
    if (read_int(block, n, at, bits, &index, err) < 0)
        return -1;
    if (index > 0) {
        if (look_up(h, index, false, ret, err) < 0)
            return -1;
    } else {
        if (read_text(block, n, at, ret->name, sizeof ret->name, &ret->n_name, err) < 0)
            return -1;
        if (ret->n_name >= sizeof ret->name)
            return hold_fail(err, HOLD_E_LIMIT, 0, "HPACK: a name of %zu bytes, the limit is %zu", ret->n_name, sizeof ret->name - 1);
    }
    if (read_text(block, n, at, ret->value, sizeof ret->value, &whole, err) < 0)
        return -1;
    ret->n_value = HOLD_MIN(whole, sizeof ret->value - 1);
    if (is_indexed)
        insert(h, ret, whole);
    return 1;
}

int hold_hpack_next(struct hold_hpack *h, const uint8_t *block, size_t n, size_t *at, struct hold_hpack_field *ret, struct hold_err *err) {
    while (*at < n) {
        const uint8_t first = block[*at];
        uint64_t value;
        if (first & 0x80) {
            if (read_int(block, n, at, 7, &value, err) < 0 || look_up(h, value, true, ret, err) < 0)
                return -1;
            return 1;
        }
        if (first & 0x40)
            return read_literal(h, block, n, at, 6, true, ret, err);
        if (!(first & 0x20))
            return read_literal(h, block, n, at, 4, false, ret, err); /* without indexing, or never indexed */
        if (read_int(block, n, at, 5, &value, err) < 0)
            return -1;
        if (value > HOLD_HPACK_TABLE_BYTES)
            return hold_fail(err, HOLD_E_FORMAT, 0, "HPACK: a table of %ju bytes, the limit is %d", (uintmax_t) value, HOLD_HPACK_TABLE_BYTES);
        h->max_bytes = (size_t) value;
        evict_to(h, h->max_bytes);
    }
    return 0;
}
