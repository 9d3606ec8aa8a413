#!/usr/bin/env python3
"""House rules that a machine can check, one function each.

  lint.py [--root DIR] [RULE...]     runs the rules (default: all), prints 'ok RULE' or the violations
Each rule is proven able to fail by tests/lint/plant.py, which plants a violation of it in a copy of the tree.
"""
import argparse
import os
import re
import subprocess
import sys

FLOORS = {}  # folder -> set of folders it may include, read from ARCHITECTURE.md
HARD_LINES = 800
WALLS = {  # third-party header -> the only file that may include it
    'cJSON.h': 'base/json.c',
    'seccomp.h': 'supervisor/host/seccomp.c',
    'sys/capability.h': 'supervisor/host/caps.c',
    'curl/curl.h': 'supervisor/job/fetch.c',
    'openssl/': 'supervisor/job/digest.c',
    'microhttpd.h': 'runtime/serve/http.c',
    'spng.h': 'runtime/image/png.c',
    'jpeglib.h': 'runtime/image/jpeg.c',
}
PURE = ('supervisor/policy/', 'runtime/plan/', 'runtime/text/', 'runtime/weights/')
IMPURE_HEADERS = re.compile(r'^(unistd|fcntl|time|pthread|poll|dirent|sys/.*|netinet/.*|arpa/.*)\.h$')
PURE_BASE = {'err', 'list', 'num', 'buf', 'arena', 'json', 'utf8', 'name', 'exit', 'log', 'opt'}
BANNED = {
    'strcpy': 'copy with a bound', 'strncpy': 'does not terminate', 'sprintf': 'use snprintf',
    'vsprintf': 'use vsnprintf', 'gets': 'no bound', 'strtok': 'hidden state', 'atoi': 'use hold_parse_*',
    'atol': 'use hold_parse_*', 'atof': 'use hold_parse_*', 'alloca': 'use an arena or a buffer',
    'system': 'no shell', 'popen': 'no shell', 'signal': 'use sigaction', 'sleep': 'wait for an event',
    'usleep': 'wait for an event', 'nanosleep': 'wait for an event', 'rand': 'randomness is an argument',
    'srand': 'randomness is an argument', 'localtime': 'use gmtime_r', 'asctime': 'unsafe', 'ctime': 'unsafe', 'tmpnam': 'unsafe', 'mktemp': 'unsafe',
}
GETENV_FILES = {'base/notify.c', 'base/opt.c', 'runtime/config.c'}  # the last reads LISTEN_FDS, a protocol and no option


def sources(root, *suffixes):
    out = subprocess.run(['git', '-C', root, 'ls-files', '-co', '--exclude-standard'], capture_output=True, text=True).stdout.split('\n')
    return [f for f in out if f.endswith(suffixes) and os.path.isfile(os.path.join(root, f))]


def product(root, *suffixes):
    return [f for f in sources(root, *suffixes) if f.split('/')[0] in ('base', 'supervisor', 'runtime', 'kernels')]


def text_of(root, name):
    with open(os.path.join(root, name), encoding='utf-8') as f:
        return f.read()


def without_comments(code):
    """Comments and string contents become blanks of the same number of lines."""
    def blank(m):
        s = m.group(0)
        return '""' if s.startswith('"') else "' '" if s.startswith("'") else re.sub(r'[^\n]', ' ', s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, code, flags=re.S)


def includes(root, name):
    return re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', text_of(root, name), re.M)


def read_floors(root):
    table = re.search(r'```layers\n(.*?)```', text_of(root, 'ARCHITECTURE.md'), re.S)
    floors = {}
    for line in table.group(1).strip().split('\n'):
        left, right = line.split(':')
        floors[left.strip()] = set(right.split()) - {'-'}
    return floors


