#!/usr/bin/env bash
# run.sh: every bench of this folder, one after the other. Figures belong in docs/MEASUREMENTS.md with machine and command.
set -u
cd "$(dirname "$0")/../.." || exit 1
echo "machine: $(uname -srm), $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg)"
for bench in init supervision cold decode fetch; do
    [ -e "tests/bench/$bench.sh" ] || continue
    echo "== $bench"
    bash "tests/bench/$bench.sh"
done
