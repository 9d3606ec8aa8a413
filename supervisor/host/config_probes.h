/* config_probes.h - checks written as a pod's: `startupProbe`, `readinessProbe` and `livenessProbe` of a server. Floor: host.
 *
 * Names, units, defaults and meaning are those of Kubernetes' Probe (core/v1): one of httpGet, tcpSocket, exec and grpc, and
 * initialDelaySeconds 0, periodSeconds 10, timeoutSeconds 1, successThreshold 1, failureThreshold 3. They become the server's
 * health checks. What differs:
 *   - a start is judged by its progress: startupProbe has no failureThreshold, and asks at health.backoff's pace up to its period;
 *   - the initial delay of liveness counts from the moment when the server became ready, which is later;
 *   - process 1 speaks no TLS and knows no named port; a host is a numeric address, 127.0.0.1 when there is none. */
#ifndef HOLD_HOST_CONFIG_PROBES_H
#define HOLD_HOST_CONFIG_PROBES_H

#include "base/json.h"
#include "supervisor/host/config.h"

/* server: the reader of servers.NAME, whose path this is. Overwrites s->health where a probe is given; one that `health` names as
 * well is a mistake. The texts live in s, which must not move. */
void hold_config_probes(struct hold_json_reader *server, const char *path, struct hold_server_config *s);

#endif
