#!/usr/bin/env bats
# Health: a start that is slow, stuck or never ready; readiness that comes and goes; liveness that restarts; sd_notify.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() { story_setup; PORT=$((20000 + RANDOM % 20000)); }
teardown() { story_teardown; }

# Probes fast enough for a test.
quick() { echo --health-period 40ms --health-timeout 300ms --health-backoff 10ms --status-listen=; }

@test "slow is not stuck: a server that refuses, then answers 503, then 200 is never restarted" {
    # shellcheck disable=SC2046
    start --log-level info --restart on-failure $(quick) --ready "http://127.0.0.1:$PORT/health" --no-progress 30s -- \
        "$FAKE" --listen "$PORT" --refuse-until 200 --ready-after 500
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    [ "$(n_ev spawn)" -eq 1 ]
    [ "$(phases)" = "loading ready" ]
    run -0 "$HOLD" probe startup
    kill "$HOLD_PID"
    finish
    [ "$CODE" -eq 0 ]
}

@test "a server that never gets ready and makes no progress is killed at the no-progress time, the reason says so" {
    # shellcheck disable=SC2046
    start --log-level info --restart on-failure --restart-delay 5ms --restart-budget 2 $(quick) --ready "http://127.0.0.1:$PORT/health" --no-progress 250ms -- \
        "$FAKE" --listen "$PORT" --never-ready
    finish
    echo "code $CODE"; tail -n 4 "$LOG"
    [ "$CODE" -eq 111 ]
    [ "$(n_ev spawn)" -eq 3 ]
    [ "$(ev kill | field why | sort -u)" = no-progress ]
    [ "$(ev diagnosis | field cause | sort -u)" = no_progress ]
    [ "$(n_ev ready)" -eq 0 ]
    [ "$(head -n 1 message | field cause)" = no_progress ]
    nothing_left
}

@test "one that makes progress is not killed at the no-progress time, only at the backstop" {
    # shellcheck disable=SC2046
    start --log-level info --restart never $(quick) --ready notify --no-progress 900ms --start-backstop 2500ms -- \
        "$FAKE" --never-ready --notify --progress 50
    finish
    tail -n 3 "$LOG"
    [ "$CODE" -eq 112 ]
    [ "$(ev kill | field deadline)" = start-backstop ]
    [ "$(ev exit | field uptime_ms)" -ge 2500 ]
}

@test "readiness goes and comes: unready, not restarted" {
    # shellcheck disable=SC2046
    start --log-level info --restart on-failure $(quick) --ready "exec:test -e $D/healthy" --health-failures 2 -- "$FAKE"
    wait_for '[ "$(n_ev probe)" -ge 0 ] && [ -n "$(servers)" ]'
    touch healthy
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    rm healthy
    wait_for '[ "$(n_ev unready)" -eq 1 ]'
    run -1 "$HOLD" probe ready
    touch healthy
    wait_for '[ "$(n_ev ready)" -eq 2 ]'
    run -0 "$HOLD" probe ready
    [ "$(n_ev spawn)" -eq 1 ]
    kill "$HOLD_PID"
    finish
}

@test "a startup check of its own: it decides until it has passed once, then the ready check does" {
    # shellcheck disable=SC2046
    start --log-level info --restart on-failure $(quick) --startup "exec:test -e $D/up" --ready "exec:test -e $D/healthy" --health-failures 2 -- "$FAKE"
    touch healthy
    wait_for '"$HOLD" status --json 2> /dev/null | grep -q "exit 1"'
    [ "$(n_ev ready)" -eq 0 ]
    rm healthy
    touch up
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    [ "$(n_ev probe '"question":"startup","ok":true')" -eq 1 ]
    wait_for '[ "$(n_ev unready)" -eq 1 ]'
    rm up
    touch healthy
    wait_for '[ "$(n_ev ready)" -eq 2 ]'
    [ "$(n_ev spawn)" -eq 1 ]
    kill "$HOLD_PID"
    finish
}

