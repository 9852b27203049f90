#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""commander: the one who commands, in a soak: random verbs on a mount, with what they must have done.

    commander.py TALLY MNT SEED PAUSE SHARDS

Branches, snapshots, drops, undrops, commits, undo, exec, export and import, moves and recalls, gc,
compact, scrub, ships to the archive. What can be compared is: a branch with its source at that instant, an
import with what was exported, a drop that is taken back with what was dropped. It prints a line of
JSON for each verb. Exit codes as those of worker.py: 0, 3: the daemon is gone, 1: wrong.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TALLY, MNT, SEED, PAUSE = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
SHARDS = int(sys.argv[5])
MOST = 4  # namespaces beside main
RANDOM = random.Random(SEED)
# What a verb may fail with beside others, on a full disk, or on what another verb did meanwhile.
PASSING = ("no space", "full", "quota", "there is no", "nothing", "conflict", "already", "is running", "busy",
           "not there", "no such", "exists", "changed", "timed out", "unreachable", "cannot be", "not held", "cancel", "has no base",
           "out of room", "i/o error")
# What it says when the daemon dies under it: the soak knows whether it has.
DEAD = ("connection abort", "transport endpoint", "no such device")
ending = False


class Gone(Exception):
    """It says what made it think so: the soak knows whether the daemon is."""


class Wrong(Exception):
    pass


def end(*_):
    global ending
    ending = True


def alive():
    try:
        os.statvfs(MNT)  # which the kernel asks the daemon each time
        return os.path.ismount(MNT)
    except OSError:
        return False


def tally(*words, must=False, timeout=600):
    """The answer, or None: it failed in a way that may be."""
    start = time.monotonic()
    run = subprocess.run([TALLY, "-C", MNT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         errors="replace", timeout=timeout)
    took = round((time.monotonic() - start) * 1e6)
    print(json.dumps({"tally " + words[0]: [took]}), flush=True)
    if run.returncode == 0:
        return run.stdout
    said = run.stderr.lower()
    if not alive() or any(word in said for word in DEAD):
        raise Gone(f"tally {' '.join(words)}: {run.stderr.strip()}")
    if must or not any(word in said for word in PASSING):
        raise Wrong(f"tally {' '.join(words)}: {run.stderr.strip()}")
    return None


def value(text, key):
    return next((w.split("=", 1)[1] for w in (text or "").split() if w.startswith(key + "=")), None)


def digest(ns):
    return value(tally("digest", ns, "--wait", "--porcelain"), "digest")


def branches():
    return sorted(n for n in os.listdir(MNT) if n.startswith("op"))


def fresh():
    return f"op{RANDOM.randrange(10**9)}"


def same(what, a, b):
    if a and b and a != b:
        raise Wrong(f"{what}: {a} and {b}")


def do_branch():
    if len(branches()) >= MOST:
        return
    snap, new = f"s{RANDOM.randrange(10**9)}", fresh()
    if tally("snapshot", "main", snap) is None:
        return
    if tally("branch", f"main@{snap}", new) is not None:
        same("a branch differs from the snapshot that it was made of", digest(f"main@{snap}"), digest(new))
    tally("drop", f"main@{snap}", "--now")


def do_drop():
    for ns in branches()[:1]:
        before = digest(ns)
        kept = tally("drop", ns)
        if kept is not None and RANDOM.random() < 0.5 and tally("undrop", ns) is not None:
            same("what was dropped and taken back differs", before, digest(ns))
            tally("drop", ns, "--now")


def do_commit():
    new = fresh()
    if tally("branch", "main", new) is None:
        return
    os.makedirs(f"{MNT}/{new}/op", exist_ok=True)
    text = f"{RANDOM.random()}"
    with open(f"{MNT}/{new}/op/committed", "w") as f:
        f.write(text)
    if tally("commit", new, "--conflicts", "theirs") is not None:
        with open(f"{MNT}/main/op/committed") as f:
            same("what was committed is not there", f.read(), text)
        if RANDOM.random() < 0.5:
            tally("undo", "main")
    if os.path.exists(f"{MNT}/{new}"):
        tally("drop", new, "--now")


def do_exec():
    tally("exec", "main", "--discard", "--", "sh", "-c", "find . -type f | head -n 20 | xargs -r cat >/dev/null")


def do_export():
    snap, new, scratch = f"s{RANDOM.randrange(10**9)}", fresh(), tempfile.mkdtemp(prefix="tally-soak-")
    try:
        if tally("snapshot", "main", snap) is None:
            return
        if tally("export", f"main@{snap}", f"{scratch}/x.tar") is not None and \
                tally("import", f"{scratch}/x.tar", new) is not None:
            for d in os.listdir(f"{MNT}/{new}"):
                a, b = digest(f"{new}/{d}"), digest(f"main@{snap}/{d}")
                same(f"{d} was exported and imported, and differs", a, b)
        tally("drop", f"main@{snap}", "--now")
        if os.path.exists(f"{MNT}/{new}"):
            tally("drop", new, "--now")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def do_move():
    if not SHARDS:
        return
    there = [f"main/{d}" for d in os.listdir(f"{MNT}/main") if d.startswith("w")]
    if there:
        path = RANDOM.choice(there)
        names = os.listdir(f"{MNT}/{path}")
        if names:
            name = f"{path}/{RANDOM.choice(names)}"
            if tally("move", name, "1", "--wait") is not None and RANDOM.random() < 0.5:
                tally("recall", name, "--wait")


def do_plain():
    tally(*RANDOM.choice((("gc", "--wait"), ("compact", "--wait"), ("scrub", "--wait"), ("status",), ("du",), ("history",),
                          ("trash", "empty"), ("diff", "main", "main", "--stat"), ("drain", "2m"), ("sweep", "--wait"),
                          ("archive", "ship"), ("archive", "prune", "--wait"))))


def main():
    signal.signal(signal.SIGTERM, end)
    verbs = (do_branch, do_drop, do_commit, do_exec, do_export, do_move, do_plain)
    while not ending:
        try:
            RANDOM.choices(verbs, (3, 3, 3, 1, 1, 3, 4))[0]()
        except Gone as e:
            print(e, file=sys.stderr, flush=True)
            return 3
        except OSError as e:
            if not alive():
                print(e, file=sys.stderr, flush=True)
                return 3
            print(json.dumps({"errors": [str(e)]}), flush=True)
        except Wrong as e:
            if not alive():
                return 3
            print(e, file=sys.stderr, flush=True)
            return 1
        time.sleep(RANDOM.expovariate(1 / PAUSE))
    return 0


sys.exit(main())
