#!/usr/bin/env bats
# Large files in pieces over several connections: the same promises as one stream, resume at the byte in every piece,
# repair by piece. On the real binary; loopback only.

load ../helpers/origin

setup_file() { origin_setup; }
teardown_file() { origin_stop; }
setup() { fresh; }

split=(--fetch-split 2MiB --fetch-window 0) # pieces of 1 MiB: eight of them, over all connections from the beginning

fetched() { grep -o '"fetched_bytes":[0-9]*' <<< "$output" | tail -1 | cut -d: -f2; }

@test "pieces over four connections: right bytes, each byte served once, nothing beside the file" {
    one none "${split[@]}"
    right
    [ "$(requests)" -eq 8 ]
    [ "$(fetched)" -eq "$SIZE" ]
    grep -q '"range": "bytes=1048576-2097151"' "$LOG"
}

@test "where nothing limits a stream it stays alone: one request for all pieces" {
    one none --fetch-split 2MiB --fetch-window 1m
    right
    [ "$(requests)" -eq 1 ]
    [ "$(fetched)" -eq "$SIZE" ]
}

@test "where each connection is limited more of them come, and each byte is served once" {
    one slow:1000000 --fetch-split 2MiB --fetch-window 100ms
    right
    [ "$(requests)" -gt 3 ]
    [ "$(fetched)" -eq "$SIZE" ]
}

@test "one connection in pieces" {
    one none "${split[@]}" --fetch-connections 1
    right
    [ "$(fetched)" -eq "$SIZE" ]
}

@test "an origin that ignores ranges: one stream, right" {
    one norange "${split[@]}"
    right
    one norange+cutonce:3000000 "${split[@]}"
    right
}

@test "an origin whose ranges are refused to the last: one stream, right" {
    one refusesrange "${split[@]}"
    right
    [ "$(requests)" -ge 5 ]
}

@test "a web page once in the middle does not cost the pieces" {
    one html:1 "${split[@]}" --fetch-connections 1
    right
    [ "$(fetched)" -eq "$SIZE" ]
}

@test "each answer is cut or reset half way: resumed at the byte in every piece" {
    one cut:600000 "${split[@]}"
    right
    [ "$(fetched)" -eq "$SIZE" ]
    rm "$OUT/file"
    one rst:600000 "${split[@]}"
    right
}

@test "an origin that is down four times" {
    one drop:4 "${split[@]}" --fetch-connections 1
    refused 85 fetch-net "after 4 tries"
    [ -z "$(ls -A "$OUT")" ]
}

@test "an origin that refuses some of the connections: the others go on" {
    one status:503:3 "${split[@]}"
    right
}

@test "401 and 404 end at once" {
    one status:401 "${split[@]}"
    refused 83 fetch-denied "HTTP 401"
    one status:404 "${split[@]}"
    refused 84 fetch-missing "HTTP 404"
}

@test "damaged once and always, without piece digests: begun again, or the digest is the verdict" {
    one flip:1 "${split[@]}"
    right
    rm "$OUT/file"
    one flip:0 "${split[@]}"
    refused 94 verify-digest "$SHA" "is wanted"
    [ -z "$(ls -A "$OUT")" ]
}

@test "another version half way: refused, both validators named" {
    one change:500000 "${split[@]}"
    refused 87 fetch-changed ETag
}

