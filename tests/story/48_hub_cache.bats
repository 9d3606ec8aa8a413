#!/usr/bin/env bats
# The hub's cache: written so that the hub's own client and servers find the model offline, read as that client wrote it, and
# shared with a client that downloads at the same time. On the real binary and the real client; loopback only.

load ../helpers/serve
load ../helpers/origin

setup_file() {
    serve_setup
    origin_setup
    PYTHON=$(sh "$TOP/tests/helpers/clients.sh" 2> /dev/null) || NO_CLIENT=1
    export PYTHON NO_CLIENT
}
teardown_file() { origin_stop; }

setup() {
    fresh
    OLD=$PID_OF_ORIGIN
    HUB=$BATS_TEST_TMPDIR/repo
    cp -r "$TOP/examples/little-model/checkpoint" "$HUB"
    origin_start --hub org/repo "$HUB"
    CACHE=$BATS_TEST_TMPDIR/hub
    export HF_ENDPOINT=$URL HF_HUB_CACHE=$CACHE HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1
    REPO=$CACHE/models--org--repo
    A=$(printf 'a%.0s' {1..40}) B=$(printf 'b%.0s' {1..40})
}

teardown() {
    serve_stop
    origin_stop
    PID_OF_ORIGIN=$OLD
}

fetch() { # SOURCE [OPTIONS]: into the cache; stdout in $folder, all in $output
    run timeout 60 "$JOB" fetch "$@" "${quick[@]}"
    echo "$output"
    folder=$(grep '^/' <<< "$output" || :)
}

client() {
    [ -z "${NO_CLIENT:-}" ] || skip "huggingface_hub cannot be installed from the package index"
    run timeout 60 "$PYTHON" -c "import huggingface_hub as h
$1"
    echo "$output"
}

bodies() { grep -cE '"path": "(/cdn/|/org/repo/resolve/)' "$LOG" || :; } # files asked for, not listings

