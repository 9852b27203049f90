# SPDX-License-Identifier: Apache-2.0
"""rows: what is measured. Each row runs once a round on each side, in a fresh directory, and records
values; README.md says in words what they mean and how fair they are.

A row is what row.py says. Here are those of ordinary work; rows_*.py have the others.
"""
import os
import subprocess
import threading

import rows_names
import rows_read
import rows_scale
import rows_share
from row import DIRS, Row

THREADS = 16     # that fsync beside each other
DRAIN_EVERY = 1  # seconds
BRANCHES = 20    # made of the same namespace
SUSTAIN = 4      # times as many small files as elsewhere
OVERWRITES = 200  # files written to, plain and after a branch


# ---- one large file ----

def sequential(b, side, top, _name):
    path, mib = f"{top}/file", b.size >> 20
    b.measure(side, ["write", "write-fsync"], lambda: b.ops("write", path, b.size, b.seed()),
              operations=mib, durable="write-durable", touch=2 * b.size)
    b.measure(side, ["read-cold"], lambda: b.ops("read", path), operations=mib, cold=True)
    b.measure(side, ["read-warm"], lambda: b.ops("read", path), operations=mib)


# ---- small files ----

def small(b, side, top, _name):
    files = b.files
    where = (top, DIRS, files)
    each = {"operations": files, "per_operation": True}
    b.measure(side, ["create"], lambda: b.ops("create", *where, 4096, b.seed()),
              durable="create-durable", **each)
    b.measure(side, ["small-stat-cold"], lambda: b.ops("stat", *where), cold=True, **each)
    b.measure(side, ["small-stat-warm"], lambda: b.ops("stat", *where), **each)
    b.measure(side, ["small-read-cold"], lambda: b.ops("read-all", *where), cold=True, **each)
    b.measure(side, ["small-read-warm"], lambda: b.ops("read-all", *where), **each)
    b.measure(side, ["delete"], lambda: b.ops("delete", *where), durable="delete-durable", **each)


# ---- the Linux source ----

def linux(b, side, top, _name):
    each = {"operations": b.entries}
    find = ["find", top, "-newer", b.tar]
    b.measure(side, ["untar"], lambda: b.command("tar", "-xf", b.tar, "-C", top),
              durable="untar-durable", warm=b.tar, **each)
    b.measure(side, ["walk-cold"], lambda: b.command(*find), cold=True, **each)
    b.measure(side, ["walk-warm"], lambda: b.command(*find), **each)
    cat = 'find "$1" -type f -print0 | xargs -0 cat'
    b.measure(side, ["cat-cold"], lambda: b.command("sh", "-c", cat, "sh", top), cold=True, **each)
    b.measure(side, ["cat-warm"], lambda: b.command("sh", "-c", cat, "sh", top), **each)
    inside = [f"{top}/{n}" for n in os.listdir(top)]
    b.measure(side, ["rm"], lambda: b.command("rm", "-rf", *inside), durable="rm-durable", **each)


# ---- make ----

MAKEFILE = """\
CFLAGS = -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -g -O0 -w -MMD {flags}
OBJECTS = $(patsubst %.c,%.o,$(wildcard {wildcards}))
all: {libraries} program
program: program.o {libraries}
\t$(CC) -o $@ $^
program.c:
\techo 'int main(void) {{ return 0; }}' >$@
{rules}
-include $(OBJECTS:.o=.d)
"""


def rooms_of(project):
    """The folders of core and fs that have C sources, as paths below the project."""
    return sorted(os.path.relpath(where, project) for top in ("core", "fs")
                  for where, _, files in os.walk(f"{project}/{top}") if any(n.endswith(".c") for n in files))


def make_sources(b, top):
    """tallyfs's own rooms, each a static library, as a build writes them: objects, dependencies,
    archives, a program."""
    rooms = [r for r in rooms_of(b.project) if not b.quick or r == "core/base"]
    count = 0
    for room in rooms:
        os.makedirs(f"{top}/{room}", exist_ok=True)
        sources = [n for n in os.listdir(f"{b.project}/{room}") if n.endswith((".c", ".h"))]
        subprocess.run(["cp", *(f"{b.project}/{room}/{n}" for n in sources), f"{top}/{room}"], check=True)
        count += sum(n.endswith(".c") for n in sources)
    libraries = {room: f"{room}/lib.a" for room in rooms}
    rules = "".join(f"{lib}: $(patsubst %.c,%.o,$(wildcard {room}/*.c))\n\trm -f $@\n\tar cr $@ $^\n"
                    for room, lib in libraries.items())
    fuse = subprocess.run(["pkg-config", "--cflags", "fuse3"], capture_output=True, text=True).stdout
    with open(f"{top}/Makefile", "w") as f:
        f.write(MAKEFILE.format(
            flags=" ".join(f"-I{room}" for room in rooms) + " " + fuse.strip(), rules=rules,
            wildcards=" ".join(f"{room}/*.c" for room in rooms),
            libraries=" ".join(libraries.values())))
    return count


