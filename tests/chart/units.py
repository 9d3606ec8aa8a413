"""Promises of the chart, each a function; prints TAP. units.py [WORD] runs those whose name contains WORD; `units.py --golden` writes the
golden renders anew.
"""
import concurrent.futures
import glob
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import yaml

import kubelet
from render import CHART, HIGHEST, LOWEST, SCHEMA, TOP, documents, helm, one, pod, random_values, rendered, server, spoilt, workload

HERE = os.path.dirname(os.path.abspath(__file__))
CI = sorted(glob.glob(os.path.join(CHART, 'ci', '*-values.yaml')))
FILES = CI + sorted(glob.glob(os.path.join(TOP, 'examples', '*', 'values*.yaml')))
GOLDEN = os.path.join(HERE, 'golden')
SEEDS = int(os.environ.get('HOLD_CHART_SEEDS', '300'))
CACHE = os.path.dirname(os.path.dirname(os.path.dirname(sys.executable)))  # the cache folder's validate/bin/python
RESTRICTED = {'allowPrivilegeEscalation': False, 'readOnlyRootFilesystem': True, 'capabilities': {'drop': ['ALL']}}


def flat(path):
    return os.path.relpath(path, TOP).replace('/', '-')


def valid(version, files):
    """kubeconform on files: Kubernetes' own schemas of that version, and those of the custom kinds beside this file."""
    r = subprocess.run(['kubeconform', '-strict', '-schema-location', f'{CACHE}/schemas/v{version}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json',
                        '-schema-location', os.path.join(HERE, 'crds', '{{.ResourceKind}}{{.KindSuffix}}.json'), *files], capture_output=True, text=True)
    return r.returncode == 0, r.stdout[-3000:] + r.stderr[-1000:]


def refused(values, *words):
    text, error = helm(values)
    assert error and not text, f'{values} was not refused'
    for word in words:
        assert word in error, f'{values}: the message does not say {word!r}: {error}'
    return error


def podspec(d):
    """The pods that an object makes, or None."""
    if d['kind'] in ('Deployment', 'StatefulSet', 'Job'):
        return d['spec']['template']['spec']
    return d['spec']['jobTemplate']['spec']['template']['spec'] if d['kind'] == 'CronJob' else d['spec'] if d['kind'] == 'Pod' else None


# ---- lint, validity ----

def chart_lints_strictly():
    for f in CI:
        r = subprocess.run(['helm', 'lint', '--strict', '--kube-version', HIGHEST, '-f', f, CHART], capture_output=True, text=True)
        assert r.returncode == 0 and 'WARNING' not in r.stdout, f + r.stdout + r.stderr


