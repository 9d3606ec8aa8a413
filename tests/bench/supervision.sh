#!/usr/bin/env bash
# supervision.sh: an init under load, beside packaged inits in the same run: orphans at once and one by one, TERM forwarding,
# crash to the next start, CPU a restart, idle cost, probe answers under busy loops. Medians of interleaved rounds.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$PWD/build/release
hold=$build/bin/holdfast bench=$build/tests/init-bench
state=$(mktemp -d)
export HOLDFAST_STATE_DIR=$state HOLDFAST_TERMINATION_LOG=$state/message HOLDFAST_LOG_LEVEL=error
trap 'rm -rf "$state"' EXIT
rounds=${ROUNDS:-5} orphans=${ORPHANS:-20000}
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%s (%s to %s)", v[int((NR + 1) / 2)], v[1], v[NR] }'; }
as_one() { unshare --pid --fork --mount-proc "$@" 2> /dev/null; }

if as_one true; then
    for load in at-once one-by-one; do
        n=$orphans
        for _ in $(seq "$rounds"); do
            as_one "$hold" -- "$bench" $load "$n" >> "$state/$load.holdfast"
            if command -v catatonit > /dev/null; then as_one catatonit -- "$bench" $load "$n" >> "$state/$load.catatonit"; fi
            as_one tini-static -- "$bench" $load "$n" >> "$state/$load.tini"
        done
        for init in holdfast catatonit tini; do
            [ ! -s "$state/$load.$init" ] || echo "$n orphans $load, $init: $(median < "$state/$load.$init") $([ $load = at-once ] && echo 'ms' || echo 'zombies at most')"
        done
    done
else
    echo "orphans: no PID namespace can be made here"
fi

echo "TERM to the child that has it, 300 starts each:"
"$bench" term 300 tini-static=tini-static -s -- : "holdfast=$hold" --

"$hold" --restart always --restart-delay 0s --restart-budget 1001/1h -- "$bench" stamp "$state/stamps" > /dev/null 2>&1 &
pid=$!
n=0
while [ "$(grep -c ^begin "$state/stamps" 2> /dev/null || echo 0)" -lt 1000 ] && [ $((n += 1)) -lt 600 ]; do
    cpu=$(awk '{ print $14 + $15 }' "/proc/$pid/stat" 2> /dev/null) || break
    sleep 0.1
done
cpu=$(awk '{ print $14 + $15 }' "/proc/$pid/stat" 2> /dev/null || echo "$cpu")
kill "$pid" 2> /dev/null
wait "$pid"
starts=$(grep -c ^begin "$state/stamps")
echo "crash to the next start, delay 0: $(awk '/^end/ { e = $2 } /^begin/ && e { print ($2 - e) / 1000 }' "$state/stamps" | median) us over $starts starts"
echo "CPU a restart: $(awk -v t="$cpu" -v n="$starts" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f ms", t * 1000 / hz / n }')"

"$hold" -- sleep 60 > /dev/null 2>&1 &
pid=$!
sleep 1
before=$(awk '/voluntary_ctxt/ { n += $2 } END { print n }' "/proc/$pid/status")
sleep 10
after=$(awk '/voluntary_ctxt/ { n += $2 } END { print n }' "/proc/$pid/status")
echo "idle: $((after - before)) wake-ups in 10 s, private dirty $(awk '/^Private_Dirty/ { print $2 }' "/proc/$pid/smaps_rollup") KiB, anonymous $(awk '/^Anonymous/ { print $2 }' "/proc/$pid/smaps_rollup") KiB"
kill "$pid"
wait "$pid" 2> /dev/null

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$hold" --status-listen "127.0.0.1:$port" -- sleep 60 > /dev/null 2>&1 &
pid=$!
busy=()
for _ in $(seq $(($(nproc) * 2))); do
    (while :; do :; done) &
    busy+=($!)
done
sleep 1
echo "probe answers with two busy loops a core: $("$bench" ask "$port" 500)"
kill "${busy[@]}" "$pid"
wait 2> /dev/null
