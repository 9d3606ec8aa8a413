#!/usr/bin/env python3
"""page.py URL [FOLDER]: looks at a page in the real Chromium at 390 and 1280 px, light and dark, and fails with a list of what is wrong.

Nothing may run over the side, no error may reach the console, nothing may be asked of another host, and each piece of text must
stand out from what is behind it by at least 4.5 to 1 (WCAG 2.1, 1.4.3). Pictures go to FOLDER. Speaks WebDriver to chromedriver.
"""
import base64, json, os, socket, subprocess, sys, tempfile, time, urllib.request

URL = sys.argv[1]
FOLDER = sys.argv[2] if len(sys.argv) > 2 else None
WIDTHS, SCHEMES = (390, 1280), ('light', 'dark')

# Every text node with its computed colour against the nearest opaque background above it.
CONTRAST = r"""
const rgb = c => c.match(/[\d.]+/g).map(Number);
const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const bad = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let seen = 0;
for (let n; (n = walk.nextNode());) {
  const e = n.parentElement;
  if (!n.textContent.trim() || !e.checkVisibility() || ['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(e.tagName)) continue;
  let g = e, ground = [255, 255, 255];
  for (; g; g = g.parentElement) { const c = rgb(getComputedStyle(g).backgroundColor); if (c.length < 4 || c[3] === 1) { ground = c; break; } }
  const a = light(rgb(getComputedStyle(e).color)), b = light(ground), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  seen++;
  if (ratio < 4.5) bad.push(n.textContent.trim().slice(0, 40) + ': ' + ratio.toFixed(2));
}
return { seen, bad };
"""
OVERFLOW = r"""
const bad = [];
if (document.documentElement.scrollWidth > innerWidth) bad.push('the page is ' + document.documentElement.scrollWidth + ' px wide');
for (const e of document.querySelectorAll('body *')) if (e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 0.5) bad.push(e.tagName + '.' + e.className + ' ends at ' + e.getBoundingClientRect().right);
return bad.slice(0, 5);
"""


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Browser:
    def __init__(self, profile):
        port = free_port()
        self.driver = subprocess.Popen(['chromedriver', f'--port={port}', '--log-level=SEVERE'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.base = f'http://127.0.0.1:{port}'
        for _ in range(300):
            try:
                self.call('GET', '/status')
                break
            except OSError:
                time.sleep(0.1)
        self.session = '/session/' + self.call('POST', '/session', {'capabilities': {'alwaysMatch': {
            'goog:loggingPrefs': {'browser': 'ALL', 'performance': 'ALL'},
            'goog:chromeOptions': {'args': ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
                                            '--hide-scrollbars', f'--user-data-dir={profile}']}}}})['sessionId']

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {'Content-Type': 'application/json'}, method=method)
        return json.load(urllib.request.urlopen(request, timeout=120))['value']

    def do(self, path, body=None):
        return self.call('POST', self.session + path, body or {})

    def devtools(self, command, **params):
        return self.do('/goog/cdp/execute', {'cmd': command, 'params': params})

    def script(self, text):
        return self.do('/execute/sync', {'script': text, 'args': []})

    def logs(self, kind):
        return self.do('/se/log', {'type': kind})

    def close(self):
        try:
            self.call('DELETE', self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()


def look(browser, width, scheme):
    browser.devtools('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    browser.devtools('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
    browser.do('/url', {'url': URL})
    for _ in range(300):  # the page has read the status
        if browser.script("return document.querySelectorAll('#fall .row').length && document.title !== 'holdfast'"):
            break
        time.sleep(0.1)
    else:
        return ['the page shows no status']
    where = f'{width} px, {scheme}: '
    wrong = [where + w for w in browser.script(OVERFLOW)]
    contrast = browser.script(CONTRAST)
    wrong += [where + 'contrast of ' + w for w in contrast['bad']]
    if contrast['seen'] < 10:
        wrong.append(where + f"only {contrast['seen']} pieces of text")
    if FOLDER:
        height = browser.script('return document.documentElement.scrollHeight')
        browser.devtools('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        with open(os.path.join(FOLDER, f'page-{width}-{scheme}.png'), 'wb') as f:
            f.write(base64.b64decode(browser.call('GET', browser.session + '/screenshot')))
    return wrong


def requests(browser):
    for entry in browser.logs('performance'):
        message = json.loads(entry['message'])['message']
        if message['method'] == 'Network.requestWillBeSent':
            yield message['params']['request']['url']


with tempfile.TemporaryDirectory() as profile:
    browser = Browser(profile)
    try:
        wrong = [w for width in WIDTHS for scheme in SCHEMES for w in look(browser, width, scheme)]
        asked = list(requests(browser))
        own = URL.rstrip('/') + '/'
        wrong += ['asks for ' + u for u in asked if not u.startswith((own, 'data:', 'chrome:', 'about:'))]
        if not any(u == own + 'status' for u in asked):
            wrong.append('never asked for status: the list of requests cannot be believed')
        wrong += ['console: ' + e['message'] for e in browser.logs('browser') if e['level'] in ('SEVERE', 'WARNING')]
    finally:
        browser.close()
if wrong:
    sys.exit('\n'.join(wrong))
