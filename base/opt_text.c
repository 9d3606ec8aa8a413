/* opt_text.c - an option table as help, Markdown, roff and a dump of effective values. Floor: base. */
#include "base/opt.h"

#include "base/list.h"
#include "base/num.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 34, NAME_BYTES = 96 };

static const char *value_word(const struct hold_opt *row) {
    static const char *const words[] = {
        [HOLD_OPT_STR] = "TEXT", [HOLD_OPT_STRS] = "TEXT", [HOLD_OPT_BOOL] = "", [HOLD_OPT_U64] = "N", [HOLD_OPT_F64] = "N",
        [HOLD_OPT_BYTES] = "SIZE", [HOLD_OPT_MS] = "TIME", [HOLD_OPT_ENUM] = "", [HOLD_OPT_SECRET] = "",
    };
    return row->value ? row->value : row->type == HOLD_OPT_ENUM ? row->choices : words[row->type];
}

/* "--grace TIME", or for a secret "HF_TOKEN, HF_TOKEN_FILE". */
static void flag_text(const struct hold_opt *row, struct hold_buf *out) {
    char env[NAME_BYTES];
    hold_opt_env_name(row, env, sizeof env);
    const char *value = value_word(row);
    if (row->type == HOLD_OPT_SECRET)
        hold_buf_addf(out, "%s, %s_FILE", env, env);
    else if (row->letter)
        hold_buf_addf(out, "-%c, --%s%s%s", row->letter, row->name, *value ? " " : "", value);
    else
        hold_buf_addf(out, "--%s%s%s", row->name, *value ? " " : "", value);
}

/* Printf into text of the range: "1ms to 5m", "" when there is none. */
static void range_text(const struct hold_opt *row, char *out, size_t out_bytes) {
    char low[40], high[40];
    out[0] = '\0';
    if (!(row->max > 0))
        return;
    switch (row->type) {
    case HOLD_OPT_MS:
        hold_format_ms((uint64_t) row->min, low, sizeof low);
        hold_format_ms((uint64_t) row->max, high, sizeof high);
        break;
    case HOLD_OPT_BYTES:
        hold_format_bytes((uint64_t) row->min, low, sizeof low);
        hold_format_bytes((uint64_t) row->max, high, sizeof high);
        break;
    case HOLD_OPT_U64:
    case HOLD_OPT_F64:
        snprintf(low, sizeof low, "%.15g", row->min);
        snprintf(high, sizeof high, "%.15g", row->max);
        break;
    case HOLD_OPT_STR:
    case HOLD_OPT_STRS:
    case HOLD_OPT_BOOL:
    case HOLD_OPT_ENUM:
    case HOLD_OPT_SECRET:
        return;
    }
    snprintf(out, out_bytes, "%s to %s", low, high);
}

void hold_opt_help(const struct hold_opt *rows, size_t n_rows, struct hold_buf *out) {
    for (size_t i = 0; i < n_rows; i++) {
        size_t begin = out->n;
        hold_buf_adds(out, "  ");
        flag_text(&rows[i], out);
        if (out->n - begin + 2 > HELP_COLUMN) {
            hold_buf_addc(out, '\n');
            begin = out->n;
        }
        while (!out->failed && out->n - begin < HELP_COLUMN)
            hold_buf_addc(out, ' ');
        hold_buf_adds(out, rows[i].help);
        if (rows[i].initial && *rows[i].initial)
            hold_buf_addf(out, " [%s]", rows[i].initial);
        hold_buf_addc(out, '\n');
    }
}

static void add_cell(struct hold_buf *out, const char *text) {
    for (; *text; text++)
        if (*text == '|')
            hold_buf_adds(out, "\\|");
        else
            hold_buf_addc(out, *text);
}

void hold_opt_markdown(const struct hold_opt *rows, size_t n_rows, struct hold_buf *out) {
    hold_buf_adds(out, "| flag | variable | JSON key | default | range | meaning |\n| --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < n_rows; i++) {
        char env[NAME_BYTES], key[NAME_BYTES], range[96];
        hold_autobuf flag = hold_buf_with_max(512);
        hold_opt_env_name(&rows[i], env, sizeof env);
        hold_opt_key_path(&rows[i], key, sizeof key);
        range_text(&rows[i], range, sizeof range);
        flag_text(&rows[i], &flag);
        bool is_secret = rows[i].type == HOLD_OPT_SECRET;
        hold_buf_adds(out, is_secret ? "| " : "| `");
        add_cell(out, is_secret ? "" : flag.data);
        hold_buf_addf(out, is_secret ? "| `%s`, `%s_FILE` " : "` | `%s` ", env, env);
        hold_buf_addf(out, "| `%s%s` | %s | %s | ", key, is_secret ? "_file" : "", rows[i].initial ? rows[i].initial : "", range);
        add_cell(out, rows[i].help);
        hold_buf_adds(out, " |\n");
    }
}

