#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claims of worker.py: on a directory that keeps everything nothing is wrong, and what is changed
behind its back is found."""
import glob
import os
import signal
import subprocess
import sys
import tempfile

WORKER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "worker.py")


def run(top):
    """Runs it until it tells its first times, or has ended. Its exit code and what it said."""
    with subprocess.Popen([sys.executable, "-B", WORKER, f"{top}/w", f"{top}/model", "3", "2000"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        p.stdout.readline()
        p.send_signal(signal.SIGTERM)
        _, said = p.communicate(timeout=60)
        return p.returncode, said


def names_of(path):
    """All names of that file in its directory: any of them may be the one that is found."""
    return [os.path.basename(f) for f in glob.glob(os.path.dirname(path) + "/f*") if os.path.samefile(f, path)]


def some_file(top):
    return next(f for f in sorted(glob.glob(f"{top}/w/f*")) if os.path.getsize(f) > 0)


with tempfile.TemporaryDirectory(prefix="tally-soak-") as top:
    for _ in range(3):  # each time it begins with a comparison
        rc, said = run(top)
        assert rc == 0, said
    victim = some_file(top)
    with open(victim, "r+b") as f:
        first = f.read(1)
        f.seek(0)
        f.write(bytes([first[0] ^ 1]))
    rc, said = run(top)
    assert rc == 1 and any(f" {name} has " in said for name in names_of(victim)), (rc, said)
    with open(victim, "r+b") as f:
        f.write(first)
    assert run(top)[0] == 0
    os.unlink(some_file(top))
    rc, said = run(top)
    assert rc == 1 and "missing" in said, (rc, said)
