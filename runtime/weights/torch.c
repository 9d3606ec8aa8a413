/* torch.c - a PyTorch checkpoint to a checked directory of tensors. Floor: runtime/weights, pure. */
#include "runtime/weights/torch.h"

#include "base/list.h"
#include "base/num.h"
#include "runtime/weights/pickle.h"
#include "runtime/weights/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME_BYTES = 512, TAR_MAGIC_AT = 257 };

/* The first two pickles of the legacy format: LONG1 0x1950a86a20f9469cfc6c, then 1001. */
static const uint8_t LEGACY_HEAD[] = { 0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.', 0x80, 2, 'M', 0xe9, 3, '.' };

struct storage {
    const char *key; /* in the pickle, not terminated */
    size_t key_n;
    const struct hold_pickle_name *type;
    uint64_t count;         /* elements */
    uint64_t offset, bytes; /* in the file */
    bool is_found;
};

struct reader {
    const uint8_t *bytes;
    size_t n;
    const char *what;
    struct hold_arena *arena;
    struct hold_err *err;
    struct hold_pickle pickle;
    struct storage *storages; /* sorted by key, each once */
    size_t n_storages;
    struct hold_torch_tensor *tensors;
    size_t n_tensors, capacity;
    bool is_legacy;
};

HOLD_PRINTF(2, 3)
static int fail(struct reader *r, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return hold_fail(r->err, HOLD_E_FORMAT, 0, "%s: %s", r->what, text);
}

static int no_memory(struct reader *r) {
    return hold_fail(r->err, HOLD_E_LIMIT, 0, "%s: no memory for its directory of tensors", r->what);
}

static bool is_tar(const uint8_t *b, size_t n) {
    return n > TAR_MAGIC_AT + 5 && memcmp(b + TAR_MAGIC_AT, "ustar", 5) == 0;
}

bool hold_torch_begins(const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    return hold_zip_begins(bytes, n) || is_tar(bytes, n) || (n >= 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5);
}

/* ---- storages ---- */

static int key_compare(const char *a, size_t a_n, const char *b, size_t b_n) {
    const int c = memcmp(a, b, HOLD_MIN(a_n, b_n));
    return c ? c : (a_n > b_n) - (a_n < b_n);
}

static int by_key(const void *a, const void *b) {
    const struct storage *x = a, *y = b;
    return key_compare(x->key, x->key_n, y->key, y->key_n);
}

static struct storage *storage_find(const struct reader *r, const char *key, size_t n) {
    const struct storage wanted = { .key = key, .key_n = n };
    return r->n_storages ? bsearch(&wanted, r->storages, r->n_storages, sizeof wanted, by_key) : NULL;
}

static bool is_count(const struct hold_pickle_value *v, uint64_t *ret) {
    if (v->kind != HOLD_PICKLE_INT || v->number < 0)
        return false;
    *ret = (uint64_t) v->number;
    return true;
}

/* A view of a storage on itself (what PyTorch before 0.4 shared): inside it. */
static bool view_is_right(const struct hold_pickle_value *v, uint64_t count) {
    uint64_t offset, size, end;
    if (v->kind == HOLD_PICKLE_NONE)
        return true;
    return v->kind == HOLD_PICKLE_TUPLE && v->n == 3 && v->items[0]->kind == HOLD_PICKLE_STR && is_count(v->items[1], &offset) && is_count(v->items[2], &size) &&
           hold_add_u64(offset, size, &end) && end <= count;
}

/* ('storage', type, key, location, count) and in the legacy format a view. */
static int storage_read(struct reader *r, const struct hold_pickle_value *persid, struct storage *ret) {
    const struct hold_pickle_value *id = persid->items[0];
    if (id->kind == HOLD_PICKLE_TUPLE && id->n && hold_pickle_str_is(id->items[0], "module"))
        return fail(r, "it carries the source of a module, which is a program");
    const size_t wanted = r->is_legacy ? 6 : 5;
    uint64_t count, bytes;
    if (id->kind != HOLD_PICKLE_TUPLE || id->n != wanted || !hold_pickle_str_is(id->items[0], "storage") || id->items[1]->kind != HOLD_PICKLE_GLOBAL ||
        id->items[1]->global->kind != HOLD_GLOBAL_STORAGE || id->items[2]->kind != HOLD_PICKLE_STR || id->items[3]->kind != HOLD_PICKLE_STR ||
        !is_count(id->items[4], &count) || (r->is_legacy && !view_is_right(id->items[5], count)))
        return fail(r, "a storage is not named as ('storage', type, key, location, count%s)", r->is_legacy ? ", view" : "");
    const struct hold_pickle_value *key = id->items[2];
    if (key->n == 0 || key->n > 64)
        return fail(r, "a storage's key has %zu bytes, 1 to 64 are allowed", key->n);
    if (!hold_mul_u64(count, id->items[1]->global->bytes, &bytes))
        return fail(r, "storage '%.*s': its size passes 64 bits", (int) key->n, key->text);
    *ret = (struct storage) { .key = key->text, .key_n = key->n, .type = id->items[1]->global, .count = count, .bytes = bytes };
    return 0;
}

static int storages_read(struct reader *r) {
    r->storages = hold_arena_array(r->arena, r->pickle.n_persids, sizeof *r->storages);
    if (!r->storages)
        return no_memory(r);
    size_t n = 0;
    for (const struct hold_pickle_value *v = r->pickle.persids; v; v = v->next)
        if (storage_read(r, v, &r->storages[n++]) < 0)
            return -1;
    qsort(r->storages, n, sizeof *r->storages, by_key);
    for (size_t i = 0; i < n; i++) {
        const struct storage *s = &r->storages[i], *last = r->n_storages ? &r->storages[r->n_storages - 1] : NULL;
        if (last && by_key(last, s) == 0) {
            if (last->type != s->type || last->count != s->count)
                return fail(r, "storage '%.*s' is named twice, with different types or lengths", (int) s->key_n, s->key);
            continue;
        }
        r->storages[r->n_storages++] = *s;
    }
    return 0;
}

/* ---- tensors ---- */

static int shape_read(struct reader *r, const char *name, const struct hold_pickle_value *size, const struct hold_pickle_value *stride, struct hold_torch_tensor *t) {
    if (size->kind != HOLD_PICKLE_TUPLE || stride->kind != HOLD_PICKLE_TUPLE || size->n != stride->n || size->n > HOLD_ST_MAX_DIMS)
        return fail(r, "tensor '%.120s': size and stride are not tuples of the same length, at most %u", name, HOLD_ST_MAX_DIMS);
    for (size_t i = 0; i < size->n; i++)
        if (!is_count(size->items[i], &t->dims[i]) || !is_count(stride->items[i], &t->strides[i]))
            return fail(r, "tensor '%.120s': a size or stride is not a whole number of at least 0", name);
    t->n_dims = (uint32_t) size->n;
    return 0;
}

/* Elements in all, and the place behind the last one; false when 64 bits do not hold them. */
static bool extent(const struct hold_torch_tensor *t, uint64_t first, uint64_t *ret_count, uint64_t *ret_end) {
    uint64_t count = 1, last = first, step;
    bool is_empty = false;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        is_empty |= t->dims[i] == 0;
        if (!hold_mul_u64(count, t->dims[i], &count))
            return false;
        if (t->dims[i] && (!hold_mul_u64(t->dims[i] - 1, t->strides[i], &step) || !hold_add_u64(last, step, &last)))
            return false;
    }
    *ret_count = is_empty ? 0 : count;
    *ret_end = is_empty ? first : last + 1;
    return is_empty || last != UINT64_MAX;
}

