#!/usr/bin/env bash
# init.sh: exec of the init to its child's main, and the child's end to the init's, beside packaged inits; five interleaved rounds
# of 200 runs each, medians. Bound: fork and exec of a static program themselves.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=build/release
export HOLDFAST_STATE_DIR
HOLDFAST_STATE_DIR=$(mktemp -d)
trap 'rm -rf "$HOLDFAST_STATE_DIR"' EXIT
inits=(tini-static=tini-static -s -- : "holdfast=$build/bin/holdfast" --)
command -v dumb-init > /dev/null && inits+=(: dumb-init=dumb-init)
command -v catatonit > /dev/null && inits+=(: catatonit=catatonit --)
for round in 1 2 3 4 5; do
    echo "round $round"
    "$build/tests/exec-clock" "${ROUNDS:-200}" "${inits[@]}" 2> /dev/null
done
