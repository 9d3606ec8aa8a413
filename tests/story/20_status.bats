#!/usr/bin/env bats
# What process 1 tells while it runs: the three probes at each phase, status, metrics and page, against garbage, slow and many
# clients. On the real binary with the fake server.

load story.bash

setup() { story_begin; PORT=$(free_port); HEALTH=$(free_port); }
teardown() { story_end; }

serve() { hold --status-listen "127.0.0.1:$PORT" --ready "http://127.0.0.1:$HEALTH/health" --health-backoff 20ms --health-period 50ms "$@"; }
up() { eventually test -S "$STATE/holdfast.sock"; }
web() { curl -s -m 5 -o "$DIR/body" -w '%{http_code}' "http://127.0.0.1:$PORT$1"; }

@test "startup: live at once, ready and started only when the server answers, on the port and on the socket" {
    serve -- "$FAKE" --listen "$HEALTH" --ready-after 700
    up
    [ "$(web /livez)" = 200 ]
    [ "$(web /readyz)" = 503 ]
    [ "$(web /startupz)" = 503 ]
    ask /readyz && [ "$code" = 503 ] && [[ "$body" == "not ready: phase loading"* ]]
    eventually is_code /readyz 200
    [ "$(web /readyz)" = 200 ]
    [ "$(web /startupz)" = 200 ]
}

@test "unready: a server that turns sick is out of traffic, still started, still live" {
    serve --health-failures 2 -- "$FAKE" --listen "$HEALTH" --unhealthy-after 800
    eventually is_code /readyz 200
    eventually is_code /readyz 503
    [ "$(web /startupz)" = 200 ]
    [ "$(web /livez)" = 200 ]
    phase_is unready
}

@test "stop: readiness is 503 before the server gets TERM" {
    serve --prestop-delay 600ms -- "$FAKE" --listen "$HEALTH"
    eventually is_code /readyz 200
    kill -TERM "$HOLD_PID"
    eventually is_code /readyz 503
    ! said stopping
    hold_ends
    [ "$status" -eq 0 ]
    said stopping
    [ ! -e "$STATE/holdfast.sock" ]
}

@test "back-off: the phase, the wait and the last end are told" {
    serve --restart on-failure --restart-delay 30s -- "$FAKE" --exit-after 50 --code 3 --say-err "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB."
    up
    eventually phase_is backoff
    [[ "$body" == *'"last_exit":{"code":3,'*'"cause":"gpu_oom","action":"retry"'* ]]
    [[ "$body" == *'"retry_in_ms":'* ]]
    [ "$(web /livez)" = 200 ]
    [ "$(web /readyz)" = 503 ]
    run "$H" status --state-dir "$STATE"
    [[ "$output" == *"backoff"*"gpu_oom"* ]]
    run "$H" probe ready --state-dir "$STATE"
    [ "$status" -eq 1 ]
    kill -TERM "$HOLD_PID"
    hold_ends
}

