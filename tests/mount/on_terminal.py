#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""on_terminal.py COLUMNS COMMAND… - runs the command with a terminal of that width as its standard
input and output, and prints what it shows. The exit code is that of the command."""
import fcntl
import os
import pty
import struct
import sys
import termios


def shown(fd):
    """All that arrives. EIO: the other side is closed."""
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:
            return
        if not data:
            return
        yield data


def main():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    pid = os.fork()
    if pid == 0:
        os.dup2(theirs, 0)
        os.dup2(theirs, 1)
        os.close(ours)
        os.execvp(sys.argv[2], sys.argv[2:])
    os.close(theirs)
    for data in shown(ours):
        os.write(1, data.replace(b"\r\n", b"\n"))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main()
