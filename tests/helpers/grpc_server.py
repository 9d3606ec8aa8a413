#!/usr/bin/env python3
"""grpc_server.py KIND PORT FOLDER - a gRPC server with the health service, whose statuses are what FOLDER says at the moment.

KIND: grpcio (the C core) or grpclib (pure Python, compresses its headers) - real servers; or a peer that is none:
  silent (accepts, says nothing), drip (a byte of SETTINGS every 50 ms), pings (PING for ever, reads nothing), headers (one
  header block for ever), http1 (an HTTP/1 server), reset (RST_STREAM at once), gone (GOAWAY at once).
FOLDER/server and FOLDER/model: SERVING or NOT_SERVING, of the server as a whole ("") and of the service "zai.Model".
"""
import os
import socket
import struct
import sys
import threading
import time

kind, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def says(name):
    try:
        with open(os.path.join(folder, name), encoding='utf-8') as f:
            return f.read().strip() == 'SERVING'
    except OSError:
        return False


def follow(apply):
    before = None
    while True:
        now = says('server'), says('model')
        if now != before:
            apply(*now)
        before = now
        time.sleep(0.02)


def grpcio():
    from concurrent import futures
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    server = grpc.server(futures.ThreadPoolExecutor(4))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f'127.0.0.1:{port}')
    word = {True: health_pb2.HealthCheckResponse.SERVING, False: health_pb2.HealthCheckResponse.NOT_SERVING}

    def apply(whole, model):
        servicer.set('', word[whole])
        servicer.set('zai.Model', word[model])
    apply(says('server'), says('model'))
    server.start()
    follow(apply)


def grpclib():
    import asyncio
    from grpclib.health.check import ServiceStatus
    from grpclib.health.service import Health
    from grpclib.server import Server

    class Model:
        def __mapping__(self):
            return {'/zai.Model/Look': None}

    async def serve():
        whole, model, service = ServiceStatus(), ServiceStatus(), Model()
        server = Server([Health({service: [whole, model]})])
        await server.start('127.0.0.1', port)
        while True:
            whole.set(says('server'))
            model.set(says('model') or says('server'))
            await asyncio.sleep(0.02)
    asyncio.run(serve())


def frame(what, flags, stream, payload):
    return struct.pack('>I', len(payload))[1:] + bytes([what, flags]) + struct.pack('>I', stream) + payload


def hostile(conn):
    try:
        if kind == 'silent':
            time.sleep(600)
        elif kind == 'drip':
            for byte in frame(4, 0, 0, b'') + frame(0xfa, 0, 0, b'x' * 16000):
                conn.send(bytes([byte]))
                time.sleep(0.05)
        elif kind == 'http1':
            conn.sendall(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
        else:
            conn.sendall(frame(4, 0, 0, b''))
            if kind == 'reset':
                conn.sendall(frame(3, 0, 1, b'\0\0\0\x07'))
            elif kind == 'gone':
                conn.sendall(frame(7, 0, 0, b'\0\0\0\0\0\0\0\x0b'))
            elif kind == 'headers':
                conn.sendall(frame(1, 0, 1, b'\x88'))
            while kind in ('pings', 'headers'):
                conn.sendall((frame(6, 0, 0, b'12345678') if kind == 'pings' else frame(9, 0, 1, b'\0\1a\0')) * 500)
        time.sleep(600)
    except OSError:
        pass


if kind in ('grpcio', 'grpclib'):
    {'grpcio': grpcio, 'grpclib': grpclib}[kind]()
listener = socket.create_server(('127.0.0.1', port))
while True:
    threading.Thread(target=hostile, args=(listener.accept()[0],), daemon=True).start()
