#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""setid_many.py DIR - many clients at once change programs of another user that have set-id bits,
each its own, for a few seconds, more of them on each CPU than a ring has room for. Who is sent away
(EAGAIN) has changed nothing; no other error is due. Prints how many changes were made."""
import ctypes
import errno
import os
import sys
import threading
import time

SETFSUID = 122  # of x86_64
CLIENTS = 320  # a CPU
SECONDS = 4
OWNER, WRITER = 1001, 1000

libc = ctypes.CDLL(None, use_errno=True)
cpus = sorted(os.sched_getaffinity(0))[:2]
end = time.monotonic() + SECONDS
made = []
faults = set()


def change(fd):
    libc.syscall(SETFSUID, OWNER)
    os.fchmod(fd, 0o4777)
    libc.syscall(SETFSUID, WRITER)
    try:
        os.pwrite(fd, b"a", 0)
    except OSError as e:
        if e.errno != errno.EAGAIN:
            raise
        return 0
    return 1


def client(path, cpu):
    os.sched_setaffinity(0, {cpu})
    libc.syscall(SETFSUID, OWNER)
    count = 0
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o777)
        while time.monotonic() < end:
            count += change(fd)
        os.close(fd)
    except OSError as e:
        faults.add(str(e))
    made.append(count)


def main():
    threading.stack_size(256 * 1024)
    threads = [
        threading.Thread(target=client, args=(f"{sys.argv[1]}/{cpu}-{n}", cpu))
        for n in range(CLIENTS)
        for cpu in cpus
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if faults:
        sys.exit("; ".join(sorted(faults)))
    print(sum(made))


main()