static bool is_contiguous(const struct hold_torch_tensor *t) {
    uint64_t wanted = 1;
    for (uint32_t i = t->n_dims; i--; wanted *= t->dims[i])
        if (t->dims[i] != 1 && t->strides[i] != wanted)
            return false;
    return true;
}

static bool arguments_are_right(const struct hold_pickle_value *call) {
    const size_t n = call->n - 1; /* items[0] is the function */
    struct hold_pickle_value *const *a = call->items + 1;
    const bool has_dtype = call->global->kind == HOLD_GLOBAL_TENSOR_V3;
    if (call->global->kind == HOLD_GLOBAL_TENSOR)
        return n == 4;
    const size_t least = has_dtype ? 7 : 6;
    return (n == least || (n == least + 1 && (a[least]->kind == HOLD_PICKLE_DICT || a[least]->kind == HOLD_PICKLE_NONE))) && a[4]->kind == HOLD_PICKLE_BOOL &&
           (a[5]->kind == HOLD_PICKLE_NONE || (a[5]->kind == HOLD_PICKLE_DICT && a[5]->n == 0)) &&
           (!has_dtype || (a[6]->kind == HOLD_PICKLE_GLOBAL && a[6]->global->kind == HOLD_GLOBAL_DTYPE));
}

static int tensor_read(struct reader *r, const struct hold_pickle_value *call, const char *name, struct hold_torch_tensor *t) {
    uint64_t first, count, end, end_bytes, first_bytes;
    if (!arguments_are_right(call))
        return fail(r, "tensor '%.120s': %s is called with something else than it takes", name, call->global->name);
    struct hold_pickle_value *const *a = call->items + 1;
    if (a[0]->kind != HOLD_PICKLE_PERSID)
        return fail(r, "tensor '%.120s': its storage is none", name);
    const struct hold_pickle_value *key = a[0]->items[0]->items[2];
    const struct storage *s = storage_find(r, key->text, key->n);
    const struct hold_pickle_name *type = call->global->kind == HOLD_GLOBAL_TENSOR_V3 ? a[6]->global : s->type;
    if ((s->type->dtype[0] == '\0') != (call->global->kind == HOLD_GLOBAL_TENSOR_V3))
        return fail(r, "tensor '%.120s': %s with the storage type %s says no one dtype", name, call->global->name, s->type->name);
    *t = (struct hold_torch_tensor) { .name = name, .dtype = type->dtype };
    if (!is_count(a[1], &first))
        return fail(r, "tensor '%.120s': its storage offset is not a whole number of at least 0", name);
    if (shape_read(r, name, a[2], a[3], t) < 0)
        return -1;
    if (!extent(t, first, &count, &end) || !hold_mul_u64(end, type->bytes, &end_bytes) || !hold_mul_u64(count, type->bytes, &t->bytes) ||
        !hold_mul_u64(first, type->bytes, &first_bytes))
        return fail(r, "tensor '%.120s': its size passes 64 bits", name);
    if (end_bytes > s->bytes)
        return fail(r, "tensor '%.120s': offset, size and stride lead to byte %" PRIu64 " of storage '%.*s', which has %" PRIu64, name, end_bytes, (int) s->key_n, s->key,
                    s->bytes);
    t->offset = s->offset + first_bytes;
    t->is_contiguous = is_contiguous(t);
    return 0;
}