@test "garbage, half requests and huge ones get their refusal and change nothing" {
    serve -- "$FAKE" --listen "$HEALTH"
    up
    python3 - "$PORT" <<'PY'
import os, random, socket, sys
port = int(sys.argv[1])
def talk(data, shut=False):
    s = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        s.sendall(data)
        if shut: s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            part = s.recv(65536)
            if not part: return got
            got += part
    except (ConnectionResetError, BrokenPipeError, socket.timeout):
        return b"reset"
    finally:
        s.close()
assert talk(b"GET /nothing HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")
assert talk(b"POST /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").startswith(b"HTTP/1.1 405 ")
assert talk(b"GET /" + b"a" * 400 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414 ")
assert talk(b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 3000, shut=True)[:13] in (b"HTTP/1.1 431 ", b"reset")
assert talk(b"\x16\x03\x01\x00\xa5\x01\r\n\r\n").startswith(b"HTTP/1.1 400 ")
assert talk(b"GET /livez", shut=True) == b""
rng = random.Random(7)
for _ in range(300):
    talk(rng.randbytes(rng.randrange(1, 600)), shut=True)
assert talk(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
PY
    kill -0 "$HOLD_PID"
}

@test "forty idle clients do not keep a probe waiting, and lose their places in time" {
    serve -- "$FAKE" --listen "$HEALTH"
    up
    python3 - "$PORT" "$HOLD_PID" <<'PY'
import os, socket, sys, time
port, pid = int(sys.argv[1]), sys.argv[2]
idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
for s in idle: s.send(b"GET")
begun = time.monotonic()
s = socket.create_connection(("127.0.0.1", port), timeout=5)
s.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
assert s.recv(100).startswith(b"HTTP/1.1 200 ")
assert time.monotonic() - begun < 1, "a probe waited"
s.close()
fds = lambda: len(os.listdir(f"/proc/{pid}/fd"))
before = fds()
for s in idle:
    s.settimeout(6)
    try: assert s.recv(1) == b""
    except ConnectionResetError: pass
assert fds() <= before - 10, "places were kept"
PY
}

@test "metrics pass promtool while loading and when ready" {
    command -v promtool > /dev/null || skip "promtool is not installed (apt package prometheus)"
    serve -- "$FAKE" --listen "$HEALTH" --ready-after 500 --say "Loading checkpoint shards:  40%|####"
    up
    ask /metrics && promtool check metrics <<< "$body"
    eventually is_code /readyz 200
    ask /metrics && promtool check metrics <<< "$body"
    [[ "$body" == *'holdfast_phase{phase="ready"} 1'* ]]
    [ "$(grep -c '^holdfast_phase{.*} 1$' <<< "$body")" -eq 1 ]
}

@test "the page is one file, asks nobody but us, and status is JSON" {
    serve -- "$FAKE" --listen "$HEALTH"
    up
    [ "$(web /)" = 200 ]
    grep -q '<title>holdfast</title>' "$DIR/body"
    ! grep -nE '(src|href)="(https?:)?//' "$DIR/body"
    ask /status
    python3 -c 'import json, sys; s = json.loads(sys.argv[1]); assert s["members"][0]["name"] == "server" and s["mode"] == "exec"' "$body"
}

@test "the page's colours have a contrast of at least 4.5, light and dark" {
    python3 - supervisor/host/page.html <<'PY'
import re, sys
def light(c):
    parts = [int(c[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
schemes = re.findall(r":root \{(.*?)\}", open(sys.argv[1]).read(), re.S)
assert len(schemes) == 2
for scheme in schemes:
    c = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
    for ink in "ink", "dim", "good", "warn", "bad":
        for ground in "paper", "panel":
            a, b = sorted((light(c[ink]), light(c[ground])), reverse=True)
            ratio = (a + 0.05) / (b + 0.05)
            assert ratio >= 4.5, (ink, ground, ratio)
    assert (lambda a, b: (max(a, b) + 0.05) / (min(a, b) + 0.05) >= 3)(light(c["bar"]), light(c["panel"]))
PY
}

@test "a taken status port is an error that names it, exit 67" {
    python3 -c 'import socket, sys, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("up", flush=True); time.sleep(20)' "$PORT" > "$DIR/other" 3>&- &
    other=$!
    eventually test -s "$DIR/other"
    run "$H" --state-dir "$STATE" --status-listen "127.0.0.1:$PORT" -- "$FAKE"
    kill "$other"
    [ "$status" -eq 67 ]
    [[ "$output" == *"127.0.0.1:$PORT"* ]]
}

@test "status --watch shows picture after picture and ends with the container" {
    serve -- "$FAKE" --listen "$HEALTH" --exit-after 3000
    eventually is_code /readyz 200
    timeout 20 "$H" status --watch --state-dir "$STATE" > "$DIR/watched"
    [ "$(grep -c '^ready for' "$DIR/watched")" -ge 2 ]
    run "$H" status --json --state-dir "$STATE"
    [ "$status" -eq 69 ]
}

@test "probe answers in well under a second and says why; nobody there is 1, a wrong word 64" {
    serve -- "$FAKE" --listen "$HEALTH"
    eventually is_code /readyz 200
    run "$H" probe live --state-dir "$STATE"
    [ "$status" -eq 0 ] && [ "$output" = "live: phase ready" ]
    run "$H" probe startup --state-dir "$STATE"
    [ "$status" -eq 0 ] && [ "$output" = started ]
    best=999999
    for _ in 1 2 3 4 5; do
        begun=$(date +%s%N)
        "$H" probe ready --state-dir "$STATE" > /dev/null
        took=$((($(date +%s%N) - begun) / 1000000))
        [ "$took" -lt "$best" ] && best=$took
    done
    echo "fastest probe: $best ms"
    [ "$best" -lt 50 ]
    run "$H" probe ready --state-dir "$DIR/nowhere"
    [ "$status" -eq 1 ]
    run "$H" probe everything --state-dir "$STATE"
    [ "$status" -eq 64 ]
    run "$H" status --state-dir "$DIR/nowhere"
    [ "$status" -eq 69 ]
}
