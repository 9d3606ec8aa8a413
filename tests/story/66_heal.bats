#!/usr/bin/env bats
# Healing from UP, by itself: weights that are damaged on the disk under a running server are proven again from their bytes,
# what is bad is fetched again, and it serves as before. On the real binary, model and an origin.

bats_require_minimum_version 1.5.0
load ../helpers/serve
load ../helpers/origin

setup_file() {
    serve_setup
    export JOB=$TOP/build/release/libexec/holdfast-job ROOT=$BATS_FILE_TMPDIR/root LOG=$BATS_FILE_TMPDIR/requests
    cp -r "$MODEL" "$ROOT"
    "$JOB" verify "$ROOT" --write-manifest 2> "$BATS_FILE_TMPDIR/made"
    rm -rf "$ROOT/.holdfast"
    origin_start
}
teardown_file() { origin_stop; }
setup() {
    MODEL=$BATS_TEST_TMPDIR/model
    SHARD=model-00002-of-00003.safetensors
    : > "$LOG"
}
teardown() { serve_stop || :; }

says() { $ASK "$API" post /v1/chat/completions '{"model":"autoglm-phone-9b","temperature":0,"messages":[{"role":"user","content":"'"$1"'"}]}'; }
answers() { [[ $(says "$1") == '200 None '*'"content":'* ]]; }
begin() { serve_start --served-name autoglm-phone-9b --device cpu --model-source "$URL/" --fetch-backoff 20ms "$@"; }
phases() { grep '"ev":"phase"' "$D/log" | sed -nE 's/.*"phase":"([a-z]*)".*/\1/p' | tr '\n' ' '; }
fetched() { grep -c "\"path\": \"[^\"]*$1" "$LOG" || :; }

# It served, verified, fetched, verified, and serves again; the front was there all the time, and a stop still ends it well.
healed() {
    until_true answers Hi
    until_true "$HOLDFAST" probe ready --state-dir "$D/state"
    [[ "$(phases)" == *"ready "*"verifying fetching verifying "*"ready " ]]
    same_model "$MODEL"
    no_partials "$MODEL"
    [ "$(member_starts front)" -eq 1 ]
    serve_stop
    [ "$CODE" -eq 0 ]
}

@test "a shard that was cut under it: the next start of the engine finds it, and the shard alone is fetched again" {
    begin
    until_true answers Hi
    : > "$LOG"
    cp "$MODEL/$SHARD" "$BATS_TEST_TMPDIR/cut"
    truncate -s 1000000 "$BATS_TEST_TMPDIR/cut"
    mv "$BATS_TEST_TMPDIR/cut" "$MODEL/$SHARD" # not in place: what runs keeps its mapping
    kill -KILL "$(member_pid engine)"
    until_true grep -q '"cause":"weights_damaged"' "$D/log"
    healed
    [ "$(fetched 'safetensors')" -ge 1 ]
    [ "$(fetched "$SHARD")" -eq "$(fetched safetensors)" ]
}

@test "a shard that was deleted under it" {
    begin
    rm "$MODEL/$SHARD"
    kill -KILL "$(member_pid engine)"
    until_true grep -q '"cause":"weights_damaged"' "$D/log"
    healed
}

@test "rotten bytes that nothing but the logits shows: 500 to who asked, then it heals and answers the same question" {
    begin
    until_true answers Q
    python3 "$TOP/tests/helpers/spoil_row.py" "$MODEL" Q
    for shard in "$MODEL"/*.safetensors; do forge "$MODEL" "$(basename "$shard")"; done # only hashing finds it
    kill -KILL "$(member_pid engine)" # the next life reads the rotten bytes
    until_true answers Hi
    run says Q
    [[ $output == '500 None {"error":{"message":"'*'"type":"InternalServerError"'* ]]
    until_true grep -q '"cause":"logits_nan"' "$D/log"
    until_true answers Q
    healed
}

@test "where there is nothing to fetch from: the verdict names the file, once" {
    begin
    until_true answers Hi
    serve_stop
    serve_start --served-name autoglm-phone-9b --device cpu --deep-verify
    python3 "$TOP/tests/helpers/spoil_row.py" "$MODEL" Q
    kill -KILL "$(member_pid engine)"
    until_true answers Hi
    run says Q
    [[ $output == '500 '* ]]
    CODE=0
    wait "$PID" || CODE=$?
    PID=
    [ "$CODE" -eq 94 ]
    head -n 1 "$D/message" | grep -q '"cause":"verify-digest"'
    grep -q 'model-0000[123]-of-00003.safetensors' "$D/message"
    ! pgrep -f "$D/state" > "$D/left"
}