same_snapshot() { # COMMIT: every file of the repository is there, right, and a relative link to a blob
    for f in "$HUB"/*; do
        cmp "$f" "$REPO/snapshots/$1/$(basename "$f")" || return 1
        [[ "$(readlink "$REPO/snapshots/$1/$(basename "$f")")" == ../../blobs/* ]] || return 1
    done
}

@test "what is fetched without --out lies where the hub's own client looks, and the client finds it without a network" {
    fetch hf://org/repo
    [ "$status" -eq 0 ]
    [ "$folder" = "$REPO/snapshots/$A" ]
    same_snapshot "$A"
    no_partials "$CACHE"
    [ "$(cat "$REPO/refs/main")" = "$A" ]
    for blob in "$REPO"/blobs/*; do # named as the client names them
        name=$(basename "$blob")
        [ "$name" = "$(sha256sum < "$blob" | cut -d' ' -f1)" ] || [ "$name" = "$(git hash-object --no-filters "$blob")" ]
    done
    export HF_HUB_OFFLINE=1 HF_ENDPOINT=http://127.0.0.1:1
    client 'print(h.snapshot_download("org/repo", local_files_only=True))
print(h.hf_hub_download("org/repo", "config.json", local_files_only=True))
print("warnings", h.scan_cache_dir().warnings)'
    [ "$status" -eq 0 ]
    [[ "$output" == *"$folder"*"$folder/config.json"*"warnings []"* ]]
}

@test "the next start asks nobody, by branch and by commit, and verify believes the markers" {
    fetch hf://org/repo
    : > "$LOG"
    fetch hf://org/repo
    [ "$status" -eq 0 ]
    [ "$folder" = "$REPO/snapshots/$A" ]
    fetch "hf://org/repo@$A"
    [ "$status" -eq 0 ]
    [ "$(requests)" -le 2 ] # its own name was not brought before: one listing, no file
    [ "$(bodies)" -eq 0 ]
    run "$JOB" verify "$folder"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *'"hashed_bytes":0,'* ]]
}

@test "a cache that the client wrote is proven and not fetched again; a blob that rotted in it is, alone" {
    client 'print(h.snapshot_download("org/repo"))'
    [ "$status" -eq 0 ]
    : > "$LOG"
    fetch hf://org/repo
    [ "$status" -eq 0 ]
    [ "$(bodies)" -eq 0 ]
    same_snapshot "$A"
    [[ "$output" == *'"fetched_files":0,"fetched_bytes":0'* ]]
    bad=$(readlink -f "$folder/model-00002-of-00003.safetensors")
    printf 'x' | dd of="$bad" bs=1 seek=100000 conv=notrunc status=none
    : > "$LOG"
    fetch hf://org/repo
    [ "$status" -eq 0 ]
    [ "$(bodies)" -eq 2 ] # the file's address and the large files' own host
    same_snapshot "$A"
    [[ "$output" == *model-00002-of-00003.safetensors*"fetched again"* ]]
}

@test "no hub to be had: what the client left in the cache is proven by the names of its blobs, and only what is right" {
    client 'print(h.snapshot_download("org/repo"))'
    [ "$status" -eq 0 ]
    export HF_ENDPOINT=http://127.0.0.1:1
    fetch hf://org/repo
    [ "$status" -eq 0 ]
    [ "$folder" = "$REPO/snapshots/$A" ]
    [[ "$output" == *"proven by the names of its blobs"*"127.0.0.1 port 1"* ]]
    run "$JOB" verify "$folder" --no-plan
    [ "$status" -eq 0 ]
    [[ "$output" == *'"hashed_bytes":0,'* ]]
    [ ! -e "$folder/.holdfast/source" ] # the hub is asked next time
    for offline in 1 YES true; do
        HF_HUB_OFFLINE=$offline fetch hf://org/repo
        [ "$status" -eq 0 ]
        [[ "$output" != *"port 1"* ]]
    done
    HF_HUB_OFFLINE=1 fetch hf://org/other
    [ "$status" -eq 84 ]
    [[ "$output" == *"HF_HUB_OFFLINE is set"* ]]
    HF_HUB_OFFLINE=1 fetch hf://org/repo --out "$OUT/m"
    [ "$status" -eq 84 ]
    printf 'x' | dd of="$(readlink -f "$REPO/snapshots/$A/model-00002-of-00003.safetensors")" bs=1 seek=100000 conv=notrunc status=none
    fetch hf://org/repo
    [ "$status" -eq 85 ]
    [[ "$output" == *"model-00002-of-00003.safetensors"*"is wanted"* ]]
    rm "$REPO/snapshots/$A/config.json"
    HF_HUB_OFFLINE=1 fetch hf://org/repo
    [ "$status" -eq 84 ]
    [[ "$output" == *"'config.json' is missing"* ]]
}

@test "a second revision brings what differs and shares the rest" {
    fetch "hf://org/repo@$A"
    cp "$HUB/config.json" "$BATS_TEST_TMPDIR/config.json"
    echo ' ' >> "$HUB/config.json"
    : > "$LOG"
    fetch "hf://org/repo@$B"
    [ "$status" -eq 0 ]
    [ "$(bodies)" -eq 1 ]
    same_snapshot "$B"
    cmp "$BATS_TEST_TMPDIR/config.json" "$REPO/snapshots/$A/config.json"
    [ "$(readlink "$REPO/snapshots/$A/tokenizer.json")" = "$(readlink "$REPO/snapshots/$B/tokenizer.json")" ]
}

@test "a client and several fetchers at the same time: all end right, and nothing is left over" {
    [ -z "${NO_CLIENT:-}" ] || skip "huggingface_hub cannot be installed from the package index"
    for round in 1 2 3; do
        rm -rf "$CACHE"
        pids=()
        "$PYTHON" -c 'import huggingface_hub as h; print(h.snapshot_download("org/repo"))' > "$BATS_TEST_TMPDIR/client" 2>&1 &
        pids+=($!)
        for i in 1 2; do
            "$JOB" fetch hf://org/repo "${quick[@]}" > "$BATS_TEST_TMPDIR/ours.$i" 2>&1 &
            pids+=($!)
        done
        for pid in "${pids[@]}"; do wait "$pid" || { cat "$BATS_TEST_TMPDIR"/client "$BATS_TEST_TMPDIR"/ours.*; return 1; }; done
        same_snapshot "$A"
        no_partials "$CACHE"
        [ -z "$(find "$CACHE" -name '*.incomplete' -o -name '*.owner' -o -name '*.link')" ]
    done
}

@test "a blob that a client is bringing is waited for; a client that stands still is not" {
    blob=$(sha256sum < "$HUB/model-00002-of-00003.safetensors" | cut -d' ' -f1)
    mkdir -p "$CACHE/.locks/models--org--repo" "$REPO/blobs"
    python3 - "$CACHE/.locks/models--org--repo/$blob.lock" "$REPO/blobs/$blob" "$HUB/model-00002-of-00003.safetensors" "$LOG" > "$BATS_TEST_TMPDIR/holder" 3>&- << 'PY' &
import fcntl, os, sys, time
lock, blob, source, log = sys.argv[1:]
f = open(lock, "w")
fcntl.flock(f, fcntl.LOCK_EX)
print("held", flush=True)
data = open(source, "rb").read()
with open(blob + ".incomplete", "wb") as out:  # bytes come, slowly, until the others have all been brought
    for i in range(60):
        out.write(data[len(data) * i // 60:len(data) * (i + 1) // 60])
        out.flush()
        time.sleep(0.05)
os.rename(blob + ".incomplete", blob)
PY
    holder=$!
    until grep -q held "$BATS_TEST_TMPDIR/holder"; do read -rt 0.05 <> <(:) || :; done
    fetch hf://org/repo --fetch-takeover 2s
    [ "$status" -eq 0 ]
    wait "$holder"
    same_snapshot "$A"
    ! grep -E "GET|path" "$LOG" | grep -q 'resolve/.*/model-00002' || false
    rm -rf "$CACHE"
    mkdir -p "$CACHE/.locks/models--org--repo"
    exec 7> "$CACHE/.locks/models--org--repo/$blob.lock"
    flock 7
    fetch hf://org/repo --fetch-takeover 300ms
    exec 7>&-
    [ "$status" -eq 0 ]
    same_snapshot "$A"
}

