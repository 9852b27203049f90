# SPDX-License-Identifier: Apache-2.0
"""rows_names: the round trip of a request, alone and beside others; walks over a tree; and what all
that takes from neighbours who compute."""
import os
import shutil
import subprocess
import time

import rig as rigs
from row import Row, busy, ends_with_us, going_on, middle_and_p99

PARTS = ("*/fs/*", "*/include/*")  # of Linux, for git: what it hashes on both sides, each round
NOWHERE = "a string that is in no file " + "here"
GIT_ALONE = ("env", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
RATE = 500  # files a second that come and go beside the busy ones


# ---- round trips ----

class Libfuse:
    """loopneg.c, mounted: a filesystem with nothing in it, by libfuse's own threaded loop."""

    def __init__(self, b):
        self.source, self.program = f"{b.here}/loopneg.c", f"{b.rig.root}/loopneg"
        self.mnt, self.process = f"{b.rig.root}/libfuse", None

    def open(self):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True,
                               capture_output=True, text=True).stdout.split()
        subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-o", self.program,
                        self.source, *flags], check=True)
        os.mkdir(self.mnt)
        self.process = subprocess.Popen([self.program, self.mnt], preexec_fn=ends_with_us)
        end = time.monotonic() + 30
        while not os.path.ismount(self.mnt):
            if self.process.poll() is not None or time.monotonic() > end:
                raise rigs.Refused("loopneg did not mount")
            time.sleep(0.01)

    def close(self):
        if os.path.ismount(self.mnt):
            subprocess.run(["umount", self.mnt])
        if self.process:
            self.process.wait(30)


class ByThreads:
    """Another store, the same program, by plain threads instead of io_uring."""

    def __init__(self, b):
        root = f"{b.rig.root}/disk/threads"
        os.makedirs(f"{root}/disk")
        self.tally, self.mnt = rigs.Tally(b.rig.program, root, "threads"), None

    def open(self):
        self.tally.init()
        self.tally.start()
        self.mnt = self.tally.fresh("bench")

    def close(self):
        said = self.tally.close()
        if said:
            raise RuntimeError(f"the daemon of the threads said: {said}")


def places_of(b, side, top):
    """Where lookups are measured, with the name of the column."""
    yield side.name, top
    if side.name == "ext4":
        yield "libfuse", b.keep("libfuse", Libfuse).mnt
    elif side is b.rig.tally and side.transport != "threads":
        yield "threads", b.keep("threads", ByThreads).mnt


def requests(b, side, top, _name):
    n = 200 if b.quick else 5000
    for column, where in places_of(b, side, top):
        def missing():
            return middle_and_p99(b.ops("missing", where, n, b.seed()))

        def missing_by_two():
            return middle_and_p99(b.ops("by", 2, "missing", where, n, f"{b.seed()}{{}}"))

        def missing_beside():
            with busy(b):
                return missing()

        for key, work, number in (("missing", missing, n), ("missing-two", missing_by_two, 2 * n),
                                  ("missing-busy", missing_beside, n)):
            b.measure(side, [f"{key}-median", f"{key}-p99"], work, operations=number,
                      column=column, costs=column == side.name)


# ---- walks ----

def unpack_part(b, top):
    """Part of Linux, or all of another tree."""
    some = PARTS if b.tree_name.startswith("linux-source") and not b.quick else ()
    wild = ["--wildcards", *some] if some else []
    subprocess.run(["tar", "-xf", b.tar, "-C", top, "--no-same-owner", *wild], check=True)


def walk(b, side, top, _name):
    unpack_part(b, top)
    paths = f"{b.rig.root}/paths"
    with open(paths, "wb") as f:
        subprocess.run(["find", top, "-print0"], stdout=f, check=True)
    with open(paths, "rb") as f:
        entries = f.read().count(b"\0")
    b.ops("stat-list", paths)
    b.measure(side, ["storm"], lambda: b.ops("stat-list", paths), operations=entries)
    b.measure(side, ["ls"], lambda: b.command("ls", "-lR", top), operations=entries)
    # Nothing is found, which grep says with 1; so it is turned round.
    grep = ["sh", "-c", '! grep -rqF "$1" "$2"', "sh", NOWHERE, top]
    b.command(*grep)
    b.measure(side, ["grep"], lambda: b.command(*grep), operations=entries)
    if shutil.which("git"):
        git(b, side, top, entries)


def git(b, side, top, entries):
    def said(*words, refresh=True):
        """refresh: it may write down what it saw of the files, as it does if nobody forbids it."""
        return b.command(*GIT_ALONE, f"GIT_OPTIONAL_LOCKS={int(refresh)}", "git", "-c",
                         "safe.directory=*", "-C", top, *words)

    def status():
        return said("status", "--porcelain", refresh=False)

    said("-c", "init.defaultBranch=main", "init", "-q")
    said("-c", "core.looseCompression=0", "-c", "gc.auto=0", "add", "-Af", ".")
    b.rig.settle(False)
    said("status")
    b.measure(side, ["git-cold"], status, operations=entries, cold=True)
    b.measure(side, ["git-warm"], status, operations=entries)


# ---- neighbours ----

def run_time(pid):
    """Seconds that the process has run, by the scheduler's own count."""
    tasks = f"/proc/{pid}/task"
    total = 0
    for t in os.listdir(tasks):
        with open(f"{tasks}/{t}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def idle(b, side, top, _name):
    seconds, millions = (0.3, 20) if b.quick else (3, 300)
    cpus = sorted(os.sched_getaffinity(0))

    def loss():
        """Of those who compute, one on each CPU: how much longer they took than they were running."""
        if cpus != list(range(len(cpus))):
            times = b.ops("sums", cpus[0], millions)
        else:
            times = b.ops("by", len(cpus), "sums", "{}", millions)
        return sum(times[::2]) / sum(times[1::2]) - 1

    def loss_beside(rate):
        b.rig.settle(False)
        with going_on(b, "churn", top, rate, 4096, b.seed()):
            return loss()

    b.rig.settle(False)
    if side.is_tally:
        before = run_time(side.daemon.pid)
        time.sleep(seconds)
        b.record("idle-cpu", side.name, (run_time(side.daemon.pid) - before) / seconds)
        b.record("loss-idle", side.name, loss())
    b.record("loss-paced", side.name, loss_beside(20 if b.quick else RATE))
    b.record("loss", side.name, loss_beside(0))


def values_of(b):
    return [
        Row("requests", requests, [
            ("missing-median", "lookup of what is not there: median", "us"),
            ("missing-p99", "  … p99", "us"),
            ("missing-two-median", "  two at once in one directory: median", "us"),
            ("missing-two-p99", "  … p99", "us"),
            ("missing-busy-median", "  beside a busy process on each CPU: median", "us"),
            ("missing-busy-p99", "  … p99", "us")]),
        Row("walk", walk, [
            ("storm", f"{b.tree_name}, a part: lstat of all, warm", "s"),
            ("ls", "  ls -lR, warm", "s"),
            ("grep", "  grep -r for what is not there, warm", "s"),
            ("git-cold", "  git status, cold", "s"),
            ("git-warm", "  git status, warm", "s")], long=True, needs=lambda: b.no_tree),
        Row("idle", idle, [
            ("idle-cpu", "CPU of the daemon with nothing to do", "%"),
            ("loss-idle", "loss of one busy process a CPU, beside that", "%"),
            ("loss-paced", f"  beside {20 if b.quick else RATE} small files a second", "%"),
            ("loss", "  … as many as one process can", "%")]),
    ]
