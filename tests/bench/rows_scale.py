# SPDX-License-Identifier: Apache-2.0
"""rows_scale: how branches cost in trees of a thousand to a million entries and at depths of one to 512,
beside btrfs snapshots; and the daemon's memory when a million files were walked. The trees are made
by fill.c, without a mount, in a store of its own."""
import errno
import fcntl
import os
import struct
import subprocess
import threading
import time

import rig as rigs
from row import DIRS, Row, going_on, percentile

BYTES = 64
SNAPSHOTS = 50  # branches, of which p99 is the longest
FIRSTS = 20     # of those, in which a first write is timed
SIZES, DEPTHS = (10**3, 10**4, 10**5, 10**6), (1, 8, 64, 512)
QUICK_SIZES, QUICK_DEPTHS = (100, 1000), (1, 4)
BTRFS_SNAP_CREATE_V2, BTRFS_SUBVOL_CREATE, BTRFS_SNAP_DESTROY = 0x50009417, 0x5000940e, 0x5000940f


def sizes(b):
    """The largest is what was asked for."""
    return [n for n in (QUICK_SIZES if b.quick else SIZES) if n < b.largest] + [b.largest]


def middle(b):
    """Of the namespace that is branched many times in a row."""
    return sizes(b)[min(1, len(sizes(b)) - 1)]


def depths(b):
    return QUICK_DEPTHS if b.quick else DEPTHS


def name_of(size):
    return f"n{size}"


class Branches:
    """tallyfs: a store that was filled before it was mounted."""
    name = "tallyfs"

    def __init__(self, b):
        root = f"{b.rig.root}/disk/scale"
        os.makedirs(f"{root}/disk")
        self.b, self.control = b, None
        self.tally = rigs.Tally(b.rig.program, root, b.rig.transport)
        self.root = self.tally.mnt

    def open(self):
        b = self.b
        self.tally.init()
        for n in sizes(b):
            b.progress(f"{n:,} files in a store")
            subprocess.run([b.fill, self.tally.store, name_of(n), str(DIRS), str(n), str(BYTES),
                            str(b.seed())], check=True)
        self.tally.start()
        self.control = os.open(f"{self.root}/.tally/control", os.O_RDWR)

    def branch(self, source, name):
        self.tally.command_on(self.control, f"branch {source} {name}")

    def drop(self, name):
        self.tally.command_on(self.control, f"drop {name}")

    def make(self, name):
        os.mkdir(f"{self.root}/{name}")

    def work(self):
        """One flush, one cycle."""
        self.tally.command("drain")
        self.tally.command("gc wait")

    def settle(self):
        self.tally.command("drain idle")

    def close(self):
        if self.control is not None:
            os.close(self.control)
        said = self.tally.close()
        if said:
            raise RuntimeError(f"the daemon of the large store said: {said}")


class Snapshots:
    """btrfs, in an image beside the others."""
    name = "btrfs"

    def __init__(self, b):
        self.root = f"{b.rig.root}/btrfs"
        self.image = rigs.Image(f"{b.rig.root}/btrfs.image", self.root,
                                (256 << 20) if b.quick else (8 << 30), False)
        self.b, self.top = b, None

    def open(self):
        b = self.b
        self.image.attach()
        subprocess.run(["mkfs.btrfs", "-q", self.image.device], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["mount", "-t", "btrfs", self.image.device, self.root], check=True)
        self.top = os.open(self.root, os.O_RDONLY)
        for n in sizes(b):
            b.progress(f"{n:,} files in btrfs")
            self.make(name_of(n))
            b.ops("create", f"{self.root}/{name_of(n)}", DIRS, n, BYTES, b.seed())
        self.settle()

    def ask(self, request, form, *words):
        fcntl.ioctl(self.top, request, bytearray(struct.pack(form, *words)))

    def branch(self, source, name):
        fd = os.open(f"{self.root}/{source}", os.O_RDONLY)
        try:
            self.ask(BTRFS_SNAP_CREATE_V2, "qQQ32x4040s", fd, 0, 0, name.encode())
        finally:
            os.close(fd)

    def drop(self, name):
        self.ask(BTRFS_SNAP_DESTROY, "q4088s", 0, name.encode())

    def make(self, name):
        self.ask(BTRFS_SUBVOL_CREATE, "q4088s", 0, name.encode())

    def work(self):
        rigs.syncfs(self.root)

    def settle(self):
        rigs.syncfs(self.root)

    def close(self):
        if self.top is not None:
            os.close(self.top)
        self.image.close()


def why_no_btrfs():
    with open("/proc/filesystems") as f:
        if "btrfs" not in f.read().split():
            subprocess.run(["modprobe", "-q", "btrfs"], capture_output=True)
    with open("/proc/filesystems") as f:
        if "btrfs" not in f.read().split():
            return "this kernel has no btrfs"
    found = subprocess.run(["sh", "-c", "command -v mkfs.btrfs"], capture_output=True)
    return None if found.returncode == 0 else "there is no mkfs.btrfs: apt-get install btrfs-progs"


def worlds(b):
    yield b.keep("branches", Branches)
    why = why_no_btrfs()
    if why:
        b.progress(f"without btrfs: {why}")
    else:
        yield b.keep("snapshots", Snapshots)


