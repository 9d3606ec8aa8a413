#!/usr/bin/env bats
# Proxies, private certificates, HTTP/2, redirects and signed addresses: what lies between a pod and an origin. On the real
# binary; loopback only.

load ../helpers/origin

setup_file() {
    origin_setup
    certificates "$BATS_FILE_TMPDIR"
    mkdir "$BATS_FILE_TMPDIR/hub" # a flat one
    cp "$ROOT/model-1.safetensors" "$ROOT/config.json" "$BATS_FILE_TMPDIR/hub"
    export CERTS=$BATS_FILE_TMPDIR HUB=$BATS_FILE_TMPDIR/hub
}
teardown_file() { origin_stop; }
setup() {
    fresh
    unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE http_proxy https_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY no_proxy all_proxy ALL_PROXY
    : > "$BATS_TEST_TMPDIR/proxy.log"
}
teardown() {
    local pid
    for pid in ${PID_OF_PROXY:-} ${MORE_PIDS:-}; do kill "$pid" 2> /dev/null || :; done
}

proxy() { # [USER:PASSWORD]: sets PROXY to host:port
    coproc PROXY_PROCESS { exec python3 -B "$TOP/tests/helpers/proxy.py" "$BATS_TEST_TMPDIR/proxy.log" "$@" 3>&-; }
    PID_OF_PROXY=$!
    local port
    read -r port <&"${PROXY_PROCESS[0]}"
    PROXY=127.0.0.1:$port
}
asked_proxy() { grep -c "$1" "$BATS_TEST_TMPDIR/proxy.log" || :; }

one_by() { # URL: model-1.safetensors from there, with the environment of the caller
    "$JOB" fetch --url "$1/model-1.safetensors" --sha256 "$SHA" --size "$SIZE" --out "$OUT/file" "${quick[@]}"
}

@test "a proxy for http, by either name of the variable, with user and password" {
    proxy user:s3cret
    HTTP_PROXY=http://user:s3cret@$PROXY run one_by "http://model.example:$PORT"
    right
    [[ "$output" != *s3cret* ]]
    rm "$OUT/file"
    http_proxy=http://user:s3cret@$PROXY run one_by "http://model.example:$PORT"
    right
    [ "$(asked_proxy '^GET http://model.example.* yes$')" -eq 2 ]
}

@test "a proxy that wants a password says 407: its own verdict, at once, for http and https" {
    proxy user:s3cret
    HTTP_PROXY=http://$PROXY run one_by "http://model.example:$PORT"
    refused 124 fetch-proxy 407 HTTPS_PROXY
    HTTPS_PROXY=http://user:wrong@$PROXY run one_by "https://model.example:$PORT"
    refused 124 fetch-proxy 407
    [ "$(asked_proxy ' no$')" -le 3 ]
    [[ "$output" != *wrong@* ]]
}

