"""Makes schemas for kubeconform from those of the package kubernetes-validate, once for a list of kinds: schemas.py FROM TO.

The package's own carry addresses of a server as their names and in their references; kubeconform reads files that refer to a file beside
them. Beside Kubernetes' kinds lie the custom ones of tests/chart/crds.
"""
import json
import os
import sys

KINDS = ['configmap-v1', 'secret-v1', 'service-v1', 'serviceaccount-v1', 'persistentvolumeclaim-v1', 'pod-v1', 'deployment-apps-v1', 'statefulset-apps-v1', 'job-batch-v1', 'cronjob-batch-v1',
         'poddisruptionbudget-policy-v1', 'horizontalpodautoscaler-autoscaling-v2', 'networkpolicy-networking-v1', '_definitions']


def write(path, text):
    """Whole or not at all: another run of the tests may be reading."""
    with open(f'{path}.{os.getpid()}', 'w', encoding='utf-8') as f:
        f.write(text)
    os.rename(f.name, path)


def main():
    source, target = sys.argv[1:3]
    done, kinds = os.path.join(target, 'done'), '\n'.join(KINDS)
    if os.path.exists(done) and open(done, encoding='utf-8').read() == kinds:
        return
    for folder in os.listdir(source):
        if not folder.endswith('-local-strict'):
            continue
        out = os.path.join(target, folder[:-len('-local-strict')])
        os.makedirs(out, exist_ok=True)
        for kind in KINDS:
            with open(os.path.join(source, folder, kind + '.json'), encoding='utf-8') as f:
                schema = json.loads(f.read().replace('"/api/_definitions.json', '"_definitions.json'))
            schema.pop('$id', None)
            schema.pop('$schema', None)
            write(os.path.join(out, kind + '.json'), json.dumps(schema))
    write(done, kinds)


if __name__ == '__main__':
    main()
