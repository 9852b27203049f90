#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""automount.py DIRECTORY COMMAND...: an automounter (autofs) of one directory, as that of systemd is. When somebody looks
at the directory it runs the command in its own process group, and says "mounted" or "failed" and the seconds it took.
It ends at the end of its standard input, and unmounts. Root only; exit code 77: the kernel has no autofs.

The protocol is version 5 (Documentation/filesystems/autofs.rst in the kernel): a packet of the pipe has the token of who
waits, and an ioctl on the directory of autofs lets it go on.
"""
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

PACKET = struct.Struct("=iiI")     # protocol, type and token, of a packet of 304 bytes with padding
PACKET_SIZE = 304
READY, FAIL, CATATONIC = 0x9360, 0x9361, 0x9362
LIMIT = 60  # seconds that the command may take

directory, command = os.path.realpath(sys.argv[1]), sys.argv[2:]
libc = ctypes.CDLL(None, use_errno=True)
os.setpgid(0, 0)
out, into = os.pipe()
options = f"fd={into},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct".encode()
if libc.mount(b"tally-test", directory.encode(), b"autofs", 0, options) != 0:
    sys.exit(77)
root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
os.close(into)
print("ready", flush=True)
try:
    while True:
        readable, _, _ = select.select([out, sys.stdin], [], [])
        if out not in readable:
            break
        _, _, token = PACKET.unpack(os.read(out, PACKET_SIZE)[:PACKET.size])
        start = time.monotonic()
        try:
            done = subprocess.run(command, timeout=LIMIT, check=False, stdin=subprocess.DEVNULL).returncode == 0
        except subprocess.TimeoutExpired:
            done = False
        fcntl.ioctl(root, READY if done else FAIL, token)
        print("mounted" if done else "failed", f"{time.monotonic() - start:.1f}", flush=True)
finally:
    fcntl.ioctl(root, CATATONIC, 0)
    os.close(root)
    while libc.umount2(directory.encode(), 2) == 0:
        pass
