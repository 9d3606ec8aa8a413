#!/usr/bin/env python3
"""mixtures.py JOB URL ROOT WORK FIRST LAST: fetches through origin.py's faults, one seed after the other, and judges each run.

Seeds up to the number of faults are each fault alone; later ones draw one to five of them, the way of fetching (one stream or
pieces, with and without piece digests) and a life cut short by KILL. The file under the name is the right one or none; the
verdict is one that the faults explain; no run takes longer than a minute; a healthy origin then ends it with the right bytes.
A failing seed is printed with all it needs to be run again."""
import hashlib, json, os, random, shutil, signal, subprocess, sys, time

JOB, URL, ROOT, WORK, FIRST, LAST = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), int(sys.argv[6])
NAME = 'model-1.safetensors'
DATA = open(os.path.join(ROOT, NAME), 'rb').read()
SHA = hashlib.sha256(DATA).hexdigest()
LIMIT_S = 60

# fault: the statuses with which it may end a fetch by itself
FAULTS = {
    'drop:1': [], 'drop:99': [85], 'status:500:1': [], 'status:503:99:0': [99], 'status:429:1:0': [], 'status:429:99:0': [90], 'status:416:1': [],
    'status:416': [120], 'status:401': [83], 'status:403': [83], 'status:404': [84], 'status:410': [84], 'status:418': [80], 'cut:1500000': [], 'cut:1000': [85],
    'rst:2500000': [], 'cutonce:4000000': [], 'flip:1': [], 'flip:0': [94], 'tags': [], 'noetag': [], 'norange': [], 'wrongrange:1': [], 'wrongrange:99': [],
    'short:1': [], 'short:0': [121], 'long:1': [], 'long:0': [121], 'html:1': [], 'html:0': [92], 'pointer': [92], 'redirect': [], 'change:2000000': [87],
    'stall:3000000': [], 'mute:1': [], 'mute:99': [86],
}
# what a fault can add when others are there as well
MIXED = {
    'cut': [85], 'rst': [85], 'cutonce': [85], 'drop': [85], 'status': [], 'tags': [87], 'change': [87, 94, 121], 'norange': [120], 'wrongrange': [120], 'flip': [94],
    'short': [121, 120, 85], 'long': [121, 120], 'html': [92, 121], 'pointer': [92, 121, 120], 'stall': [86], 'mute': [86], 'redirect': [], 'noetag': [],
}
TRANSIENT = {'status:500:1': 99, 'status:429:1:0': 90, 'status:416:1': 120}


def draw(seed):
    """faults, flags, whether the first life is killed"""
    names = list(FAULTS)
    if seed <= len(names):
        return [names[seed - 1]], ['--fetch-split', '0'], False
    r = random.Random(seed)
    split = ['--fetch-split', r.choice(['0', '2MB'])]
    return r.sample(names, r.randint(1, 5)), split, r.random() < .25


def allowed(faults, is_alone):
    if is_alone:
        return set(FAULTS[faults[0]]) or {0}
    ends = {0}
    for f in faults:
        ends |= set(FAULTS[f]) | set(MIXED[f.split(':')[0]]) | ({TRANSIENT[f]} if f in TRANSIENT else set())
    return ends


def command(url, out, flags):
    return [JOB, 'fetch', '--url', url, '--sha256', SHA, '--size', str(len(DATA)), '--out', out, '--fetch-backoff', '5ms', '--fetch-backoff-max', '20ms', '--fetch-reserve', '0',
            '--fetch-stall', '2s', '--fetch-stall-bytes', '1KB'] + flags


def lies(out):
    """What is wrong with what stands under the name; None when it is right or absent."""
    if not os.path.exists(out):
        return None
    got = open(out, 'rb').read()
    return None if got == DATA else 'WRONG BYTES under the name (%d of %d)' % (len(got), len(DATA))


def run(seed):
    faults, flags, is_killed = draw(seed)
    folder = os.path.join(WORK, str(seed))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    out = os.path.join(folder, 'file')
    argv = command('%s/~%s+s%d/%s' % (URL, '+'.join(faults), seed, NAME), out, flags)
    what = 'seed %d: %s %s%s' % (seed, '+'.join(faults), ' '.join(flags), ' killed' if is_killed else '')
    if is_killed:
        p = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            p.wait(random.Random(seed).uniform(.02, .4))
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGKILL)
        p.wait()
        if lies(out):
            return what + ': ' + lies(out)
    begun = time.time()
    try:
        p = subprocess.run(argv, stderr=subprocess.PIPE, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return what + ': HANG'
    said = p.stderr.decode(errors='replace')
    if lies(out):
        return '%s: status %d: %s' % (what, p.returncode, lies(out))
    if (p.returncode == 0) != os.path.exists(out):
        return '%s: status %d, but the file is %s\n%s' % (what, p.returncode, 'there' if os.path.exists(out) else 'not there', said)
    ends = allowed(faults, seed <= len(FAULTS))
    if p.returncode not in ends:
        return '%s: status %d, %s were possible\n%s' % (what, p.returncode, sorted(ends), said)
    if p.returncode:
        cause = [json.loads(line) for line in said.splitlines() if '"cause"' in line]
        if not cause or cause[-1]['status'] != p.returncode or not cause[-1]['cure']:
            return '%s: status %d without its cause and cure\n%s' % (what, p.returncode, said)
        p = subprocess.run(command('%s/%s' % (URL, NAME), out, flags), stderr=subprocess.PIPE, timeout=LIMIT_S)
        if p.returncode or lies(out) or not os.path.exists(out):
            return '%s: a healthy origin then ended with %d\n%s' % (what, p.returncode, p.stderr.decode())
    left = sorted(set(os.listdir(folder)) - {'file'})
    if left:
        return '%s: left behind: %s' % (what, left)
    shutil.rmtree(folder)
    return None


def main():
    n_bad = 0
    for seed in range(FIRST, LAST + 1):
        bad = run(seed)
        if bad:
            n_bad += 1
            print(bad, flush=True)
    print('%d runs, %d bad' % (LAST - FIRST + 1, n_bad))
    return n_bad > 0


sys.exit(main())
