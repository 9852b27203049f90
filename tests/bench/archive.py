#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What archive.sh needs of a program: see there."""
import math
import os
import random
import statistics
import sys
import time

RECORD = 16


def append(path, acknowledged):
    """Appends numbered records to `path`, each with an fsync, until a call fails. `acknowledged` gets a
    time for each that was acknowledged."""
    times = []
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        while True:
            os.write(fd, b"%015d\n" % len(times))
            os.fsync(fd)
            times.append(time.monotonic())
    except OSError:
        pass
    with open(acknowledged, "w", encoding="ascii") as f:
        f.writelines(f"{t}\n" for t in times)


def lost(path, acknowledged):
    """Prints for how many seconds records were acknowledged that `path` does not have; how many they
    are, and how many were acknowledged in all."""
    with open(acknowledged, encoding="ascii") as f:
        times = [float(line) for line in f]
    try:
        with open(path, "rb") as f:
            data = f.read()
    except FileNotFoundError:
        data = b""
    kept = len(data) // RECORD
    if data != b"".join(b"%015d\n" % i for i in range(kept)):
        sys.exit(f"{path} is no beginning of what was written")
    missing = max(0, len(times) - kept)
    span = times[-1] - times[max(0, kept - 1)] if missing else 0.0
    print(f"{span:.6f} {missing} {len(times)}")


def quantiles(name, path):
    """Of what `lost` has printed."""
    with open(path, encoding="ascii") as f:
        rows = sorted((float(a), int(b), int(c)) for a, b, c in (line.split() for line in f))
    spans = [r[0] for r in rows]

    def at(share):
        return spans[max(0, math.ceil(share * len(spans)) - 1)]
    print(f"{name:8} {len(rows):5} tries  p50 {at(.5):7.3f} s  p99 {at(.99):7.3f} s  longest {spans[-1]:7.3f} s;"
          f" lost {sum(r[1] for r in rows)} of {sum(r[2] for r in rows)} records")


def lag(here, there, count):
    """Prints for each of `count` changes of a file here how long it takes until it is read there, as `lost` does."""
    for i in range(int(count)):
        text = f"{i}\n"
        begin = time.monotonic()
        with open(here, "w", encoding="ascii") as f:
            f.write(text)
        while True:
            try:
                with open(there, encoding="ascii") as f:
                    if f.read() == text:
                        break
            except OSError:
                pass
            if time.monotonic() - begin > 60:
                sys.exit(f"{there} is behind for more than a minute")
            time.sleep(0.005)
        print(f"{time.monotonic() - begin:.6f} 0 1")
        time.sleep(random.random())


def syncs(path, count):
    """Appends 4 KiB, with an fsync each; prints the median and the 99th percentile in microseconds."""
    block = os.urandom(4096)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    times = []
    for _ in range(int(count)):
        begin = time.monotonic()
        os.write(fd, block)
        os.fsync(fd)
        times.append((time.monotonic() - begin) * 1e6)
    times.sort()
    print(f"{times[len(times) // 2]:.0f} {times[len(times) * 99 // 100]:.0f}")


def change(top, dirs, first, count):
    """Writes other bytes into files that bench-fill has made: `count` from number `first` on, in an
    order that leaps through the tree."""
    dirs = int(dirs)
    for i in range(int(first), int(first) + int(count)):
        with open(f"{top}/d{i * 7919 % dirs}/f{i // dirs}", "wb") as f:
            f.write(b"changed %d" % i)


def tar(path, files, size):
    """A tar archive of so many small files, none like another."""
    import io
    import tarfile
    rng = random.Random(1)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as t:
        for i in range(int(files)):
            info = tarfile.TarInfo(f"d{i % 1000}/f{i // 1000}")
            info.size = int(size)
            t.addfile(info, io.BytesIO(rng.randbytes(info.size)))


def medians(path):
    """Of lines "ROW SIDE WALL CPU", in seconds if the row says nothing else: the medians of each side of a row,
    and of its ratios to the first side, round by round."""
    rows = {}
    with open(path, encoding="ascii") as f:
        for line in f:
            row, side, wall, cpu = line.split()
            rows.setdefault(row, {}).setdefault(side, []).append((float(wall), float(cpu)))
    for row, sides in rows.items():
        first = next(iter(sides.values()))
        for side, runs in sides.items():
            wall = [r[0] for r in runs]
            ratios = [a[0] / b[0] for a, b in zip(runs, first) if b[0]]
            cpu = [a[1] / b[1] for a, b in zip(runs, first) if b[1]]
            text = f"{row:16} {side:14} {statistics.median(wall):8.2f} ({min(wall):.2f} to {max(wall):.2f})"
            if cpu:
                text += f" {statistics.median(r[1] for r in runs):8.2f} s cpu"
            if runs is not first and ratios:
                text += f"   x {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                text += f", cpu x {statistics.median(cpu):.2f}" if cpu else ""
            print(text)


if __name__ == "__main__":
    {f.__name__: f for f in (append, lost, quantiles, lag, syncs, change, tar, medians)}[sys.argv[1]](*sys.argv[2:])
