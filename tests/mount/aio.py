#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asynchronous direct writes beside buffered readers, as a database does beside its backup.

    aio.py DIRECTORY WRITES

Other processes read the file through the kernel's cache all the while. Whoever reads a block after
the write of it has ended, through the cache or a mapping, must see what was written.
"""
import ctypes
import fcntl
import json
import mmap
import os
import signal
import struct
import sys

SETUP, GETEVENTS, SUBMIT = 206, 208, 209  # numbers of x86-64
BLOCK, BLOCKS, DEPTH = 4096, 64, 8
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def call(*args):
    r = libc.syscall(*args)
    if r < 0:
        raise OSError(ctypes.get_errno(), "")
    return r


class Aio:
    """Direct writes in flight, each of a whole block."""

    def __init__(self, fd):
        self.fd = fd
        self.context = ctypes.c_ulong(0)
        call(SETUP, DEPTH, ctypes.byref(self.context))
        self.memory = mmap.mmap(-1, DEPTH * BLOCK)
        self.at = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))

    def write(self, blocks, data):
        """All of these blocks at once; back when all have ended."""
        iocbs = []
        for i, block in enumerate(blocks):
            self.memory[i * BLOCK:(i + 1) * BLOCK] = data[block]
            iocbs.append(ctypes.create_string_buffer(struct.pack(
                "<QIIHhIQQqQII", block, 0, 0, 1, 0, self.fd, self.at + i * BLOCK, BLOCK, block * BLOCK, 0, 0, 0)))
        pointers = (ctypes.c_void_p * len(iocbs))(*map(ctypes.addressof, iocbs))
        if call(SUBMIT, self.context, len(iocbs), pointers) != len(iocbs):
            raise OSError("not all were taken")
        events = ctypes.create_string_buffer(32 * len(iocbs))
        call(GETEVENTS, self.context, len(iocbs), len(iocbs), events, None)
        for i in range(len(iocbs)):
            result = struct.unpack_from("<QQqq", events, 32 * i)[2]
            if result != BLOCK:
                raise OSError(-result, "a write")


def read_on(path):
    """Read all of it through the cache, until killed."""
    fd = os.open(path, os.O_RDONLY)
    while True:
        for off in range(0, BLOCK * BLOCKS, BLOCK):
            os.pread(fd, BLOCK, off)


def stale_after(path, writes, late):
    """How many blocks showed old bytes after their write. `late`: O_DIRECT by fcntl."""
    fd = os.open(path, os.O_RDWR | (0 if late else os.O_DIRECT))
    if late:
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT)
    look = os.open(path, os.O_RDONLY)
    view = mmap.mmap(look, BLOCK * BLOCKS, mmap.MAP_SHARED, mmap.PROT_READ)
    aio, data, stale, n = Aio(fd), {}, 0, 0
    while n < writes:
        blocks = [(n + i * 7) % BLOCKS for i in range(DEPTH)]
        for block in blocks:
            data[block] = struct.pack("<Q", n) * (BLOCK // 8)
            n += 1
        aio.write(blocks, data)
        for block in blocks:
            stale += os.pread(look, BLOCK, block * BLOCK) != data[block]
            stale += view[block * BLOCK:(block + 1) * BLOCK] != data[block]
    os.close(fd)
    os.close(look)
    return stale


def durable_after(path, stats):
    """What the store has not made durable when a write has ended that is to be (O_DSYNC)."""
    with open(path, "wb") as f:
        f.write(bytes(BLOCK * BLOCKS))
    left = 0
    fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
    aio = Aio(fd)
    for n in range(10):
        aio.write([n], {n: bytes([n]) * BLOCK})
        facts = json.load(open(stats))
        left += facts["seq"] - facts["durable_seq"]
    os.close(fd)
    return left


def main():
    path, writes = os.path.join(sys.argv[1], "aio"), int(sys.argv[2])
    bad = 0
    for late in False, True:
        with open(path, "wb") as f:
            f.write(bytes(BLOCK * BLOCKS))
        readers = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                read_on(path)
            readers.append(pid)
        try:
            stale = stale_after(path, writes, late)
        finally:
            for pid in readers:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        bad += stale
        print(f"O_DIRECT by {'fcntl' if late else 'open'}: {stale} stale after {writes} writes")
    left = durable_after(path, os.path.join(sys.argv[1], "../.tally/stats.json"))
    print(f"O_DSYNC: {left} changes were not durable")
    sys.exit(bad > 0 or left > 0)


if __name__ == "__main__":
    main()
