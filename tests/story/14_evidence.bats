#!/usr/bin/env bats
# What is known afterwards, and what process 1 does not wait for: post-mortems, findings, a stuck job, a log nobody reads.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() { story_setup; PORT=$((20000 + RANDOM % 20000)); }
teardown() { story_teardown; }

@test "before a health-caused KILL the facts are written down: threads, memory, last lines" {
    start --log-level info --restart never --ready "http://127.0.0.1:$PORT/health" --health-backoff 10ms --status-listen= --no-progress 200ms -- \
        "$FAKE" --listen "$PORT" --never-ready --say "loading shard 3 of 7" --say "waiting for the disk"
    finish
    [ "$CODE" -eq 111 ]
    python3 - state/kill-server.json << 'EOF'
import json, sys
m = json.load(open(sys.argv[1]))
assert m["member"] == "server" and m["why"] == "no-progress", m
assert m["facts"]["threads"], m
assert "waiting for the disk" in m["last_lines"].split("\n"), m["last_lines"]
EOF
    head -n 1 message | grep -q no_progress
    grep -q "waiting for the disk" message
}

@test "after a crash too, and the message names the first cause, not the last line" {
    start --restart never -- "$FAKE" --exit-after 30 --code 1 --say-err "OSError: [Errno 28] No space left on device" --say-err "Traceback (most recent call last):"
    finish
    [ "$CODE" -eq 1 ]
    [ "$(head -n 1 message | field cause)" = disk_full ]
    grep -q "disk is full" state/death-server.json
}

@test "a job that tells nothing is killed at the no-progress time and tried again, then it is the verdict" {
    "$FAKE" --listen "$PORT" --hang-after 0 > origin 3>&- 9<&- &
    origin=$!
    wait_for 'grep -q listening origin'
    start run --model "$D/model" --model-source "http://127.0.0.1:$PORT/" --preflight=false --sandbox off --listen 127.0.0.1:0 --status-listen= --log-level info \
        --no-progress 300ms --fetch-stall 60s --restart-delay 10ms --restart-budget 1
    finish
    kill "$origin"
    tail -n 5 "$LOG"
    [ "$CODE" -eq 111 ]
    [ "$(n_ev kill '"why":"no-progress"')" -eq 2 ]
    [ "$(n_ev job_start)" -eq 2 ]
    [ "$(head -n 1 message | field cause)" = no_progress ]
}

@test "TERM ends a job that ignores it by KILL, within the sweep time" {
    "$FAKE" --listen "$PORT" --hang-after 0 > origin 3>&- 9<&- &
    origin=$!
    wait_for 'grep -q listening origin'
    start run --model "$D/model" --model-source "http://127.0.0.1:$PORT/" --preflight=false --sandbox off --listen 127.0.0.1:0 --status-listen= --log-level info --fetch-stall 60s
    wait_for '[ "$(n_ev job_start)" -eq 1 ] && pgrep -P $HOLD_PID -f "fetch" > job'
    kill -STOP "$(head -n 1 job)" # it cannot hear TERM
    kill -TERM "$HOLD_PID"
    finish
    kill "$origin"
    [ "$CODE" -eq 143 ] || [ "$CODE" -eq 0 ]
    run ! kill -0 "$(head -n 1 job)"
}

@test "findings of the preflight stand in status" {
    mkdir model
    echo '{' > model/config.json
    start run --model "$D/model" --sandbox off --listen 127.0.0.1:0 --status-listen= --log-level info --on-fatal hold
    wait_for 'phases | grep -q held'
    run -0 "$HOLD" status --json
    [[ "$output" == *'"findings":[{'* ]]
    [[ "$output" == *model* ]]
    kill "$HOLD_PID"
    finish
    [ "$CODE" -ge 70 ] && [ "$CODE" -le 99 ]
}

