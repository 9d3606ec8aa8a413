/* hub.c - where the hub's own cache is. Floor: supervisor/host. */
#include "supervisor/host/hub.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const struct hold_core *core, const char *name) {
    const size_t n = strlen(name);
    for (size_t i = 0; core->environment[i]; i++)
        if (strncmp(core->environment[i], name, n) == 0 && core->environment[i][n] == '=' && core->environment[i][n + 1] == '/')
            return core->environment[i] + n + 1;
    return NULL;
}

const char *hold_hub_root(const struct hold_core *core) {
    static char root[PATH_MAX];
    static const struct {
        const char *name, *below;
    } places[] = { { "HF_HOME", "hub" }, { "XDG_CACHE_HOME", "huggingface/hub" }, { "HOME", ".cache/huggingface/hub" } };
    const struct hold_config *c = core->config;
    if (*c->model_dir || c->model_sources.n == 0 || strncmp(c->model_sources.at[0], "hf://", 5) != 0)
        return NULL;
    if (*c->hub_cache)
        return c->hub_cache;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const char *folder = variable(core, places[i].name);
        if (folder && (size_t) snprintf(root, sizeof(root), "%s/%s", folder, places[i].below) < sizeof(root))
            return root;
    }
    return NULL;
}

const char *hold_hub_granted(const char *model_dir) {
    static char real[PATH_MAX];
    if (!model_dir || !realpath(model_dir, real))
        return model_dir;
    char *commit = strrchr(real, '/');
    *commit = '\0';
    char *parent = strrchr(real, '/');
    if (!parent || parent == real || strcmp(parent, "/snapshots") != 0)
        return model_dir;
    *parent = '\0';
    return real;
}
