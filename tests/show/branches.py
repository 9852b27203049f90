#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""branches.py MOUNT NAMESPACE [N]: the time of N branches of it through the control file, each from
write to its answer; drops them again."""
import os
import sys
import time

mnt, ns, n = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 100
fd = os.open(f"{mnt}/.tally/control", os.O_RDWR)


def command(text):
    os.write(fd, text.encode() + b"\n")
    return os.read(fd, 4096).decode()


times = []
for i in range(n):
    start = time.perf_counter()
    reply = command(f"branch {ns} show.{i}")
    times.append((time.perf_counter() - start) * 1e6)
    assert reply.startswith("ok "), reply
for i in range(n):
    command(f"drop show.{i}")
times.sort()
print(f"branch {ns}: median {times[n // 2]:.0f} us, p99 {times[n * 99 // 100]:.0f} us, "
      f"worst {times[-1]:.0f} us, of {n}")