@test "a tunnel through the proxy to an origin with a private CA" {
    proxy user:s3cret
    origin_args=(--tls "$CERTS/s.pem" "$CERTS/s.key")
    tunnel() { HTTPS_PROXY=http://user:s3cret@$PROXY SSL_CERT_FILE=$CERTS/ca.pem one_by "https://localhost:$PORT"; }
    other_origin tunnel
    right
    [ "$(asked_proxy '^CONNECT localhost:.* yes$')" -eq 1 ]
}

@test "a private CA by each variable that clients of the same pod are told it" {
    mkdir "$BATS_TEST_TMPDIR/folder"
    cp "$CERTS/ca.pem" "$BATS_TEST_TMPDIR/folder/" && openssl rehash "$BATS_TEST_TMPDIR/folder"
    origin_args=(--tls "$CERTS/s.pem" "$CERTS/s.key")
    trusting() { env -u SSL_CERT_FILE -u SSL_CERT_DIR "$1=$2" "$JOB" fetch --url "https://localhost:$PORT/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"; }
    for name in SSL_CERT_FILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE SSL_CERT_DIR; do
        where=$CERTS/ca.pem
        [ "$name" != SSL_CERT_DIR ] || where=$BATS_TEST_TMPDIR/folder
        other_origin trusting "$name" "$where"
        right
        rm "$OUT/file"
        other_origin trusting "$name" ""
        refused 82 fetch-tls
    done
}

@test "NO_PROXY: names, domains and addresses are asked directly" {
    for leave_out in 127.0.0.1 "example.org,127.0.0.1" "*"; do
        HTTP_PROXY=http://127.0.0.1:1 NO_PROXY=$leave_out run one_by "$URL"
        right
        rm "$OUT/file"
    done
    HTTP_PROXY=http://127.0.0.1:1 NO_PROXY=example.org run one_by "$URL"
    refused 85 fetch-net "127.0.0.1 port 1"
}

@test "the certificates installed under the prefix are used where the machine has none" {
    [ "$(id -u)" -eq 0 ] || skip "hiding the machine's certificates needs root"
    prefix=$BATS_TEST_TMPDIR/prefix
    make -s -C "$TOP" install DESTDIR= PREFIX="$prefix" > /dev/null
    [ -s "$prefix/share/holdfast/ca-certificates.crt" ]
    cat "$CERTS/ca.pem" >> "$prefix/share/holdfast/ca-certificates.crt" # stands for a public CA
    origin_args=(--tls "$CERTS/s.pem" "$CERTS/s.key")
    hidden() {
        env -u SSL_CERT_FILE -u SSL_CERT_DIR -u CURL_CA_BUNDLE unshare -m sh -c 'mount -t tmpfs none /etc/ssl && { [ ! -d /etc/pki ] || mount -t tmpfs none /etc/pki; } && exec "$@"' sh \
            "$prefix/bin/holdfast" fetch --url "https://127.0.0.1:$PORT/model-1.safetensors" --sha256 "$SHA" --out "$OUT/file" "${quick[@]}"
    }
    unshare -m true 2> /dev/null || skip "no mount namespace here"
    other_origin hidden
    right
}

@test "HTTP/2 where it is offered: nginx, ranges over several connections, proven" {
    [ -x "$(command -v nginx)" ] || skip "nginx is not installed"
    n=$BATS_TEST_TMPDIR
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    printf 'daemon off; pid %s/pid; error_log %s/error.log; worker_processes 1; user root;
events {}
http {
    log_format p "$server_protocol $status $http_range";
    access_log %s/access.log p;
    client_body_temp_path %s/a; proxy_temp_path %s/b; fastcgi_temp_path %s/c; uwsgi_temp_path %s/d; scgi_temp_path %s/e;
    server { listen 127.0.0.1:%s ssl http2; ssl_certificate %s/s.pem; ssl_certificate_key %s/s.key; root %s; }
}\n' "$n" "$n" "$n" "$n" "$n" "$n" "$n" "$n" "$port" "$CERTS" "$CERTS" "$ROOT" > "$n/nginx.conf"
    nginx -p "$n" -c "$n/nginx.conf" 2> /dev/null 3>&- &
    pid=$!
    for _ in $(seq 200); do [ -s "$n/pid" ] && break; sleep .05; done
    run env SSL_CERT_FILE="$CERTS/ca.pem" "$JOB" fetch "https://127.0.0.1:$port/" --out "$OUT" "${quick[@]}" --fetch-split 2MB
    kill "$pid"
    wait "$pid" || :
    echo "$output"
    cat "$n/access.log"
    [ "$status" -eq 0 ]
    same_model "$OUT"
    grep -q 'HTTP/2.0 206 bytes=' "$n/access.log"
    ! grep -q 'HTTP/1' "$n/access.log" || false
}

# another LOG WORD...: one more origin with its own log; its port is in OTHER, its end is the test's.
another() {
    python3 -B "$TOP/tests/helpers/origin.py" "$HUB" --log "$@" > "$BATS_TEST_TMPDIR/port" 2> /dev/null 3>&- &
    MORE_PIDS+=" $!"
    for _ in $(seq 400); do [ -s "$BATS_TEST_TMPDIR/port" ] && break; sleep .05; done
    OTHER=$(cat "$BATS_TEST_TMPDIR/port")
    rm "$BATS_TEST_TMPDIR/port"
}

@test "the token does not follow a redirect to another port, nor from https to http" {
    there=$BATS_TEST_TMPDIR/there here=$BATS_TEST_TMPDIR/here
    another "$there"
    cdn=http://127.0.0.1:$OTHER
    another "$here" --hub org/repo "$HUB" --gated s3cret-token --cdn "$cdn"
    run env HF_ENDPOINT="http://127.0.0.1:$OTHER" HF_TOKEN=s3cret-token "$JOB" fetch hf://org/repo --out "$OUT/a" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    another "$here" --hub org/repo "$HUB" --gated s3cret-token --cdn "$cdn" --tls "$CERTS/s.pem" "$CERTS/s.key"
    run env HF_ENDPOINT="https://127.0.0.1:$OTHER" HF_TOKEN=s3cret-token SSL_CERT_FILE="$CERTS/ca.pem" "$JOB" fetch hf://org/repo --out "$OUT/b" "${quick[@]}"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c '"path": "/cdn/' "$there")" -eq 2 ]
    ! grep -q s3cret "$there" || false
    grep -q s3cret "$here" # the hub itself did get it
}

@test "addresses that are good for two requests: asked for anew, as one stream and in pieces" {
    here=$BATS_TEST_TMPDIR/here
    another "$here" --hub org/repo "$HUB" --signed 2 --cdn-faults cut:1100000
    run env HF_ENDPOINT="http://127.0.0.1:$OTHER" "$JOB" fetch hf://org/repo --out "$OUT/a" "${quick[@]}" --fetch-split 0
    echo "$output"
    [ "$status" -eq 0 ]
    run env HF_ENDPOINT="http://127.0.0.1:$OTHER" "$JOB" fetch hf://org/repo --out "$OUT/b" "${quick[@]}" --fetch-split 2MB
    echo "$output"
    [ "$status" -eq 0 ]
    cmp "$OUT/a/model-1.safetensors" "$ROOT/model-1.safetensors"
    cmp "$OUT/b/model-1.safetensors" "$ROOT/model-1.safetensors"
    grep -q 'model-1.safetensors?signature=5' "$here" # five times at least it was resolved
    [[ "$output" != *signature=* ]]                   # the address is a secret too
}

@test "a gated hub's token stands in no command line, log, state file or environment of the errand" {
    another "$BATS_TEST_TMPDIR/log" --hub org/repo "$HUB" --gated s3cret-token
    HF_ENDPOINT=http://127.0.0.1:$OTHER HF_TOKEN=s3cret-token "$JOB" fetch "hf://org/repo" --out "$OUT/m" "${quick[@]}" 2> "$BATS_TEST_TMPDIR/said" 3>&- &
    pid=$!
    seen=
    for _ in $(seq 400); do
        tr '\0' '\n' < "/proc/$pid/environ" > "$BATS_TEST_TMPDIR/environ" 2> /dev/null || break
        tr '\0' '\n' < "/proc/$pid/cmdline" >> "$BATS_TEST_TMPDIR/cmdline" 2> /dev/null || break
        # the block is wiped as soon as it was read
        if grep -q '^HF_TOKEN=' "$BATS_TEST_TMPDIR/environ" && ! grep -q s3cret "$BATS_TEST_TMPDIR/environ"; then seen=wiped; fi
    done
    status=0
    wait "$pid" || status=$?
    cat "$BATS_TEST_TMPDIR/said"
    [ "$status" -eq 0 ]
    [ "$seen" = wiped ]
    ! grep -rq s3cret "$OUT" "$BATS_TEST_TMPDIR/said" "$BATS_TEST_TMPDIR/cmdline" || false
}
