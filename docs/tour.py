#!/usr/bin/env python3
"""The troubleshooting tour: every scenario of the table below provokes one failure with the real program.

  tour.py HOLDFAST [ID...]           runs them (all, or those) and writes what happened into docs/troubleshooting.md (make tour)
  tour.py --check HOLDFAST [ID...]   writes nothing; TAP: exit status, cause and action of each scenario, and the page against what
                                     happened now, numbers, paths and ports left out
  tour.py --list                     their names
A scenario that this machine cannot run (root, a memory cgroup, mounts) is skipped with its reason and keeps its text.
"""
import collections
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, 'docs', 'troubleshooting.md')
LITTLE = os.path.join(ROOT, 'examples', 'little-model', 'checkpoint')
SCENARIO_SECONDS = 40

# id and heading; seen: what other tools show, separated by ' | '; run: the commands; what must come of them: exit status, cause, action
# (the first failure's where the server came back); needs: what the machine must allow; hide: what differs between machines beyond
# numbers, as a pattern; tidy: run afterwards, not shown.
S = collections.namedtuple('S', 'id title seen run status cause action needs hide tidy', defaults=((), '', ''))

AS_USER = 'setpriv --reuid 12345 --regid 12345 --clear-groups'
SHARD = 'model-00002-of-00003.safetensors'
RUN = 'holdfast run --model "$PWD/model"'
READY_THEN_STOP = """ &
until holdfast probe ready > /dev/null 2>&1; do kill -0 $! || break; sleep 0.1; done
kill $!; wait $!"""

