#!/usr/bin/env python3
"""Writes the code's own tables into README.md, docs/troubleshooting.md and the man pages, between their markers.

  tables.py [--check] HOLDFAST     --check changes nothing and fails when a table is stale
Markdown:  <!-- table: options --> ... <!-- end -->      roff:  .\\" table: options  ...  .\\" end
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILES = ['README.md', 'ARCHITECTURE.md', 'docs/troubleshooting.md', 'docs/holdfast.1', 'docs/holdfast.json.5']


def table(holdfast, what, form):
    return subprocess.run([holdfast, 'docs', what, '--' + form], check=True, capture_output=True, text=True).stdout


def main():
    check = '--check' in sys.argv
    holdfast = [a for a in sys.argv[1:] if a != '--check'][0]
    stale = 0
    for name in FILES:
        path = os.path.join(ROOT, name)
        if not os.path.exists(path):
            continue
        with open(path, encoding='utf-8') as f:
            before = f.read()
        roff = not name.endswith('.md')
        if roff:
            pattern = r'(\.\\" table: (\w+)\n).*?(\.\\" end\n)'
        else:
            pattern = r'(<!-- table: (\w+) -->\n).*?(<!-- end -->\n)'
        after = re.sub(pattern, lambda m: m[1] + table(holdfast, m[2], 'roff' if roff else 'markdown') + m[3], before, flags=re.S)
        if after != before:
            stale += 1
            print(f'{name}: {"stale (make docs)" if check else "written"}')
            if not check:
                with open(path, 'w', encoding='utf-8') as f:
                    f.write(after)
    if check:
        print('not ok tables of the documents are stale' if stale else 'ok tables of the documents are fresh')
    sys.exit(1 if check and stale else 0)


if __name__ == '__main__':
    main()
