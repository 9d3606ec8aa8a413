/* json.h - strict reading of JSON, on top of cJSON. Floor: base. The only header of the house that stands for cJSON.
 *
 * Before cJSON sees a byte the text is scanned: valid UTF-8, depth and token count bounded, no raw control byte and no
 * \u0000 in a string, no lone surrogate, numbers in range, no text after the value, no duplicate key in one object
 * (found after parsing). What cJSON then builds is bounded by max_tokens.
 *
 * Reading an object is a conversation with a reader: each key asked for is marked, hold_json_done refuses what nobody
 * asked for and names the nearest known key. Mistakes are collected, not thrown: a reader goes on after a wrong value, so
 * that a person sees all mistakes at once. */
#ifndef HOLD_BASE_JSON_H
#define HOLD_BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

struct hold_json_limits {
    size_t max_bytes;
    size_t max_depth;  /* 0: 32 */
    size_t max_tokens; /* 0: 4096; values and keys counted */
};

/* The tree; release with hold_json_release (accepts NULL). what names the source in messages ("config 'x.json'").
 * Fails with FORMAT (naming the byte offset) or LIMIT. text need not be terminated. */
HOLD_MUST int hold_json_parse(const char *text, size_t n, const char *what, struct hold_json_limits limits,
                              struct cJSON **ret_root, struct hold_err *err);
void hold_json_release(struct cJSON **root);
#define hold_autojson __attribute__((cleanup(hold_json_release))) struct cJSON

/* ---- plain access, no reader ---- */
enum hold_json_type { HOLD_JSON_NULL, HOLD_JSON_BOOL, HOLD_JSON_NUMBER, HOLD_JSON_STRING, HOLD_JSON_ARRAY, HOLD_JSON_OBJECT };
enum hold_json_type hold_json_type_of(const struct cJSON *v);
const struct cJSON *hold_json_get(const struct cJSON *object, const char *key); /* NULL when absent or not an object */
const struct cJSON *hold_json_first(const struct cJSON *container);             /* first child of array or object, or NULL */
const struct cJSON *hold_json_next(const struct cJSON *v);
const char *hold_json_key(const struct cJSON *v);                               /* "" in arrays */
size_t hold_json_size(const struct cJSON *container);
/* False (and *ret untouched) when v is NULL or of another type or, for u64/i64, not an exact integer below 2^53. */
bool hold_json_str(const struct cJSON *v, const char **ret);
bool hold_json_u64(const struct cJSON *v, uint64_t *ret);
bool hold_json_i64(const struct cJSON *v, int64_t *ret);
bool hold_json_f64(const struct cJSON *v, double *ret);
bool hold_json_bool(const struct cJSON *v, bool *ret);

/* ---- a reader over one object ---- */
#define HOLD_JSON_MAX_KEYS 96
struct hold_json_reader {
    const struct cJSON *object;
    const char *path;               /* "servers.front", in messages; borrowed */
    struct hold_buf *mistakes;      /* one line each is added; shared by nested readers */
    const char *asked[HOLD_JSON_MAX_KEYS];
    size_t n_asked;
};
/* object may be NULL (then every key is absent); if it is not an object that is a mistake. */
void hold_json_read(struct hold_json_reader *r, const struct cJSON *object, const char *path, struct hold_buf *mistakes);
/* Each returns true when the key is there with a right value; false when it is absent (no mistake for opt_, one for
 * need_) or wrong (a mistake naming path, key, what was found and what is wanted). */
bool hold_json_need_str(struct hold_json_reader *r, const char *key, const char **ret);
bool hold_json_opt_str(struct hold_json_reader *r, const char *key, const char **ret);
bool hold_json_need_u64(struct hold_json_reader *r, const char *key, uint64_t min, uint64_t max, uint64_t *ret);
bool hold_json_opt_u64(struct hold_json_reader *r, const char *key, uint64_t min, uint64_t max, uint64_t *ret);
bool hold_json_opt_f64(struct hold_json_reader *r, const char *key, double min, double max, double *ret);
bool hold_json_opt_bool(struct hold_json_reader *r, const char *key, bool *ret);
bool hold_json_opt_array(struct hold_json_reader *r, const char *key, const struct cJSON **ret);
bool hold_json_opt_object(struct hold_json_reader *r, const char *key, const struct cJSON **ret);
/* Marks a key as known and gives its raw value or NULL. */
const struct cJSON *hold_json_any(struct hold_json_reader *r, const char *key);
/* A mistake in the reader's own words. */
HOLD_PRINTF(3, 4) void hold_json_mistake(struct hold_json_reader *r, const char *key, const char *format, ...);
/* Adds a mistake for each key that nobody asked for. */
void hold_json_done(struct hold_json_reader *r);

/* The nearest of names by edit distance at most 3, or NULL: for "did you mean". */
const char *hold_nearest(const char *word, const char *const *names, size_t n_names);

#endif
