/* opt_env.c - variables that look like options and are none. Floor: base. */
#include "base/opt.h"

#include "base/json.h"
#include "base/list.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAMES = 320, NAME_BYTES = 96 };

/* What Kubernetes puts into every pod for a Service that is called like the prefix: HOLDFAST_SERVICE_HOST, HOLDFAST_PORT_80_TCP. */
static bool is_service_link(const char *name) {
    static const char *const ends[] = { "_SERVICE_HOST", "_SERVICE_PORT", "_PORT" };
    size_t n = strlen(name);
    for (size_t i = 0; i < HOLD_COUNT_OF(ends); i++)
        if (n > strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    const char *port = strstr(name, "_PORT_");
    return strstr(name, "_SERVICE_PORT_") || (port && isdigit((unsigned char) port[6]));
}

static bool is_option(const struct hold_opt_names *of, const char *name) {
    char env[NAME_BYTES + 8];
    const char first = name[strlen(of->prefix)];
    for (size_t i = 0; i < of->n_rows; i++) {
        if (!of->rows[i].env && toupper((unsigned char) of->rows[i].name[0]) != first) /* a hundred names are not made for each variable */
            continue;
        hold_opt_env_name(&of->rows[i], env, NAME_BYTES);
        if (strcmp(name, env) == 0 || (of->rows[i].type == HOLD_OPT_SECRET && strcmp(name, strcat(env, "_FILE")) == 0))
            return true;
    }
    for (const char *const *known = of->known; known && *known; known++)
        if (strcmp(name, *known) == 0)
            return true;
    return false;
}

/* Only when there is a stranger: the table is large, and mostly nobody needs it. */
static const char *nearest_option(const struct hold_opt_names *of, const char *name) {
    static char texts[NAMES][NAME_BYTES];
    const char *names[NAMES];
    size_t n = 0;
    for (; n < of->n_rows && n < NAMES; n++) {
        hold_opt_env_name(&of->rows[n], texts[n], NAME_BYTES);
        names[n] = texts[n];
    }
    for (const char *const *known = of->known; known && *known && n < NAMES; known++)
        names[n++] = *known;
    return hold_nearest(name, names, n);
}

void hold_opt_strangers(const struct hold_opt_names *of, const char *const *environment, struct hold_buf *out) {
    for (const char *const *entry = environment; entry && *entry; entry++) {
        char name[NAME_BYTES];
        if (strncmp(*entry, of->prefix, strlen(of->prefix)) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int) HOLD_MIN(strcspn(*entry, "="), sizeof name - 1), *entry);
        if (is_service_link(name) || is_option(of, name))
            continue;
        const char *near = nearest_option(of, name);
        hold_buf_addf(out, near ? "%s: no such variable; did you mean %s?\n" : "%s: no such variable\n", name, near);
    }
}
