/* fuzz_config_servers.c - a configuration file's `servers` objects: any JSON gives servers or mistakes, never a crash. */
#include "base/buf.h"
#include "base/json.h"
#include "supervisor/host/config_servers.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_config config;
    struct hold_err err = { 0 };
    hold_autojson *root = NULL;
    hold_autobuf mistakes = hold_buf_with_max(65536);
    if (hold_json_parse((const char *) data, n, "fuzz", (struct hold_json_limits) { .max_bytes = 65536 }, &root, &err) < 0)
        return 0;
    config = (struct hold_config) { .mode = HOLD_MODE_RUN, .profile = "", .warmup = "", .health = { .startup = "", .ready = "", .live = "" } };
    hold_config_servers(&config, root, 0, NULL, &mistakes);
    if (config.n_servers > HOLD_CONFIG_SERVERS)
        abort();
    for (size_t i = 0; i < config.n_servers; i++) {
        const struct hold_server_config *s = &config.servers[i];
        if (!s->name || s->n_command >= HOLD_CONFIG_WORDS || (s->n_command && s->command[s->n_command]) || s->ladder.n > HOLD_LADDER_MAX)
            abort();
    }
    return 0;
}