def yaml_files_and_renders_are_clean():
    config = ('{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}, brackets: {max-spaces-inside: 1}, '
              'indentation: {spaces: consistent, indent-sequences: whatever}, comments: {min-spaces-from-content: 1}, truthy: {check-keys: false}}}')
    files = [os.path.join(CHART, 'values.yaml'), os.path.join(CHART, 'Chart.yaml'), *FILES]
    with tempfile.TemporaryDirectory() as d:
        for f in FILES:
            name = os.path.join(d, flat(f))
            with open(name, 'w', encoding='utf-8') as out:
                out.write(re.sub(r'\n+$', '\n', helm(file=f)[0]))
            files.append(name)
        r = subprocess.run([sys.executable, '-m', 'yamllint', '--strict', '-d', config, *files], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout[-2000:]


def every_ci_file_and_example_is_valid_for_the_lowest_and_highest_kubernetes():
    for version in (LOWEST, HIGHEST):
        with tempfile.TemporaryDirectory() as d:
            for f in FILES:
                text, error = helm(file=f, version=version)
                assert not error, f'{f}: {error}'
                with open(os.path.join(d, flat(f)), 'w', encoding='utf-8') as out:
                    out.write(text)
            ok, said = valid(version, [d])
            assert ok, said


def wrong_manifest_is_refused_by_the_validator():
    with tempfile.TemporaryDirectory() as d:
        for version in (LOWEST, HIGHEST):
            for before, after in (('  replicas:', '  replicaz:'), ('periodSeconds: 5', 'periodSeconds: five'), ('containerPort: 8000', 'containerPort: "x"')):
                path = os.path.join(d, 'r.yaml')
                with open(path, 'w', encoding='utf-8') as f:
                    text = helm(version=version)[0]
                    assert before in text, before
                    f.write(text.replace(before, after))
                assert not valid(version, [path])[0], after


def golden_renders_are_unchanged():
    stale = []
    for f in CI:
        path = os.path.join(GOLDEN, os.path.basename(f).replace('-values', ''))
        text = helm(file=f)[0]
        if not os.path.exists(path) or open(path, encoding='utf-8').read() != text:
            stale.append(os.path.relpath(path, TOP))
    assert not stale, f'{", ".join(stale)}: look at the difference, then `sh tests/chart/run.sh --golden`'


# ---- keys ----

def unknown_keys_are_refused_at_every_depth():
    def objects(schema, path):
        if schema.get('properties') and path != ['global']:  # the one map that belongs to other charts too
            assert schema.get('additionalProperties') is False, f'{".".join(path)} admits any key'
            yield path
            for name, sub in schema.get('properties', {}).items():
                yield from objects(sub, path + [name])
    paths = list(objects(SCHEMA, []))
    assert len(paths) > 20
    for path in paths:
        values = {'noSuchKey': 1}
        for name in reversed(path):
            values = {name: values}
        refused(values, 'noSuchKey')


def names_of_other_charts_are_refused_by_naming_ours():
    for name, ours in (('replicaCount', 'replicas'), ('autoscaling', 'hpa or keda'), ('persistence', 'cache'), ('env', 'extraEnv'), ('livenessProbe', 'probes.liveness'),
                       ('podDisruptionBudget', 'pdb'), ('terminationGracePeriodSeconds', 'grace')):
        refused({name: 1}, f'{name}: this chart calls it {ours}')
    refused({'model': {'sources': ['a']}}, 'model.source')
    refused({'probes': {'startup': {'backstop': 1}}}, 'start.backstop')


CONTRADICTIONS = [
    ({'preset': 'vllm', 'command': ['a'], 'image': {'repository': 'v'}}, 'preset and command'),
    ({'preset': 'vllm'}, 'image.repository'),
    ({'serverArgs': ['a']}, 'serverArgs'),
    ({'ready': 'notify'}, 'ready, startup, live, warmup'),
    ({'live': 'tcp://127.0.0.1:1'}, 'ready, startup, live, warmup'),
    ({'install': {'enabled': True}}, 'install.enabled'),
    ({'service': {'port': 8181}}, 'service.port and service.statusPort'),
    ({'grace': 2, 'prestopDelay': 3}, 'prestopDelay'),
    ({'cache': {'type': 'hostPath'}}, 'cache.hostPath'),
    ({'cache': {'hostPath': '/a'}}, 'cache.hostPath'),
    ({'cache': {'type': 'none', 'existingClaim': 'c'}}, 'cache.existingClaim'),
    ({'cache': {'type': 'none'}, 'model': {'source': 'hf://a/b'}}, 'model.source'),
    ({'cache': {'readOnly': True}, 'model': {'source': 'hf://a/b'}}, 'model.source'),
    ({'model': {'fetchBy': 'init'}}, 'model.fetchBy'),
    ({'fetchJob': {'enabled': True}}, 'fetchJob.enabled'),
    ({'fetchJob': {'enabled': True}, 'model': {'source': 'hf://a/b'}}, 'fetchJob.enabled'),
    ({'fetchJob': {'enabled': True}, 'model': {'source': 'hf://a/b'}, 'kind': 'StatefulSet', 'cache': {'type': 'pvc'}}, 'fetchJob.enabled'),
    ({'model': {'hubCache': 'hub', 'source': 'hf://a/b'}}, 'model.hubCache'),
    ({'command': ['s'], 'model': {'hubCache': 'hub'}}, 'model.hubCache: needs'),
    ({'command': ['s'], 'model': {'hubCache': 'hub', 'source': ['hf://a/b', 'https://c/']}}, 'model.hubCache: needs'),
    ({'command': ['s'], 'model': {'hubCache': 'hub', 'source': 'https://a/'}}, 'model.hubCache: needs'),
    ({'gc': {'enabled': True}}, 'gc.enabled'),
    ({'gc': {'enabled': True}, 'cache': {'existingClaim': 'c', 'readOnly': True}}, 'gc.enabled'),
    ({'hpa': {'enabled': True}, 'keda': {'enabled': True, 'serverAddress': 'http://p'}}, 'hpa.enabled and keda.enabled'),
    ({'hpa': {'enabled': True, 'minReplicas': 9}}, 'hpa.minReplicas'),
    ({'keda': {'enabled': True}}, 'keda.serverAddress'),
    ({'keda': {'enabled': True, 'serverAddress': 'http://p', 'minReplicas': 9}}, 'keda.minReplicas'),
    ({'keda': {'enabled': True, 'serverAddress': 'http://p', 'minReplicas': 0}}, 'keda.query'),
    ({'serviceMonitor': {'enabled': True}, 'podMonitor': {'enabled': True}}, 'serviceMonitor.enabled and podMonitor.enabled'),
    ({'pdb': {'enabled': True, 'minAvailable': 1, 'maxUnavailable': 1}}, 'pdb.minAvailable and pdb.maxUnavailable'),
    ({'strategy': {'type': 'OnDelete'}}, 'strategy.type'),
    ({'kind': 'StatefulSet', 'strategy': {'type': 'Recreate'}}, 'strategy.type'),
    ({'cache': {'type': 'hostPath', 'hostPath': '/srv/../etc'}}, 'cache.hostPath'),
    ({'cache': {'subPath': '../other'}}, 'cache.subPath'),
    ({'model': {'source': 'https://user:secret@host/m/'}}, 'model.source'),
    ({'model': {'source': ['hf://a/b', 's3://key:secret@bucket/m']}}, 'model.source'),
    ({'gpu': {'count': 1}, 'resources': {'limits': {'nvidia.com/gpu': 2}}}, 'gpu.count and resources.limits'),
    ({'extraArgs': ['--grace=60s']}, 'extraArgs: --grace is grace'),
    ({'extraArgs': ['--status-listen', ':1']}, 'extraArgs: --status-listen is service.statusPort'),
    ({'command': ['s'], 'extraArgs': ['--', 'other']}, 'extraArgs: -- ends'),
    ({'extraVolumes': [{'name': 'tmp', 'emptyDir': {}}]}, 'extraVolumes: the pod has a volume tmp'),
    ({'kind': 'StatefulSet', 'cache': {'type': 'pvc'}, 'extraVolumes': [{'name': 'models', 'emptyDir': {}}]}, 'extraVolumes: the pod has a volume models'),
    ({'extraContainers': [{'name': 'server', 'image': 'a'}]}, 'extraContainers and initContainers: the pod has a container server'),
    ({'initContainers': [{'name': 'fetch', 'image': 'a'}], 'model': {'source': 'hf://a/b', 'fetchBy': 'init'}}, 'extraContainers and initContainers: the pod has a container fetch'),
    ({'extraVolumeMounts': [{'name': 'tmp', 'mountPath': '/models/'}]}, 'two volumes at /models/ of the container server'),
    ({'cache': {'mountPath': '/tmp'}}, 'two volumes at /tmp of the container server'),
    ({'command': ['s'], 'install': {'enabled': True, 'path': '/models'}}, 'cache.mountPath, install.path and extraVolumeMounts'),
    ({'extraVolumeMounts': [{'name': 'nowhere', 'mountPath': '/a'}]}, 'extraVolumeMounts: the pod has no volume nowhere'),
    ({'resources': {'limits': {'memory': '8Gi'}}}, 'resources.requests.memory: 24Gi is more than resources.limits.memory (8Gi)'),
    ({'resources': {'requests': {'cpu': 2}, 'limits': {'cpu': '1500m'}}}, 'resources.requests.cpu: 2 is more than resources.limits.cpu (1500m)'),
    ({'resources': {'limits': {'cpu': 0}}}, 'resources.requests.cpu: 2 is more than resources.limits.cpu (0)'),
    ({'cache': {'type': 'pvc', 'size': '0Gi'}}, 'cache.size'),
    ({'grace': None}, 'grace: null is no value for it; leave the key out for its default, 25'),
    ({'probes': None}, 'probes: null'),
    ({'cache': {'accessModes': None}}, 'cache.accessModes: null'),
]


def contradictions_are_refused_by_naming_the_keys():
    for values, words in CONTRADICTIONS:
        refused(values, words)


def every_check_of_the_templates_has_its_contradiction_here():
    with open(os.path.join(CHART, 'templates', '_checks.tpl'), encoding='utf-8') as f:
        checks = re.findall(r'fail (?:\(printf )?"([^":]+):', f.read())
    named = [words for _, words in CONTRADICTIONS] + ['model.sources', 'probes.startup.backstop', '%s']
    for check in checks:
        assert any(check.startswith(w) or w.startswith(check) or w in check for w in named), f'{check}: no test'


def null_is_empty_for_what_may_be_empty_and_refused_by_name_for_the_rest():
    with open(os.path.join(CHART, 'files', 'defaults.json'), encoding='utf-8') as f:
        needed = json.load(f)
    with open(os.path.join(CHART, 'values.yaml'), encoding='utf-8') as f:
        values = yaml.safe_load(f)

    def leaves(at, path):
        for name, v in at.items():
            sub = f'{path}{name}'
            if sub in needed and isinstance(v, dict):
                yield from leaves(v, sub + '.')
            else:
                yield sub, v
    keys = dict(leaves(values, ''))
    for path, v in keys.items():  # a number, a word or a truth is needed, a list or a map of the user's is not
        assert (path in needed) == (v not in (None, '', {}, []) and path not in ('resources', 'fetchJob.resources', 'gc.resources', 'podSecurityContext', 'securityContext', 'dashboard.labels')), path
    nothing = {}
    for path in keys:
        if path not in needed and path not in ('model.existingSecretKey',):
            at = nothing
            for name in path.split('.')[:-1]:
                at = at.setdefault(name, {})
            at[path.split('.')[-1]] = None
    on = {name: {'enabled': True} for name in ('hpa', 'pdb', 'serviceMonitor', 'prometheusRule', 'networkPolicy', 'dashboard')}
    claim = {'gc': {**nothing['gc'], 'enabled': True}, 'cache': {**nothing['cache'], 'existingClaim': 'c'}}
    for more in ({}, {'command': ['s'], 'install': {'enabled': True}}, claim):
        text, error = helm({**nothing, **{k: {**nothing.get(k, {}), **v} for k, v in on.items()}, **more})
        assert not error, error
        assert not re.search(r'null|<nil>|no value', text.replace('HoldfastNull', '')), re.findall(r'.*(?:null|<nil>|no value).*', text)[:3]
        with tempfile.TemporaryDirectory() as d:
            with open(os.path.join(d, 'r.yaml'), 'w', encoding='utf-8') as f:
                f.write(text)
            ok, said = valid(HIGHEST, [d])
            assert ok, said


# ---- what is promised of a render ----

def zero_stays_zero():
    docs = rendered({'replicas': 0, 'grace': 0, 'prestopDelay': 0, 'probes': {p: {'delay': 0} for p in ('startup', 'liveness', 'readiness')},
                     'pdb': {'enabled': True, 'maxUnavailable': 0}, 'start': {'noProgress': 0, 'backstop': 0}, 'keda': {'enabled': False}, 'shm': {'size': '0'},
                     'gpu': {'count': 0}, 'model': {'source': 'hf://a/b'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True, 'backoffLimit': 0, 'ttl': 0}})
    assert workload(docs)['spec']['replicas'] == 0
    assert pod(docs)['terminationGracePeriodSeconds'] == 5
    for probe in ('startupProbe', 'livenessProbe', 'readinessProbe'):
        assert server(docs)[probe]['initialDelaySeconds'] == 0
    assert one(docs, 'PodDisruptionBudget')['spec'] == {**one(docs, 'PodDisruptionBudget')['spec'], 'maxUnavailable': 0}
    assert {'--grace=0s', '--prestop-delay=0s', '--no-progress=0s', '--start-backstop=0s'} <= set(server(docs)['args'])
    assert not any(v['name'] == 'shm' for v in pod(docs)['volumes'])
    assert one(docs, 'Job')['spec']['backoffLimit'] == 0 and one(docs, 'Job')['spec']['ttlSecondsAfterFinished'] == 0
    keda = one(rendered({'keda': {'enabled': True, 'serverAddress': 'http://p', 'minReplicas': 0, 'query': 'q', 'cooldownPeriod': 0, 'fallback': {'replicas': 0}}}), 'ScaledObject')['spec']
    assert keda['cooldownPeriod'] == 0 and keda['minReplicaCount'] == 0 and keda['fallback']['replicas'] == 0
    assert one(rendered({'pdb': {'enabled': True, 'minAvailable': 0}}), 'PodDisruptionBudget')['spec']['minAvailable'] == 0


def each_cache_alone_is_mounted_once():
    for cache, kind in (({}, 'emptyDir'), ({'type': 'pvc'}, 'persistentVolumeClaim'), ({'existingClaim': 'c'}, 'persistentVolumeClaim'),
                        ({'type': 'hostPath', 'hostPath': '/a'}, 'hostPath'), ({'type': 'none'}, None)):
        docs = rendered({'cache': cache})
        volumes = [v for v in pod(docs)['volumes'] if v['name'] == 'models']
        mounts = [m for m in server(docs)['volumeMounts'] if m['mountPath'] == '/models']
        assert len(volumes) == len(mounts) == (0 if kind is None else 1), cache
        assert kind is None or kind in volumes[0], cache
    docs = rendered({'kind': 'StatefulSet', 'cache': {'type': 'pvc', 'storageClass': '-'}})
    assert workload(docs)['spec']['volumeClaimTemplates'][0]['spec']['storageClassName'] == ''
    assert not any(d['kind'] == 'PersistentVolumeClaim' for d in docs)


def a_changed_configuration_rolls_the_pods_and_a_comment_does_not():
    def template(config):
        return workload(rendered({'config': config}))['spec']['template']
    assert template({'fetch': {'tries': 5}}) != template({'fetch': {'tries': 6}})
    a = documents(subprocess.run(['helm', 'template', 'x', CHART, '--kube-version', HIGHEST, '-f', '-'], input='config: {a: 1}\n', capture_output=True, text=True).stdout)
    b = documents(subprocess.run(['helm', 'template', 'x', CHART, '--kube-version', HIGHEST, '-f', '-'], input='# said\nconfig:\n  a: 1 # so\n', capture_output=True, text=True).stdout)
    assert workload(a)['spec']['template'] == workload(b)['spec']['template']
    assert json.loads(one(a, 'ConfigMap')['data']['holdfast.json']) == {'a': 1}


def two_releases_in_one_namespace_share_nothing():
    a, b = rendered(release='one'), rendered(release='two')
    assert not {(d['kind'], d['metadata']['name']) for d in a} & {(d['kind'], d['metadata']['name']) for d in b}
    assert workload(a)['spec']['selector'] != workload(b)['spec']['selector']
    assert 'hostname' not in pod(a) and one(a, 'Service', 'one-holdfast')['spec']['selector'] != one(b, 'Service', 'two-holdfast')['spec']['selector']


def names_of_releases_never_meet_and_always_fit():
    def names(release, values=None):
        return [(d['kind'], d['metadata']['name']) for d in rendered({'model': {'source': 'hf://a/b'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}, 'dashboard': {'enabled': True}, 'gc': {'enabled': True}, **(values or {})}, release=release)]
    longest = 'a' * 53
    releases = ['a', 'holdfast', 'a-holdfast', 'holdfast-a', 'a-holdfast-holdfast', '7', 'r7', 'my.app', 'my-app', longest, 'a' * 52 + 'b', 'holdfast-' + 'b' * 44, 'true', '0123', '1e3', '0x1f']
    seen = {}
    for release in releases:
        for kind, name in names(release):
            assert isinstance(name, str) and re.fullmatch('[a-z]([-a-z0-9]*[a-z0-9])?', name) and len(name) <= (52 if kind == 'CronJob' else 63), (release, kind, name)
            assert seen.setdefault((kind, name), release) == release, f'{release} and {seen[kind, name]} both have {kind} {name}'
    # The name of a Deployment's pod keeps 58 characters before its last five; the queries must still know it.
    docs = rendered({'keda': {'enabled': True, 'serverAddress': 'http://p'}}, release=longest)
    pattern = re.search(r'pod=~"([^"]+)"', one(docs, 'ScaledObject')['spec']['triggers'][0]['metadata']['query'])[1]
    assert re.fullmatch(pattern, f'{workload(docs)["metadata"]["name"]}-5d4f9c7b8d-'[:58] + 'abcde')
    assert names(longest, {'kind': 'StatefulSet', 'fetchJob': {}, 'gc': {}})
    for word in ('true', 'null', 'yes', 'on', 'n'):
        docs = rendered({'fullnameOverride': word, 'nameOverride': word, 'config': {'a': 1}, 'hpa': {'enabled': True}, 'serviceMonitor': {'enabled': True}, 'prometheusRule': {'enabled': True}, 'kind': 'StatefulSet'})
        assert all(isinstance(d['metadata']['name'], str) for d in docs), word
        assert one(docs, 'HorizontalPodAutoscaler')['spec']['scaleTargetRef']['name'] == word
        assert next(v for v in pod(docs)['volumes'] if v['name'] == 'config')['configMap']['name'] == word


HOSTILE = ['yes', '0123', '1e3', 'null', '~', '{{ .Values.grace }}', '{{', '}}', 'a: b # c', '- a', '"', "'", '\\', 'a\nb\n', '  edges  ', '\ttab', '&a *b !c %d @e `f`', '$(A) $A', 'ÄÖ☃\U0001f600', '*', '[x]', '{x}', '|', '>', '%!s(x)', 'x' * 5000]


def texts_arrive_as_they_were_given():
    for i in range(0, len(HOSTILE), 9):
        some = HOSTILE[i:i + 9]
        env = [{'name': f'E{n}', 'value': v} for n, v in enumerate(some)]
        notes = {f'n{n}': v for n, v in enumerate(some)}
        docs = rendered({'preset': 'vllm', 'image': {'repository': 'v'}, 'serverArgs': some, 'extraEnv': env, 'podAnnotations': notes, 'service': {'annotations': notes}, 'config': {'a': some},
                         'model': {'repository': some[0], 'existingSecret': 's', 'existingSecretKey': '0123'}, 'tests': {'text': ' # '.join(some)}, 'gpu': {'resourceName': 'a/b'},
                         'prometheusRule': {'enabled': True, 'alertLabels': {'l': some[3]}}, 'keda': {'enabled': True, 'serverAddress': 'http://p', 'query': some[4]},
                         'dashboard': {'enabled': True, 'annotations': notes}, 'serviceAccount': {'annotations': notes}})
        args = server(docs)['args']
        assert args[-len(some):] == some and args[args.index('--model') + 1] == some[0]
        assert [e for e in server(docs)['env'] if e['name'][0] == 'E' and e['name'][1:].isdigit()] == env
        assert next(e for e in server(docs)['env'] if e['name'] == 'HF_TOKEN')['valueFrom']['secretKeyRef'] == {'name': 's', 'key': '0123'}
        for place in (workload(docs)['spec']['template']['metadata'], one(docs, 'ServiceAccount')['metadata'], one(docs, 'Service')['metadata'], one(docs, 'ConfigMap', 'x-holdfast-dashboard')['metadata']):
            assert notes.items() <= place['annotations'].items()
        assert json.loads(one(docs, 'ConfigMap', 'x-holdfast')['data']['holdfast.json']) == {'a': some}
        assert '--text=' + ' # '.join(some) in one(docs, 'Pod')['spec']['containers'][0]['command']
        assert one(docs, 'PrometheusRule')['spec']['groups'][0]['rules'][0]['labels']['l'] == some[3]
        assert one(docs, 'ScaledObject')['spec']['triggers'][0]['metadata']['query'] == some[4]


def numbers_and_names_that_kubernetes_would_refuse_are_refused_here():
    for path in ('replicas', 'grace', 'gpu.count', 'probes.startup.period', 'probes.liveness.failures', 'start.backstop', 'fetchJob.ttl', 'hpa.maxReplicas', 'keda.cooldownPeriod', 'podSecurityContext.runAsUser'):
        values = 2 ** 31
        for name in reversed(path.split('.')):
            values = {name: values}
        refused(values, path.split('.')[-1])
    for values, word in (({'image': {'repository': 'vllm/vllm-openai:v1'}}, 'repository'), ({'image': {'repository': 'a b'}}, 'repository'), ({'image': {'tag': 'a b'}}, 'tag'), ({'image': {'registry': 'r.example/'}}, 'registry'),
                         ({'podLabels': {'a': 'has space'}}, 'podLabels'), ({'podLabels': {'a': 'x' * 64}}, 'podLabels'), ({'commonLabels': {'a b': 'c'}}, 'commonLabels'), ({'podAnnotations': {'a b': 'c'}}, 'podAnnotations'),
                         ({'fullnameOverride': 'x' * 47}, 'fullnameOverride'), ({'securityContext': {'privilege': True}}, 'privilege'), ({'podSecurityContext': {'runAsUsr': 1}}, 'runAsUsr'), ({'hpa': {'target': '0'}}, 'target'),
                         ({'keda': {'threshold': '0.0'}}, 'threshold'), ({'cache': {'mountPath': '/a:b'}}, 'mountPath'), ({'cache': {'subPath': '/a'}}, 'subPath'), ({'model': {'source': 'hf://a b'}}, 'source'),
                         ({'resources': {'limits': {'gpu': 1}}}, 'gpu'), ({'resources': {'limits': {'memory': '1K'}}}, 'memory'), ({'cache': {'size': '30K'}}, 'size'), ({'shm': {'size': '1ki'}}, 'size'),
                         ({'gpu': {'resourceName': 'gpu'}}, 'resourceName'), ({'model': {'existingSecretKey': 'a/b'}}, 'existingSecretKey'), ({'gc': {'schedule': 'every day'}}, 'schedule'),
                         ({'prometheusRule': {'alertLabels': {'a-b': 'c'}}}, 'alertLabels')):
        refused(values, word)
    for values in ({'gc': {'schedule': '@daily'}}, {'resources': {'requests': {'memory': '900Mi', 'cpu': '0.5'}, 'limits': {'memory': '1G', 'cpu': 1, 'hugepages-2Mi': '4Mi', 'nvidia.com/gpu': 1}}},
                   {'image': {'repository': 'localhost:5000/a/b', 'registry': ''}}, {'cache': {'mountPath': '/m'}}, {'keda': {'threshold': '0.5'}}, {'image': {'registry': 'r.example:5000/team', 'repository': 'b'}}):
        rendered(values)


def a_release_whose_name_is_a_number_keeps_strings():
    docs = rendered({'fullnameOverride': 'a', 'networkPolicy': {'enabled': True}}, release='7')
    assert workload(docs)['spec']['selector']['matchLabels']['app.kubernetes.io/instance'] == '7'
    assert one(docs, 'NetworkPolicy')['spec']['podSelector']['matchLabels'] == workload(docs)['spec']['selector']['matchLabels']


def queries_name_the_pods_of_this_release_alone():
    for kind, own, other in (('Deployment', ['x-holdfast-5d4f9c7b8d-abcde'], ['x-holdfast-b-5d4f9c7b8d-abcde', 'x-holdfast-test', 'y-holdfast-5d4f9c7b8d-abcde']),
                             ('StatefulSet', ['x-holdfast-0', 'x-holdfast-12'], ['x-holdfast-b-0', 'x-holdfast-test'])):
        query = one(rendered({'kind': kind, 'keda': {'enabled': True, 'serverAddress': 'http://p'}}), 'ScaledObject')['spec']['triggers'][0]['metadata']['query']
        pattern = re.search(r'pod=~"([^"]+)"', query)[1]
        assert all(re.fullmatch(pattern, n) for n in own) and not any(re.fullmatch(pattern, n) for n in other), pattern


def probes_ask_holdfast_by_name_and_never_a_bare_port():
    for probes, how in (({}, 'httpGet'), ({'type': 'exec'}, 'exec')):
        for values in ({}, {'command': ['s'], 'ready': 'http://127.0.0.1:8000/health'}, {'command': ['s'], 'install': {'enabled': True}}):
            docs = rendered({**values, 'probes': probes})
            for probe, path in (('startupProbe', 'startup'), ('livenessProbe', 'live'), ('readinessProbe', 'ready')):
                p = server(docs)[probe]
                assert how in p and 'tcpSocket' not in p and p['timeoutSeconds'] >= 2
                if how == 'httpGet':
                    assert p['httpGet'] == {'path': f'/{path}z', 'port': 'status'}
                else:
                    assert p['exec']['command'] == [server(docs)['command'][0], 'probe', path]


def budgets_are_computed_from_what_holdfast_allows():
    docs = rendered({'model': {'source': 'hf://a/b'}, 'start': {'fetchDeadline': 1000, 'backstop': 200, 'warmTimeout': 30, 'pullAllowance': 7}, 'probes': {'startup': {'period': 7, 'margin': 14, 'delay': 3}}})
    assert server(docs)['startupProbe']['failureThreshold'] == math.ceil((1000 + 200 + 30 + 14 + 3) / 7)
    assert workload(docs)['spec']['progressDeadlineSeconds'] == 1247 + 7
    assert {'--fetch-deadline=1000s', '--start-backstop=200s', '--warm-timeout=30s'} <= set(server(docs)['args'])
    rare = server(rendered({'probes': {'startup': {'period': 3000}}}))['startupProbe']
    assert (rare['failureThreshold'] - 1) * rare['periodSeconds'] >= 3600 + 600, 'the last question comes a period before the end'
    docs = rendered({'start': {'backstop': 200, 'warmTimeout': 30}})
    assert server(docs)['startupProbe']['failureThreshold'] == math.ceil((200 + 30 + 60) / 5), 'without a source nothing is fetched'


def holdfast_is_process_1_in_every_mode():
    for values, program in (({}, '/opt/holdfast'), ({'command': ['s']}, '/opt/holdfast'), ({'prefix': '/usr/local/hf'}, '/usr/local/hf'),
                            ({'command': ['s'], 'install': {'enabled': True}}, '/holdfast'),
                            ({'preset': 'vllm', 'image': {'repository': 'v'}, 'install': {'enabled': True, 'path': '/hf/x'}}, '/hf/x')):
        docs = rendered({**values, 'model': {'source': 'hf://a/b', 'fetchBy': 'init'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}})
        assert server(docs)['command'] == [program + '/bin/holdfast'] and 'lifecycle' not in server(docs), values
        for spec in (pod(docs), one(docs, 'Job')['spec']['template']['spec'], one(docs, 'Pod')['spec']):
            for c in spec['containers'] + spec.get('initContainers', []):
                assert c['command'][0].endswith('/bin/holdfast') and re.search('[:@]', c['image']) and not c['image'].endswith(':latest'), c


def install_mode_leaves_the_servers_image_untouched():
    docs = rendered({'image': {'repository': 'any', 'tag': '7'}, 'command': ['s', '-x'], 'install': {'enabled': True, 'image': {'repository': 'hf', 'tag': '2'}}})
    init = pod(docs)['initContainers'][0]
    assert init['image'] == 'hf:2' and init['command'] == ['/opt/holdfast/bin/holdfast', 'install', '/holdfast']
    assert server(docs)['image'] == 'any:7' and server(docs)['args'][-3:] == ['--', 's', '-x']
    for c in (init, server(docs)):
        assert any(m['name'] == 'holdfast' and m['mountPath'] == '/holdfast' for m in c['volumeMounts'])
    assert {'HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'HF_HOME', 'VLLM_CACHE_ROOT', 'TRITON_CACHE_DIR', 'TORCHINDUCTOR_CACHE_DIR', 'NUMBA_CACHE_DIR', 'OUTLINES_CACHE_DIR', 'USER',
            'LOGNAME'} == {e['name'] for e in server(docs)['env']}


def presets_carry_the_flags_of_open_autoglms_readme():
    vllm = server(rendered({'preset': 'vllm', 'image': {'repository': 'v'}, 'serverArgs': ['--more']}))['args']
    line = vllm[vllm.index('--') + 1:]
    assert line[:3] == ['python3', '-m', 'vllm.entrypoints.openai.api_server'] and line[-1] == '--more'
    given = dict(zip(line[3::2], line[4::2]))
    assert given == {'--served-model-name': 'autoglm-phone-9b', '--allowed-local-media-path': '/', '--mm-encoder-tp-mode': 'data', '--mm_processor_cache_type': 'shm',
                     '--mm_processor_kwargs': '{"max_pixels":5000000}', '--max-model-len': '25480', '--chat-template-content-format': 'string',
                     '--limit-mm-per-prompt': '{"image":10}', '--model': 'zai-org/AutoGLM-Phone-9B', '--port': '8000'}
    assert '--ready=http://127.0.0.1:8000/health' in vllm
    sglang = server(rendered({'preset': 'sglang', 'image': {'repository': 's'}, 'gpu': {'count': 2}, 'model': {'source': 'hf://a/b'}}))['args']
    line = sglang[sglang.index('--') + 1:]
    assert line[:3] == ['python3', '-m', 'sglang.launch_server'] and line[line.index('--model-path') + 1] == '/models/autoglm-phone-9b'
    for flag, word in (('--context-length', '25480'), ('--mm-process-config', '{"image":{"max_pixels":5000000}}'), ('--tp', '2'), ('--host', '0.0.0.0')):
        assert line[line.index(flag) + 1] == word
    assert '--mm-enable-dp-encoder' in line and '--model-source=hf://a/b' in sglang


def a_vllm_preset_is_started_again_when_its_counters_stand_still():
    vllm = {'preset': 'vllm', 'image': {'repository': 'v'}, 'service': {'port': 9000}}
    assert '--live=counter:http://127.0.0.1:9000/metrics vllm' in server(rendered(vllm))['args']
    assert not any(a.startswith('--live') for a in server(rendered({**vllm, 'live': 'none'}))['args'])
    assert not any(a.startswith('--live') for a in server(rendered({'preset': 'sglang', 'image': {'repository': 's'}}))['args'])  # its metrics are off by default
    args = server(rendered({'command': ['s'], 'live': 'grpc://127.0.0.1:9001/zai.Model', 'startup': 'tcp://127.0.0.1:9001'}))['args']
    assert '--live=grpc://127.0.0.1:9001/zai.Model' in args and '--startup=tcp://127.0.0.1:9001' in args
    refused({'command': ['s'], 'live': 'https://127.0.0.1/'}, 'live')


def several_sources_keep_their_order_everywhere():
    sources = ['https://a/m/', 'hf://b/c', 'file:///d']
    docs = rendered({'model': {'source': sources}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}})
    assert [a for a in server(docs)['args'] if a.startswith('--model-source')] == [f'--model-source={s}' for s in sources]
    job = one(docs, 'Job')['spec']['template']['spec']['containers'][0]
    assert job['command'][1:5] == ['fetch', *sources] and job['command'][5] == '--out=/models/autoglm-phone-9b'
    docs = rendered({'model': {'source': sources, 'fetchBy': 'init'}})
    assert pod(docs)['initContainers'][0]['command'][1:5] == ['fetch', *sources]
    assert not any(a.startswith('--model-source') for a in server(docs)['args'])
    first = one(rendered({'model': {'source': 'hf://a/b'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}}), 'Job')['metadata']['name']
    other = one(rendered({'model': {'source': 'hf://a/c'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}}), 'Job')['metadata']['name']
    assert first != other, "a Job cannot be changed: another source is another Job"


