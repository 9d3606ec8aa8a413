#!/usr/bin/env bats
# Verifying a model folder: proven bytes pass at once the next time, anything damaged, missing or wrong is named, and what is
# damaged is fetched again, alone. On the real binary and the real little model; without a network.

load ../helpers/origin

setup_file() {
    export TOP=${BATS_TEST_DIRNAME}/../..
    export JOB=${HOLD_JOB:-$TOP/build/release/libexec/holdfast-job} LITTLE=$TOP/examples/little-model/checkpoint
    [ -x "$JOB" ] || make -s -C "$TOP" all
}

setup() {
    M=$BATS_TEST_TMPDIR/model
    cp -r "$LITTLE" "$M"
    SHARD=$(basename "$(find "$M" -name '*.safetensors' | sort | tail -1)")
}

verify() {
    run timeout 60 "$JOB" verify "$M" "$@"
    echo "$output"
}

sealed() { # a manifest of what is there now, and markers
    verify --write-manifest
    [ "$status" -eq 0 ]
}

bad() { # STATUS CAUSE WORD...
    [ "$status" -eq "$1" ]
    [[ "$output" == *"\"cause\":\"$2\""* ]]
    shift 2
    local word
    for word in "$@"; do [[ "$output" == *"$word"* ]] || { echo "does not say: $word"; return 1; }; done
}

flip() { # FILE OFFSET: one byte, with size and mtime as they were
    python3 - "$1" "$2" <<'PY'
import os, sys
path, at = sys.argv[1], int(sys.argv[2])
st = os.stat(path)
with open(path, 'r+b') as f:
    f.seek(at)
    b = f.read(1)
    f.seek(at)
    f.write(bytes([b[0] ^ 1]))
os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
PY
}

@test "a model with its manifest is proven, and hashed only once" {
    sealed
    [[ "$output" == *'"digest":"'????????????????????????????????????????????????????????????????'"'* ]]
    verify
    [ "$status" -eq 0 ]
    [[ "$output" == *'"hashed_bytes":0'* ]]
    verify --deep
    [ "$status" -eq 0 ]
    [[ "$output" != *'"hashed_bytes":0'* ]]
}

@test "without a manifest the structure is proven, and that is said" {
    verify
    [ "$status" -eq 0 ]
    [[ "$output" == *"bytes are not proven"* ]]
    [[ "$output" == *'"digest":""'* ]]
}

@test "no network is used" {
    sealed
    run strace -f -e trace=socket,connect "$JOB" verify "$M" --deep
    [ "$status" -eq 0 ]
    [[ "$output" != *AF_INET* ]]
}

@test "a touched file is hashed again; one changed byte is named though size and mtime are as before" {
    sealed
    touch "$M/$SHARD"
    verify
    [ "$status" -eq 0 ]
    [[ "$output" == *"\"hashed_bytes\":$(stat -c %s "$M/$SHARD")"* ]]
    flip "$M/$SHARD" 100000
    verify
    bad 94 verify-digest "'$SHARD': SHA-256 is" "is wanted"
    verify
    bad 94 verify-digest "'$SHARD'"
}

@test "bytes that rotted under a valid marker are found by --deep" {
    sealed
    flip "$M/$SHARD" 100000
    forge "$M" "$SHARD"
    verify
    [ "$status" -eq 0 ]
    verify --deep
    bad 94 verify-digest "'$SHARD'"
}

@test "a damaged shard is fetched again, alone, and the model is right" {
    export ROOT=$BATS_TEST_TMPDIR/root LOG=$BATS_TEST_TMPDIR/requests
    cp -r "$LITTLE" "$ROOT"
    "$JOB" verify "$ROOT" --write-manifest 2> "$BATS_TEST_TMPDIR/made"
    origin_start
    rm -r "$M"
    "$JOB" fetch "$URL/" --out "$M" "${quick[@]}" 2> "$BATS_TEST_TMPDIR/fetched"
    flip "$M/$SHARD" 100000
    verify
    found=$status
    : > "$LOG"
    run "$JOB" fetch "$URL/" --out "$M" "${quick[@]}"
    healed=$status
    asked=$(grep -c . "$LOG")
    flip "$M/$SHARD" 100000
    forge "$M" "$SHARD"
    run "$JOB" fetch "$URL/" --out "$M" --deep "${quick[@]}"
    deep=$status
    origin_stop
    [ "$found" -eq 94 ]
    [ "$healed" -eq 0 ]
    [ "$asked" -eq 2 ] # the manifest and the shard
    [ "$deep" -eq 0 ]
    verify --deep
    [ "$status" -eq 0 ]
}

@test "a missing shard, with and without a manifest" {
    sealed
    rm "$M/$SHARD"
    verify
    bad 95 verify-missing "'$SHARD' is missing"
    rm "$M/holdfast.manifest.json"
    verify
    bad 95 verify-missing "$SHARD"
}

@test "several bad files are all named" {
    sealed
    rm "$M/$SHARD"
    flip "$M/config.json" 3
    truncate -s -1 "$M/tokenizer.json"
    verify
    bad 94 verify-digest "3 files are bad in all" "$SHARD" config.json tokenizer.json
}

