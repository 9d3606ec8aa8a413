/* words.c - a command line and an environment while they are put together. Floor: host. */
#include "supervisor/host/words.h"

#include "base/num.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 256
#define MOST_ROOM ((size_t) 1 << 22) /* the kernel takes 6 MiB of text and pointers at most */

/* One more entry, and the NULL behind it. */
static bool room_for_one(struct hold_words *w) {
    size_t used = w->n_argv + 1 + w->n_envp + 1;
    if (used + 1 <= w->room)
        return true;
    size_t more = w->room ? w->room * 2 : FIRST_ROOM;
    const char **grown = w->is_full || more > MOST_ROOM ? NULL : realloc(w->argv, more * sizeof(w->argv[0]));
    if (!grown) {
        w->is_full = true;
        return false;
    }
    w->argv = grown;
    w->envp = grown + w->n_argv + 1;
    w->room = more;
    return true;
}

void hold_words_begin(struct hold_words *w) {
    w->n_argv = w->n_envp = w->n_text = 0;
    w->is_full = false;
    if (!room_for_one(w))
        return;
    w->envp = w->argv + 1;
    w->argv[0] = w->envp[0] = NULL;
}

void hold_words_add(struct hold_words *w, const char *word) {
    if (!room_for_one(w))
        return;
    w->argv[w->n_argv++] = word;
    w->argv[w->n_argv] = NULL;
    w->envp = w->argv + w->n_argv + 1;
    w->envp[0] = NULL;
}

void hold_words_option(struct hold_words *w, const char *name, const char *value) {
    if (!value || !*value)
        return;
    hold_words_add(w, name);
    hold_words_add(w, value);
}

void hold_words_option_ms(struct hold_words *w, const char *name, uint64_t ms) {
    char value[32];
    hold_format_ms(ms, value, sizeof(value));
    hold_words_option(w, name, hold_words_text(w, "%s", value));
}

const char *hold_words_text(struct hold_words *w, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    size_t left = sizeof(w->text) - w->n_text;
    char *at = w->text + left - (n < 0 || (size_t) n >= left ? 0 : (size_t) n + 1);
    if (at < w->text + left) {
        w->n_text += (size_t) n + 1;
        (void) vsnprintf(at, (size_t) n + 1, format, again);
    } else {
        w->is_full = true;
    }
    va_end(again);
    va_end(args);
    return w->is_full ? "" : at;
}

static size_t name_length(const char *entry) {
    return strcspn(entry, "=");
}

void hold_words_pass(struct hold_words *w, const char *entry) {
    if (!room_for_one(w))
        return;
    w->envp[w->n_envp++] = entry;
    w->envp[w->n_envp] = NULL;
}

static void drop(struct hold_words *w, const char *name, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < w->n_envp; i++)
        if (name_length(w->envp[i]) != n || strncmp(w->envp[i], name, n) != 0)
            w->envp[kept++] = w->envp[i];
    if (kept == w->n_envp)
        return;
    w->n_envp = kept;
    w->envp[kept] = NULL;
}

void hold_words_drop(struct hold_words *w, const char *name) {
    drop(w, name, strlen(name));
}

void hold_words_put(struct hold_words *w, const char *entry) {
    drop(w, entry, name_length(entry));
    hold_words_pass(w, entry);
}

const char *hold_words_value(const struct hold_words *w, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < w->n_envp; i++)
        if (name_length(w->envp[i]) == n && strncmp(w->envp[i], name, n) == 0 && w->envp[i][n] == '=')
            return w->envp[i] + n + 1;
    return NULL;
}

int hold_words_check(const struct hold_words *w, struct hold_err *err) {
    return w->is_full ? hold_fail(err, HOLD_E_LIMIT, ENOMEM, "put a command of %zu words and %zu variables together", w->n_argv, w->n_envp) : 0;
}

/* One word from *from on, written to *to. False: a quote without its end. */
static bool take_word(char **from, char **to) {
    char quote = '\0';
    char *in = *from, *out = *to;
    for (; *in && (quote || (*in != ' ' && *in != '\t')); in++) {
        if (quote ? *in == quote : *in == '\'' || *in == '"')
            quote = quote ? '\0' : *in;
        else if (*in == '\\' && quote != '\'' && in[1] && (!quote || in[1] == '"' || in[1] == '\\'))
            *out++ = *++in;
        else
            *out++ = *in;
    }
    *from = in;
    *to = out;
    return !quote;
}

int hold_words_split(char *line, const char **ret_words, size_t max, struct hold_err *err) {
    char *from = line, *to = line;
    size_t n = 0;
    for (;;) {
        from += strspn(from, " \t");
        if (!*from)
            return (int) n;
        if (n == max)
            return hold_fail(err, HOLD_E_LIMIT, 0, "a command of more than %zu words", max);
        ret_words[n++] = to;
        if (!take_word(&from, &to))
            return hold_fail(err, HOLD_E_FORMAT, 0, "a quote without its end");
        bool ends = !*from; /* the end mark may stand where `from` is */
        from += !ends;
        *to++ = '\0';
        if (ends)
            return (int) n;
    }
}
