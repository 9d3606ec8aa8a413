/* opt.c - loads an option table: default, file, environment, flag. Floor: base. opt_text.c prints it. */
#include "base/opt.h"

#include "base/io.h"
#include "base/json.h"
#include "base/list.h"
#include "base/num.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_BYTES = 4096, NAME_BYTES = 96 };

#define OTHER_TYPE "a value of another type is wanted (see holdfast --help)"
#define OURS "HOLDFAST_"
#define OURS_MAX 256 /* variables of ours that are told apart first; with more, all are looked at for each row */

struct loading {
    const struct hold_opt_set *set;
    char *config;
    struct hold_buf *mistakes;
    size_t n_mistakes;
};

HOLD_PRINTF(2, 3) static void mistake(struct loading *l, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    hold_buf_addf(l->mistakes, "%s\n", text);
    l->n_mistakes++;
}

void hold_opt_env_name(const struct hold_opt *row, char *out, size_t out_bytes) {
    if (row->env) {
        snprintf(out, out_bytes, "%s", row->env);
        return;
    }
    size_t n = 0;
    for (const char *p = OURS; *p && n + 1 < out_bytes; p++)
        out[n++] = *p;
    for (const char *p = row->name; *p && n + 1 < out_bytes; p++)
        out[n++] = *p == '-' ? '_' : (char) toupper((unsigned char) *p);
    out[n] = '\0';
}

void hold_opt_key_path(const struct hold_opt *row, char *out, size_t out_bytes) {
    snprintf(out, out_bytes, "%s", row->key ? row->key : row->name);
    for (char *p = out; *p && !row->key; p++)
        if (*p == '-')
            *p = '_';
}

static int parse_enum(const char *text, const char *choices, int *ret, struct hold_err *err) {
    size_t n = strlen(text);
    int index = 0;
    for (const char *p = choices; *p; index++) {
        size_t length = strcspn(p, "|");
        if (length == n && memcmp(p, text, n) == 0) {
            *ret = index;
            return 0;
        }
        p += length + (p[length] == '|');
    }
    return hold_fail(err, HOLD_E_CONFIG, 0, "'%.64s' is not one of %s", text, choices);
}