@test "the command of a check is split as a shell splits it, and a quote without its end is a mistake" {
    start --log-level info --status-listen= $(quick) --ready "exec:sh -c 'test -e \"$D/up\" && exit 0; exit 1'" -- "$FAKE"
    wait_for '[ "$(n_ev spawn)" -eq 1 ]'
    [ "$(n_ev ready)" -eq 0 ]
    touch up
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    kill "$HOLD_PID"
    finish
    run -65 "$HOLD" --ready "exec:sh -c 'x" -- true
    [[ "$output" == *"a quote without its end"* ]]
}

@test "liveness has a period and a timeout of its own" {
    start --log-level info --restart never --health-period 1h --health-timeout 1h --health-backoff 10ms --status-listen= --ready "exec:true" \
        --live "exec:sleep 600" --live-period 40ms --live-timeout 30ms --live-failures 2 -- "$FAKE"
    wait_for '[ "$(n_ev kill)" -eq 1 ]'
    wait_for "ev diagnosis | grep -q 'the command did not end in time'"
    finish
    [ "$CODE" -eq 110 ]
    nothing_left
}

@test "checks stand in the configuration file in the same form, and their mistakes name the server" {
    cat > servers.json << JSON
{"servers": {"vision": {"command": ["$FAKE", "--listen", "$PORT"],
  "health": {"startup": "http://127.0.0.1:$PORT/health", "ready": "tcp://127.0.0.1:$PORT", "live": "counter:http://127.0.0.1:$PORT/metrics vllm", "live_period": "40ms", "live_failures": 2}}}}
JSON
    start run --config servers.json --log-level info --log-format json --preflight=false --sandbox off --status-listen= --listen= --health-period 40ms --health-backoff 10ms
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    wait_for '[ "$(n_ev warn "the page has no series")" -eq 1 ]' # the fake server answers 200 to every path
    kill "$HOLD_PID"
    finish
    sed -i 's/ vllm"/ vlm"/; s,tcp://127,grpc://lab.example,' servers.json
    run -65 "$HOLD" run --config servers.json
    [[ "$output" == *"vision: check 'counter:http://127.0.0.1:$PORT/metrics vlm': 'vlm' is none of"* ]]
    [[ "$output" == *"vision: check 'grpc://lab.example.0.0.1:$PORT': the host must be a numeric address"* ]]
}

@test "a pod's probes stand in the file as they are: startup, readiness and liveness each by its own" {
    cat > servers.json << JSON
{"servers": {"vision": {"command": ["$FAKE", "--listen", "$PORT", "--unhealthy-after", "1500"],
  "startupProbe": {"exec": {"command": ["sh", "-c", "echo \"it's asked\" >> '$D/asked'; [ \$(wc -l < '$D/asked') -ge 3 ]"]}, "periodSeconds": 1},
  "readinessProbe": {"tcpSocket": {"port": $PORT}, "periodSeconds": 1, "failureThreshold": 2},
  "livenessProbe": {"httpGet": {"path": "/health", "port": $PORT}, "periodSeconds": 1, "failureThreshold": 2}}}}
JSON
    start run --config servers.json --log-level info --log-format json --preflight=false --sandbox off --status-listen= --listen= --health-backoff 10ms --restart on-failure --restart-budget 1
    wait_for '[ "$(n_ev ready)" -ge 1 ]'
    [ "$(grep -c "it's asked" asked)" -ge 3 ]
    [ "$(n_ev probe '"question":"startup","ok":true')" -eq 1 ]
    wait_for '[ "$(n_ev kill)" -ge 1 ]'
    [ "$(ev kill | head -1 | field why)" = unhealthy ]
    [ "$(n_ev probe '"question":"live","ok":false,.*"failures":2')" -ge 1 ]
    [ "$(n_ev probe '"question":"ready","ok":false')" -eq 0 ]
    kill "$HOLD_PID"
    finish
}

@test "liveness: N-1 failures are nothing, N restart it; a server that comes back sick is restarted again" {
    # shellcheck disable=SC2046
    start --log-level info --restart on-failure --restart-delay 5ms --restart-budget 3 $(quick) --ready "tcp://127.0.0.1:$PORT" --live "http://127.0.0.1:$PORT/health" \
        --live-failures 3 -- "$FAKE" --listen "$PORT" --unhealthy-after 150
    finish
    echo "code $CODE"; tail -n 3 "$LOG"
    [ "$CODE" -eq 110 ]
    [ "$(n_ev spawn)" -eq 4 ]
    [ "$(ev kill | field why | sort -u)" = unhealthy ]
    [ "$(ev diagnosis | field cause | sort -u)" = unhealthy ]
    nothing_left
}

@test "a server that accepts and never answers, drips, or sends endless headers fails at the timeout" {
    for how in --hang-health --drip --endless; do
        # shellcheck disable=SC2046
        start --log-level info --restart never $(quick) --health-timeout 100ms --ready "http://127.0.0.1:$PORT/health" --no-progress 600ms -- \
            "$FAKE" --listen "$PORT" "$how"
        finish
        [ "$CODE" -eq 111 ] || { echo "$how: $CODE"; return 1; }
        [ "$(n_ev ready)" -eq 0 ]
    done
}

@test "sd_notify decides where it is asked to: READY=1, STATUS, and a stranger's word does not count" {
    # shellcheck disable=SC2046
    start --log-level info $(quick) --ready notify --no-progress 30s -- "$FAKE" --notify --ready-after 2500 --notify-status "loading shards"
    wait_for '[ -S state/notify ] && [ -n "$(servers)" ]'
    NOTIFY_SOCKET=$D/state/notify python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])'
    run -0 "$HOLD" status --json
    [[ "$output" != *'"phase":"ready"'* ]]
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    [ "$(ev ready | field since_start_ms)" -ge 2490 ]
    run -0 "$HOLD" status --json
    [[ "$output" == *"loading shards"* ]]
    kill "$HOLD_PID"
    finish
    [ "$CODE" -eq 0 ]
}

