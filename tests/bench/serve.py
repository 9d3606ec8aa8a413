#!/usr/bin/env python3
"""serve.py [BUILD] - what serving the little model costs: first 503, kill to next answer, leaving, tokens a second. Prints a
table for docs/MEASUREMENTS.md. Starts and stops `holdfast run` itself; takes about half a minute."""
import http.client, json, os, re, signal, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../helpers"))
from ask_api import call, chat, events

build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../../build/release")
HI = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}
LONG = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4000, "ignore_eos": True}
WAIT_MS = 100


def port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def spread(values, digits=1):
    values = sorted(values)
    return f"median {values[len(values) // 2]:.{digits}f}, {values[0]:.{digits}f} to {values[-1]:.{digits}f}"


def row(what, figure):
    print(f"| {what} | {figure} |", flush=True)


def first_503():
    out = []
    for _ in range(9):
        p = port()
        begun = time.monotonic()
        front = subprocess.Popen([f"{build}/libexec/holdfast-runtime", "front", "--listen", f"127.0.0.1:{p}"], stderr=subprocess.DEVNULL)
        while True:
            try:
                assert call(f"http://127.0.0.1:{p}", "GET", "/health")[0].status == 503
                break
            except OSError:
                time.sleep(0.0005)
        out.append((time.monotonic() - begun) * 1000)
        front.terminate()
        front.wait()
    return out


class Run:
    def __init__(self):
        self.dir = tempfile.mkdtemp()
        self.api, self.log = f"http://127.0.0.1:{port()}", os.path.join(self.dir, "log")
        self.process = subprocess.Popen(
            [f"{build}/bin/holdfast", "run", "--model", os.path.abspath(os.path.join(HERE, "../../examples/little-model/checkpoint")),
             "--listen", self.api[7:], "--status-listen", f"127.0.0.1:{port()}", "--state-dir", os.path.join(self.dir, "state"), "--served-name",
             "autoglm-phone-9b", "--termination-log", os.path.join(self.dir, "message"), "--restart-delay", f"{WAIT_MS}ms", "--restart-cap",
             f"{WAIT_MS}ms", "--restart-jitter", "0", "--restart-budget", "0"], stderr=open(self.log, "w"))
        while not self.answers():
            assert self.process.poll() is None, open(self.log).read()
            time.sleep(0.01)

    def answers(self):
        try:
            return chat(self.api, HI)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def pid(self, member):
        with open(self.log) as f:
            return int([re.search(r'"pid":(\d+)', line)[1] for line in f if '"ev":"spawn"' in line and f'"member":"{member}"' in line][-1])

    def kill_to_answer(self, member):
        out = []
        for _ in range(7):
            begun = time.monotonic()
            os.kill(self.pid(member), signal.SIGKILL)
            while not self.answers():
                time.sleep(0.001)
            out.append((time.monotonic() - begun) * 1000 - WAIT_MS)
            time.sleep(0.5)
        return out

    def leaving(self):
        out = []
        for _ in range(15):
            c = http.client.HTTPConnection(self.api[7:])
            c.request("POST", "/v1/chat/completions", json.dumps({"model": "autoglm-phone-9b", "stream": True, **LONG}))
            r = c.getresponse()
            r.readline(), r.readline()
            r.close(), c.close()
            begun = time.monotonic()
            while b'num_requests_running{engine="0",model_name="autoglm-phone-9b"} 0\n' not in call(self.api, "GET", "/metrics")[1]:
                pass
            out.append((time.monotonic() - begun) * 1000)
        return out

    def rate(self, is_stream):
        begun = time.monotonic()
        if is_stream:
            assert sum(1 for _ in events(self.api, LONG)) > 1000
        else:
            assert chat(self.api, LONG)[0] == 200
        return 4000 / (time.monotonic() - begun)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0


print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
row("exec of the front to its first 503, ms", spread(first_503()))
run = Run()
row("`kill -9` of the engine to the next answer, less the wait of the back-off, ms", spread(run.kill_to_answer("engine"), 0))
row("`kill -9` of the front to the next answer, less the wait, ms", spread(run.kill_to_answer("front"), 0))
row("a client's leaving to the engine idle, ms", spread(run.leaving()))
row("tokens/s of one stream", spread([run.rate(True) for _ in range(3)], 0))
row("tokens/s of one answer without a stream", spread([run.rate(False) for _ in range(3)], 0))
run.stop()
