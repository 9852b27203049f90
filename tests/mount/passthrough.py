#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""passthrough.py MNT on|off: every mixture of opens of one large file that nobody may write.

With `on` the kernel reads such files by itself, and the counts of stats.json prove it; with `off` the
same bytes come through the daemon. Each claim makes the files that it needs."""
import ctypes
import errno
import json
import mmap
import os
import subprocess
import sys
import threading
import time

mnt, on = sys.argv[1], sys.argv[2] == "on"
main = mnt + "/main"
SIZE = 400_000
TEXT = os.urandom(SIZE)


def claim(text):
    print("claim:", text, flush=True)


def stats():
    with open(mnt + "/.tally/stats.json") as f:
        return json.load(f)


def run(*words):
    with open(mnt + "/.tally/control", "r+b", buffering=0) as f:
        f.write(" ".join(words).encode() + b"\n")
        return f.read(65536)


def eq(a, b):
    if a != b:
        raise AssertionError(f"got {a!r:.200}, not {b!r:.200}")


def until(what):
    """A close is told of later: wait for what it leads to."""
    end = time.monotonic() + 200
    while not what():
        if time.monotonic() > end:
            raise AssertionError("it never came true")
        time.sleep(0.01)


def natives(n):
    if on:
        until(lambda: stats()["passthrough_files"] == n)
    else:
        eq(stats()["passthrough_files"], 0)


def make(name, mode=0o444, text=TEXT, where=main):
    path = f"{where}/{name}"
    with open(path, "wb") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def sealed(*names, mode=0o444):
    paths = [make(n, mode) for n in names]
    run("drain")
    return paths if len(paths) > 1 else paths[0]


def result(call, *args):
    try:
        r = call(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
    if call is os.open:
        os.close(r)
    return "OK"


def busy(path):
    """Nobody may change it now; without passthrough there is no reason not to."""
    if not on:
        return
    for flags in os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC:
        eq(result(os.open, path, flags), "ETXTBSY")
    eq(result(os.truncate, path, 5), "ETXTBSY")


def content(fd):
    return os.pread(fd, SIZE + 1, 0)


libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def mapping(fd, prot, flags):
    """Python's own keeps a descriptor."""
    at = libc.mmap(None, SIZE, prot, flags, fd, 0)
    eq(at not in (None, ctypes.c_void_p(-1).value), True)
    return at


def writable(path):
    """In the end it can be changed, and who reads it then sees that."""
    def change():
        try:
            fd = os.open(path, os.O_WRONLY)
        except OSError as e:
            eq(e.errno, errno.ETXTBSY)
            return False
        os.pwrite(fd, b"changed", 100)
        os.close(fd)
        return True
    until(change)
    with open(path, "rb") as f:
        eq(f.read(), TEXT[:100] + b"changed" + TEXT[107:])


claim("the kernel reads by itself: no READ comes, and the bytes are right")
a = sealed("a")
before = stats()["requests"].get("READ", 0)
own = stats()["requests"].get("READ", 0) - before  # what reading stats.json itself takes
with open(a, "rb") as f:
    eq(f.read(), TEXT)
    natives(1)
    before = stats()["requests"].get("READ", 0)
    for _ in range(3):
        eq(content(f.fileno()), TEXT)
    if on:
        eq(stats()["requests"].get("READ", 0) - before, own)
natives(0)

claim("beside it nobody changes the file; after the close anybody may")
fd = os.open(a, os.O_RDONLY)
busy(a)
os.chmod(a, 0o666)
busy(a)
second = os.open(a, os.O_RDONLY)
natives(1)
os.close(fd)
busy(a)
eq(content(second), TEXT)
os.close(second)
writable(a)

claim("beside an open that goes through the daemon, all do, whatever chmod says")
b = sealed("b", mode=0o644)
fd = os.open(b, os.O_RDONLY)
eq(content(fd), TEXT)
os.chmod(b, 0o444)
second = os.open(b, os.O_RDONLY)
eq(stats()["passthrough_files"], 0)
eq(content(second), TEXT)
os.close(fd)
writer = os.open(b, os.O_RDWR)
third = os.open(b, os.O_RDONLY)
eq(stats()["passthrough_files"], 0)
for fd in second, third, writer:
    os.close(fd)
def passthrough_file_again():
    with open(b, "rb") as f:
        eq(f.read(), TEXT)
        return not on or stats()["passthrough_files"] == 1
until(passthrough_file_again)

claim("a mapping outlives the close: until it goes nobody changes the file")
fd = os.open(b, os.O_RDONLY)
m = mapping(fd, mmap.PROT_READ, mmap.MAP_SHARED)
private = mapping(fd, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE)
os.close(fd)
natives(0)
eq(ctypes.string_at(m, SIZE), TEXT)
ctypes.memset(private, 1, 4096)
busy(b)
eq(ctypes.string_at(m, SIZE), TEXT)
with open(b, "rb") as f:  # readers may come again
    eq(f.read(), TEXT)
libc.munmap(m, SIZE)
busy(b)
libc.munmap(private, SIZE)
writable(b)

