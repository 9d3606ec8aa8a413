#!/usr/bin/env bats
# What meshes and serverless platforms do to probes: they strip the answers, come by way of an agent, hold the network back for the
# first seconds, ask many times a second. And what being asked costs the server: nothing.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() {
    serve_setup
    cp -r "$MODEL" "$BATS_FILE_TMPDIR/model"
    export ORIGIN=$MODEL MODEL=$BATS_FILE_TMPDIR/model
}

teardown() { serve_stop || :; }

readyz() { curl -s -m 5 -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "$STATUS/readyz"; }
generated() { curl -sf "$API/metrics" | awk '/^vllm:generation_tokens_total/ { n += $2 } END { print n + 0 }'; }

@test "ten seconds without a network, then probes whose answers an agent strips: the start succeeds, in one life" {
    unshare -n true 2> "$BATS_TEST_TMPDIR/why" || skip "needs network namespaces"
    command -v ip > "$BATS_TEST_TMPDIR/ip" || skip "needs ip"
    unshare -n bash -eu -s "$BATS_TEST_TMPDIR" 3>&- <<'INSIDE'
    d=$1
    mkdir "$d/www" "$d/weights"
    cp "$ORIGIN"/* "$d/www/"
    "$HOLDFAST" verify "$d/www" --write-manifest 2> "$d/manifest.log"
    # As the chart starts it: the addresses are every one there will be.
    "$HOLDFAST" run --model "$d/weights" --model-source http://127.0.0.1:8080/ --listen '[::]:8000' --status-listen '[::]:8181' --log-format json \
        --state-dir "$d/state" --termination-log "$d/message" 2> "$d/log" > "$d/out" &
    holdfast=$!
    trap 'kill -KILL $holdfast ${agent:-} ${origin:-} 2> "$d/kill" || :' EXIT
    while [ $SECONDS -lt 10 ]; do
        sleep 0.5
        kill -0 $holdfast
        "$HOLDFAST" probe live --state-dir "$d/state" > "$d/live" # its socket needs no network
    done
    grep -q '"ev":"fetch_retry"' "$d/log"
    ip link set lo up
    python3 -m http.server -d "$d/www" -b 127.0.0.1 8080 > "$d/origin.log" 2>&1 &
    origin=$!
    python3 tests/helpers/mesh.py 15020 http://127.0.0.1:8181 > "$d/agent.log" 2>&1 &
    agent=$!
    probe() { curl -s -m 5 -o "$d/answer" -w '%{http_code} %{size_download} %{size_header}' "http://127.0.0.1:15020/app-health/server/$1" || :; }
    seen=
    for _ in $(seq 600); do
        kill -0 $holdfast
        started=$(probe startupz)
        case $started in 503*) seen=503 ;; 200*) break ;; esac
        sleep 0.1
    done
    [ "${started%% *}" = 200 ]
    [ "${started:4:2}" = '0 ' ] # nothing but the status
    echo "first asked: ${seen:-200}"
    for what in livez readyz; do [[ $(probe $what) == 200* ]]; done
    [[ $(probe nonsense) == 404* ]]
    [ "$(grep -c '"ev":"spawn".*"member":"engine"' "$d/log")" = 1 ]
    kill -TERM $holdfast
    wait $holdfast
INSIDE
}

@test "ready means that one inference was done; being asked again costs none, and a full server is still ready" {
    serve_start --served-name autoglm-phone-9b
    # Warming is the inference; ready comes after it and never before.
    grep '"ev":"phase"' "$D/log" | sed -nE 's/.*"phase":"([a-z]+)".*/\1/p' | paste -sd' ' | grep -q 'loading warming ready'
    before=$(generated)
    for _ in $(seq 100); do [ "$(readyz)" = 200 ]; done
    [ "$(generated)" = "$before" ]
    # More streams than rows: every place is taken, and others wait.
    local streams=() n
    for n in $(seq 12); do
        $ASK "$API" stream "$BATS_TEST_TMPDIR/s$n" max_tokens=3000 > "$BATS_TEST_TMPDIR/end$n" 2>&1 3>&- &
        streams+=($!)
    done
    until_true grep -qs content "$BATS_TEST_TMPDIR/s1"
    for n in $(seq 40); do
        [ "$(readyz)" = 200 ]
        sleep 0.05
    done
    kill "${streams[@]}" 2> "$BATS_TEST_TMPDIR/kill" || :
    wait "${streams[@]}" || :
    [ "$(member_starts engine)" = 1 ]
}

@test "TERM: not ready within a second, whatever is being answered" {
    serve_start --served-name autoglm-phone-9b --prestop-delay 5s
    $ASK "$API" stream "$BATS_TEST_TMPDIR/s" max_tokens=3000 > "$BATS_TEST_TMPDIR/end" 2>&1 3>&- &
    local stream=$!
    until_true grep -qs content "$BATS_TEST_TMPDIR/s"
    begun=$(date +%s%3N)
    kill -TERM "$PID"
    until_true not_ready
    took=$(($(date +%s%3N) - begun))
    echo "not ready after $took ms"
    [ "$took" -lt 1000 ]
    [ "$(curl -s -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "$STATUS/livez")" = 200 ]
    kill "$stream" 2> "$BATS_TEST_TMPDIR/kill" || :
    wait "$stream" || :
}
not_ready() { [ "$(readyz)" = 503 ]; }

# A start is slowed by what process 1 takes from it: its processor time, counted by the kernel, on the busiest of one core.
@test "twenty probes a second during a load take less than a hundredth of one core" {
    D=$(mktemp -d "$BATS_TEST_TMPDIR/run.XXXX") API=http://127.0.0.1:$(free_port) STATUS=http://127.0.0.1:$(free_port)
    export D
    "$HOLDFAST" --status-listen "${STATUS#http://}" --state-dir "$D/state" --termination-log "$D/message" --ready "$API/health" \
        -- "$TOP/build/release/tests/fake-server" --listen "${API##*:}" --refuse-until 600000 --say-every 1000 --say 'Loading safetensors checkpoint shards: 1% Completed | 1/60 [00:20<20:00, 20.00s/it]' 2> "$D/log" > "$D/out" 3>&- &
    PID=$!
    until_true is_loading
    run python3 - "$PID" "$STATUS" <<'PY'
import sys, urllib.error, urllib.request
pid, url = sys.argv[1:]
def on_cpu_ns():
    with open(f'/proc/{pid}/schedstat') as f:
        return int(f.read().split()[0])
def ask(what):
    try:
        return urllib.request.urlopen(f'{url}/{what}').status
    except urllib.error.HTTPError as e:
        return e.code
assert [ask(w) for w in ('livez', 'startupz', 'readyz')] == [200, 503, 503]
n = 1500
before = on_cpu_ns()
for i in range(n):
    ask(('startupz', 'readyz', 'livez')[i % 3])
each_us = (on_cpu_ns() - before) / n / 1000
share = 20 * each_us / 1e6
print(f'{each_us:.0f} us of process 1 a probe, 20 a second are {100 * share:.2f} % of one core')
assert share < 0.01
PY
    echo "$output"
    [ "$status" -eq 0 ]
}
is_loading() { "$HOLDFAST" probe live --state-dir "$D/state" > "$D/probe" 2>&1 && curl -s -o "$D/probe" "$STATUS/livez"; }
