/* json.c - strict reading on top of cJSON. Floor: base. The only includer of cJSON. */
#include "base/json.h"

#include "base/json_scan.h"
#include "base/list.h"

#include <cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_DEPTH = 32, DEFAULT_TOKENS = 4096 };

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Two equal keys in one object: sorted, since a vocabulary has a hundred thousand. */
static int refuse_duplicates(const cJSON *object, const char *what, struct hold_err *err) {
    size_t n = 0;
    for (const cJSON *v = object->child; v; v = v->next)
        n++;
    if (n < 2)
        return 0;
    const char **keys = calloc(n, sizeof *keys);
    if (!keys)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for %zu keys", what, n);
    size_t i = 0;
    for (const cJSON *v = object->child; v; v = v->next)
        keys[i++] = v->string;
    qsort(keys, n, sizeof *keys, compare_names);
    int failed = 0;
    for (i = 1; i < n && !failed; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            failed = hold_fail(err, HOLD_E_FORMAT, 0, "%s: the key '%.100s' occurs twice in one object", what, keys[i]);
    free(keys);
    return failed;
}

/* Depth is bounded by the scan, so the recursion is too. */
static int check_tree(const cJSON *v, const char *what, struct hold_err *err) {
    for (; v; v = v->next) {
        if (cJSON_IsNumber(v) && !isfinite(v->valuedouble))
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: a number is too large", what);
        if (v->child) {
            if (cJSON_IsObject(v) && refuse_duplicates(v, what, err) < 0)
                return -1;
            if (check_tree(v->child, what, err) < 0)
                return -1;
        }
    }
    return 0;
}

int hold_json_parse(const char *text, size_t n, const char *what, struct hold_json_limits limits, struct cJSON **ret_root,
                    struct hold_err *err) {
    if (n > limits.max_bytes)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: %zu bytes, the limit is %zu", what, n, limits.max_bytes);
    if (hold_json_scan(text, n, what, limits.max_depth ? limits.max_depth : DEFAULT_DEPTH,
                       limits.max_tokens ? limits.max_tokens : DEFAULT_TOKENS, err) < 0)
        return -1;
    /* A terminated copy: cJSON has read past an unterminated buffer before. */
    char *copy = malloc(n + 1);
    if (!copy)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for %zu bytes", what, n);
    memcpy(copy, text, n);
    copy[n] = '\0';
    cJSON *root = cJSON_ParseWithLengthOpts(copy, n + 1, NULL, 1);
    free(copy);
    if (!root)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: could not be read as JSON (memory?)", what);
    if (check_tree(root, what, err) < 0) {
        cJSON_Delete(root);
        return -1;
    }
    *ret_root = root;
    return 0;
}

void hold_json_release(struct cJSON **root) {
    cJSON_Delete(*root);
    *root = NULL;
}

static const char *const type_names[] = { "null", "true or false", "a number", "a string", "an array", "an object" };

enum hold_json_type hold_json_type_of(const struct cJSON *v) {
    return cJSON_IsObject(v)   ? HOLD_JSON_OBJECT
           : cJSON_IsArray(v)  ? HOLD_JSON_ARRAY
           : cJSON_IsString(v) ? HOLD_JSON_STRING
           : cJSON_IsNumber(v) ? HOLD_JSON_NUMBER
           : cJSON_IsBool(v)   ? HOLD_JSON_BOOL
                               : HOLD_JSON_NULL;
}

const struct cJSON *hold_json_get(const struct cJSON *object, const char *key) {
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const struct cJSON *hold_json_first(const struct cJSON *container) {
    return container ? container->child : NULL;
}

const struct cJSON *hold_json_next(const struct cJSON *v) {
    return v->next;
}

const char *hold_json_key(const struct cJSON *v) {
    return v->string ? v->string : "";
}

size_t hold_json_size(const struct cJSON *container) {
    size_t n = 0;
    for (const cJSON *v = hold_json_first(container); v; v = v->next)
        n++;
    return n;
}

bool hold_json_str(const struct cJSON *v, const char **ret) {
    if (!cJSON_IsString(v))
        return false;
    *ret = v->valuestring;
    return true;
}

/* Exactly representable integers only: beyond 2^53 a double may stand for a neighbour. */
bool hold_json_u64(const struct cJSON *v, uint64_t *ret) {
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble < 0x1p53) || v->valuedouble != floor(v->valuedouble))
        return false;
    *ret = (uint64_t) v->valuedouble;
    return true;
}

bool hold_json_i64(const struct cJSON *v, int64_t *ret) {
    if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) < 0x1p53) || v->valuedouble != floor(v->valuedouble))
        return false;
    *ret = (int64_t) v->valuedouble;
    return true;
}

