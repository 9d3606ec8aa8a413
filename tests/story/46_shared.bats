#!/usr/bin/env bats
# Several fetchers on one folder: one brings each file, the others wait with its progress and take over when it dies or stands
# still; with locks and without, and never a wrong byte whoever is mistaken about whom. On the real binary; loopback only.

load ../helpers/origin

setup_file() { origin_setup; }
teardown_file() {
    origin_stop
}
setup() { fresh; pids=(); }
teardown() {
    for pid in ${pids[@]+"${pids[@]}"}; do kill -CONT "$pid" 2> /dev/null || :; kill -KILL "$pid" 2> /dev/null || :; done
}

# owner FAULT [ARGUMENTS]: a fetcher in the background, pid in $pid, its log in $BATS_TEST_TMPDIR/log<n>.
owner() {
    local fault=$1
    shift
    "$JOB" fetch --url "$URL/~$fault+$BATS_TEST_NUMBER/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" "$@" 2> "$BATS_TEST_TMPDIR/log${#pids[@]}" 3>&- &
    pid=$!
    pids+=("$pid")
}
until_it() { local i; for i in $(seq 1200); do "$@" && return 0; sleep .05; done; echo "never: $*"; return 1; }
has_bytes() { [ -n "$(find "$OUT" -name '*.part' -size "+$1k")" ]; }
waits() { grep -q '"ev":"fetch_wait".*another fetcher brings it' "$1"; }
fetched() { grep -o '"fetched_bytes":[0-9]*' <<< "$output" | tail -1 | cut -d: -f2; }

two() { # ARGUMENTS: the second waits for the first, asks the origin for nothing, and ends as right
    owner slow:4000000 "$@"
    until_it has_bytes 500
    run timeout 60 python3 "$TOP/tests/helpers/control.py" "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" "$@"
    echo "$output"
    [[ "$output" == *"exit 0"* ]]
    [[ "$output" == *"said STATUS=waiting for $(hostname) (process $pid) to bring 'file'"* ]]
    [[ "$output" =~ X_HOLDFAST_PROGRESS=[1-7][0-9]*/8000000 ]] # the other's bytes are shown as progress
    wait "$pid"
    status=0
    right
    [ "$(requests)" -eq 1 ]
}

@test "two fetchers, one download: the second waits with the first one's progress" {
    two --fetch-split 0
}

@test "the same where locks mean nothing" {
    two --fetch-split 0 --no-fetch-flock
}

ten() { # ARGUMENTS: ten fetchers of one model at once; each file is served once
    local i bad=0
    for i in $(seq 10); do
        "$JOB" fetch "$URL/~slow:4000000/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}" "$@" 2> "$BATS_TEST_TMPDIR/log$i" 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || bad=$((bad + 1)); done
    tail -qn 1 "$BATS_TEST_TMPDIR"/log*
    ls -AR "$OUT"
    [ "$bad" -eq 0 ]
    same_model "$OUT"
    [ -z "$(find "$OUT" -name '.holdfast-*')" ]
    total=$(cat "$BATS_TEST_TMPDIR"/log* | grep -h '"ev":"fetch_done"' | grep -o '"fetched_bytes":[0-9]*' | cut -d: -f2 | paste -sd+ | bc)
    [ "$total" -eq $((SIZE + 3000000 + $(stat -c %s "$ROOT/config.json"))) ]
    [ "$(requests)" -eq 3 ]
}

@test "ten fetchers of a model: every file is served once" {
    ten
}

@test "the same where locks mean nothing: ten records, no lock" {
    ten --no-fetch-flock
}

@test "kill -9 of the one that brings: its lock falls, a waiter takes over at once and goes on at the byte" {
    owner stall:5000000 --fetch-split 0
    first=$pid
    until_it has_bytes 4000
    owner stall:5000000 --fetch-split 0
    until_it waits "$BATS_TEST_TMPDIR/log1"
    begun=$(date +%s)
    kill -9 "$first"
    wait "$pid"
    [ $(($(date +%s) - begun)) -lt 40 ] # far below the 60 s of a record that stands still
    output=$(cat "$BATS_TEST_TMPDIR/log1")
    echo "$output"
    status=0
    right
    [ "$(fetched)" -le 4000000 ]
}

@test "kill -9 where locks mean nothing: the record stands still, then the waiter goes on from a copy" {
    for split in 0 2MiB; do
        rm -rf "$OUT" && mkdir "$OUT"
        pids=()
        owner "slow:1000000+$split" --fetch-split $split --no-fetch-flock --fetch-takeover 2s
        first=$pid
        until_it has_bytes 1500
        owner "none+$split" --fetch-split $split --no-fetch-flock --fetch-takeover 2s
        until_it waits "$BATS_TEST_TMPDIR/log1"
        kill -9 "$first"
        wait "$pid"
        output=$(cat "$BATS_TEST_TMPDIR/log1")
        echo "$output"
        [[ "$output" == *"taken over: its fetcher is gone or stands still"* ]]
        status=0
        right
        [ "$(fetched)" -le 7000000 ]
    done
}

