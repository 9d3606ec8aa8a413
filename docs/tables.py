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


def rooms():
    """One line a file: what its first comment says, grouped by the folders of the layers table."""
    with open(os.path.join(ROOT, 'ARCHITECTURE.md'), encoding='utf-8') as f:
        layers = re.search(r'```layers\n(.*?)```', f.read(), re.S).group(1)
    out = []
    for folder in [line.split(':')[0].strip() for line in layers.strip().split('\n')]:
        rows = {}
        for name in sorted(os.listdir(os.path.join(ROOT, folder)) if os.path.isdir(os.path.join(ROOT, folder)) else []):
            if not name.endswith(('.h', '.c', '.cu', '.cuh', '.def')):
                continue
            with open(os.path.join(ROOT, folder, name), encoding='utf-8') as f:
                m = re.match(r'/\* \S+ - (.*?)(?:\.(?:\s|$)|: |;|\*/)', f.read(1000).replace('\n *', ''), re.S)
            stem, ext = name.rsplit('.', 1)
            if m and (stem not in rows or ext == 'h'):
                rows[stem] = (rows.get(stem, ('', ''))[0], ' '.join(m[1].split()))
            rows[stem] = ((rows[stem][0] + ' ' if stem in rows and rows[stem][0] else '') + ext, rows.get(stem, ('', ''))[1]) if stem in rows else (ext, '')
        if rows:
            out.append(f'**{folder}**\n\n| file | what it is |\n| --- | --- |\n')
            out += [f'| `{stem}.{exts.split()[0] if len(exts.split()) == 1 else "[" + "".join(exts.split()) + "]"}` | {text} |\n' for stem, (exts, text) in rows.items()]
            out.append('\n')
    return ''.join(out)


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
        after = re.sub(r'(<!-- rooms -->\n).*?(<!-- end -->\n)', lambda m: m[1] + rooms() + m[2], after, flags=re.S)
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
