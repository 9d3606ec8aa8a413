#!/usr/bin/env python3
"""origin.py ROOT [--tls CERT KEY] [--hub REPO DIR] [--modelscope REPO DIR] [--unpinned] [--gated TOKEN] [--log FILE]
          [--ways WAY+WAY] [--cdn URL] [--signed N] [--cdn-faults FAULT+FAULT] [--s3 BUCKET DIR KEY SECRET REGION] [--s3-session TOKEN] [--s3-sums] [--faults FAULT+FAULT]: an HTTP origin with ranges and faults.

Prints its port. Plain files are served below /; /~FAULT+FAULT@PART/path serves path with faults, which apply only to paths
that contain PART (all without it). Counters are kept for each address, so `drop:2` means the first two requests of a file.

  drop:N             the connection is closed before any answer
  status:CODE:N[:S]  the first N answers are CODE (with Retry-After: S; S may be "date3": a date 3 s ahead)
  cut:B  rst:B       every answer ends after B bytes of body, by close or by reset; cutonce:B only the first
  flip:N             one bit in the middle is wrong in the first N answers that carry it (N = 0: always)
  stall:B  drip:B    the first answer stands still after B bytes, or brings 4 bytes a second
  mute:N             the first N requests are never answered
  change:B           the first answer is cut after B bytes; from then on content and ETag are others
  slow:B             every answer brings B bytes a second
  chaos:SEED:PERCENT  that share of answers has one of the faults above, drawn anew for each
  norange  wrongrange:N  short:N  long:N  html:N  pointer  redirect  tags  noetag
  refusesrange       every request for a range is 416
  gzip:N  lengths:N  garbage:N   the first N answers are compressed unasked, have two lengths, are no HTTP (N = 0: all)

Ways of a hub's API: relative, foreign, bare (how the next page is linked), escape (a file's name leaves the folder), page, half (the
first answer to each question is a web page, or ends too early), zip (answers are compressed where the client can undo it).
"""
import email.utils, gzip, hashlib, http.server, json, os, random, re, socket, ssl, struct, sys, threading, time, urllib.parse

ROOT, HUB, GATED, LOG, STORES = '.', {}, None, None, []
COUNTS, LOCK, WAYS = {}, threading.Lock(), []
CDN, SIGNED, CDN_FAULTS = None, 0, []  # where a hub's large files live, and for how many requests an address there is good
COMMIT = 'a' * 40


