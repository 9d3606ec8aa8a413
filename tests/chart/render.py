"""Renders of the chart for its tests: helm, the documents, and values made at random from the schema."""
import json
import os
import random
import re
import subprocess

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHART = os.environ.get('HOLD_CHART') or os.path.join(TOP, 'helm', 'holdfast')
LOWEST, HIGHEST = '1.25.0', '1.37.0'  # what Chart.yaml supports and schemas are to be had for

with open(os.path.join(CHART, 'values.schema.json'), encoding='utf-8') as f:
    SCHEMA = json.load(f)


def helm(values=None, release='x', version=HIGHEST, namespace='default', file=None, chart=CHART):
    """(text, '') or ('', what helm said)."""
    command = ['helm', 'template', release, chart, '--kube-version', version, '--namespace', namespace, '-f', file or '-']
    r = subprocess.run(command, input=None if file else json.dumps(values or {}, ensure_ascii=False), capture_output=True, text=True)
    return (r.stdout, '') if r.returncode == 0 else ('', r.stderr)


def documents(text):
    return [d for d in yaml.safe_load_all(text) if d]


def rendered(values=None, **more):
    text, error = helm(values, **more)
    if error:
        raise AssertionError(f'{values}: {error}')
    return documents(text)


def one(docs, kind, name=None):
    found = [d for d in docs if d['kind'] == kind and (name is None or d['metadata']['name'] == name)]
    assert len(found) == 1, f'{len(found)} of kind {kind}, not one'
    return found[0]


def workload(docs):
    return next(d for d in docs if d['kind'] in ('Deployment', 'StatefulSet'))


def pod(docs):
    return workload(docs)['spec']['template']['spec']


def server(docs):
    return next(c for c in pod(docs)['containers'] if c['name'] == 'server')


# ---- values at random ----

# Words for the patterns of the schema; the first are right, each is tried against the pattern.
WORDS = ['', 'a', 'b-c', '/data', '/srv/a', 'sha256:' + '0f' * 32, 'ab' * 32, '30Gi', '512Mi', '15s', '1m', '4', '0', '12', 'http://127.0.0.1:8000/health',
         'hf://zai-org/AutoGLM-Phone-9B', 'https://mirror.example.com/m/', 'http://10.0.0.7:8080/m/', 'file:///mnt/m', 'tcp://127.0.0.1:8000', '25%', 'NAME', '-', 'nvidia.com/gpu', '17 3 * * 0', '1Gi', '0Gi', '1500m']


def resolve(schema):
    return SCHEMA['definitions'][schema['$ref'].split('/')[-1]] if '$ref' in schema else schema


def value(rng, schema, depth=0):
    """A value that the schema admits."""
    schema = resolve(schema)
    if 'oneOf' in schema:
        return value(rng, rng.choice(schema['oneOf']), depth)
    if 'enum' in schema:
        return rng.choice(schema['enum'])
    kind = schema.get('type', 'object')
    kind = rng.choice([k for k in kind if k != 'number']) if isinstance(kind, list) else kind
    if kind == 'boolean':
        return rng.random() < 0.4
    if kind == 'null':
        return None
    if kind == 'integer':
        low, high = schema.get('minimum', 0), schema.get('maximum', 2 ** 31 - 1)
        return rng.choice([low, low + 1, min(high, low + rng.randrange(1, 20)), min(high, low + rng.randrange(1, 5000))] + ([high] if 'maximum' in schema else []))
    if kind == 'string':
        fits = [w for w in WORDS if re.search(schema.get('pattern', ''), w) and schema.get('minLength', 0) <= len(w) <= schema.get('maxLength', 999)]
        return rng.choice(fits)
    if kind == 'array':
        n = rng.choice([0, 1, 2]) if schema.get('minItems', 0) == 0 else schema['minItems']
        items = [value(rng, schema.get('items', {'type': 'string'}), depth + 1) for _ in range(n)]
        return [x for i, x in enumerate(items) if x not in items[:i]] if schema.get('uniqueItems') else items
    out = {}
    for name, sub in schema.get('properties', {}).items():
        if sub.get('deprecated') or (name not in schema.get('required', []) and rng.random() < 0.5):
            continue
        out[name] = value(rng, sub, depth + 1)
    for sub in [schema['additionalProperties']] if isinstance(schema.get('additionalProperties'), dict) else schema.get('patternProperties', {}).values():
        if rng.random() < 0.5:
            out[next(k for k in ('key', 'cpu') if re.search(next(iter(schema.get('patternProperties', {'': 0}))), k))] = value(rng, sub, depth + 1)
    return out