bool hold_json_f64(const struct cJSON *v, double *ret) {
    if (!cJSON_IsNumber(v))
        return false;
    *ret = v->valuedouble;
    return true;
}

bool hold_json_bool(const struct cJSON *v, bool *ret) {
    if (!cJSON_IsBool(v))
        return false;
    *ret = cJSON_IsTrue(v);
    return true;
}

void hold_json_read(struct hold_json_reader *r, const struct cJSON *object, const char *path, struct hold_buf *mistakes) {
    *r = (struct hold_json_reader) { .object = object, .path = path, .mistakes = mistakes };
    if (object && !cJSON_IsObject(object)) {
        hold_buf_addf(mistakes, "%s: %s, an object is wanted\n", path, type_names[hold_json_type_of(object)]);
        r->object = NULL;
    }
}

const struct cJSON *hold_json_any(struct hold_json_reader *r, const char *key) {
    if (r->n_asked < HOLD_JSON_MAX_KEYS)
        r->asked[r->n_asked++] = key;
    return hold_json_get(r->object, key);
}

void hold_json_mistake(struct hold_json_reader *r, const char *key, const char *format, ...) {
    char text[256];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (n >= 0)
        hold_buf_addf(r->mistakes, "%s%s%s: %s\n", r->path, *r->path ? "." : "", key, text);
}

static bool wanted(struct hold_json_reader *r, const char *key, enum hold_json_type type, const struct cJSON **ret) {
    const struct cJSON *v = hold_json_any(r, key);
    if (!v)
        return false;
    if (hold_json_type_of(v) != type) {
        hold_json_mistake(r, key, "%s, %s is wanted", type_names[hold_json_type_of(v)], type_names[type]);
        return false;
    }
    *ret = v;
    return true;
}

bool hold_json_opt_str(struct hold_json_reader *r, const char *key, const char **ret) {
    const struct cJSON *v;
    return wanted(r, key, HOLD_JSON_STRING, &v) && hold_json_str(v, ret);
}

static bool complain_missing(struct hold_json_reader *r, const char *key) {
    if (!hold_json_get(r->object, key))
        hold_json_mistake(r, key, "is missing");
    return false;
}

bool hold_json_need_str(struct hold_json_reader *r, const char *key, const char **ret) {
    return hold_json_opt_str(r, key, ret) || complain_missing(r, key);
}

bool hold_json_opt_u64(struct hold_json_reader *r, const char *key, uint64_t min, uint64_t max, uint64_t *ret) {
    const struct cJSON *v;
    uint64_t value;
    if (!wanted(r, key, HOLD_JSON_NUMBER, &v))
        return false;
    if (!hold_json_u64(v, &value) || value < min || value > max) {
        hold_json_mistake(r, key, "%.17g, a whole number from %" PRIu64 " to %" PRIu64 " is wanted", v->valuedouble, min, max);
        return false;
    }
    *ret = value;
    return true;
}

bool hold_json_need_u64(struct hold_json_reader *r, const char *key, uint64_t min, uint64_t max, uint64_t *ret) {
    return hold_json_opt_u64(r, key, min, max, ret) || complain_missing(r, key);
}

bool hold_json_opt_f64(struct hold_json_reader *r, const char *key, double min, double max, double *ret) {
    const struct cJSON *v;
    if (!wanted(r, key, HOLD_JSON_NUMBER, &v))
        return false;
    if (!(v->valuedouble >= min && v->valuedouble <= max)) {
        hold_json_mistake(r, key, "%g, a number from %g to %g is wanted", v->valuedouble, min, max);
        return false;
    }
    *ret = v->valuedouble;
    return true;
}

bool hold_json_opt_bool(struct hold_json_reader *r, const char *key, bool *ret) {
    const struct cJSON *v;
    return wanted(r, key, HOLD_JSON_BOOL, &v) && hold_json_bool(v, ret);
}

bool hold_json_opt_array(struct hold_json_reader *r, const char *key, const struct cJSON **ret) {
    return wanted(r, key, HOLD_JSON_ARRAY, ret);
}

bool hold_json_opt_object(struct hold_json_reader *r, const char *key, const struct cJSON **ret) {
    return wanted(r, key, HOLD_JSON_OBJECT, ret);
}

void hold_json_done(struct hold_json_reader *r) {
    for (const cJSON *v = hold_json_first(r->object); v; v = v->next) {
        if (hold_index_of(r->asked, r->n_asked, v->string) >= 0)
            continue;
        const char *near = hold_nearest(v->string, r->asked, r->n_asked);
        hold_json_mistake(r, v->string, near ? "unknown key; did you mean '%s'?" : "unknown key", near);
    }
}