def a_hubs_cache_is_used_as_the_hubs_own_client_keeps_it():
    vllm = {'preset': 'vllm', 'image': {'repository': 'v'}, 'model': {'source': 'hf://a/b@v1', 'hubCache': 'hub', 'digest': 'ab' * 32}}
    args = server(rendered(vllm))['args']
    line = args[args.index('--') + 1:]
    assert '--hub-cache=/models/hub' in args and '--model-source=hf://a/b@v1' in args and f'--model-digest={"ab" * 32}' in args
    assert not any(a.startswith('--model=') for a in args), 'a plain folder beside the cache'
    assert line[line.index('--model') + 1] == 'a/b' and line[line.index('--revision') + 1] == 'v1'
    assert {'name': 'HF_HUB_CACHE', 'value': '/models/hub'} in server(rendered(vllm))['env']
    whole = rendered({**vllm, 'model': {'source': ['hf://a/b'], 'hubCache': '.', 'fetchBy': 'init'}})
    assert '--hub-cache=/models' in pod(whole)['initContainers'][0]['command'] and not any(c.startswith('--out') for c in pod(whole)['initContainers'][0]['command'])
    assert not any(a.startswith(('--hub-cache', '--model-', '--model=')) or a == '--revision' for a in server(whole)['args'])
    assert {'name': 'HF_HUB_CACHE', 'value': '/models'} in server(whole)['env']
    assert not any(e['name'] == 'HF_HUB_CACHE' for e in server(rendered({'command': ['s']}))['env'])


