/* safetensors.c - header bytes to a checked directory. Floor: runtime/weights, pure.
 *
 * Everything the header says is checked against itself and against the file's length before a byte of data is touched:
 * after this, every entry lies inside the file, none overlaps another and nothing between them is unaccounted for. */
#include "runtime/weights/safetensors.h"

#include "base/json.h"
#include "base/list.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t bits;
} dtypes[] = {
    { "BF16", 16 },   { "F16", 16 },   { "F32", 32 },     { "F64", 64 },     { "I8", 8 },      { "U8", 8 },      { "I16", 16 },
    { "U16", 16 },    { "I32", 32 },   { "U32", 32 },     { "I64", 64 },     { "U64", 64 },    { "BOOL", 8 },    { "F8_E4M3", 8 },
    { "F8_E5M2", 8 }, { "F8_E8M0", 8 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "F6_E2M3", 6 }, { "F6_E3M2", 6 }, { "F4", 4 },
    { "C64", 64 },
};

static bool begins(const void *bytes, size_t n, const char *with, size_t n_with) {
    return n >= n_with && memcmp(bytes, with, n_with) == 0;
}

const char *hold_weights_disguise(const void *bytes, size_t n) {
    if (begins(bytes, n, "version https://git-lfs", 23))
        return "a git-lfs pointer, not the file itself";
    if (begins(bytes, n, "<!DOCTYPE", 9) || begins(bytes, n, "<!doctype", 9) || begins(bytes, n, "<html", 5))
        return "a web page, not a weights file";
    return NULL;
}

/* What damaged and mistaken downloads look like, told by name before the general rules speak of header lengths. */
static int disguise_check(const void *bytes, size_t n, const char *what, struct hold_err *err) {
    if (n > 8 && ((const char *) bytes)[8] == '{')
        return 0; /* a header length may spell anything */
    const char *is = hold_weights_disguise(bytes, n);
    if (begins(bytes, n, "PK\x03\x04", 4))
        is = "a zip archive (a PyTorch checkpoint?): convert it with safetensors' save_file";
    else if (begins(bytes, n, "\x80\x02", 2))
        is = "a Python pickle (a PyTorch checkpoint?): convert it with safetensors' save_file";
    return is ? hold_fail(err, HOLD_E_FORMAT, 0, "%s: is %s", what, is) : 0;
}

static int header_find(const void *bytes, size_t n, const char *what, uint64_t *ret_bytes, struct hold_err *err) {
    const unsigned char *b = bytes;
    uint64_t length = 0;
    if (n < 8)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: %zu bytes, cut short before the end of the header length", what, n);
    if (disguise_check(bytes, n, what, err) < 0)
        return -1;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | b[i];
    if (length == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: header length is 0: the file is empty or damaged", what);
    if (length > HOLD_ST_MAX_HEADER_BYTES)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: header length is %" PRIu64 ", the limit is %" PRIu64 " bytes", what, length,
                         HOLD_ST_MAX_HEADER_BYTES);
    if (length > n - 8)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: cut short: %zu bytes, the header alone ends at %" PRIu64, what, n, length + 8);
    if (b[8] != '{')
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the header does not begin with '{'", what);
    size_t end = (size_t) length;
    while (b[7 + end] == ' ')
        end--;
    if (b[7 + end] == '\t' || b[7 + end] == '\n' || b[7 + end] == '\r')
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the header is padded with something else than spaces", what);
    *ret_bytes = length;
    return 0;
}

static int metadata_check(const struct cJSON *v, const char *what, struct hold_err *err) {
    if (hold_json_type_of(v) != HOLD_JSON_OBJECT)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: __metadata__ is not an object", what);
    for (const struct cJSON *m = hold_json_first(v); m; m = hold_json_next(m))
        if (hold_json_type_of(m) != HOLD_JSON_STRING)
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: __metadata__.%.60s is not a string", what, hold_json_key(m));
    return 0;
}

static int shape_read(const struct cJSON *v, const char *what, struct hold_st_tensor *t, uint64_t *bits, struct hold_err *err) {
    if (hold_json_type_of(v) != HOLD_JSON_ARRAY || hold_json_size(v) > HOLD_ST_MAX_DIMS)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s': shape is not an array of at most %u numbers", what, t->name, HOLD_ST_MAX_DIMS);
    for (const struct cJSON *d = hold_json_first(v); d; d = hold_json_next(d)) {
        if (!hold_json_u64(d, &t->dims[t->n_dims]))
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s': an axis is not a whole number", what, t->name);
        if (!hold_mul_u64(*bits, t->dims[t->n_dims], bits))
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s': its size in bits passes 64 bits", what, t->name);
        t->n_dims++;
    }
    return 0;
}