# What the schema leaves to Kubernetes: one right value for each, taken or not.
GIVEN = {
    'strategy': {'type': 'RollingUpdate'}, 'podSecurityContext': {'runAsUser': 4711}, 'securityContext': {'privileged': False}, 'config': {'fetch': {'tries': 5}},
    'affinity': {'podAntiAffinity': {}}, 'extraObjects': [{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'more'}}],
    'imagePullSecrets': [{'name': 'cred'}], 'extraVolumes': [{'name': 'scratch', 'emptyDir': {}}], 'initContainers': [{'name': 'first', 'image': 'a'}],
    'extraContainers': [{'name': 'beside', 'image': 'a'}], 'extraEnv': [{'name': 'A', 'value': 'b'}], 'extraEnvFrom': [{'secretRef': {'name': 's'}}],
    'tolerations': [{'key': 'a', 'operator': 'Exists'}], 'topologySpreadConstraints': [{'maxSkew': 1, 'topologyKey': 'zone', 'whenUnsatisfiable': 'ScheduleAnyway'}],
    'extraVolumeMounts': [{'name': 'tmp', 'mountPath': '/more'}],
}


def random_values(seed):
    """Values that the schema admits; whether they contradict each other is the templates' to say."""
    rng = random.Random(seed)
    out = {}
    for name, sub in SCHEMA['properties'].items():
        if sub.get('deprecated') or name in ('global', 'networkPolicy', 'hpa', 'keda', 'prometheusRule') or rng.random() < 0.6:
            continue
        out[name] = GIVEN[name] if name in GIVEN else value(rng, sub)
    for name in ('hpa', 'keda', 'networkPolicy', 'prometheusRule'):
        if rng.random() < 0.4:
            out[name] = {k: value(rng, s) for k, s in SCHEMA['properties'][name]['properties'].items() if s.get('type') in ('boolean', 'integer') and rng.random() < 0.7}
            if name == 'keda':
                out[name]['serverAddress'] = rng.choice(['', 'http://p:9090', 'http://p:9090'])
    if rng.random() < 0.8:
        settle(out)
    return out


def settle(v):
    """Takes back what contradicts the rest."""
    at = lambda name: v.get(name, {})
    if v.get('grace', 25) < (v.get('prestopDelay') or 0):
        v['prestopDelay'] = None
    if v.get('preset'):
        v.pop('command', None)
        v.setdefault('image', {})['repository'] = 'vllm/vllm-openai'
    elif not v.get('command'):
        for name in ('serverArgs', 'ready', 'warmup', 'install'):
            v.pop(name, None)
    cache = at('cache')
    if cache.get('type') == 'hostPath':
        cache['hostPath'] = '/srv/a'
        cache.pop('existingClaim', None)
    else:
        cache.pop('hostPath', None)
    if cache.get('type') == 'none':
        cache.pop('existingClaim', None)
    if cache.get('type') == 'none' or cache.get('readOnly'):
        at('model').pop('source', None)
    if not at('model').get('source'):
        at('model').pop('fetchBy', None)
    claim = cache.get('existingClaim') or (cache.get('type') == 'pvc' and v.get('kind') != 'StatefulSet')
    if not claim or not at('model').get('source'):
        v.pop('fetchJob', None)
    if not claim or cache.get('readOnly'):
        v.pop('gc', None)
    source = at('model').get('source')
    first = source[0] if isinstance(source, list) and len(source) == 1 else source
    if not (v.get('preset') or v.get('command')) or not isinstance(first, str) or not first.startswith('hf://'):
        at('model').pop('hubCache', None)
    if at('service').get('port', 8000) == at('service').get('statusPort', 8181):
        v.pop('service')
    at('pdb').pop('minAvailable', None)
    if at('serviceMonitor').get('enabled'):
        v.pop('podMonitor', None)
    if at('hpa').get('enabled'):
        v.pop('keda', None)
    for name in ('hpa', 'keda'):
        if name in v:
            v[name]['minReplicas'] = max(1, min(at(name).get('minReplicas', 1), at(name).get('maxReplicas', 4)))
    if 'keda' in v:
        v['keda']['serverAddress'] = 'http://p:9090'


def spoilt(rng, schema=None, path=''):
    """(path, values): values with exactly one mistake that a schema can see."""
    schema = resolve(schema or SCHEMA)
    if schema.get('type') == 'object' and schema.get('additionalProperties') is False and (rng.random() < 0.3 or not schema.get('properties')):
        return f'{path}/unknownKey', {'unknownKey': 1}
    if schema.get('type') == 'object' and schema.get('properties'):
        name = rng.choice([n for n, s in schema['properties'].items() if not s.get('deprecated') and n != 'global'])
        at, sub = spoilt(rng, schema['properties'][name], f'{path}/{name}')
        return at, {name: sub}
    if 'oneOf' in schema:
        return path, 7
    if 'enum' in schema:
        return path, 'no-such-word'
    kind = schema.get('type')
    kinds = kind if isinstance(kind, list) else [kind]
    wrong = {'integer': [-1], 'string': [['a'], True], 'boolean': ['yes'], 'array': ['a'], 'object': ['a'], 'null': [], None: []}
    choices = [w for k in kinds for w in wrong[k]] + ([schema['maximum'] + 1] if 'maximum' in schema else []) + (['?!'] if 'pattern' in schema else [])
    return path, rng.choice(choices or ['a'])
