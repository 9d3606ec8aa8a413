#!/usr/bin/env python3
"""Speaks sd_notify, for the stories: as a child of holdfast, or as the one above it.

  notify_tool.py say TEXT [N [KIND]]    TEXT (\\n allowed) to NOTIFY_SOCKET with N descriptors: pipe-read, pipe-dead, same, memfd
  notify_tool.py listen PATH SECONDS    binds PATH (or @name), prints "MS TEXT" a message for so long
  notify_tool.py fds                    prints LISTEN_FDNAMES and what each descriptor is
"""
import array
import os
import socket
import sys
import time


def address(name):
    return '\0' + name[1:] if name.startswith('@') else name


def descriptors(n, kind):
    out, keep = [], []
    for i in range(n):
        if kind == 'memfd':
            fd = os.memfd_create('x')
            os.write(fd, b'kept')
            out.append(fd)
        elif kind == 'same' and out:
            out.append(out[0])
        else:
            r, w = os.pipe()
            out.append(r)
            keep.append(w)
            if kind == 'pipe-dead':
                os.close(w)
    return out, keep


def main():
    what = sys.argv[1]
    if what == 'say':
        fds, keep = descriptors(int(sys.argv[3]) if len(sys.argv) > 3 else 0, sys.argv[4] if len(sys.argv) > 4 else 'pipe-read')
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect(address(os.environ['NOTIFY_SOCKET']))
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        s.sendmsg([sys.argv[2].replace('\\n', '\n').encode()], control)
        r, w = os.pipe()  # sd_notify_barrier: the other side closes it when everything before was read
        s.sendmsg([b'BARRIER=1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))])
        os.close(w)
        os.read(r, 1)
        if len(sys.argv) > 5:  # holds the other ends for so long
            time.sleep(float(sys.argv[5]))
    elif what == 'listen':
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(address(sys.argv[2]))
        s.settimeout(0.05)
        until = time.monotonic() + float(sys.argv[3])
        print('bound', flush=True)
        while time.monotonic() < until:
            try:
                print(int(time.monotonic() * 1000), s.recv(4096).decode().replace('\n', ' '), flush=True)
            except TimeoutError:
                pass
    elif what == 'fds':
        n = int(os.environ.get('LISTEN_FDS', '0'))
        print('names', os.environ.get('LISTEN_FDNAMES', ''), 'n', n, 'mine', int(os.environ.get('LISTEN_PID', '0')) == os.getpid(), flush=True)
        for fd in range(3, 3 + n):
            print(fd, os.readlink(f'/proc/self/fd/{fd}').split(':')[0], flush=True)


main()
