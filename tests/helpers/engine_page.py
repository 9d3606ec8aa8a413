#!/usr/bin/env python3
"""engine_page.py PORT FOLDER - an inference engine as its pages show it: /health is always 200, /metrics has vLLM's names.

FOLDER/running: requests that run. FOLDER/moves: "still", or "N": the counter goes up by 1 with every Nth page.
FOLDER/shape: "plain", "chunked" (16 MiB of histograms first, in chunks), "other" (not one known name), "endless", "closed".
FOLDER/pages: one line is added for each page that was asked for; FOLDER/starts: one for each start.
"""
import http.server
import os
import sys

port, folder = int(sys.argv[1]), sys.argv[2]
pages = 0
tokens = 100.0


def setting(name, otherwise):
    try:
        with open(os.path.join(folder, name), encoding='utf-8') as f:
            return f.read().strip() or otherwise
    except OSError:
        return otherwise


def note(name):
    with open(os.path.join(folder, name), 'a', encoding='utf-8') as f:
        f.write('x\n')


def page():
    labels = '{engine="0",model_name="zai-org/GLM-4.1V-9B \\"x\\""}'
    return (f'# HELP vllm:num_requests_running Number of requests in model execution batches.\n# TYPE vllm:num_requests_running gauge\n'
            f'vllm:num_requests_running{labels} {float(setting("running", "0"))}\n'
            f'# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{labels} 0.0\n'
            f'# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{labels} {tokens}\n'
            f'vllm:generation_tokens_created{labels} 1.7639e+09\n').encode()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_GET(self):
        global pages, tokens
        shape = setting('shape', 'plain') if self.path != '/health' else 'health'
        if self.path == '/metrics':
            pages += 1
            every = setting('moves', 'still')
            if every != 'still' and pages % int(every) == 0:
                tokens += 1
            note('pages')
        body = {'health': b'', 'other': b'process_cpu_seconds_total 1.5\n'}.get(shape, page())
        if shape == 'closed':
            return
        self.send_response(200)
        if shape not in ('chunked', 'endless'):
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        filler = b'vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 12.0\n' * 800
        n = 0
        try:
            while n < 16 << 20 or shape == 'endless':
                self.wfile.write(b'%x\r\n%s\r\n' % (len(filler), filler))
                n += len(filler)
            self.wfile.write(b'%x\r\n%s\r\n0\r\n\r\n' % (len(body), body))
        except OSError:
            pass
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True


note('starts')
Server(('127.0.0.1', port), Answer).serve_forever()