@test "a warm-up must pass once before READY" {
    # shellcheck disable=SC2046
    start --log-level info $(quick) --ready "tcp://127.0.0.1:$PORT" --warmup "http://127.0.0.1:$PORT/health" -- "$FAKE" --listen "$PORT" --ready-after 300
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    [ "$(phases)" = "loading warming ready" ]
    kill "$HOLD_PID"
    finish
}

@test "a server may name its watchdog's rhythm itself, and is held to it" {
    # shellcheck disable=SC2046
    start --log-level info --restart never $(quick) --ready notify --watchdog 1h -- sh -c "$FAKE --notify-once 'READY=1
WATCHDOG_USEC=200000'; exec sleep 600"
    finish
    [ "$CODE" -eq 110 ]
    [ "$(ev kill | field deadline)" = liveness ]
    start --log-level info --restart never $(quick) --ready notify --watchdog 100ms -- sh -c "$FAKE --notify-once 'READY=1
WATCHDOG_USEC=3600000000'; exec sleep 600"
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    read -r -t 0.5 -u 9 || true # five times what was configured
    [ "$(n_ev kill)" -eq 0 ]
    kill "$HOLD_PID"
    finish
}

@test "a watchdog that falls silent restarts it" {
    # shellcheck disable=SC2046
    start --log-level info --restart never $(quick) --watchdog 200ms -- "$FAKE"
    finish
    [ "$CODE" -eq 110 ]
    [ "$(ev kill | field deadline)" = liveness ]
}

@test "the listening socket that holdfast keeps: connections queue across a restart and none is refused" {
    start --log-level info --restart on-failure --restart-delay 100ms --listen "127.0.0.1:$PORT" -- "$FAKE" --fd --crash-on /crash --code 1
    wait_for 'curl -sf -m 5 -o /dev/null "http://127.0.0.1:$PORT/health"'
    curl -s -m 5 -o /dev/null "http://127.0.0.1:$PORT/crash" || true
    run -0 curl -sf -m 10 -o /dev/null "http://127.0.0.1:$PORT/health" # asked while nothing runs
    [ "$(n_ev spawn)" -eq 2 ]
    kill "$HOLD_PID"
    finish
    [ "$CODE" -eq 0 ]
}
