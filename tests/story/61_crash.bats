#!/usr/bin/env bats
# Front and engine die, one or both, in any order, while they serve: what was open ends with one explicit error, the next request
# succeeds, and a stop ends a busy server without dropping a stream.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() { serve_setup; }
setup() { serve_start --served-name autoglm-phone-9b; }
teardown() { serve_stop || :; }

hi() { $ASK "$API" post /v1/chat/completions '{"model":"autoglm-phone-9b","temperature":0,"messages":[{"role":"user","content":"Hi"}]}'; }
answers() { [[ $(hi) == '200 None '*'"content":"<think>'* ]]; }

# A long stream into $BATS_TEST_TMPDIR/s, whose last word goes to $BATS_TEST_TMPDIR/end; returns once tokens flow.
open_stream() {
    $ASK "$API" stream "$BATS_TEST_TMPDIR/s" > "$BATS_TEST_TMPDIR/end" 2>&1 3>&- &
    STREAM=$!
    until_true grep -q content "$BATS_TEST_TMPDIR/s"
}

# The stream ended with exactly one error event that names the restart, and nothing after it.
stream_ended_by_the_restart() {
    wait "$STREAM"
    [[ $(< "$BATS_TEST_TMPDIR/end") == *'"error": {"message": "the engine was lost and is being restarted'*'"code": 503'* ]]
    [ "$(grep -c '"error"' "$BATS_TEST_TMPDIR/s")" -eq 1 ]
    tail -1 "$BATS_TEST_TMPDIR/s" | grep -q '"error"'
}

@test "the engine is killed during a stream: one explicit error, and the next request succeeds" {
    open_stream
    local front
    front=$(member_pid front)
    kill -KILL "$(member_pid engine)"
    stream_ended_by_the_restart
    until_true answers
    [ "$(member_pid front)" = "$front" ]
    [ "$(member_starts engine)" -eq 2 ]
    serve_stop
    [ "$CODE" -eq 0 ]
}

@test "a request without a stream that loses its engine gets 503 and when to come again" {
    $ASK "$API" post /v1/chat/completions '{"model":"autoglm-phone-9b","temperature":0,"ignore_eos":true,"max_tokens":8000,"messages":[{"role":"user","content":"Hi"}]}' \
        > "$BATS_TEST_TMPDIR/whole" 3>&- &
    local asked=$!
    until_true sh -c "curl -s $API/metrics | grep -q 'num_requests_running{.*} 1'"
    kill -KILL "$(member_pid engine)"
    wait "$asked"
    [[ $(< "$BATS_TEST_TMPDIR/whole") == '503 2 {"error":{"message":"the engine was lost'* ]]
    until_true answers
}

@test "the front is killed: the engine stays, and the next request succeeds" {
    open_stream
    local engine
    engine=$(member_pid engine)
    kill -KILL "$(member_pid front)"
    ! wait "$STREAM"
    until_true answers
    [ "$(member_pid engine)" = "$engine" ]
    [ "$(member_starts front)" -eq 2 ]
    curl -s "$API/metrics" | grep 'kv_cache_usage_perc{' | grep -q ' 0$'
}

@test "both are killed at once" {
    open_stream
    kill -KILL "$(member_pid front)" "$(member_pid engine)"
    ! wait "$STREAM"
    until_true answers
}

@test "front then engine, engine then front, while the other is coming back" {
    kill -KILL "$(member_pid front)"
    until_true test "$(member_starts front)" -ge 1
    kill -KILL "$(member_pid engine)"
    until_true answers
    kill -KILL "$(member_pid engine)"
    kill -KILL "$(member_pid front)"
    until_true answers
}

@test "a connection made while nobody serves is not refused, but answered" {
    kill -KILL "$(member_pid front)"
    run curl -s -o /dev/null -w '%{http_code}' --max-time 10 "$API/health"
    [[ $output == 200 || $output == 503 ]]
}

@test "TERM during a stream: the stream comes out whole, new work is told 503, and the end is 0 at once after it" {
    $ASK "$API" stream "$BATS_TEST_TMPDIR/s" max_tokens=3000 > "$BATS_TEST_TMPDIR/end" 2>&1 3>&- &
    STREAM=$!
    until_true grep -q content "$BATS_TEST_TMPDIR/s"
    kill -TERM "$PID"
    until_true grep -q '"phase":"draining"' "$D/log"
    if kill -0 "$STREAM" 2> /dev/null; then
        run curl -s -o /dev/null -w '%{http_code}' --max-time 2 "$API/health"
        [[ $output == 503 || $output == 000 ]]
    fi
    wait "$STREAM"
    [ "$(< "$BATS_TEST_TMPDIR/end")" = done ]
    [ "$(grep -c content "$BATS_TEST_TMPDIR/s")" -gt 100 ]
    serve_stop
    [ "$CODE" -eq 0 ]
}

@test "logits that are not numbers: 500, never a plausible answer, and the engine is started again on files that are proven anew" {
    serve_stop
    # The embedding of one token, "Q", is not a number.
    cp -r "$TOP/examples/little-model/checkpoint" "$BATS_TEST_TMPDIR/model"
    python3 "$TOP/tests/helpers/spoil_row.py" "$BATS_TEST_TMPDIR/model" Q
    MODEL=$BATS_TEST_TMPDIR/model serve_start --served-name autoglm-phone-9b --restart-budget 2
    answers
    local front
    front=$(member_pid front)
    run $ASK "$API" post /v1/chat/completions '{"model":"autoglm-phone-9b","messages":[{"role":"user","content":"Q"}]}'
    [[ $output == '500 None {"error":{"message":"'*'"type":"InternalServerError"'* ]]
    until_true grep -q '"cause":"logits_nan","action":"retry-clean"' "$D/log"
    until_true answers
    [ "$(member_starts engine)" -eq 2 ]
    [ "$(member_pid front)" = "$front" ]
    [ "$(grep -c '"phase":"verifying"' "$D/log")" -eq 2 ]
    # Not for ever: the budget ends it, and says why.
    for _ in 1 2; do
        until_true answers
        $ASK "$API" post /v1/chat/completions '{"model":"autoglm-phone-9b","messages":[{"role":"user","content":"Q"}]}'
    done
    CODE=0
    wait "$PID" || CODE=$?
    PID=
    [ "$CODE" -eq 110 ]
    head -n 1 "$D/message" | grep -q '"cause":"logits_nan"'
}