def rule_layers(root):
    """An include goes down or sideways inside its own folder, never up (the table stands in ARCHITECTURE.md)."""
    floors = read_floors(root)
    for f in product(root, '.c', '.h', '.cu', '.cuh', '.def'):
        folder = os.path.dirname(f)
        if folder not in floors:
            yield f'{f}: the folder {folder} has no line in the layers table'
            continue
        for inc in includes(root, f):
            target = os.path.dirname(inc)
            if target in floors and target != folder and target not in floors[folder]:
                yield f'{f}: includes {inc}; {folder} may include {", ".join(sorted(floors[folder])) or "nothing"}'


def rule_walls(root):
    """One third-party header, one includer."""
    for f in product(root, '.c', '.h'):
        for inc in includes(root, f):
            for header, owner in WALLS.items():
                if (inc == header or (header.endswith('/') and inc.startswith(header))) and f != owner:
                    yield f'{f}: includes <{inc}>; only {owner} may'


def rule_pure(root):
    """Pure folders include no header that can do I/O and nothing of base that does."""
    for f in product(root, '.c', '.h'):
        if not f.startswith(PURE):
            continue
        for inc in includes(root, f):
            if IMPURE_HEADERS.match(inc):
                yield f'{f}: includes <{inc}>, but the folder is pure'
            m = re.match(r'base/(\w+)\.h$', inc)
            if m and m.group(1) not in PURE_BASE:
                yield f'{f}: includes {inc}, which is not pure'


def rule_banned(root):
    """Calls that have a better form here."""
    pattern = re.compile(r'(?<![\w.>])(' + '|'.join(BANNED) + r')\s*\(')
    for f in product(root, '.c', '.h', '.cu'):
        code = without_comments(text_of(root, f))
        for n, line in enumerate(code.split('\n'), 1):
            for m in pattern.finditer(line):
                yield f'{f}:{n}: {m.group(1)}: {BANNED[m.group(1)]}'
            if re.search(r'(?<![\w.>])(secure_)?getenv\s*\(', line) and f not in GETENV_FILES and '/cuda/' not in f and '/emu/' not in f:
                yield f'{f}:{n}: getenv: the environment is read by base/opt.c'
            if re.search(r'(?<![\w.>])exit\s*\(', line) and not re.search(r'main\.c$|launch\.c$|/child\.c$', f):
                yield f'{f}:{n}: exit: only a main ends the program'
            if re.search(r'(?<![\w.>])dup\s*\(', line):
                yield f'{f}:{n}: dup: use F_DUPFD_CLOEXEC'
            if re.search(r'\bcudaMallocManaged\b|\bcuMemAllocManaged\b', line):
                yield f'{f}:{n}: managed memory is never used'


def in_process_1(f):
    return f.startswith('base/') or (f.startswith('supervisor/') and '/job/' not in f)


def rule_clock(root):
    """base/clock.c alone asks the kernel for the time: what process 1 and the log call one, tests can drive."""
    for f in product(root, '.c', '.h'):
        if not in_process_1(f) or f == 'base/clock.c':
            continue
        for n, line in enumerate(without_comments(text_of(root, f)).split('\n'), 1):
            if re.search(r'(?<![\w.>])(clock_gettime|time|gettimeofday|timespec_get|times)\s*\(', line):
                yield f'{f}:{n}: the time comes from base/clock.h'


def rule_wall(root):
    """The wall clock is for the log: a deadline made of it fires early or late when somebody sets the clock."""
    for f in product(root, '.c', '.h'):
        if not in_process_1(f) or f in ('base/clock.c', 'base/clock.h', 'base/log.c'):
            continue
        for n, line in enumerate(without_comments(text_of(root, f)).split('\n'), 1):
            if re.search(r'\bHOLD_CLOCK_WALL\b|\bCLOCK_REALTIME', line):
                yield f'{f}:{n}: the wall clock is for the log alone'


def rule_sizes(root):
    """A file has at most 800 lines (400 is the aim); data tables (.def) are not counted."""
    for f in product(root, '.c', '.h', '.cu', '.cuh') + [s for s in sources(root, '.c', '.h') if s.startswith('tests/')]:
        n = text_of(root, f).count('\n')
        if n > HARD_LINES and not f.endswith('_table.h'):
            yield f'{f}: {n} lines, the limit is {HARD_LINES}'


