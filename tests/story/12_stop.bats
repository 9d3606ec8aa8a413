#!/usr/bin/env bats
# Stopping: in every phase, within the grace, readiness first, and nothing left.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() { story_setup; }
teardown() { story_teardown; }

ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

@test "TERM while serving: the child drains and its code is ours" {
    start --log-level info -- "$FAKE" --drain-ms 100 --term-code 7
    wait_for '[ "$(n_ev ready)" -eq 1 ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]'
    kill -TERM "$HOLD_PID"
    finish
    [ "$CODE" -eq 7 ]
    [ "$(phases)" = "loading ready draining exited" ]
    nothing_left
}

@test "TERM while loading" {
    start --log-level info --ready 'http://127.0.0.1:1/health' --status-listen "" -- "$FAKE"
    wait_for '[ "$(n_ev phase \"loading\")" -ge 1 ] && [ -n "$(servers)" ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]'
    kill -TERM "$HOLD_PID"
    finish
    [ "$CODE" -eq 0 ]
    [ "$(phases)" = "loading draining exited" ]
    nothing_left
}

# Bounds from above are for one of up to six rounds, since machines are shared;
# bounds from below are for each.
@test "TERM in back-off: gone within 100 ms with 143, and nothing is started" {
    for _ in 1 2 3 4 5 6; do
        start --log-level info --restart always --restart-delay 60s -- "$FAKE" --exit-after 0 --code 1
        wait_for '[ "$(n_ev restart)" -eq 1 ]'
        begun=${EPOCHREALTIME/./}
        kill -TERM "$HOLD_PID"
        finish
        took=$(((${EPOCHREALTIME/./} - begun) / 1000))
        echo "took $took ms"
        [ "$CODE" -eq 143 ] || return 1
        [ "$(n_ev spawn)" -eq 1 ] || return 1
        [ "$took" -gt 100 ] || return 0
    done
    return 1
}

@test "TERM while helpers of a dead server are swept: no restart follows" {
    start --log-level info --restart always --restart-delay 1ms --sweep-wait 400ms -- "$FAKE" --spawn-helpers 1 --helper-ignore-term --exit-after 0 --code 1
    wait_for '[ "$(n_ev leftover)" -ge 1 ]'
    kill -TERM "$HOLD_PID"
    finish
    [ "$(n_ev spawn)" -eq 1 ]
    nothing_left
}

@test "a child that ignores TERM is killed when the grace of 2 s is over, within 0.1 s and never before: 137" {
    for _ in 1 2 3 4 5 6; do
        start --log-level info --grace 2s -- "$FAKE" --ignore-term
        wait_for '[ -n "$(servers)" ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]'
        # From our TERM to the end of the server itself, by its pidfd.
        python3 - "$HOLD_PID" "$(servers)" > took << 'X'
import os, select, signal, sys, time
server = os.pidfd_open(int(sys.argv[2]))
begun = time.monotonic()
os.kill(int(sys.argv[1]), signal.SIGTERM)
select.select([server], [], [])
print(int((time.monotonic() - begun) * 1000))
X
        finish
        took=$(cat took)
        echo "killed after $took ms"
        [ "$CODE" -eq 137 ] || return 1
        [ "$(ev kill | field deadline)" = drain ] || return 1
        [ "$took" -ge 1999 ] || return 1
        nothing_left || return 1
        [ "$took" -gt 2100 ] || return 0
    done
    return 1
}

@test "a second TERM brings the KILL at once" {
    start --log-level info --grace 60s -- "$FAKE" --ignore-term
    wait_for '[ -n "$(servers)" ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]'
    kill -TERM "$HOLD_PID"
    wait_for '[ "$(n_ev stop)" -eq 1 ]'
    kill -TERM "$HOLD_PID" # within 100 ms it is the same request: timeout(1) sends it twice
    read -r -t 0.15 -u 9 || true
    [ "$(n_ev kill)" -eq 0 ]
    kill -TERM "$HOLD_PID"
    wait_for '[ "$(n_ev kill)" -ge 1 ] && [ "$(n_ev end)" -eq 1 ]'
    finish
    [ "$CODE" -eq 137 ]
    nothing_left
}

@test "readiness is off before the child gets TERM, and the pre-stop delay is inside the grace" {
    start --log-level info --prestop-delay 300ms --grace 10s -- "$FAKE"
    wait_for '[ "$(n_ev ready)" -eq 1 ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]'
    run -0 "$HOLD" probe ready
    kill -TERM "$HOLD_PID"
    wait_for '[ "$(n_ev stop)" -eq 1 ]'
    run -1 "$HOLD" probe ready
    [ "$(n_ev signal '"sent":"TERM"')" -eq 0 ]
    run -0 "$HOLD" probe live
    finish
    [ "$CODE" -eq 0 ]
    [ "$(n_ev signal '"sent":"TERM"')" -eq 1 ]
}

@test "a signal named by --stop-on asks for the stop, and a server that outlives its grace is said to have" {
    start --log-level info --stop-on QUIT --restart always --grace 300ms --status-listen= -- "$FAKE" --ignore-term
    wait_for '[ -n "$(servers)" ] && [ "$(blocked "$(servers)")" != 0000000000000000 ]'
    kill -QUIT "$HOLD_PID"
    finish
    [ "$CODE" -eq 137 ]
    [ "$(n_ev spawn)" -eq 1 ]
    ev signal | grep -q '"sent":"QUIT"'
    grep -q 'still running 300ms after the stop was asked' message
    nothing_left
}

@test "two servers stop together; a hung one does not keep the other from draining" {
    cat > holdfast.json << EOF
{"servers": {"one": {"command": ["$FAKE", "--ignore-term"]}, "two": {"command": ["$FAKE", "--drain-ms", "50", "--counter", "$D/counter"]}}}
EOF
    start run --config holdfast.json --preflight=false --sandbox off --listen "" --status-listen "" --grace 500ms
    wait_for '[ "$(n_ev ready)" -eq 1 ] && [ "$(servers | wc -l)" -eq 2 ]'
    for p in $(servers); do wait_for "[ \"\$(blocked $p)\" != 0000000000000000 ]"; done
    kill -TERM "$HOLD_PID"
    finish
    [ "$CODE" -eq 137 ]
    [ "$(ev exit '"member":"two"' | field status)" = 0 ]
    nothing_left
}

@test "one of two ends for good: the other is drained and the code is the first's" {
    cat > holdfast.json << EOF
{"servers": {"one": {"command": ["$FAKE", "--exit-after", "200", "--code", "9"]}, "two": {"command": ["$FAKE"]}}}
EOF
    start run --config holdfast.json --preflight=false --sandbox off --listen "" --status-listen "" --restart never
    finish
    [ "$CODE" -eq 9 ]
    [ "$(ev exit '"member":"two"' | field status)" = 0 ]
    nothing_left
}