def what_nobody_uses_is_removed_from_the_claim_that_the_pods_have():
    values = {'gc': {'enabled': True, 'olderThan': '48h'}, 'cache': {'existingClaim': 'c', 'subPath': 's'}}
    job = one(rendered(values), 'CronJob')
    gc = podspec(job)['containers'][0]
    assert gc['command'] == ['/opt/holdfast/bin/holdfast', 'gc', '/models/autoglm-phone-9b', '--older-than=48h', '--delete']
    assert gc['volumeMounts'] == [{'name': 'models', 'mountPath': '/models', 'subPath': 's'}] and podspec(job)['volumes'][0]['persistentVolumeClaim'] == {'claimName': 'c'}
    assert job['spec']['concurrencyPolicy'] == 'Forbid'
    labels = job['spec']['jobTemplate']['spec']['template']['metadata']['labels']
    assert not one(rendered(values), 'Service')['spec']['selector'].items() <= labels.items(), 'the Service would send requests to it'
    told = {**values, 'gc': {'enabled': True, 'delete': False}, 'preset': 'vllm', 'image': {'repository': 'v'}, 'install': {'enabled': True}, 'model': {'source': 'hf://a/b', 'hubCache': 'hub'}}
    gc = podspec(one(rendered(told), 'CronJob'))['containers'][0]
    assert gc['command'][1:] == ['gc', '/models/hub', '--older-than=720h'] and gc['image'].startswith('holdfast:'), gc
    assert not any(d['kind'] == 'CronJob' for d in rendered())


