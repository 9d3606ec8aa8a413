#!/usr/bin/env bats
# The installed prefix is relocatable: copied to an odd path inside an empty root (no libraries, no shell, with and without
# /proc) its programs run, judge the machine and fetch over https with a private CA. Nothing in it names the build machine.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export TOP=$PWD
    export STAGE=$BATS_FILE_TMPDIR/stage
    make -s install DESTDIR="$STAGE" PREFIX=/opt/holdfast SYSCONFDIR=/etc
    export ROOT=$BATS_FILE_TMPDIR/root
    export ODD="/tmp/an odd path/x[1]*"
    mkdir -p "$ROOT/proc" "$ROOT/dev" "$ROOT/etc" "$ROOT/tmp/an odd path" "$ROOT/out"
    cp -a "$STAGE/opt/holdfast" "$ROOT$ODD"
    start_origin
}

# An nginx on loopback with a certificate of a private CA, serving one file.
start_origin() {
    local o=$BATS_FILE_TMPDIR/origin
    mkdir -p "$o/www"
    head -c 300000 /dev/urandom > "$o/www/file.bin"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=a private CA" -keyout "$o/ca.key" -out "$o/ca.pem" 2> /dev/null
    openssl req -newkey rsa:2048 -nodes -subj "/CN=origin" -keyout "$o/key.pem" -out "$o/req.pem" 2> /dev/null
    openssl x509 -req -in "$o/req.pem" -CA "$o/ca.pem" -CAkey "$o/ca.key" -CAcreateserial -days 2 \
        -extfile <(echo subjectAltName=IP:127.0.0.1) -out "$o/cert.pem" 2> /dev/null
    PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    export PORT
    cat > "$o/nginx.conf" << CONF
user root; daemon off; pid $o/pid; error_log $o/error.log; worker_processes 1;
events { worker_connections 32; }
http {
    access_log off; client_body_temp_path $o/t1; proxy_temp_path $o/t2; fastcgi_temp_path $o/t3; uwsgi_temp_path $o/t4; scgi_temp_path $o/t5;
    server { listen 127.0.0.1:$PORT ssl; ssl_certificate $o/cert.pem; ssl_certificate_key $o/key.pem; root $o/www; }
}
CONF
    nginx -e "$o/error.log" -c "$o/nginx.conf" 3>&- > /dev/null 2>&1 &
    echo $! > "$o/nginx"
    curl -s --retry 50 --retry-connrefused --retry-delay 0 --retry-max-time 10 --cacert "$o/ca.pem" -o /dev/null "https://127.0.0.1:$PORT/file.bin"
    cp "$o/ca.pem" "$ROOT/etc/private-ca.pem"
}

teardown_file() {
    kill "$(cat "$BATS_FILE_TMPDIR/origin/nginx")" 2> /dev/null || :
}

# alone [--no-proc] [NAME=VALUE] PROGRAM ARG...: in the empty root, with its own mount namespace, so that nothing stays mounted.
alone() {
    local proc=y
    [ "$1" = --no-proc ] && { proc=; shift; }
    local as=() set=()
    while [[ "$1" == [A-Z]*=* ]]; do set+=("$1"); shift; done
    [ "$(id -u)" -eq 0 ] || as=(--map-root-user)
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare "${as[@]}" --mount --fork sh -euc '
        root=$1 proc=$2 n=$3; shift 3
        for node in null zero urandom; do : > "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
        if [ -n "$proc" ]; then mount --rbind /proc "$root/proc"; fi
        chroot=$(command -v chroot)
        if [ "$n" -gt 0 ]; then given=$1; shift; exec env -i "$given" "$chroot" "$root" "$@"; fi
        exec env -i "$chroot" "$root" "$@"' sh "$ROOT" "$proc" "${#set[@]}" "${set[@]}" "$@"
}