def rule_headers(root):
    """Each header compiles alone."""
    for f in product(root, '.h'):
        if '/cuda/' in f or '/emu/' in f or f.endswith('_body.h'):
            continue
        r = subprocess.run(['gcc', '-std=gnu2x', '-fsyntax-only', '-D_GNU_SOURCE', '-I', root, '-x', 'c', '-include', f, '/dev/null'], cwd=root, capture_output=True, text=True)
        if r.returncode:
            yield f'{f}: does not compile alone: {r.stderr.strip().splitlines()[0]}'


def rule_purpose(root):
    """Each source file says in its first comment what it is for."""
    for f in product(root, '.c', '.h', '.cu', '.cuh', '.def'):
        head = text_of(root, f)[:200]
        if not re.match(r'/\* ' + re.escape(os.path.basename(f)) + r' - ', head):
            yield f'{f}: must begin with "/* {os.path.basename(f)} - ..."'


def rule_defaults(root):
    """No default in a switch over one of the house's enums (a case label HOLD_...)."""
    for f in product(root, '.c'):
        code = without_comments(text_of(root, f))
        for m in re.finditer(r'\bswitch\s*\([^{]*\)\s*\{', code):
            depth, at = 1, m.end()
            while depth and at < len(code):
                depth += {'{': 1, '}': -1}.get(code[at], 0)
                at += 1
            body = code[m.end():at]
            if re.search(r'\bcase\s+HOLD_', body) and re.search(r'\bdefault\s*:', body):
                yield f'{f}:{code.count(chr(10), 0, m.start()) + 1}: default in a switch over an enum'


def rule_options(root):
    """Every option of the tables stands in README.md and in the man page."""
    manual_path = os.path.join(root, 'docs/holdfast.1')
    readme, manual = text_of(root, 'README.md'), text_of(root, 'docs/holdfast.1') if os.path.exists(manual_path) else ''
    for f in product(root, '.c'):
        if not f.startswith(('supervisor/', 'runtime/')):
            continue
        for m in re.finditer(r'\{\s*(?:\.name = )?"([a-z][a-z0-9-]+)",\s*(?:\.type = )?HOLD_OPT_(\w+)', text_of(root, f)):
            name, kind = m.groups()
            if f.startswith('runtime/') or '/job/' in f:
                continue
            shown = name if kind == 'SECRET' else '--' + name
            if shown not in readme and name.upper().replace('-', '_') not in readme:
                yield f'{f}: option --{name} is not in README.md (make docs)'
            if name.replace('-', '\\-') not in manual and name.upper().replace('-', '_') not in manual:
                yield f'{f}: option --{name} is not in docs/holdfast.1 (make docs)'


def rule_words(root):
    """The repository speaks of holdfast alone: no path of a build machine, no registry host."""
    pattern = re.compile(r'/(work)/|/(root)/\.|deb\.debian\.org|pypi\.org|registry\.npmjs|proxy\.golang')
    for f in sources(root, '.c', '.h', '.md', '.sh', '.mk', '.py', '.bats', '.def', '.json', '.yaml', 'Makefile', 'Dockerfile', 'run'):
        if f == 'tests/lint/lint.py' or '/checkpoint/' in f:
            continue
        for n, line in enumerate(text_of(root, f).split('\n'), 1):
            if pattern.search(line):
                yield f'{f}:{n}: {line.strip()[:100]}'


RULES = {k[5:]: v for k, v in list(globals().items()) if k.startswith('rule_')}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--root', default=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    p.add_argument('rules', nargs='*')
    a = p.parse_args()
    failed = 0
    for name in a.rules or RULES:
        found = list(RULES[name](a.root))
        print(f'not ok {name}' if found else f'ok {name}')
        for line in found[:20]:
            print('  ' + line)
        failed += bool(found)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