/* ---- names: the way from the root to each tensor ---- */

static int tensor_add(struct reader *r, const struct hold_pickle_value *call, const char *path) {
    if (r->n_tensors == HOLD_ST_MAX_TENSORS)
        return hold_fail(r->err, HOLD_E_LIMIT, 0, "%s: more than %u tensors", r->what, HOLD_ST_MAX_TENSORS);
    if (r->n_tensors == r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 256;
        struct hold_torch_tensor *grown = hold_arena_array(r->arena, capacity, sizeof *grown);
        if (!grown)
            return no_memory(r);
        if (r->n_tensors)
            memcpy(grown, r->tensors, r->n_tensors * sizeof *grown);
        r->tensors = grown;
        r->capacity = capacity;
    }
    const char *name = hold_arena_copy(r->arena, path, strlen(path));
    return name ? tensor_read(r, call, name, &r->tensors[r->n_tensors++]) : no_memory(r);
}

static int walk(struct reader *r, struct hold_pickle_value *v, char path[MAX_NAME_BYTES], size_t path_n, unsigned depth);

static int walk_item(struct reader *r, struct hold_pickle_value *v, const char *part, size_t part_n, char path[MAX_NAME_BYTES], size_t path_n, unsigned depth) {
    if (part_n + path_n + 2 > MAX_NAME_BYTES || memchr(part, 0, part_n))
        return fail(r, "a tensor's name below '%.120s' is longer than %d bytes or has a zero in it", path, MAX_NAME_BYTES - 1);
    const size_t dot = path_n ? 1 : 0;
    path[path_n] = '.';
    memcpy(path + path_n + dot, part, part_n);
    path[path_n + dot + part_n] = '\0';
    const int rc = walk(r, v, path, path_n + dot + part_n, depth + 1);
    path[path_n] = '\0';
    return rc;
}