claim("O_DIRECT, O_PATH, sendfile and copies")
c = sealed("c")
fd = os.open(c, os.O_RDONLY | os.O_DIRECT)
buf = mmap.mmap(-1, 1 << 20)
eq(os.preadv(fd, [buf], 0), SIZE)
eq(buf[:SIZE], TEXT)
other = os.open(c, os.O_RDONLY)
eq(content(other), TEXT)
os.close(fd)
path = os.open(c, os.O_PATH)
fd = os.open(f"/proc/self/fd/{path}", os.O_RDONLY)
eq(content(fd), TEXT)
out = os.open(main + "/copy", os.O_RDWR | os.O_CREAT)
while n := os.sendfile(out, fd, None, SIZE):
    pass
eq(content(out), TEXT)
objects = stats()["objects"]
subprocess.run(["cp", c, main + "/copy2"], check=True)
eq(open(main + "/copy2", "rb").read(), TEXT)
for x in other, path, fd, out:
    os.close(x)

claim("a program is run from it")
text = open("/bin/bash", "rb").read()
prog = make("prog", 0o555, text)
run("drain")
p = subprocess.Popen([prog, "-c", "echo up; read x; exit 7"], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE)
eq(p.stdout.readline(), b"up\n")
eq(result(os.open, prog, os.O_WRONLY), "ETXTBSY")
p.communicate(b"\n")
eq(p.returncode, 7)

claim("renamed, linked, unlinked while it is open; opened again by its descriptor")
d = sealed("d")
fd = os.open(d, os.O_RDONLY)
os.rename(d, main + "/d2")
os.link(main + "/d2", main + "/d3")
second = os.open(main + "/d3", os.O_RDONLY)
natives(1)
busy(main + "/d3")
os.unlink(main + "/d2")
os.unlink(main + "/d3")
third = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
natives(1)
if on:
    eq(result(os.open, f"/proc/self/fd/{fd}", os.O_RDWR), "ETXTBSY")
os.close(fd)
os.close(second)
eq(content(third), TEXT)
eq(os.fstat(third).st_nlink, 0)
os.close(third)
natives(0)

claim("replaced by a rename: who has it open keeps it, who opens it gets the new one")
e, new = sealed("e", "e.new")
fd = os.open(e, os.O_RDONLY)
with open(new, "r+b") as f:
    f.write(b"new")
os.rename(new, e)
eq(content(fd), TEXT)
eq(open(e, "rb").read(3), b"new")
os.close(fd)

claim("a branch of it is read likewise; each stands alone; dropped while it is open")
f1 = sealed("f")
run("branch", "main", "dev")
fd = os.open(f1, os.O_RDONLY)
second = os.open(mnt + "/dev/f", os.O_RDONLY)
natives(2)
eq(content(second), TEXT)
os.close(fd)
natives(1)
run("drop", "dev", "force")
eq(content(second), TEXT)
third = os.open(f"/proc/self/fd/{second}", os.O_RDONLY)
eq(content(third), TEXT)
os.close(second)
os.close(third)
natives(0)
writable(f1)

claim("in a frozen namespace nobody may write: the kernel reads that, too")
g = sealed("g", mode=0o644)
run("set", "ns:main.frozen", "yes")
fd = os.open(g, os.O_RDONLY)
natives(1)
run("set", "ns:main.frozen", "no")
busy(g)
eq(content(fd), TEXT)
os.close(fd)
writable(g)

claim("moved to a shard while it is open, and back")
h = sealed("h")
shard = os.path.dirname(mnt) + "/shard"
os.makedirs(shard, exist_ok=True)
if b"dir:" not in run("shard list"):
    run("shard", "add", "1", "dir:" + shard)
fd = os.open(h, os.O_RDONLY)
run("move", "main/h", "1", "wait")
second = os.open(h, os.O_RDONLY)
natives(1)
eq(content(second), TEXT)
os.close(fd)
os.close(second)
natives(0)
run("drain")
with open(h, "rb") as f:
    eq(f.read(), TEXT)
run("recall", "main/h", "wait")
def home_again():
    with open(h, "rb") as f:
        eq(f.read(), TEXT)
        return not on or stats()["passthrough_files"] == 1
until(home_again)

claim("atime moves when it is opened")
i = sealed("i")
os.utime(i, ns=(1, os.stat(i).st_mtime_ns))
with open(i, "rb") as f:
    f.read()
    eq(os.stat(i).st_atime_ns > 1, True)

claim("readers, writers and chmod beside one another: never a wrong byte, nor any errno but ETXTBSY")
j = sealed("j")
wrong = []


def reader(name):
    for _ in range(60):
        try:
            with open(name, "rb") as f:
                m = mmap.mmap(f.fileno(), SIZE, prot=mmap.PROT_READ)
                if f.read() != TEXT or m[:] != TEXT:
                    wrong.append("bytes")
                m.close()
        except OSError as e:
            wrong.append(e)


def writer(name):
    for k in range(60):
        try:
            os.chmod(name, 0o644 if k % 2 else 0o444)
            fd = os.open(name, os.O_RDWR)
            os.pwrite(fd, TEXT[1000:1010], 1000)
            os.close(fd)
        except OSError as e:
            if e.errno != errno.ETXTBSY:
                wrong.append(e)


threads = [threading.Thread(target=reader, args=[j]) for _ in range(3)]
threads.append(threading.Thread(target=writer, args=[j]))
for t in threads:
    t.start()
for t in threads:
    t.join()
eq(wrong, [])
natives(0)
for name in os.listdir(main):
    os.unlink(f"{main}/{name}")
