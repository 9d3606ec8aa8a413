#!/usr/bin/env python3
"""control.py COMMAND...: runs a job as process 1 would, with a control pair; prints every message and stored descriptor.

Lines: 'said TEXT' for each line of a message, 'stored NAME BYTES SEALS SHA256' for each descriptor, 'exit STATUS'."""
import array, fcntl, hashlib, os, socket, subprocess, sys

ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
child = subprocess.Popen(sys.argv[1:], pass_fds=[theirs.fileno()], env=dict(os.environ, HOLDFAST_CONTROL_FD=str(theirs.fileno())), stderr=subprocess.DEVNULL)
theirs.close()
while True:
    data, ancillary, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(8 * 4))
    if not data:
        break
    lines = data.decode().split('\n')
    for line in lines:
        print('said', line)
    name = next((line[7:] for line in lines if line.startswith('FDNAME=')), '')
    for level, kind, raw in ancillary:
        fds = array.array('i')
        fds.frombytes(raw[:len(raw) - len(raw) % fds.itemsize])
        for fd in fds:
            size = os.fstat(fd).st_size
            print('stored', name, size, fcntl.fcntl(fd, 1034), hashlib.sha256(os.pread(fd, size, 0)).hexdigest())
print('exit', child.wait())