/* Each dictionary, list and tuple once, by whatever way it is reached first: sharing costs nothing, a circle ends. */
static int walk(struct reader *r, struct hold_pickle_value *v, char path[MAX_NAME_BYTES], size_t path_n, unsigned depth) {
    char number[24];
    if (depth > HOLD_TORCH_MAX_DEPTH)
        return fail(r, "its dictionaries and lists are nested more than %u deep", HOLD_TORCH_MAX_DEPTH);
    if (v->kind == HOLD_PICKLE_CALL) {
        const bool is_parameter = v->global->kind == HOLD_GLOBAL_PARAMETER;
        if (v->global->kind == HOLD_GLOBAL_DEVICE)
            return 0;
        if (is_parameter && (v->n != 4 || v->items[1]->kind != HOLD_PICKLE_CALL || v->items[1]->global->kind == HOLD_GLOBAL_PARAMETER))
            return fail(r, "tensor '%.120s': _rebuild_parameter is called with something else than it takes", path);
        const struct hold_pickle_value *tensor = is_parameter ? v->items[1] : v;
        return tensor->global->kind == HOLD_GLOBAL_DEVICE ? fail(r, "tensor '%.120s': its data is a device", path) : tensor_add(r, tensor, path);
    }
    const bool is_dict = v->kind == HOLD_PICKLE_DICT;
    if ((!is_dict && v->kind != HOLD_PICKLE_LIST && v->kind != HOLD_PICKLE_TUPLE) || v->is_seen)
        return 0;
    v->is_seen = true;
    for (size_t i = 0; i < v->n; i += is_dict ? 2 : 1) {
        const struct hold_pickle_value *key = v->items[i];
        const bool is_text = is_dict && key->kind == HOLD_PICKLE_STR;
        const int n = snprintf(number, sizeof number, "%" PRId64, is_dict ? key->number : (int64_t) i);
        if (walk_item(r, v->items[is_dict ? i + 1 : i], is_text ? key->text : number, is_text ? key->n : (size_t) n, path, path_n, depth) < 0)
            return -1;
    }
    return 0;
}

static int tensor_by_name(const void *a, const void *b) {
    return strcmp(((const struct hold_torch_tensor *) a)->name, ((const struct hold_torch_tensor *) b)->name);
}

static int tensors_read(struct reader *r) {
    char path[MAX_NAME_BYTES] = "";
    if (walk(r, r->pickle.root, path, 0, 0) < 0)
        return -1;
    if (r->n_tensors)
        qsort(r->tensors, r->n_tensors, sizeof *r->tensors, tensor_by_name);
    for (size_t i = 1; i < r->n_tensors; i++)
        if (strcmp(r->tensors[i - 1].name, r->tensors[i].name) == 0)
            return fail(r, "tensor '%.120s' is there twice", r->tensors[i].name);
    return 0;
}

/* ---- the zip format ---- */

/* The folder that everything lies in: the name before "/data.pkl". */
static int prefix_find(struct reader *r, const struct hold_zip *zip, size_t *ret_n) {
    for (size_t i = 0; i < zip->n_entries; i++) {
        const char *name = zip->entries[i].name, *slash = strchr(name, '/');
        if (slash && (strcmp(slash, "/constants.pkl") == 0 || strncmp(slash, "/code/", 6) == 0))
            return fail(r, "it is a TorchScript archive ('%.120s'), which holds a program", name);
    }
    for (size_t i = 0; i < zip->n_entries; i++) {
        const char *slash = strchr(zip->entries[i].name, '/');
        if (slash && strcmp(slash, "/data.pkl") == 0) {
            *ret_n = (size_t) (slash - zip->entries[i].name) + 1;
            return 0;
        }
    }
    return fail(r, "it is a zip archive, but not one of torch.save: it has no data.pkl");
}

