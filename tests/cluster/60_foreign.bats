#!/usr/bin/env bats
# A server image that the chart did not build and that holds nothing of holdfast: an init container brings process 1, the preset
# names the command line. What holds for the own runtime holds for it.

bats_require_minimum_version 1.5.0
load cluster

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    space foreign
    foreign install > "$BATS_FILE_TMPDIR/notes"
}
teardown_file() { clean; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }
teardown() { tell; }

foreign() { # install|upgrade [OPTION]...
    chart "$1" phone --set preset=vllm --set image.repository=localhost/holdfast-foreign --set install.enabled=true \
        --set install.image.repository=localhost/holdfast-runtime --set install.image.tag=test --set install.image.pullPolicy=Never \
        --set probes.readiness.period=1 --set probes.readiness.failures=1 --set-json 'extraArgs=["--restart-delay=8s","--healthy-reset=1h"]' "${@:2}"
}
endpoints() { k get endpointslices -l kubernetes.io/service-name=phone-holdfast -o 'jsonpath={.items[*].endpoints[*].conditions.ready}'; }
worker() { # POD: pids of the server's worker processes
    local p
    for p in $(processes "$1"); do [ "$(cat "/proc/$p/comm")" != VLLM::Worker_0 ] || echo "$p"; done
}

@test "process 1 comes from the init container, the model from its origin, and the pod is Ready when the server says so" {
    is_ready phone
    P=$(pod phone)
    [ "$(restarts "$P")" = 0 ]
    [[ $(field "$P" '{.spec.containers[0].command[0]}') == /holdfast/bin/holdfast ]]
    k logs "$P" | grep -q 'Loading safetensors checkpoint shards: 100% Completed | 3/3'
    k exec "$P" -- /holdfast/bin/holdfast status --json | jq -e '.ready and .members[0].name == "server"'
}

@test "helm test is green for it too" {
    helm test phone -n "$NS" --timeout 300s | tee "$BATS_TEST_TMPDIR/tested"
    grep -q 'Phase: *Succeeded' "$BATS_TEST_TMPDIR/tested"
}

@test "its worker dies: the container stays, the endpoint goes and comes back, nothing of the old tree is left" {
    P=$(pod phone)
    container=$(server "$P" .containerID) old=$(worker "$P")
    kill -KILL "$old"
    away() { [ "$(endpoints)" = false ]; }
    until_true 60 away
    back() { [ "$(endpoints)" = true ]; }
    until_true 120 back
    [ "$(worker "$P" | wc -l)" = 1 ] && [ "$(worker "$P")" != "$old" ]
    [ "$(restarts "$P")" = 0 ] && [ "$(server "$P" .containerID)" = "$container" ]
    k logs "$P" | grep '"ev":"diagnosis"' | grep -q '"cause":"'
    curl -sf "http://$(address phone-holdfast):8000/v1/models" | jq -e '.data[0].id == "little"'
}

@test "helm upgrade rolls it and drops no stream" {
    old=$(pod phone)
    python3 tests/cluster/streams.py "http://$(address phone-holdfast):8000" 2 "$BATS_TEST_TMPDIR/stop" > "$BATS_TEST_TMPDIR/tally" 3>&- &
    clients=$!
    foreign upgrade --set grace=20 > "$BATS_TEST_TMPDIR/notes"
    k rollout status deployment/phone-holdfast --timeout=300s
    k wait --for=delete "pod/$old" --timeout=120s
    touch "$BATS_TEST_TMPDIR/stop"
    wait "$clients"
    cat "$BATS_TEST_TMPDIR/tally"
    jq -e '.broken == 0 and .whole > 0' "$BATS_TEST_TMPDIR/tally"
}

@test "a pod that is deleted during a stream finishes it within the grace" {
    P=$(pod phone)
    API_MODEL=little python3 tests/helpers/ask_api.py "http://$(field "$P" '{.status.podIP}'):8000" stream "$BATS_TEST_TMPDIR/s" > "$BATS_TEST_TMPDIR/end" 2>&1 3>&- &
    stream=$!
    until_true 60 grep -q content "$BATS_TEST_TMPDIR/s"
    k delete pod "$P" --wait=true --timeout=120s
    wait "$stream"
    [ "$(< "$BATS_TEST_TMPDIR/end")" = done ]
}
