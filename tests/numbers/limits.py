# SPDX-License-Identifier: Apache-2.0
"""limits: sizes that were tried. Each function tries one thing on a store of its own, which is empty before, and returns rows
(what, how much, what was seen). Such a size is the most that is possible only where what was seen says so.
"""
import contextlib
import errno
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

DEPTH = 40       # names on the way to the deepest directory are this long
KERNEL_MOST = (1 << 63) - 1  # bytes of a file

# What is tried: (as published, with --quick)
TREE = (5_000_000, 2_000)          # files of a namespace
DIRECTORY = (1_000_000, 500)       # names in one directory
WRITTEN = (16 << 30, 8 << 20)      # bytes of a file
BRANCHES = (10_000, 20)            # of one namespace
CHAIN = (2_000, 10)                # branches of branches
LINKS = (1_000_000, 300)           # to one inode
SAME = (200_000, 200)              # files with the same content
OPEN = (20_000, 50)                # open files at once
NESTED = (20_000, 50)              # directories within each other


class Mount:
    """A store and its mount below a directory. tree() fills the store before it is mounted."""

    def __init__(self, build, workdir):
        self.tally, self.fill_program = f"{build}/tools/tally", f"{build}/tests/bench/bench-fill"
        self.root = tempfile.mkdtemp(prefix="limits-", dir=workdir)
        self.store, self.top = f"{self.root}/store", f"{self.root}/mnt"
        os.mkdir(self.top)
        self.run("init", self.store)

    def run(self, *words):
        return subprocess.run([self.tally, *map(str, words)], check=True, capture_output=True, text=True).stdout

    def verb(self, *words):
        return self.run("-C", self.top, *words)

    def mount(self):
        self.run("mount", self.store, self.top)

    def umount(self):
        self.run("umount", self.top)

    def memory(self):
        """The daemon's own memory (RssAnon), bytes."""
        with open(f"{self.top}/.tally/stats.json") as f:
            pid = json.load(f)["pid"]
        with open(f"/proc/{pid}/status") as f:
            return int(f.read().split("RssAnon:")[1].split()[0]) << 10

    def close(self):
        if os.path.ismount(self.top):
            subprocess.run([self.tally, "umount", self.top], check=False, capture_output=True)
        shutil.rmtree(self.root)


def timed(what, *words):
    """Seconds of a call."""
    start = time.monotonic()
    what(*words)
    return time.monotonic() - start


def count(n):
    return f"{n:,}"


def seconds(s):
    return f"{s * 1e6:.3g} us" if s < 1e-3 else f"{s * 1e3:.3g} ms" if s < 1 else f"{s:.3g} s"


def size(n):
    power = next(p for p in (60, 50, 40, 30, 20, 10, 0) if n >> p or not p)
    return f"{n / (1 << power):.3g} " + {60: "EiB", 50: "PiB", 40: "TiB", 30: "GiB", 20: "MiB", 10: "KiB", 0: "B"}[power]


def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")


def walk(top):
    """Asks for the attributes of all names below."""
    for where, _, names in os.walk(top):
        for name in names:
            os.lstat(f"{where}/{name}")


def tree(m, n):
    name = "large"
    subprocess.run([m.fill_program, m.store, name, "1000", str(n), "64", "1"], check=True, capture_output=True)
    mounted = timed(m.mount)
    branched = timed(m.verb, "branch", name, "other")
    used = timed(m.verb, "du")
    drop_caches()
    walked = timed(walk, f"{m.top}/{name}")
    held = m.memory()
    def drop():
        job = m.verb("drop", "other", "--now").split("job=")[1].split()[0]
        m.verb("wait", job)
    dropped = timed(drop)
    return [("files of a namespace, 64 bytes each", count(n),
             f"mounted in {seconds(mounted)}, a branch of it by `tally branch` in {seconds(branched)}, `tally du` of both "
             f"in {seconds(used)}; all attributes read in {seconds(walked)}, after which the daemon holds {size(held)}; the "
             f"branch dropped in {seconds(dropped)}")]


