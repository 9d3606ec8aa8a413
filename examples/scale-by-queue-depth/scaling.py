"""scaling.py - what the autoscaler sees, and what makes the line long.

  scaling.py keda VALUES RELEASE           the PromQL that the chart renders for KEDA
  scaling.py hpa VALUES RELEASE POD        the PromQL by which prometheus-adapter answers the chart's HorizontalPodAutoscaler for that pod
  scaling.py ask PROMETHEUS QUERY          its one number; nothing where there is none yet
  scaling.py load API N                    N clients that ask for long answers, one after the other, until it is ended
"""
import http.client
import json
import math
import os
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
CHART = os.path.join(HERE, '..', '..', 'helm', 'holdfast')


def rendered(values, release):
    line = ['helm', 'template', release, CHART, '--namespace', 'default', '--kube-version', '1.33', '-f', os.path.join(HERE, values), '-s', 'templates/autoscaling.yaml']
    helm = subprocess.run(line, capture_output=True, text=True)
    if helm.returncode:
        sys.exit(helm.stderr)
    return helm.stdout


def keda(values, release):
    print(json.loads(re.search(r'^ *query: (".*")$', rendered(values, release), re.M)[1]))


def hpa(values, release, pod):
    metric = re.search(r'metric: \{name: "(.*)"\}', rendered(values, release))[1]
    with open(os.path.join(HERE, 'prometheus-adapter.yaml'), encoding='utf-8') as f:
        rule = dict(re.findall(r'^ +-? *(seriesQuery|as|metricsQuery): (.*)$', f.read(), re.M))
    if rule['as'] != metric:
        sys.exit(f'the autoscaler asks for {metric}, the adapter has {rule["as"]}')
    print(rule['metricsQuery'].replace('<<.Series>>', rule['seriesQuery'].split('{')[0]).replace('<<.LabelMatchers>>', f'namespace="default",pod=~"{pod}"')
          .replace('<<.GroupBy>>', 'pod'))


def ask(prometheus, query):
    with urllib.request.urlopen(f'{prometheus}/api/v1/query?' + urllib.parse.urlencode({'query': query}), timeout=10) as r:
        result = json.load(r)['data']['result']
    if len(result) > 1:
        sys.exit(f'{len(result)} numbers, an autoscaler wants one: {query}')
    if result and not math.isnan(value := float(result[0]['value'][1])):
        print(f'{value:g}')


def client(where, body):
    while True:
        c = http.client.HTTPConnection(where.hostname, where.port)
        c.request('POST', '/v1/chat/completions', body, {'Content-Type': 'application/json'})
        while c.getresponse().read(65536):
            pass


def load(api, n):
    body = json.dumps({'model': 'autoglm-phone-9b', 'max_tokens': 8000, 'ignore_eos': True, 'messages': [{'role': 'user', 'content': 'Hi'}]})
    clients = [threading.Thread(target=client, args=(urllib.parse.urlparse(api), body)) for _ in range(int(n))]
    for c in clients:
        c.start()


if __name__ == '__main__':
    if len(sys.argv) < 3 or sys.argv[1] not in ('keda', 'hpa', 'ask', 'load'):
        sys.exit(__doc__)
    {'keda': keda, 'hpa': hpa, 'ask': ask, 'load': load}[sys.argv[1]](*sys.argv[2:])