@test "standard error that nobody reads stops neither the server nor the answers" {
    mkfifo pipe
    tail -f /dev/null < pipe 3>&- 9<&- & # opens it, and never reads
    reader=$!
    "$HOLD" --restart always --restart-delay 1ms --restart-cap 1ms --restart-budget 0 --log-level debug -- "$FAKE" --counter "$D/counter" --exit-after 0 --code 1 > "$D/out" 2> pipe 3>&- 9<&- &
    HOLD_PID=$!
    wait_for '[ "$(grep -c ^start counter)" -ge 120 ]' 30 # far more lines than a pipe holds
    run -0 timeout 5 "$HOLD" probe live
    kill "$HOLD_PID"
    finish
    kill "$reader"
}

@test "whoever gave us a NOTIFY_SOCKET is told READY=1 once and STOPPING=1; the server does not get it" {
    python3 - "$D/above" > told 3>&- 9<&- << 'EOF' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(20)
while True:
    text = s.recv(4096).decode()
    print(text, flush=True)
    if text.startswith("STOPPING"):
        break
EOF
    above=$!
    wait_for '[ -S above ]'
    NOTIFY_SOCKET=$D/above start --log-level info -- "$FAKE" --print-env NOTIFY_SOCKET
    wait_for '[ "$(n_ev ready)" -eq 1 ] && [ -s told ]'
    wait_for 'grep -q "env NOTIFY_SOCKET unset" out'
    kill "$HOLD_PID"
    finish
    wait "$above"
    [ "$(cat told)" = "$(printf 'READY=1\nSTOPPING=1')" ]
}

@test "an unkillable process is named, the code is 114, and nothing new is started beside it" {
    frozen=/sys/fs/cgroup/freezer/holdfast-story-$$
    { [ "$(id -u)" -eq 0 ] && mkdir "$frozen" 2> /dev/null; } || skip "no v1 freezer cgroup to make a process unkillable with"
    start --log-level info --restart always --restart-delay 1ms --ready "http://127.0.0.1:1/" --health-backoff 10ms --status-listen= --no-progress 600ms --kill-wait 300ms -- "$FAKE"
    wait_for '[ -n "$(servers)" ]'
    pid=$(servers)
    echo "$pid" > "$frozen/cgroup.procs"
    echo FROZEN > "$frozen/freezer.state"
    code=0
    wait "$HOLD_PID" || code=$?
    HOLD_PID=
    echo THAWED > "$frozen/freezer.state"
    wait_for '[ ! -e /proc/$pid ]'
    rmdir "$frozen"
    tail -n 4 "$LOG"
    [ "$code" -eq 114 ]
    [ "$(n_ev spawn)" -eq 1 ]
    ev unkillable | grep -q "$pid"
    [ "$(head -n 1 message | field action)" = new-node ]
}

@test "and a stop that meets one is over 2 s after the grace all the same" {
    frozen=/sys/fs/cgroup/freezer/holdfast-story-$$
    { [ "$(id -u)" -eq 0 ] && mkdir "$frozen" 2> /dev/null; } || skip "no v1 freezer cgroup to make a process unkillable with"
    start --grace 500ms --status-listen= -- "$FAKE"
    wait_for '[ -n "$(servers)" ]'
    pid=$(servers)
    echo "$pid" > "$frozen/cgroup.procs"
    echo FROZEN > "$frozen/freezer.state"
    begun=${EPOCHREALTIME/./}
    kill "$HOLD_PID"
    code=0
    wait "$HOLD_PID" || code=$?
    took_ms=$(((${EPOCHREALTIME/./} - begun) / 1000))
    HOLD_PID=
    echo THAWED > "$frozen/freezer.state"
    wait_for '[ ! -e /proc/$pid ]'
    rmdir "$frozen"
    echo "code $code after $took_ms ms"
    [ "$code" -eq 114 ]
    [ "$took_ms" -ge 2400 ] && [ "$took_ms" -lt 2900 ]
}
