#!/usr/bin/env python3
"""chaos.py API SECONDS SEED CLIENTS COMMAND... - clients of every manner, while COMMAND (run by a shell, now and then) kills members.

Every answer must be one that a client can act on: 200 and right, 4xx or 503 with an error object, a stream that ends with [DONE]
or with one error event. A connection that breaks is allowed only where the front itself was killed: COMMAND says so by
printing 'front'. Prints what was seen; exits with 1 and the first thing that was wrong."""
import http.client, json, os, random, subprocess, sys, threading, time
from urllib.parse import urlparse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ask_api

api, seconds, seed, clients, command = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
end, seen, wrong, lock = time.monotonic() + seconds, {}, [], threading.Lock()
fronts = []  # when the front was killed
screens = [m for _, m in ask_api.screens()]
right = {}


def note(what):
    with lock:
        seen[what] = seen.get(what, 0) + 1


def fail(what):
    with lock:
        wrong.append(what)


def body(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return {"messages": rng.choice(screens), "max_tokens": 100}
    b = {"messages": [{"role": "user", "content": "Hi " * rng.choice([1, 5, 300])}], "ignore_eos": True, "max_tokens": rng.choice([1, 20, 600])}
    if kind == 1:
        b.update(rng.choice([{"n": 2}, {"temperature": "x"}, {"messages": []}, {"response_format": {"type": "json_object"}}]))
    if kind == 2:
        b.update(stop=["a", "e o"], logprobs=True, top_logprobs=3)
    return b


def garbage(rng):
    u = urlparse(api)
    import socket
    with socket.create_connection((u.hostname, u.port), timeout=5) as s:
        s.sendall(rng.choice([b"\x00\x01\x02", b"GET / HTTP/1.1\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
                              b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n" + b"[" * 10, os.urandom(3000)]))
        if rng.random() < 0.5:
            s.settimeout(0.2)
            try:
                s.recv(1000)
            except OSError:
                pass
    note("garbage")


def one(rng):
    if rng.random() < 0.1:
        return garbage(rng)
    b, is_stream = body(rng), rng.random() < 0.5
    key = json.dumps(b, sort_keys=True)
    if not is_stream:
        status, a = ask_api.chat(api, b)
        note(status)
        if status == 200:
            text = a["choices"][0]["message"]["content"]
            with lock:
                if right.setdefault(key, text) != text:
                    wrong.append(f"two answers to {key[:200]}: {right[key]!r} and {text!r}")
        elif status not in (400, 404, 429, 503) or "message" not in a["error"]:
            fail(f"{status} {a}")
        return
    n, last, leave = 0, None, rng.randrange(30) if rng.random() < 0.3 else None
    for last in ask_api.events(api, b):
        if isinstance(last, dict) and "status" in last:
            note(f"stream {last['status']}")
            return
        n += 1
        if n == leave:
            note("left")
            return
    if last == "[DONE]":
        note("stream done")
    elif isinstance(last, dict) and "error" in last:
        note("stream error event")
    else:
        raise ConnectionError("the stream just ended")


def client(number):
    rng = random.Random(seed * 1000 + number)
    while time.monotonic() < end and not wrong:
        begun = time.monotonic()
        try:
            one(rng)
        except (OSError, http.client.HTTPException) as e:
            time.sleep(0.05)
            if any(begun - 0.5 <= t <= time.monotonic() for t in fronts):
                note("cut by the death of the front")
            else:
                fail(f"a connection broke: {e!r}")


threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
for t in threads:
    t.start()
rng = random.Random(seed)
while time.monotonic() < end and not wrong and command:
    time.sleep(rng.uniform(0.05, 1.2))
    before = time.monotonic()
    out = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    if "front" in out:
        fronts.append(before)
        fronts.append(time.monotonic())
    note(f"killed {out}")
for t in threads:
    t.join()
print(json.dumps({str(k): v for k, v in seen.items()}, sort_keys=True))
if wrong:
    sys.exit(wrong[0])
