#!/usr/bin/env bats
# Starts that take long. An origin at a hundredth of its speed: the pod waits, says what for, and is never restarted. A frozen
# origin: holdfast gives the verdict with a cause, long before the kubelet would.

bats_require_minimum_version 1.5.0
load cluster

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space slow
}
teardown_file() { clean; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }
teardown() { tell; }

took_ms() { k logs "$1" | sed -nE 's/.*"ev":"ready".*"since_start_ms":([0-9]+).*/\1/p' | head -1; }

@test "a load of ten times the usual start is waited for, and the pod says what it waits for" {
    chart install usual > "$BATS_TEST_TMPDIR/notes"
    is_ready usual
    usual=$(took_ms "$(pod usual)")
    helm uninstall usual -n "$NS"

    # A hundredth of the speed of loopback, and slower where the usual start was slow: 7.1 MB over at most four connections.
    seconds=$((usual * 12 / 1000 + 3))
    [ $seconds -ge 15 ] || seconds=15
    rate=$((7100000 / seconds / 4))
    origin slow 8081 "$ORIGINS/model" "limit_rate $rate;"
    chart install late --set model.source=http://10.88.8.1:8081/ --set probes.type=exec > "$BATS_TEST_TMPDIR/notes"
    until_true 60 pod late
    P=$(pod late)
    until_true 120 says "$P" 'fetch, [1-9][0-9]? % of [0-9]+ bytes'
    said "$P"
    said "$P" | head -1 | grep -q '"phase":"fetching"'
    k exec "$P" -- /opt/holdfast/bin/holdfast status --json | jq -e '.phase == "fetching" and (.waits_for | test("^fetch, [0-9]+ % of "))'
    unhealthy() { k get events --field-selector "involvedObject.name=$P,reason=Unhealthy" -o json | jq -e '.items[].message | test("Startup probe failed: not started: phase fetching, waits for fetch, [0-9]+ % of ")'; }
    until_true 60 unhealthy
    k describe pod "$P" | grep 'not started: phase fetching'
    is_ready late
    [ "$(restarts "$P")" = 0 ]
    k logs "$P" | grep '"ev":"progress"' | grep -q '"done":[1-9]'
    late=$(took_ms "$P")
    echo "usual start $usual ms, with the slow origin $late ms"
    [ "$late" -ge $((usual * 10)) ]
    helm uninstall late -n "$NS"
}

@test "a frozen origin is holdfast's verdict, with its cause in the termination message" {
    origin frozen 8082 "$ORIGINS/model" 'limit_rate 100k;'
    chart install stuck --set model.source=http://10.88.8.1:8082/ --set-json 'extraArgs=["--fetch-stall=3s","--fetch-tries=2","--fetch-backoff=100ms","--restart-budget=1","--restart-delay=100ms"]' > "$BATS_TEST_TMPDIR/notes"
    until_true 60 pod stuck
    P=$(pod stuck)
    until_true 120 says "$P" 'fetch, [1-9][0-9]? % of'
    frozen=$(cat "$ORIGINS/frozen/pid")
    kill -STOP $(pgrep -P "$frozen") "$frozen"
    # While it tries again the message names the cause already; when the budget is spent it is the verdict.
    until_true 120 says "$P" '"cause":"fetch-stall".*"phase":"fetching"'
    ended() { [ -n "$(server "$P" .lastState.terminated.message)" ]; }
    until_true 120 ended
    server "$P" .lastState.terminated.message
    [ "$(server "$P" .lastState.terminated.exitCode)" = 86 ]
    server "$P" .lastState.terminated.message | head -1 | jq -e '.cause == "fetch-stall" and .exit == 86'
    k describe pod "$P" | grep -q fetch-stall
    [ -z "$(k get events --field-selector "involvedObject.name=$P,reason=Killing" -o name)" ] # nobody killed it
}