/* Keeps a terminated copy for as long as the config lives: the store holds one pointer for each. */
static const char *keep(struct loading *l, const char *text, size_t n) {
    char *copy = malloc(n + 1);
    if (!copy) {
        mistake(l, "no memory for an option value of %zu bytes", n);
        return "";
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    hold_buf_add(l->set->store, &copy, sizeof copy);
    return copy;
}

static int set_number(const struct hold_opt *row, void *field, const char *text, struct hold_err *err) {
    double top = row->max > 0 ? row->max : 0x1p62;
    uint64_t low = (uint64_t) row->min, high = (uint64_t) top;
    switch (row->type) {
    case HOLD_OPT_U64:
        return hold_parse_u64(text, low, high, field, err);
    case HOLD_OPT_BYTES:
        return hold_parse_bytes(text, low, high, field, err);
    case HOLD_OPT_MS:
        return hold_parse_ms(text, low, high, field, err);
    case HOLD_OPT_F64:
        return hold_parse_f64(text, row->min, top, field, err);
    case HOLD_OPT_STR:
    case HOLD_OPT_STRS:
    case HOLD_OPT_BOOL:
    case HOLD_OPT_ENUM:
    case HOLD_OPT_SECRET:
        break;
    }
    return hold_fail(err, HOLD_E_INTERNAL, 0, "option '%s' has no number", row->name);
}

static void add_string(struct loading *l, const struct hold_opt *row, const char *text) {
    struct hold_strs *strs = (struct hold_strs *) (void *) (l->config + row->offset);
    if (strs->n == HOLD_STRS_MAX)
        mistake(l, "--%s: more than %d values", row->name, HOLD_STRS_MAX);
    else
        strs->at[strs->n++] = text;
}

/* text into the field of a row that takes one value. */
static int set_value(const struct hold_opt *row, void *field, const char *text, struct hold_err *err) {
    switch (row->type) {
    case HOLD_OPT_STR:
    case HOLD_OPT_SECRET:
        *(const char **) field = text;
        return 0;
    case HOLD_OPT_BOOL:
        return hold_parse_bool(text, field, err);
    case HOLD_OPT_ENUM:
        return parse_enum(text, row->choices, field, err);
    case HOLD_OPT_U64:
    case HOLD_OPT_F64:
    case HOLD_OPT_BYTES:
    case HOLD_OPT_MS:
        return set_number(row, field, text, err);
    case HOLD_OPT_STRS:
        break;
    }
    return hold_fail(err, HOLD_E_INTERNAL, 0, "option '%s' takes more than one value", row->name);
}

/* One value from text into its field. where names the source in a mistake ("--grace", "HOLDFAST_GRACE", "config: grace"). */
static void set_text(struct loading *l, size_t index, const char *text, enum hold_opt_source from, const char *where) {
    const struct hold_opt *row = &l->set->rows[index];
    void *field = l->config + row->offset;
    struct hold_err err = { 0 };
    int failed = 0;
    if (row->type != HOLD_OPT_STRS) {
        failed = set_value(row, field, text, &err);
    } else {
        if (from > l->set->sources[index])
            *(struct hold_strs *) field = (struct hold_strs) { .n = 0 };
        add_string(l, row, text);
    }
    if (failed)
        mistake(l, "%s: %s", where, err.text);
    else
        l->set->sources[index] = from;
}

static void load_defaults(struct loading *l) {
    for (size_t i = 0; i < l->set->n_rows; i++) {
        const struct hold_opt *row = &l->set->rows[i];
        const char *initial = l->set->is_other && row->other ? row->other : row->initial;
        l->set->sources[i] = HOLD_FROM_DEFAULT;
        if (initial)
            set_text(l, i, initial, HOLD_FROM_DEFAULT, row->name);
        else if (row->type == HOLD_OPT_STR || row->type == HOLD_OPT_SECRET)
            *(const char **) (void *) (l->config + row->offset) = "";
    }
}

void hold_opt_release(struct hold_opt_set *set) {
    for (size_t at = 0; at + sizeof(char *) <= set->store->n; at += sizeof(char *)) {
        char *kept;
        memcpy(&kept, set->store->data + at, sizeof kept);
        free(kept);
    }
    hold_buf_release(set->store);
}

/* ---- the file ---- */

/* A value of the file as the text that its parser takes, in number when it is none; NULL: it has another type. */
static const char *text_of_json(const struct hold_opt *row, const struct cJSON *v, char number[64]) {
    const char *text;
    uint64_t whole;
    double real;
    bool truth;
    bool takes_number = row->type == HOLD_OPT_U64 || row->type == HOLD_OPT_BYTES;
    if (row->type == HOLD_OPT_BOOL)
        return hold_json_bool(v, &truth) ? (truth ? "true" : "false") : NULL;
    if (takes_number && hold_json_u64(v, &whole)) {
        snprintf(number, 64, "%" PRIu64, whole);
        return number;
    }
    if (row->type == HOLD_OPT_F64) {
        if (!hold_json_f64(v, &real))
            return NULL;
        snprintf(number, 64, "%.17g", real);
        return number;
    }
    return row->type != HOLD_OPT_U64 && hold_json_str(v, &text) ? text : NULL;
}

static void set_json(struct loading *l, size_t index, const struct cJSON *v, const char *where) {
    const struct hold_opt *row = &l->set->rows[index];
    char number[64];
    const char *text;
    if (row->type == HOLD_OPT_STRS && hold_json_type_of(v) == HOLD_JSON_ARRAY) {
        for (const struct cJSON *item = hold_json_first(v); item; item = hold_json_next(item)) {
            if (hold_json_str(item, &text))
                set_text(l, index, keep(l, text, strlen(text)), HOLD_FROM_FILE, where);
            else
                mistake(l, "%s: an array of strings is wanted", where);
        }
        return;
    }
    text = text_of_json(row, v, number);
    if (text)
        set_text(l, index, keep(l, text, strlen(text)), HOLD_FROM_FILE, where);
    else
        mistake(l, "%s: %s", where, OTHER_TYPE);
}

int hold_opt_from_json(const struct hold_opt *row, const struct cJSON *v, void *ret_field, struct hold_err *err) {
    char number[64];
    const char *text = text_of_json(row, v, number);
    if (!text)
        return hold_fail(err, HOLD_E_CONFIG, 0, OTHER_TYPE);
    return set_value(row, ret_field, text, err);
}

/* A secret never stands in the config file itself: "<key>_file" names the file that holds it. */
static void load_secret_file(struct loading *l, size_t index, const char *path, enum hold_opt_source from, const char *where) {
    hold_autobuf bytes = hold_buf_with_max(SECRET_BYTES);
    struct hold_err err = { 0 };
    if (hold_read_file(path, &bytes, &err) < 0) {
        mistake(l, "%s: %s", where, err.text);
        return;
    }
    while (bytes.n && (bytes.data[bytes.n - 1] == '\n' || bytes.data[bytes.n - 1] == '\r'))
        bytes.n--;
    set_text(l, index, keep(l, bytes.data ? bytes.data : "", bytes.n), from, where);
}

/* Which row a dotted path stands for, or -1; *ret_is_prefix when it is the object around some rows. */
static int find_key(const struct hold_opt_set *set, const char *path, bool *ret_is_prefix) {
    size_t n = strlen(path);
    *ret_is_prefix = false;
    for (size_t i = 0; i < set->n_rows; i++) {
        char key[NAME_BYTES + 8];
        hold_opt_key_path(&set->rows[i], key, NAME_BYTES);
        if (set->rows[i].type == HOLD_OPT_SECRET)
            strcat(key, "_file");
        if (strcmp(key, path) == 0)
            return (int) i;
        if (strncmp(key, path, n) == 0 && key[n] == '.')
            *ret_is_prefix = true;
    }
    return -1;
}

/* Near are keys, the objects around them, and the keys that others read. */
static void unknown_key(struct loading *l, const char *path, const char *const *known) {
    static char keys[256][NAME_BYTES + 8];
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < l->set->n_rows && n + 2 < HOLD_COUNT_OF(names); i++) {
        hold_opt_key_path(&l->set->rows[i], keys[n], NAME_BYTES);
        names[n] = keys[n];
        n++;
        snprintf(keys[n], sizeof keys[n], "%.*s", (int) strcspn(keys[n - 1], "."), keys[n - 1]);
        names[n] = keys[n];
        n++;
    }
    for (size_t i = 0; known && known[i] && n < HOLD_COUNT_OF(names); i++)
        names[n++] = known[i];
    const char *near = hold_nearest(path, names, n);
    if (near)
        mistake(l, "config: %s: unknown key; did you mean '%s'?", path, near);
    else
        mistake(l, "config: %s: unknown key", path);
}

