#!/usr/bin/env bats
# Clients that stand in the way of others: idle crowds, requests that never end, heads that two readers read differently.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() { serve_setup; }

setup() {
    echo '{"servers":{"front":{"args":["--max-connections","8"]},"engine":{}}}' > "$BATS_TEST_TMPDIR/config.json"
    serve_start --config "$BATS_TEST_TMPDIR/config.json" --served-name autoglm-phone-9b
}

teardown() { serve_stop; }

hostile() { # what: runs a piece of python with the API's address
    python3 - "$API" "$1" "$PID" << 'PY'
import json, os, signal, socket, sys, time
from urllib.parse import urlparse
sys.path.insert(0, os.environ["TOP"] + "/tests/helpers")
from ask_api import chat
api, what, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])
where = (urlparse(api).hostname, urlparse(api).port)

def connect(data=b""):
    s = socket.create_connection(where, timeout=10)
    s.sendall(data)
    return s

def status(head):
    s = connect(head + b"Connection: close\r\n\r\n")
    return int(s.makefile("rb").readline().split()[1])

HALF = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
if what == "crowd":
    kept = []
    for i in range(120):
        kept.append(connect(HALF if i % 2 else b""))
    answered, _ = chat(api, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2})
    assert answered == 200, answered
elif what == "half":
    kept = connect(HALF)
    chat(api, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2})
    os.kill(pid, signal.SIGTERM)
    print(len(kept.recv(100)))  # 0: closed without an answer, when the server goes
elif what == "heads":
    assert status(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n") == 200
    assert status(b"GET /v1/models%00x HTTP/1.1\r\nHost: x\r\n") == 404
    assert status(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n") == 400
    assert status(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n") == 400
    assert status(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX: a\rContent-Length: 2\r\n") == 400
PY
}

@test "a crowd of idle and half-sent connections does not keep the next client out" { hostile crowd; }

@test "a client that never sends the rest of its request does not hold up a stop" {
    local began=$SECONDS
    hostile half
    serve_stop
    [ "$CODE" -eq 0 ]
    [ $((SECONDS - began)) -lt 10 ]
}

@test "heads that two readers could understand differently are refused" { hostile heads; }
