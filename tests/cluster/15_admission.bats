#!/usr/bin/env bats
# The real API server judges what the chart renders: every ci file, and values at random. It knows rules that no schema carries.

bats_require_minimum_version 1.5.0
load cluster

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space admission
}
teardown_file() { clean; }

@test "the API server admits every ci file and forty renders of values at random" {
    cd "$BATS_TEST_DIRNAME/../.."
    python=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/validate/bin/python
    [ -x "$python" ] || skip "needs the python of the chart's tests (sh tests/chart/tools.sh)"
    "$python" tests/cluster/admit.py 70 # some contradict themselves
}
