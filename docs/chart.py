#!/usr/bin/env python3
"""Makes helm/holdfast/values.schema.json and the table of values in its README.md from values.yaml, the
dashboard from dashboard.py, and the list of keys that may not be null.

  chart.py [--check]     --check changes nothing and fails when one of them is stale
values.yaml is written in a narrow style, read here without a YAML library: block maps, two blanks a level, flow values on one line;
"# -- text" describes the key below it, "# @ {json}" is merged into its schema. A type follows from the default: an integer is at
least 0, a map that is written out admits no other key, `{}` and `[]` hold what their "# @" says.
"""
import json
import os
import re
import sys

import dashboard

CHART = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'helm', 'holdfast')
STRING = {'type': 'string'}
INT_MAX = 2 ** 31 - 1  # Kubernetes' own integers end there
INTEGER = {'type': 'integer', 'minimum': 0, 'maximum': INT_MAX}
QUALIFIED = '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'


def closed(required=(), **properties):
    return {'type': 'object', 'additionalProperties': False, **({'required': list(required)} if required else {}), 'properties': properties}


def named_as(pattern, value):
    return {'type': 'object', 'additionalProperties': False, 'patternProperties': {pattern: value}}


QUANTITY = {'type': ['string', 'integer', 'number'], 'pattern': '^[0-9]+(\\.[0-9]+)?(m|k|[MGTPE]|[KMGTPE]i)?$'}
RESOURCE = '^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i|[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$'
QUANTITIES = named_as(RESOURCE, QUANTITY)
ANY_OBJECT = {'type': 'object'}
BOOLEAN = {'type': 'boolean'}
SECURITY = {'runAsNonRoot': BOOLEAN, 'runAsUser': INTEGER, 'runAsGroup': INTEGER, 'seccompProfile': closed(['type'], type=STRING, localhostProfile=STRING),
            'seLinuxOptions': ANY_OBJECT, 'appArmorProfile': closed(['type'], type=STRING, localhostProfile=STRING), 'windowsOptions': ANY_OBJECT}
