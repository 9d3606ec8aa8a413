#!/usr/bin/env python3
"""ask_api.py - one conversation with the API, with nothing but the standard library, judged to the byte.

ask_api.py API screens [--stream]           every committed screen gets its expected answer
ask_api.py API same N                       N requests at once give what each gives alone
ask_api.py API post PATH BODY               prints status, Retry-After and body
ask_api.py API stream FILE [KEY=JSON]...    a long stream into FILE, one line an event; prints 'done' or the error event
ask_api.py API leave N                      opens a long stream, leaves after N events
ask_api.py API stop                         a stop string across tokens cuts the answer before itself, whole and streamed
ask_api.py API raw HEAD                     sends HEAD (\\r\\n written out) and a chunked end; prints the status line
ask_api.py API client                       the phone client's reply rules on every screen's answer
"""
import ast, base64, concurrent.futures, http.client, json, os, socket, sys
from urllib.parse import urlparse

HERE = os.path.dirname(os.path.abspath(__file__))
SCREENS = os.path.join(HERE, "../../examples/little-model/screens")
MODEL = os.environ.get("API_MODEL", "autoglm-phone-9b")


def call(api, method, path, body=None, headers=None):
    u = urlparse(api)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=60)
    c.request(method, path, body, headers or {})
    r = c.getresponse()
    return r, r.read()


def chat(api, body):
    r, data = call(api, "POST", "/v1/chat/completions", json.dumps({"model": MODEL, "temperature": 0, **body}))
    return r.status, json.loads(data)


def events(api, body):
    u = urlparse(api)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=60)
    c.request("POST", "/v1/chat/completions", json.dumps({"model": MODEL, "temperature": 0, "stream": True, **body}))
    r = c.getresponse()
    if r.status != 200:
        yield {"status": r.status, "retry_after": r.getheader("Retry-After"), **json.loads(r.read())}
        return
    assert r.getheader("Content-Type") == "text/event-stream; charset=utf-8", r.getheader("Content-Type")
    for line in r:
        line = line.decode("utf-8").rstrip("\n")
        if line.startswith("data: "):
            yield line[6:] if line == "data: [DONE]" else json.loads(line[6:])
        else:
            assert line == "" or line.startswith(":"), line


def screens():
    with open(os.path.join(SCREENS, "expected.json")) as f:
        cases = json.load(f)
    for case in cases:
        messages = json.loads(json.dumps(case["messages"]))
        for m in messages:
            for part in m["content"] if isinstance(m["content"], list) else []:
                if part["type"] == "image_url":
                    with open(os.path.join(SCREENS, case["file"]), "rb") as f:
                        part["image_url"] = {"url": "data:image/png;base64," + base64.b64encode(f.read()).decode()}
        yield case, messages


def streamed(api, body):
    text, finish, last, role = "", None, None, None
    for e in events(api, body):
        assert last != "[DONE]", "something after [DONE]"
        last = e
        if e == "[DONE]":
            continue
        assert e["object"] == "chat.completion.chunk", e
        for choice in e["choices"]:
            assert finish is None, "a chunk after the finish"
            role = role or choice["delta"].get("role")
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"]
    assert last == "[DONE]" and role == "assistant", (last, role)
    return text, finish


def do_screens(api, is_stream):
    for case, messages in screens():
        body = {"messages": messages, "max_tokens": 200}
        if is_stream:
            text, finish = streamed(api, body)
        else:
            status, a = chat(api, body)
            assert status == 200, a
            text, finish = a["choices"][0]["message"]["content"], a["choices"][0]["finish_reason"]
        assert finish == "stop", finish
        assert text == case["answer"], (case["file"], text, case["answer"])


def do_same(api, n):
    bodies = [{"messages": m, "max_tokens": 200} for _, m in screens()]
    bodies += [{"messages": [{"role": "user", "content": "Hi " * k}], "max_tokens": 60, "ignore_eos": True, "temperature": t, "seed": 7}
               for k in (1, 30, 200) for t in (0, 1)]
    alone = [chat(api, b)[1]["choices"][0]["message"]["content"] for b in bodies]
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        together = list(pool.map(lambda b: chat(api, b)[1]["choices"][0]["message"]["content"], bodies * 3))
    assert together == alone * 3, [(a, b) for a, b in zip(alone * 3, together) if a != b][:2]


def do_client(api):
    """The four rules by which the phone client reads a reply, and its parser of a call with literal arguments."""
    for case, messages in screens():
        text, _ = streamed(api, {"messages": messages, "max_tokens": 3000, "top_p": 0.85, "frequency_penalty": 0.2})
        if "finish(message=" in text:
            action = "finish(message=" + text.split("finish(message=", 1)[1]
        elif "do(action=" in text:
            action = "do(action=" + text.split("do(action=", 1)[1]
        elif "<answer>" in text:
            action = text.split("<answer>", 1)[1].replace("</answer>", "").strip()
        else:
            action = text
        tree = ast.parse(action.strip(), mode="eval").body
        assert isinstance(tree, ast.Call) and tree.func.id in ("do", "finish"), action
        for k in tree.keywords:
            ast.literal_eval(k.value)
        assert "</answer>" not in text and text == text.strip(), repr(text)


def do_stop(api):
    asked = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 60}
    whole = chat(api, asked)[1]["choices"][0]["message"]["content"]
    for at in range(2, len(whole) - 8, 3):
        stop = whole[at:at + 8]
        cut = whole[:whole.index(stop)]
        choice = chat(api, {**asked, "stop": ["never", stop]})[1]["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"], choice["stop_reason"]) == (cut, "stop", stop), (choice, cut, stop)
        assert streamed(api, {**asked, "stop": stop}) == (cut, "stop"), stop


def do_raw(api, head):
    u = urlparse(api)
    with socket.create_connection((u.hostname, u.port), timeout=10) as s:
        s.sendall(head.encode().decode("unicode_escape").encode() + b"\r\n\r\n0\r\n\r\n")
        print(s.recv(4096).decode().splitlines()[0])


def main():
    api, what, *rest = sys.argv[1:]
    if what == "screens":
        do_screens(api, "--stream" in rest)
    elif what == "same":
        do_same(api, int(rest[0]))
    elif what == "post":
        r, data = call(api, "POST", rest[0], rest[1])
        print(r.status, r.getheader("Retry-After"), data.decode())
    elif what == "stream":
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4000, "ignore_eos": True}
        body.update((k, json.loads(v)) for k, _, v in (a.partition("=") for a in rest[1:]))
        last = None
        with open(rest[0], "w", buffering=1) as f:
            for last in events(api, body):
                f.write(json.dumps(last) + "\n")
        print("done" if last == "[DONE]" else json.dumps(last))
    elif what == "leave":
        stream = events(api, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8000, "ignore_eos": True})
        for _ in range(int(rest[0])):
            next(stream)
        os._exit(0)
    elif what == "stop":
        do_stop(api)
    elif what == "raw":
        do_raw(api, rest[0])
    elif what == "client":
        do_client(api)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
