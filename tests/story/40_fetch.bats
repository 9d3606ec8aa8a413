#!/usr/bin/env bats
# Fetching against an origin with every fault: the right bytes or the right verdict, never a wrong byte under the name,
# nothing left behind, resume after any death. On the real binary; loopback only.

load ../helpers/origin

setup_file() { origin_setup; }
teardown_file() { origin_stop; }
setup() { fresh; }

@test "a healthy origin: one request a file, right bytes, nothing beside it" {
    one none
    right
    [ "$(requests)" -eq 1 ]
}

@test "a model: every file in its place, the manifest beside it, the next start asks nobody" {
    run "$JOB" fetch "$URL/" --out "$OUT" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT"
    no_partials "$OUT"
    [ "$(requests)" -eq 4 ]
    run "$JOB" fetch "$URL/" --out "$OUT" "${quick[@]}"
    [ "$status" -eq 0 ]
    [ "$(requests)" -eq 4 ]
    [[ "$output" == *'"fetched_files":0'* ]]
    run strace -f -e trace=socket "$JOB" fetch "$URL/" --out "$OUT" "${quick[@]}" # no DNS, no TCP
    [[ "$output" != *AF_INET* ]]
}

@test "a model whose manifest has another name, and one whose manifest is pinned here" {
    cp "$ROOT/holdfast.manifest.json" "$ROOT/other.json"
    run "$JOB" fetch "$URL/other.json" --out "$OUT" "${quick[@]}"
    [ "$status" -eq 0 ]
    rm -rf "$OUT"
    run "$JOB" fetch "$URL" --manifest "$ROOT/other.json" --out "$OUT/a/b" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    rm "$ROOT/other.json"
    same_model "$OUT/a/b"
}

@test "a model from a folder, with and without a manifest" {
    run "$JOB" fetch "$ROOT" --out "$OUT/a" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT/a"
    cp -r "$ROOT" "$BATS_TEST_TMPDIR/plain"
    rm "$BATS_TEST_TMPDIR/plain/holdfast.manifest.json"
    run "$JOB" fetch "file://$BATS_TEST_TMPDIR/plain" --out "$OUT/b" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    same_model "$OUT/b" # the manifest is made on the way
    [ "$(requests)" -eq 0 ]
}

@test "a pinned identity that is not the source's ends it before a file is asked for" {
    run "$JOB" fetch "$URL/" --out "$OUT" --digest "$SHA" "${quick[@]}"
    [ "$status" -eq 98 ]
    [[ "$output" == *"pins $SHA"* ]]
    [ "$(requests)" -eq 1 ]
}

@test "an origin that is down for the first three tries" {
    one drop:3
    right
    [ "$(requests)" -eq 4 ]
}

@test "an origin that is down for four tries: network verdict, nothing left" {
    one drop:4
    refused 85 fetch-net "after 4 tries" "Empty reply"
    [ -z "$(ls -A "$OUT")" ]
}

@test "an answer that is compressed unasked, has two lengths or is no HTTP: asked again, and never taken for the file" {
    for fault in gzip lengths garbage; do
        one "$fault:1"
        right
        rm "$OUT/file"
        run "$JOB" fetch --url "$URL/~$fault:0+always/model-1.safetensors" --out "$OUT/file" "${quick[@]}" # nothing is known of it
        echo "$output"
        [ "$status" -eq 85 ] || [ "$status" -eq 92 ]
        [ ! -e "$OUT/file" ]
    done
}

@test "no origin at all" {
    run "$JOB" fetch --url http://127.0.0.1:1/x --out "$OUT/file" "${quick[@]}"
    refused 85 fetch-net "127.0.0.1 port 1"
}

@test "a name that does not resolve" {
    run "$JOB" fetch --url http://no.such.host.invalid/x --out "$OUT/file" "${quick[@]}"
    echo "$output"
    refused 81 fetch-dns no.such.host.invalid
}