def restricted_is_passed_by_every_pod():
    for f in FILES:
        for d in documents(helm(file=f)[0]):
            spec = podspec(d)
            if not spec or 'hostpath' in f:
                continue
            s = spec['securityContext']
            assert s['runAsNonRoot'] is True and s['runAsUser'] > 0 and s['seccompProfile']['type'] == 'RuntimeDefault', f
            for c in spec['containers'] + spec.get('initContainers', []):
                if c['name'] not in ('first', 'beside'):  # the example's own
                    assert c['securityContext'] == RESTRICTED, (f, c['name'])
            assert not spec.get('hostPID') and not spec.get('hostIPC') and not spec.get('hostNetwork') and not spec.get('shareProcessNamespace')
            assert all(set(v) & {'configMap', 'emptyDir', 'persistentVolumeClaim', 'secret', 'projected', 'csi', 'ephemeral', 'downwardAPI'} for v in spec['volumes'] or []) if spec.get('volumes') else True


def no_token_is_mounted():
    for f in FILES:
        for d in documents(helm(file=f)[0]):
            spec = d if d['kind'] == 'ServiceAccount' else podspec(d)
            assert spec is None or spec['automountServiceAccountToken'] is False, f
    assert pod(rendered({'serviceAccount': {'automountToken': True}}))['automountServiceAccountToken'] is True


