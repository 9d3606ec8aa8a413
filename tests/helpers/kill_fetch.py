#!/usr/bin/env python3
"""kill_fetch.py JOB ROUNDS [SEED]: fetchers and verifiers that are killed at random moments, alone and several on one folder.

Each round: a folder, one to three fetchers with random ways (pieces or stream, locks or none, window), killed with SIGKILL at random
moments, three to six times; now and then a verify between, killed too. After every kill what stands under the name is right or absent.
Then one undisturbed fetch: it ends with 0, the file is right, nothing lies beside it, and the origin served at most the file, plus
for every kill what the killed connections had in hand: one piece each. Prints one line a round that fails, and 'N rounds, K kills' at the end."""
import hashlib, http.server, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time

JOB, ROUNDS, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
SIZE, PIECE, CONNECTIONS, IN_FLIGHT = 6_000_000, 1 << 20, 4, 400_000
DATA = random.Random(SEED).randbytes(SIZE)
SHA = hashlib.sha256(DATA).hexdigest()
served, lock = [0], threading.Lock()


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *a):
        pass

    def do_GET(self):
        first, last, asked = 0, SIZE - 1, self.headers.get('Range')
        if asked:
            a, b = asked[6:].split('-')
            first, last = int(a), int(b) if b else SIZE - 1
        self.send_response(206 if asked else 200)
        self.send_header('Content-Length', str(last + 1 - first))
        if asked:
            self.send_header('Content-Range', 'bytes %d-%d/%d' % (first, last, SIZE))
        self.end_headers()
        try:
            for at in range(first, last + 1, 65536):
                part = DATA[at:min(at + 65536, last + 1)]
                self.wfile.write(part)
                with lock:
                    served[0] += len(part)
                time.sleep(.002)
        except OSError:
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        super().server_bind()

    def handle_error(self, *a):
        pass


server = Server(('127.0.0.1', 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = 'http://127.0.0.1:%d/f' % server.server_address[1]


def start(folder, way):
    return subprocess.Popen([JOB, 'fetch', '--url', URL, '--sha256', SHA, '--size', str(SIZE), '--out', folder + '/f', '--state', folder + '/state', '--fetch-backoff', '5ms',
                             '--fetch-reserve', '0', '--fetch-connections', str(CONNECTIONS), '--fetch-takeover', '1s'] + way, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def check(folder):
    try:
        with open(folder + '/f', 'rb') as f:
            return f.read() == DATA
    except FileNotFoundError:
        return True


def one_round(seed):
    r = random.Random(seed)
    folder = tempfile.mkdtemp(prefix='hold-kill-')
    served[0] = n_kills = 0
    locks = [] if r.random() < .7 else ['--no-fetch-flock']
    ways = [['--fetch-split', '0'], ['--fetch-split', '2MiB'], ['--fetch-split', '2MiB', '--fetch-window', '0']]
    try:
        for _ in range(r.randint(3, 6)):
            running = [start(folder, r.choice(ways) + locks) for _ in range(r.choice((1, 1, 2, 3)))]
            for p in running:
                time.sleep(r.uniform(0, .25) if r.random() < .8 else r.uniform(0, .6))
                p.send_signal(signal.SIGKILL)
                p.communicate()
                n_kills += 1
            if not check(folder):
                return n_kills, 'a wrong file stands under the name'
            if os.path.exists(folder + '/f') and r.random() < .5:
                v = subprocess.Popen([JOB, 'verify', folder, '--no-plan', '--write-manifest', '--deep'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(r.uniform(0, .03))
                v.send_signal(signal.SIGKILL)
                v.wait()
                n_kills += 1
        last = start(folder, r.choice(ways) + locks)
        try:
            said = last.communicate(timeout=60)[1].decode()
        except subprocess.TimeoutExpired:
            last.kill()
            return n_kills, 'the last fetch hangs'
        if last.returncode != 0:
            return n_kills, 'the last fetch ended with %d: %s' % (last.returncode, said[-500:])
        if not (os.path.exists(folder + '/f') and check(folder)):
            return n_kills, 'the file is wrong after the last fetch'
        left = [n for n in os.listdir(folder) if n.startswith('.holdfast-') and (not locks or not n.endswith('.owner'))]
        if left:
            return n_kills, 'left behind: ' + ' '.join(left)
        bound = SIZE + n_kills * CONNECTIONS * (PIECE + IN_FLIGHT)
        if served[0] > bound:
            return n_kills, 'served %d bytes, at most %d are due' % (served[0], bound)
        return n_kills, ''
    finally:
        shutil.rmtree(folder, ignore_errors=True)


kills, bad = 0, 0
for i in range(ROUNDS):
    n, wrong = one_round(SEED * 1_000_000 + i)
    kills += n
    if wrong:
        bad += 1
        print('round %d (seed %d): %s' % (i, SEED * 1_000_000 + i, wrong), flush=True)
print('%d rounds, %d kills, %d bad' % (ROUNDS, kills, bad))
sys.exit(bad != 0)