@test "a wrong shape is refused by tensor and rule though the bytes are as the manifest says" {
    python3 - "$M/$SHARD" <<'PY'
import json, struct, sys
b = open(sys.argv[1], 'rb').read()
n = struct.unpack('<Q', b[:8])[0]
head = json.loads(b[8:8 + n])
name = next(k for k, v in head.items() if k != '__metadata__' and len(v['shape']) == 2 and v['shape'][0] != v['shape'][1])
head[name]['shape'].reverse()
text = json.dumps(head, separators=(',', ':')).encode()
text += b' ' * (n - len(text))
assert len(text) == n
open(sys.argv[1], 'wb').write(b[:8] + text + b[8 + n:])
PY
    verify --write-manifest
    bad 96 verify-format shape
}

@test "a truncated shard without a manifest is refused by its own header" {
    truncate -s -1000 "$M/$SHARD"
    verify
    bad 96 verify-format "$SHARD"
}

@test "a config that is not JSON, and one that cannot be read" {
    echo '{' > "$M/config.json"
    verify
    bad 96 verify-format config.json
    [ "$(id -u)" -eq 0 ] || skip "becoming another user needs root"
    cp "$LITTLE/config.json" "$M/config.json"
    chmod 600 "$M/config.json"
    chmod 755 "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.." "$BATS_RUN_TMPDIR" "$M"
    cp "$JOB" "$BATS_TEST_TMPDIR/job"
    run setpriv --reuid 12345 --regid 12345 --clear-groups "$BATS_TEST_TMPDIR/job" verify "$M"
    echo "$output"
    bad 74 permission config.json "Permission denied"
}

@test "a model of another architecture: bytes and structure of its files are proven when only that is asked" {
    find "$M" -type f ! -name "$SHARD" -delete
    mv "$M/$SHARD" "$M/model.safetensors"
    echo '{"model_type": "llama"}' > "$M/config.json"
    verify --write-manifest --no-plan
    [ "$status" -eq 0 ]
    verify
    bad 97 verify-model llama
    printf '\0' >> "$M/model.safetensors"
    verify --write-manifest --no-plan
    bad 96 verify-format model.safetensors "1 bytes at the end belong to no tensor"
}

@test "a pinned identity, and a manifest that is wrong" {
    sealed
    verify --digest 0000000000000000000000000000000000000000000000000000000000000000
    bad 98 manifest pins
    echo '{"schema":1,"files":[]}' > "$M/holdfast.manifest.json"
    verify
    bad 98 manifest empty
    printf '{"schema":1,"files":[{"path":"../x","size":1,"sha256":"%064d"}]}' 0 > "$M/holdfast.manifest.json"
    verify
    bad 98 manifest leave
}

@test "a link that leaves the folder is not followed" {
    sealed
    mv "$M/$SHARD" "$BATS_TEST_TMPDIR/elsewhere"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$M/$SHARD"
    verify
    [ "$status" -eq 93 ]
    [[ "$output" == *"$SHARD"* ]]
}

@test "a folder that cannot be written is proven all the same" {
    [ "$(id -u)" -eq 0 ] || skip "a read-only mount needs root"
    sealed
    rm -r "$M/.holdfast"
    mount --bind "$M" "$M" 2> /dev/null && mount -o remount,ro,bind "$M" || skip "a bind mount cannot be made here"
    verify
    umount "$M"
    [ "$status" -eq 0 ]
    [[ "$output" != *'"hashed_bytes":0'* ]]
}

@test "process 1 is told progress and handed one sealed plan; a bad model is told as a cause and no plan" {
    sealed
    run python3 "$TOP/tests/helpers/control.py" "$JOB" verify "$M"
    echo "$output"
    [[ "$output" == *"exit 0"* ]]
    last=$(grep 'said X_HOLDFAST_PROGRESS=' <<< "$output" | tail -1) # on a busy machine there are steps before it
    [[ "$last" =~ ([0-9]+)/([0-9]+)$ ]]
    [ "${BASH_REMATCH[1]}" -eq "${BASH_REMATCH[2]}" ]
    [ "$(grep -c '^stored plan ' <<< "$output")" -eq 1 ]
    seals=$(sed -n 's/^stored plan [0-9]* \([0-9]*\) .*/\1/p' <<< "$output")
    [ $((seals & 14)) -eq 14 ] # shrink, grow, write
    rm "$M/$SHARD"
    run python3 "$TOP/tests/helpers/control.py" "$JOB" verify "$M"
    echo "$output"
    [[ "$output" == *"said X_HOLDFAST_CAUSE=verify-missing '$SHARD' is missing"* ]]
    [[ "$output" == *"exit 95"* ]]
    [[ "$output" != *stored* ]]
}

@test "an unknown chat template is refused, and a warning with --other-template" {
    echo '{{ messages }}' > "$M/chat_template.jinja"
    verify
    [ "$status" -ne 0 ]
    [[ $output == *"chat template (15 bytes)"*"--other-template"* ]]
    verify --other-template
    [ "$status" -eq 0 ]
    [[ $output == *"is not a known one"* ]]
}
