#!/usr/bin/env bats
# Clocks that jump: the wall clock set back and forward, a machine that was suspended or frozen. holdfast with a clock that the
# test sets (the same objects but base/clock.o), and the real one stopped as `docker pause` stops it.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

HOUR=3600000

setup() {
    story_setup
    HOLD=$TOP/build/${VARIANT:-release}/tests/driven-clock
    export HOLD_TEST_CLOCK=$D/clock
    set_clocks 0 0
    PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
}
teardown() { story_teardown; }

# set_clocks LOOP_MS WALL_MS: both clocks, as offsets; whole or not at all.
set_clocks() { echo "$1 $2" > clock.new && mv clock.new clock; }
wakes() { awk '/voluntary_ctxt/ { n += $2 } END { print n }' "/proc/$HOLD_PID/status"; }
nudge() { kill -WINCH "$HOLD_PID"; wait_for "[ \"\$(n_ev signal WINCH)\" -ge $1 ]"; }

@test "the wall clock goes back and forward by an hour: no timer fires early or late, nothing is killed, nothing spins" {
    start --log-level info --restart on-failure --restart-delay 1500ms --watchdog 20s --ready "http://127.0.0.1:$PORT/health" --live "http://127.0.0.1:$PORT/health" \
        --health-period 100ms --live-failures 2 --status-listen "" -- "$FAKE" --listen "$PORT" --crash-on /crash --code 1
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    for wall in $HOUR -$HOUR $((24 * HOUR)) 0; do
        set_clocks 0 "$wall"
        local before
        before=$(wakes)
        read -r -t 0.4 -u 9 || true
        [ $(($(wakes) - before)) -lt 100 ]
    done
    [ "$(n_ev kill)" -eq 0 ] && [ "$(n_ev unready)" -eq 0 ] && [ "$(n_ev warn)" -eq 0 ]
    begun=$((${EPOCHREALTIME/./} / 1000))
    curl -s -m 5 -o /dev/null "http://127.0.0.1:$PORT/crash" || true
    wait_for '[ "$(n_ev restart)" -eq 1 ]'
    set_clocks 0 $HOUR
    wait_for '[ "$(n_ev spawn)" -eq 2 ]'
    took=$((${EPOCHREALTIME/./} / 1000 - begun))
    echo "the back-off of 1.5 s took $took ms"
    [ "$took" -ge 1450 ] && [ "$took" -lt 6000 ]
    kill "$HOLD_PID"
    finish
    [ "$CODE" -eq 0 ]
}

@test "a machine that was suspended for three hours kills nobody: not a start, not a server that owes a word, not a question in flight" {
    start --log-level info --no-progress 5m --start-backstop 2h --ready "exec:test -e ready" --health-period 60s --health-backoff 60s --status-listen "" -- "$FAKE"
    wait_for '[ "$(n_ev spawn)" -eq 1 ] && [ -n "$(servers)" ]'
    set_clocks $((3 * HOUR)) $((3 * HOUR))
    nudge 1
    wait_for '[ "$(n_ev warn suspended)" -eq 1 ]'
    read -r -t 0.3 -u 9 || true
    [ "$(n_ev kill)" -eq 0 ]
    local before
    before=$(wakes)
    read -r -t 0.5 -u 9 || true
    [ $(($(wakes) - before)) -lt 40 ]
    touch ready
    set_clocks $((6 * HOUR)) $((6 * HOUR)) # the next question is long due
    nudge 2
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    kill "$HOLD_PID"
    finish
    [ "$CODE" -eq 0 ]
    [ "$(n_ev kill)" -eq 0 ]

    start --log-level info --watchdog 30s --ready "http://127.0.0.1:$PORT/health" --live "http://127.0.0.1:$PORT/health" --health-timeout 50s --health-period 50ms \
        --health-failures 1 --live-failures 1 --status-listen "" -- "$FAKE" --listen "$PORT" --hang-after 1500
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    read -r -t 1.8 -u 9 || true # both questions hang now
    for n in 1 2 3; do
        set_clocks $(((10 + n) * HOUR)) 0
        nudge "$n"
    done
    read -r -t 0.3 -u 9 || true
    [ "$(n_ev kill)" -eq 0 ] && [ "$(n_ev unready)" -eq 0 ]
    kill -KILL "$(servers)"
    finish
}