static int entry_read(const struct cJSON *v, const char *what, uint64_t data_bytes, struct hold_st_tensor *t, struct hold_err *err) {
    static const char *const keys[] = { "dtype", "shape", "data_offsets" };
    const struct cJSON *offsets = hold_json_get(v, "data_offsets");
    uint64_t bits = 0, begin, end;
    if (hold_json_type_of(v) != HOLD_JSON_OBJECT)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s' is not an object", what, t->name);
    for (const struct cJSON *k = hold_json_first(v); k; k = hold_json_next(k))
        if (hold_index_of(keys, HOLD_COUNT_OF(keys), hold_json_key(k)) < 0)
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s' has the unknown field '%.40s'", what, t->name, hold_json_key(k));
    if (!hold_json_str(hold_json_get(v, "dtype"), &t->dtype))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s' has no dtype", what, t->name);
    for (size_t i = 0; i < HOLD_COUNT_OF(dtypes); i++)
        if (strcmp(dtypes[i].name, t->dtype) == 0) {
            bits = dtypes[i].bits;
            t->dtype = dtypes[i].name; /* the JSON text goes, the table stays */
        }
    if (bits == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s' has the unknown dtype '%.20s'", what, t->name, t->dtype);
    if (shape_read(hold_json_get(v, "shape"), what, t, &bits, err) < 0)
        return -1;
    if (bits % 8)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s': %" PRIu64 " bits of %s do not end on a byte", what, t->name, bits, t->dtype);
    const uint64_t bytes = bits / 8;
    const struct cJSON *first = hold_json_type_of(offsets) == HOLD_JSON_ARRAY ? hold_json_first(offsets) : NULL;
    const struct cJSON *second = first ? hold_json_next(first) : NULL;
    if (!hold_json_u64(first, &begin) || !hold_json_u64(second, &end) || hold_json_next(second))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s': data_offsets are not two whole numbers", what, t->name);
    if (begin > end || end - begin != bytes)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s': data_offsets [%" PRIu64 ", %" PRIu64 "] do not hold the %" PRIu64 " bytes of its shape",
                         what, t->name, begin, end, bytes);
    if (end > data_bytes)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: cut short: '%.120s' ends at %" PRIu64 ", the data area has %" PRIu64 " bytes", what, t->name,
                         end, data_bytes);
    t->offset = begin;
    t->bytes = bytes;
    return 0;
}

static int by_offset(const void *a, const void *b) {
    const struct hold_st_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b) {
    const struct hold_st_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int cover_check(const struct hold_st_tensor *t, size_t n, uint64_t data_bytes, const char *what, struct hold_err *err) {
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (t[i].offset < at)
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: '%.120s' overlaps '%.120s'", what, t[i].name, t[i - 1].name);
        if (t[i].offset > at)
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: %" PRIu64 " bytes before '%.120s' belong to no tensor", what, t[i].offset - at, t[i].name);
        at += t[i].bytes;
    }
    if (at != data_bytes)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: %" PRIu64 " bytes at the end belong to no tensor", what, data_bytes - at);
    return 0;
}

/* The format's own readers take digits only: "4.0", "4e0" and "-0" are no sizes to them. text is strict JSON, where such
 * characters stand in strings and numbers alone; the 'e' of true and false has no digit before it. */
static int numbers_check(const char *text, size_t n, const char *what, struct hold_err *err) {
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '.' || c == '-' || ((c == 'e' || c == 'E') && i && text[i - 1] >= '0' && text[i - 1] <= '9')))
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: byte %zu of the header: a number is not written in digits alone", what, i);
    }
    return 0;
}

int hold_st_parse(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_st *ret_st, struct hold_err *err) {
    hold_autojson *root = NULL;
    const struct hold_json_limits limits = { .max_bytes = HOLD_ST_MAX_HEADER_BYTES, .max_depth = 4, .max_tokens = 24 * HOLD_ST_MAX_TENSORS };
    uint64_t header;
    if (header_find(bytes, n, what, &header, err) < 0 ||
        hold_json_parse((const char *) bytes + 8, header, what, limits, &root, err) < 0)
        return -1;
    const uint64_t data_bytes = n - 8 - header;
    const size_t most = hold_json_size(root);
    if (most > HOLD_ST_MAX_TENSORS)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: %zu tensors, the limit is %u", what, most, HOLD_ST_MAX_TENSORS);
    struct hold_st_tensor *tensors = hold_arena_array(arena, most, sizeof *tensors);
    size_t n_tensors = 0;
    for (const struct cJSON *v = hold_json_first(root); v && tensors; v = hold_json_next(v)) {
        const char *name = hold_json_key(v);
        if (strcmp(name, "__metadata__") == 0) {
            if (metadata_check(v, what, err) < 0)
                return -1;
            continue;
        }
        struct hold_st_tensor *t = &tensors[n_tensors++];
        t->name = hold_arena_copy(arena, name, strlen(name));
        if (!t->name)
            tensors = NULL;
        else if (entry_read(v, what, data_bytes, t, err) < 0)
            return -1;
    }
    if (!tensors)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for a directory of %zu tensors", what, most);
    qsort(tensors, n_tensors, sizeof *tensors, by_offset);
    if (cover_check(tensors, n_tensors, data_bytes, what, err) < 0 || numbers_check((const char *) bytes + 8, header, what, err) < 0)
        return -1;
    qsort(tensors, n_tensors, sizeof *tensors, by_name);
    for (size_t i = 0; i < n_tensors; i++)
        tensors[i].offset += 8 + header;
    *ret_st = (struct hold_st) { .tensors = tensors, .n_tensors = n_tensors, .data_offset = 8 + header };
    return 0;
}

const struct hold_st_tensor *hold_st_find(const struct hold_st *st, const char *name) {
    const struct hold_st_tensor key = { .name = name };
    return st->n_tensors ? bsearch(&key, st->tensors, st->n_tensors, sizeof key, by_name) : NULL;
}
