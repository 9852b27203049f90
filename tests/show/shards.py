#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""shards.py TALLY WORKDIR [BYTES [KILLS [ROUNDS]]]: what moving to a second disk takes, and reading there.

Two ext4 filesystems of their own are made in WORKDIR, on loop devices, so of one kind. A tree of BYTES
(1G), small and large files, moves from the first to the second and home again; the same with the
daemon killed KILLS times (10) in the middle; then two trees alike, one here and one there, are read
ROUNDS times (5), cold (a new daemon, nothing in the kernel's memory) and warm. Prints figures; ends
with exit code 1 when a digest is not the same. Needs root, /dev/fuse, and room for 4 times BYTES.
"""
import hashlib
import os
import random
import statistics
import subprocess
import sys
import time

TALLY, WORK = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
UNITS = {"M": 1 << 20, "G": 1 << 30}


def size_of(text):
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


BYTES = size_of(sys.argv[3]) if len(sys.argv) > 3 else 1 << 30
KILLS = int(sys.argv[4]) if len(sys.argv) > 4 else 10
ROUNDS = int(sys.argv[5]) if len(sys.argv) > 5 else 5
STORE, MNT = f"{WORK}/one/store", f"{WORK}/mnt"
LARGE = 20 << 20


def run(*words, check=True):
    r = subprocess.run(words, capture_output=True, text=True)
    if check and r.returncode != 0:
        sys.exit(f"{' '.join(words)}: {r.stdout}{r.stderr}")
    return r.stdout.strip()


def tally(*words, check=True):
    return run(TALLY, "-C", MNT, *words, check=check)


# ---- disks ----

class Disk:
    def __init__(self, name, size):
        self.path, self.image, self.device = f"{WORK}/{name}", f"{WORK}/{name}.img", ""
        os.makedirs(self.path, exist_ok=True)
        with open(self.image, "wb") as f:
            f.truncate(size)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        self.device = run("losetup", "-f", "--show", self.image)
        run("mount", self.device, self.path)

    def free(self):
        os.sync()
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def close(self):
        run("umount", "-l", self.path, check=False)
        if self.device:
            run("losetup", "-d", self.device, check=False)
        os.unlink(self.image)


# ---- the mount ----

class Mount:
    def __init__(self):
        self.daemon = None

    def start(self):
        self.daemon = subprocess.Popen([TALLY, "mount", "-f", STORE, MNT], stdin=subprocess.DEVNULL)
        while not os.path.ismount(MNT):
            if self.daemon.poll() is not None:
                sys.exit("the daemon has ended")
            time.sleep(0.01)

    def stop(self):
        run(TALLY, "umount", MNT)
        if self.daemon.wait() != 0:
            sys.exit("the daemon ended badly")

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()
        run("umount", "-l", MNT)

    def again(self):
        """Nothing is in any memory."""
        self.stop()
        forget()
        self.start()


def forget():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")


# ---- trees ----

def make_tree(top, total, seed):
    """Half of the bytes in small files of 1 to 20 KB, the other half in large ones. How many of each."""
    rng, small, large = random.Random(seed), 0, 0
    left = total // 2
    while left > 0:
        where = f"{top}/small/{small // 500}"
        os.makedirs(where, exist_ok=True)
        n = rng.randrange(1000, 20000)
        with open(f"{where}/{small}", "wb") as f:
            f.write(rng.randbytes(n))
        left -= n
        small += 1
    os.makedirs(f"{top}/large")
    for large in range(1, max(2, total // 2 // LARGE + 1)):
        with open(f"{top}/large/{large}", "wb") as f:
            f.write(rng.randbytes(LARGE))
    return small, large


def files_of(top):
    found = []
    for where, dirs, files in os.walk(top):
        dirs.sort()
        found += [f"{where}/{name}" for name in sorted(files)]
    return found


def digest(top):
    whole = hashlib.sha256()
    for path in files_of(top):
        with open(path, "rb", buffering=0) as f:
            one = hashlib.sha256()
            while data := f.read(1 << 20):
                one.update(data)
        whole.update(os.path.relpath(path, top).encode() + one.digest())
    return whole.hexdigest()


def must_be(want, stage):
    got = digest(f"{MNT}/main/tree")
    if got != want:
        sys.exit(f"{stage}: the digest is another one")
    print(f"   {stage}: digest equal ({got[:16]})")


def mib(n):
    return f"{n / (1 << 20):.0f} MiB"


def timed(*words):
    start = time.monotonic()
    said = tally(*words)
    took = time.monotonic() - start
    print(f"   tally {' '.join(words)}: {took:.1f} s, {mib(BYTES / took)}/s; {said}")


# ---- 1: out and home ----

def out_and_home(one, two, want):
    print("== moved to the second disk and recalled")
    tally("drain")
    free, there = one.free(), two.free()
    timed("move", "main/tree", "1", "--wait")
    tally("drain")
    print(f"   free on the first disk: {mib(free)} before, {mib(one.free())} after "
          f"(+{mib(one.free() - free)}); on the second {mib(there)}, {mib(two.free())}")
    must_be(want, "moved")
    mount.again()
    must_be(want, "moved, after a remount, cold")
    timed("recall", "main/tree", "--wait")
    tally("drain")
    print(f"   free on the first disk: {mib(one.free())} after the recall; on the second "
          f"{mib(two.free())}")
    must_be(want, "recalled")


# ---- 2: the same, with kills ----

def killed(one, two, want, rng):
    print(f"== the same, with {KILLS} kills in the middle")
    free, there = one.free(), two.free()
    for i in range(KILLS):
        words = ("recall", "main/tree") if i % 2 else ("move", "main/tree", "1")
        tally(*words)
        time.sleep(0.3 + rng.random() * 3)
        mount.kill()
        forget()
        mount.start()
        must_be(want, f"kill {i + 1}, in the middle of a {words[0]}")
    timed("move", "main/tree", "1", "--wait")
    for _ in range(2):
        tally("drain")
        tally("gc", "--grace", "0s", "--wait")
    tally("drain")
    print(f"   free on the first disk: {mib(free)} before, {mib(one.free())} when all has moved; on "
          f"the second {mib(there)}, {mib(two.free())}")
    must_be(want, "moved at last")
    timed("recall", "main/tree", "--wait")
    for _ in range(2):
        tally("drain")
        tally("gc", "--grace", "0s", "--wait")
    tally("drain")
    print(f"   recalled: {mib(one.free())}; on the second {mib(two.free())}")
    must_be(want, "recalled at last")
    mount.stop()
    print(f"   tally check: {run(TALLY, 'check', STORE).splitlines()[-1]}")
    mount.start()


# ---- 3: reading here and there ----

def read_all(paths):
    start, total = time.monotonic(), 0
    for path in paths:
        with open(path, "rb", buffering=0) as f:
            while data := f.read(1 << 20):
                total += len(data)
    return total, time.monotonic() - start


def reading():
    print(f"== reading there beside reading here, medians of {ROUNDS}")
    make_tree(f"{MNT}/main/there", BYTES // 4, 7)
    make_tree(f"{MNT}/main/here", BYTES // 4, 8)
    tally("drain")
    tally("move", "main/there", "1", "--wait")
    tally("drain")
    rates = {}
    for n in range(ROUNDS):
        for kind in ("large", "small"):
            for side in ("here", "there") if n % 2 else ("there", "here"):
                mount.again()
                paths = files_of(f"{MNT}/main/{side}/{kind}")
                for heat in ("cold", "warm"):
                    total, took = read_all(paths)
                    rates.setdefault((kind, heat, side), []).append(total / took)
    for kind in ("large", "small"):
        for heat in ("cold", "warm"):
            here, there = (statistics.median(rates[kind, heat, side]) for side in ("here", "there"))
            print(f"   {kind:5} {heat}: here {mib(here)}/s, there {mib(there)}/s, "
                  f"ratio {there / here:.2f}")


def main():
    one = two = None
    os.makedirs(MNT, exist_ok=True)
    try:
        one, two = Disk("one", BYTES * 3 + (512 << 20)), Disk("two", BYTES * 2 + (256 << 20))
        run(TALLY, "init", "--label", "show/shards", STORE)
        mount.start()
        os.mkdir(f"{two.path}/cold")
        tally("shard", "add", "1", f"dir:{two.path}/cold")
        small, large = make_tree(f"{MNT}/main/tree", BYTES, 1)
        want = digest(f"{MNT}/main/tree")
        print(f"== {mib(BYTES)}: {small} small files, {large} of {mib(LARGE)}")
        out_and_home(one, two, want)
        killed(one, two, want, random.Random(1))
        run("rm", "-r", f"{MNT}/main/tree")
        tally("drain")
        reading()
        mount.stop()
    finally:
        run("umount", "-l", MNT, check=False)
        if mount.daemon is not None:
            mount.daemon.kill()
            mount.daemon.wait()
        for disk in (one, two):
            if disk:
                disk.close()


mount = Mount()
if __name__ == "__main__":
    main()
