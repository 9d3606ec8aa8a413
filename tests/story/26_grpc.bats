#!/usr/bin/env bats
# The gRPC health protocol against two real servers whose statuses change, and against peers that are none.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup_file() {
    export VENV=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/grpc
    if [ ! -e "$VENV/whole" ]; then
        rm -rf "$VENV"
        python3 -m venv "$VENV" && "$VENV/bin/pip" install -q --disable-pip-version-check grpcio grpcio-health-checking grpclib protobuf && : > "$VENV/whole"
    fi || :
}
setup() { story_setup; PORT=$((20000 + RANDOM % 20000)); mkdir says; }
teardown() { story_teardown; }

say() { echo "$2" > says/new && mv says/new "says/$1"; }
real() { [ -e "$VENV/whole" ] || skip "grpcio and grpclib cannot be installed here"; }

# serve KIND CHECK-OPTIONS...: holdfast around that server; a period of 40 ms and time enough for a busy machine.
serve() {
    local kind=$1 python=python3
    shift
    case $kind in grpc*) python=$VENV/bin/python ;; esac
    start --log-level info --restart on-failure --restart-delay 5ms --health-period 40ms --health-backoff 20ms --status-listen= "$@" -- \
        "$python" "$TOP/tests/helpers/grpc_server.py" "$kind" "$PORT" says
}

stop() { kill "$HOLD_PID"; finish; nothing_left; }

follows() { # KIND SERVICE NAME-OF-THE-FILE
    say "$3" NOT_SERVING
    serve "$1" --health-timeout 10s --ready "grpc://127.0.0.1:$PORT$2"
    wait_for '"$HOLD" status --json | grep -q "the server says NOT_SERVING"' 30
    [ "$(n_ev ready)" -eq 0 ]
    say "$3" SERVING
    wait_for '[ "$(n_ev ready)" -eq 1 ]' 30
    run -0 "$HOLD" probe ready
    say "$3" NOT_SERVING
    wait_for '[ "$(n_ev unready)" -eq 1 ]' 30
    run -1 "$HOLD" probe ready
    say "$3" SERVING
    wait_for '[ "$(n_ev ready)" -eq 2 ]' 30
    [ "$(n_ev spawn)" -eq 1 ]
    stop
}

@test "grpcio: not ready until it says SERVING, unready while it says NOT_SERVING, and back" { real; follows grpcio "" server; }
@test "grpcio: one service by name" { real; follows grpcio /zai.Model model; }
@test "grpclib, which compresses its headers: the same" { real; follows grpclib "" server; }

@test "as liveness: NOT_SERVING often enough restarts it, and the reason says so" {
    real
    say server SERVING
    serve grpcio --health-timeout 10s --ready "tcp://127.0.0.1:$PORT" --live "grpc://127.0.0.1:$PORT" --live-failures 3
    wait_for '[ "$(n_ev probe "\"question\":\"live\",\"ok\":true")" -eq 1 ]' 30
    say server NOT_SERVING
    wait_for '[ "$(n_ev diagnosis)" -ge 1 ]' 30
    say server SERVING
    [ "$(ev kill | head -n 1 | field why)" = unhealthy ]
    ev diagnosis | head -n 1 | grep -q 'the server says NOT_SERVING'
    wait_for '[ "$(n_ev ready)" -ge 2 ]' 30
    stop
}

@test "a service that the server does not know never gets ready, and status says why" {
    real
    say server SERVING
    serve grpcio --health-timeout 10s --ready "grpc://127.0.0.1:$PORT/none.Such"
    wait_for "\"\$HOLD\" status --json | grep -q \"the server knows no service 'none.Such' (NOT_FOUND)\"" 30
    [ "$(n_ev ready)" -eq 0 ]
    stop
}

@test "peers that are silent, drip, flood, have no end, speak HTTP/1, reset or go away fail, each with its reason, in flat memory" {
    while IFS=/ read -r kind why; do
        serve "$kind" --health-timeout 400ms --ready "grpc://127.0.0.1:$PORT" --no-progress 60s
        wait_for "\"\$HOLD\" status --json 2> /dev/null | grep -qF '$why'" 30 || { "$HOLD" status --json; return 1; }
        [ "$(n_ev ready)" -eq 0 ]
        [ "$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$HOLD_PID/status")" -lt 8192 ]
        stop
        PORT=$((PORT + 1))
    done << 'KINDS'
silent/no answer in time
drip/no answer in time
pings/faster than it reads the answers
headers/a header block of more than 8192 bytes
http1/the answer is not HTTP/2
reset/the server reset the stream (error 7)
gone/the server goes away (error 11)
KINDS
}

@test "mistakes are told at the start" {
    run -65 "$HOLD" --ready "grpcs://127.0.0.1:1" -- true
    [[ "$output" == *"speaks no TLS"* ]]
    run -65 "$HOLD" --ready "grpc://127.0.0.1" --live "grpc://127.0.0.1:1/$(printf 's%.0s' {1..128})" -- true
    [[ "$output" == *"the port is missing"* ]]
    [[ "$output" == *"the service's name has 128 bytes, the limit is 127"* ]]
}
