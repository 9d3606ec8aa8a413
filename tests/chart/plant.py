"""Planted faults of the chart, most of them seen in published charts: each must turn the promise that it names red.
plant.py [WORD] plants those of promises whose name contains WORD. TAP.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from render import CHART

HERE = os.path.dirname(os.path.abspath(__file__))
FAULTS = [  # promise, file, before, after
    ('zero_stays_zero', 'templates/_pod.tpl', 'initialDelaySeconds: {{ int $p.delay }}', 'initialDelaySeconds: {{ $p.delay | default 15 }}'),
    ('zero_stays_zero', 'templates/pdb.yaml', '{{- else if not (kindIs "invalid" .Values.pdb.maxUnavailable) }}', '{{- else if .Values.pdb.maxUnavailable }}'),
    ('the_number_of_pods', 'templates/workload.yaml', '{{- if not (or .Values.hpa.enabled .Values.keda.enabled) }}', '{{- if true }}'),
    ('two_releases', 'templates/_helpers.tpl', 'app.kubernetes.io/instance: {{ .Release.Name | quote }}', 'release: test'),
    ('budgets_are_computed', 'templates/_pod.tpl', 'divf $budget $v.probes.startup.period | ceil | int64', 'div $budget $v.probes.startup.period'),
    ('keda_takes_no_data', 'templates/autoscaling.yaml', 'ignoreNullValues: "false"', 'ignoreNullValues: "true"'),
    ('shared_memory', 'templates/_pod.tpl', '(gt (int (include "holdfast.gpus" .)) 1)', '(gt (int .Values.gpu.count) 1)'),
    ('shared_memory', 'templates/_pod.tpl', 'emptyDir: {medium: Memory, sizeLimit: {{ $shm | quote }}}', 'emptyDir: {medium: Memory}'),
    ('a_changed_configuration', 'templates/_pod.tpl', '($v.config | toJson | sha256sum)', '"x"'),
    ('unknown_keys', 'values.schema.json', '"additionalProperties": false,\n      "properties": {\n        "registry"', '"properties": {\n        "registry"'),
    ('restricted_is_passed', 'values.yaml', '  allowPrivilegeEscalation: false\n', '  allowPrivilegeEscalation: true\n'),
    ('probes_ask_holdfast', 'templates/_pod.tpl', '  port: status', '  port: http'),
    ('each_cache_alone', 'templates/_pod.tpl', '{{- else if eq .Values.cache.type "hostPath" -}}', '{{- else if eq .Values.cache.type "hostpath" -}}'),
    ('queries_name_the_pods', 'templates/prometheusrule.yaml', '"[a-z0-9]+-[a-z0-9]{5}" "[0-9]+" (eq', '".+" ".+" (eq'),
    ('several_sources', 'templates/_helpers.tpl', '{{- .Values.model.source | default list | toJson -}}', '{{- .Values.model.source | default list | sortAlpha | toJson -}}'),
    ('a_hubs_cache', 'templates/_pod.tpl', '{{- $plain := and (or $own $sources) (not $hub) -}}', '{{- $plain := or $own $sources -}}'),
    ('what_nobody_uses', 'templates/gccronjob.yaml', '                {{- if .Values.gc.delete }}\n', '                {{- if true }}\n'),
    ('restricted_is_passed', 'templates/gccronjob.yaml', '              securityContext: {{- toYaml (.Values.securityContext | default dict) | nindent 16 }}\n', ''),
    ('the_network_policy', 'templates/networkpolicy.yaml', '{{- else if not (hasPrefix "file://" .) }}', '{{- else }}'),
    ('the_test_pod', 'templates/tests.yaml', '"app.kubernetes.io/component" "test"', '"app.kubernetes.io/component" "server"'),
    ('alerts_fire', 'templates/prometheusrule.yaml', '_progress_last_timestamp_seconds{phase=~"loading|warming",', '_progress_last_timestamp_seconds{'),
    ('random_values', 'templates/serviceaccount.yaml', '{{ include "holdfast.serviceAccountName" . | quote }}', '{{ include "holdfast.serviceAccountName" . }}'),
    ('names_of_releases', 'templates/_helpers.tpl', '(gt (len $fits) 46)', '(gt (len $fits) 63)'),
    ('names_of_releases', 'templates/_helpers.tpl', '(hasPrefix (printf "%s-" $name) $whole)', '(contains $name $whole)'),
    ('names_of_releases', 'templates/_helpers.tpl', 'name: {{ include "holdfast.fullname" . | quote }}\nlabels', 'name: {{ include "holdfast.fullname" . }}\nlabels'),
    ('null_is_empty', 'templates/_pod.tpl', '($v.podLabels | default dict)', '$v.podLabels'),
    ('contradictions', 'templates/_checks.tpl', 'if kindIs "invalid" $at', 'if false'),
    ('texts_arrive', 'templates/tests.yaml', '{{ printf "--text=%s" .Values.tests.text | quote }}', '--text={{ .Values.tests.text }}'),
    ('budgets_are_computed', 'templates/_helpers.tpl', '(max (int $p.margin) (int $p.period))', '(int $p.margin)'),
    ('the_scaling_query', 'templates/autoscaling.yaml', 'tgi_(queue_size|batch_current_size)|', ''),
    ('the_network_policy', 'templates/networkpolicy.yaml', 'regexMatch "^https?://" .', 'not (hasPrefix "hf://" .)'),
    ('no_secret', 'templates/tests.yaml', '(list "HOLDFAST_API_KEY" "VLLM_API_KEY")', '(list "HOLDFAST_API_KEY")'),
    ('no_token', 'templates/tests.yaml', '  automountServiceAccountToken: false\n', ''),
]


def main():
    failed = 0
    for promise, name, before, after in FAULTS:
        if sys.argv[1:] and sys.argv[1] not in promise:
            continue
        with tempfile.TemporaryDirectory() as d:
            copy = shutil.copytree(CHART, os.path.join(d, 'holdfast'))
            path = os.path.join(copy, name)
            with open(path, encoding='utf-8') as f:
                text = f.read()
            what = f'{promise} sees {before.strip()[:50]!r} become {after.strip()[:40]!r}'
            if before not in text:
                failed += 1
                print(f'not ok {what}\n# the fault does not fit {name} any more', flush=True)
                continue
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text.replace(before, after, 1))
            r = subprocess.run([sys.executable, os.path.join(HERE, 'units.py'), promise], capture_output=True, text=True, env={**os.environ, 'HOLD_CHART': copy, 'HOLD_CHART_SEEDS': '100'})
            is_red = r.returncode == 1 and 'not ok' in r.stdout
            failed += not is_red
            print(f'{"ok" if is_red else "not ok"} {what}' + ('' if is_red else '\n# ' + r.stdout.strip().replace('\n', '\n# ')), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