class Working:
    """One flush and one GC cycle after the other, and a process that makes files, so that there is
    something to flush; btrfs: syncfs."""

    def __init__(self, b, world):
        self.b, self.world, self.over, self.error = b, world, threading.Event(), None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.over.is_set():
                self.world.work()
        except (OSError, RuntimeError) as e:
            self.error = e

    def __enter__(self):
        self.world.make("busy")
        self.writer = going_on(self.b, "create-on", f"{self.world.root}/busy", 4096, self.b.seed())
        self.writer.__enter__()
        self.thread.start()

    def __exit__(self, *what):
        self.over.set()
        self.thread.join()
        self.writer.__exit__(*what)
        drop(self.b, self.world, "busy")
        if self.error:
            raise self.error


# ---- what is measured ----

def snapshots(b, world, n):
    return [b.timed(lambda: world.branch(name_of(n), f"s{i}")) for i in range(SNAPSHOTS)]


def drop(b, world, name):
    """The time of the drop, once the kernel has said that its files are closed."""
    end = time.monotonic() + 30
    while True:
        try:
            return b.timed(lambda: world.drop(name))
        except OSError as e:
            if e.errno != errno.EBUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def drops(b, world):
    return [drop(b, world, f"s{i}") for i in range(SNAPSHOTS)]


def note(b, key, world, times):
    b.record(f"{key}-median", world.name, percentile(times, 50))
    b.record(f"{key}-p99", world.name, percentile(times, 99))


def of_size(b, world, n):
    world.settle()
    note(b, f"branch-{n}", world, snapshots(b, world, n))
    pairs = [b.ops("first", f"{world.root}/s{i}", DIRS, n, BYTES, b.seed()) for i in range(FIRSTS)]
    b.record(f"first-{n}", world.name, percentile([p[0] for p in pairs], 50))
    b.record(f"again-{n}", world.name, percentile([p[1] for p in pairs], 50))
    note(b, f"drop-{n}", world, drops(b, world))
    world.settle()
    with Working(b, world):
        note(b, f"busy-branch-{n}", world, snapshots(b, world, n))
    drops(b, world)


def chain(b, world, source):
    """c1 is a branch of the source, c2 of c1 with one file changed, and so on."""
    for depth in range(1, depths(b)[-1] + 1):
        world.branch(f"c{depth - 1}" if depth > 1 else source, f"c{depth}")
        with open(f"{world.root}/c{depth}/d{depth % DIRS}/f{depth % 10}", "r+b") as f:
            f.write(os.urandom(BYTES))
    world.settle()


def of_depth(b, world, depth, n):
    count = min(n, 1000)
    world.settle()
    rigs.drop_caches("2")
    world.settle()
    times = b.ops("look", f"{world.root}/c{depth}", DIRS, n, count, b.seed())
    b.record(f"depth-{depth}", world.name, percentile(times, 50))


def scale(b):
    here = list(worlds(b))
    for n in sizes(b):
        for r in range(b.rounds):
            for world in here if r % 2 == 0 else here[::-1]:
                b.progress(f"scale: {n:,} entries, round {r + 1} of {b.rounds}, {world.name}")
                of_size(b, world, n)
    n = middle(b)
    for world in here:
        b.progress(f"scale: a chain of {depths(b)[-1]} branches, {world.name}")
        chain(b, world, name_of(n))
    for r in range(b.rounds):
        for depth in depths(b)[::-1 if r % 2 else 1]:
            for world in here:
                of_depth(b, world, depth, n)


def memory(b):
    """Of the daemon that was just started, when find has asked for all."""
    world = b.keep("branches", Branches)
    facts = world.tally.facts()
    b.record("walk-million", "tallyfs",
             b.command("find", f"{world.root}/{name_of(sizes(b)[-1])}", "-newer", b.ops_program)[0])
    c = facts.end(sizes(b)[-1], drains=0)
    b.record("memory-before", "tallyfs", c["anon_before"])
    b.record("memory-after", "tallyfs", c["anon_after"])
    b.record("memory-peak", "tallyfs", c["anon_peak"])


def values_of_size(n):
    return [(f"branch-{n}-median", f"branch / snapshot of {n:,} files: median", "us"),
            (f"branch-{n}-p99", "  … p99", "us"),
            (f"busy-branch-{n}-median", "  while flush and GC / syncfs run: median", "us"),
            (f"busy-branch-{n}-p99", "  … p99", "us"),
            (f"first-{n}", "  first write to a file in it", "us"),
            (f"again-{n}", "  … the second", "us"),
            (f"drop-{n}-median", "  drop / delete: median", "us"),
            (f"drop-{n}-p99", "  … p99", "us")]


def values_of(b):
    many = f"{sizes(b)[-1]:,}"
    return [
        Row("memory", memory, [
            ("walk-million", f"find -newer of {many} files, cold", "s"),
            ("memory-before", "  RssAnon of the daemon before", "MiB"),
            ("memory-after", "  … after", "MiB"),
            ("memory-peak", "  … highest", "MiB")], alone=True),
        Row("scale", scale, [
            *(v for n in sizes(b) for v in values_of_size(n)),
            *((f"depth-{d}", f"lookup at branch depth {d}, of {middle(b):,}", "us")
              for d in depths(b))], alone=True),
    ]
