#!/usr/bin/env bats
# The termination message: there at each phase, verdict first, at most 4,096 bytes of valid UTF-8, written in place, still
# telling the phase after a KILL.

bats_require_minimum_version 1.5.0
load story.bash

setup() { story_begin; HEALTH=$(free_port); }
teardown() { story_end; }

is_sound() {
    python3 - "$TERM_LOG" <<'PY'
import json, sys
raw = open(sys.argv[1], "rb").read()
assert len(raw) <= 4096, len(raw)
first = raw.decode("utf-8").split("\n")[0]
assert len(first) <= 300
verdict = json.loads(first)
assert "phase" in verdict
PY
}

@test "it is rewritten at each phase change, in the same file" {
    inode=$(stat -c %i "$TERM_LOG")
    head -c 9000 /dev/zero | tr '\0' o > "$TERM_LOG"
    hold --ready "http://127.0.0.1:$HEALTH/health" --health-backoff 20ms -- "$FAKE" --listen "$HEALTH" --ready-after 500
    eventually term_has '"phase":"loading"'
    is_sound
    eventually term_has '"phase":"ready"'
    is_sound
    kill -TERM "$HOLD_PID"
    hold_ends
    term_has '"phase":"exited"'
    is_sound
    ! grep -q oooo "$TERM_LOG"
    [ "$(stat -c %i "$TERM_LOG")" = "$inode" ]
}

@test "a KILL of process 1 leaves the phase" {
    hold --ready "http://127.0.0.1:$HEALTH/health" -- "$FAKE" --listen "$HEALTH" --never-ready
    eventually term_has '"phase":"loading"'
    kill -KILL "$HOLD_PID"
    hold_ends
    term_has '"phase":"loading"'
    is_sound
}

@test "while it starts, the message, the probe's line and the status say what is waited for" {
    hold --status-listen '' --ready notify -- "$FAKE" --notify --progress 50 --never-ready --notify-status "reading shard 2"
    eventually term_has ' % of 100000 bytes: reading shard 2'
    term_has 'waits for server, '
    is_sound
    ask /startupz
    [[ "$body" == "not started: phase loading, server is loading, waits for server, "*": reading shard 2" ]]
    ask /status
    [[ "$body" == *'"waits_for":"server, '* ]]
    run "$H" status --state-dir "$STATE"
    [[ "$output" == *'waits for server, '*': reading shard 2'* ]]
}

@test "an end names cause, action, signature, exit code and the last lines" {
    hold -- "$FAKE" --say "step one" --say-err "Traceback (most recent call last):" --say-err "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB." \
        --say-err "RuntimeError: Engine core initialization failed. See root cause above." --exit-after 100 --code 1
    hold_ends
    [ "$status" -eq 1 ]
    head -1 "$TERM_LOG" | grep -q '"cause":"gpu_oom","action":"retry","phase":"exited","member":"server","signature":"torch-oom","exit":1,"attempt":1'
    term_has "device memory ran out"
    term_has "Engine core initialization failed"
    is_sound
}

@test "output that is no text cannot spoil it" {
    # shellcheck disable=SC2016 # expanded by the inner shell
    hold -- sh -c 'head -c 300000 /dev/urandom; printf "%b" "$1"; exit 9' sh '\n"}{\0377\n'
    hold_ends
    [ "$status" -eq 9 ]
    is_sound
    head -1 "$TERM_LOG" | grep -q '"exit":9'
}

@test "a told cause wins, and every death says how it ended" {
    hold -- "$FAKE" --exit-after 100 --signal 11
    hold_ends
    [ "$status" -eq 139 ]
    head -1 "$TERM_LOG" | grep -q '"cause":"crashed"'
    hold -- /nonexistent/server
    hold_ends
    [ "$status" -eq 127 ]
    head -1 "$TERM_LOG" | grep -q '"cause":"command_missing","action":"fix-config"'
    hold -- "$DIR"
    hold_ends
    [ "$status" -eq 126 ]
    head -1 "$TERM_LOG" | grep -q '"cause":"command_denied"'
}

@test "a file that is not there is nobody's mistake by default, and made when asked for" {
    "$H" --state-dir "$STATE" --termination-log "$DIR/made" -- "$FAKE" --exit-after 1
    grep -q '"cause":"finished"' "$DIR/made"
    if [ ! -e /dev/termination-log ]; then
        run "$H" --state-dir "$STATE" -- "$FAKE" --exit-after 1
        [ "$status" -eq 0 ]
        [[ "$output" != *termination* ]]
        [ ! -e /dev/termination-log ]
    fi
}

@test "a place that cannot be written is said once and stops nothing" {
    TERM_LOG=$DIR/folder
    mkdir "$TERM_LOG"
    hold --restart on-failure --restart-delay 1ms --restart-budget 3 -- "$FAKE" --exit-after 1 --code 4
    hold_ends
    [ "$status" -eq 4 ]
    [ "$(grep -c 'termination message is not kept' "$ERR")" -eq 1 ]
    rmdir "$TERM_LOG"
    TERM_LOG=$DIR/none
}

@test "what ends before anything runs is told as well: a wrong value, a file that cannot be read, an address that is taken" {
    run -65 "$H" --state-dir "$STATE" --termination-log "$TERM_LOG" --grace soon --restrat never -- true
    is_sound
    term_has '"cause":"config","action":"fix-config","phase":"exited","exit":65'
    term_has "--grace: 'soon' is not a duration"
    HOLDFAST_TERMINATION_LOG=$TERM_LOG run -65 "$H" run --config "$DIR/none.json"
    term_has none.json
    run -65 "$H" --termination-log '' --grace soon -- true
    python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); sys.stdin.read()' < <(sleep 20) > "$DIR/port" &
    eventually test -s "$DIR/port"
    run -67 "$H" --state-dir "$STATE" --termination-log "$TERM_LOG" --listen "127.0.0.1:$(cat "$DIR/port")" -- true
    kill %1
    term_has '"cause":"listen"'
}

@test "a diagnosis counts the restarts that are left only where one follows and a limit is set" {
    run -3 "$H" --state-dir "$STATE" --log-format json --restart on-failure --restart-delay 1ms --restart-budget 1 -- sh -c 'exit 3'
    grep -q '"final":false,"restarts_left":0' <<< "$output"
    grep '"final":true' <<< "$output" | grep -vq restarts_left
    [[ "$output" == *"1 restart is allowed in"* ]]
    [[ "$output" != *"never ready"* ]] # nobody asked whether it was
    hold --log-format json --restart always --restart-delay 1ms --restart-budget 0 -- sh -c 'exit 3'
    eventually grep -q '"final":false}' "$ERR"
    kill -TERM "$HOLD_PID"
    hold_ends
}
