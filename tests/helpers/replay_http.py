#!/usr/bin/env python3
"""replay_http.py API FILE [--record] - sends the request of FILE and compares the raw answer.

FILE holds the request, a line '=== answer', and the answer, all as on the wire but with plain line ends; chunk sizes of a
stream are left out, and what changes from run to run is masked."""
import re, socket, sys
from urllib.parse import urlparse

api, path = sys.argv[1:3]
with open(path, encoding="utf-8") as f:
    request, _, wanted = f.read().partition("=== answer\n")
head, _, body = request.partition("\n\n")
body = body.rstrip("\n").encode()
head += "\nHost: golden\nConnection: close" + (f"\nContent-Length: {len(body)}" if body else "")
u = urlparse(api)
with socket.create_connection((u.hostname, u.port), timeout=30) as s:
    s.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
    raw = b""
    while piece := s.recv(65536):
        raw += piece
top, _, rest = raw.partition(b"\r\n\r\n")
if b"chunked" in top:
    whole = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        n = int(size, 16)
        whole, rest = whole + rest[:n], rest[n + 2:]
    rest = whole
else:
    assert f"Content-Length: {len(rest)}\r\n".encode() in top + b"\r\n", (top, len(rest))
text = top.decode().replace("\r\n", "\n") + "\n\n" + rest.decode() + "\n"
text = re.sub(r"^Date: .*$", "Date: -", text, flags=re.M)
text = re.sub(r"^Content-Length: .*$", "Content-Length: -", text, flags=re.M)
text = re.sub(r'"id":"chatcmpl-[0-9a-f]+"', '"id":"-"', text)
text = re.sub(r'"created":\d+', '"created":0', text)
text = re.sub(r'"root":"[^"]*"', '"root":"-"', text)
if "--record" in sys.argv:
    with open(path, "w", encoding="utf-8") as f:
        f.write(request + "=== answer\n" + text)
elif text != wanted:
    sys.exit(f"{path}: got\n{text}\nwanted\n{wanted}")
