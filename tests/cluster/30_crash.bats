#!/usr/bin/env bats
# What dies inside a pod comes back inside it. The kubelet sees an endpoint that goes away and comes back, not a restarted container.

bats_require_minimum_version 1.5.0
load cluster

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space crash
}
teardown_file() { clean; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }
teardown() { tell; }

@test "the engine is killed: the container stays, the endpoint goes and comes back, the open stream ends with one error" {
    # A back-off that the kubelet's readiness probe is sure to see.
    chart install phone --set-json 'extraArgs=["--restart-delay=8s","--healthy-reset=1h"]' --set probes.readiness.period=1 --set probes.readiness.failures=1 > "$BATS_TEST_TMPDIR/notes"
    is_ready phone
    P=$(pod phone) api=http://$(address phone-holdfast):8000
    container=$(server "$P" .containerID)
    endpoints() { k get endpointslices -l kubernetes.io/service-name=phone-holdfast -o 'jsonpath={.items[*].endpoints[*].conditions.ready}'; }
    [ "$(endpoints)" = true ]

    API_MODEL=little python3 tests/helpers/ask_api.py "$api" stream "$BATS_TEST_TMPDIR/s" max_tokens=7000 > "$BATS_TEST_TMPDIR/end" 2>&1 3>&- &
    stream=$!
    until_true 60 grep -q content "$BATS_TEST_TMPDIR/s"
    kill -KILL "$(member "$P" engine)"
    wait "$stream"
    [[ $(< "$BATS_TEST_TMPDIR/end") == *'"error": {"message": "the engine was lost and is being restarted'* ]]
    [ "$(grep -c '"error"' "$BATS_TEST_TMPDIR/s")" -eq 1 ]
    away() { [ "$(endpoints)" = false ]; }
    until_true 60 away
    back() { [ "$(endpoints)" = true ]; }
    until_true 120 back
    python3 examples/ask.py --base "$api/v1" --model little
    [ "$(restarts "$P")" = 0 ]
    [ "$(server "$P" .containerID)" = "$container" ]
    helm uninstall phone -n "$NS"
}

# The fake server of the image runs on the ladder that its configuration names.
fake() {
    chart install "$1" --set image.repository=localhost/holdfast-fake --set "extraEnv[0].name=HOLDFAST_CONFIG" --set "extraEnv[0].value=/etc/holdfast/$1.json" \
        --set resources.limits.memory=128Mi --set sandbox=off > "$BATS_TEST_TMPDIR/notes"
    until_true 60 pod "$1"
}

@test "the memory limit kills the engine alone: memory is named, and the next start in place is a rung lower" {
    fake eats
    P=$(pod eats)
    until_true 120 says "$P" '"cause":"host_oom"'
    is_ready eats
    [ "$(restarts "$P")" = 0 ]
    k logs "$P" | grep '"ev":"diagnosis"' | grep -q '"cause":"host_oom"'
    k logs "$P" | grep -q '^on a lower rung'
    k exec "$P" -- /opt/holdfast/bin/holdfast status --json | jq -e '.members[0] | .rung == "small-batch" and .last_exit.cause == "host_oom"'
    helm uninstall eats -n "$NS"
}

# A node with cgroup v2 kills the whole container at once (memory.oom.group). This node may have v1, so the KILL of all comes from
# the test, at the moment when memory is nearly full.
@test "the memory limit kills the whole container: the next one starts a rung lower and names memory" {
    fake fills
    P=$(pod fills)
    until_true 120 says "$P" 'memory stands at 1[12][0-9] of 128 MiB, its limit'
    kill -KILL $(processes "$P" | while read -r p; do grep -q /pause "/proc/$p/cmdline" || echo "$p"; done)
    until_true 120 says "$P" '"phase":"ready"'
    is_ready fills
    [ "$(restarts "$P")" = 1 ]
    server "$P" .lastState.terminated.message | grep 'memory stands at'
    [ "$(server "$P" .lastState.terminated.exitCode)" = 137 ]
    k logs "$P" | grep '"ev":"rung"' | grep '"rung":1' | grep -q 'the last holdfast here was killed while this ran'
    k logs "$P" | grep -q '^on a lower rung'
    k exec "$P" -- /opt/holdfast/bin/holdfast status --json | jq -e '.members[0].rung == "small-batch"'
    helm uninstall fills -n "$NS"
}