static bool entry_is(const struct reader *r, const struct hold_zip_entry *e, const char *text) {
    return e->bytes == strlen(text) && memcmp(r->bytes + e->offset, text, e->bytes) == 0;
}

/* An entry that is neither the pickle nor a storage. */
static int other_entry(struct reader *r, const struct hold_zip_entry *e, const char *name) {
    if (strcmp(name, "byteorder") == 0)
        return entry_is(r, e, "little") ? 0 : fail(r, "byteorder is not 'little': its numbers are of another kind of machine");
    if (strcmp(name, "version") == 0) {
        const uint8_t *text = r->bytes + e->offset;
        const size_t n = e->bytes && text[e->bytes - 1] == '\n' ? (size_t) e->bytes - 1 : (size_t) e->bytes;
        return n == 1 && text[0] >= '1' && text[0] <= '9' ? 0 : fail(r, "version is not a number from 1 to 9");
    }
    return name[0] == '.' ? 0 : fail(r, "entry '%.120s' is not one that torch.save writes", e->name);
}

static int storages_place_zip(struct reader *r, const struct hold_zip *zip, size_t prefix_n) {
    const char *prefix = zip->entries[0].name;
    for (size_t i = 0; i < zip->n_entries; i++) {
        const struct hold_zip_entry *e = &zip->entries[i];
        if (strncmp(e->name, prefix, prefix_n) != 0)
            return fail(r, "entry '%.120s' is not in the folder '%.*s'", e->name, (int) prefix_n, prefix);
        const char *name = e->name + prefix_n;
        if (strcmp(name, "data.pkl") == 0)
            continue;
        if (strncmp(name, "data/", 5) != 0) {
            if (other_entry(r, e, name) < 0)
                return -1;
            continue;
        }
        struct storage *s = storage_find(r, name + 5, strlen(name + 5));
        if (!s)
            return fail(r, "entry '%.120s' is a storage that no tensor uses", e->name);
        if (e->bytes != s->bytes)
            return fail(r, "storage '%.*s' has %" PRIu64 " bytes by the pickle, its entry has %" PRIu64, (int) s->key_n, s->key, s->bytes, e->bytes);
        s->offset = e->offset;
        s->is_found = true;
    }
    for (size_t i = 0; i < r->n_storages; i++)
        if (!r->storages[i].is_found)
            return fail(r, "storage '%.*s' has no entry", (int) r->storages[i].key_n, r->storages[i].key);
    return 0;
}

static int zip_read(struct reader *r) {
    struct hold_zip zip;
    size_t prefix_n = 0;
    if (hold_zip_parse(r->bytes, r->n, r->what, r->arena, &zip, r->err) < 0 || prefix_find(r, &zip, &prefix_n) < 0)
        return -1;
    char name[HOLD_ZIP_MAX_NAME + 16];
    snprintf(name, sizeof name, "%.*sdata.pkl", (int) prefix_n, zip.entries[0].name);
    const struct hold_zip_entry *pickle = hold_zip_find(&zip, name);
    if (!pickle)
        return fail(r, "its entries lie in several folders");
    if (hold_pickle_walk(r->bytes + pickle->offset, (size_t) pickle->bytes, r->what, r->arena, &r->pickle, r->err) < 0)
        return -1;
    if (r->pickle.bytes != pickle->bytes)
        return fail(r, "%" PRIu64 " bytes follow the pickle's end", pickle->bytes - r->pickle.bytes);
    if (storages_read(r) < 0 || storages_place_zip(r, &zip, prefix_n) < 0)
        return -1;
    return tensors_read(r);
}

/* ---- the legacy format ---- */

static int next_pickle(struct reader *r, size_t *at, struct hold_pickle *ret) {
    if (hold_pickle_walk(r->bytes + *at, r->n - *at, r->what, r->arena, ret, r->err) < 0)
        return -1;
    *at += ret->bytes;
    return 0;
}

static int system_check(struct reader *r, const struct hold_pickle_value *system) {
    const struct hold_pickle_value *protocol = hold_pickle_get(system, "protocol_version"), *order = hold_pickle_get(system, "little_endian");
    if (!protocol || protocol->kind != HOLD_PICKLE_INT || protocol->number != 1001)
        return fail(r, "its protocol_version is not 1001");
    if (!order || order->kind != HOLD_PICKLE_BOOL || order->number != 1)
        return fail(r, "little_endian is not true: its numbers are of another kind of machine");
    return 0;
}

