#!/usr/bin/env bats
# How process 1 asks its server: http, tcp, exec, notify; start-up with growing pauses; a hang, a drip, an endless header; stuck
# is not slow. Real sockets, times scaled down by configuration.

load story.bash

setup() { story_begin; PORT=$(free_port); }
teardown() { story_end; }

URL() { echo "http://127.0.0.1:$PORT/health"; }

@test "start-up is asked with growing pauses: few questions, and ready is still seen at once" {
    hold --ready "$(URL)" --health-backoff 10ms --health-backoff-cap 10s --health-period 10s -- "$FAKE" --listen "$PORT" --ready-after 1200
    eventually is_code /readyz 200
    ask /status
    asked=$(sed -n 's/.*"passed":\([0-9]*\),"failed":\([0-9]*\).*/\2/p' <<< "$body")
    echo "failed questions: $asked"
    python3 - "$TERM_LOG" "$body" <<'PY'
import json, sys
s = json.loads(sys.argv[2])
m = s["members"][0]
assert 1200 <= m["ready_after_ms"] <= 3600, m
PY
}

@test "refused for a while, then up: never restarted" {
    hold --restart on-failure --ready "$(URL)" --health-backoff 50ms --health-backoff-cap 100ms -- "$FAKE" --listen "$PORT" --refuse-until 1000
    eventually is_code /readyz 200
    ask /status
    [[ "$body" == *'"restarts":0'* ]]
}

@test "tcp: ready when it accepts" {
    hold --ready "tcp://127.0.0.1:$PORT" --health-backoff 20ms --health-backoff-cap 20ms -- "$FAKE" --listen "$PORT" --refuse-until 400
    eventually test -S "$STATE/holdfast.sock"
    is_code /readyz 503
    eventually is_code /readyz 200
}

@test "exec: ready when the command says so, and one that hangs is killed at its timeout" {
    cat > "$DIR/check" <<'SH'
#!/bin/sh
echo "$$" >> "$(dirname "$0")/asked"
[ -e "$(dirname "$0")/yes" ] || exec sleep 600
SH
    chmod +x "$DIR/check"
    hold --ready "exec:$DIR/check" --health-timeout 200ms --health-backoff 20ms --health-backoff-cap 20ms -- "$FAKE"
    many() { [ "$(wc -l < "$DIR/asked" 2>/dev/null || echo 0)" -ge 3 ]; }
    eventually many
    is_code /readyz 503
    gone() { ! kill -0 "$(head -1 "$DIR/asked")" 2>/dev/null; }
    eventually gone
    touch "$DIR/yes"
    eventually is_code /readyz 200
}

@test "notify: READY=1 is believed from the server, not from a stranger" {
    hold --ready notify -- "$FAKE" --notify --ready-after 6000 --notify-status "warming the cache"
    eventually test -S "$STATE/holdfast.sock"
    eventually phase_is loading
    ask /status
    socket=$(tr '\0' '\n' < "/proc/$(member_pid)/environ" | sed -n 's/^NOTIFY_SOCKET=//p')
    [ -n "$socket" ]
    python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b"READY=1", sys.argv[1])' "$socket" || true
    is_code /readyz 503
    told() { ask /status; [[ "$body" == *'"said":"warming the cache"'* ]]; }
    eventually told
    eventually is_code /readyz 200
}

@test "a hang is killed at the liveness threshold, said so, and the next life serves" {
    hold --restart on-failure --restart-delay 1ms --ready "$(URL)" --live "$(URL)" --health-period 50ms --health-timeout 100ms --live-failures 3 --health-backoff 20ms \
        -- "$FAKE" --listen "$PORT" --hang-after 800 --ignore-term --say-err "no cause here" --counter "$DIR/starts"
    eventually is_code /readyz 200
    again() { [ "$(grep -c ^start "$DIR/starts")" -ge 2 ]; }
    eventually again
    event diagnosis '"cause":"unhealthy"'
    event kill
    grep '"ev":"kill"' "$ERR" | grep -q 'threads in state'
    python3 - "$STATE/kill-server.json" "$STATE/death-server.json" <<'PY'
import json, sys
kill, death = (json.load(open(f)) for f in sys.argv[1:])
assert kill["why"] == "unhealthy" and kill["facts"]["threads"][0]["state"] in "SRD", kill
assert "no cause here" in kill["last_lines"], kill
assert "stopped answering" in death["why"] and "process" not in death["facts"], death
PY
}

@test "an endless header and a dripping peer fail at the timeout; memory stays flat" {
    for how in --endless --drip; do
        story_end; story_begin; PORT=$(free_port)
        hold --ready "$(URL)" --health-timeout 150ms --health-backoff 10ms --health-backoff-cap 10ms -- "$FAKE" --listen "$PORT" "$how"
        eventually test -S "$STATE/holdfast.sock"
        before=$(awk '/VmRSS/ { print $2 }' "/proc/$HOLD_PID/status")
        asked() { ask /status; f=$(sed -n 's/.*"failed":\([0-9]*\).*/\1/p' <<< "$body"); [ "${f:-0}" -ge 8 ]; }
        eventually asked
        is_code /readyz 503
        [ "$(awk '/VmRSS/ { print $2 }' "/proc/$HOLD_PID/status")" -lt $((before + 600)) ]
        kill -TERM "$HOLD_PID"
        hold_ends
    done
}

@test "stuck is not slow: milestones keep a start alive, silence ends it and says for what it waited" {
    says=()
    for i in 10 20 30 40 50 60 70 80 90 100; do says+=(--say "Loading checkpoint shards: $i%|##"); done
    hold --no-progress 700ms --ready "$(URL)" --health-backoff 20ms -- "$FAKE" --listen "$PORT" --never-ready "${says[@]}" --say-every 250
    begun=$(date +%s%N)
    hold_ends
    took=$((($(date +%s%N) - begun) / 1000000))
    [ "$status" -eq 111 ]
    echo "lived $took ms"
    [ "$took" -ge 2700 ] # ten milestones at 250 ms, then the silence
    head -1 "$TERM_LOG" | grep -q '"cause":"no_progress"'
    event kill
}

@test "progress that is told keeps a start alive up to the backstop" {
    hold --no-progress 600ms --start-backstop 2s --ready notify -- "$FAKE" --never-ready --progress 100
    hold_ends
    [ "$status" -eq 112 ]
    head -1 "$TERM_LOG" | grep -q '"cause":"start_timeout"'
}

@test "a check that names a host, https or nothing sensible is refused before anything starts" {
    for check in http://example.com:80/ https://127.0.0.1:1/ ftp://x 127.0.0.1:80 "http://127.0.0.1/"; do
        run "$H" --state-dir "$STATE" --ready "$check" -- touch "$DIR/started"
        [ "$status" -eq 65 ]
        [[ "$output" == *"$check"* ]]
    done
    [ ! -e "$DIR/started" ]
}