GROUPS = [
    ('The command and its end', [
        S('command-missing', 'The command does not exist', 'exit 127 | `exec: not found`',
          'holdfast -- vlm serve /models/phone', 127, 'command_missing', 'fix-config'),
        S('command-denied', 'The command cannot be executed', 'exit 126 | `Permission denied`',
          "printf '#!/bin/sh\\n' > start.sh\nholdfast -- ./start.sh", 126, 'command_denied', 'fix-config'),
        S('library-missing', 'A shared library is missing', '`libcudart.so.12: cannot open shared object file`',
          "holdfast -- python3 -c 'import ctypes; ctypes.CDLL(\"libcudart.so.7\")'", 1, 'lib_missing', 'fix-config'),
        S('module-missing', 'A Python module is missing', '`ModuleNotFoundError` | `No module named \'vllm._C\'`',
          "holdfast -- python3 -c 'import vllm._C'", 1, 'module_missing', 'fix-config', (), r"'vllm[\w.]*'"),
        S('illegal-instruction', 'The CPU lacks an instruction', 'exit 132 | `Illegal instruction`',
          "holdfast -- sh -c 'kill -ILL $$'", 132, 'cpu_arch', 'fix-config'),
        S('bus-error', 'A mapped file shrank under its reader', 'exit 135 | `Bus error`',
          """cat > reader.py << 'END'
import mmap
f = open('weights', 'w+b')
f.truncate(4096)
m = mmap.mmap(f.fileno(), 4096)
f.truncate(0)
print(m[0])
END
holdfast -- python3 reader.py""", 135, 'bus_error', 'retry'),
        S('crash', 'The server crashes', 'exit 139 | `Segmentation fault`',
          "holdfast -- sh -c 'kill -SEGV $$'", 139, 'crashed', 'retry'),
        S('killed-outside', 'Somebody else kills it', 'exit 137 | `OOMKilled` is false',
          "holdfast -- sh -c 'kill -KILL $$'", 137, 'killed_outside', 'retry'),
        S('stands-still', 'A start that stands still', 'it hangs at "Loading weights"',
          "holdfast --no-progress 500ms --ready http://127.0.0.1:1/health -- sleep 60",
          111, 'no_progress', 'retry'),
        S('unkillable', 'A process ignores KILL', 'a process in state D | a pod that stays Terminating',
          """holdfast --no-progress 500ms --kill-wait 300ms --ready http://127.0.0.1:1/health -- \\
    sh -c 'echo $$ > $FREEZER/cgroup.procs; echo FROZEN > $FREEZER/freezer.state'""",
          114, 'unkillable', 'new-node', ('freezer',), '', 'echo THAWED > "$FREEZER/freezer.state"'),
        S('few-descriptors', 'Too few descriptors or processes', '`Too many open files` | `Resource temporarily unavailable`',
          "(ulimit -n 8; exec holdfast -- true)", 79, 'resources', 'retry'),
        S('configuration', 'A wrong option', 'a crash loop right after a change of values',
          'holdfast --restrat never --grace soon -- true', 65, 'config', 'fix-config'),
    ]),
    ('Memory', [
        S('memory-limit', 'The memory limit cannot hold the model', 'exit 137 | `OOMKilled`',
          f'echo 200M > "$GROUP/$MEMORY_LIMIT"\n(echo $BASHPID > "$GROUP/cgroup.procs"; exec {RUN} --device cpu)',
          72, 'memory', 'fix-config', ('memory',), r'\(memory\.[\w.]+\)'),
        S('oom-kill', 'The kernel kills it at the limit', 'exit 137 | `OOMKilled`',
          """echo 100M > "$GROUP/$MEMORY_LIMIT"
(echo $BASHPID > "$GROUP/cgroup.procs"; exec holdfast -- python3 -c 'bytearray(300 << 20)')""",
          137, 'host_oom', 'retry', ('memory',)),
        S('oom-rung', 'The kernel kills it, and a smaller setting is known', 'exit 137 | `OOMKilled`',
          """cat > holdfast.json << 'END'
{"servers": {"server": {"command": ["python3", "-c", "import os; b = bytearray(int(os.environ.get('MB', 300)) << 20)"],
  "ladder": [{"name": "small-batch", "env": ["MB=10"]}]}}}
END
echo 100M > "$GROUP/$MEMORY_LIMIT"
(echo $BASHPID > "$GROUP/cgroup.procs"; exec holdfast run --config holdfast.json --preflight=false --listen=)""",
          0, 'host_oom', 'retry', ('memory',)),
        S('shm-small', '/dev/shm is too small (before the start)', '`Error while creating shared memory segment /dev/shm/nccl-`',
          "unshare -m sh -c 'mount -t tmpfs -o size=64m none /dev/shm; holdfast doctor --foreign' | grep -A 2 '/dev/shm:'",
          0, '', '', ('mounts',)),
        S('shm-full', '/dev/shm is too small (in the server)', '`No space left on device: /dev/shm/...` | `exceeds memory available in /dev/shm`',
          """unshare -m sh -c 'mount -t tmpfs -o size=64k none /dev/shm
    exec holdfast -- dd if=/dev/zero of=/dev/shm/nccl-test bs=64k count=2'""",
          1, 'shm_full', 'fix-config', ('mounts',)),
    ]),
    ('Disk', [
        S('disk-small', 'The disk cannot hold the model', '`Not enough free disk space to download` | `Usage of EmptyDir volume exceeds the limit`',
          """mkdir model
unshare -m sh -c 'mount -t tmpfs -o size=1m none model
    exec holdfast run --model "$PWD/model" --model-source "$ORIGIN/" --model-manifest "$MANIFEST"'""",
          73, 'disk', 'fix-config', ('mounts',)),
        S('disk-fills', 'The disk fills up while fetching', '`No space left on device`',
          """mkdir model
unshare -m sh -c 'mount -t tmpfs -o size=4m none model
    exec holdfast run --model "$PWD/model" --model-source "$ORIGIN/" --preflight=false'""",
          88, 'fetch-space', 'fix-config', ('mounts',)),
        S('disk-server', 'The server finds its disk full', '`[Errno 28] No space left on device`',
          "holdfast -- dd if=/dev/zero of=/dev/full count=1", 1, 'disk_full', 'fix-config'),
    ]),
    ('Model files', [
        S('no-model', 'No model is there', '`Could not find base path /mnt/models` | `offline mode is enabled`',
          'holdfast run --model "$PWD/nowhere"', 71, 'no-model', 'fix-config'),
        S('shard-missing', 'A shard is missing', '`FileNotFoundError: ... model-00002-of-00003.safetensors`',
          f'rm model/{SHARD}\n{RUN}', 71, 'no-model', 'fix-config'),
        S('lfs-pointer', 'A git-lfs pointer instead of weights', '`header too large` | `HeaderTooLarge`',
          f"printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:00\\nsize 5\\n' > model/{SHARD}\n{RUN}", 71, 'no-model', 'fix-config'),
        S('web-page', 'A web page instead of weights', '`header too large` | `HeaderTooLarge`',
          f"echo '<!DOCTYPE html><title>Sign in</title>' > model/{SHARD}\n{RUN}", 96, 'verify-format', 'fix-config'),
        S('truncated', 'A truncated shard', '`incomplete metadata, file not fully covered` | `MetadataIncompleteBuffer`',
          f'truncate -s -1000 model/{SHARD}\n{RUN}', 96, 'verify-format', 'fix-config'),
        S('header-length', 'A header longer than its file', '`invalid header length`',
          f"printf '\\377\\377\\377\\1' | dd of=model/{SHARD} conv=notrunc status=none\n{RUN}", 96, 'verify-format', 'fix-config'),
        S('header-json', 'A header that is not JSON', '`invalid JSON in header` | `invalid UTF-8 in header`',
          f"printf '\\377' | dd of=model/{SHARD} bs=1 seek=20 conv=notrunc status=none\n{RUN}", 96, 'verify-format', 'fix-config'),
        S('digest', 'A damaged file, nowhere to fetch it from', 'wrong answers; nothing says why',
          f"""cp "$MANIFEST" model/holdfast.manifest.json
printf 'x' | dd of=model/{SHARD} bs=1 seek=200000 conv=notrunc status=none
{RUN}""", 94, 'verify-digest', 'retry-clean'),
        S('digest-healed', 'A damaged file, and a source', 'wrong answers; nothing says why',
          f"""cp "$MANIFEST" model/holdfast.manifest.json
printf 'x' | dd of=model/{SHARD} bs=1 seek=200000 conv=notrunc status=none
{RUN} --model-source "$ORIGIN/" --deep-verify""" + READY_THEN_STOP, 0, '', ''),
        S('wrong-model', 'A model that the server does not know', '`Model architectures [...] are not supported for now`',
          f"echo '{{\"model_type\": \"llama\"}}' > model/config.json\n{RUN}", 97, 'verify-model', 'fix-config'),
    ]),
    ('Fetching', [
        S('fetch-denied', 'The origin refuses', '`Cannot access gated repo` | `401 ... You must be authenticated` | `403 ... awaiting a review`',
          f'{RUN} --model-source "$ORIGIN/~status:401:99/"'.replace('/model"', '/new"'), 83, 'fetch-denied', 'fix-config'),
        S('fetch-missing', 'The origin has no such model', '`Repository Not Found for url`',
          f'{RUN} --model-source "$ORIGIN/nothing/"'.replace('/model"', '/new"'), 84, 'fetch-missing', 'fix-config'),
        S('fetch-busy', 'The origin limits the rate', '`429 Too Many Requests`',
          f'{RUN} --model-source "$ORIGIN/~status:429:99:0/"'.replace('/model"', '/new"'), 90, 'fetch-busy', 'wait'),
        S('fetch-size', 'The origin has another file', '`Consistency check failed: file should be of size`',
          f'{RUN} --model-source "$ORIGIN/~long:0@00002/" --model-manifest "$MANIFEST"'.replace('/model"', '/new"'), 121, 'fetch-size', 'fix-config'),
        S('fetch-cut', 'A transfer is cut short', '`Consistency check failed: file should be of size` | `IncompleteRead`',
          f'{RUN} --model-source "$ORIGIN/~cutonce:100000@00002/"'.replace('/model"', '/new"') + READY_THEN_STOP, 0, '', ''),
        S('fetch-wait', 'Somebody else fetches it already', '`Still waiting to acquire lock on`',
          'mkdir new\nholdfast fetch "$ORIGIN/~slow:1000000@00002/" --out "$PWD/new" &\nuntil find new -name "*.part" | grep -q .; do sleep 0.1; done\n' +
          f'{RUN} --model-source "$ORIGIN/"'.replace('/model"', '/new"') + READY_THEN_STOP, 0, '', '', (), r'[\w.-]+: (?=another fetcher)'),
        S('fetch-page', 'A web page came instead of the file', '`header too large` | `HeaderTooLarge` | `Download encountered an error`',
          f'{RUN} --model-source "$ORIGIN/~html:0@00002/" --model-manifest "$MANIFEST"'.replace('/model"', '/new"'), 92, 'fetch-format', 'fix-config'),
        S('fetch-nobody', 'The origin does not answer', '`Connection refused`',
          'holdfast run --model "$PWD/new" --model-source http://127.0.0.1:1/', 85, 'fetch-net', 'retry'),
    ]),
    ('Permissions', [
        S('model-closed', 'The model cannot be read', '`PermissionError` at the first shard',
          f'chmod 600 model/{SHARD}\nchmod 777 state .\n{AS_USER} {RUN}', 74, 'permission', 'fix-config', ('users',)),
        S('target-closed', 'The folder to fetch into cannot be written', '`PermissionError` below the volume',
          f'mkdir -m 755 volume\nchmod 777 state\n{AS_USER} holdfast run --model "$PWD/volume" --model-source "$ORIGIN/"', 74, 'permission', 'fix-config', ('users',)),
        S('read-only', 'The volume is read-only', '`Read-only file system`',
          """mkdir volume
unshare -m sh -c 'mount -t tmpfs -o ro none volume; exec holdfast run --model "$PWD/volume" --model-source "$ORIGIN/"'""",
          74, 'permission', 'fix-config', ('mounts',)),
        S('home-closed', 'HOME cannot be written (before the start)', "`PermissionError: ... '/.triton'` | `PermissionError: ... '/.cache'`",
          f"HOME=/ {AS_USER} holdfast doctor --foreign --state-dir /tmp | grep -A 2 'HOME /:'", 0, '', '', ('users',)),
        S('home-server', 'HOME cannot be written (in the server)', "`PermissionError: ... '/.triton'` | `PermissionError: ... '/.cache'`",
          f"holdfast -- {AS_USER} python3 -c 'import os; os.mkdir(\"/.triton\")'", 1, 'not_writable', 'fix-config', ('users',)),
        S('cache-closed', 'A cache folder of the image cannot be written', '`Permission denied` at the first compile',
          f"mkdir -m 755 cache; chmod 755 .\nholdfast -- {AS_USER} python3 -c 'open(\"cache/kernel.so\", \"w\")'", 1, 'not_writable', 'fix-config', ('users',)),
        S('no-passwd', 'The user has no passwd entry', '`getpwuid(): uid not found`',
          f"holdfast -- {AS_USER} python3 -c 'import os, pwd; pwd.getpwuid(os.getuid())'", 1, 'no_passwd', 'fix-config', ('users',)),
    ]),
    ('The machine', [
        S('no-gpu', 'No GPU is visible', '`no CUDA-capable device is detected` | `No CUDA GPUs are available`',
          f'{RUN} --device cuda', 75, 'device', 'fix-config', ('no-gpu',)),
        S('dependency', 'A dependency is down', '`Connection refused` by another service | a pod that waits and does not say for what',
          f'{RUN} --need tcp://127.0.0.1:1', 77, 'dependency', 'wait'),
        S('package', 'A Python package is missing', '`PackageNotFoundError`',
          'holdfast doctor --foreign --package vllm | grep -A 2 "package vllm:"', 0, '', '', (), r'\(looked in [^)]*\)'),
        S('address-busy', 'The address is taken', '`Address already in use`',
          f'{RUN} --listen "${{ORIGIN#http://}}"', 67, 'listen', 'retry'),
    ]),
]
SCENARIOS = [s for _, scenarios in GROUPS for s in scenarios]


