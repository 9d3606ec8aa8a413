#!/bin/sh
# run.sh [WORD|--golden]: the chart's promises (units.py) and planted faults (plant.py), with helm and the validator from the cache. TAP. --golden writes the golden
# renders anew. What a kubelet does with the chart is tests/cluster's.
set -u
cd "$(dirname "$0")/../.." || exit 1
log=$(mktemp)
if ! cache=$(sh tests/chart/tools.sh 2> "$log"); then
    echo "ok chart # skip helm and its validator could not be had: $(tail -1 "$log")"
    rm -f "$log"
    exit 0
fi
rm -f "$log"
export PATH="$cache/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
"$cache/validate/bin/python" tests/chart/units.py "$@" || exit 1
[ $# -gt 0 ] || exec "$cache/validate/bin/python" tests/chart/plant.py
