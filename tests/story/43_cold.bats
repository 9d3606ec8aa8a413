#!/usr/bin/env bats
# Cold starts by `holdfast run` against a troubled origin or disk: it reaches READY with the right bytes, or ends with one
# verdict (status, cause, termination message), and nothing is left running.

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
    # every test has counters of its own at the origin
    HERE="+$BATS_TEST_NUMBER"
}
teardown() { serve_stop; }

options=(--device cpu --fetch-backoff 20ms --fetch-backoff-max 100ms)

ready_with() { # FAULT [OPTION]...
    local fault=$1
    shift
    serve_start --model-source "$URL/~$fault$HERE/" "${options[@]}" "$@"
    same_model "$MODEL"
    no_partials "$MODEL"
}

ends_with() { # STATUS CAUSE [OPTION]...: it ends by itself
    local want=$1 cause=$2 code=0
    shift 2
    D=$(mktemp -d "$BATS_TEST_TMPDIR/run.XXXX")
    timeout -s KILL 60 "$HOLDFAST" run --model "$MODEL" --listen "127.0.0.1:$(free_port)" --status-listen "" --state-dir "$D/state" \
        --termination-log "$D/message" --restart-delay 50ms --restart-cap 100ms "${options[@]}" "$@" 2> "$D/log" 3>&- || code=$?
    tail -5 "$D/log"
    cat "$D/message"
    [ "$code" -eq "$want" ]
    head -1 "$D/message" | python3 -c 'import json, sys; m = json.loads(sys.stdin.readline()); assert m["cause"] == sys.argv[1], m' "$cause"
    ! pgrep -f "$D/state" > "$D/left" || false
}

@test "an origin that is down for the first two tries" {
    ready_with drop:2
}

@test "a first source that is down: the next one delivers" {
    serve_start --model-source http://127.0.0.1:1/m/ --model-source "" --model-source "$URL/~cut:1200000$HERE/" "${options[@]}"
    same_model "$MODEL"
    no_partials "$MODEL"
}

@test "an origin that cuts in the middle and damages one answer" {
    ready_with "cut:1200000+flip:1@.safetensors"
}

@test "a shard damaged on the disk between two starts is fetched again by itself" {
    ready_with none
    serve_stop
    printf 'XXXX' | dd of="$MODEL/$SHARD" bs=1 seek=2000000 conv=notrunc status=none
    : > "$LOG"
    ready_with none
    [ "$(grep -c "$SHARD" "$LOG")" -eq 1 ]
    [ "$(grep -c model-00001 "$LOG")" -eq 0 ]
}

@test "bytes that rotted under a valid marker: a deep verify finds them, they are fetched again" {
    ready_with none
    serve_stop
    printf 'XXXX' | dd of="$MODEL/$SHARD" bs=1 seek=2000000 conv=notrunc status=none
    python3 - "$MODEL" "$SHARD" <<'PY'
import os, sys, time
folder, name = sys.argv[1:]
st, path = os.stat(os.path.join(folder, name)), os.path.join(folder, '.holdfast/proof', name + '.proof')
words = open(path).read().split()
time.sleep(.05)
open(path, 'w').write(' '.join(words[:3] + [str(st.st_size), str(st.st_ino), str(st.st_mtime_ns), str(st.st_ctime_ns)]) + '\n')
PY
    ready_with none --deep-verify
    grep -q '"cause":"verify-digest"' "$D/log"
}

@test "the second start asks the origin nothing" {
    ready_with none
    serve_stop
    : > "$LOG"
    ready_with none
    [ ! -s "$LOG" ]
}

@test "a missing shard without a source" {
    cp -r "$ROOT" "$MODEL"
    rm "$MODEL/$SHARD"
    ends_with 71 no-model
    grep -q "$SHARD" "$D/message"
}

@test "what preflight found stands in the status" {
    cp -r "$ROOT" "$MODEL"
    serve_start "${options[@]/cpu/auto}"
    curl -s "$STATUS/status" > "$D/status"
    [ ! -e /dev/nvidiactl ] || skip "this machine has a GPU"
    python3 -c 'import json, sys; f = json.load(open(sys.argv[1]))["findings"]; assert any(x["id"] == "device" and x["level"] == "note" and "NVIDIA" in x["text"] for x in f), f' "$D/status"
}

