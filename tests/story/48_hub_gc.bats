#!/usr/bin/env bats
# Garbage collection of the hub's cache: what nobody uses is told, then removed; what anybody uses stays, whoever it is. On the
# real binary and the real client; loopback only.

load ../helpers/serve
load ../helpers/origin

setup_file() {
    serve_setup
    origin_setup
    PYTHON=$(sh "$TOP/tests/helpers/clients.sh" 2> /dev/null) || NO_CLIENT=1
    export PYTHON NO_CLIENT
}
teardown_file() { origin_stop; }

setup() { # a branch at commit a, and commit b with another config.json, which no ref means
    OLD=$PID_OF_ORIGIN
    HUB=$BATS_TEST_TMPDIR/repo CACHE=$BATS_TEST_TMPDIR/hub
    cp -r "$TOP/examples/little-model/checkpoint" "$HUB"
    origin_start --hub org/repo "$HUB"
    export HF_ENDPOINT=$URL HF_HUB_CACHE=$CACHE HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1
    REPO=$CACHE/models--org--repo A=$(printf 'a%.0s' {1..40}) B=$(printf 'b%.0s' {1..40})
    "$JOB" fetch hf://org/repo "${quick[@]}" > /dev/null 2>&1
    mkdir "$BATS_TEST_TMPDIR/a"
    cp -L "$HUB"/* "$BATS_TEST_TMPDIR/a"
    sed -i 's/^{/{ /' "$HUB/config.json"
    "$JOB" fetch "hf://org/repo@$B" "${quick[@]}" > /dev/null 2>&1
    only_b=$(readlink -f "$REPO/snapshots/$B/config.json")
}

teardown() {
    origin_stop
    PID_OF_ORIGIN=$OLD
}

gc() {
    run timeout 60 "$JOB" gc "$@"
    echo "$output"
    [ "$status" -eq 0 ]
}

now() { gc --older-than 0 --delete; }
whole_a() { for f in "$BATS_TEST_TMPDIR"/a/*; do cmp "$f" "$REPO/snapshots/$A/$(basename "$f")" || return 1; done; }
kept_because() { [ -f "$REPO/snapshots/$B/config.json" ] && [[ "$output" == *"\"what\":\"kept\""*"$B"*"$1"* ]]; }

@test "it is told first, with what it would free; then a revision that no ref means goes, and blobs that others share stay" {
    before=$(du -s --block-size=1 "$CACHE" | cut -f1)
    gc --older-than 0
    [[ "$output" == *'"what":"would be removed"'*"$B"* ]]
    [[ "$output" == *"$A\",\"why\":\"main means it\""* ]]
    told=$(sed -n 's/.*"gc_done".*"freed_bytes":\([0-9]*\).*/\1/p' <<< "$output")
    [ "$(du -s --block-size=1 "$CACHE" | cut -f1)" -eq "$before" ]
    [ -e "$only_b" ]
    now
    [ ! -e "$REPO/snapshots/$B" ]
    [ ! -e "$only_b" ]
    whole_a
    [[ "$output" == *'"revisions":1,"blobs":1,"partials":0,"kept_revisions":1,'*"\"freed_bytes\":$told}"* ]]
    after=$(du -s --block-size=1 "$CACHE" | cut -f1)
    [ $((before - after)) -ge "$told" ] # folders come on top
    now
    [[ "$output" == *'"revisions":0,"blobs":0,'* ]]
    if [ -z "${NO_CLIENT:-}" ]; then
        run env HF_HUB_OFFLINE=1 "$PYTHON" -c 'import huggingface_hub as h
print(h.snapshot_download("org/repo", local_files_only=True), h.scan_cache_dir().warnings)'
        [ "$status" -eq 0 ]
        [[ "$output" == *"$A []"* ]]
    fi
}

@test "what was made or used within the age stays" {
    gc --delete
    kept_because "--older-than"
    gc --delete --older-than 1h
    kept_because "--older-than"
}