DEFINITIONS = {  # pieces of Kubernetes' own types that values are made of
    'labels': named_as(QUALIFIED, {'type': 'string', 'pattern': '^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$'}),
    'annotations': named_as(QUALIFIED, STRING),
    'seriesLabels': named_as('^[a-zA-Z_][a-zA-Z0-9_]*$', STRING),
    'amount': {'type': ['integer', 'string', 'null'], 'minimum': 0, 'maximum': 10000, 'pattern': '^[0-9]+%$'},
    'named': {'type': 'object', 'required': ['name'], 'properties': {'name': {'type': 'string', 'minLength': 1}}},
    'mount': {'type': 'object', 'required': ['name', 'mountPath'], 'properties': {'name': STRING, 'mountPath': {'type': 'string', 'pattern': '^/'}}},
    'resources': closed(requests=QUANTITIES, limits=QUANTITIES, claims={'type': 'array', 'items': closed(['name'], name=STRING, request=STRING)}),
    'env': closed(['name'], name={'type': 'string', 'pattern': '^[-._a-zA-Z][-._a-zA-Z0-9]*$'}, value=STRING, valueFrom=ANY_OBJECT),
    'envFrom': closed(prefix=STRING, configMapRef=ANY_OBJECT, secretRef=ANY_OBJECT),
    'toleration': closed(key=STRING, operator={'enum': ['Exists', 'Equal']}, value=STRING, tolerationSeconds={'type': 'integer'},
                         effect={'enum': ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute']}),
    'affinity': closed(nodeAffinity=ANY_OBJECT, podAffinity=ANY_OBJECT, podAntiAffinity=ANY_OBJECT),
    'spread': closed(['maxSkew', 'topologyKey', 'whenUnsatisfiable'], maxSkew={'type': 'integer', 'minimum': 1}, topologyKey=STRING,
                     whenUnsatisfiable={'enum': ['DoNotSchedule', 'ScheduleAnyway']}, minDomains={'type': 'integer'}, labelSelector=ANY_OBJECT,
                     matchLabelKeys={'type': 'array'}, nodeAffinityPolicy=STRING, nodeTaintsPolicy=STRING),
    'strategy': closed(type={'enum': ['RollingUpdate', 'Recreate', 'OnDelete']},
                       rollingUpdate=closed(maxSurge={'type': ['integer', 'string']}, maxUnavailable={'type': ['integer', 'string']}, partition=INTEGER)),
    'podSecurity': closed(**SECURITY, fsGroup=INTEGER, fsGroupChangePolicy={'enum': ['OnRootMismatch', 'Always']}, supplementalGroups={'type': 'array', 'items': INTEGER},
                          supplementalGroupsPolicy=STRING, seLinuxChangePolicy=STRING, sysctls={'type': 'array', 'items': closed(['name', 'value'], name=STRING, value=STRING)}),
    'security': closed(**SECURITY, allowPrivilegeEscalation=BOOLEAN, readOnlyRootFilesystem=BOOLEAN, privileged=BOOLEAN, procMount=STRING,
                       capabilities=closed(add={'type': 'array', 'items': STRING}, drop={'type': 'array', 'items': STRING})),
    'peer': closed(ipBlock=ANY_OBJECT, namespaceSelector=ANY_OBJECT, podSelector=ANY_OBJECT),
}
# Names that other charts use: known to the schema so that a template can refuse them by naming ours (templates/_checks.tpl).
FOREIGN = ['replicaCount', 'autoscaling', 'persistence', 'env', 'envFrom', 'volumes', 'volumeMounts', 'livenessProbe', 'readinessProbe', 'startupProbe',
           'podDisruptionBudget', 'terminationGracePeriodSeconds', 'metrics', 'ingress']


def scalar(text):
    """The type of a flow value, as far as a schema needs it."""
    if text in ('{}', ''):
        return {'type': 'object'}
    if text.startswith('['):
        return {'type': 'array'}
    if text.startswith('{'):
        return {'type': 'object'}
    if text == 'null':
        return {}
    if text in ('true', 'false'):
        return {'type': 'boolean'}
    if re.fullmatch(r'-?[0-9]+', text):
        return dict(INTEGER)
    return {'type': 'string'}


def read(path):
    """The keys in order: (dotted name, level, default as written or None for a map, description, schema piece)."""
    out, comment, piece, names = [], [], {}, []
    with open(path, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip('\n')
            text = line.strip()
            if text.startswith('# -- '):
                comment = [text[5:]]
            elif text.startswith('# @ '):
                piece = json.loads(text[4:])
            elif text.startswith('#'):
                comment.append(text[2:])
            elif not text:
                comment, piece = [], {}
            else:
                m = re.fullmatch(r'( *)([A-Za-z]\w*):(?: (.+))?', line)
                if not m or len(m[1]) % 2:
                    sys.exit(f'{path}:{number}: not in the style that this file keeps: {text}')
                level = len(m[1]) // 2
                names = names[:level] + [m[2]]
                out.append(('.'.join(names), level, m[3], ' '.join(comment), piece))
                comment, piece = [], {}
    return out


def raw(rows, name):
    """Is this key below one whose schema is given whole?"""
    return any(name.startswith(n + '.') and ('$ref' in p or 'additionalProperties' in p) for n, _, _, _, p in rows)


def schema(rows):
    root = {'$schema': 'http://json-schema.org/draft-07/schema#', 'title': 'values of the holdfast chart', **closed(), 'definitions': DEFINITIONS}
    for name, _, default, text, piece in rows:
        if raw(rows, name):
            continue
        at = root
        for part in name.split('.')[:-1]:
            at = at['properties'][part]
        own = closed() if default is None and not piece else {} if '$ref' in piece or 'oneOf' in piece or 'enum' in piece else scalar(default or '')
        at['properties'][name.split('.')[-1]] = {**({'description': text} if text else {}), **own, **piece}
    root['properties']['global']['additionalProperties'] = True  # other charts' too
    for name in FOREIGN:
        root['properties'][name] = {'deprecated': True}
    root['properties']['model']['properties']['sources'] = {'deprecated': True}
    root['properties']['probes']['properties']['startup']['properties']['backstop'] = {'deprecated': True}
    return json.dumps(root, indent=2, ensure_ascii=False) + '\n'


def block(rows, name):
    """A map that is given whole, as one line."""
    return '{' + ', '.join(f'{n.split(".")[-1]}: {d}' for n, _, d, _, _ in rows if n.startswith(name + '.')) + '}'


def table(rows):
    out = ['| key | default | meaning |\n| --- | --- | --- |\n']
    for name, _, default, text, piece in rows:
        if raw(rows, name) or (default is None and not piece):
            continue
        shown = default if default is not None else block(rows, name)
        out.append(f'| `{name}` | `{shown}` | {text.replace("|", chr(92) + "|")} |\n')
    return ''.join(out)


def defaults(rows):
    """The keys that cannot be null, with their defaults: a number, a word, or a map of the chart's own. Null is empty for the others."""
    wanted = {name: default or '' for name, _, default, _, piece in rows if not raw(rows, name) and default not in ('null', '{}', '[]', '""') and '$ref' not in piece}
    return json.dumps(wanted, indent=2) + '\n'


def main():
    rows = read(os.path.join(CHART, 'values.yaml'))
    nameless = [n for n, _, d, t, p in rows if not t and not raw(rows, n) and (d is not None or p)]
    if nameless:
        sys.exit('values.yaml: no description: ' + ', '.join(nameless))
    readme = os.path.join(CHART, 'README.md')
    with open(readme, encoding='utf-8') as f:
        text = f.read()
    wanted = {os.path.join(CHART, 'values.schema.json'): schema(rows),
              os.path.join(CHART, 'files', 'defaults.json'): defaults(rows),
              os.path.join(CHART, 'files', 'dashboard.json'): dashboard.dashboard(),
              readme: re.sub(r'(<!-- values -->\n).*?(<!-- end -->\n)', lambda m: m[1] + table(rows) + m[2], text, flags=re.S)}
    stale = 0
    for path, content in wanted.items():
        before = None
        if os.path.exists(path):
            with open(path, encoding='utf-8') as f:
                before = f.read()
        if before != content:
            stale += 1
            print(f'{os.path.relpath(path)}: {"stale (make docs)" if "--check" in sys.argv else "written"}')
            if '--check' not in sys.argv:
                with open(path, 'w', encoding='utf-8') as f:
                    f.write(content)
    if '--check' in sys.argv:
        print(('not ok' if stale else 'ok') + ' the schema and README of the chart are ' + ('stale' if stale else 'fresh'))
        sys.exit(1 if stale else 0)


if __name__ == '__main__':
    main()
