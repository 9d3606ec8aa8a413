/* config_servers.h - the servers that process 1 runs: `servers.NAME` objects, the built-in pair, the command after "--".
 * Floor: host. Called by config.c once the table is loaded. */
#ifndef HOLD_HOST_CONFIG_SERVERS_H
#define HOLD_HOST_CONFIG_SERVERS_H

#include "supervisor/host/config.h"

/* Fills config->servers. EXEC: one server from the n_command words. RUN: the foreign servers that the file gives a command;
 * without one the built-in front and engine, which `servers.front` and `servers.engine` may adjust. Adds to mistakes.
 * Strings are borrowed from root and command. */
void hold_config_servers(struct hold_config *config, const struct cJSON *root, int n_command, char *const *command, struct hold_buf *mistakes);

#endif
