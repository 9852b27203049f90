#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""worker: one client of a soak: random calls in a directory of its own, against a model.

    worker.py DIR STATE SEED RATE      DIR: on the mount; STATE: a file elsewhere

It makes, writes, appends, truncates, renames, links, unlinks, maps, syncs and reads files, at about
RATE calls a second, and keeps in STATE what its directory must hold: written before each call that
changes something ("about to") and after it ("done"). After a death of the daemon the call in flight
may have happened or not; all others must be there. When it begins it compares the directory with
that model, and it reads files again all the time. It prints a line of JSON a second: latencies by
call, in microseconds. Exit codes: 0: told to end (SIGTERM); 3: the daemon is gone; 1: wrong, and
standard error says what.

STATE is a whole JSON every ROTATE changes, replaced by rename, and lines of changes after it: so it
stays small however long the run.
"""
import errno
import hashlib
import json
import mmap
import os
import random
import signal
import sys
import time

FILES, ROTATE = 60, 400
SIZES = (0, 10, 3000, 4096, 20000, 140000, 600000)
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENODEV, errno.ESHUTDOWN, errno.EINTR,
        errno.ECANCELED)
FULL = (errno.ENOSPC, errno.EDQUOT)


class Wrong(Exception):
    pass


def content(seed, size):
    """Bytes that a seed stands for: half of all files can be compressed, and few are equal."""
    block = hashlib.sha256(b"%d" % seed).digest()
    data = block * (size // 32 + 1) if seed % 2 else random.Random(seed).randbytes(size)
    return data[:size]


class Model:
    """Name -> number of a body; body -> what its bytes are made of: [seed, size] pieces, in order.
    Two names with one body are links."""

    def __init__(self, path):
        self.path, self.names, self.bodies, self.next, self.lines = path, {}, {}, 1, 0
        self.flight = None
        if os.path.exists(path):
            with open(path) as f:
                whole = json.loads(f.readline())
                self.names = whole["names"]
                self.bodies = {int(k): v for k, v in whole["bodies"].items()}
                self.next = whole["next"]
                for line in f:
                    if not line.endswith("\n"):
                        break  # the machine, not the daemon, stopped us here
                    self.replay(json.loads(line))
        self.out = None
        self.rotate()

    def replay(self, change):
        if change["what"] == "about":
            self.flight = change["change"]
            return
        if change["what"] == "done":
            self.apply(self.flight)
        self.flight = None

    def rotate(self):
        with open(self.path + ".new", "w") as f:
            json.dump({"names": self.names, "bodies": self.bodies, "next": self.next}, f)
            f.write("\n")
            if self.flight:
                f.write(json.dumps({"what": "about", "change": self.flight}) + "\n")
        os.rename(self.path + ".new", self.path)
        if self.out:
            self.out.close()
        self.out, self.lines = open(self.path, "a", buffering=1), 0

    def about(self, change):
        self.flight = change
        self.out.write(json.dumps({"what": "about", "change": change}) + "\n")

    def end(self, what):
        """done: it has happened; undone: it has not."""
        self.out.write(json.dumps({"what": what}) + "\n")
        if what == "done":
            self.apply(self.flight)
        self.flight = None
        self.lines += 1
        if self.lines >= ROTATE:
            self.rotate()

    def apply(self, c):
        self.names, self.bodies, self.next = self.after(c)

    def after(self, c):
        names, bodies = dict(self.names), dict(self.bodies)
        op, name = c["op"], c["name"]
        after_next = self.next
        if op == "make":  # by a new file, renamed over
            names[name] = after_next
            bodies[after_next] = [c["piece"]]
            after_next += 1
        elif op == "append":
            bodies[names[name]] = bodies[names[name]] + [c["piece"]]
        elif op == "truncate":
            bodies[names[name]] = []
        elif op == "rename":
            names[c["to"]] = names.pop(name)
        elif op == "link":
            names[c["to"]] = names[name]
        elif op == "unlink":
            del names[name]
        elif op == "map":
            bodies[names[name]] = [c["piece"]]
        used = set(names.values())
        return names, {k: v for k, v in bodies.items() if k in used}, after_next


def body_bytes(pieces):
    return b"".join(content(seed, size) for seed, size in pieces)


def differs(directory, names, bodies):
    """What of the directory is not as it must be; None: nothing."""
    there = {n for n in os.listdir(directory) if not n.startswith("tmp")}
    if there != set(names):
        return f"names: missing {sorted(set(names) - there)[:5]}, too many {sorted(there - set(names))[:5]}"
    inodes = {}
    for name, body in names.items():
        with open(os.path.join(directory, name), "rb") as f:
            inode = os.fstat(f.fileno()).st_ino
            if inodes.setdefault(body, inode) != inode:
                return f"{name} is not the link that it was"
            data = f.read()
        want = body_bytes(bodies[body])
        if data != want:
            at = next((i for i, (a, b) in enumerate(zip(data, want)) if a != b), min(len(data), len(want)))
            return f"{name} has {len(data)} bytes instead of {len(want)}, and differs from byte {at} on"
    return None


def verify(directory, model):
    """After a death the call in flight may have happened. Of an append or a mapping a part may have."""
    wrong = differs(directory, model.names, model.bodies)
    if wrong is None:
        model.flight = None
        return
    if model.flight:
        flight = model.flight
        names, bodies, _ = model.after(flight)
        if differs(directory, names, bodies) is None:
            model.apply(flight)
            model.flight = None
            return
        if flight["op"] in ("append", "map", "truncate"):
            body = model.names[flight["name"]]
            rest = {n: b for n, b in model.names.items() if b != body}
            hidden = {n for n, b in model.names.items() if b == body}
            # The file whose call was cut off is made anew; every other one must be right.
            for n in hidden:
                os.unlink(os.path.join(directory, n))
            wrong = differs(directory, rest, model.bodies)
            if wrong is None:
                model.names = rest
                model.flight = None
                return
    raise Wrong(f"{directory}: {wrong}; in flight: {model.flight}")


class Worker:
    def __init__(self, directory, state, seed, rate):
        self.dir, self.random, self.pause = directory, random.Random(seed), 1 / rate
        os.makedirs(directory, exist_ok=True)
        self.model = Model(state)
        for n in os.listdir(directory):
            if n.startswith("tmp"):
                os.unlink(os.path.join(directory, n))
        verify(directory, self.model)
        self.model.rotate()
        self.times, self.told = {}, time.monotonic()
        self.ending = False
        signal.signal(signal.SIGTERM, self.end)

    def end(self, *_):
        self.ending = True

    def path(self, name):
        return os.path.join(self.dir, name)

    def timed(self, kind, fn, *args):
        start = time.monotonic()
        try:
            return fn(*args)
        finally:
            self.times.setdefault(kind, []).append(round((time.monotonic() - start) * 1e6))

    def some(self):
        return self.random.choice(sorted(self.model.names))

    def piece(self, sizes=SIZES):
        return [self.random.randrange(1 << 40), self.random.choice(sizes)]

    # Each change: what the model is told, and what is done.
    def make(self):
        name = f"f{self.random.randrange(FILES)}"
        piece = self.piece()
        yield {"op": "make", "name": name, "piece": piece}
        fd = self.timed("create", os.open, self.path("tmp"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        try:
            data = content(*piece)
            while data:
                data = data[self.timed("write", os.write, fd, data):]
            if self.random.random() < 0.4:
                self.timed("fsync", os.fsync, fd)
        finally:
            os.close(fd)
        self.timed("rename", os.rename, self.path("tmp"), self.path(name))

    def append(self):
        name, piece = self.some(), self.piece((1, 100, 5000, 70000))
        if sum(s for _, s in self.model.bodies[self.model.names[name]]) > 2 << 20:
            return
        yield {"op": "append", "name": name, "piece": piece}
        with open(self.path(name), "ab", buffering=0) as f:
            data = content(*piece)
            while data:
                data = data[self.timed("write", f.write, data):]
            if self.random.random() < 0.2:
                self.timed("fsync", os.fdatasync, f.fileno())

    def truncate(self):
        name = self.some()
        yield {"op": "truncate", "name": name}
        self.timed("truncate", os.truncate, self.path(name), 0)

    def rename(self):
        name, to = self.some(), f"f{self.random.randrange(FILES)}"
        if self.model.names[name] == self.model.names.get(to):
            return  # rename(2) of a link over another one of its file does nothing
        yield {"op": "rename", "name": name, "to": to}
        self.timed("rename", os.rename, self.path(name), self.path(to))

    def link(self):
        name, to = self.some(), f"f{self.random.randrange(FILES)}"
        if to in self.model.names:
            return
        yield {"op": "link", "name": name, "to": to}
        self.timed("link", os.link, self.path(name), self.path(to))

    def unlink(self):
        name = self.some()
        yield {"op": "unlink", "name": name}
        self.timed("unlink", os.unlink, self.path(name))

    def map(self):
        name = self.some()
        size = sum(s for _, s in self.model.bodies[self.model.names[name]])
        if size == 0 or size > 1 << 20:
            return
        piece = [self.random.randrange(1 << 40), size]
        yield {"op": "map", "name": name, "piece": piece}
        with open(self.path(name), "r+b") as f, mmap.mmap(f.fileno(), size) as m:
            m[:] = content(*piece)
            self.timed("msync", m.flush)

    def read(self):
        name = self.some()
        with open(self.path(name), "rb") as f:
            data = self.timed("read", f.read)
        if data != body_bytes(self.model.bodies[self.model.names[name]]):
            raise Wrong(f"{self.path(name)} does not have its bytes")
        self.timed("stat", os.stat, self.path(name))

    def step(self):
        few = len(self.model.names) < 5
        change = self.random.choices((self.make, self.append, self.truncate, self.rename, self.link,
                                      self.unlink, self.map), (30, 20, 3, 10, 8, 12, 6))[0]
        if few:
            change = self.make
        elif self.random.random() < 0.4:
            return self.read()
        parts = change()
        told = next(parts, None)
        if told is None:
            return None
        self.model.about(told)
        try:
            next(parts, None)
        except OSError as e:
            if e.errno not in FULL:
                raise
            if told["op"] == "map":
                # The pages have the bytes, and the file need not have them.
                self.forget(told["name"])
            verify(self.dir, self.model)  # what failed for want of room is as a call cut off
            self.model.rotate()
            return None
        self.model.end("done")
        return None

    def forget(self, name):
        """Removes a file whose bytes nobody knows, with all of its names."""
        body = self.model.names[name]
        for n in [n for n, b in self.model.names.items() if b == body]:
            os.unlink(self.path(n))
            del self.model.names[n]
        self.model.flight = None

    def tell(self):
        if time.monotonic() - self.told < 1:
            return
        print(json.dumps(self.times), flush=True)
        self.times, self.told = {}, time.monotonic()

    def run(self):
        while not self.ending:
            self.step()
            self.tell()
            time.sleep(self.random.expovariate(1 / self.pause))


def main():
    directory, state, seed, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    try:
        Worker(directory, state, seed, rate).run()
    except OSError as e:
        if e.errno in GONE:
            return 3
        raise
    except ValueError as e:  # a mapping whose pages are gone with the daemon
        if not os.path.ismount(os.path.dirname(os.path.dirname(directory))):
            return 3
        raise e
    except Wrong as e:
        print(e, file=sys.stderr, flush=True)
        return 1
    return 0


sys.exit(main())