def shared_memory_has_a_size_when_it_is_needed():
    def shm(values):
        return [v['emptyDir'] for v in pod(rendered(values))['volumes'] if v['name'] == 'shm']
    big = [{'medium': 'Memory', 'sizeLimit': '8Gi'}]
    assert shm({}) == [] and shm({'gpu': {'count': 1}}) == []
    assert shm({'gpu': {'count': 2}}) == big and shm({'preset': 'vllm', 'image': {'repository': 'v'}}) == big
    assert shm({'command': ['s'], 'resources': {'limits': {'nvidia.com/gpu': '2'}}}) == big
    assert shm({'gpu': {'count': 4}, 'shm': {'size': '0'}}) == [] and shm({'shm': {'size': '1Gi'}}) == [{'medium': 'Memory', 'sizeLimit': '1Gi'}]


def gpus_are_a_limit_under_their_own_name():
    assert server(rendered({'gpu': {'count': 2}}))['resources']['limits'] == {'nvidia.com/gpu': 2, 'memory': '28Gi'}
    assert server(rendered({'gpu': {'count': 1, 'resourceName': 'amd.com/gpu'}, 'resources': None}))['resources'] == {'limits': {'amd.com/gpu': 1}}


def the_number_of_pods_is_left_to_the_autoscaler():
    assert 'replicas' in workload(rendered())['spec']
    for values in ({'hpa': {'enabled': True}}, {'keda': {'enabled': True, 'serverAddress': 'http://p'}}):
        assert 'replicas' not in workload(rendered(values))['spec']


def keda_takes_no_data_for_an_error():
    spec = one(rendered({'keda': {'enabled': True, 'serverAddress': 'http://p'}, 'coldStartSeconds': 100}), 'ScaledObject')['spec']
    trigger = spec['triggers'][0]
    assert trigger['metadata']['ignoreNullValues'] == 'false' and 'metricName' not in trigger['metadata'] and trigger['metricType'] == 'AverageValue'
    assert spec['fallback'] == {'failureThreshold': 3, 'replicas': 1} and spec['cooldownPeriod'] == 300
    assert spec['advanced']['horizontalPodAutoscalerConfig']['behavior']['scaleUp']['policies'] == [{'type': 'Pods', 'value': 1, 'periodSeconds': 100}]


def the_network_policy_opens_what_is_needed_and_nothing_else():
    spec = one(rendered({'networkPolicy': {'enabled': True, 'monitoring': [{'namespaceSelector': {}}]}, 'model': {'source': ['https://a/', 'http://b:8080/m/', 'hf://c/d', 'file:///e']}}), 'NetworkPolicy')['spec']
    test = {'podSelector': {'matchLabels': {'app.kubernetes.io/name': 'holdfast', 'app.kubernetes.io/instance': 'x', 'app.kubernetes.io/component': 'test'}}}
    assert [(r['ports'][0]['port'], r.get('from')) for r in spec['ingress']] == [('http', None), ('status', [{'namespaceSelector': {}}, test])]
    assert [[p['port'] for p in r['ports']] for r in spec['egress']] == [[53, 53], [443], [8080]]
    spec = one(rendered({'networkPolicy': {'enabled': True}}), 'NetworkPolicy')['spec']
    assert [[p['port'] for p in r['ports']] for r in spec['egress']] == [[53, 53]] and spec['policyTypes'] == ['Ingress', 'Egress']
    spec = one(rendered({'networkPolicy': {'enabled': True}, 'model': {'source': 'file:///e'}}), 'NetworkPolicy')['spec']
    assert len(spec['egress']) == 1, 'a folder needs no network'
    docs = rendered({'networkPolicy': {'enabled': True, 'clients': [{'ipBlock': {'cidr': '10.0.0.0/8'}}], 'monitoring': [{'namespaceSelector': {}}],
                                       'extraEgress': [{'ports': [{'port': 4318}]}]}, 'model': {'source': ['modelscope://a/b', 's3://c/d']}})
    spec = one(docs, 'NetworkPolicy')['spec']
    assert spec['ingress'][0]['from'] == [{'ipBlock': {'cidr': '10.0.0.0/8'}}, {'namespaceSelector': {}}, test], 'Prometheus reads the server\'s page too, and helm test asks it'
    assert test['podSelector']['matchLabels'].items() <= one(docs, 'Pod')['metadata']['labels'].items()
    assert [[p['port'] for p in r['ports']] for r in spec['egress']] == [[53, 53], [443], [4318]]


def what_exists_already_is_used():
    docs = rendered({'image': {'digest': 'sha256:' + '0' * 64, 'tag': 'x'}, 'global': {'imageRegistry': 'r.example', 'theirs': 1}, 'imagePullSecrets': [{'name': 'p'}],
                     'model': {'existingSecret': 's', 'existingSecretKey': 'k', 'source': 'hf://a/b'}, 'serviceAccount': {'create': False, 'name': 'mine'}, 'priorityClassName': 'p', 'runtimeClassName': 'r'})
    assert server(docs)['image'] == 'r.example/holdfast-runtime@sha256:' + '0' * 64
    assert {'name': 'HF_TOKEN', 'valueFrom': {'secretKeyRef': {'name': 's', 'key': 'k'}}} in server(docs)['env']
    spec = pod(docs)
    assert (spec['imagePullSecrets'], spec['serviceAccountName'], spec['priorityClassName'], spec['runtimeClassName']) == ([{'name': 'p'}], 'mine', 'p', 'r')
    assert not any(d['kind'] in ('Secret', 'ServiceAccount') for d in docs)


def what_is_added_arrives():
    docs = documents(helm(file=os.path.join(CHART, 'ci', 'extras-values.yaml'))[0])
    s, spec = server(docs), pod(docs)
    assert [e['name'] for e in s['env']] == ['TZ', 'NODE'] and s['envFrom'] == [{'secretRef': {'name': 'more'}}]
    assert [c['name'] for c in spec['initContainers']] == ['first'] and [c['name'] for c in spec['containers']] == ['server', 'beside']
    assert one(docs, 'ConfigMap', 'x-holdfast-more')['data'] == {'port': '8000'} and one(docs, 'Secret')['metadata']['name'] == 'x-text'
    assert workload(docs)['spec']['template']['metadata']['labels']['c'] == 'd' and s['args'][-1] == '--deep-verify'
    place = {'tolerations': [{'key': 'gpu', 'operator': 'Exists', 'effect': 'NoSchedule'}], 'nodeSelector': {'pool': 'gpu'}, 'affinity': {'podAntiAffinity': {'a': []}}}
    docs2 = rendered({**place, 'model': {'source': 'hf://a/b'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}})
    assert {k: pod(docs2)[k] for k in place} == place
    for other in (one(docs2, 'Job')['spec']['template']['spec'], one(docs2, 'Pod')['spec']):
        assert other['tolerations'] == place['tolerations'], 'the errand could not run where the server can'
    spread = pod(rendered({'topologySpreadConstraints': [{'maxSkew': 1, 'topologyKey': 'a', 'whenUnsatisfiable': 'DoNotSchedule'}]}))['topologySpreadConstraints'][0]
    assert spread['labelSelector']['matchLabels'] == workload(docs)['spec']['selector']['matchLabels']
    env = server(rendered({'command': ['s'], 'extraEnv': [{'name': 'HOME', 'value': '/x'}]}))['env']
    assert [e for e in env if e['name'] == 'HOME'] == [{'name': 'HOME', 'value': '/x'}], 'named twice, or not the later one'


