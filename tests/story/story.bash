# story.bash - what the stories of process 1 share. Sourced by a bats file; everything a test starts is ended by its teardown.
# shellcheck shell=bash

cd "$BATS_TEST_DIRNAME/../.." || exit 1
TOP=$PWD
BUILD=${BUILD:-$TOP/build/release}
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac
H=$BUILD/bin/holdfast
FAKE=$BUILD/tests/fake-server

story_begin() {
    DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/story.XXXXXX")
    STATE=$DIR/state
    TERM_LOG=$DIR/termination-log
    OUT=$DIR/out
    ERR=$DIR/err
    HOLD_PID=
    mkdir -p "$STATE"
    : > "$TERM_LOG"
}

# Ends what is left and says what the test did not expect.
story_end() {
    if [ -n "$HOLD_PID" ] && kill -0 "$HOLD_PID" 2>/dev/null; then
        kill -KILL "$HOLD_PID" 2>/dev/null || true
        wait "$HOLD_PID" 2>/dev/null || true
    fi
    local pid
    for pid in $(left_over); do kill -KILL "$pid" 2>/dev/null || true; done
    if [ -z "$BATS_TEST_COMPLETED" ]; then
        for f in "$ERR" "$OUT" "$TERM_LOG"; do [ -s "$f" ] && { echo "--- $(basename "$f")"; head -c 4000 "$f"; }; done
    fi
    rm -rf "$DIR"
}

# hold ARG...: process 1 in the background; HOLD_PID is set. Its streams are $OUT and $ERR.
hold() {
    HOLD_STORY="$DIR" "$H" --state-dir "$STATE" --termination-log "$TERM_LOG" --log-level info "$@" > "$OUT" 2> "$ERR" 3>&- 4>&- &
    HOLD_PID=$!
}

# The processes that this test's process 1 started and left: they carry its variable.
left_over() {
    local environ
    for environ in /proc/[0-9]*/environ; do
        if tr '\0' '\n' 2>/dev/null < "$environ" | grep -qxF "HOLD_STORY=$DIR"; then
            environ=${environ#/proc/}
            [ "${environ%/environ}" = "$HOLD_PID" ] || echo "${environ%/environ}"
        fi
    done 2>/dev/null
}

# hold_ends [SECONDS]: waits for process 1 and sets $status; fails when it lives on.
hold_ends() {
    local tries=$((${1:-10} * 50))
    while kill -0 "$HOLD_PID" 2>/dev/null; do
        [ $((tries--)) -gt 0 ] || { echo "process 1 still lives"; return 1; }
        read -rt 0.02 <> <(:) || true
    done
    status=0
    wait "$HOLD_PID" || status=$?
}

# eventually COMMAND...: within ten seconds.
eventually() {
    local tries=500
    until "$@"; do
        [ $((tries--)) -gt 0 ] || { echo "never: $*"; return 1; }
        read -rt 0.02 <> <(:) || true
    done
}

# ask PATH [CURL ARG...]: over the UNIX socket; the body in $body, the status in $code.
ask() {
    local path=$1
    shift
    code=$(curl -s -m 5 -o "$DIR/body" -w '%{http_code}' --unix-socket "$STATE/holdfast.sock" "$@" "http://localhost$path") || true
    body=$(cat "$DIR/body" 2>/dev/null)
}

is_code() { ask "$1"; [ "$code" = "$2" ]; }
phase_is() { ask /status; [[ "$body" == *"\"phase\":\"$1\""* ]]; }
# member_pid: of the only member.
member_pid() { ask /status; sed -n 's/.*"state":"[a-z]*","state_ms":[0-9]*,"pid":\([0-9]*\).*/\1/p' <<< "$body"; }
# event NAME [TEXT]: a log line with that event, and TEXT in it.
event() { grep -F "\"ev\":\"$1\"" "$ERR" | grep -qF -- "${2:-}"; }
term_has() { grep -qF -- "$1" "$TERM_LOG"; }
said() { grep -qF -- "$1" "$OUT"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
