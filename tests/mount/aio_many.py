#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""More asynchronous direct writes in flight than the kernel has background requests, all to one
mebibyte that others read through the cache.

    aio_many.py FILE ROUNDS

A reader holds the pages that it reads until its request is answered, which is a background request,
too. So the writes must not wait for it with all of them.
"""
import ctypes
import os
import random
import signal
import sys

import aio

PDEATHSIG = 1
aio.DEPTH, BLOCKS = 192, 256


def read_on(path):
    """Read all of it at once, until the parent is gone."""
    aio.libc.prctl(PDEATHSIG, signal.SIGKILL)
    fd = os.open(path, os.O_RDONLY)
    while True:
        os.pread(fd, BLOCKS * aio.BLOCK, 0)


def main(path, rounds):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(BLOCKS * aio.BLOCK), 0)
    os.close(fd)
    for _ in range(2):
        if os.fork() == 0:
            read_on(path)
    writes = aio.Aio(os.open(path, os.O_RDWR | os.O_DIRECT))
    block = bytes(range(256)) * (aio.BLOCK // 256)
    for _ in range(rounds):
        blocks = random.sample(range(BLOCKS), aio.DEPTH)
        writes.write(blocks, dict.fromkeys(blocks, block))


main(sys.argv[1], int(sys.argv[2]))
