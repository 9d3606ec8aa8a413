"""The Grafana dashboard of the chart, from a table of panels. docs/chart.py writes it to helm/holdfast/files/dashboard.json.

Variables: datasource, namespace, pod. $OWN in an expression is the selector by them; RATE stands for Grafana's $__rate_interval.
"""
import json

OWN = 'namespace=~"$namespace",pod=~"$pod"'
ROWS = [  # title of a row, its panels: (title, kind, unit, width, [(expression, legend)])
    ('Now', [
        ('Phase', 'stat', 'none', 8, [('max by (pod, phase) (holdfast_phase{$OWN}) == 1', '{{pod}}: {{phase}}')]),
        ('Ready pods', 'stat', 'none', 4, [('sum(holdfast_ready{$OWN})', 'ready')]),
        ('Restarts left', 'stat', 'none', 4, [('min(holdfast_restarts_left{$OWN})', 'least of all pods')]),
        ('Weights served', 'table', 'none', 8, [('max by (pod, model, digest) (holdfast_weights_info{$OWN})', '')]),
    ]),
    ('Cold start', [
        ('Cold start', 'timeseries', 's', 8, [('max by (pod) (holdfast_startup_duration_seconds_sum{$OWN})', '{{pod}}')]),
        ('Phases of the last start', 'bargauge', 's', 8, [('max by (phase) (holdfast_phase_duration_seconds{$OWN})', '{{phase}}')]),
        ('How far this phase is', 'timeseries', 'percentunit', 8,
         [('max by (pod, phase) (holdfast_progress_bytes{$OWN} / holdfast_progress_expected_bytes{$OWN})', '{{pod}} {{phase}}')]),
    ]),
    ('What died', [
        ('Restarts by cause', 'timeseries', 'none', 8, [('sum by (child, cause) (increase(holdfast_child_restarts_total{$OWN}[RATE]))', '{{child}} {{cause}}')]),
        ('Last ends', 'table', 'none', 8, [('max by (pod, child, code, signal, cause) (holdfast_child_last_exit_info{$OWN})', '')]),
        ('Rung and back-off', 'timeseries', 'none', 8,
         [('max by (pod, child) (holdfast_child_rung{$OWN})', 'rung {{pod}} {{child}}'), ('max by (pod, child) (holdfast_child_backoff_seconds{$OWN})', 'back-off s {{pod}} {{child}}')]),
    ]),
    ('Serving', [
        ('Requests', 'timeseries', 'none', 8, [('sum(vllm:num_requests_running{$OWN})', 'running'), ('sum(vllm:num_requests_waiting{$OWN})', 'waiting')]),
        ('Tokens', 'timeseries', 'none', 8, [('sum(rate(vllm:generation_tokens_total{$OWN}[RATE]))', 'generated a second'), ('sum(rate(vllm:prompt_tokens_total{$OWN}[RATE]))', 'read a second')]),
        ('Time to the first token', 'timeseries', 's', 8,
         [(f'histogram_quantile({q}, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket{{$OWN}}[RATE])))', f'p{int(q * 100)}') for q in (0.5, 0.95)]),
        ('Whole answer', 'timeseries', 's', 8,
         [(f'histogram_quantile({q}, sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket{{$OWN}}[RATE])))', f'p{int(q * 100)}') for q in (0.5, 0.95)]),
        ('Ends', 'timeseries', 'none', 8, [('sum by (finished_reason) (rate(vllm:request_success_total{$OWN}[RATE]))', '{{finished_reason}}')]),
        ('Cache in use', 'timeseries', 'percentunit', 8, [('max by (pod) (vllm:kv_cache_usage_perc{$OWN})', '{{pod}}')]),
    ]),
    ('Process 1', [
        ('Answers to probes', 'timeseries', 'none', 8, [('sum by (probe, code) (rate(holdfast_probe_requests_total{$OWN}[RATE]))', '{{probe}} {{code}}')]),
        ('Its own questions', 'timeseries', 'none', 8, [('sum by (child, answer) (rate(holdfast_child_probe_answers_total{$OWN}[RATE]))', '{{child}} {{answer}}')]),
        ('Lost lines, orphans', 'timeseries', 'none', 8,
         [('sum(holdfast_child_output_lost_lines_total{$OWN})', 'lines of output dropped'), ('sum(holdfast_orphans_reaped_total{$OWN})', 'orphans reaped')]),
    ]),
]


def panel(number, title, kind, unit, width, targets, x, y):
    source = {'type': 'prometheus', 'uid': '${datasource}'}
    return {
        'id': number, 'title': title, 'type': kind, 'datasource': source, 'gridPos': {'h': 7, 'w': width, 'x': x, 'y': y},
        'fieldConfig': {'defaults': {'unit': unit}, 'overrides': []},
        **({'options': {'textMode': 'name' if title == 'Phase' else 'auto', 'reduceOptions': {'calcs': ['lastNotNull']}}} if kind == 'stat' else {}),
        'targets': [{'refId': chr(65 + i), 'datasource': source, 'expr': expr.replace('$OWN', OWN).replace('RATE', '$__rate_interval'), 'legendFormat': legend,
                     **({'format': 'table', 'instant': True} if kind == 'table' else {})} for i, (expr, legend) in enumerate(targets)],
    }


def variable(name, query, multi):
    source = {'type': 'prometheus', 'uid': '${datasource}'}
    return {'name': name, 'type': 'query', 'datasource': source, 'query': query, 'refresh': 2, 'includeAll': multi, 'multi': multi, **({'current': {'text': 'All', 'value': '$__all'}} if multi else {})}


def dashboard():
    panels, number, y = [], 1, 0
    for row, members in ROWS:
        panels.append({'id': number, 'title': row, 'type': 'row', 'collapsed': False, 'gridPos': {'h': 1, 'w': 24, 'x': 0, 'y': y}, 'panels': []})
        number, x, y = number + 1, 0, y + 1
        for title, kind, unit, width, targets in members:
            if x + width > 24:
                x, y = 0, y + 7
            panels.append(panel(number, title, kind, unit, width, targets, x, y))
            number, x = number + 1, x + width
        y += 7
    return json.dumps({
        'title': 'holdfast', 'uid': 'holdfast', 'tags': ['holdfast', 'inference'], 'schemaVersion': 38, 'editable': True, 'refresh': '30s', 'time': {'from': 'now-3h', 'to': 'now'},
        'templating': {'list': [{'name': 'datasource', 'type': 'datasource', 'query': 'prometheus'}, variable('namespace', 'label_values(holdfast_build_info, namespace)', False),
                                variable('pod', 'label_values(holdfast_build_info{namespace=~"$namespace"}, pod)', True)]},
        'panels': panels,
    }, indent=1) + '\n'
