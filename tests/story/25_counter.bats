#!/usr/bin/env bats
# A hung engine that still answers 200 is found from its counters; an idle one and a slow one are left alone. The engine is a
# Python HTTP server with vLLM's page, whose counters are what the test says.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # conditions are evaluated later; CODE and the like come from stories.bash
bats_require_minimum_version 1.5.0
load ../helpers/stories

setup() {
    story_setup
    PORT=$((20000 + RANDOM % 20000))
    PAGE=counter:http://127.0.0.1:$PORT/metrics
    mkdir engine
}
teardown() { story_teardown; }

lines() { if [ -e "engine/$1" ]; then wc -l < "engine/$1"; else echo 0; fi; }
# say NAME VALUE: whole at once, since the server may read at any moment.
say() { echo "$2" > engine/new && mv engine/new "engine/$1"; }

# engine ARG...: holdfast around the server; a period of 40 ms and time enough for a busy machine.
engine() {
    start --log-level info --restart on-failure --restart-delay 5ms --health-period 40ms --health-timeout 10s --health-backoff 10ms --status-listen= \
        --ready "http://127.0.0.1:$PORT/health" "$@" -- python3 "$TOP/tests/helpers/engine_page.py" "$PORT" engine
}

more_pages() { wait_for "[ \$(lines pages) -ge $(($(lines pages) + $1)) ]" 20; }
stop() { kill "$HOLD_PID"; finish; }

@test "work pending and a counter that stands still: restarted though /health says 200, again when it comes back so, and the reason says stalled" {
    say running 3
    engine --live "$PAGE" --live-failures 3
    wait_for '[ "$(n_ev diagnosis)" -ge 2 ]' 20
    say running 0
    [ "$(ev kill | field why | sort -u)" = stalled ]
    [ "$(ev diagnosis | field cause | sort -u)" = stalled ]
    ev diagnosis | grep -q 'stalled: 3 pending, but it stands at 100'
    wait_for '[ "$(n_ev ready)" -eq $(($(n_ev kill) + 1)) ]' 20
    local spawned
    spawned=$(n_ev spawn)
    more_pages 8
    [ "$(n_ev spawn)" -eq "$spawned" ]
    [ -s state/kill-server.json ]
    stop
    nothing_left
}

@test "it takes the failures in a row that were configured, and no fewer" {
    say running 1
    engine --live "$PAGE" --live-failures 5
    wait_for '[ "$(n_ev kill)" -eq 1 ]' 20
    say running 0
    # The first page only sets the mark, five stood still; asked again after the restart at the earliest.
    [ "$(lines pages)" -ge 6 ]
    [ "$(ev probe '"question":"live","ok":false' | head -n 1 | field failures)" = 5 ]
    stop
}

@test "nothing pending: never, however long the counter stands" {
    say running 0
    engine --live "$PAGE" --live-failures 2
    wait_for '[ "$(n_ev ready)" -eq 1 ]' 20
    more_pages 20
    [ "$(n_ev spawn)" -eq 1 ]
    [ "$(n_ev kill)" -eq 0 ]
    stop
}

@test "a counter that moves slowly: never" {
    say running 4
    say moves 3
    engine --live "$PAGE" --live-failures 3
    wait_for '[ "$(n_ev ready)" -eq 1 ]' 20
    more_pages 24
    [ "$(n_ev spawn)" -eq 1 ]
    [ "$(n_ev kill)" -eq 0 ]
    stop
}

@test "as readiness: unready while it stalls, ready when it moves again, never restarted" {
    say running 2
    say moves 1
    start --log-level info --restart on-failure --health-period 40ms --health-timeout 10s --health-backoff 10ms --health-failures 2 --status-listen= \
        --ready "$PAGE vllm" -- python3 "$TOP/tests/helpers/engine_page.py" "$PORT" engine
    wait_for '[ "$(n_ev ready)" -eq 1 ]' 20
    say moves still
    wait_for '[ "$(n_ev unready)" -eq 1 ]' 20
    run -1 "$HOLD" probe ready
    say moves 1
    wait_for '[ "$(n_ev ready)" -eq 2 ]' 20
    [ "$(n_ev spawn)" -eq 1 ]
    stop
}

@test "a page of 16 MiB in chunks is read to its end, in bounded memory; one without an end fails" {
    say running 3
    say shape chunked
    engine --live "$PAGE work=vllm:num_requests_running{engine=0} moves=vllm:generation_tokens_total{engine=\"0\"}" --live-failures 2
    wait_for '[ "$(n_ev kill)" -ge 1 ]' 60
    say shape endless
    [ "$(ev kill | head -n 1 | field why)" = stalled ]
    local before
    before=$(lines pages)
    wait_for "[ \"\$(n_ev kill '\"why\":\"unhealthy\"')\" -ge 1 ]" 60
    wait_for "ev diagnosis | grep -q 'the page has more than 32 MiB'"
    [ "$(lines pages)" -gt "$before" ]
    [ "$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$HOLD_PID/status")" -lt 8192 ]
    stop
}

@test "a page that does not have the series passes, and that is said once" {
    say shape other
    engine --live "$PAGE" --live-failures 1
    wait_for '[ "$(n_ev ready)" -eq 1 ]' 20
    more_pages 6
    [ "$(n_ev spawn)" -eq 1 ]
    [ "$(n_ev warn 'the page has no series')" -eq 1 ]
    say shape closed
    wait_for '[ "$(n_ev kill)" -ge 1 ]' 20
    [ "$(ev kill | head -n 1 | field why)" = unhealthy ]
    wait_for "ev diagnosis | grep -q 'closed without an answer'"
    stop
}

@test "a mistake in the selectors is told at the start, all of them at once" {
    run -65 "$HOLD" --live "counter:http://127.0.0.1:1/metrics work=a" --ready "counter:http://127.0.0.1:1 vlm" -- true
    [[ "$output" == *"both are wanted: work=SELECTOR"* ]]
    [[ "$output" == *"'vlm' is none of vllm, sglang, tgi, llamacpp"* ]]
    run -65 "$HOLD" --live "counter:https://127.0.0.1:1/metrics" -- true
    [[ "$output" == *"speaks no TLS"* ]]
}
