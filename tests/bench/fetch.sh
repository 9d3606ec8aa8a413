#!/usr/bin/env bash
# fetch.sh: one file from nginx on loopback, paired in rounds: holdfast-job fetch (written, proven, durable) beside curl
# then sync (proves nothing), curl, openssl dgst, then sync, and where it is installed aria2c -x16 -s16, then sync. Prints each
# median and the ratios.
#   HOLD_BENCH_MB (default 1024), HOLD_BENCH_ROUNDS (default 5), HOLD_BENCH_LIMIT ("20m": bytes a second for each connection; none)
set -eu
cd "$(dirname "$0")/../.."
job=${HOLD_JOB:-$PWD/build/release/libexec/holdfast-job}
mb=${HOLD_BENCH_MB:-1024} rounds=${HOLD_BENCH_ROUNDS:-5}
work=$(mktemp -d "${TMPDIR:-/tmp}/hold-bench-XXXXXX")
nginx_pid=
trap '[ -z "$nginx_pid" ] || kill "$nginx_pid"; rm -rf "$work"' EXIT
mkdir "$work/root" "$work/out"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/pid; error_log $work/error.log;
events { worker_connections 64; }
http { access_log off; sendfile on; client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { ${HOLD_BENCH_LIMIT:+limit_rate $HOLD_BENCH_LIMIT;} listen 127.0.0.1:$port; root $work/root; } }
CONF
dd if=/dev/urandom of="$work/root/file" bs=1M count="$mb" status=none
sha=$(openssl dgst -sha256 "$work/root/file" | awk '{print $NF}')
nginx -c "$work/nginx.conf" 2> "$work/nginx.err" &
nginx_pid=$!
for _ in $(seq 100); do curl -sf -o /dev/null -r 0-0 "http://127.0.0.1:$port/file" && break; sleep .05; done

ours() { "$job" fetch --url "http://127.0.0.1:$port/file" --sha256 "$sha" --size $((mb * 1048576)) --out "$work/out/f" 2> "$work/err"; }
plain() { curl -sf -o "$work/out/f" "http://127.0.0.1:$port/file" && sync -d "$work/out/f"; }
proven() { curl -sf -o "$work/out/f" "http://127.0.0.1:$port/file" && openssl dgst -sha256 "$work/out/f" | grep -q "$sha" && sync -d "$work/out/f"; }
aria() { aria2c -q -x16 -s16 --min-split-size=1M --file-allocation=none --allow-overwrite=true -d "$work/out" -o f "http://127.0.0.1:$port/file" && sync -d "$work/out/f"; }
sides='ours plain proven'
command -v aria2c > /dev/null && sides="$sides aria"
timed() { # NAME: seconds, CPU seconds and peak memory of one run, appended to its column
    rm -f "$work/out/f"
    sync
    python3 - "$work/$1" bash -c "$(declare -f "$1"); job='$job' port=$port sha=$sha mb=$mb work='$work'; $1" <<'PY'
import resource, subprocess, sys, time
begun = time.monotonic()
status = subprocess.call(sys.argv[2:])
took, used = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
if status:
    sys.exit(status)
with open(sys.argv[1], 'a') as f:
    print('%.3f %.3f %d' % (took, used.ru_utime + used.ru_stime, used.ru_maxrss), file=f)
PY
}

curl -sf -o /dev/null "http://127.0.0.1:$port/file" # the server's file is cached
for _ in $(seq "$rounds"); do
    for side in $sides; do timed "$side"; done
done
python3 - "$work" "$mb" <<'PY'
import os, statistics, sys
work, mb = sys.argv[1], int(sys.argv[2])
def median(name, column):
    return statistics.median(float(line.split()[column]) for line in open(work + '/' + name))
names = {'ours': 'holdfast fetch (proven, durable)', 'plain': 'curl, sync', 'proven': 'curl, openssl dgst, sync', 'aria': 'aria2c -x16 -s16, sync'}
names = {name: text for name, text in names.items() if os.path.exists(work + '/' + name)}
for name, text in names.items():
    s = median(name, 0)
    print('%-34s %7.2f s %8.2f GB/s %6.2f CPU s/GB %5.0f MB' % (text, s, mb * 1.048576e-3 / s, median(name, 1) / (mb * 1.048576e-3), median(name, 2) / 1024))
print('ratio to curl, sync                %7.2f' % (median('ours', 0) / median('plain', 0)))
print('ratio to curl, openssl dgst, sync  %7.2f' % (median('ours', 0) / median('proven', 0)))
if 'aria' in names:
    print('ratio to aria2c -x16 -s16, sync    %7.2f' % (median('ours', 0) / median('aria', 0)))
PY
