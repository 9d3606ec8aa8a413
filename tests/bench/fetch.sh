#!/usr/bin/env bash
# fetch.sh: one file from nginx on loopback, paired in rounds, every side ends with the data durable: holdfast-job fetch (written,
# proven) beside curl (proves nothing), curl and openssl dgst, and where they are installed aria2c -x16 -s16 and huggingface_hub's own
# client (proves nothing; HOLD_PYTHON names its python). Then what a restart on the proven file costs. Prints medians and ratios.
#   HOLD_BENCH_MB (4096), HOLD_BENCH_ROUNDS (3), HOLD_BENCH_LIMIT ("200m": bytes a second for each connection; none),
#   HOLD_BENCH_FETCH (more arguments of the fetch)
set -eu
cd "$(dirname "$0")/../.."
job=${HOLD_JOB:-$PWD/build/release/libexec/holdfast-job}
mb=${HOLD_BENCH_MB:-4096} rounds=${HOLD_BENCH_ROUNDS:-3} python=${HOLD_PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/hold-bench-XXXXXX")
nginx_pid=
trap '[ -z "$nginx_pid" ] || kill "$nginx_pid"; rm -rf "$work"' EXIT
mkdir -p "$work/root/api/models/org/repo/revision" "$work/root/org/repo/resolve" "$work/out" "$work/state"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
commit=0123456789012345678901234567890123456789
cat > "$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/pid; error_log $work/error.log;
events { worker_connections 64; }
http { access_log off; sendfile on; client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { ${HOLD_BENCH_LIMIT:+limit_rate $HOLD_BENCH_LIMIT;} listen 127.0.0.1:$port; root $work/root;
    location /org/repo/resolve/ { add_header X-Repo-Commit $commit; rewrite ^ /file break; } } }
CONF
dd if=/dev/urandom of="$work/root/file" bs=1M count="$mb" status=none
sha=$(openssl dgst -sha256 "$work/root/file" | awk '{print $NF}')
nginx -c "$work/nginx.conf" 2> "$work/nginx.err" &
nginx_pid=$!
for _ in $(seq 100); do curl -sf -o /dev/null -r 0-0 "http://127.0.0.1:$port/file" && break; sleep .05; done

ours() { "$job" fetch --url "http://127.0.0.1:$port/file" --sha256 "$sha" --size $((mb * 1048576)) --out "$work/out/f" --state "$work/state" ${HOLD_BENCH_FETCH:-} 2> "$work/err"; }
plain() { curl -sf -o "$work/out/f" "http://127.0.0.1:$port/file" && sync -d "$work/out/f"; }
proven() { curl -sf -o "$work/out/f" "http://127.0.0.1:$port/file" && openssl dgst -sha256 "$work/out/f" | grep -q "$sha" && sync -d "$work/out/f"; }
aria() { aria2c -q -x16 -s16 --min-split-size=1M --file-allocation=none --allow-overwrite=true -d "$work/out" -o f "http://127.0.0.1:$port/file" && sync -d "$work/out/f"; }
hub() { HF_ENDPOINT="http://127.0.0.1:$port" HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_PROGRESS_BARS=1 HF_HOME="$work/hf" "$python" -c "
from huggingface_hub import hf_hub_download
hf_hub_download('org/repo', 'f', local_dir='$work/out', force_download=True)" 2> "$work/hub.err" && sync -d "$work/out/f"; }
again() { ours; } # the file is there and has its marker
sides='ours plain proven'
command -v aria2c > /dev/null && sides="$sides aria"
"$python" -c 'import huggingface_hub' 2> /dev/null && sides="$sides hub"
timed() { # NAME: seconds, CPU seconds and peak memory of one run, appended to its column
    [ "$1" = again ] || rm -rf "$work/out/"* "$work/out/.cache"
    sync
    python3 - "$work/$1" bash -c "$(declare -f "$1" ours); job='$job' port=$port sha=$sha mb=$mb work='$work' python='$python'; $1" <<'PY'
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
echo "load before: $(cut -d' ' -f1 /proc/loadavg)"
for _ in $(seq "$rounds"); do
    for side in $sides; do
        timed "$side" || { echo "$side failed and is left out"; sides=${sides/ $side/}; }
        [ "$side" != ours ] || timed again
    done
done
echo "load after: $(cut -d' ' -f1 /proc/loadavg)"
python3 - "$work" "$mb" <<'PY'
import os, statistics, sys
work, mb = sys.argv[1], int(sys.argv[2])
def column(name, n):
    return [float(line.split()[n]) for line in open(work + '/' + name)]
def median(name, n):
    return statistics.median(column(name, n))
names = {'ours': 'holdfast fetch (proven, durable)', 'plain': 'curl, sync', 'proven': 'curl, openssl dgst, sync', 'aria': 'aria2c -x16 -s16, sync', 'hub': "huggingface_hub's client, sync"}
names = {name: text for name, text in names.items() if os.path.exists(work + '/' + name)}
for name, text in names.items():
    s = median(name, 0)
    print('%-34s %7.2f s %8.2f GB/s %6.2f CPU s/GB %5.0f MB' % (text, s, mb * 1.048576e-3 / s, median(name, 1) / (mb * 1.048576e-3), max(column(name, 2)) / 1024))
for name, text in names.items():
    if name != 'ours':
        pairs = [a / b for a, b in zip(column('ours', 0), column(name, 0))]
        print('ratio to %-34s %5.2f (rounds %s)' % (text, statistics.median(pairs), ' '.join('%.2f' % p for p in pairs)))
print('started again on the proven file   %7.0f ms' % (1000 * median('again', 0)))
PY