def the_test_pod_asks_through_the_services_name_and_stays_out_of_the_mesh():
    digest = 'ab' * 32
    docs = rendered({'model': {'digest': digest}, 'service': {'port': 9000}}, namespace='ns')
    p = one(docs, 'Pod')
    assert p['metadata']['labels']['sidecar.istio.io/inject'] == 'false' and p['metadata']['annotations']['helm.sh/hook'] == 'test'
    command = p['spec']['containers'][0]['command']
    assert command[:3] == ['/opt/holdfast/bin/holdfast', 'ask', 'http://x-holdfast.ns.svc:9000/v1']
    assert f'--digest={digest}' in command and '--status-url=http://x-holdfast.ns.svc:8181/status' in command
    selector = one(docs, 'Service')['spec']['selector']
    assert not selector.items() <= p['metadata']['labels'].items(), 'the Service would send requests to the test pod'


def notes_name_what_exists():
    with tempfile.TemporaryDirectory() as d:  # helm shows notes to a cluster only: the copy renders them into a ConfigMap
        copy = shutil.copytree(CHART, os.path.join(d, 'holdfast'))
        os.rename(os.path.join(copy, 'templates', 'NOTES.txt'), os.path.join(copy, 'notes'))
        with open(os.path.join(copy, 'templates', 'notes.yaml'), 'w', encoding='utf-8') as f:
            f.write('{apiVersion: v1, kind: ConfigMap, metadata: {name: notes}, data: {text: {{ tpl (.Files.Get "notes") . | toJson }}}}')
        for values in ({}, {'kind': 'StatefulSet'}, {'command': ['s'], 'install': {'enabled': True}}, {'replicas': 2, 'cache': {'type': 'pvc'}}):
            docs = rendered(values, namespace='ns', chart=copy)
            notes = one(docs, 'ConfigMap', 'notes')['data']['text']
            names = re.findall(r'svc/([a-z-]+) ([0-9]+)', notes)
            ports = {(doc['metadata']['name'], str(p['port'])) for doc in docs if doc['kind'] == 'Service' for p in doc['spec']['ports']}
            assert len(names) == 2 and set(names) <= ports, names
            assert f'exec {workload(docs)["kind"].lower()}/{workload(docs)["metadata"]["name"]} -c server -- {server(docs)["command"][0]} status' in notes, notes
            assert 'helm -n ns test x' in notes and ('a claim that one node can mount' in notes) == ('cache' in values)


def no_secret_stands_in_a_manifest():
    key = {'name': 'HOLDFAST_API_KEY', 'valueFrom': {'secretKeyRef': {'name': 's', 'key': 'k'}}}
    text, _ = helm({'model': {'existingSecret': 'hub', 'source': 'hf://a/b'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}, 'extraEnv': [key]})
    assert one(documents(text), 'Pod')['spec']['containers'][0]['env'] == [key], 'helm test would be refused by the server'
    for d in documents(text):
        for c in ((d.get('spec') or {}).get('template') or d).get('spec', {}).get('containers', []):
            assert not any(re.search('(?i)token|key|secret|password', a) for a in c.get('command', []) + c.get('args', [])), c['name']
            assert all('valueFrom' in e for e in c.get('env', []) if re.search('TOKEN|KEY', e['name'])), c['name']
    docs = rendered({'preset': 'vllm', 'image': {'repository': 'v'}, 'extraEnv': [{**key, 'name': 'VLLM_API_KEY'}]})
    assert one(docs, 'Pod')['spec']['containers'][0]['env'] == [key]


def metrics_behind_the_key_are_scraped_with_it():
    ref = {'name': 's', 'key': 'k'}
    key = [{'name': 'HOLDFAST_API_KEY', 'valueFrom': {'secretKeyRef': ref}}]
    for kind, path in (('serviceMonitor', 'endpoints'), ('podMonitor', 'podMetricsEndpoints')):
        def endpoints(**values):
            return one(rendered({kind: {'enabled': True}, **values}), kind[0].upper() + kind[1:])['spec'][path]
        assert [e.get('authorization') for e in endpoints(extraEnv=key)] == [None, {'credentials': ref}], 'holdfast asks no key of its own page, its server does'
        assert [e.get('authorization') for e in endpoints()] == [None, None]
        assert [e.get('authorization') for e in endpoints(extraEnv=key, command=['s'])] == [None, None]
        assert [e.get('authorization') for e in endpoints(extraEnv=[{'name': 'HOLDFAST_API_KEY', 'value': 'x'}])] == [None, None]


def the_fetch_job_ends_at_once_on_what_would_fail_again():
    text = {}
    for name in ('base/exit.def', 'supervisor/policy/cause.def'):
        with open(os.path.join(TOP, name), encoding='utf-8') as f:
            text[name] = f.read()
    code = dict(re.findall(r'^X\((\w+), *(\d+),', text['base/exit.def'], re.M))
    final = [int(code[n]) for n in re.findall(r'^EXIT_ACTION\((\w+), FIX_CONFIG\)', text['supervisor/policy/cause.def'], re.M)
             if re.match('USAGE|CONFIG|DISK|PERMISSION|FETCH_|VERIFY_|MANIFEST', n)]
    job = one(rendered({'model': {'source': 'hf://a/b'}, 'cache': {'type': 'pvc'}, 'fetchJob': {'enabled': True}}), 'Job')['spec']
    assert job['podFailurePolicy']['rules'][0]['onExitCodes']['values'] == sorted(final)


def the_claims_go_with_the_release_unless_they_are_kept():
    for keep in (False, True):
        spec = workload(rendered({'kind': 'StatefulSet', 'cache': {'type': 'pvc', 'keep': keep}}))['spec']
        assert spec['persistentVolumeClaimRetentionPolicy'] == {'whenDeleted': 'Retain' if keep else 'Delete', 'whenScaled': 'Retain'}
        notes = one(rendered({'cache': {'type': 'pvc', 'keep': keep}}), 'PersistentVolumeClaim')['metadata'].get('annotations')
        assert notes == ({'helm.sh/resource-policy': 'keep'} if keep else None)
    assert workload(rendered({'cache': {'type': 'pvc', 'accessModes': ['ReadWriteOncePod']}}))['spec']['strategy'] == {'type': 'Recreate'}, 'the new pod would wait for the old one for ever'
    assert 'strategy' not in workload(rendered({'cache': {'type': 'pvc'}}))['spec']


def a_grace_without_a_delay_is_enough():
    assert {'--grace=0s', '--prestop-delay=0s'} <= set(server(rendered({'grace': 0}))['args'])
    assert {'--grace=3s', '--prestop-delay=3s'} <= set(server(rendered({'grace': 3}))['args'])
    assert '--prestop-delay=5s' in server(rendered())['args'] and '--prestop-delay=0s' in server(rendered({'prestopDelay': 0}))['args']


def promtool(*args, cwd=None):
    r = subprocess.run(['promtool', *args], capture_output=True, text=True, cwd=cwd)
    assert r.returncode == 0, (r.stdout + r.stderr)[-3000:]


def series(page):
    """The samples of a server's page as a Prometheus that scraped the release's pod has them."""
    with open(os.path.join(HERE, 'pages', page), encoding='utf-8') as f:
        for line in f:
            m = re.fullmatch(r'([a-z_:]+)(?:\{(.*)\})? (\S+)\n', line)
            if m:
                labels = ','.join(x for x in (m[2], 'namespace="default"', 'pod="x-holdfast-5d4f9c7b8d-abcde"') if x)
                yield {'series': f'{m[1]}{{{labels}}}', 'values': f'{float(m[3]):g}'}


def the_scaling_query_gives_one_number_over_each_servers_own_page():
    if not shutil.which('promtool'):
        return 'SKIP promtool is not installed (package prometheus)'
    query = one(rendered({'keda': {'enabled': True, 'serverAddress': 'http://p'}}), 'ScaledObject')['spec']['triggers'][0]['metadata']['query']
    tests = [{'name': page, 'interval': '1m', 'input_series': list(series(page)), 'promql_expr_test': [{'expr': query, 'eval_time': '0m', 'exp_samples': [{'labels': '{}', 'value': n}]}]}
             for page, n in (('vllm.txt', 6), ('tgi.txt', 13), ('sglang.txt', 7), ('llamacpp.txt', 3))]
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, 'tests.yaml'), 'w', encoding='utf-8') as f:
            yaml.safe_dump({'tests': tests}, f)
        promtool('test', 'rules', 'tests.yaml', cwd=d)


