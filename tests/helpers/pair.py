#!/usr/bin/env python3
"""pair.py - plays process 1 for front and engine: makes socket, control pairs and pairings, restarts who dies.

pair.py DIR PORT RUNTIME MODEL PLAN [--front ARG]... [--engine ARG]... [--restart-ms N] [--once]

DIR gets front.pid, engine.pid (rewritten at each start), log (their standard error) and said (what they said on the
control pairs). TERM stops both members and exits with 0 when both exited with 0."""
import argparse, fcntl, os, select, signal, socket, sys, time

F_ADD_SEALS, SHRINK, GROW = 1033, 2, 4
RING_BYTES = 16 << 20


class Member:
    def __init__(self, house, role, args):
        self.house, self.role, self.args = house, role, args
        self.pid = self.control = None
        self.ready = False
        self.died = self.status = None

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [self.house.runtime, self.role, *self.args]
        handed = [self.house.listener.fileno()] if self.role == "front" else []
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(self.house.log, 2)
                high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in [*handed, theirs.fileno()]]
                for i, fd in enumerate(high):
                    os.dup2(fd, 3 + i)
                env = {k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "HOLDFAST_API_KEY")}
                env["HOLDFAST_CONTROL_FD"] = str(3 + len(handed))
                if handed:
                    env["LISTEN_FDS"], env["LISTEN_FDNAMES"] = "1", "api"
                os.closerange(4 + len(handed), 200)
                os.execve(argv[0], argv, env)
            finally:
                os._exit(127)
        theirs.close()
        self.control, self.ready, self.died, self.status = ours, False, None, None
        with open(os.path.join(self.house.dir, self.role + ".pid.new"), "w") as f:
            f.write(f"{self.pid}\n")
        os.rename(f.name, f.name[:-4])
        plan = os.memfd_create("plan", os.MFD_ALLOW_SEALING)
        os.write(plan, self.house.plan)
        fcntl.fcntl(plan, F_ADD_SEALS, SHRINK | GROW | 8)
        self.say("PLAN=1", [plan])
        os.close(plan)

    def say(self, text, fds=()):
        try:
            socket.send_fds(self.control, [text.encode()], list(fds))
        except OSError:
            pass


class House:
    def __init__(self, args):
        self.dir, self.runtime, self.once = args.dir, args.runtime, args.once
        self.restart = args.restart_ms / 1000
        with open(args.plan, "rb") as f:
            self.plan = f.read()
        os.makedirs(self.dir, exist_ok=True)
        self.log = os.open(os.path.join(self.dir, "log"), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        self.said = open(os.path.join(self.dir, "said"), "a", buffering=1)
        self.listener = socket.create_server(("127.0.0.1", args.port), backlog=512)
        self.members = [Member(self, "front", args.front), Member(self, "engine", ["--model-dir", args.model, *args.engine])]
        self.generation = 0
        self.stopping = False

    def tell(self, text):
        for m in self.members:
            if m.control:
                m.say(text)

    def pair(self):
        self.generation += 1
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ring = os.memfd_create("ring", os.MFD_ALLOW_SEALING)
        os.ftruncate(ring, RING_BYTES)
        fcntl.fcntl(ring, F_ADD_SEALS, SHRINK | GROW)
        for m, end in zip(self.members, (a, b)):
            m.say(f"GEN={self.generation}", [end.fileno(), ring])
        a.close(), b.close(), os.close(ring)

    def hear(self, m):
        try:
            data, fds, _, _ = socket.recv_fds(m.control, 4096, 8)
        except OSError:
            data, fds = b"", []
        for fd in fds:
            os.close(fd)
        if not data:
            m.control.close()
            m.control = None
            return
        for line in data.decode(errors="replace").splitlines():
            self.said.write(f"{m.role} {line}\n")
            if line == "READY=1":
                m.ready = True
                if all(x.ready for x in self.members):
                    self.tell("PHASE=ready")
            elif line.startswith("X_HOLDFAST_PROGRESS="):
                self.tell("PHASE=loading\nPROGRESS=" + line.split("=", 1)[1])
            elif line.startswith("X_HOLDFAST_PHASE="):
                self.tell("PHASE=" + line.split("=", 1)[1])

    def run(self):
        stop_r, stop_w = os.pipe()
        os.set_blocking(stop_w, False)
        signal.set_wakeup_fd(stop_w)
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(s, lambda *_: None)
        for m in self.members:
            m.start()
        self.tell("PHASE=loading")
        self.pair()
        while True:
            watch = [stop_r] + [m.control for m in self.members if m.control]
            dead = [m for m in self.members if m.died is not None]
            wait = max(0, min(m.died + self.restart for m in dead) - time.monotonic()) if dead and not self.stopping else None
            for r in select.select(watch, [], [], wait)[0]:
                if r == stop_r:
                    caught = os.read(stop_r, 64)
                    if signal.SIGTERM in caught or signal.SIGINT in caught:
                        self.stopping = True
                        for m in self.members:
                            if m.died is None:
                                os.kill(m.pid, signal.SIGTERM)
                else:
                    for m in self.members:
                        if m.control is r:
                            self.hear(m)
            for m in self.members:
                if m.died is None:
                    pid, status = os.waitpid(m.pid, os.WNOHANG)
                    if pid:
                        m.died, m.status, m.ready = time.monotonic(), os.waitstatus_to_exitcode(status), False
                        while m.control and select.select([m.control], [], [], 0)[0]:
                            self.hear(m)
                        self.said.write(f"{m.role} EXIT={m.status}\n")
            if all(m.died is not None for m in self.members) and (self.stopping or self.once):
                return 0 if all(m.status == 0 for m in self.members) else 1
            if self.stopping or self.once:
                continue
            born = [m for m in self.members if m.died is not None and time.monotonic() >= m.died + self.restart]
            if born:
                self.tell("PHASE=loading")
                for m in born:
                    m.start()
                self.pair()


p = argparse.ArgumentParser()
p.add_argument("dir"), p.add_argument("port", type=int), p.add_argument("runtime"), p.add_argument("model"), p.add_argument("plan")
p.add_argument("--front", action="append", default=[]), p.add_argument("--engine", action="append", default=[])
p.add_argument("--restart-ms", type=int, default=0), p.add_argument("--once", action="store_true")
sys.exit(House(p.parse_args()).run())