def directory(m, n):
    m.mount()
    top = f"{m.top}/main/many"
    os.mkdir(top)

    def make():
        for i in range(n):
            os.close(os.open(f"{top}/file-{i}", os.O_CREAT | os.O_WRONLY))

    def remove():
        for i in range(n):
            os.unlink(f"{top}/file-{i}")
    made = timed(make)
    drop_caches()
    listed = timed(os.listdir, top)
    drop_caches()
    found = statistics.median(timed(os.lstat, f"{top}/file-{i}") for i in range(0, n, max(1, n // 1000)))
    return [("names in one directory", count(n),
             f"made in {seconds(made)}, listed in {seconds(listed)}, one found in {seconds(found)}, removed in "
             f"{seconds(timed(remove))}")]


def largest_file(m, n):
    m.mount()
    path = f"{m.top}/main/sparse"
    with open(path, "wb") as f:
        most, refused = 1 << 20, None
        while most < KERNEL_MOST and not refused:
            try:
                os.ftruncate(f.fileno(), min(most * 2, KERNEL_MOST))
                most = min(most * 2, KERNEL_MOST)
            except OSError as e:
                refused = errno.errorcode[e.errno]
        os.pwrite(f.fileno(), b"end", most - 3)
    with open(path, "rb") as f:
        if os.pread(f.fileno(), 3, most - 3) != b"end":
            raise RuntimeError("the end of the sparse file is lost")
    end = f"twice as much is refused ({refused})" if refused else "the kernel's limit"
    rows = [("size of a file with holes", size(most), f"{end}; its last bytes were written and read")]
    piece = os.urandom(8 << 20)

    def write():
        with open(f"{m.top}/main/large", "wb", buffering=0) as f:
            for i in range(n // len(piece)):
                f.write(i.to_bytes(8, "big") + piece[8:])

    def read():
        with open(f"{m.top}/main/large", "rb", buffering=0) as f:
            for i in range(n // len(piece)):
                got = f.read(len(piece))
                if got[:8] != i.to_bytes(8, "big") or got[8:] != piece[8:]:
                    raise RuntimeError(f"piece {i} of the large file is not what was written")
    written = timed(write)
    drained = written + timed(m.verb, "drain")
    drop_caches()
    rows.append(("bytes written to one file", size(n), f"written in {seconds(written)}, durable after {seconds(drained)}, read "
                 f"and compared in {seconds(timed(read))}"))
    return rows


def branches(m, n):
    m.mount()
    for i in range(100):
        with open(f"{m.top}/main/{i}", "w") as f:
            f.write(f"file {i}")
    before = m.memory()
    control = os.open(f"{m.top}/.tally/control", os.O_RDWR)

    def branch(i):
        os.write(control, f"branch main b{i}\n".encode())
        if not os.read(control, 4096).startswith(b"ok"):
            raise RuntimeError("a branch was refused")
    times = [timed(branch, i) for i in range(n)]
    os.close(control)
    tenth = max(1, n // 10)
    each = (m.memory() - before) / n
    listed = timed(os.listdir, m.top)
    status = timed(m.verb, "status")
    m.umount()
    again = timed(m.mount)
    return [("branches of one namespace", count(n),
             f"each of the first tenth in {seconds(statistics.median(times[:tenth]))}, of the last in "
             f"{seconds(statistics.median(times[-tenth:]))}, {size(max(0, int(each)))} of memory each; listed in {seconds(listed)}, "
             f"`tally status` in {seconds(status)}, mounted again in {seconds(again)}")]


def chain(m, n):
    m.mount()
    for i in range(1000):
        with open(f"{m.top}/main/{i}", "w") as f:
            f.write(f"file {i}")
    newest, times = "main", []
    for i in range(n):
        times.append(timed(m.verb, "branch", newest, f"c{i}"))
        newest = f"c{i}"
        with open(f"{m.top}/{newest}/{i % 1000}", "w") as f:
            f.write(f"changed by {i}")
    drop_caches()

    def lookup(ns):
        return statistics.median(timed(os.lstat, f"{m.top}/{ns}/{i}") for i in range(1000))
    return [("branches of branches, one file changed in each", count(n),
             f"a lookup in main {seconds(lookup('main'))}, in the newest {seconds(lookup(newest))}")]


def nested(m, n):
    m.mount()
    where, name = os.open(f"{m.top}/main", os.O_RDONLY), "d" * DEPTH
    made = 0
    while made < n:
        os.mkdir(name, dir_fd=where)
        deeper = os.open(name, os.O_RDONLY, dir_fd=where)
        os.close(where)
        where, made = deeper, made + 1
    os.close(where)
    return [("directories within each other", count(made), f"names of {DEPTH} bytes; removed with `rm -r` in "
             f"{seconds(timed(subprocess.run, ['rm', '-r', f'{m.top}/main/{name}']))}")]


def links(m, n):
    m.mount()
    made, path = 1, f"{m.top}/main/file"
    with open(path, "w") as f:
        f.write("one")
    end = "all of them were made"
    with contextlib.suppress(StopIteration):
        while made < n:
            try:
                os.link(path, f"{m.top}/main/l{made}")
            except OSError as e:
                end = f"one more is refused ({errno.errorcode[e.errno]})"
                raise StopIteration from e
            made += 1
    if os.lstat(path).st_nlink != made:
        raise RuntimeError("the count of links is wrong")
    return [("links to one inode", count(made), end)]


def references(m, n):
    m.mount()

    def make():
        for i in range(n):
            with open(f"{m.top}/main/{i}", "w") as f:
                f.write("the same")
    made = timed(make) + timed(m.verb, "drain")
    found = [f.stat().st_nlink for f in os.scandir(f"{m.top}/.tally/objects/{os.listdir(f'{m.top}/.tally/objects')[0]}")]
    if found != [n]:
        raise RuntimeError(f"not one object with {n} references: {found}")
    return [("references to one object", count(n), f"made and durable in {seconds(made)}")]


def open_files(m, n):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = min(n, hard - 100) if hard != resource.RLIM_INFINITY else n
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, hard))
    m.mount()
    before = m.memory()
    held = [os.open(f"{m.top}/main/{i}", os.O_CREAT | os.O_RDWR) for i in range(n)]
    each = (m.memory() - before) / n
    for f in held:
        os.close(f)
    return [("files that are open at once", count(n), f"{size(max(0, int(each)))} of memory each")]


def values(m, _n):
    """What a file can carry, as the kernel and the store allow it."""
    m.mount()
    path = f"{m.top}/main/" + "n" * 255
    with open(path, "w"):
        pass
    os.setxattr(path, "user.large", os.urandom(65536))
    if len(os.getxattr(path, "user.large")) != 65536:
        raise RuntimeError("the attribute is short")
    return [("bytes of a name", "255", "the kernel's limit"),
            ("bytes of an extended attribute", "65,536", "the kernel's limit")]


ALL = ((tree, TREE), (directory, DIRECTORY), (largest_file, WRITTEN), (branches, BRANCHES), (chain, CHAIN),
       (nested, NESTED), (links, LINKS), (references, SAME), (open_files, OPEN), (values, (0, 0)))


def measure(build, workdir, quick):
    rows = []
    for function, sizes in ALL:
        print(f"limits: {function.__name__}", file=sys.stderr)
        m = Mount(build, workdir)
        try:
            rows += function(m, sizes[quick])
            m.umount()
            found = m.run("check", m.store).strip().splitlines()
            print(f"limits: {function.__name__}: {found[-1] if found else ''}", file=sys.stderr)
        finally:
            m.close()
    return {"rows": rows}
