"""kubemod.py VERSION: a main module in this folder from which Kubernetes builds out of the module proxy alone.

k8s.io/kubernetes replaces its staging modules by folders of its own tree, so it cannot be installed by name. Replacing is the
right of the main module: here each staging module is replaced by the version that was published with the release.
"""
import json
import re
import subprocess
import sys

PROGRAMS = ('kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy', 'kubectl')


def main():
    version = sys.argv[1]
    got = json.loads(subprocess.run(['go', 'mod', 'download', '-json', 'k8s.io/kubernetes@v' + version], capture_output=True, text=True).stdout or '{}')
    if 'GoMod' not in got:
        sys.exit('k8s.io/kubernetes %s: %s' % (version, got.get('Error', 'the module proxy gave nothing')))
    with open(got['GoMod']) as f:
        text = f.read()
    go = re.search(r'^go (\S+)', text, re.M).group(1)
    staging = sorted(set(re.findall(r'(k8s\.io/[\w.-]+) => \./staging', text)))
    published = 'v0.' + version.split('.', 1)[1]
    with open('go.mod', 'w') as f:
        print('module holdfast.test/kube', '', 'go ' + go, '', 'require k8s.io/kubernetes v' + version, '', 'replace (', sep='\n', file=f)
        for module in staging:
            print('\t%s => %s %s' % (module, module, published), file=f)
        print(')', file=f)
    with open('programs.go', 'w') as f:
        print('package kube', '', 'import (', sep='\n', file=f)
        for name in PROGRAMS:
            print('\t_ "%s"' % ('k8s.io/kubectl/pkg/cmd' if name == 'kubectl' else 'k8s.io/kubernetes/cmd/%s/app' % name), file=f)
        print(')', file=f)


main()