@test "cut after every 3 MB: resumed at the byte, nothing served twice" {
    one cut:3000000
    right
    [ "$(requests)" -eq 3 ]
    grep -q '"range": "bytes=3000000-"' "$LOG"
    [[ "$output" == *'"fetched_bytes":8000000'* ]]
}

@test "reset after every 3 MB" {
    one rst:3000000
    right
}

@test "one damaged response: fetched again, right" {
    one flip:1
    right
}

@test "damaged always: both digests named, nothing under the name, no bad start for the next life" {
    one flip:0
    refused 94 verify-digest "$SHA" "is wanted"
    [ -z "$(ls -A "$OUT")" ]
}

@test "another version half way: never a mixed file, both validators named" {
    one change:3000000
    refused 87 fetch-changed "ETag" '\"changed\"'
    [ -z "$(ls -A "$OUT")" ]
}

@test "another version half way of a file that nobody pinned: the new one, whole" {
    run "$JOB" fetch --url "$URL/~change:3000000+$BATS_TEST_NUMBER/model-1.safetensors" --out "$OUT/file" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    python3 -c 'import sys; a, b = (open(p, "rb").read() for p in sys.argv[1:]); assert a == bytes(255 - x for x in b)' "$OUT/file" "$ROOT/model-1.safetensors"
    grep -q '"if_range": "' "$LOG"
}

@test "an unpinned file without a strong validator begins again after a cut" {
    run "$JOB" fetch --url "$URL/~noetag+cutonce:3000000+$BATS_TEST_NUMBER/model-1.safetensors" --out "$OUT/file" "${quick[@]}"
    right
    ! grep -q 'bytes=3000000-' "$LOG" || false
}

@test "ETags that differ with each answer and equal bytes" {
    one tags+cut:3000000
    right
}

@test "ranges ignored: begun again, not appended" {
    one norange+cutonce:3000000
    right
}

@test "a range from elsewhere: not taken" {
    one wrongrange:1+cutonce:3000000
    right
}

@test "an answer that is short or long once" {
    one short:1
    right
    one long:1
    right
}

@test "short or long always: both sizes named" {
    one short:0
    refused 121 fetch-size 7999000 "$SIZE"
    one long:0
    refused 121 fetch-size 8004096 "$SIZE"
}

@test "a web page once, and always" {
    one html:1
    right
    rm "$OUT/file"
    one html:0
    refused 92 fetch-format "a web page came"
}

@test "a git-lfs pointer instead of weights" {
    one pointer
    refused 92 fetch-format "git-lfs pointer"
    run "$JOB" fetch --url "$URL/~pointer/model-1.safetensors" --out "$OUT/file" "${quick[@]}"
    refused 92 fetch-format "git-lfs pointer"
}

@test "401, 403, 404, 410 end at once with their cure" {
    one status:401
    refused 83 fetch-denied "HTTP 401" HF_TOKEN
    one status:403
    refused 83 fetch-denied "HTTP 403"
    one status:404
    refused 84 fetch-missing "HTTP 404"
    one status:410
    refused 84 fetch-missing "HTTP 410"
    [ "$(requests)" -eq 4 ]
}

@test "416 to a resume: begun again" {
    head -c 3000000 "$ROOT/model-1.safetensors" > "$BATS_TEST_TMPDIR/x"
    one cut:3000000+status:416:0 # harmless: the first answer is right
    [ "$status" -eq 0 ] || refused 120 fetch-range 416
}

@test "500 and 503 pass, 429 waits as told, by seconds and by date" {
    one status:500:2
    right
    one status:503:1:1
    right
    rm "$OUT/file"
    begun=$(date +%s%N)
    one status:429:1:2
    right
    [ $(($(date +%s%N) - begun)) -ge 2000000000 ]
    rm "$OUT/file"
    one status:503:1:date2
    right
    grep -q '"why":"BUSY"\|"why":"SERVER"' <<< "$output"
}

@test "429 always: the rate limit is the verdict" {
    one status:429:9:0
    refused 90 fetch-busy "HTTP 429"
}

