#!/usr/bin/env bash
# cold.sh: cold start by phase on the little model, from an nginx on loopback: five starts, each from nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1
for _ in 1 2 3 4 5; do
    ONCE=1 API_PORT=${API_PORT:-18700} STATUS_PORT=${STATUS_PORT:-18701} bash examples/run.sh 2>&1 |
        sed -nE 's/.*"ev":"ready","prog":"holdfast","since_start_ms":([0-9]+),"phases_ms":"([^"]*)".*/cold start to READY \1 ms: \2/p'
done
