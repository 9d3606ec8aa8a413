"""What the kubelet makes of each published probe policy, for a load of 20 minutes that moves and for one that freezes at 7 minutes.

  kubelet.py     prints the table; fails unless ours alone is neither killed nor blind

Everything is real but the kubelet and the pace: the server is a process that prints a server's loading lines and listens only when it is
loaded; ours runs under the real holdfast with the arguments and probes of the rendered chart. SCALE seconds of a policy pass in one of
the clock; holdfast is given its times divided by it. The kubelet's arithmetic: after the delay a question each period; the startup probe
alone until it has passed once; threshold failures in a row end the container; a question that this machine asks late counts for the time it was due. A peer's probes ask
the server's port, as published; each observer notes when it would have killed and lets the others go on.
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from render import TOP, rendered, server

SCALE = 30
LOAD, FROZEN_AT, HORIZON = 1200, 420, 2000
BLIND_AFTER = 300  # a load that stands still must be noticed within this
# (who, startup, liveness); a probe: (kind, delay, period, failures), kind http or tcp; numbers as published (seconds)
PEERS = [
    ('production-stack', ('http', 15, 10, 60), ('http', 15, 10, 3)),
    ('vLLM chart', None, ('http', 15, 10, 3)),
    ('NIM', ('http', 40, 10, 180), ('http', 15, 10, 3)),
    ('ollama-helm', None, ('http', 60, 10, 6)),
    ('llm-d', None, None),
    ('KServe preset', ('http', 0, 10, 60), ('http', 0, 10, 10)),
    ('Dynamo worker', ('http', 0, 10, 720), ('http', 0, 5, 1)),
    ('OPEA tgi', ('tcp', 10, 5, 180), ('tcp', 8, 8, 24)),
    ('OPEA tei', ('http', 5, 5, 120), ('http', 5, 5, 24)),
]


def asks(kind, port, path):
    try:
        if kind == 'tcp':
            socket.create_connection(('127.0.0.1', port), timeout=1).close()
            return True
        with urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=1) as r:
            return r.status < 400
    except (OSError, urllib.error.URLError):
        return False


class Observer(threading.Thread):
    """One kubelet beside one container: started_at and killed_at in policy seconds, None while neither."""

    def __init__(self, startup, liveness, port, begun, startup_path='/health', liveness_path='/health'):
        super().__init__(daemon=True)
        self.probes = [(startup, startup_path), (liveness, liveness_path)]
        self.port, self.begun = port, begun
        self.started_at = self.killed_at = None

    def now(self):
        return (time.monotonic() - self.begun) * SCALE

    def until(self, at):
        """False when the observation is over before."""
        at = min(at, HORIZON)
        while self.now() < at:
            time.sleep(min(0.05, max(0.001, (at - self.now()) / SCALE)))
        return at < HORIZON

    def run(self):
        at = 0
        for is_startup, (probe, path) in zip((True, False), self.probes):
            if probe is None:
                self.started_at = self.started_at if self.started_at is not None else 0
                continue
            kind, delay, period, threshold = probe
            at, failures = max(at, delay), 0
            while self.until(at):
                if asks(kind, self.port, path):
                    failures = 0
                    if is_startup:
                        self.started_at = at
                        break
                else:
                    failures += 1
                    if failures >= threshold:
                        self.killed_at = at
                        return
                at += period
            else:
                return


class Pulse(threading.Thread):
    """Counts the seconds that this machine stood still: a sleep of 50 ms that takes longer. Nothing is blamed for those."""

    def __init__(self):
        super().__init__(daemon=True)
        self.lost = 0.0

    def run(self):
        while True:
            before = time.monotonic()
            time.sleep(0.05)
            late = time.monotonic() - before - 0.05
            self.lost += late if late > 0.1 else 0


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def loading(port, freezes):
    """A server that prints vLLM's loading lines for LOAD seconds and listens then, or stands still from FROZEN_AT on."""
    n = 60
    said = n * FROZEN_AT // LOAD if freezes else n
    words = [os.path.join(TOP, 'build', 'release', 'tests', 'fake-server'), '--listen', str(port), '--refuse-until', str((10 * HORIZON if freezes else LOAD) * 1000 // SCALE),
             '--say-every', str(LOAD * 1000 // SCALE // n)]
    for i in range(1, said + 1):
        words += ['--say', f'Loading safetensors checkpoint shards: {100 * i // n:3}% Completed | {i}/{n} [{20 * i // 60:02}:{20 * i % 60:02}<00:00, 20.00s/it]']
    return words


def scaled(args):
    """holdfast's arguments with every time divided by SCALE."""
    return [re.sub(r'^(--[a-z-]+)=([0-9]+)s$', lambda m: f'{m[1]}={max(1, int(m[2]) * 1000 // SCALE)}ms', a) for a in args]


class Ours:
    """The rendered chart around the loading server, and its kubelet."""

    def __init__(self, folder, freezes):
        self.port, status = free_port(), free_port()
        docs = rendered({'command': ['server'], 'ready': f'http://127.0.0.1:{self.port}/health', 'extraArgs': ['--health-period=10s', '--health-timeout=2m', '--kill-wait=30s']})
        c = server(docs)
        args = [a for a in c['args'][:c['args'].index('--')] if not a.startswith('--status-listen')]
        self.log = os.path.join(folder, 'log')
        self.out = open(self.log, 'w', encoding='utf-8')
        self.process = subprocess.Popen([os.path.join(TOP, 'build', 'release', 'bin', 'holdfast'), *scaled(args), f'--status-listen=127.0.0.1:{status}', '--log-format=json',
                                         f'--state-dir={folder}/state', f'--termination-log={folder}/report', '--', *loading(self.port, freezes)],
                                        stdout=subprocess.DEVNULL, stderr=self.out, cwd=folder)
        self.begun = time.monotonic()
        probe = lambda p: ('http', p['initialDelaySeconds'], p['periodSeconds'], p['failureThreshold'])
        self.kubelet = Observer(probe(c['startupProbe']), probe(c['livenessProbe']), status, self.begun, '/startupz', '/livez')
        self.kubelet.start()

    def noticed_at(self):
        """When holdfast said that the start stands still, in policy seconds; None: never."""
        with open(self.log, encoding='utf-8') as f:
            lines = [json.loads(x) for x in f if x.startswith('{')]
        first = next((x for x in lines if x['ev'] == 'start'), None)
        for x in lines:
            if x['ev'] in ('kill', 'diagnosis') and ('no_progress' in json.dumps(x) or 'no-progress' in json.dumps(x)):
                stamp = lambda t: time.mktime(time.strptime(t[:19], '%Y-%m-%dT%H:%M:%S')) + float('0' + t[19:].rstrip('Z'))
                return (stamp(x['t']) - stamp(first['t'])) * SCALE
        return None

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.out.close()


def observe():
    rows, pulse = [], Pulse()
    pulse.start()
    with tempfile.TemporaryDirectory() as d:
        bare, processes = {}, []
        for freezes in (False, True):
            port = free_port()
            processes.append(subprocess.Popen(loading(port, freezes), stdout=subprocess.DEVNULL))
            bare[freezes] = (port, time.monotonic())
        ours = {}
        for freezes in (False, True):
            folder = os.path.join(d, str(freezes))
            os.mkdir(folder)
            ours[freezes] = Ours(folder, freezes)
        observers = {(name, freezes): Observer(startup, liveness, *bare[freezes]) for name, startup, liveness in PEERS for freezes in (False, True)}
        for o in observers.values():
            o.start()
        for o in [*observers.values(), *(x.kubelet for x in ours.values())]:
            o.join()
        for name, _, _ in PEERS:
            rows.append((name, observers[name, False].killed_at, observers[name, True].killed_at))
        rows.append(('**holdfast**', ours[False].kubelet.killed_at, ours[True].noticed_at()))
        started = ours[False].kubelet.started_at
        frozen_kill = ours[True].kubelet.killed_at
        for x in ours.values():
            x.end()
        for p in processes:
            p.kill()
            p.wait()
    return rows, started, frozen_kill, pulse.lost * SCALE


def table(rows):
    out = [f'| policy | a load of {LOAD // 60} min that moves | a load frozen at {FROZEN_AT // 60} min | verdict |', '| --- | --- | --- | --- |']
    for name, killed, noticed in rows:
        late = noticed is None or noticed - FROZEN_AT > BLIND_AFTER
        early = noticed is not None and noticed < FROZEN_AT
        out.append(f'| {name} | {"lives" if killed is None else f"killed at {killed:.0f} s"} | '
                   f'{f"unnoticed after {HORIZON - FROZEN_AT} s" if noticed is None else "(killed before it froze)" if early else f"noticed {noticed - FROZEN_AT:.0f} s later"} | '
                   f'{" and ".join((["killed"] if killed is not None else []) + (["blind"] if late else [])) or "neither"} |')
    return '\n'.join(out)


def judge(rows, started, frozen_kill, lost):
    """Raises when ours is killed or blind, or a peer is neither."""
    for name, killed, noticed in rows:
        blind = noticed is None or noticed - FROZEN_AT - (lost if name == '**holdfast**' else 0) > BLIND_AFTER
        if name == '**holdfast**':
            assert killed is None, f'ours was killed at {killed:.0f} s'
            assert started is not None and started >= LOAD * 0.98, f'ours passed its startup probe at {started}'
            assert not blind and noticed >= FROZEN_AT, f'ours noticed the frozen load at {noticed}'
            assert frozen_kill is None, 'the kubelet judged before holdfast'
        else:
            assert killed is not None or blind, f'{name} is neither killed nor blind'


def main():
    result = observe()
    print(table(result[0]))
    print(f'# the machine stood still for {result[3] / SCALE:.1f} s of the clock')
    judge(*result)


if __name__ == '__main__':
    main()
    sys.exit(0)
