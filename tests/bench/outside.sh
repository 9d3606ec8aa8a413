#!/usr/bin/env bash
# outside.sh: what seeing and telling cost process 1, paired in rounds on one machine: a server's output through holdfast
# beside one through a second cat, `holdfast probe` beside curl on the same socket, and what an idle process 1 holds.
#   HOLD_BENCH_MB (default 256), HOLD_BENCH_ROUNDS (default 7)
set -eu
cd "$(dirname "$0")/../.."
hold=${HOLD_BIN:-$PWD/build/release/bin/holdfast}
fake=${HOLD_FAKE:-$PWD/build/release/tests/fake-server}
mb=${HOLD_BENCH_MB:-256} rounds=${HOLD_BENCH_ROUNDS:-7}
work=$(mktemp -d "${TMPDIR:-/tmp}/hold-bench-XXXXXX")
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
seq -f 'INFO 05-12 10:01:22 [core.py:268] step %012.0f of a server that says a line of ordinary length' 1 $((mb * 10800)) | head -c $((mb * 1048576)) > "$work/lines" || true

ms() { # NAME COMMAND...: wall milliseconds appended to its column
    local name=$1 begun
    shift
    begun=$(date +%s%N)
    "$@" > /dev/null
    echo $((($(date +%s%N) - begun) / 1000)) >> "$work/$name"
}
through_cat() { cat "$work/lines" | cat; } # the second cat is the peer: one more copy
through_us() { "$hold" --state-dir "$work/a" --log-level error -- cat "$work/lines" | cat; }
median() { sort -n "$work/$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

for _ in $(seq "$rounds"); do
    ms cat through_cat
    ms us through_us
done
"$hold" --state-dir "$work/b" --log-level error --ready notify -- "$fake" --notify &
pid=$!
for _ in $(seq 200); do "$hold" probe ready --state-dir "$work/b" > /dev/null 2>&1 && break; read -rt .05 <> <(:) || true; done
for _ in $(seq $((rounds * 5))); do
    ms probe "$hold" probe ready --state-dir "$work/b"
    ms curl curl -s --unix-socket "$work/b/holdfast.sock" http://x/readyz
done
before=$(awk '/ctxt/ { n += $2 } END { print n }' "/proc/$pid/status")
read -rt 5 <> <(:) || true
after=$(awk '/ctxt/ { n += $2 } END { print n }' "/proc/$pid/status")
echo "output: $mb MiB through cat $(median cat) us, through holdfast $(median us) us, ratio $(awk "BEGIN { printf \"%.2f\", $(median us) / $(median cat) }")"
echo "probe: holdfast probe $(median probe) us, curl $(median curl) us (start of the program included)"
echo "idle: $((after - before)) context switches in 5 s, own pages $(awk '/^Anonymous/ { n += $2 } END { print n }' "/proc/$pid/smaps") KiB, $(awk '/VmRSS/ { print $2 }' "/proc/$pid/status") KiB resident"
