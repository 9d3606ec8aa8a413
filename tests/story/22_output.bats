#!/usr/bin/env bats
# The server's output goes through process 1 byte for byte, each stream on its own; when nobody reads, a mebibyte is held, then
# whole lines are dropped, counted and marked; on a terminal the server has the terminal itself.

load story.bash

setup() { story_begin; }
teardown() { story_end; }

@test "bytes come out as they went in, on their own streams" {
    head -c 2000000 /dev/urandom > "$DIR/random"
    "$H" --state-dir "$STATE" --log-level error -- sh -c 'cat "$1"; printf "to err\\0no end" >&2' sh "$DIR/random" > "$OUT" 2> "$ERR"
    cmp "$DIR/random" "$OUT"
    printf 'to err\0no end' | cmp - "$ERR"
}

@test "through pipes and into files alike, appended where it was appending" {
    echo before > "$OUT"
    "$H" --state-dir "$STATE" -- echo hello >> "$OUT"
    printf 'before\nhello\n' | cmp - "$OUT"
    [ "$("$H" --state-dir "$STATE" -- seq 1 50000 | sha256sum)" = "$(seq 1 50000 | sha256sum)" ]
}

@test "nobody reads: the server goes on, whole lines are dropped, the gap is marked with its size" {
    mkfifo "$DIR/pipe"
    python3 - "$DIR/pipe" "$DIR/go" "$DIR/got" 3>&- 4>&- <<'PY' &
import os, sys, time
pipe, go, got = sys.argv[1:]
fd = os.open(pipe, os.O_RDONLY)
while not os.path.exists(go): time.sleep(0.02)
with open(got, "wb", buffering=0) as out:
    while True:
        part = os.read(fd, 65536)
        if not part: break
        out.write(part)
PY
    reader=$!
    HOLD_STORY="$DIR" "$H" --state-dir "$STATE" --log-level error -- "$FAKE" --flood 20000000 --say after --say-every 300 > "$DIR/pipe" 2> "$ERR" 3>&- 4>&- &
    HOLD_PID=$!
    eventually test -S "$STATE/holdfast.sock"
    lost() { ask /metrics; [[ "$body" =~ output_lost_lines_total\{child=\"server\"\}\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -gt 100000 ]; }
    eventually lost
    [ "$(awk '/VmRSS/ { print $2 }' "/proc/$HOLD_PID/status")" -lt 8000 ]
    touch "$DIR/go"
    eventually grep -q '^after' "$DIR/got"
    kill -TERM "$HOLD_PID"
    hold_ends
    wait "$reader"
    python3 - "$DIR/got" <<'PY'
import re, sys
lines = open(sys.argv[1], "rb").read().decode().split("\n")
n, lost = 0, 0
for line in lines:
    if line.startswith("flood "):
        assert len(line) == 99, line
        assert int(line.split()[1]) == n + lost, (line, n, lost)
        n += 1
    m = re.match(r"\[holdfast: (\d+) lines, (\d+) bytes of output were lost here\]", line)
    if m:
        other = (int(m[1]) * 100 - int(m[2])) / 94 # lines "after", 6 bytes each
        assert other >= 0 and other == int(other), line
        lost += int(m[1]) - int(other)
assert lost > 100000 and n >= 10000, (n, lost)
assert n + lost == 200000, (n, lost)
PY
}

@test "--output block: the server waits, nothing is lost" {
    mkfifo "$DIR/pipe"
    HOLD_STORY="$DIR" "$H" --state-dir "$STATE" --log-level error --output block -- "$FAKE" --flood 5000000 --exit-after 0 > "$DIR/pipe" 2> "$ERR" 3>&- 4>&- &
    HOLD_PID=$!
    exec 9< "$DIR/pipe"
    eventually test -S "$STATE/holdfast.sock"
    waits() { [ "$(cat "/proc/$(member_pid)/wchan" 2>/dev/null)" = pipe_write ] || [ "$(awk '{ print $3 }' "/proc/$(member_pid)/stat")" = S ]; }
    eventually waits
    cat <&9 > "$OUT"
    exec 9<&-
    hold_ends
    [ "$status" -eq 0 ]
    [ "$(grep -c '^flood ' "$OUT")" -eq 50000 ]
    ! grep -q lost "$OUT"
}

@test "the last words of a dead server wait for a slow reader" {
    "$H" --state-dir "$STATE" --log-level error -- seq 1 120000 | { read -rt 0.7 <> <(:) || true; cat > "$OUT"; }
    [ "$(tail -1 "$OUT")" = 120000 ]
    [ "$(wc -l < "$OUT")" -eq 120000 ]
}

@test "a tee that came with us through exec is no part of the tree: it outlives restarts and gets the last line" {
    # shellcheck disable=SC2016 # expanded by the inner shell
    bash -c 'exec > >(tee "$1" > /dev/null); exec "$2" --state-dir "$3" --log-level error --restart on-failure --restart-delay 1ms --restart-budget 2 -- "$4" --say "a life" --exit-after 30 --code 3' \
        bash "$OUT" "$H" "$STATE" "$FAKE" || status=$?
    [ "$status" -eq 3 ]
    complete() { [ "$(grep -c 'a life' "$OUT")" -eq 3 ]; }
    eventually complete
}

@test "a reader that goes away does not end the server" {
    "$H" --state-dir "$STATE" --log-level error -- sh -c 'seq 1 200000; echo done > "$1"' sh "$DIR/done" | head -1
    [ "$(cat "$DIR/done")" = done ]
}

@test "a reader that is slower than a server that has ended gets all of it, unless a stop is asked for" {
    [ "$("$H" --state-dir "$STATE" -- seq 1 100000 | { read -rt 2.5 <> <(:) || true; sha256sum; })" = "$(seq 1 100000 | sha256sum)" ]
    mkfifo "$DIR/pipe"
    exec 5<> "$DIR/pipe"
    HOLD_STORY="$DIR" "$H" --state-dir "$STATE" --log-level info -- seq 1 100000 > "$DIR/pipe" 2> "$ERR" 3>&- 4>&- 5>&- &
    HOLD_PID=$!
    eventually event exit
    kill -0 "$HOLD_PID"
    kill "$HOLD_PID"
    hold_ends 5
    exec 5>&-
    [ "$status" -eq 0 ]
}

@test "the server may open /dev/stdout again" {
    HOLD_STORY="$DIR" "$H" --state-dir "$STATE" -- "$FAKE" --reopen --exit-after 50 > "$OUT"
    grep -q '^reopened' "$OUT"
}

@test "and so may one that root started and that became another user by itself" {
    [ "$(id -u)" -eq 0 ] || skip "only root can become somebody else"
    "$H" --state-dir "$STATE" -- setpriv --reuid 1234567 --regid 1234567 --clear-groups \
        sh -c 'echo first > /dev/stdout; echo second > /proc/self/fd/1; echo third > /dev/stderr' > "$OUT" 2> "$ERR"
    printf 'first\nsecond\n' | cmp - "$OUT"
    echo third | cmp - "$ERR"
}

@test "on a terminal the server has the terminal itself" {
    command -v script > /dev/null || skip "script is not installed"
    script -qec "$H --state-dir $STATE -- sh -c 'test -t 1 && test -t 0 && echo it is a terminal'" /dev/null > "$OUT" < /dev/null
    grep -q 'it is a terminal' "$OUT"
    "$H" --state-dir "$STATE" -- sh -c 'test -t 1 || echo it is a pipe' > "$OUT"
    grep -q 'it is a pipe' "$OUT"
}