@test "install puts programs, loader, libraries, CA bundle and licences, and nothing of the machine" {
    cd "$STAGE/opt/holdfast"
    for f in bin/holdfast bin/holdfast-job bin/holdfast-runtime libexec/holdfast-job libexec/holdfast-runtime \
        share/holdfast/ca-certificates.crt share/holdfast/licences/holdfast lib/libc.so.6; do
        [ -s "$f" ] || { echo "missing: $f"; return 1; }
    done
    [ -x "$(echo lib/ld-linux-*.so.*)" ]
    [ -z "$(find . -type l)" ]
    for f in bin/* libexec/*; do # stripped, and no path of the build tree inside
        ! grep -qF "$TOP" "$f" || { echo "$f names $TOP"; return 1; }
        ! readelf -S "$f" | grep -q '\.debug_info' || { echo "$f carries debug data"; return 1; }
    done
    for f in bin/*; do # needs no loader at all
        ! readelf -l "$f" | grep -q 'INTERP' || { echo "$f is not static"; return 1; }
    done
}

@test "every library that a program names lies under the prefix" {
    cd "$STAGE/opt/holdfast"
    for f in libexec/* lib/*.so*; do
        for needed in $(readelf -d "$f" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
            [ -e "lib/$needed" ] || { echo "$f needs $needed"; return 1; }
        done
    done
}

@test "the launcher finds its prefix at an odd path in an empty root" {
    run alone "$ODD/bin/holdfast-job" version
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == holdfast-job\ * ]]
}

@test "the launcher finds its prefix without /proc" {
    run alone --no-proc "$ODD/bin/holdfast-job" version
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == holdfast-job\ * ]]
}

@test "the launcher passes arguments, status and a missing program on truly" {
    run alone "$ODD/bin/holdfast-job" "no such role"
    echo "$output"
    [ "$status" -eq 64 ]
    [[ "$output" == *"'no such role'"* ]]
    mkdir -p "$ROOT/bare/bin"
    cp "$STAGE/opt/holdfast/bin/holdfast-job" "$ROOT/bare/bin/"
    run -127 alone /bare/bin/holdfast-job version
    echo "$output"
    [[ "$output" == *"'/bare/libexec/holdfast-job'"* ]]
}

@test "installing over a running program does not disturb it" {
    cp "$STAGE/opt/holdfast/bin/holdfast-job" "$BATS_TEST_TMPDIR/before"
    make -s -C "$TOP" install DESTDIR="$STAGE" PREFIX=/opt/holdfast SYSCONFDIR=/etc
    cmp "$STAGE/opt/holdfast/bin/holdfast-job" "$BATS_TEST_TMPDIR/before"
}

@test "holdfast install copies the prefix whole into a folder, for images that nobody can change" {
    local copy=$BATS_TEST_TMPDIR/shared/holdfast
    (umask 077 && "$STAGE/opt/holdfast/bin/holdfast" install "$copy")
    diff -r "$STAGE/opt/holdfast" "$copy"
    [ -z "$(find "$copy" -type d ! -perm -005)" ] # another user runs it
    : > "$copy/bin/stays"
    "$STAGE/opt/holdfast/bin/holdfast" install "$copy" # again, over what is there
    [ -e "$copy/bin/stays" ]
    [ -z "$(find "$copy" -name '*-new')" ]
    run "$copy/bin/holdfast-job" version
    [ "$status" -eq 0 ]
}

@test "two installs into one folder at once both succeed, and what is there is whole" {
    local i copy
    for i in 1 2 3 4 5 6; do
        copy=$BATS_TEST_TMPDIR/shared$i
        "$STAGE/opt/holdfast/bin/holdfast" install "$copy" 3>&- > "$BATS_TEST_TMPDIR/one" 2>&1 &
        local one=$!
        "$STAGE/opt/holdfast/bin/holdfast" install "$copy" 3>&- > "$BATS_TEST_TMPDIR/two" 2>&1 || { cat "$BATS_TEST_TMPDIR/two"; return 1; }
        wait "$one" || { cat "$BATS_TEST_TMPDIR/one"; return 1; }
        diff -r "$STAGE/opt/holdfast" "$copy"
        [ -x "$copy/bin/holdfast" ]
    done
}

@test "an install over another version replaces it, and what runs from there runs on" {
    local copy=$BATS_TEST_TMPDIR/shared
    "$STAGE/opt/holdfast/bin/holdfast" install "$copy"
    echo 'another version' | tee "$copy/bin/holdfast-job" "$copy/libexec/holdfast-job" > "$copy/lib/libc.so.6"
    chmod 000 "$copy/libexec/holdfast-job"
    echo 'cut short' > "$copy/lib/libc.so.6.holdfast-new"
    mkfifo "$BATS_TEST_TMPDIR/go"
    "$copy/bin/holdfast" --status-listen 127.0.0.1:0 --state-dir "$BATS_TEST_TMPDIR/state" -- sh -c 'read -r line < "$1"; exit 7' sh "$BATS_TEST_TMPDIR/go" 3>&- > "$BATS_TEST_TMPDIR/log" 2>&1 &
    local running=$!
    exec 8> "$BATS_TEST_TMPDIR/go" # returns when the server reads: it runs
    "$STAGE/opt/holdfast/bin/holdfast" install "$copy"
    diff -r "$STAGE/opt/holdfast" "$copy"
    "$copy/bin/holdfast-job" version
    echo on >&8
    exec 8>&-
    local code=0
    wait "$running" || code=$?
    cat "$BATS_TEST_TMPDIR/log"
    [ "$code" -eq 7 ]
}

@test "holdfast install refuses what cannot work, and says what" {
    local holdfast=$STAGE/opt/holdfast/bin/holdfast
    run "$holdfast" install
    [ "$status" -eq 64 ]
    run "$holdfast" install "$STAGE/opt/holdfast/share/inside"
    [ "$status" -eq 65 ]
    [[ "$output" == *"lies inside"* ]]
    run "$TOP/build/release/bin/holdfast" install "$BATS_TEST_TMPDIR/x"
    [ "$status" -eq 65 ]
    [[ "$output" == *"make install"* ]]
    [ "$(id -u)" -eq 0 ] || skip "needs root to mount a small volume"
    mkdir "$BATS_TEST_TMPDIR/small"
    # shellcheck disable=SC2016 # expanded by the inner shell
    run unshare -m sh -c 'mount -t tmpfs -o size=6m none "$2" && "$1" install "$2/h"; echo "full: $?"; find "$2" -name "*-new" | sed "s/^/left: /"
        mount -o remount,ro "$2"; "$1" install "$2/g"; echo "read-only: $?"' sh "$holdfast" "$BATS_TEST_TMPDIR/small"
    echo "$output"
    [[ "$output" == *"No space left"*"full: 88"*"Read-only file system"*"read-only: 89"* ]]
    [[ "$output" != *left:* ]]
}

@test "holdfast itself needs nothing but itself" {
    run alone "$ODD/bin/holdfast" version
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == holdfast\ * ]]
}

@test "holdfast doctor judges the machine from the empty root" {
    run alone "$ODD/bin/holdfast" doctor --json
    echo "$output"
    [ "$status" -eq 0 ] || [ "$status" -ge 70 ] # an empty root has no model: that is a finding, not a failure
    [ "$status" -lt 80 ]
    [[ "$output" == *'"findings"'* ]]
}

@test "holdfast fetch brings a file over https with a private CA" {
    local sum
    sum=$(sha256sum < "$BATS_FILE_TMPDIR/origin/www/file.bin")
    run alone SSL_CERT_FILE=/etc/private-ca.pem "$ODD/bin/holdfast" fetch --url "https://127.0.0.1:$PORT/file.bin" --sha256 "${sum%% *}" --out /out/file.bin
    echo "$output"
    [ "$status" -eq 0 ]
    cmp "$BATS_FILE_TMPDIR/origin/www/file.bin" "$ROOT/out/file.bin"
}

@test "a CA that nobody vouches for is refused, and the message says what to do" {
    run alone "$ODD/bin/holdfast" fetch --url "https://127.0.0.1:$PORT/file.bin" --out /out/other.bin --fetch-backoff 10ms
    echo "$output"
    [ "$status" -eq 82 ]
    [ ! -e "$ROOT/out/other.bin" ]
    [[ "$output" == *certificate* ]]
}

@test "the CA bundle of the prefix is used where the image has none" {
    cp "$ROOT/etc/private-ca.pem" "$ROOT$ODD/share/holdfast/ca-certificates.crt"
    run alone "$ODD/bin/holdfast-job" fetch --url "https://127.0.0.1:$PORT/file.bin" --out /out/third.bin
    echo "$output"
    [ "$status" -eq 0 ]
    cmp "$BATS_FILE_TMPDIR/origin/www/file.bin" "$ROOT/out/third.bin"
}
