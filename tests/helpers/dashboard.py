"""Asks a Prometheus each query of the chart's dashboard: dashboard.py URL DASHBOARD [SECONDS]. Prints a TAP line each; fails when one has no data
or NaN alone within SECONDS (30)."""
import json
import sys
import time
import urllib.parse
import urllib.request


def ask(base, query):
    with urllib.request.urlopen(f'{base}/api/v1/query?' + urllib.parse.urlencode({'query': query}), timeout=10) as r:
        return [x for x in json.load(r)['data']['result'] if x['value'][1] != 'NaN']


def main():
    base, path = sys.argv[1:3]
    with open(path, encoding='utf-8') as f:
        panels = json.load(f)['panels']
    failed, until = 0, time.monotonic() + float((sys.argv[3:] or [30])[0])
    for panel in panels:
        for target in panel.get('targets', []):
            query = target['expr'].replace('$namespace', 'default').replace('$pod', '.+').replace('$__rate_interval', '1m')
            result = ask(base, query)
            while not result and time.monotonic() < until:
                time.sleep(0.5)
                result = ask(base, query)
            failed += not result
            print(f'{"ok" if result else "not ok"} {panel["title"]}: {query}' + (f' # {len(result)} series' if result else ''))
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