@test "after a jump the deadlines still judge: a watchdog that stays silent afterwards kills" {
    start --log-level info --restart never --watchdog 1200ms --status-listen "" -- "$FAKE"
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    set_clocks $HOUR 0
    nudge 1
    [ "$(n_ev kill)" -eq 0 ]
    finish
    [ "$CODE" -eq 110 ]
    [ "$(ev kill | field deadline)" = liveness ]
}

@test "a loop clock that goes back by an hour goes on from where it was" {
    start --log-level info --restart never --watchdog 1500ms --status-listen "" -- "$FAKE"
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    set_clocks -$HOUR 0
    nudge 1
    begun=$((${EPOCHREALTIME/./} / 1000))
    finish
    took=$((${EPOCHREALTIME/./} / 1000 - begun))
    [ "$CODE" -eq 110 ]
    [ "$took" -lt 8000 ]
}

@test "a jump during the grace does not lengthen it" {
    start --log-level info --grace 1h --status-listen "" -- "$FAKE" --ignore-term
    wait_for '[ -n "$(servers)" ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]'
    kill -TERM "$HOLD_PID"
    wait_for '[ "$(n_ev stop)" -eq 1 ]'
    set_clocks $((2 * HOUR)) 0
    kill -WINCH "$HOLD_PID"
    finish
    [ "$CODE" -eq 137 ]
    [ "$(n_ev unkillable)" -eq 0 ]
}

@test "frozen for real, as a paused container is: neither the watchdog nor a question kills it when it goes on" {
    unset HOLD_TEST_CLOCK
    HOLD=$TOP/build/${VARIANT:-release}/bin/holdfast
    cat > pinger << 'X'
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
while True:
    s.sendto(b"READY=1\nWATCHDOG=1", os.environ["NOTIFY_SOCKET"])
    time.sleep(0.1)
X
    local python
    python=$(python3 -c 'import sys; print(sys.executable)')
    start --log-level info --ready notify --restart never --watchdog 900ms --status-listen "" -- "$python" pinger
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    local child
    child=$(child_of "$HOLD_PID")
    for _ in 1 2; do
        kill -STOP "$HOLD_PID" "$child"
        read -r -t 3 -u 9 || true
        kill -CONT "$HOLD_PID" # before the child: its word comes late as well
        read -r -t 0.1 -u 9 || true
        kill -CONT "$child"
        read -r -t 0.5 -u 9 || true
        [ "$(n_ev kill)" -eq 0 ]
    done
    [ "$(n_ev warn suspended)" -ge 2 ]
    kill "$HOLD_PID"
    finish
    [ "$CODE" -eq 143 ]
}

@test "a server that says it is up is asked soon, however far the back-off has grown" {
    printf '#!/bin/sh\necho asked >> asked\ntest -e up\n' > check
    chmod +x check
    : > asked
    start --log-level info --ready "exec:$D/check" --health-backoff 20ms --health-period 1h --status-listen "" -- \
        sh -c 'while ! [ -e up ]; do sleep 0.05; done; echo "INFO:     Uvicorn running on http://127.0.0.1:8000"; exec sleep 600'
    asks() { wc -l < asked; }
    local n offset=0
    wait_for '[ "$(asks)" -ge 1 ]'
    for n in $(seq 1 13); do # each wait doubles: 20 ms ... 82 s
        offset=$((offset + 100000))
        set_clocks $offset 0
        kill -WINCH "$HOLD_PID"
        wait_for "[ \"\$(asks)\" -gt $n ]"
    done
    read -r -t 0.3 -u 9 || true # the last answer is in, the next question 100 s away
    n=$(asks)
    read -r -t 0.3 -u 9 || true
    [ "$(asks)" -eq "$n" ]
    touch up
    wait_for '[ "$(n_ev ready)" -eq 1 ]'
    kill "$HOLD_PID"
    finish
}