def make(b, side, top, _name):
    sources = make_sources(b, top)
    b.command("cc", "-c", "-o", "/dev/null", f"{b.here}/ops_files.c")  # so that the compiler is in memory
    run = ["make", "-s", "-j2", "-C", top]
    b.measure(side, ["make"], lambda: b.command(*run), operations=sources, durable="make-durable")
    b.measure(side, ["make-nothing"], lambda: b.command(*run), operations=sources)


# ---- fsync ----

def fsync(b, side, top, _name):
    each = {"operations": b.syncs, "latencies": True}
    b.measure(side, ["fsync-new"], lambda: b.ops("fsync-new", top, b.syncs, 4096, b.seed()), **each)
    b.measure(side, ["fsync-append"],
              lambda: b.ops("fsync-append", f"{top}/log", b.syncs, 4096, b.seed()), **each)
    each = {"operations": THREADS * b.syncs}
    os.mkdir(f"{top}/one")
    os.mkdir(f"{top}/apart")
    b.measure(side, ["fsync-new-by", "fsync-new-by-p99"],
              lambda: by_threads(b, "fsync-new-by", f"{top}/one"), **each)
    b.measure(side, ["fsync-new-apart", "fsync-new-apart-p99"],
              lambda: by_threads(b, "fsync-new-apart", f"{top}/apart"), **each)
    b.measure(side, ["fsync-append-by", "fsync-append-by-p99"],
              lambda: by_threads(b, "fsync-append-by", f"{top}/log"), **each)