@test "killed at any moment, the next run ends with the whole snapshot and no ref before it" {
    for ms in 15 40 90 first first first; do
        rm -rf "$CACHE"
        if [ "$ms" = first ]; then # at the first link
            "$JOB" fetch hf://org/repo "${quick[@]}" --fetch-connections 1 > /dev/null 2>&1 3>&- &
            until compgen -G "$REPO/snapshots/$A/*" > /dev/null; do :; done
            kill -KILL $! || :
            wait $! || :
        else
            timeout -s KILL "0.$(printf '%03d' "$ms")" "$JOB" fetch hf://org/repo "${quick[@]}" > /dev/null 2>&1 || :
        fi
        if [ -e "$REPO/refs/main" ]; then same_snapshot "$A"; fi
        fetch hf://org/repo
        [ "$status" -eq 0 ]
        same_snapshot "$A"
        no_partials "$CACHE"
    done
}

@test "a folder of the cache that is a link out of it is refused before anything is written" {
    mkdir -p "$REPO/snapshots" "$BATS_TEST_TMPDIR/elsewhere"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$REPO/snapshots/$A"
    fetch hf://org/repo
    [ "$status" -eq 89 ]
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/elsewhere")" ]
    rm -r "$REPO"
    mkdir -p "$REPO"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$REPO/blobs"
    fetch hf://org/repo
    [ "$status" -eq 89 ]
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/elsewhere")" ]
}