@test "a Retry-After beyond the deadline ends at once" {
    one status:429:9:4 --fetch-deadline 1s
    refused 91 fetch-deadline deadline
}

@test "silence in the middle is a stall, and resumed" {
    one stall:3000000 --fetch-stall 1s --fetch-stall-bytes 100KB
    right
    grep -q '"why":"STALL"' <<< "$output"
    grep -q 'bytes=3000000-' "$LOG"
}

@test "four bytes a second are a stall too" {
    one drip:3000000 --fetch-stall 1s --fetch-stall-bytes 100KB
    grep -q '"why":"STALL"' <<< "$output"
    [ "$status" -eq 0 ] || [ "$status" -eq 94 ] # the drip is not the file's bytes: resumed behind it, or begun again
    cmp "$OUT/file" "$ROOT/model-1.safetensors"
}

@test "no answer at all is a stall" {
    one mute:1 --fetch-stall 1s
    right
    one mute:9 --fetch-stall 300ms --sha256 "${SHA//[0-9]/0}"
    [ "$status" -eq 86 ]
}

@test "the total deadline ends a fetch that goes on and on" {
    one stall:3000000 --fetch-stall 30s --fetch-deadline 1s
    refused 91 fetch-deadline deadline
    [ "$(find "$OUT" -name '*.part' -size +2000k | wc -l)" -eq 1 ] # kept for the next life
}

@test "a redirect to another host" {
    one redirect
    right
}

@test "kill -9 half way, then again: at most the rest is fetched, and the prefix is proven" {
    "$JOB" fetch --url "$URL/~stall:5000000+$BATS_TEST_NUMBER/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" 3>&- &
    pid=$!
    for _ in $(seq 200); do [ -n "$(find "$OUT" -name '*.part' -size +4000k)" ] && break; sleep .05; done
    kill -9 $pid
    wait $pid || :
    [ ! -e "$OUT/file" ]
    one stall:5000000
    right
    fetched=$(grep -o '"fetched_bytes":[0-9]*' <<< "$output" | head -1 | cut -d: -f2)
    [ "$fetched" -le 4000000 ]
    [ "$fetched" -gt 0 ]
}

@test "a partial whose tail was torn by a power cut is found out" {
    "$JOB" fetch --url "$URL/~stall:5000000+$BATS_TEST_NUMBER/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" 3>&- &
    pid=$!
    for _ in $(seq 200); do [ -n "$(find "$OUT" -name '*.part' -size +4000k)" ] && break; sleep .05; done
    kill -9 $pid
    wait $pid || :
    dd if=/dev/zero of="$(echo "$OUT"/.holdfast-*.part)" bs=1000 seek=3000 count=500 conv=notrunc status=none
    one none
    right
}

@test "kill -9 at random moments, again and again: the last run has every byte right" {
    for seed in $(seq "$((${HOLD_CHAOS:-12} / 2))"); do
        rm -rf "$OUT"
        for try in 1 2 3 4; do
            "$JOB" fetch "$URL/~cut:1100000+$seed$try/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}" --fetch-backoff 5ms 2> /dev/null 3>&- &
            pid=$!
            sleep "$(python3 -c "import random; print(random.Random($seed * 10 + $try).uniform(.01, .3))")"
            kill -9 $pid 2> /dev/null || :
            wait $pid || :
            for f in model-1.safetensors config.json; do # what stands under a name is right
                [ ! -e "$OUT/$f" ] || cmp "$OUT/$f" "$ROOT/$f"
            done
        done
        run "$JOB" fetch "$URL/" --out "$OUT" "${quick[@]}"
        echo "$output"
        [ "$status" -eq 0 ]
        same_model "$OUT"
        no_partials "$OUT"
    done
}