class Tour:
    """A folder with a copy of the programs, an origin and one folder a scenario."""

    def __init__(self, holdfast):
        self.top = tempfile.mkdtemp(prefix='holdfast-tour.')
        os.chmod(self.top, 0o755)
        prefix = os.path.dirname(os.path.dirname(os.path.abspath(holdfast)))
        for part in ('bin', 'libexec'):  # the tree of the build may be closed to others
            shutil.copytree(os.path.join(prefix, part), os.path.join(self.top, part))
        self.origin_root = os.path.join(self.top, 'origin')
        shutil.copytree(LITTLE, self.origin_root, ignore=shutil.ignore_patterns('.holdfast'))
        made = subprocess.run([self.path('bin/holdfast'), 'verify', self.origin_root, '--no-plan', '--write-manifest'], capture_output=True, text=True)
        if made.returncode:
            raise SystemExit('tour: the manifest cannot be made: ' + made.stderr)
        self.origin = subprocess.Popen([sys.executable, '-B', os.path.join(ROOT, 'tests/helpers/origin.py'), self.origin_root],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = self.origin.stdout.readline().strip()
        self.groups = {}
        self.lacks = self.look()
        self.names = [(at, f'/sys/fs/cgroup/{name}') for name, at in self.groups.items()]

    def path(self, name):
        return os.path.join(self.top, name)

    def group(self, controller, root):
        at = os.path.join(root, f'holdfast-tour-{os.getpid()}')
        try:
            os.mkdir(at)
        except OSError:
            return False
        self.groups[controller] = at
        return True

    def look(self):
        """need -> why this machine cannot."""
        lacks = {}
        root = os.geteuid() == 0
        if not root or not shutil.which('setpriv'):
            lacks['users'] = 'becoming another user needs root and setpriv'
        if not root or subprocess.run(['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /mnt'], capture_output=True).returncode:
            lacks['mounts'] = 'mounts of its own need root'
        v1, v2 = '/sys/fs/cgroup/memory', '/sys/fs/cgroup'
        self.limit = 'memory.limit_in_bytes' if os.path.isdir(v1) else 'memory.max'
        has_v2 = os.path.exists(v2 + '/cgroup.subtree_control') and 'memory' in open(v2 + '/cgroup.subtree_control', encoding='utf-8').read().split()
        if not root or not (os.path.isdir(v1) or has_v2) or not self.group('memory', v1 if os.path.isdir(v1) else v2):
            lacks['memory'] = 'no memory cgroup can be made here'
        if not root or not self.group('freezer', '/sys/fs/cgroup/freezer'):
            lacks['freezer'] = 'no v1 freezer cgroup to make a process unkillable with'
        if os.path.exists('/dev/nvidiactl'):
            lacks['no-gpu'] = 'this machine has a GPU'
        return lacks

    def run(self, s):
        """exit status, termination message, log rows, everything that was printed."""
        work = self.path(s.id)
        os.makedirs(os.path.join(work, 'state'))
        if 'model' in s.run and 'mkdir model' not in s.run:
            shutil.copytree(LITTLE, os.path.join(work, 'model'), ignore=shutil.ignore_patterns('.holdfast'))
        message = os.path.join(work, 'message')
        open(message, 'w', encoding='utf-8').close()
        os.chmod(message, 0o666)
        env = {'PATH': self.path('bin') + ':/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': work, 'LC_ALL': 'C.UTF-8',
               'ORIGIN': f'http://127.0.0.1:{self.port}', 'MANIFEST': os.path.join(self.origin_root, 'holdfast.manifest.json'),
               'GROUP': self.groups.get('memory', ''), 'MEMORY_LIMIT': self.limit, 'FREEZER': self.groups.get('freezer', ''),
               'HOLDFAST_STATE_DIR': os.path.join(work, 'state'), 'HOLDFAST_TERMINATION_LOG': message, 'HOLDFAST_LOG_FORMAT': 'json',
               'HOLDFAST_STATUS_LISTEN': '', 'HOLDFAST_RESTART': 'on-failure', 'HOLDFAST_RESTART_BUDGET': '1',
               'HOLDFAST_RESTART_DELAY': '10ms', 'HOLDFAST_FETCH_BACKOFF': '10ms', 'HOLDFAST_NEED_TIMEOUT': '300ms'}
        if 'holdfast run' in s.run:
            env['HOLDFAST_LISTEN'] = '127.0.0.1:0'
        child = subprocess.Popen(['bash', '-c', s.run], cwd=work, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, errors='replace', start_new_session=True)
        try:
            printed, _ = child.communicate(timeout=SCENARIO_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            printed = child.communicate()[0] + '\ntour: killed after its time'
        if s.tidy:
            subprocess.run(['bash', '-c', s.tidy], env=env, check=False)
        with open(message, encoding='utf-8', errors='replace') as f:
            said = f.read()
        shutil.rmtree(work)

        def clean(text):
            for path, name in ((work, '/tour'), (self.origin_root, '/origin'), (self.top, '/tour'), (':' + self.port, ':8080'), *self.names):
                text = text.replace(path, name)
            return re.sub(r'\b([0-9a-f]{8})[0-9a-f]{32,56}\b', r'\1...', text)
        printed = clean(printed)
        return child.returncode, clean(said), [r for r in map(row_of, printed.split('\n')) if r], printed

    def close(self):
        self.origin.kill()
        self.origin.wait()
        for at in self.groups.values():
            for _ in range(100):  # the last of its processes may still be leaving
                try:
                    os.rmdir(at)
                    break
                except OSError:
                    signal.sigtimedwait([], 0.05)
        shutil.rmtree(self.top, ignore_errors=True)


def row_of(line):
    try:
        return json.loads(line) if line.startswith('{') else None
    except ValueError:
        return None


def told(message, rows, printed):
    """cause, action, what was said in words: the termination message, or the first diagnosis where the server came back."""
    lines = message.split('\n')
    head = row_of(lines[0]) or {}
    if head.get('cause') == 'config':
        return head['cause'], head['action'], [line for line in lines[1:] if line]  # each mistake has a line
    first = next((r for r in rows if r['ev'] == 'diagnosis'), None)
    if head.get('cause') not in (None, 'finished', 'stopped'):
        return head['cause'], head['action'], lines[1:3]
    if first:
        return first['cause'], first['action'], [first['text'], first['advice']]
    again = next((r for r in rows if r['ev'] in ('fetch_retry', 'fetch_wait', 'verify_file')), None)
    if again:
        return '', '', [': '.join(again[k] for k in ('file' if 'what' in again else 'text', 'what', 'action') if k in again)]
    return '', '', [line for line in printed.rstrip('\n').split('\n') if not line.startswith('{')]


def then(s, status, rows, cause, action):
    verdict = ', '.join([f'`{w}`' for w in (cause, action) if w])
    rung = next((r['name'] for r in rows if r['ev'] == 'rung'), None)
    if rung:
        return f'{verdict}: it starts again one rung lower (`{rung}`), and ends well.'
    if any(r['ev'] == 'ready' for r in rows):
        return f'{verdict + ": it" if verdict else "It"} goes on by itself, and is ready.'
    if any(r['ev'] == 'restart' for r in rows):
        return f'{verdict}: it starts again; here the second start ends the same way, with exit status {status}.'
    return f'{verdict}, exit status {status}.' if cause else '`doctor` finds it before the start, and so does the preflight.'


def section(s, status, message, rows, printed):
    cause, action, words = told(message, rows, printed)
    return '\n'.join([f'### {s.title}\n', f'Elsewhere: {s.seen.replace(" | ", ", ")}.\n', '```sh', s.run, '```\n', '```', *words, '```\n',
                      then(s, status, rows, cause, action)]) + '\n'


def blurred(text, hide):
    """Without numbers and their units, users and addresses; blanks count once."""
    text = re.sub(hide, '', text) if hide else text
    text = re.sub(r'\b(\d+(\.\d+)?)( ?[KMGT]?i?B|m?s)?\b', 'N', text)
    return re.sub(r'\s+', ' ', re.sub(r'[0-9a-f]{12,64}', 'N', text)).strip()


def sections_of(page):
    return dict(re.findall(r'<!-- ([\w-]+) -->\n(.*?)<!-- end -->\n', page, re.S))


def link(s):
    return f'[{s.title}](#{re.sub(r"[^a-z0-9 -]", "", s.title.lower()).replace(" ", "-")})'


def contents():
    """What is seen -> the sections that may be meant, in the order of the page; what leads to the same place is one row."""
    where = {}
    for s in SCENARIOS:
        for symptom in s.seen.split(' | '):
            where.setdefault(symptom, []).append(link(s))
    rows = {}
    for symptom, links in where.items():
        rows.setdefault(', '.join(links), []).append(symptom)
    return '\n'.join(['| what you see | where to read |', '| --- | --- |', *(f'| {", ".join(symptoms)} | {links} |' for links, symptoms in rows.items())]) + '\n'


def write(page, sections):
    body = [contents() + '\n']
    for heading, scenarios in GROUPS:
        body.append(f'## {heading}\n\n')
        body += [f'<!-- {s.id} -->\n{sections.get(s.id, "")}<!-- end -->\n\n' for s in scenarios]
    page = re.sub(r'(<!-- tour begins -->\n).*?(<!-- tour ends -->\n)', lambda m: m[1] + '\n' + ''.join(body) + m[2], page, flags=re.S)
    with open(PAGE, 'w', encoding='utf-8') as f:
        f.write(page)


def visit(tour, s, old):
    """Its section as of now, and what is wrong with it."""
    status, message, rows, printed = tour.run(s)
    cause, action, _ = told(message, rows, printed)
    new = section(s, status, message, rows, printed)
    faults = [f'{what} is {got!r}, not {want!r}' for what, got, want in
              (('status', status, s.status), ('cause', cause, s.cause), ('action', action, s.action)) if got != want]
    if faults:
        faults.append(printed[-3000:])
    elif old is not None and blurred(new, s.hide) != blurred(old, s.hide):
        faults.append(f'docs/troubleshooting.md says otherwise (make tour); now:\n{new}')
    return new, faults


def main():
    args = [a for a in sys.argv[1:] if not a.startswith('--')]
    check = '--check' in sys.argv
    if '--list' in sys.argv:
        print('\n'.join(s.id for s in SCENARIOS))
        return 0
    with open(PAGE, encoding='utf-8') as f:
        page = f.read()
    sections = sections_of(page)
    wanted = [s for s in SCENARIOS if not args[1:] or s.id in args[1:]]
    bad = skipped = 0
    tour = Tour(args[0])
    try:
        for s in wanted:
            why = next((tour.lacks[n] for n in s.needs if n in tour.lacks), None)
            if why:
                print(f'ok {s.id} # skip {why}', flush=True)
                skipped += 1
                continue
            sections[s.id], faults = visit(tour, s, sections.get(s.id, '') if check else None)
            print('\n'.join([f'{"not ok" if faults else "ok"} {s.id}', *faults]), flush=True)
            bad += bool(faults)
    finally:
        tour.close()
    print(f'# {len(wanted)} scenarios: {len(wanted) - bad - skipped} as the page says, {bad} not, {skipped} skipped')
    if not check:
        write(page, sections)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
