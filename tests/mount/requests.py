# SPDX-License-Identifier: Apache-2.0
"""requests.py MOUNT [noxattr] - what the kernel asks for each operation, and that it is no more than it
was: who makes it less puts the lower figure here.

Each is done seven times, after what prepares it, and of each opcode the median is taken: memory may be
short meanwhile, or somebody else empty the kernel's caches. RELEASE and FORGET come when nobody waits
for them, and are not counted.
"""
import collections
import json
import os
import sys

mount, noxattr = sys.argv[1], "noxattr" in sys.argv
top = mount + "/main"
late = {"RELEASE", "FORGET", "BATCH_FORGET", "INTERRUPT"}
bad = 0
TRIES = 7


def asked():
    return collections.Counter(json.load(open(mount + "/.tally/stats.json"))["requests"])


def between(act):
    before = asked()
    act()
    n = asked()
    n.subtract(before)
    return n


def usual(act, prepare, n):
    seen = []
    for i in range(TRIES):
        prepare(i)
        itself = between(lambda: None)
        got = between(lambda: act(i))
        got.subtract(itself)
        seen.append(got)
    median = {k: sorted(s[k] for s in seen)[TRIES // 2] for k in set().union(*seen) - late}
    return {k: round(v / n, 2) for k, v in median.items() if v}


def each(what, n, act, prepare=lambda i: None, **want):
    """`want` of each of `n`, which act(i) does; `prepare` is not counted."""
    global bad
    if noxattr:
        want = {k: v for k, v in want.items() if "XATTR" not in k}
    got = usual(act, prepare, n)
    print(f"{what}: " + (" ".join(f"{k}={v:g}" for k, v in sorted(got.items())) or "nothing"))
    if any(v > want.get(k, 0) for k, v in got.items()):
        bad += 1
        print("    MORE THAN", want)


def put(path, data=b"x"):
    with open(path, "xb", buffering=0) as f:
        f.write(data)


def tree(i, files=20, dirs=3):
    os.mkdir(f"{top}/t{i}")
    for d in range(dirs):
        os.mkdir(f"{top}/t{i}/{d}")
        for f in range(files):
            put(f"{top}/t{i}/{d}/{f}", b"y" * 100)


def walk(path):
    """As find -newer: lists all, and all attributes."""
    for e in list(os.scandir(path)):
        st = os.lstat(e.path)
        if e.is_dir(follow_symlinks=False):
            walk(e.path)


def fd_write(path, times):
    with open(path, "r+b", buffering=0) as f:
        for _ in range(times):
            f.write(b"z")


def label(path):
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError:
        pass


def read(path):
    with open(path, "rb", buffering=0) as f:
        f.read(1000)


def remove(path):
    for e in list(os.scandir(path)):
        if e.is_dir(follow_symlinks=False):
            remove(e.path)
        else:
            os.unlink(e.path)
    os.rmdir(path)


def files(i):
    return [f"{top}/t{i}/{d}/{f}" for d in range(3) for f in range(20)]


def name(what):
    return lambda i: f"{top}/{what}{i}"


a, b = name("a"), name("b")
ENTRY = 64  # of a tree, its top one too

each("create, write, close", 1, lambda i: put(a(i)),
     LOOKUP=1, CREATE=1, WRITE=1, GETATTR=1)
each("write more", 1, lambda i: fd_write(a(i), 3), OPEN=1, GETATTR=1, GETXATTR=1, WRITE=3)
each("mkdir", 1, lambda i: os.mkdir(name("d")(i)), LOOKUP=1, MKDIR=1, GETATTR=1)
each("symlink", 1, lambda i: os.symlink("target", name("l")(i)), LOOKUP=1, SYMLINK=1, GETATTR=1)
each("readlink", 1, lambda i: os.readlink(name("l")(i)), READLINK=1)
each("readlink again", 1, lambda i: os.readlink(name("l")(i)), lambda i: os.readlink(name("l")(i)))
each("a name that is missing", 1, lambda i: os.path.exists(name("no")(i)), LOOKUP=1)
each("it is missing again", 1, lambda i: os.path.exists(name("no")(i)),
     lambda i: os.path.exists(name("no")(i)))
each("rename", 1, lambda i: os.rename(a(i), b(i)), LOOKUP=1, RENAME=1, GETATTR=1)
each("chmod", 1, lambda i: os.chmod(b(i), 0o600), SETATTR=1)
each("stat after it", 1, lambda i: os.stat(b(i)), lambda i: os.chmod(b(i), 0o644))
each("read", 1, lambda i: read(b(i)), OPEN=1, READ=1)
each("read again", 1, lambda i: read(b(i)), lambda i: read(b(i)), OPEN=1)
# The directory's attributes are asked for at the next change, or, as here, before it.
each("unlink", 1, lambda i: os.unlink(b(i)), lambda i: os.stat(b(i)), UNLINK=1)

each("a walk just after all was made: a directory", 4, lambda i: walk(f"{top}/t{i}"), tree,
     READDIR=1, READDIRPLUS=1)
each("the same again", 4, lambda i: walk(f"{top}/t{i}"), lambda i: walk(f"{top}/t{i}"))
each("stat of all: a file", 60, lambda i: [os.lstat(p) for p in files(i)], lambda i: walk(f"{top}/t{i}"))
each("a walk after one more was made: a directory", 4, lambda i: walk(f"{top}/t{i}"),
     lambda i: put(f"{top}/t{i}/1/more"), GETATTR=0.25, READDIR=0.25, READDIRPLUS=0.25)
each("ls -l: a file", 60, lambda i: [os.lstat(p) and label(p) for p in files(i)],
     lambda i: walk(f"{top}/t{i}"), GETXATTR=1)
each("remove a tree: an entry", ENTRY, lambda i: remove(f"{top}/t{i}"), lambda i: walk(f"{top}/t{i}"),
     GETATTR=0.94, UNLINK=0.95, RMDIR=0.06)
each("the names of the root", 1, lambda i: os.listdir(mount), lambda i: os.listdir(mount),
     GETATTR=1, READDIR=1, READDIRPLUS=1)
sys.exit(bad > 0)
