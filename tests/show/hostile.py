#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writers, an operator and a hostile user on one mount whose daemon is killed again and again.

    hostile.py TALLY DIR KILLS SEED [threads|uring|both]

tests/mount/kill.py runs its writers, branches, drops and kills, and verifies after each kill that all
calls that had returned are there. Beside it, on the same mount:

- An operator adds a shard, moves files there and recalls them, and runs gc, sweep, scrub, compact,
  rebuild, flush and drain. No verb may take longer than STALL seconds.
- A user (id 1000) owns nothing but writes into main/hostile (mode 1777): files whose contents collide
  (the program reads the store's key as root, so the attack is stronger than a real one), set-id files
  that the user may write and then executes, direct and asynchronous writes beside readers, times and
  offsets at the limits, names in masses, guesses at the contents of others. The user must never run as
  root, never see other bytes than those written, and never learn who else has a content.
- A watcher lists main/hostile twice a second. No look may take longer than STALL seconds while the
  daemon lives.

SKIP=act,act leaves acts of the user out (collide, set_id, masses, limits, guess, control, large).
DIR must be an empty directory of a local disk. Prints a line of figures at the end; ends with exit
code 1 after the first thing that is wrong, with the store kept. Needs root and /dev/fuse.
"""
import collections
import ctypes
import json
import multiprocessing
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
USER, STALL = 1000, 60.0
WORD = (1 << 32) - 1


# ---- what they write down ----

class Notes:
    """Counts and faults of all processes: lines of a file that was opened before any of them began."""

    def __init__(self, path):
        self.path, self.fd = path, os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self.stop = multiprocessing.Event()

    def add(self, kind, what):
        os.write(self.fd, json.dumps([kind, what]).encode() + b"\n")

    def count(self, what):
        self.add("count", what)

    def fault(self, sentence):
        self.add("fault", sentence)
        self.stop.set()

    def took(self, what, seconds):
        self.add("took", seconds)
        if seconds > STALL:
            self.fault(f"{what} took {seconds:.0f} s")

    def read(self):
        """Counts by name, faults, and the longest time."""
        with open(self.path, encoding="utf-8") as f:
            notes = [json.loads(line) for line in f]
        counts = collections.Counter(what for kind, what in notes if kind == "count")
        return (counts, [what for kind, what in notes if kind == "fault"],
                max(what for kind, what in notes if kind == "took"))


# ---- the hostile user ----

def key_words(store):
    """The first two words of the key of object ids, from the record "identity"."""
    with open(f"{store}/kv/data.mdb", "rb") as f:
        data = f.read()
    at = data.index(b"identity") + 8 + 24
    return struct.unpack_from("<2Q", data, at)


def colliding(words, n):
    """512 bytes whose XXH3-128 is the same for every n: the sums of two stripes cancel."""
    b = bytearray(512)
    b[0:8] = struct.pack("<Q", (n + 1 & WORD) << 32 | words[0] & WORD)
    b[64:72] = struct.pack("<Q", (-(n + 1) & WORD) << 32 | words[1] & WORD)
    return bytes(b)


class User:
    """One process of the user. Each act works in the directory of the process and checks itself."""

    def __init__(self, notes, mnt, words, program, number, seed):
        self.notes, self.mnt, self.words, self.program = notes, mnt, words, program
        self.dir, self.number = f"{mnt}/main/hostile/u{number}", number
        self.rng = random.Random(f"{seed}.user{number}")
        self.next = number * 10**6

    def path(self, prefix):
        self.next += 1
        return f"{self.dir}/{prefix}{self.next}"

    def expect(self, path, want):
        with open(path, "rb") as f:
            got = f.read()
        if got != want:
            self.notes.fault(f"{path}: {len(got)} bytes that are not those written")

    def collide(self):
        made = []
        for _ in range(self.rng.randrange(1, 60)):
            path, data = self.path("c"), colliding(self.words, self.next)
            with open(path, "wb") as f:
                f.write(data)
            made.append((path, data))
        if self.rng.random() < 0.3:
            with open(made[0][0], "rb") as f:
                os.fsync(f.fileno())
        for path, data in self.rng.sample(made, min(5, len(made))):
            self.expect(path, data)
        for path, _ in made:
            if self.rng.random() < 0.5:
                os.unlink(path)

    def set_id(self):
        """Write the program over a set-id file of root's, in one of many ways, and run it."""
        names = os.listdir(f"{self.mnt}/main/setid")
        if not names:
            return  # root has made none yet
        path = f"{self.mnt}/main/setid/{self.rng.choice(names)}"
        with open(self.program, "rb") as f:
            program = f.read()
        flags = self.rng.choice((os.O_TRUNC, os.O_TRUNC | os.O_APPEND, 0, os.O_DIRECT | os.O_TRUNC))
        fd = os.open(path, os.O_RDWR | flags)
        try:
            if flags & os.O_DIRECT:
                fd2 = os.open(path, os.O_RDWR)
                os.write(fd2, program)
                os.close(fd2)
            else:
                if not flags:
                    os.ftruncate(fd, self.rng.choice((0, 1, len(program))))
                os.pwrite(fd, program, 0)
        finally:
            os.close(fd)
        r = subprocess.run([path], capture_output=True, text=True, timeout=STALL)
        if r.stdout.strip() == "0":
            self.notes.fault(f"{path} ran as root for the user")

    def masses(self):
        top = self.path("d")
        os.mkdir(top)
        n = self.rng.randrange(50, 600)
        for i in range(n):
            os.close(os.open(f"{top}/{i:x}", os.O_CREAT | os.O_WRONLY))
        seen = sorted(os.listdir(top))
        if seen != sorted(f"{i:x}" for i in range(n)):
            self.notes.fault(f"{top}: {len(seen)} of {n} names are listed")
        shutil.rmtree(top)

    def limits(self):
        path = self.path("l")
        with open(path, "wb") as f:
            f.write(b"x")
        os.utime(path, ns=(self.rng.choice((0, -2**62, 2**62)), self.rng.choice((0, 2**62))))
        os.stat(path)
        os.truncate(path, self.rng.choice((0, 1 << 40, (1 << 17) + 1)))
        with open(path, "r+b") as f:
            f.seek(self.rng.choice((0, 1 << 30)))
            f.write(b"y" * 5000)
        os.unlink(path)

    def guess(self):
        """Does somebody else have that content? Nothing may say so."""
        path = self.path("g")
        with open(path, "wb") as f:
            f.write(b"the password is 4711\n")
        try:
            refs = int(os.getxattr(path, "user.tally.refs"))
            if refs > 1:
                self.notes.fault(f"user.tally.refs tells the user of {refs} references")
        except OSError:
            pass
        os.unlink(path)

    def control(self):
        for name in ("control", "status", "refcounts", "objects"):
            try:
                os.close(os.open(f"{self.mnt}/.tally/{name}", os.O_RDONLY))
                self.notes.fault(f"the user opened .tally/{name}")
            except PermissionError:
                pass

    def large(self):
        path = self.path("s")
        data = self.rng.randbytes(self.rng.randrange(1, 3 << 20))
        with open(path, "wb", buffering=0) as f:
            for at in range(0, len(data), 100_000):
                f.write(data[at:at + 100_000])
        self.expect(path, data)
        with open(path, "r+b", buffering=0) as f:
            at = self.rng.randrange(len(data))
            f.seek(at)
            f.write(b"changed")
        self.expect(path, (data[:at] + b"changed" + data[at + 7:])[:max(len(data), at + 7)])
        os.unlink(path)

    def live(self):
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        acts = [self.collide, self.set_id, self.masses, self.limits, self.guess, self.control, self.large]
        acts = [a for a in acts if a.__name__ not in os.environ.get("SKIP", "").split(",")]
        while not self.notes.stop.is_set():
            act = self.rng.choice(acts)
            start = time.monotonic()
            try:
                os.makedirs(self.dir, exist_ok=True)
                act()
                self.notes.count(act.__name__)
            except (OSError, subprocess.SubprocessError) as e:
                self.failed(act, e)
            self.notes.took(f"the user's {act.__name__}", time.monotonic() - start)

    def failed(self, act, error):
        """The daemon is gone, or was in the meantime; all else is counted by its name."""
        if not alive(self.mnt):
            time.sleep(0.05)
            return
        name = type(error).__name__ if not isinstance(error, OSError) else os.strerror(error.errno)
        self.notes.count(f"{act.__name__}: {name}")


def alive(mnt):
    try:
        os.stat(f"{mnt}/main")
        return True
    except OSError:
        return False


# ---- the operator, and who watches ----

def operate(notes, tally, mnt, shard, seed):
    rng = random.Random(f"{seed}.operator")
    while not notes.stop.is_set():
        time.sleep(rng.random() * 0.2)
        words = rng.choice((
            ["shard", "add", "1", f"dir:{shard}"], ["move", "main/hostile", "1"], ["move", "main/w0", "1"],
            ["move", "--idle", "0s", "1"], ["recall", "main/hostile"], ["recall", "main/w0"], ["gc", "--wait"],
            ["gc", "--grace", "0s", "--wait"], ["sweep", "--wait"], ["scrub"], ["compact", "--wait"],
            ["rebuild", "--wait"], ["flush"], ["drain"], ["status"], ["set", "compact_below", "90%"]))
        start = time.monotonic()
        try:
            r = subprocess.run([tally, "-C", mnt, *words], capture_output=True, text=True, timeout=2 * STALL)
            if r.returncode == 0:
                notes.count("operator: " + words[0])
            elif alive(mnt) and os.environ.get("VERBOSE"):
                print("operator:", *words, r.stderr.strip(), file=sys.stderr)
        except subprocess.TimeoutExpired:
            notes.fault(f"tally {' '.join(words)} did not end")
        notes.took(f"tally {' '.join(words)}", time.monotonic() - start)


def watch(notes, mnt):
    while not notes.stop.is_set():
        start = time.monotonic()
        try:
            os.listdir(f"{mnt}/main/hostile")
            os.stat(f"{mnt}/main")
            notes.count("looks")
        except OSError:
            pass
        notes.took("a look into main/hostile", time.monotonic() - start)
        time.sleep(0.5)


# ---- set-up, and the end ----

def run(*words):
    r = subprocess.run(words, capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit(f"{' '.join(words)}: {r.stdout}{r.stderr}")


def whoami(path):
    """A program that prints its effective user id; static, for it runs from the mount."""
    with open(f"{path}.c", "w") as f:
        f.write('#include <stdio.h>\n#include <unistd.h>\n'
                'int main(void) { printf("%d\\n", (int)geteuid()); return 0; }\n')
    run("cc", "-static", "-O", "-o", path, f"{path}.c")
    os.chmod(path, 0o755)


def prepare(tally, store, mnt):
    for d in (mnt, f"{os.path.dirname(mnt)}/shard", f"{os.path.dirname(mnt)}/histories"):
        os.mkdir(d)
    run(tally, "init", "--label", "test/hostile", store)
    run(tally, "mount", store, mnt)
    for d in ("hostile", "setid", "secret"):
        os.mkdir(f"{mnt}/main/{d}")
    os.chmod(f"{mnt}/main/hostile", 0o1777)
    os.chmod(f"{mnt}/main/secret", 0o700)
    with open(f"{mnt}/main/secret/password", "w") as f:
        f.write("the password is 4711\n")
    run(tally, "-C", mnt, "set", "shard_wait", "1s")
    run(tally, "umount", mnt)


def keep_set_id(notes, mnt):
    """Root makes new set-id files that the user's group may write."""
    n = 0
    while not notes.stop.is_set():
        path = f"{mnt}/main/setid/f{n % 8}"
        try:
            with open(path + ".new", "wb") as f:
                f.write(b"#!/bin/true\n")
                os.fchown(f.fileno(), 0, USER)
                os.fchmod(f.fileno(), 0o4775)
            os.rename(path + ".new", path)
            n += 1
        except OSError:
            pass
        time.sleep(0.1)


def main():
    tally, top, kills, seed = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2]), sys.argv[3], sys.argv[4]
    store, mnt = f"{top}/store", f"{top}/mnt"
    os.chmod(top, 0o755)
    prepare(tally, store, mnt)
    whoami(f"{top}/whoami")
    notes, words, start = Notes(f"{top}/notes"), key_words(store), time.monotonic()
    users = [User(notes, mnt, words, f"{top}/whoami", n, seed) for n in range(2)]
    beside = [multiprocessing.Process(target=u.live) for u in users]
    beside += [multiprocessing.Process(target=operate, args=(notes, tally, mnt, f"{top}/shard", seed)),
               multiprocessing.Process(target=watch, args=(notes, mnt)),
               multiprocessing.Process(target=keep_set_id, args=(notes, mnt))]
    killer = subprocess.Popen([f"{HERE}/../mount/kill.py", tally, store, mnt, f"{top}/histories", kills, seed,
                               "beside", *sys.argv[5:]])
    for p in beside:
        p.start()
    while killer.poll() is None and not notes.stop.is_set() and all(p.is_alive() for p in beside):
        time.sleep(0.2)
    notes.stop.set()
    if killer.poll() is None:
        killer.send_signal(signal.SIGINT)
    rc = killer.wait()
    for p in beside:
        p.join(STALL)
        if p.is_alive():
            notes.fault("a process hangs although the daemon has ended")
            p.kill()
        elif p.exitcode != 0:
            notes.fault(f"a process beside the writers ended with {p.exitcode}")
    check = subprocess.run([tally, "check", store], capture_output=True, text=True)
    if check.returncode != 0:
        notes.fault(f"tally check: {check.stdout}{check.stderr}")
    counts, faults, longest = notes.read()
    for sentence in faults:
        print("WRONG:", sentence)
    print(json.dumps(dict(sorted(counts.items()))))
    print(f"{(time.monotonic() - start) / 60:.1f} minutes, {kills} kills, seed {seed}: "
          f"{len(faults) + (rc != 0)} wrong, longest call {longest:.1f} s")
    return 1 if rc != 0 or faults else 0


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # whoever ends this program ends its children
    sys.exit(main())
