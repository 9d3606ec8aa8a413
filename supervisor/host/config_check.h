/* config_check.h - the checks across values of a configuration, for config.c alone. Floor: host. */
#ifndef HOLD_HOST_CONFIG_CHECK_H
#define HOLD_HOST_CONFIG_CHECK_H

#include "supervisor/host/config.h"

/* One line of at most 511 bytes. */
void hold_config_mistake(struct hold_buf *mistakes, const char *format, ...) HOLD_PRINTF(2, 3);
/* Reads budgets and success codes out of their texts, then looks for whatever would only fail when it is used. A line for each mistake. */
void hold_config_check(struct hold_config *config, struct hold_buf *mistakes);

#endif