/* In the order of the list: a count of 8 bytes, then the storage. */
static int storages_place_legacy(struct reader *r, const struct hold_pickle_value *keys, size_t at) {
    if (keys->kind != HOLD_PICKLE_LIST)
        return fail(r, "what follows its object is not the list of storages");
    for (size_t i = 0; i < keys->n; i++) {
        const struct hold_pickle_value *key = keys->items[i];
        struct storage *s = key->kind == HOLD_PICKLE_STR ? storage_find(r, key->text, key->n) : NULL;
        if (!s || s->is_found)
            return fail(r, "its list of storages has at place %zu one that %s", i, s ? "was there before" : "no tensor uses");
        uint64_t count = 0;
        if (r->n - at < 8)
            return fail(r, "cut short: storage '%.*s' is not there", (int) s->key_n, s->key);
        for (size_t k = 8; k--;)
            count = count << 8 | r->bytes[at + k];
        if (count != s->count)
            return fail(r, "storage '%.*s' has %" PRIu64 " elements by the pickle, %" PRIu64 " where it lies", (int) s->key_n, s->key, s->count, count);
        if (s->bytes > r->n - at - 8)
            return fail(r, "cut short: storage '%.*s' has %" PRIu64 " bytes, %zu are left", (int) s->key_n, s->key, s->bytes, r->n - at - 8);
        s->offset = at + 8;
        s->is_found = true;
        at += 8 + (size_t) s->bytes;
    }
    for (size_t i = 0; i < r->n_storages; i++)
        if (!r->storages[i].is_found)
            return fail(r, "storage '%.*s' is not in its list of storages", (int) r->storages[i].key_n, r->storages[i].key);
    return at == r->n ? 0 : fail(r, "%zu bytes at the end belong to no storage", r->n - at);
}

static int legacy_read(struct reader *r) {
    struct hold_pickle system, keys;
    size_t at = sizeof LEGACY_HEAD;
    if (next_pickle(r, &at, &system) < 0 || system_check(r, system.root) < 0 || next_pickle(r, &at, &r->pickle) < 0 || next_pickle(r, &at, &keys) < 0 ||
        storages_read(r) < 0 || storages_place_legacy(r, keys.root, at) < 0)
        return -1;
    return tensors_read(r);
}

int hold_torch_parse(const void *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_torch *ret_torch, struct hold_err *err) {
    struct reader r = { .bytes = bytes, .n = n, .what = what, .arena = arena, .err = err };
    const char *disguise = hold_weights_disguise(bytes, n);
    int rc;
    if (disguise)
        rc = fail(&r, "it is %s", disguise);
    else if (is_tar(bytes, n))
        rc = fail(&r, "it is a tar archive, the form of PyTorch 0.1.1, which is not read: load it with an old PyTorch and save it again");
    else if (hold_zip_begins(bytes, n))
        rc = zip_read(&r);
    else if (n >= sizeof LEGACY_HEAD && memcmp(bytes, LEGACY_HEAD, sizeof LEGACY_HEAD) == 0) {
        r.is_legacy = true;
        rc = legacy_read(&r);
    } else
        rc = fail(&r, "it begins neither like the zip nor like the legacy format of torch.save");
    if (rc < 0)
        return -1;
    uint64_t sum = 0;
    for (size_t i = 0; i < r.n_storages; i++)
        sum += r.storages[i].bytes; /* each lies in the file, none twice */
    *ret_torch = (struct hold_torch) { .tensors = r.tensors, .n_tensors = r.n_tensors, .storage_bytes = sum, .is_legacy = r.is_legacy };
    return 0;
}

const struct hold_torch_tensor *hold_torch_find(const struct hold_torch *torch, const char *name) {
    const struct hold_torch_tensor key = { .name = name };
    return torch->n_tensors ? bsearch(&key, torch->tensors, torch->n_tensors, sizeof key, tensor_by_name) : NULL;
}