@test "a wrong shape names its tensor" {
    cp -r "$ROOT" "$MODEL"
    rm "$MODEL/holdfast.manifest.json"
    python3 - "$MODEL/$SHARD" <<'PY'
import json, struct, sys
b = open(sys.argv[1], 'rb').read()
n = struct.unpack('<Q', b[:8])[0]
head = json.loads(b[8:8 + n])
name = next(k for k, v in head.items() if k != '__metadata__' and len(v['shape']) == 2 and v['shape'][0] != v['shape'][1])
head[name]['shape'].reverse()
text = json.dumps(head, separators=(',', ':')).encode()
open(sys.argv[1], 'wb').write(b[:8] + text + b' ' * (n - len(text)) + b[8 + n:])
open(sys.argv[1] + '.name', 'w').write(name)
PY
    name=$(cat "$MODEL/$SHARD.name")
    rm "$MODEL/$SHARD.name"
    ends_with 96 verify-format
    grep -qF "$name" "$D/message"
}

@test "a config that cannot be read" {
    [ "$(id -u)" -eq 0 ] || skip "becoming another user needs root"
    cp -r "$ROOT" "$MODEL"
    chmod 600 "$MODEL/config.json"
    chmod 755 "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.." "$BATS_RUN_TMPDIR" "$MODEL"
    D=$BATS_TEST_TMPDIR/run
    mkdir -m 777 "$D"
    cp -r "$TOP/build/release/bin" "$TOP/build/release/libexec" "$D/"
    run timeout -s KILL 60 setpriv --reuid 12345 --regid 12345 --clear-groups "$D/bin/holdfast" run --model "$MODEL" --listen "127.0.0.1:$(free_port)" --status-listen "" \
        --state-dir "$D/state" --termination-log "$D/message" "${options[@]}"
    echo "$output"
    [ "$status" -eq 74 ]
    grep -q '"cause":"permission"' "$D/message"
    grep -q config.json "$D/message"
}

@test "a full disk" {
    [ "$(id -u)" -eq 0 ] || skip "a small mount needs root"
    mkdir "$BATS_TEST_TMPDIR/small"
    mount -t tmpfs -o size=5m none "$BATS_TEST_TMPDIR/small" 2> /dev/null || skip "a tmpfs cannot be mounted here"
    MODEL=$BATS_TEST_TMPDIR/small/m
    verdict=$(HOLDFAST_FETCH_RESERVE=0 ends_with 88 fetch-space --model-source "$URL/" 2>&1) && ok=y || ok=
    umount "$BATS_TEST_TMPDIR/small"
    echo "$verdict"
    [ -n "$ok" ]
}

@test "an origin without the model, one that refuses, one that serves a web page" {
    ends_with 84 fetch-missing --model-source "$URL/nowhere/"
    ends_with 83 fetch-denied --model-source "$URL/~status:403$HERE/"
    ends_with 92 fetch-format --model-source "$URL/~html:0$HERE@.safetensors/"
}

@test "an origin that damages every answer: tried as often as the budget says, nothing wrong on the disk" {
    ends_with 94 verify-digest --model-source "$URL/~flip:0$HERE@model-00002/" --heal-budget 1
    [ ! -e "$MODEL/$SHARD" ]
}

@test "TERM while fetching: ends at once, the partial stays, the next start goes on" {
    D=$BATS_TEST_TMPDIR/run
    mkdir "$D"
    "$HOLDFAST" run --model "$MODEL" --model-source "$URL/~stall:2000000$HERE@$SHARD/" --listen "127.0.0.1:$(free_port)" --status-listen "" --state-dir "$D/state" \
        --termination-log "$D/message" "${options[@]}" 2> "$D/log" 3>&- &
    pid=$!
    until_true sh -c "find '$MODEL' -name '*.part' -size +1000k | grep -q ."
    begun=$(date +%s%N)
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    tail -3 "$D/log"
    [ "$code" -eq 0 ] || [ "$code" -eq 143 ]
    [ $(($(date +%s%N) - begun)) -lt 3000000000 ]
    ! pgrep -f "$D/state" > "$D/left" || false
    [ "$(find "$MODEL" -name '*.part' | wc -l)" -ge 1 ]
    ready_with none
}