@test "a process that has a file of it open or mapped keeps it" {
    exec 7< "$only_b"
    now
    kept_because "a process has a file of it open"
    exec 7<&-
    coproc MAPPER { exec python3 -c '
import mmap, sys
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
f.close()
print("mapped", flush=True)
sys.stdin.read()' "$only_b" 3>&-; }
    mapper=$MAPPER_PID
    read -r _ <&"${MAPPER[0]}"
    now
    kill "$mapper"
    wait "$mapper" || :
    kept_because "a process has a file of it open"
    now
    [ ! -e "$REPO/snapshots/$B" ]
}

@test "a server under holdfast keeps its revision for its whole life, though it has no file of it open" {
    "$HOLDFAST" --model-source "hf://org/repo@$B" --state-dir "$BATS_TEST_TMPDIR/state" --device cpu -- sh -c 'echo up $$; exec sleep 60' > "$BATS_TEST_TMPDIR/said" 2> "$BATS_TEST_TMPDIR/log" 3>&- &
    server=$!
    until_true grep -q up "$BATS_TEST_TMPDIR/said"
    now
    kept_because "it is in use"
    kill -KILL "$server" # however it ends, the kernel lets go
    wait "$server" || :
    kill "$(sed -n 's/^up //p' "$BATS_TEST_TMPDIR/said")" || :
    until_true removed
}
removed() {
    now
    [ ! -e "$REPO/snapshots/$B" ]
}

@test "a repository that is being fetched is left alone" {
    exec 7< "$REPO/.holdfast/use"
    flock -s 7
    now
    [[ "$output" == *'"repo":"models--org--repo","why":"it is being fetched"'* ]]
    [ -e "$only_b" ]
    exec 7<&-
}

@test "fetchers and gc at the same time: what a ref means is whole after every fetch" {
    until [ -e "$BATS_TEST_TMPDIR/stop" ]; do "$JOB" gc --older-than 0 --delete > "$BATS_TEST_TMPDIR/gc.log" 2>&1 || echo bad >> "$BATS_TEST_TMPDIR/bad"; done 3>&- &
    collector=$!
    cp "$BATS_TEST_TMPDIR"/a/* "$HUB"
    failed=
    for round in 1 2 3 4 5 6 7 8; do
        rm -rf "$REPO/refs" # nothing means anything until the fetch says so
        "$JOB" fetch "hf://org/repo@$B" "${quick[@]}" > /dev/null 2>&1 || failed="b $round"
        "$JOB" fetch hf://org/repo "${quick[@]}" > "$BATS_TEST_TMPDIR/fetch.log" 2>&1 || failed="a $round"
        whole_a || failed="whole $round"
    done
    : > "$BATS_TEST_TMPDIR/stop"
    wait "$collector"
    [ -z "$failed" ] || { echo "$failed"; cat "$BATS_TEST_TMPDIR/fetch.log"; false; }
    [ ! -e "$BATS_TEST_TMPDIR/bad" ]
    [ -z "$(find "$REPO/snapshots" -xtype l)" ] # no link without its blob
}

@test "links are not followed out of the cache" {
    mkdir -p "$BATS_TEST_TMPDIR/elsewhere/snapshots/$B" "$BATS_TEST_TMPDIR/elsewhere/blobs"
    echo precious > "$BATS_TEST_TMPDIR/elsewhere/blobs/x"
    echo precious > "$BATS_TEST_TMPDIR/elsewhere/file"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$CACHE/models--org--linked"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$REPO/snapshots/$B/folder"
    ln -s "$BATS_TEST_TMPDIR/elsewhere/file" "$REPO/snapshots/$B/file"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$REPO/snapshots/$(printf 'c%.0s' {1..40})"
    now
    [ ! -e "$REPO/snapshots/$B" ]
    [ "$(cat "$BATS_TEST_TMPDIR/elsewhere/blobs/x")" = precious ]
    [ "$(cat "$BATS_TEST_TMPDIR/elsewhere/file")" = precious ]
    [ -d "$BATS_TEST_TMPDIR/elsewhere/snapshots/$B" ]
}

@test "stale partials go, of ours and the client's; one whose fetcher lives stays, and so does a stranger's file" {
    head -c 100000 /dev/zero > "$REPO/blobs/.holdfast-0123456789abcdef-00000001.part"
    head -c 100000 /dev/zero > "$REPO/blobs/$A.incomplete"
    head -c 100000 /dev/zero > "$REPO/blobs/.holdfast-0123456789abcdef-00000002.part"
    mkdir -p "$REPO/snapshots/.holdfast-gc-00000003/.holdfast" # of a gc that was killed
    exec 7< "$REPO/blobs/.holdfast-0123456789abcdef-00000002.part"
    flock 7
    gc --delete
    [[ "$output" == *'"partials":1,'* ]] # only what a gc began; the others are young
    gc --delete --older-than 0
    [[ "$output" == *'"partials":2,'* ]]
    [ -e "$REPO/blobs/.holdfast-0123456789abcdef-00000002.part" ]
    exec 7<&-
    mkdir -p "$BATS_TEST_TMPDIR/plain/sub"
    : > "$BATS_TEST_TMPDIR/plain/sub/.holdfast-0123456789abcdef-00000001.part"
    : > "$BATS_TEST_TMPDIR/plain/sub/mine.incomplete"
    gc "$BATS_TEST_TMPDIR/plain" --older-than 0 --delete
    [ "$(ls -A "$BATS_TEST_TMPDIR/plain/sub")" = mine.incomplete ]
}

@test "a folder that is not there is named" {
    run "$JOB" gc "$BATS_TEST_TMPDIR/none"
    echo "$output"
    [ "$status" -eq 65 ]
    [[ "$output" == *"$BATS_TEST_TMPDIR/none"* ]]
}
