/* opt.h - option tables: one row is the flag, the variable, the JSON key, the default, the range and the help line.
 * Floor: base.
 *
 * Precedence is one sentence: default, file, environment, flag. hold_opt_dump prints each effective value with its source.
 * The flag is "--<name>", the variable "HOLDFAST_<NAME>" with '-' as '_', the JSON key is the row's key. */
#ifndef HOLD_BASE_OPT_H
#define HOLD_BASE_OPT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

enum hold_opt_type {
    HOLD_OPT_STR,    /* field: const char *; borrowed from argv, environment or the store */
    HOLD_OPT_STRS,   /* field: struct hold_strs; a repeated flag or JSON array; environment: split at commas */
    HOLD_OPT_BOOL,   /* field: bool; "--x" is true, "--x=false" and "--no-x" are false */
    HOLD_OPT_U64,    /* field: uint64_t; JSON number */
    HOLD_OPT_F64,    /* field: double */
    HOLD_OPT_BYTES,  /* field: uint64_t; "64MiB"; JSON string or number of bytes */
    HOLD_OPT_MS,     /* field: uint64_t; "1.5s"; JSON string */
    HOLD_OPT_ENUM,   /* field: int, index into choices */
    HOLD_OPT_SECRET, /* field: const char *; by variable, by <VARIABLE>_FILE or by JSON key "<key>_file", never by flag, printed as stars */
};

#define HOLD_STRS_MAX 64
struct hold_strs {
    const char *at[HOLD_STRS_MAX];
    size_t n;
};

struct hold_opt {
    const char *name;    /* "restart-delay"; the flag without its dashes */
    enum hold_opt_type type;
    size_t offset;       /* offsetof the field in the config struct */
    const char *initial; /* default as text in the form the parser takes; NULL: "" / 0 / false / empty */
    double min, max;     /* range for U64, F64, BYTES, MS; max 0: none */
    const char *help;    /* what it does, lower case, without a period */
    const char *key;     /* JSON path with dots ("restart.delay"); NULL: the name with '-' as '_' at the top level */
    const char *choices; /* ENUM: "always|on-failure|never" */
    const char *env;     /* NULL: HOLDFAST_<NAME>; otherwise this variable instead (HF_TOKEN) */
    const char *value;   /* what the help shows after the flag: "ADDR"; NULL: by type */
    char letter;         /* short flag, or 0 */
    const char *other;   /* default where the set says is_other; NULL: as initial */
};

enum hold_opt_source { HOLD_FROM_DEFAULT, HOLD_FROM_FILE, HOLD_FROM_ENV, HOLD_FROM_FLAG };

/* A table, and afterwards where each value came from. sources has n_rows entries, owned by the caller. */
struct hold_opt_set {
    const struct hold_opt *rows;
    size_t n_rows;
    enum hold_opt_source *sources;
    bool is_other;          /* start from the rows' other defaults */
    struct hold_buf *store; /* the copies that the config's strings point to; empty at first, maximum 64 KiB will do */
};
/* Frees the copies; every string of the config is dead afterwards. */
void hold_opt_release(struct hold_opt_set *set);

/* Defaults, then root (may be NULL), then environ, then argv into config (zeroed by the caller).
 *
 * argv[0] is skipped. Options end at "--" or at the first word that is not an option when stop_at_word; other words are
 * collected in ret_words. Unknown flags name the nearest known one. Every mistake of every source adds a line to
 * mistakes; the function goes on to the end, then fails with CONFIG when there was one ("3 mistakes: ...").
 * known_elsewhere: top-level JSON keys that another reader handles ("servers"), NULL-terminated, or NULL.
 * ret_rest: index of the first argv after "--", or argc. */
HOLD_MUST int hold_opt_load(const struct hold_opt_set *set, void *config, const struct cJSON *root,
                            const char *const *known_elsewhere, const char *const *environment, int argc,
                            char *const *argv, bool stop_at_word, struct hold_strs *ret_words, int *ret_rest,
                            struct hold_buf *mistakes, struct hold_err *err);

/* One value of a file into the field of a row that is no STRS and no SECRET: types and ranges as hold_opt_load takes them. A string is
 * borrowed from v. Fails with CONFIG; then the field is untouched. */
HOLD_MUST int hold_opt_from_json(const struct hold_opt *row, const struct cJSON *v, void *ret_field, struct hold_err *err);

/* Variables of this prefix that are no option: a line "NAME: no such variable; did you mean NEAR?" each, names only, never a value.
 * The links that Kubernetes sets for a Service of the prefix's name (HOLDFAST_SERVICE_HOST, HOLDFAST_PORT_80_TCP) are no strangers. */
struct hold_opt_names {
    const char *prefix; /* "HOLDFAST_" */
    const struct hold_opt *rows;
    size_t n_rows;
    const char *const *known; /* further names, NULL-terminated, or NULL */
};
void hold_opt_strangers(const struct hold_opt_names *of, const char *const *environment, struct hold_buf *out);

/* Help for people; rows in table order. */
void hold_opt_help(const struct hold_opt *rows, size_t n_rows, struct hold_buf *out);
/* The same rows as a Markdown table, and as roff for the man page. */
void hold_opt_markdown(const struct hold_opt *rows, size_t n_rows, struct hold_buf *out);
void hold_opt_roff(const struct hold_opt *rows, size_t n_rows, struct hold_buf *out);
/* "key = value (source)" a line, or one JSON object {"key": {"value":..., "source":"env", "flag":..., "env":...}}. */
void hold_opt_dump(const struct hold_opt_set *set, const void *config, bool as_json, struct hold_buf *out);
/* The variable of a row, written into out (at least 64 bytes). */
void hold_opt_env_name(const struct hold_opt *row, char *out, size_t out_bytes);
void hold_opt_key_path(const struct hold_opt *row, char *out, size_t out_bytes);

#endif
