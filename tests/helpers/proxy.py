#!/usr/bin/env python3
"""proxy.py LOG [USER:PASSWORD]: an HTTP proxy on loopback, for http:// and for CONNECT. Prints its port; writes one line a
request: method, target, whether it was let through. Names below .example are taken for 127.0.0.1."""
import base64, select, socket, socketserver, sys, urllib.parse

LOG, USER = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None


class Proxy(socketserver.StreamRequestHandler):
    def pipe(self, there):
        here = self.connection
        while True:
            for s in select.select([here, there], [], [])[0]:
                data = s.recv(1 << 16)
                if not data:
                    return
                (there if s is here else here).sendall(data)

    def handle(self):
        method, target, _ = self.rfile.readline().decode().split(None, 2)
        headers = []
        while (line := self.rfile.readline().decode()) not in ('\r\n', '\n', ''):
            headers.append(line)
        wanted = 'Basic ' + base64.b64encode(USER.encode()).decode() if USER else None
        said = [h.split(':', 1)[1].strip() for h in headers if h.lower().startswith('proxy-authorization:')]
        is_good = not wanted or said == [wanted]
        with open(LOG, 'a') as f:
            f.write('%s %s %s\n' % (method, target, 'yes' if is_good else 'no'))
        if not is_good:
            self.wfile.write(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
            return
        url = urllib.parse.urlsplit('//' + target if method == 'CONNECT' else target)
        host = '127.0.0.1' if url.hostname.endswith('.example') else url.hostname
        with socket.create_connection((host, url.port or 80)) as there:
            if method == 'CONNECT':
                self.wfile.write(b'HTTP/1.1 200 Connection established\r\n\r\n')
            else:
                path = urllib.parse.urlunsplit(('', '', url.path or '/', url.query, ''))
                rest = ''.join(h for h in headers if not h.lower().startswith(('proxy-', 'connection:')))
                there.sendall(('%s %s HTTP/1.1\r\n%sConnection: close\r\n\r\n' % (method, path, rest)).encode())
            self.pipe(there)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


with Server(('127.0.0.1', 0), Proxy) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