@test "TERM ends it within 200 ms and leaves a partial that is resumed" {
    "$JOB" fetch --url "$URL/~stall:5000000+$BATS_TEST_NUMBER/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" 3>&- &
    pid=$!
    for _ in $(seq 200); do [ -n "$(find "$OUT" -name '*.part' -size +4000k)" ] && break; sleep .05; done
    begun=$(date +%s%N)
    kill -TERM $pid
    wait $pid || [ $? -eq 143 ]
    [ $(($(date +%s%N) - begun)) -lt 200000000 ]
    one stall:5000000
    right
}

@test "two fetchers on one folder: both end right, nothing is left" {
    "$JOB" fetch "$URL/~cut:1100000/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}" 2> /dev/null 3>&- &
    pid=$!
    run "$JOB" fetch "$URL/~cut:1200000/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    wait $pid
    same_model "$OUT"
    no_partials "$OUT"
}

@test "too little space: refused before the first byte, the missing bytes named" {
    one none --fetch-reserve 900TB
    refused 88 fetch-space "too few" "$SIZE bytes are missing"
    [ "$(requests)" -eq 0 ]
}

@test "a disk that fills up in the middle: named, the partial kept, resumed when there is room" {
    [ "$(id -u)" -eq 0 ] || skip "mounting a small tmpfs needs root"
    mount -t tmpfs -o size=6m none "$OUT" 2> /dev/null || skip "a tmpfs cannot be mounted here"
    run "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    echo "$output"
    verdict=$(refused 88 fetch-space "No space left" || echo wrong)
    mount -o remount,size=20m "$OUT"
    run "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    same=$(cmp "$OUT/file" "$ROOT/model-1.safetensors" 2>&1)
    umount "$OUT"
    echo "$output"
    [ -z "$verdict$same" ]
    [ "$status" -eq 0 ]
}

@test "a folder that cannot be written" {
    [ "$(id -u)" -eq 0 ] || skip "a read-only mount needs root"
    mount -t tmpfs -o ro none "$OUT" 2> /dev/null || skip "a tmpfs cannot be mounted here"
    one none
    umount "$OUT"
    refused 122 fetch-readonly "Read-only file system"
}

@test "a link in the folder that leaves it is not written through" {
    mkdir "$BATS_TEST_TMPDIR/elsewhere" "$OUT/m"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$OUT/m/sub"
    run "$JOB" fetch "$URL/" --out "$OUT/m" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 89 ]
    [[ "$output" == *"the folder of 'sub/an odd name%.safetensors' is a link that leaves"* ]]
    [ "$(ls -A "$OUT/m" | tr '\n' ' ')" = '.holdfast sub ' ]
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/elsewhere")" ]
    rm "$OUT/m/sub"
    mkdir "$OUT/m/inside"
    ln -s inside "$OUT/m/sub" # and one that stays inside is
    run "$JOB" fetch "$URL/" --out "$OUT/m" "${quick[@]}"
    [ "$status" -eq 0 ]
    same_model "$OUT/m"
}

@test "names that leave the folder are refused before anything is written" {
    for name in ../x /etc/x a/../../x .holdfast/x; do
        printf '{"schema":1,"files":[{"path":"%s","size":1,"sha256":"%s"}]}' "$name" "$SHA" > "$BATS_TEST_TMPDIR/m.json"
        run "$JOB" fetch "$URL/" --manifest "$BATS_TEST_TMPDIR/m.json" --out "$OUT/in" "${quick[@]}"
        echo "$output"
        [ "$status" -eq 98 ]
    done
    [ ! -e "$OUT/x" ]
    [ "$(requests)" -eq 0 ]
}

@test "https with a private CA; without it the certificate is the verdict" {
    cd "$BATS_TEST_TMPDIR"
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2> /dev/null
    openssl req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=localhost 2> /dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > ext
    openssl x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out s.pem -days 2 -extfile ext 2> /dev/null
    origin_start --tls s.pem s.key
    run env SSL_CERT_FILE="$PWD/ca.pem" "$JOB" fetch --url "https://127.0.0.1:$PORT/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    first=$status
    rm -f "$OUT/file"
    run "$JOB" fetch --url "https://127.0.0.1:$PORT/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    origin_stop
    echo "$output"
    [ "$first" -eq 0 ]
    refused 82 fetch-tls certificate
}

