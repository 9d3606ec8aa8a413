#!/usr/bin/env python3
"""Each lint rule is able to fail: a violation of it is planted in a copy of the tree, and the rule must say so."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLANTS = {  # rule -> (file, text to add at the end or whole new file)
    'layers': ('base/err.c', '#include "supervisor/host/loop.h"\n'),
    'walls': ('base/num.c', '#include <cJSON.h>\n'),
    'pure': ('supervisor/policy/planted.c', '/* planted.c - x */\n#include <unistd.h>\n'),
    'banned': ('base/num.c', 'int planted(const char *t) { return atoi(t); }\n'),
    'clock': ('supervisor/host/planted.c', '/* planted.c - x */\nlong f(void) { return time(0); }\n'),
    'wall': ('supervisor/host/planted.c', '/* planted.c - x */\nlong f(void) { return hold_clock_ms(HOLD_CLOCK_WALL); }\n'),
    'sizes': ('base/planted.c', '/* planted.c - x */\n' + '\n' * 801),
    'headers': ('base/planted.h', '/* planted.h - x */\nstruct a { unknown_type b; };\n'),
    'purpose': ('base/planted.c', 'int x;\n'),
    'defaults': ('base/planted.c', '/* planted.c - x */\nint f(int a) { switch (a) { case HOLD_E_IO: return 1; default: return 0; } }\n'),
    'options': ('supervisor/host/planted.c', '/* planted.c - x */\nstruct hold_opt o[] = { { "planted-option", HOLD_OPT_STR } };\n'),
    'words': ('base/planted.c', '/* planted.c - x */\nconst char *p = "/' + 'work/x";\n'),
}


def main():
    sys.path.insert(0, os.path.join(ROOT, 'tests', 'lint'))
    import lint
    failed = 0
    with tempfile.TemporaryDirectory() as top:
        copy = os.path.join(top, 'tree')
        files = subprocess.run(['git', '-C', ROOT, 'ls-files'], capture_output=True, text=True).stdout.split('\n')
        for f in files:
            if f and os.path.isfile(os.path.join(ROOT, f)) and not f.startswith('examples/'):
                os.makedirs(os.path.join(copy, os.path.dirname(f)), exist_ok=True)
                shutil.copy(os.path.join(ROOT, f), os.path.join(copy, f))
        subprocess.run(['git', 'init', '-q', copy], check=True)
        for rule in lint.RULES:
            if rule not in PLANTS:
                print(f'not ok {rule}: no planted violation')
                failed += 1
                continue
            name, text = PLANTS[rule]
            path = os.path.join(copy, name)
            before = open(path).read() if os.path.exists(path) else None
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'a') as f:
                f.write(text)
            seen = [v for v in lint.RULES[rule](copy) if v.startswith(name)]
            print(f'ok a planted violation of {rule} is found' if seen else f'not ok {rule}: the planted violation was not found')
            failed += not seen
            os.remove(path)
            if before is not None:
                with open(path, 'w') as f:
                    f.write(before)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