stopped() { # ARGUMENTS: the one that brings is stopped, taken over, and wakes
    owner "slow:1000000" "$@" --fetch-takeover 2s
    first=$pid
    until_it has_bytes 1500
    kill -STOP "$first"
    owner "slow:2000000" "$@" --fetch-takeover 2s
    second=$pid
    until_it grep -q 'taken over' "$BATS_TEST_TMPDIR/log1"
    [ "$1" = late ] || kill -CONT "$first" # wakes while the second brings it
    wait "$second"
    cmp "$OUT/file" "$ROOT/model-1.safetensors"
    inode=$(stat -c %i "$OUT/file")
    wait "$first"
    cat "$BATS_TEST_TMPDIR"/log[01]
    cmp "$OUT/file" "$ROOT/model-1.safetensors"
    [ "$(stat -c %i "$OUT/file")" = "$inode" ]
    output=$(cat "$BATS_TEST_TMPDIR/log1")
    [ "$(fetched)" -lt "$SIZE" ] # what the stopped one had is not served again
    status=0
    right
}

@test "stopped, taken over, awake while the other brings it: yields, both right" {
    stopped --fetch-split 0
}

@test "the same in pieces" {
    stopped --fetch-split 2MiB --fetch-window 0
}

@test "the same without locks" {
    stopped --fetch-split 0 --no-fetch-flock
}

@test "the same in pieces without locks" {
    stopped --fetch-split 2MiB --no-fetch-flock
}

@test "stopped, and awake only after the other has published: the published file stays as it is" {
    owner slow:2000000 --fetch-split 0 --fetch-takeover 2s
    first=$pid
    until_it has_bytes 1500
    kill -STOP "$first"
    run timeout 60 "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" --fetch-takeover 2s --fetch-split 0
    echo "$output"
    [ "$status" -eq 0 ]
    before=$(stat -c '%i %Y %s' "$OUT/file")
    kill -CONT "$first"
    wait "$first"
    cat "$BATS_TEST_TMPDIR/log0"
    right
    [ "$(stat -c '%i %Y %s' "$OUT/file")" = "$before" ]
}

@test "other hosts and process ids: two machines that share nothing but the folder" {
    unshare -fpum --mount-proc true 2> /dev/null || skip "namespaces cannot be made here"
    for i in 1 2; do
        unshare -fpum --mount-proc sh -c "hostname pod-$i; exec \"\$@\"" sh "$JOB" fetch --url "$URL/~slow:3000000/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" \
            "${quick[@]}" --fetch-split 0 --no-fetch-flock 2> "$BATS_TEST_TMPDIR/log$i" 3>&- &
        pids+=($!)
        until_it has_bytes 100
    done
    wait "${pids[0]}"
    wait "${pids[1]}"
    cat "$BATS_TEST_TMPDIR"/log*
    grep -q '"ev":"fetch_wait".*"host":"pod-1","pid":1' "$BATS_TEST_TMPDIR/log2"
    status=0
    right
    [ "$(requests)" -eq 1 ]
}

@test "a record left by a dead fetcher, one that is no record, and a folder of rubbish: the next one goes on" {
    key=$(printf 'file\n%s' "$SHA" | sha256sum | cut -c1-16)
    for record in 'holdfast-owner 1 0123456789abcdef 7 100 8000000 4 1 pod-7' garbage ''; do
        rm -rf "$OUT" && mkdir "$OUT"
        printf '%-223s\n' "$record" > "$OUT/.holdfast-$key.owner"
        [ "$record" ] || : > "$OUT/.holdfast-$key.owner"
        head -c 3000000 "$ROOT/model-1.safetensors" > "$OUT/.holdfast-$key-n00000001.part"
        : > "$OUT/.holdfast-$key-00000002.claim"
        : > "$OUT/.holdfast-$key-00000003.gone"
        one none --fetch-split 0 --fetch-takeover 300ms
        right
        [ "$(fetched)" -eq 5000000 ]
    done
}

@test "a folder that takes no record is fetched to without one" {
    key=$(printf 'file\n%s' "$SHA" | sha256sum | cut -c1-16)
    mkdir "$OUT/.holdfast-$key.owner" # nothing can be made or read under that name
    one none --fetch-split 0 --fetch-takeover 300ms
    [ "$status" -eq 0 ]
    cmp "$OUT/file" "$ROOT/model-1.safetensors"
}