@test "a hub: commit resolved, pages followed, digests of both kinds proven, the token kept to the hub" {
    origin_start --hub org/repo "$TOP/examples/little-model/checkpoint" --gated s3cret-token
    run env HF_ENDPOINT="$URL" "$JOB" fetch hf://org/repo@main --out "$OUT/m" "${quick[@]}"
    denied=$status said=$output
    run env HF_ENDPOINT="$URL/" HF_TOKEN=s3cret-token "$JOB" fetch hf://org/repo --out "$OUT/m" "${quick[@]}"
    origin_stop
    echo "$said" "$output"
    [ "$denied" -eq 83 ]
    [[ "$said" == *"Access to this model is restricted"* ]]
    [ "$status" -eq 0 ]
    for f in "$TOP"/examples/little-model/checkpoint/*; do cmp "$f" "$OUT/m/$(basename "$f")"; done
    [[ "$output" != *s3cret* ]]
    ! grep -rq s3cret "$OUT" || false
    grep -q '"path": "/cdn/.*"auth": null' "$LOG"
    ! grep '/cdn/' "$LOG" | grep -q s3cret || false
    run "$JOB" verify "$OUT/m"
    [ "$status" -eq 0 ]
}

@test "a proxy is used, and left out for the hosts of NO_PROXY" {
    run env http_proxy=http://127.0.0.1:1 "$JOB" fetch --url http://model.example/x --out "$OUT/file" "${quick[@]}"
    refused 85 fetch-net "127.0.0.1 port 1"
    run env http_proxy=http://127.0.0.1:1 NO_PROXY=127.0.0.1 "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    right
}

@test "what cannot be understood is said at once" {
    run "$JOB" fetch "$URL/"
    [ "$status" -eq 64 ]
    run "$JOB" fetch --out "$OUT" --sha256 "$SHA" "$URL/"
    [ "$status" -eq 64 ]
    for slip in gopher://x hf:/org/repo https:/host/x; do
        run "$JOB" fetch "$slip" --out "$OUT"
        [ "$status" -eq 65 ]
        [[ "$output" == *"'$slip': https://, "* ]]
    done
    run "$JOB" fetch --url "$URL/x" --sha256 12 --out "$OUT/file"
    [ "$status" -eq 64 ]
}

@test "a device or a pipe where the file is to be is left alone" {
    mkfifo "$BATS_TEST_TMPDIR/pipe"
    run "$JOB" fetch --url "$URL/model-1.safetensors" --out "$BATS_TEST_TMPDIR/pipe" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 64 ]
    [ -p "$BATS_TEST_TMPDIR/pipe" ]
    [[ "$output" == *"no regular file"* ]]
    [ "$(requests)" -eq 0 ]
}

@test "on a terminal: a bar for each file and one in total, with rate and time left; in the end the total stays" {
    run python3 "$TOP/tests/helpers/on_terminal.py" 101 "$JOB" fetch "$URL/~slow:4000000/" --manifest "$ROOT/holdfast.manifest.json" --out "$OUT" --fetch-reserve 0
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" != *ERROR* ]]
    screens=${output%--- stays*}
    grep -qE '^model-1 +\[#+\.+\] +[0-9]+% +[0-9.]+ MB / 8.0 MB +[0-9.]+ [kM]B/s  [0-9]+ s left$' <<< "$screens"
    grep -qE '^sub/an odd name% +\[' <<< "$screens"
    grep -qE '^fetch +\[#*\.+\] +[0-9]+% +[0-9.]+ [kM]?B / 11.0 MB' <<< "$screens"
    stays=${output##*--- stays}
    [ "$(grep -cE '^[a-z].*\[[#.]+\]' <<< "$stays")" -eq 1 ]
    grep -qE '^fetch +\[########################\] 100% +11.0 MB / 11.0 MB +[0-9.]+ [kM]B/s$' <<< "$stays"
}