static void add_roff(struct hold_buf *out, const char *text) {
    for (; *text; text++)
        if (*text == '-')
            hold_buf_adds(out, "\\-");
        else if (*text == '\\')
            hold_buf_adds(out, "\\e");
        else
            hold_buf_addc(out, *text);
}

void hold_opt_roff(const struct hold_opt *rows, size_t n_rows, struct hold_buf *out) {
    for (size_t i = 0; i < n_rows; i++) {
        char env[NAME_BYTES], key[NAME_BYTES], range[96];
        hold_autobuf flag = hold_buf_with_max(512);
        hold_opt_env_name(&rows[i], env, sizeof env);
        hold_opt_key_path(&rows[i], key, sizeof key);
        range_text(&rows[i], range, sizeof range);
        flag_text(&rows[i], &flag);
        hold_buf_adds(out, ".TP\n\\fB");
        add_roff(out, flag.data ? flag.data : "");
        hold_buf_adds(out, "\\fR\n");
        add_roff(out, rows[i].help);
        hold_buf_adds(out, ".\n");
        if (rows[i].initial && *rows[i].initial) {
            hold_buf_adds(out, "Default ");
            add_roff(out, rows[i].initial);
            hold_buf_adds(out, ".\n");
        }
        if (*range)
            hold_buf_addf(out, "Range %s.\n", range);
        hold_buf_addf(out, "Variable \\fI%s\\fR, key \\fI%s%s\\fR.\n", env, key, rows[i].type == HOLD_OPT_SECRET ? "_file" : "");
    }
}

static void add_strs(const struct hold_strs *strs, struct hold_buf *out) {
    hold_buf_addc(out, '[');
    for (size_t i = 0; i < strs->n; i++) {
        hold_buf_adds(out, i ? ", " : "");
        hold_buf_add_json(out, strs->at[i], strlen(strs->at[i]));
    }
    hold_buf_addc(out, ']');
}

static void add_string(const char *text, struct hold_buf *out) {
    hold_buf_add_json(out, text ? text : "", text ? strlen(text) : 0);
}

/* The effective value as JSON. */
static void add_value(const struct hold_opt *row, const void *config, struct hold_buf *out) {
    const void *field = (const char *) config + row->offset;
    char text[64];
    switch (row->type) {
    case HOLD_OPT_STR:
        add_string(*(const char *const *) field, out);
        return;
    case HOLD_OPT_SECRET:
        add_string(*(const char *const *) field && **(const char *const *) field ? "****" : "", out);
        return;
    case HOLD_OPT_STRS:
        add_strs(field, out);
        return;
    case HOLD_OPT_BOOL:
        hold_buf_adds(out, *(const bool *) field ? "true" : "false");
        return;
    case HOLD_OPT_U64:
        hold_buf_addf(out, "%" PRIu64, *(const uint64_t *) field);
        return;
    case HOLD_OPT_F64:
        hold_buf_addf(out, "%.15g", *(const double *) field);
        return;
    case HOLD_OPT_BYTES:
        hold_format_bytes(*(const uint64_t *) field, text, sizeof text);
        add_string(text, out);
        return;
    case HOLD_OPT_MS:
        hold_format_ms(*(const uint64_t *) field, text, sizeof text);
        add_string(text, out);
        return;
    case HOLD_OPT_ENUM: {
        const char *p = row->choices;
        for (int i = *(const int *) field; i > 0; i--)
            p += strcspn(p, "|") + 1;
        hold_buf_add_json(out, p, strcspn(p, "|"));
        return;
    }
    }
}

void hold_opt_dump(const struct hold_opt_set *set, const void *config, bool as_json, struct hold_buf *out) {
    static const char *const sources[] = { "default", "file", "environment", "flag" };
    hold_buf_adds(out, as_json ? "{" : "");
    for (size_t i = 0; i < set->n_rows; i++) {
        char env[NAME_BYTES], key[NAME_BYTES];
        hold_opt_env_name(&set->rows[i], env, sizeof env);
        hold_opt_key_path(&set->rows[i], key, sizeof key);
        if (as_json)
            hold_buf_addf(out, "%s\n  \"%s\": {\"value\": ", i ? "," : "", key);
        else
            hold_buf_addf(out, "%-28s = ", key);
        add_value(&set->rows[i], config, out);
        if (as_json)
            hold_buf_addf(out, ", \"source\": \"%s\", \"flag\": \"--%s\", \"variable\": \"%s\"}", sources[set->sources[i]],
                          set->rows[i].name, env);
        else
            hold_buf_addf(out, "  (%s)\n", sources[set->sources[i]]);
    }
    hold_buf_adds(out, as_json ? "\n}\n" : "");
}
