#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Readers for merge_open.sh: what they have open is compared with what it was and what it is.

    make SEED FILE SIZE             writes bytes that follow from the seed
    hold FILE NAME SEED COMMAND…    opens and maps FILE, of that seed and size, and runs the command
    again TALLY FILE THEIRS         commits three times, and undoes and redoes, with readers of each
"""
import mmap
import os
import random
import subprocess
import sys


def text(seed, size):
    return random.Random(int(seed)).randbytes(int(size))


def make(seed, name, size):
    with open(name, "wb") as f:
        f.write(text(seed, size))


def read(name):
    with open(name, "rb") as f:
        return f.read()


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def check(what, is_so):
    if not is_so:
        sys.exit(f"merge_open.py: {what}")


def hold(name, other, size, *command):
    was = text(size, size)
    fd = os.open(name, os.O_RDONLY)
    node = os.fstat(fd).st_ino
    mapped = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    half = len(was) // 2
    check("the file is not the one that was written", mapped[:half] == was[:half])
    os.stat(name), os.stat(other)
    run(*command)
    check("what is mapped has changed", mapped[:] == was)
    check("what is read has changed", os.pread(fd, len(was) + 1, 0) == was)
    st = os.fstat(fd)
    check(f"fstat says {st}", (st.st_ino, st.st_nlink, st.st_size) == (node, 0, len(was)))
    check("/proc/self/fd leads to another file", read(f"/proc/self/fd/{fd}") == was)
    becomes = text(77, len(was) + 5000)
    for path in (name, other):
        check(f"the size of {path} is old", os.stat(path).st_size == len(becomes))
        check(f"the bytes of {path} are old", read(path) == becomes)
        check(f"the links of {path} are {os.stat(path).st_nlink}", os.stat(path).st_nlink == 2)
    check("two names, two files", os.path.samefile(name, other))
    os.close(fd)
    check("what is mapped has changed after the close", mapped[:] == was)
    mapped.close()
    check("the bytes are old after the close", read(name) == becomes)


def again(tally, name, theirs):
    open_files = []
    steps = [("commit", "try"), ("commit", "try"), ("undo", "main"), ("redo", "main"),
             ("commit", "try")]
    for i, step in enumerate(steps):
        fd = os.open(name, os.O_RDONLY)
        open_files.append((fd, os.pread(fd, 10000, 0)))
        if step[0] == "commit":
            make(100 + i, theirs, 4000 + i)
        run(tally, *step)
        for n, (old, was) in enumerate(open_files):
            check(f"reader {n} has other bytes after {i}", os.pread(old, 10000, 0) == was)
        check(f"the name has old bytes after {i}", read(name) != open_files[-1][1])
        if step[0] == "commit":
            check("the name does not have what was committed", read(name) == read(theirs))
    check("a file became another one", len({os.fstat(f).st_ino for f, _ in open_files}) == len(steps))


if __name__ == "__main__":
    {"make": make, "hold": hold, "again": again}[sys.argv[1]](*sys.argv[2:])
