#!/usr/bin/env python3
"""mesh.py PORT TARGET: what a mesh's agent makes of probes: GET /app-health/server/WHAT asks TARGET for /WHAT over a connection of its
own and gives back the status code alone, without a header or a byte of the body. Anything else is 404; nobody there is 500.
"""
import http.server
import sys
import urllib.error
import urllib.request


class Agent(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        prefix = '/app-health/server'
        code = 404
        if self.path.startswith(prefix + '/'):
            try:
                with urllib.request.urlopen(sys.argv[2] + self.path[len(prefix):], timeout=3) as r:
                    code = r.status
            except urllib.error.HTTPError as e:
                code = e.code
            except OSError:
                code = 500
        self.wfile.write(f'HTTP/1.1 {code} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'.encode())

    def log_message(self, format, *args):
        pass


http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Agent).serve_forever()