def every_flag_is_an_option_of_the_program():
    program = os.path.join(TOP, 'build', 'release', 'bin', 'holdfast')
    if not os.path.exists(program):
        return 'SKIP the program is not built'
    known = set(re.findall(r'^  (--[a-z-]+)', subprocess.run([program, '--help'], capture_output=True, text=True).stdout, re.M))
    for f in FILES:
        docs = documents(helm(file=f)[0])
        args = server(docs)['args']
        for a in args[:args.index('--')] if '--' in args else args[1:]:
            assert a.split('=')[0] in known, a
    for role, kind in (('fetch', 'Job'), ('ask', 'Pod'), ('gc', 'CronJob')):
        known = set(re.findall(r'^  (--[a-z-]+)', subprocess.run([program, role, '--help'], capture_output=True, text=True).stdout, re.M))
        for f in FILES:
            for d in documents(helm(file=f)[0]):
                if d['kind'] == kind:
                    command = podspec(d)['containers'][0]['command']
                    assert all(a.split('=')[0] in known for a in command[2:] if a.startswith('--')), command


def alerts_fire_when_they_should_and_only_then():
    if not shutil.which('promtool'):
        return 'SKIP promtool is not installed (package prometheus)'
    def query(values):
        return one(rendered({'keda': {'enabled': True, 'serverAddress': 'http://p'}, **values}), 'ScaledObject')['spec']['triggers'][0]['metadata']['query']
    rules = one(rendered({'prometheusRule': {'enabled': True, 'alertLabels': {'team': 'inference'}}}), 'PrometheusRule')['spec']
    with open(os.path.join(HERE, 'alerts_test.yaml'), encoding='utf-8') as f:
        tests = yaml.safe_load(f.read())
    for test in tests['tests']:
        for t in test.get('promql_expr_test', []):
            t['expr'] = query({'QUERY': {}}[t['expr']])
    tried = {t['alertname'] for test in tests['tests'] for t in test.get('alert_rule_test', []) if t.get('exp_alerts')}
    assert tried == {r['alert'] for g in rules['groups'] for r in g['rules']}, 'an alert without a test that it fires'
    with tempfile.TemporaryDirectory() as d:
        for name, content in (('rules.yaml', rules), ('tests.yaml', tests)):
            with open(os.path.join(d, name), 'w', encoding='utf-8') as f:
                yaml.safe_dump(content, f)
        promtool('check', 'rules', '--lint=all', '--lint-fatal', 'rules.yaml', cwd=d)
        promtool('test', 'rules', 'tests.yaml', cwd=d)


def ours_alone_is_neither_killed_nor_blind():
    """Every published probe policy beside ours, with the real program; takes a minute of waiting."""
    if not os.path.exists(os.path.join(TOP, 'build', 'release', 'tests', 'fake-server')):
        return 'SKIP the programs are not built'
    result = kubelet.observe()
    print('\n'.join('# ' + line for line in kubelet.table(result[0]).split('\n')))
    kubelet.judge(*result)


# ---- at random ----

def invariants(docs, values):
    spec, s = pod(docs), server(docs)
    w = workload(docs)
    probe = s['startupProbe']
    budget = probe['periodSeconds'] * probe['failureThreshold']
    start = {'fetchDeadline': 10800, 'backstop': 3600, 'warmTimeout': 600, **values.get('start', {})}
    fetch = start['fetchDeadline'] if any(a.startswith('--model-source') for a in s['args']) else 0
    if start['backstop'] > 0:
        allowed = fetch + start['backstop'] + start['warmTimeout']
        assert budget - probe['periodSeconds'] + probe['initialDelaySeconds'] >= allowed, 'the kubelet would judge before holdfast'
        assert w['kind'] != 'Deployment' or w['spec']['progressDeadlineSeconds'] > budget - probe['periodSeconds']
    assert spec['terminationGracePeriodSeconds'] == values.get('grace', 25) + 5 and f'--grace={values.get("grace", 25)}s' in s['args']
    for name in ('startupProbe', 'livenessProbe', 'readinessProbe'):
        assert s[name]['timeoutSeconds'] >= 2 and 'tcpSocket' not in s[name] and s[name]['initialDelaySeconds'] == values.get('probes', {}).get(name[:-5], {}).get('delay', 0)
    scaled = values.get('hpa', {}).get('enabled') or values.get('keda', {}).get('enabled')
    assert ('replicas' in w['spec']) == (not scaled)
    assert scaled or w['spec']['replicas'] == values.get('replicas', 1)
    labels, selector = w['spec']['template']['metadata']['labels'], w['spec']['selector']['matchLabels']
    assert selector.items() <= labels.items()
    volumes = [v['name'] for v in spec['volumes']] + [t['metadata']['name'] for t in w['spec'].get('volumeClaimTemplates', [])]
    assert len(volumes) == len(set(volumes)), volumes
    for c in spec['containers'] + spec.get('initContainers', []):
        mounts = c.get('volumeMounts', [])
        assert all(m['name'] in volumes for m in mounts), (c['name'], mounts, volumes)
        assert len({m['mountPath'] for m in mounts}) == len(mounts), (c['name'], mounts)
    names = [e['name'] for e in s.get('env', [])]
    assert len(names) == len(set(names)), names
    assert s['command'][0].endswith('/bin/holdfast')


def random_values_render_and_are_valid_or_are_refused_by_name():
    results = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for seed, result in zip(range(SEEDS), pool.map(lambda seed: helm(random_values(seed)), range(SEEDS))):
            results[seed] = result
    known = [w for _, w in CONTRADICTIONS] + ['esources.requests.cpu: ']
    n_rendered = 0
    with tempfile.TemporaryDirectory() as d:
        for seed, (text, error) in results.items():
            values = random_values(seed)
            if error:
                assert 'values don' not in error, f'seed {seed}: the schema refuses what was made from it: {error}'
                assert any(w in error for w in known), f'seed {seed}: {error}'
                continue
            n_rendered += 1
            try:
                invariants(documents(text), values)
            except AssertionError as e:
                raise AssertionError(f'seed {seed}: {e}: {json.dumps(values)}') from e
            with open(os.path.join(d, f'{seed}.yaml'), 'w', encoding='utf-8') as f:
                f.write(text)
        assert n_rendered > SEEDS // 4, f'only {n_rendered} of {SEEDS} were free of contradictions'
        ok, said = valid(HIGHEST, [d])
        assert ok, said
        print(f'# {n_rendered} of {SEEDS} rendered, the others contradicted themselves')


def one_mistake_anywhere_is_refused_by_naming_its_key():
    spoils = [spoilt(random.Random(seed)) for seed in range(SEEDS // 2)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, values), (text, error) in zip(spoils, pool.map(lambda s: helm(s[1]), spoils)):
            assert error, f'{path}: {values} was not refused'
            names = path.strip('/').split('/')
            assert names[-1] in error or (len(names) > 1 and names[-2] in error), f'{path}: {error}'


TESTS = [v for k, v in list(globals().items()) if callable(v) and getattr(v, '__module__', '') == '__main__' and not v.__code__.co_argcount and k not in ('main', 'write_golden')]


def write_golden():
    os.makedirs(GOLDEN, exist_ok=True)
    for old in glob.glob(os.path.join(GOLDEN, '*.yaml')):
        os.remove(old)
    for f in CI:
        with open(os.path.join(GOLDEN, os.path.basename(f).replace('-values', '')), 'w', encoding='utf-8') as out:
            out.write(helm(file=f)[0])


def main():
    if sys.argv[1:] == ['--golden']:
        write_golden()
        return
    failed = 0
    for test in [t for t in TESTS if not sys.argv[1:] or sys.argv[1] in t.__name__]:
        try:
            said = test()
            print(f'ok {test.__name__}' + (f' # skip {said[5:]}' if said else ''), flush=True)
        except Exception as e:
            failed += 1
            print(f'not ok {test.__name__}\n# {str(e) or traceback.format_exc()[-600:]}', flush=True)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    assert yaml
    main()
