# SPDX-License-Identifier: Apache-2.0
"""row: what a row of the table is, and what several of them use.

Row(name, run, values): run(bench, side, directory, name) is called once a round on each side, in a
fresh directory, and records values; `values` lists them as (key, label, unit), in the order of the
table. What is recorded is seconds (units s, ms, us), bytes (MiB) or a share of 1 (%).
"""
import contextlib
import ctypes
import os
import signal
import subprocess
import time

DIRS = 10  # of the small files
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Row:
    """long: half of the rounds. alone: run(bench) once, which makes its own sides. needs() says why
    it cannot be run, or nothing."""

    def __init__(self, name, run, values, long=False, alone=False, needs=None):
        self.name, self.run, self.values = name, run, values
        self.long, self.alone, self.needs = long, alone, needs


def percentile(times, percent):
    times = sorted(times)
    return times[min(len(times) - 1, len(times) * percent // 100)]


def middle_and_p99(times):
    return [percentile(times, 50), percentile(times, 99)]


def ends_with_us():
    """In a child: it dies when we do, however that happens."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def going_on(b, *words):
    """A verb of ops that works until its standard input ends, which is at our own end at the latest.
    It has begun when the block does, if it prints anything."""
    with open(f"{b.rig.root}/going-on", "w+") as out:
        p = subprocess.Popen([b.ops_program, *map(str, words)], stdin=subprocess.PIPE, stdout=out,
                             preexec_fn=ends_with_us)
        try:
            while words[0] != "spin" and p.poll() is None and os.fstat(out.fileno()).st_size == 0:
                time.sleep(0.001)
            yield
        finally:
            p.stdin.close()
            failed = p.wait() != 0
        if failed:
            raise RuntimeError(f"ops {words[0]} failed")


@contextlib.contextmanager
def busy(b):
    """Each CPU has a process that does nothing but compute."""
    with contextlib.ExitStack() as all_of_them:
        for cpu in sorted(os.sched_getaffinity(0)):
            all_of_them.enter_context(going_on(b, "spin", cpu))
        yield
