#!/usr/bin/env bats
# Memory while files are brought: a cgroup far smaller than the file never sees an OOM kill and is not even filled; where there is room
# what was fetched stays in memory for the server. On the real binary, nginx on loopback, a real memory cgroup (v1 or v2).
#   HOLD_BIG_MB: size of the file (640)

load ../helpers/origin

setup_file() {
    export TOP=${BATS_TEST_DIRNAME}/../..
    export JOB=${HOLD_JOB:-$TOP/build/release/libexec/holdfast-job} BIG_MB=${HOLD_BIG_MB:-640} WEB=$BATS_FILE_TMPDIR/web
    command -v nginx > /dev/null || skip "nginx is not installed"
    mkdir -p "$WEB"
    truncate -s "${BIG_MB}M" "$WEB/file"
    printf 'the beginning' | dd of="$WEB/file" conv=notrunc status=none
    SHA=$(openssl dgst -sha256 "$WEB/file" | awk '{print $NF}')
    WEB_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat > "$BATS_FILE_TMPDIR/nginx.conf" << CONF
daemon off; master_process off; pid $BATS_FILE_TMPDIR/pid; error_log $BATS_FILE_TMPDIR/error.log;
events { worker_connections 64; }
http { access_log off; sendfile on; client_body_temp_path $BATS_FILE_TMPDIR/t1; proxy_temp_path $BATS_FILE_TMPDIR/t2; fastcgi_temp_path $BATS_FILE_TMPDIR/t3;
  uwsgi_temp_path $BATS_FILE_TMPDIR/t4; scgi_temp_path $BATS_FILE_TMPDIR/t5; server { listen 127.0.0.1:$WEB_PORT; root $WEB; } }
CONF
    nginx -c "$BATS_FILE_TMPDIR/nginx.conf" 2> /dev/null 3>&- &
    export SHA WEB_PORT NGINX=$!
    for _ in $(seq 200); do curl -sf -o /dev/null -r 0-0 "http://127.0.0.1:$WEB_PORT/file" && break; sleep .05; done
}
teardown_file() { [ -z "${NGINX:-}" ] || kill "$NGINX"; }
setup() {
    command -v nginx > /dev/null || skip "nginx is not installed"
    [ "$(id -u)" -eq 0 ] || skip "making a cgroup needs root"
    if [ -w /sys/fs/cgroup/memory ]; then GROUP=/sys/fs/cgroup/memory/hold-memory-$$ LIMIT=memory.limit_in_bytes PEAK=memory.max_usage_in_bytes
    elif grep -qw memory /sys/fs/cgroup/cgroup.subtree_control 2> /dev/null; then GROUP=/sys/fs/cgroup/hold-memory-$$ LIMIT=memory.max PEAK=memory.peak
    else skip "no memory cgroup can be made here"; fi
    mkdir "$GROUP" 2> /dev/null || skip "no memory cgroup can be made here"
    OUT=$BATS_TEST_TMPDIR/out
    mkdir "$OUT"
}
teardown() {
    rmdir "${GROUP:-/none}" 2> /dev/null || :
    rm -rf "${OUT:-/none}"
}

# within MB [ARGUMENTS]: the fetch inside a cgroup of so many MB.
within() {
    echo $(($1 * 1048576)) > "$GROUP/$LIMIT"
    shift
    run sh -c 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"' sh "$GROUP" "$JOB" fetch --url "http://127.0.0.1:$WEB_PORT/file" --sha256 "$SHA" --size "${BIG_MB}MiB" --out "$OUT/file" "$@"
    echo "$output"
    peak=$(cat "$GROUP/$PEAK" 2> /dev/null || echo 0)
    [ "$status" -eq 0 ]
    cached=$(cached_pct "$OUT/file")
    echo "peak $peak, $cached % cached"
    cmp "$OUT/file" "$WEB/file"
    ! grep -qE '^oom_kill [1-9]' "$GROUP/memory.oom_control" "$GROUP/memory.events" 2> /dev/null || false
}
cached_pct() { # of the file's pages
    python3 -c '
import ctypes, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
n = os.fstat(fd).st_size
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
at = libc.mmap(None, ctypes.c_size_t(n), 1, 1, fd, ctypes.c_long(0))
pages = (ctypes.c_ubyte * ((n + 4095) // 4096))()
libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(n), pages)
print(sum(p & 1 for p in bytes(pages)) * 100 // len(pages))' "$1"
}

@test "a limit of 256 MB and a file of several times that: no kill, and the limit is not reached" {
    within 256
    [[ "$output" == *'"page_cache":"dropped"'* ]]
    [ "$peak" -lt 256000000 ]
    [ "$cached" -le 2 ]
}

@test "even with all connections at once, whose pieces run ahead of the digest" {
    within 256 --fetch-window 0
    [[ "$output" == *'"page_cache":"dropped"'* ]]
}

@test "one stream needs no more than a few windows" {
    within 64 --fetch-split 0
    [ "$peak" -eq 0 ] || [ "$peak" -lt 60000000 ]
}

@test "where there is room the file stays in memory for the server" {
    within $((BIG_MB * 2))
    [[ "$output" == *'"page_cache":"kept"'* ]]
    [ "$cached" -ge 90 ]
}

@test "told to drop, nothing stays; told to keep, a small limit kills nobody" {
    echo $((BIG_MB * 2097152)) > "$GROUP/$LIMIT"
    "$JOB" fetch --url "http://127.0.0.1:$WEB_PORT/file" --sha256 "$SHA" --size "${BIG_MB}MiB" --out "$OUT/file" --fetch-page-cache drop
    [ "$(cached_pct "$OUT/file")" -le 2 ]
    rm "$OUT/file"
    within 256 --fetch-page-cache keep
}
