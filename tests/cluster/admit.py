"""admit.py N: what the real API server says to N renders of the chart from values at random, and to every ci file, without keeping any.

Kinds of operators that this cluster does not have are left out, and so are pods that name a folder of the node, which a restricted
namespace refuses by design. Prints a line for each refusal; fails when there is one.
"""
import glob
import json
import os
import subprocess
import sys

import yaml

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'chart'))
from render import CHART, documents, helm, random_values  # noqa: E402

VERSION = '1.33.0'  # the cluster's


def admitted(name, text):
    docs = [d for d in documents(text) if '.' not in d['apiVersion'].split('/')[0] or d['apiVersion'].split('/')[0].endswith('k8s.io')]
    r = subprocess.run(['kubectl', '-n', os.environ['NS'], 'create', '--dry-run=server', '-f', '-'], input=yaml.safe_dump_all(docs), capture_output=True, text=True)
    refused = [line for line in r.stderr.split('\n') if line and not line.startswith('Warning')]
    for line in refused:
        print(f'{name}: {line}')
    return not refused


def main():
    good = bad = 0
    for f in sorted(glob.glob(os.path.join(CHART, 'ci', '*-values.yaml'))):
        ok = admitted(os.path.basename(f), helm(file=f, version=VERSION, namespace=os.environ['NS'])[0])
        good, bad = good + ok, bad + (not ok)
    for seed in range(1000, 1000 + int(sys.argv[1])):
        values = random_values(seed)
        text, error = helm(values, version=VERSION, namespace=os.environ['NS'])
        if error:
            continue
        ok = admitted(f'seed {seed} {json.dumps(values)}' if os.environ.get('HOLD_SHOW') else f'seed {seed}', text)
        good, bad = good + ok, bad + (not ok)
    print(f'{good} renders admitted, {bad} refused')
    return 1 if bad or good < 20 else 0


if __name__ == '__main__':
    sys.exit(main())