def count(key):
    with LOCK:
        COUNTS[key] = COUNTS.get(key, 0) + 1
        return COUNTS[key]


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *a):
        pass

    def note(self, status):
        if LOG:
            line = json.dumps({'t': time.time(), 'path': self.path, 'range': self.headers.get('Range'), 'if_range': self.headers.get('If-Range'),
                               'auth': self.headers.get('Authorization'), 'cookie': self.headers.get('Cookie'), 'host': self.headers.get('Host'), 'method': self.command, 'status': status})
            with LOCK, open(LOG, 'a') as f:
                f.write(line + '\n')

    def die(self, reset=False):
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        try:
            self.wfile.flush()
            if not reset:
                self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()

    def plain(self, status, body=b'', **headers):
        self.note(status)
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace('_', '-'), v)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        try:
            self.answer()
        except (BrokenPipeError, ConnectionResetError, OSError):
            self.close_connection = True

    def answer(self):
        path, faults = urllib.parse.unquote(self.path.split('?')[0]), []
        m = re.match(r'/~([^/@]*)(?:@([^/]*))?(/.*)', path)
        if m:
            path = m.group(3)
            if not m.group(2) or m.group(2) in path:
                faults = [f.split(':') for f in m.group(1).split('+')]
        self.extra = {}
        if HUB and self.hub(path):
            return
        if path.startswith('/oss/') and STORES:
            path, root = path[4:], STORES[0].root
            return self.serve(path, open(os.path.normpath(root + path), 'rb').read(), faults)
        if any(store.answer(self, path) for store in STORES):
            return
        if HUB and path.startswith('/api/models/'):
            return self.plain(401, b'{"error": "Invalid username or password."}', X_Error_Code='RepoNotFound', X_Error_Message='Repository not found')
        if path.startswith('/cdn/'):
            path, faults = path[4:], faults + CDN_FAULTS
            if SIGNED and count(('signed', self.path)) > SIGNED:
                return self.plain(403, b'<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>')
            root = list(HUB.values())[0] if HUB else ROOT
        else:
            root = ROOT
        full = os.path.normpath(root + path)
        if not os.path.isfile(full):
            return self.plain(404, b'not here\n')
        with open(full, 'rb') as f:
            data = f.read()
        self.serve(path, data, faults)

    def document(self, value, **headers):
        body, headers['Content_Type'], seen = json.dumps(value).encode(), 'application/json', count((self.path, 'ways'))
        if 'page' in WAYS and seen == 1:
            body, headers['Content_Type'] = b'<!doctype html><html>back soon</html>', 'text/html'
        if 'half' in WAYS and seen == 1:
            body = body[:len(body) // 2]
        if 'zip' in WAYS and 'gzip' in self.headers.get('Accept-Encoding', ''):
            body, headers['Content_Encoding'] = gzip.compress(body), 'gzip'
        self.plain(200, body, **headers)

    def next_page(self):
        here = '%s://%s' % ('https' if isinstance(self.connection, ssl.SSLSocket) else 'http', self.headers['Host'])
        if 'foreign' in WAYS:
            here = 'https://hub.example'
        if 'relative' in WAYS:
            here = ''
        first = '<%s/elsewhere>; rel="prev first", ' % here if WAYS else ''
        return first + '<%s%s&page=2>; %s' % (here, self.path, 'rel=next' if 'bare' in WAYS else 'rel="next"')

    def hub(self, path):
        for repo, root in HUB.items():
            if not (path.startswith('/api/models/' + repo + '/') or path.startswith('/' + repo + '/resolve/')):
                continue
            if GATED and self.headers.get('Authorization') != 'Bearer ' + GATED:
                self.plain(401, b'', X_Error_Code='GatedRepo', X_Error_Message='Access to this model is restricted')
                return True
            if '/revision/' in path and re.search('/revision/[^/]+/', self.path):
                self.plain(404, b'', X_Error_Code='RevisionNotFound', X_Error_Message='Invalid rev id')  # a '/' in a branch is written %2F
            elif '/revision/' in path:
                self.document({'id': repo, 'modelId': repo, 'sha': COMMIT, 'private': False, 'disabled': False, 'tags': [], 'downloads': 0, 'likes': 0,
                                             'siblings': [{'rfilename': n} for n in sorted(os.listdir(root))]})
            elif '/tree/' in path:
                names = sorted(os.listdir(root))
                page = 'page=2' in self.path
                part = names[len(names) // 2:] if page else names[:len(names) // 2]
                rows = []
                for n in part:
                    data = open(os.path.join(root, n), 'rb').read()
                    row = {'type': 'file', 'path': n, 'size': len(data), 'oid': hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()}
                    if n.endswith('.safetensors'):
                        row['lfs'] = {'oid': hashlib.sha256(data).hexdigest(), 'size': len(data), 'pointerSize': 134}
                    rows.append(row)
                if 'escape' in WAYS and page:
                    rows.append({'type': 'file', 'path': '../escaped', 'size': 1, 'oid': 'a' * 40})
                self.document(rows, **({} if page else {'Link': self.next_page()}))
            else:
                name = re.split('/resolve/[^/]+/', path, maxsplit=1)[1]
                if not os.path.isfile(os.path.join(root, name)):
                    self.plain(404, b'', X_Error_Code='EntryNotFound', X_Error_Message='Entry not found')
                    return True
                port = self.server.server_address[1]
                data = open(os.path.join(root, name), 'rb').read()
                if name.endswith('.safetensors'):  # large files live on another host
                    signature = '?signature=%d' % count('signature') if SIGNED else ''
                    self.plain(302, b'', Location='%s/cdn/%s%s' % (CDN or 'http://localhost:%d' % port, name, signature), X_Repo_Commit=COMMIT,
                               X_Linked_Etag='"%s"' % hashlib.sha256(data).hexdigest(), X_Linked_Size=str(len(data)))
                else:
                    self.hub_etag = '"%s"' % hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()
                    self.serve('/' + name, data, [])
            return True
        return False

    def draw(self, key, seed, percent):
        """This answer's fault: counted faults get counts that hold for it alone, so that the share is what was asked for."""
        r = random.Random('%s %s %d' % (seed, key, count((key, 'chaos'))))
        if r.random() * 100 >= int(percent):
            return []
        at = str(r.randrange(200000, 6000000))
        everything = [['drop', '999'], ['status', '500'], ['status', '503', '999', '0'], ['status', '429', '999', '0'], ['status', '416'], ['cut', at], ['rst', at],
                      ['flip', '0'], ['stall', at, 'now'], ['norange'], ['wrongrange', '999'], ['short', '0'], ['long', '0'], ['html', '0'], ['tags'], ['noetag'], ['redirect']]
        return [r.choice(everything)]

    def serve(self, path, data, faults):
        key, cut, reset, flip = self.path.split('?')[0], None, False, False
        etag, wants_range = getattr(self, 'hub_etag', None) or '"%s"' % hashlib.sha1(data).hexdigest(), True
        ctype = 'application/octet-stream'
        stall = drip = slow = None
        faults = [f for fault in faults for f in (self.draw(key, *fault[1:]) if fault[0] == 'chaos' else [fault])]
        for name, *args in faults:
            n = [int(a) for a in args if a.isdigit()] or [0]
            seen = count((key, name)) if name in ('drop', 'status', 'cutonce', 'stall', 'drip', 'mute', 'change', 'wrongrange', 'short', 'long', 'html', 'tags', 'gzip', 'lengths', 'garbage') else 0
            if name == 'drop' and seen <= n[0]:
                self.note(0)
                return self.die()
            if name == 'mute' and seen <= n[0]:
                self.note(0)
                time.sleep(60)
                return self.die()
            if name == 'status' and (seen <= n[1] if len(n) > 1 else True):
                headers = {}
                if len(args) > 2:
                    after = args[2]
                    headers['Retry_After'] = email.utils.formatdate(time.time() + int(after[4:]), usegmt=True) if after.startswith('date') else after
                return self.plain(n[0], b'no\n', **headers)
            if name in ('cut', 'rst'):
                cut, reset = n[0], name == 'rst'
            if name == 'cutonce' and seen == 1:
                cut = n[0]
            if name == 'flip':
                flip = n[0]
            if name == 'stall' and (seen == 1 or 'now' in args):
                stall = n[0]
            if name == 'drip' and seen == 1:
                drip = n[0]
            if name == 'slow':
                slow = n[0]
            if name == 'change':
                if seen == 1:
                    cut = n[0]
                else:
                    data = data.translate(bytes(range(255, -1, -1)))
                    etag = '"changed"'
            if name == 'short' and (seen <= n[0] or n[0] == 0):
                data = data[:-1000]
            if name == 'long' and (seen <= n[0] or n[0] == 0):
                data = data + b'x' * 4096
            if name == 'html' and (seen <= n[0] or n[0] == 0):
                return self.plain(200, b'<!DOCTYPE html><html><body>log in</body></html>\n', Content_Type='text/html')
            if name == 'gzip' and (seen <= n[0] or n[0] == 0):
                data, self.extra = gzip.compress(data, 1), {'Content-Encoding': 'gzip'}
            if name == 'lengths' and (seen <= n[0] or n[0] == 0):
                self.extra = {'Content-Length': str(len(data) - 7)}
            if name == 'garbage' and (seen <= n[0] or n[0] == 0):
                self.note(0)
                self.wfile.write(b'SSH-2.0-OpenSSH_9\r\n')
                return self.die()
            if name == 'refusesrange' and self.headers.get('Range'):
                return self.plain(416, b'', Content_Range='bytes */%d' % len(data))
            if name == 'pointer':
                data = b'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n' % (hashlib.sha256(data).hexdigest().encode(), len(data))
            if name == 'norange':
                wants_range = False
            if name == 'tags':
                etag = '"%d"' % seen
            if name == 'noetag':
                etag = None
            if name == 'redirect':
                return self.plain(302, b'', Location='http://localhost:%d%s' % (self.server.server_address[1], urllib.parse.quote(path)))
        total, first, status = len(data), 0, 200
        m = re.match(r'bytes=(\d+)-(\d*)$', self.headers.get('Range') or '')
        if_range = self.headers.get('If-Range')
        if m and wants_range and (not if_range or if_range == etag):
            first, status = int(m.group(1)), 206
            if first >= total:
                return self.plain(416, b'', Content_Range='bytes */%d' % total)
            for name, *args in faults:
                if name == 'wrongrange' and COUNTS.get((key, name), 0) <= int(args[0]) + 1:
                    first = max(0, first - 100)
        last = min(total - 1, int(m.group(2)) if status == 206 and m.group(2) else total - 1)
        body = data[first:last + 1]
        if flip is not False:
            at = len(data) // 2 - first
            if 0 <= at < len(body) and (cut is None or at < cut) and (flip == 0 or count((key, 'flipped')) <= flip):
                body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
        self.note(status)
        self.send_response(status)
        self.send_header('Content-Type', ctype)
        self.send_header('Accept-Ranges', 'bytes')
        for k, v in self.extra.items():
            self.send_header(k, v)
        if etag:
            self.send_header('ETag', etag)
        if status == 206:
            self.send_header('Content-Range', 'bytes %d-%d/%d' % (first, last, total))
        if getattr(self, 'hub_etag', None):
            self.send_header('X-Repo-Commit', COMMIT)
            self.hub_etag = None
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command == 'HEAD':
            return
        if stall is not None or drip is not None:
            self.wfile.write(body[:stall if stall is not None else drip])
            self.wfile.flush()
            for i in range(240):
                time.sleep(.25)
                if drip is not None:
                    self.wfile.write(b'x')
            return self.die()
        if cut is not None and cut < len(body):
            self.wfile.write(body[:cut])
            if reset:
                time.sleep(.05)  # what was sent arrives; a reset discards it otherwise
            return self.die(reset)
        step = max(1, slow // 20) if slow else len(body) or 1
        for at in range(0, len(body), step):
            self.wfile.write(body[at:at + step])
            if slow:
                time.sleep(.05)


def main():
    global ROOT, GATED, LOG, CDN, SIGNED
    args = sys.argv[1:]
    ROOT = os.path.abspath(args.pop(0))
    tls, modelscope, s3, session, sums, faults, pins = None, None, None, None, False, [], True
    while args:
        a = args.pop(0)
        if a == '--tls':
            tls = (args.pop(0), args.pop(0))
        elif a == '--hub':
            repo = args.pop(0)
            HUB[repo] = os.path.abspath(args.pop(0))
        elif a == '--gated':
            GATED = args.pop(0)
        elif a == '--log':
            LOG = args.pop(0)
        elif a == '--modelscope':
            modelscope = (args.pop(0), os.path.abspath(args.pop(0)))
        elif a == '--ways':
            WAYS.extend(args.pop(0).split('+'))
        elif a == '--cdn':
            CDN = args.pop(0)
        elif a == '--cdn-faults':
            CDN_FAULTS.extend(f.split(':') for f in args.pop(0).split('+'))
        elif a == '--signed':
            SIGNED = int(args.pop(0))
        elif a == '--unpinned':
            pins = False
        elif a == '--s3':
            s3, args = args[:5], args[5:]
        elif a == '--s3-session':
            session = args.pop(0)
        elif a == '--s3-sums':
            sums = True
        elif a == '--faults':
            faults = [f.split(':') for f in args.pop(0).split('+')]
    if modelscope or s3:
        import origin_stores
        if modelscope:
            STORES.append(origin_stores.ModelScope(*modelscope, GATED, pins))
        if s3:
            STORES.append(origin_stores.S3(s3[0], os.path.abspath(s3[1]), *s3[2:], session, sums, faults))
    http.server.ThreadingHTTPServer.daemon_threads = True
    http.server.ThreadingHTTPServer.request_queue_size = 64
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Origin)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