static void load_object(struct loading *l, const struct cJSON *object, const char *prefix, const char *const *known) {
    for (const struct cJSON *v = hold_json_first(object); v; v = hold_json_next(v)) {
        char path[2 * NAME_BYTES], where[3 * NAME_BYTES];
        snprintf(path, sizeof path, "%s%s%.90s", prefix, *prefix ? "." : "", hold_json_key(v));
        snprintf(where, sizeof where, "config: %s", path);
        bool is_prefix, is_known = false;
        for (size_t i = 0; known && known[i]; i++)
            is_known = is_known || strcmp(known[i], path) == 0;
        int index = find_key(l->set, path, &is_prefix);
        bool is_secret = index >= 0 && l->set->rows[index].type == HOLD_OPT_SECRET;
        const char *text;
        if (is_secret && !hold_json_str(v, &text))
            mistake(l, "%s: the path of a file is wanted", where);
        else if (is_secret)
            load_secret_file(l, (size_t) index, text, HOLD_FROM_FILE, where);
        else if (index >= 0)
            set_json(l, (size_t) index, v, where);
        else if (is_prefix && hold_json_type_of(v) == HOLD_JSON_OBJECT)
            load_object(l, v, path, known);
        else if (is_prefix && !is_known)
            mistake(l, "%s: an object is wanted", where);
        else if (!is_known)
            unknown_key(l, path, known);
    }
}

/* ---- the environment ---- */

static const char *env_get(const char *const *environment, const char *name) {
    size_t n = strlen(name);
    for (; environment && *environment; environment++)
        if (**environment == *name && strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return *environment + n + 1;
    return NULL;
}

/* The entries that rows without a variable of their own can mean: of hundreds of a pod's a few, for a hundred rows. */
static const char *const *only_ours(const char *const *environment, const char *ret_ours[OURS_MAX + 1]) {
    size_t n = 0;
    for (const char *const *e = environment; e && *e; e++) {
        if (**e != OURS[0] || strncmp(*e, OURS, strlen(OURS)) != 0)
            continue;
        if (n == OURS_MAX)
            return environment;
        ret_ours[n++] = *e;
    }
    ret_ours[n] = NULL;
    return ret_ours;
}

static void load_environment(struct loading *l, const char *const *environment) {
    const char *ours[OURS_MAX + 1];
    const char *const *few = only_ours(environment, ours);
    for (size_t i = 0; i < l->set->n_rows; i++) {
        const struct hold_opt *row = &l->set->rows[i];
        const char *const *from = row->env ? environment : few;
        char name[NAME_BYTES];
        if (!from || !*from)
            continue;
        hold_opt_env_name(row, name, sizeof name - 8);
        const char *value = env_get(from, name);
        if (value && row->type == HOLD_OPT_STRS) {
            for (const char *p = value; *p;) {
                size_t n = strcspn(p, ",");
                if (n)
                    set_text(l, i, keep(l, p, n), HOLD_FROM_ENV, name);
                p += n + (p[n] == ',');
            }
        } else if (value) {
            set_text(l, i, value, HOLD_FROM_ENV, name);
        }
        if (row->type == HOLD_OPT_SECRET && !value) {
            strcat(name, "_FILE");
            const char *path = env_get(from, name);
            if (path)
                load_secret_file(l, i, path, HOLD_FROM_ENV, name);
        }
    }
}

/* ---- the command line ---- */

static int find_flag(const struct hold_opt_set *set, const char *name, size_t n) {
    for (size_t i = 0; i < set->n_rows; i++)
        if (set->rows[i].type != HOLD_OPT_SECRET && strlen(set->rows[i].name) == n && memcmp(set->rows[i].name, name, n) == 0)
            return (int) i;
    return -1;
}

static int find_letter(const struct hold_opt_set *set, char letter) {
    for (size_t i = 0; i < set->n_rows; i++)
        if (set->rows[i].letter && set->rows[i].letter == letter)
            return (int) i;
    return -1;
}

static void unknown_flag(struct loading *l, const char *word) {
    const char *names[256];
    size_t n = HOLD_MIN(l->set->n_rows, HOLD_COUNT_OF(names));
    for (size_t i = 0; i < n; i++)
        names[i] = l->set->rows[i].name;
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int) HOLD_MIN(strcspn(word, "="), (size_t) 64), word);
    const char *near = hold_nearest(name, names, n);
    for (size_t i = 0; i < n; i++)
        if (l->set->rows[i].type == HOLD_OPT_SECRET && strcmp(l->set->rows[i].name, name) == 0) {
            char env[NAME_BYTES];
            hold_opt_env_name(&l->set->rows[i], env, sizeof env);
            mistake(l, "--%s: a secret is never given on the command line; set %s or %s_FILE", name, env, env);
            return;
        }
    if (near)
        mistake(l, "--%s: unknown option; did you mean --%s?", name, near);
    else
        mistake(l, "--%s: unknown option", name);
}

