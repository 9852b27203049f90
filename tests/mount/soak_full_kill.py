# SPDX-License-Identifier: Apache-2.0
"""Writes, links, renames and removes on a disk that is nearly full, until it is killed; writes down what
was acknowledged.

    soak_full_kill.py work DIR ACKS SEED     until the mount goes away: exit 0
    soak_full_kill.py check DIR ACKS         what was acknowledged is there, and whole

ACKS is outside the mount: "+ NAME SHA256" after an fsync of the file and of its directory, "- NAME" before
a removal, "? NAME" before a change that may or may not have happened, "! full" for each time that the disk was.
"""
import errno
import hashlib
import os
import random
import sys

FULL = (errno.ENOSPC, errno.EDQUOT)
NAMES = 400


def content(r):
    size = r.choice((10, 3000, 60000, 140000, 700000, 1500000))
    return r.randbytes(size) if r.random() < 0.9 else bytes([r.randrange(3)]) * size


def work(d, acks, seed):
    r = random.Random(seed)
    log = open(acks, "a", buffering=1)
    n = 0
    try:
        os.chdir(d)  # which stays that of the mount when it is dead
        dirfd = os.open(".", os.O_RDONLY)
        while True:
            name = f"f{r.randrange(NAMES)}"
            path = name
            n += 1
            try:
                what = r.random()
                if what < 0.6:
                    data = content(r)
                    log.write(f"? {name}\n")
                    tmp = f"tmp{n % 4}"
                    with open(tmp, "wb") as f:
                        f.write(data)
                        f.flush()
                        os.fsync(f.fileno())
                    os.rename(tmp, path)
                    os.fsync(dirfd)
                    log.write(f"+ {name} {hashlib.sha256(data).hexdigest()}\n")
                elif what < 0.85:
                    log.write(f"- {name}\n")
                    os.unlink(path)
                else:
                    log.write(f"? {name}\n")
                    with open(path, "r+b") as f:
                        f.seek(r.randrange(2000))
                        f.write(b"patch" * r.randrange(1, 2000))
                        f.flush()
                        os.fsync(f.fileno())
                    with open(path, "rb") as f:
                        log.write(f"+ {name} {hashlib.sha256(f.read()).hexdigest()}\n")
            except FileNotFoundError:
                continue
            except OSError as e:
                if e.errno not in FULL:
                    raise
                log.write("! full\n")
                victim = f"f{r.randrange(NAMES)}"
                log.write(f"- {victim}\n")
                try:
                    os.unlink(victim)
                except FileNotFoundError:
                    pass
    except OSError as e:
        gone = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV, errno.EIO, errno.ECANCELED,
                errno.ESHUTDOWN)
        if e.errno not in gone and not isinstance(e, FileNotFoundError):
            raise


def check(d, acks):
    want, full = {}, 0
    for line in open(acks):
        kind, name, *rest = line.split()
        if kind == "!":
            full += 1
        elif kind == "+" and rest:
            want[name] = rest[0]
        else:
            want.pop(name, None)
    bad = 0
    for name, digest in sorted(want.items()):
        try:
            with open(f"{d}/{name}", "rb") as f:
                have = hashlib.sha256(f.read()).hexdigest()
        except OSError as e:
            have = errno.errorcode[e.errno]
        if have != digest:
            print(f"{name}: {have} instead of {digest}")
            bad += 1
    for name in os.listdir(d):  # whatever else is there can be read
        with open(f"{d}/{name}", "rb") as f:
            f.read()
    print(f"{len(want)} acknowledged files, {bad} mismatches, {full} times full")
    return bad != 0


if sys.argv[1] == "work":
    work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    sys.exit(check(sys.argv[2], sys.argv[3]))