@test "redirects: asked once at the first address, then where it led" {
    one redirect "${split[@]}" --fetch-connections 1
    right
    [ "$(grep -c '"path": "/~redirect' "$LOG")" -le 2 ]
}

@test "silence in one piece is a stall there, and resumed" {
    one stall:500000 "${split[@]}" --fetch-stall 1s --fetch-stall-bytes 100KB
    right
}

@test "kill -9 half way: what is in the file is not served again" {
    "$JOB" fetch --url "$URL/~stall:500000+$BATS_TEST_NUMBER/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" "${split[@]}" 3>&- &
    pid=$!
    for _ in $(seq 200); do [ "$(requests)" -ge 8 ] && break; sleep .05; done
    sleep .3
    kill -9 $pid
    wait $pid || :
    [ ! -e "$OUT/file" ]
    [ -e "$(echo "$OUT"/.holdfast-*.part.pieces)" ]
    : > "$LOG"
    one none "${split[@]}"
    right
    [ "$(fetched)" -le 1400000 ] # one piece stood still; at most one gathered block more
    [ "$(fetched)" -gt 0 ]
}

@test "kill -9 at random moments: what stands under the name is right, the last run ends right" {
    for seed in $(seq "$((${HOLD_CHAOS:-12} / 2))"); do
        rm -rf "$OUT"
        mkdir "$OUT"
        for try in 1 2 3; do
            "$JOB" fetch --url "$URL/~cut:700000+$seed$try/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" --fetch-backoff 5ms "${split[@]}" 2> /dev/null 3>&- &
            pid=$!
            sleep "$(python3 -c "import random; print(random.Random($seed * 10 + $try).uniform(.01, .3))")"
            kill -9 $pid 2> /dev/null || :
            wait $pid || :
            [ ! -e "$OUT/file" ] || cmp "$OUT/file" "$ROOT/model-1.safetensors"
        done
        one none "${split[@]}"
        right
    done
}

@test "pieces taken over by one stream, and a stream by pieces" {
    for first in 2MiB 0; do
        "$JOB" fetch --url "$URL/~stall:900000+$BATS_TEST_NUMBER$first/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" --fetch-split $first 3>&- &
        pid=$!
        for _ in $(seq 100); do [ -n "$(find "$OUT" -name '*.part')" ] && break; sleep .05; done
        sleep .3
        kill -9 $pid
        wait $pid || :
        one none --fetch-split "$([ "$first" = 0 ] && echo 2MiB || echo 0)"
        right
        rm "$OUT/file"
    done
}

@test "random mixtures of faults in pieces: right bytes or a clean verdict" {
    n_right=0
    for seed in $(seq "${HOLD_CHAOS:-12}"); do
        faults=$(python3 -c "
import random
r = random.Random($seed)
kinds = ['drop:1', 'status:503:1', 'status:429:1:0', 'cut:500000', 'rst:700000', 'cutonce:400000', 'flip:1', 'tags', 'noetag', 'norange', 'wrongrange:1', 'short:1', 'long:1', 'html:1', 'redirect', 'change:200000', 'flip:0']
print('+'.join(r.sample(kinds, r.randint(1, 4))))")
        rm -rf "$OUT"
        mkdir "$OUT"
        one "$faults+s$seed" "${split[@]}"
        echo "seed $seed: $faults: $status"
        if [ "$status" -eq 0 ]; then
            right
            n_right=$((n_right + 1))
        else
            [[ " 84 85 87 90 92 94 " == *" $status "* ]]
            [ ! -e "$OUT/file" ]
            one none+s "${split[@]}"
            right
        fi
    done
    [ "$n_right" -gt 0 ]
}

pieces_model() { # a model whose manifest has pieces of 1 MiB, and the origin that serves it
    cp -r "$ROOT" "$BATS_TEST_TMPDIR/m"
    ROOT=$BATS_TEST_TMPDIR/m
    "$JOB" verify "$ROOT" --no-plan --write-manifest --piece-size 1MiB 2> /dev/null
    rm -rf "$ROOT/.holdfast"
    origin_start
}

@test "a manifest with piece digests: a damaged piece on disk is fetched again alone" {
    old=$PID_OF_ORIGIN
    pieces_model
    grep -q '"chunk_size": 1048576' "$ROOT/holdfast.manifest.json"
    "$JOB" fetch "$URL/" --out "$OUT/m" "${quick[@]}"
    cmp "$ROOT/holdfast.manifest.json" "$OUT/m/holdfast.manifest.json"
    printf '\x00\x01\x02' | dd of="$OUT/m/model-1.safetensors" bs=1 seek=3333333 conv=notrunc status=none
    : > "$LOG"
    run "$JOB" fetch "$URL/" --out "$OUT/m" "${quick[@]}" --deep
    origin_stop
    PID_OF_ORIGIN=$old
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT/m"
    no_partials "$OUT/m"
    [ "$(fetched)" -eq 1048576 ]
    [ "$(grep -c '"range": "bytes=3145728-4194303"' "$LOG")" -eq 1 ]
    run "$JOB" verify "$OUT/m" --no-plan --deep
    [ "$status" -eq 0 ]
}

@test "one flipped bit on the way: that piece comes again, the others do not" {
    old=$PID_OF_ORIGIN
    pieces_model
    run "$JOB" fetch "$URL/~flip:1@model/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT/m" "${quick[@]}"
    said=$output code=$status
    [[ "$output" == *"piece 4 of 8 is wrong, 1 in all"* ]] || code=99
    bytes=$(fetched)
    # Always wrong: the verdict names the piece, and the good pieces stay for the next life.
    run "$JOB" fetch "$URL/~flip:0@model/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT/n" "${quick[@]}"
    always=$output always_code=$status
    run "$JOB" fetch "$URL/" --out "$OUT/n" "${quick[@]}" --fetch-connections 1
    origin_stop
    PID_OF_ORIGIN=$old
    echo "$said" "$always" "$output"
    [ "$code" -eq 0 ]
    cmp "$OUT/m/model-1.safetensors" "$ROOT/model-1.safetensors"
    total=$((SIZE + 3000000 + $(stat -c %s "$ROOT/config.json")))
    [ "$bytes" -le $((total + 3 * 1048576)) ] # flips once at each address: in two files, with one piece each
    [ "$always_code" -eq 94 ]
    [[ "$always" == *"is wrong, 1 in all"* ]]
    [ "$status" -eq 0 ]
    cmp "$OUT/n/model-1.safetensors" "$ROOT/model-1.safetensors"
}

@test "a manifest whose pieces contradict its whole is refused in the end" {
    old=$PID_OF_ORIGIN
    pieces_model
    sed "s/$SHA/${SHA//[0-9]/0}/" "$ROOT/holdfast.manifest.json" > "$BATS_TEST_TMPDIR/wrong.json"
    run "$JOB" fetch "$URL/" --manifest "$BATS_TEST_TMPDIR/wrong.json" --out "$OUT/m" "${quick[@]}"
    origin_stop
    PID_OF_ORIGIN=$old
    echo "$output"
    [ "$status" -eq 94 ]
    [[ "$output" == *"the manifest is not"* ]]
    run "$JOB" verify "$ROOT" --no-plan --write-manifest --piece-size 1KiB
    [ "$status" -eq 64 ]
}

@test "ten fetchers on one folder: all end right, nothing is left" {
    pids=()
    for i in $(seq 10); do
        "$JOB" fetch --url "$URL/~cut:700000+$i/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" "${split[@]}" 2> "$BATS_TEST_TMPDIR/log$i" 3>&- &
        pids+=($!)
    done
    bad=0
    for pid in "${pids[@]}"; do wait "$pid" || bad=$((bad + 1)); done
    tail -n 1 "$BATS_TEST_TMPDIR"/log*
    ls -A "$OUT"
    [ "$bad" -eq 0 ]
    status=0
    right
}
