#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fills a mount whose store's disk is small, with a model of what must be there.

    disk_full.py fill  NAMESPACE MODEL SEED    until nothing more goes in; any errno but ENOSPC (or
                                               one of ALSO) ends it with exit code 1
    disk_full.py check NAMESPACE MODEL [durable]
                                               all that is in the model (and was when fsync last
                                               returned 0) is there and right
    disk_full.py thin  NAMESPACE MODEL SEED    removes every second name

A file is `size` bytes of a stream that its seed gives. After a write that failed half way a file is
a shorter one of the same stream, which is asked for. The model is a JSON file.
"""
import ctypes, errno, hashlib, json, mmap, os, random, sys

ALSO = {getattr(errno, name) for name in os.environ.get("ALSO", "").split()}
FULL = {errno.ENOSPC} | ALSO
FAILURES = 25  # then it is full: the first half in a row, unless what it says is in ALSO

libc = ctypes.CDLL(None, use_errno=True)


def stream(seed, size):
    out, n = bytearray(), 0
    while len(out) < size:
        out += hashlib.shake_128(b"%d %d" % (seed, n)).digest(min(65536, size - len(out)))
        n += 1
    return bytes(out)


class Model:
    def __init__(self, namespace, path):
        self.ns, self.path = namespace, path
        self.files, self.dirs, self.links, self.durable = {}, [], {}, None
        if os.path.exists(path):
            self.__dict__.update(json.load(open(path)))
        self.ns, self.path = namespace, path

    def save(self):
        json.dump(self.__dict__, open(self.path, "w"))

    def state(self):
        return {"files": dict(self.files), "dirs": list(self.dirs), "links": dict(self.links)}

    def at(self, name):
        return os.path.join(self.ns, name)


def attempt(call, *args):
    """0, or the errno, which must be one that says that there is no room."""
    try:
        call(*args)
        return 0
    except OSError as e:
        if e.errno not in FULL:
            sys.exit(f"{call.__name__}{args[:1]}: {errno.errorcode[e.errno]}")
        return e.errno


def put(path, data, off=0):
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        while data:
            n = os.pwrite(fd, data[:400000], off)
            data, off = data[n:], off + n
    finally:
        os.close(fd)


def put_mapped(path, data):
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        os.ftruncate(fd, len(data))
        with mmap.mmap(fd, len(data)) as m:
            m[:] = data
            m.flush()
    finally:
        os.close(fd)


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def branch(mnt, source, name):
    fd = os.open(os.path.join(mnt, ".tally/control"), os.O_RDWR)
    try:
        os.write(fd, b"branch %s %s\n" % (source.encode(), name.encode()))
    finally:
        os.close(fd)


def step(m, rng, n):
    """One random operation; its errno."""
    kind = rng.choices(
        ["small", "medium", "large", "append", "mapped", "mkdir", "symlink", "link", "rename",
         "fsync", "xattr", "branch"],
        [30, 12, 14, 8, 5, 8, 5, 5, 10, 6, 5, 2])[0]
    name = (rng.choice(m.dirs) + "/" if m.dirs and rng.random() < 0.5 else "") + f"n{n}"
    old = rng.choice(sorted(m.files)) if m.files else None
    if kind in ("small", "medium", "large"):
        size = {"small": rng.randrange(1, 3000), "medium": rng.randrange(20000, 200000),
                "large": rng.randrange(500000, 4000000)}[kind]
        err = attempt(put, m.at(name), stream(n, size))
        note(m, name, n, size, err)
    elif kind == "append" and old and len(m.files[old]) == 2:
        seed, size = m.files[old]
        more = rng.randrange(1, 100000)
        err = attempt(put, m.at(old), stream(seed, size + more)[size:], size)
        note(m, old, seed, size + more, err)
    elif kind == "mapped":
        size = rng.randrange(1, 300000)
        err = attempt(put_mapped, m.at(name), stream(n, size))
        note(m, name, n, size, err)
        if err and name in m.files:
            m.files[name].append("mapped")  # each page old or new
    elif kind == "mkdir":
        err = attempt(os.mkdir, m.at(name))
        if not err:
            m.dirs.append(name)
    elif kind == "symlink":
        err = attempt(os.symlink, "target of " + name, m.at(name))
        if not err:
            m.links[name] = "target of " + name
    elif kind == "link" and old:
        err = attempt(os.link, m.at(old), m.at(name))
        if not err:
            m.files[name] = m.files[old] + ["linked"] if len(m.files[old]) == 2 else list(m.files[old])
            if len(m.files[old]) == 2:
                m.files[old] = m.files[name]
    elif kind == "rename" and old:
        err = attempt(os.rename, m.at(old), m.at(name))
        if not err:
            m.files[name] = m.files.pop(old)
    elif kind == "fsync" and old:
        err = attempt(sync, m.at(old))
        if not err:
            m.durable = m.state()
    elif kind == "xattr" and old:
        err = attempt_xattr(m.at(old), rng.randbytes(200))
    elif kind == "branch":
        mnt, source = os.path.split(m.ns)
        err = attempt(branch, mnt, source, f"b{n}")
    else:
        return 0
    return err


def attempt_xattr(path, value):
    try:
        os.setxattr(path, "user.test", value)
        return 0
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            return 0
        if e.errno not in FULL:
            sys.exit(f"setxattr: {errno.errorcode[e.errno]}")
        return e.errno


def note(m, name, seed, size, err):
    """What a file is after a write: all of it, or what a failed one left."""
    if not err:
        m.files[name] = [seed, size]
    elif os.path.lexists(m.at(name)):
        m.files[name] = [seed, os.stat(m.at(name)).st_size]


def fill(m, seed):
    rng = random.Random(seed)
    failures, done, counts = 0, 0, {}
    while failures < FAILURES and done < 20000:
        err = step(m, rng, rng.randrange(1 << 40))
        failures = failures + 1 if err else (failures if failures > 12 or ALSO else 0)
        counts[err] = counts.get(err, 0) + 1
        done += 1
    m.save()
    print(f"{done} operations,", {errno.errorcode.get(k, "OK"): v for k, v in counts.items()},
          f"{len(m.files)} files")
    if failures < FAILURES:
        sys.exit("it never got full")


def check(m, what):
    bad = 0
    for name, (seed, size, *how) in what["files"].items():
        want = stream(seed, size)
        try:
            data = open(m.at(name), "rb").read()
        except OSError as e:
            data = None
        if "mapped" in how and data is not None:
            ok = len(data) == size and all(
                data[i:i + 4096] in (want[i:i + 4096], bytes(len(want[i:i + 4096])))
                for i in range(0, size, 4096))
        else:
            ok = data == want
        if not ok:
            bad += 1
            print(f"{name}: {'missing' if data is None else len(data)} instead of {size} bytes", how)
    for name in what["dirs"]:
        bad += not os.path.isdir(m.at(name))
    for name, target in what["links"].items():
        bad += not os.path.islink(m.at(name)) or os.readlink(m.at(name)) != target
    if bad:
        sys.exit(f"{bad} names are missing or wrong")
    print(f"{len(what['files'])} files, {len(what['dirs'])} directories, {len(what['links'])} links")


def thin(m, seed):
    rng = random.Random(seed)
    for name in sorted(m.files):
        if rng.random() < 0.5:
            os.unlink(m.at(name))
            del m.files[name]
    m.save()


def main():
    verb, m = sys.argv[1], Model(sys.argv[2], sys.argv[3])
    if verb == "fill":
        fill(m, int(sys.argv[4]))
    elif verb == "thin":
        thin(m, int(sys.argv[4]))
    elif sys.argv[4:] == ["durable"]:
        # Without what changed since: of that, either state may be there.
        for kind, then in m.durable.items():
            now = getattr(m, kind)
            setattr(m, kind, [d for d in now if d in then] if kind == "dirs" else
                    {k: v for k, v in now.items() if then.get(k) == v})
        m.save()
        check(m, m.state())
    else:
        check(m, m.state())


main()
