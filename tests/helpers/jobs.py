#!/usr/bin/env python3
"""Job control as a person sees it: an interactive shell on a terminal of its own, with a program between it and a job.

  jobs.py PREFIX...      each line of the script below is typed; what is waited for must come within 10 s
Prints 'ok WHAT' a step, or what was seen and ends with 1."""
import os
import pty
import re
import select
import signal
import sys
import time

PREFIX = ' '.join(sys.argv[1:])
seen = b''


def await_text(fd, what, pattern):
    """Reads until the pattern comes; what came before it is forgotten."""
    global seen
    until = time.monotonic() + 10
    while not (m := re.search(pattern, seen)):
        if time.monotonic() > until:
            print(f'not ok {what}: wanted {pattern!r}, saw {seen!r}')
            os.kill(shell, signal.SIGKILL)
            sys.exit(1)
        if select.select([fd], [], [], 0.2)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                seen += b'<end>'
    seen = seen[m.end():]
    print(f'ok {what}')


def type_line(fd, text):
    os.write(fd, text.encode() + b'\n')


shell, tty = pty.fork()
if shell == 0:
    os.environ['PS1'] = 'PROMPT:'
    os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])

await_text(tty, 'a shell', rb'PROMPT:$')
type_line(tty, 'set -b; stty -echo')
await_text(tty, 'no echo', rb'PROMPT:$')
type_line(tty, f'{PREFIX} cat')
time.sleep(0.3)
type_line(tty, 'first')
await_text(tty, 'the job reads and writes the terminal', rb'first\r\n')
os.write(tty, b'\x1a')
await_text(tty, '^Z brings the shell back', rb'Stopped.*\n.*PROMPT:$')
type_line(tty, 'echo st$((40+2))')
await_text(tty, 'the shell has the terminal', rb'st42\r\n.*PROMPT:$')
type_line(tty, 'fg')
await_text(tty, 'fg', rb'cat')
type_line(tty, 'second')
await_text(tty, 'after fg the job reads again', rb'second\r\n')
os.write(tty, b'\x1a')
await_text(tty, '^Z again', rb'Stopped.*\n.*PROMPT:$')
type_line(tty, 'bg')
await_text(tty, 'bg: it wants the terminal and stops again', rb'Stopped')
type_line(tty, 'echo st$((40+3))')
await_text(tty, 'the shell still has the terminal', rb'st43\r\n')
type_line(tty, 'fg')
await_text(tty, 'fg after bg', rb'cat')
type_line(tty, 'third')
await_text(tty, 'it reads once more', rb'third\r\n')
os.write(tty, b'\x03')
await_text(tty, '^C ends it', rb'PROMPT:$')
type_line(tty, 'echo code$?')
await_text(tty, 'and its code is 130', rb'code130\r\n')
type_line(tty, f'{PREFIX} sleep 0.5 &')
await_text(tty, 'a job in the background', rb'PROMPT:$')
type_line(tty, 'read x; echo got-$x')
time.sleep(0.8)
type_line(tty, 'mine')
await_text(tty, 'its end takes no terminal away', rb'got-mine\r\n')
type_line(tty, f'{PREFIX} sleep 1')
time.sleep(0.4)
os.write(tty, b'\x1a')
await_text(tty, '^Z of a job that wants no terminal', rb'Stopped.*\n.*PROMPT:$')
type_line(tty, 'bg; read x; echo got-$x')
time.sleep(1.5)  # it ends meanwhile
type_line(tty, 'again')
await_text(tty, 'nor does the end of one that was in the foreground before', rb'got-again\r\n')
type_line(tty, 'cat > script <<"X"\n' + f'{PREFIX} cat\necho after\nX')
await_text(tty, 'a script', rb'PROMPT:$')
type_line(tty, 'bash script')
time.sleep(0.4)
type_line(tty, 'fourth')
await_text(tty, 'in a script', rb'fourth\r\n')
os.write(tty, b'\x1a')
await_text(tty, '^Z stops script and job', rb'Stopped.*\n.*PROMPT:$')
type_line(tty, 'fg')
await_text(tty, 'fg of a script', rb'script')
type_line(tty, 'fifth')
await_text(tty, 'goes on', rb'fifth\r\n')
os.write(tty, b'\x04')
await_text(tty, 'end of file ends it, and the script goes on', rb'after\r\n')
type_line(tty, 'exit')
os.waitpid(shell, 0)