@test "where the cache is: the option, HF_HUB_CACHE, HF_HOME, the home folder; --out is a plain folder" {
    fetch hf://org/repo --hub-cache "$BATS_TEST_TMPDIR/one"
    [[ "$folder" == "$BATS_TEST_TMPDIR/one/models--org--repo/"* ]]
    unset HF_HUB_CACHE
    HF_HOME=$BATS_TEST_TMPDIR/two fetch hf://org/repo
    [[ "$folder" == "$BATS_TEST_TMPDIR/two/hub/models--org--repo/"* ]]
    HOME=$BATS_TEST_TMPDIR/three XDG_CACHE_HOME='' fetch hf://org/repo
    [[ "$folder" == "$BATS_TEST_TMPDIR/three/.cache/huggingface/hub/models--org--repo/"* ]]
    export HF_HUB_CACHE=$CACHE
    fetch hf://org/repo --out "$OUT/m"
    [ "$status" -eq 0 ]
    [ ! -e "$CACHE" ]
    [ -f "$OUT/m/config.json" ] && [ ! -L "$OUT/m/config.json" ]
    fetch "$URL/"
    [ "$status" -eq 64 ]
    [[ "$output" == *"--out is missing"* ]]
}

@test "a server that is given the repository's name finds it offline: process 1 fetched, proved and set the variables" {
    [ -z "${NO_CLIENT:-}" ] || skip "huggingface_hub cannot be installed from the package index"
    unset HF_HUB_CACHE
    started=("$HOLDFAST" --model-source hf://org/repo --hub-cache "$CACHE" --state-dir "$BATS_TEST_TMPDIR/state" --device cpu --fetch-backoff 20ms)
    run timeout 60 "${started[@]}" -- "$PYTHON" -c '
import os, huggingface_hub as h
print("found", h.snapshot_download("org/repo"), os.environ["HF_HUB_CACHE"], os.environ["HF_HUB_OFFLINE"])'
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"found $REPO/snapshots/$A $CACHE 1"* ]]
    [[ "$output" == *'"ev":"verify_done"'*'"hashed_bytes":0,'* ]]
    # shellcheck disable=SC2016 # in a sandbox: read, not written
    mkdir "$BATS_TEST_TMPDIR/scratch"
    run timeout 60 env TMPDIR="$BATS_TEST_TMPDIR/scratch" "${started[@]}" --sandbox best-effort -- sh -c 'cd "$HF_HUB_CACHE/models--org--repo/snapshots" && wc -c */model-00002* && ! touch x'
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *2837800* ]]
    printf 'x' | dd of="$(readlink -f "$REPO/snapshots/$A/model-00002-of-00003.safetensors")" bs=1 seek=3 conv=notrunc status=none
    # what rotted meanwhile is fetched before the server sees it
    run timeout 60 "${started[@]}" -- true
    echo "$output"
    [ "$status" -eq 0 ]
    same_snapshot "$A"
}

@test "without a folder only one hf:// source makes sense" {
    run "$HOLDFAST" --model-source "$URL/" --state-dir "$BATS_TEST_TMPDIR/state" -- true
    echo "$output"
    [ "$status" -eq 65 ]
    [[ "$output" == *"one hf:// source is wanted"* ]]
}

@test "verify takes the name of what is in the cache" {
    fetch hf://org/repo
    run "$JOB" verify hf://org/repo --hub-cache "$CACHE"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *'"hashed_bytes":0,'* ]]
    run "$JOB" verify hf://org/other
    [ "$status" -eq 95 ]
    [[ "$output" == *"has no snapshot of 'hf://org/other'"* ]]
}

@test "holdfast run serves a snapshot, in its sandbox, although its files are links to blobs" {
    fetch hf://org/repo
    MODEL=$folder
    serve_start --device cpu
    run curl -sf "$API/v1/models"
    [ "$status" -eq 0 ]
}
