#!/usr/bin/env bats
# Every way in which a fetch can fail has its own exit status, cause, sentence and cure. On the real binary; loopback only.

load ../helpers/origin

setup_file() { origin_setup; }
teardown_file() { origin_stop; }
setup() { fresh; }

# class|fault of the origin|status|cause|words that the message must have (split at ;)|further flags
table='
401|status:401|83|fetch-denied|HTTP 401;HF_TOKEN|
403|status:403|83|fetch-denied|HTTP 403|
404|status:404|84|fetch-missing|HTTP 404|
410|status:410|84|fetch-missing|HTTP 410|
416|status:416|120|fetch-range|HTTP 416;after 4 tries|
another range|wrongrange:99+cut:1500000|120|fetch-range|asked for bytes from|--fetch-tries 3
429|status:429:99:0|90|fetch-busy|HTTP 429;after 4 tries|
500|status:500|99|fetch-server|HTTP 500;after 4 tries|
503|status:503|99|fetch-server|HTTP 503|
another status|status:418|80|fetch|HTTP 418|
connection dropped|drop:99|85|fetch-net|after 4 tries|
cut|cut:1000|85|fetch-net|after 4 tries;1000|
reset|rst:1000|85|fetch-net|after 4 tries|
silence|mute:99|86|fetch-stall|only 0 bytes came|--fetch-stall 200ms
drip|drip:1000|86|fetch-stall|bytes came in|--fetch-stall 400ms --fetch-tries 1
another ETag and content|change:3000000|87|fetch-changed|ETag;changed|
too short|short:0|121|fetch-size|7999000;8000000|
too long|long:0|121|fetch-size|8004096;8000000|
one bit|flip:0|94|verify-digest|SHA-256;is wanted|
a web page|html:0|92|fetch-format|a web page came|
a git-lfs pointer|pointer|92|fetch-format|git-lfs pointer|
the deadline|stall:3000000|91|fetch-deadline|deadline|--fetch-deadline 1s
'

@test "each failure of an origin: its own status, cause, words and cure, nothing under the name" {
    n=0
    while IFS='|' read -r class fault want cause words flags; do
        [ -n "$class" ] || continue
        n=$((n + 1))
        rm -rf "$OUT" && mkdir "$OUT"
        # shellcheck disable=SC2086
        run timeout 60 "$JOB" fetch --url "$URL/~$fault+n$n/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}" $flags
        echo "$class: $status $output"
        [ "$status" -eq "$want" ]
        [[ "$output" == *"\"cause\":\"$cause\""* ]]
        [[ "$output" == *model-1.safetensors* || "$output" == *"'file'"* ]]
        [[ "$output" =~ \"cure\":\"[a-z] ]]
        while IFS= read -r word; do [[ "$output" == *"$word"* ]]; done <<< "${words//;/$'\n'}"
        [ ! -e "$OUT/file" ]
    done <<< "$table"
    [ "$n" -eq 22 ]
}

@test "a name that does not resolve, a port where nobody listens, a certificate that nobody vouches for" {
    run "$JOB" fetch --url http://no.such.host.invalid/x --out "$OUT/file" "${quick[@]}"
    refused 81 fetch-dns no.such.host.invalid
    run "$JOB" fetch --url http://127.0.0.1:1/x --out "$OUT/file" "${quick[@]}"
    refused 85 fetch-net "127.0.0.1 port 1" "after 4 tries"
    certificates "$BATS_TEST_TMPDIR"
    origin_args=(--tls "$BATS_TEST_TMPDIR/s.pem" "$BATS_TEST_TMPDIR/s.key")
    tls() { "$JOB" fetch --url "https://127.0.0.1:$PORT/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"; }
    other_origin tls
    refused 82 fetch-tls certificate SSL_CERT_FILE
    [[ "$output" != *"after"*"tries"* ]] # no second try makes it trusted
}

@test "a name server that never answers is trouble with names, in bounded time" {
    unshare -nm true 2> /dev/null || skip "no network and mount namespaces here"
    [ -x "$(command -v ip)" ] || skip "no ip command here"
    echo "nameserver 127.0.0.1" > "$BATS_TEST_TMPDIR/resolv.conf"
    # shellcheck disable=SC2016
    run timeout 90 unshare -nm sh -c 'ip link set lo up && mount --bind "$1" /etc/resolv.conf || exit 77
        python3 -c "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((\"127.0.0.1\", 53))
open(\"$1.bound\", \"w\")
time.sleep(90)" 3>&- &
        silent=$!
        while kill -0 $silent && [ ! -e "$1.bound" ]; do sleep .1; done
        "$2" fetch --url http://some.host.example/x --out "$3" --fetch-connect-timeout 1s --fetch-tries 2 --fetch-backoff 20ms; status=$?
        kill $silent
        exit $status' sh "$BATS_TEST_TMPDIR/resolv.conf" "$JOB" "$OUT/file"
    [ "$status" -ne 77 ] || skip "the name server's address cannot be replaced here"
    echo "$output"
    refused 81 fetch-dns "Resolving timed out"
}

@test "a read-only folder, a folder of somebody else (no room and no quota: 47_disk)" {
    [ "$(id -u)" -eq 0 ] || skip "a read-only mount and another user need root"
    rm -rf "$OUT" && mkdir -m 755 "$OUT"
    chmod 755 "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR" 2> /dev/null || :
    cp "$JOB" "$BATS_RUN_TMPDIR/job" # the tree of the build may be closed to others
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/job" "$BATS_RUN_TMPDIR/test" 2> /dev/null || :
    run setpriv --reuid 65534 --regid 65534 --clear-groups "$BATS_RUN_TMPDIR/job" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    echo "$output"
    refused 89 fetch-write "Permission denied"
    mount -t tmpfs -o ro none "$OUT" 2> /dev/null || skip "a tmpfs cannot be mounted here"
    run "$JOB" fetch --url "$URL/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    umount "$OUT"
    echo "$output"
    refused 122 fetch-readonly "Read-only file system"
}
