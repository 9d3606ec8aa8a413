#!/usr/bin/env python3
"""on_terminal.py COLUMNS COMMAND...: runs it on a pseudo-terminal of that width and 30 lines and prints what a person sees: the
screen after each redrawing, "--- screen" between them, and at the end the lines that stay. Knows the few sequences that
holdfast writes; any other is printed as an error."""
import fcntl, os, pty, re, struct, sys, termios

columns = int(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 30, columns, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
text = b''
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    text += piece
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
lines, row, col = [''], 0, 0
for token in re.findall(r'\x1b\[[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+|\x1b', text.decode()):
    if token == '\r':
        col = 0
    elif token == '\n':
        row += 1
        if row == len(lines):
            lines.append('')
    elif re.fullmatch(r'\x1b\[\d+A', token):
        row -= int(token[2:-1])
        if row < 0:
            print('ERROR: above the top')
            row = 0
    elif token == '\x1b[J':
        print('--- screen\n' + '\n'.join(lines))
        lines[row] = lines[row][:col]
        del lines[row + 1:]
    elif re.fullmatch(r'\x1b\[[0-9;]*m', token):
        pass
    elif token.startswith('\x1b'):
        print('ERROR: sequence', repr(token))
    else:
        lines[row] = lines[row][:col].ljust(col) + token + lines[row][col + len(token):]
        col += len(token)
        if col >= columns and re.search(r'\[[#.]+\] +[0-9?]+%?', token):
            print('ERROR: a bar of', col, 'columns')
print('--- stays\n' + '\n'.join(lines))
sys.exit(status)