/* One option word at argv[at]; returns how many words it took. */
static int load_flag(struct loading *l, int argc, char *const *argv, int at) {
    const char *word = argv[at];
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    size_t n = is_long ? strcspn(name, "=") : 1;
    const char *value = is_long ? (name[n] == '=' ? name + n + 1 : NULL) : (name[1] ? name + 1 : NULL);
    bool is_negated = false;
    int index = is_long ? find_flag(l->set, name, n) : find_letter(l->set, *name);
    if (index < 0 && is_long && n > 3 && memcmp(name, "no-", 3) == 0) {
        index = find_flag(l->set, name + 3, n - 3);
        is_negated = index >= 0 && l->set->rows[index].type == HOLD_OPT_BOOL;
        index = is_negated ? index : -1;
    }
    if (index < 0) {
        unknown_flag(l, is_long ? name : word);
        return 1;
    }
    char where[NAME_BYTES];
    snprintf(where, sizeof where, "--%.64s", l->set->rows[index].name);
    if (l->set->rows[index].type == HOLD_OPT_BOOL) {
        if (is_negated && value)
            mistake(l, "--%s: takes no value", name);
        else
            set_text(l, (size_t) index, is_negated ? "false" : value ? value : "true", HOLD_FROM_FLAG, where);
        return 1;
    }
    if (!value && at + 1 >= argc) {
        mistake(l, "%s: a value is missing", where);
        return 1;
    }
    set_text(l, (size_t) index, value ? value : argv[at + 1], HOLD_FROM_FLAG, where);
    return value ? 1 : 2;
}

int hold_opt_load(const struct hold_opt_set *set, void *config, const struct cJSON *root, const char *const *known_elsewhere,
                  const char *const *environment, int argc, char *const *argv, bool stop_at_word, struct hold_strs *ret_words,
                  int *ret_rest, struct hold_buf *mistakes, struct hold_err *err) {
    struct loading l = { .set = set, .config = config, .mistakes = mistakes };
    struct hold_strs words = { .n = 0 };
    load_defaults(&l);
    if (root)
        load_object(&l, root, "", known_elsewhere);
    load_environment(&l, environment);
    int at = 1;
    while (at < argc && strcmp(argv[at], "--") != 0) {
        if (argv[at][0] == '-' && argv[at][1]) {
            at += load_flag(&l, argc, argv, at);
            continue;
        }
        if (stop_at_word)
            break;
        if (words.n == HOLD_STRS_MAX)
            mistake(&l, "more than %d words on the command line", HOLD_STRS_MAX);
        else
            words.at[words.n++] = argv[at];
        at++;
    }
    bool ended = at < argc && strcmp(argv[at], "--") == 0;
    if (ret_words)
        *ret_words = words;
    if (ret_rest)
        *ret_rest = HOLD_MIN(at + (ended ? 1 : 0), argc);
    if (l.n_mistakes == 0)
        return 0;
    size_t shown = mistakes->data ? strcspn(mistakes->data, "\n") : 0;
    return hold_fail(err, HOLD_E_CONFIG, 0, "%zu mistake%s: %.*s%s", l.n_mistakes, l.n_mistakes == 1 ? "" : "s",
                     (int) HOLD_MIN(shown, (size_t) 300), mistakes->data ? mistakes->data : "", l.n_mistakes > 1 ? " ..." : "");
}