def by_threads(b, verb, path):
    """The time of all divided by their number, and the 99th percentile of each."""
    elapsed, *times = b.ops(verb, path, b.syncs, 4096, b.seed(), THREADS)
    times.sort()
    return [elapsed / len(times), times[len(times) * 99 // 100]]


# ---- writers beside a flush ----

def pauses(b, side, top, _name):
    """A large file is in memory; while it becomes durable small ones are created."""
    def run():
        b.ops("fill", f"{top}/large", b.size, b.seed())
        writer = subprocess.Popen([b.ops_program, "create-on", top, "4096", str(b.seed())],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        rest = []
        try:
            first = writer.stdout.readline()  # it is at work
            reader = threading.Thread(target=lambda: rest.append(writer.stdout.read()))
            reader.start()
            side.durable()
        finally:
            writer.stdin.close()
        reader.join()
        if writer.wait() != 0:
            raise RuntimeError("the writer failed")
        times = sorted(int(n) / 1e9 for n in (first + rest[0]).split())
        return [times[-1], times[len(times) * 999 // 1000], times[len(times) // 2]]

    b.measure(side, ["pause-longest", "pause-p999", "pause-median"], run)


# ---- creation that goes on ----

class Draining:
    """Everything is made durable again and again while it lasts."""

    def __init__(self, side):
        self.side, self.over, self.error = side, threading.Event(), None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.over.wait(DRAIN_EVERY):
                self.side.durable()
        except (OSError, RuntimeError) as e:
            self.error = e

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.error:
            raise self.error


def sustain(b, side, top, _name):
    each = {"operations": SUSTAIN * b.files, "per_operation": True}
    for key in "sustain", "sustain-drained":
        os.mkdir(f"{top}/{key}")

    def create(key):
        return b.ops("create", f"{top}/{key}", DIRS, SUSTAIN * b.files, 4096, b.seed())

    def create_drained():
        with Draining(side):
            return create("sustain-drained")

    b.measure(side, ["sustain"], lambda: create("sustain"), **each)
    b.measure(side, ["sustain-drained"], create_drained, **each)


# ---- branches ----

def copy_or_branch(b, side, name):
    """Where the copy is, and the function that makes it: the times of one, or of several."""
    if not side.is_tally:
        source = f"{side.root}/{name}"
        copy = f"{source}.0"
        return copy, lambda: b.command(*side.copy, source, copy)

    def branch():
        fd = os.open(f"{side.mnt}/.tally/control", os.O_RDWR)
        try:
            return [b.timed(lambda: side.command_on(fd, f"branch {name} {name}.{i}"))
                    for i in range(BRANCHES)]
        finally:
            os.close(fd)
    return f"{side.mnt}/{name}.0", branch


def drop(b, side, name):
    if not side.is_tally:
        return b.command(*side.remove, f"{side.root}/{name}")
    return [b.timed(lambda: side.command(f"drop {name}"))]


def branches(b, side, top, name):
    count = min(OVERWRITES, b.files)
    large, middle = b.size // 4, b.size // 8
    each = {"operations": count, "latencies": True}
    b.ops("create", top, DIRS, b.files, 4096, b.seed())
    b.ops("write", f"{top}/large", large, b.seed())
    copy, branch = copy_or_branch(b, side, name)

    def overwrite(where):
        return b.ops("overwrite", where, DIRS, b.files, 4096, b.seed(), count)

    b.measure(side, ["overwrite"], lambda: overwrite(top), **each)
    b.measure(side, ["branch"], branch, operations=BRANCHES, latencies=True, costs=False)
    b.measure(side, ["first-overwrite"], lambda: overwrite(copy), **each)
    b.measure(side, ["first-poke"], lambda: b.ops("poke", f"{copy}/large", middle, 4096, b.seed()),
              durable="first-poke-durable")
    b.measure(side, ["drop-branch"], lambda: drop(b, side, f"{name}.0"),
              durable="drop-branch-durable")
    if side.is_tally:
        for i in range(1, BRANCHES):
            side.command(f"drop {name}.{i}")
    b.measure(side, ["drop-all"], lambda: drop(b, side, name), durable="drop-all-durable")
    side.fresh(name)  # for the one who takes it away


def values_of(b):
    """All rows, in the order in which they are run."""
    return [*own_values_of(b), *rows_read.values_of(b), *rows_names.values_of(b),
            *rows_share.values_of(b), *rows_scale.values_of(b)]


def own_values_of(b):
    """Every row of this file with the labels and units of what it records. US: microseconds an operation."""
    size, files = b.text_of(b.size), f"{b.files:,}"
    return [
        Row("seq", sequential, [
            ("write", f"write {size}", "s"),
            ("write-fsync", "  … until fsync returns", "s"),
            ("write-durable", "  … until drain / syncfs returns", "s"),
            ("read-cold", f"read {size}, cold", "s"),
            ("read-warm", f"read {size}, warm", "s")]),
        Row("small", small, [
            ("create", f"create {files} files of 4 KiB, each", "us"),
            ("create-durable", "  … until drain / syncfs returns", "us"),
            ("small-stat-cold", "stat them, cold, each", "us"),
            ("small-stat-warm", "stat them, warm, each", "us"),
            ("small-read-cold", "open+read+close, cold, each", "us"),
            ("small-read-warm", "open+read+close, warm, each", "us"),
            ("delete", "unlink them, each", "us"),
            ("delete-durable", "  … until drain / syncfs returns", "us")]),
        Row("linux", linux, [
            ("untar", f"{b.tree_name}: tar x", "s"),
            ("untar-durable", "  … until drain / syncfs returns", "s"),
            ("walk-cold", "find -newer, cold", "s"),
            ("walk-warm", "find -newer, warm", "s"),
            ("cat-cold", "cat of all files, cold", "s"),
            ("cat-warm", "cat of all files, warm", "s"),
            ("rm", "rm -rf", "s"),
            ("rm-durable", "  … until drain / syncfs returns", "s")],
            long=True, needs=lambda: b.no_tree),
        Row("make", make, [
            ("make", "make -j2 of the C sources here", "s"),
            ("make-durable", "  … until drain / syncfs returns", "s"),
            ("make-nothing", "make again, nothing to do", "s")], long=True),
        Row("fsync", fsync, [
            ("fsync-new-median", "create, write 4 KiB, fsync, close: median", "us"),
            ("fsync-new-p99", "  … p99", "us"),
            ("fsync-append-median", "append 4 KiB, fsync: median", "us"),
            ("fsync-append-p99", "  … p99", "us"),
            ("fsync-new-by", f"the first by {THREADS} threads: time / number", "us"),
            ("fsync-new-by-p99", "  … p99 of one", "us"),
            ("fsync-new-apart", "  in a directory each: time / number", "us"),
            ("fsync-new-apart-p99", "  … p99 of one", "us"),
            ("fsync-append-by", f"the second by {THREADS} threads: time / number", "us"),
            ("fsync-append-by-p99", "  … p99 of one", "us")]),
        Row("pauses", pauses, [
            ("pause-longest", f"create beside a flush of {size}: longest", "ms"),
            ("pause-p999", "  … p99.9", "ms"),
            ("pause-median", "  … median", "us")]),
        Row("sustain", sustain, [
            ("sustain", f"create {SUSTAIN * b.files:,} files of 4 KiB, each", "us"),
            ("sustain-drained", "  … with a drain / syncfs every second", "us")]),
        Row("branch", branches, [
            ("overwrite-median", "open, overwrite 4 KiB, close: median", "us"),
            ("overwrite-p99", "  … p99", "us"),
            ("branch-median", f"branch of {files} files / cp -a: median", "ms"),
            ("branch-p99", "  … p99", "ms"),
            ("first-overwrite-median", "the overwrite, in the branch / copy: median", "us"),
            ("first-overwrite-p99", "  … p99", "us"),
            ("first-poke", f"4 KiB amid its {b.text_of(b.size // 4)} file", "us"),
            ("first-poke-durable", "  … until drain / syncfs returns", "us"),
            ("drop-branch", "drop of the branch / rm -rf of the copy", "ms"),
            ("drop-branch-durable", "  … until drain / syncfs returns", "ms"),
            ("drop-all", "drop of the last one / rm -rf", "ms"),
            ("drop-all-durable", "  … until drain / syncfs returns", "ms")]),
    ]
