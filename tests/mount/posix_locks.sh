#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Locks, leases and notices between processes, as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "flock: shared, exclusive, by descriptor, over dup, fork and close" <<'END'
make("f")
L = fcntl
a, b, k = (os.open("f", fl) for fl in (O_RDONLY, O_WRONLY, O_RDWR))
for x in L.LOCK_SH, L.LOCK_EX, L.LOCK_UN:
    for y in L.LOCK_SH, L.LOCK_EX, L.LOCK_UN:
        do(L.flock, a, x | L.LOCK_NB); do(L.flock, b, y | L.LOCK_NB)
        do(L.flock, k, x | L.LOCK_NB)
        for fd in a, b, k: L.flock(fd, L.LOCK_UN)
L.flock(a, L.LOCK_EX)
d = os.dup(a)
os.close(a); do(L.flock, b, L.LOCK_SH | L.LOCK_NB)
ended(child(lambda: do(L.flock, d, L.LOCK_SH))); do(L.flock, b, L.LOCK_SH | L.LOCK_NB)
do(L.flock, k, L.LOCK_EX | L.LOCK_NB); os.close(d); do(L.flock, k, L.LOCK_EX | L.LOCK_NB)
os.close(b); do(L.flock, k, L.LOCK_EX | L.LOCK_NB); do(L.flock, k, 99)
dirfd = os.open(".", O_RDONLY)
do(L.flock, dirfd, L.LOCK_EX | L.LOCK_NB)
ended(child(lambda: do(L.flock, os.open(".", O_RDONLY), L.LOCK_SH | L.LOCK_NB)))
END

same "flock goes with the process, and its file may go meanwhile" <<'END'
make("f")
r, w = os.pipe()
def holder():
    fcntl.flock(os.open("f", O_RDWR), fcntl.LOCK_EX)
    os.write(w, b"1")
    signal.pause()
pid = child(holder)
os.read(r, 1)
fd = os.open("f", O_RDWR)
do(fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB); os.kill(pid, 9); os.waitpid(pid, 0)
do(fcntl.flock, fd, fcntl.LOCK_EX); os.unlink("f"); make("f")
other = os.open("f", O_RDWR)
do(fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)
END

same "fcntl locks: ranges, types, who holds them, EAGAIN, EACCES" <<'END'
make("f", b"x" * 100)
fd = os.open("f", O_RDWR)
F = fcntl
def flock(kind, start=0, length=0, whence=0):
    return struct.pack("hhqqi4x", kind, whence, start, length, 0)
def ask(f, kind, start, length):
    r = struct.unpack("hhqqi4x", F.fcntl(f, F.F_GETLK, flock(kind, start, length)))
    print("held", r[:4], r[4] == os.getppid(), r[4] > 0)
def other(*ranges):
    f = os.open("f", O_RDWR)
    for kind, s, n in ranges:
        do(lambda: F.fcntl(f, F.F_SETLK, flock(kind, s, n)) and None)
        ask(f, kind, s, n)
for kind in F.F_RDLCK, F.F_WRLCK:
    do(lambda: F.fcntl(fd, F.F_SETLK, flock(kind, 10, 20)) and None)
    ended(child(other, *[(k, s, n) for k in (F.F_RDLCK, F.F_WRLCK) for s,
                         n in ((0, 10), (0, 11), (10, 1), (29, 1), (30, 0), (5, 0), (0, 0))]))
    do(lambda: F.fcntl(fd, F.F_SETLK, flock(F.F_UNLCK, 15, 5)) and None)
    ended(child(other, (F.F_WRLCK, 15, 5), (F.F_WRLCK, 14, 1), (F.F_WRLCK, 20, 1)))
os.close(os.dup(fd)); ended(child(other, (F.F_WRLCK, 0, 0)))
for s, n, w in (-1, 1, 0), (50, -10, 0), (5, -10, 0), (0, 0, 9), (-5, 2, 2), ((1 << 63) - 1, 0,
        0), ((1 << 63) - 1, 2, 0):
    do(lambda: F.fcntl(fd, F.F_SETLK, flock(F.F_WRLCK, s, n, w)) and None)
do(lambda: F.fcntl(os.open("f", O_RDONLY), F.F_SETLK, flock(F.F_WRLCK)) and None)
do(lambda: F.fcntl(os.open("f", O_WRONLY), F.F_SETLK, flock(F.F_RDLCK)) and None)
do(lambda: F.fcntl(os.open("f", O_PATH), F.F_SETLK, flock(F.F_RDLCK)) and None)
END

same "fcntl locks wait, end with any close of the file, and are not the child's" <<'END'
make("f", b"x")
a = os.open("f", O_RDWR)
r, w = os.pipe()
fcntl.lockf(a, fcntl.LOCK_EX)
def waits():
    f = os.open("f", O_RDWR)
    do(fcntl.lockf, f, fcntl.LOCK_EX | fcntl.LOCK_NB); os.write(w, b"1")
    fcntl.lockf(f, fcntl.LOCK_EX)
    print("got it", content("f"))
pid = child(waits)
os.read(r, 1); os.pwrite(a, b"y", 0); os.close(os.open("f", O_RDONLY)); ended(pid)
fcntl.lockf(a, fcntl.LOCK_EX)
ended(child(lambda: do(fcntl.lockf, a, fcntl.LOCK_EX | fcntl.LOCK_NB)))
do(fcntl.lockf, a, fcntl.LOCK_UN)
END

same "a deadlock of two is EDEADLK" <<'END'
make("f", b"xx")
fd = os.open("f", O_RDWR)
r, w = os.pipe()
r2, w2 = os.pipe()
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
def other():
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, 1)
    os.write(w, b"1")
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
    print("the other has both")
pid = child(other)
os.read(r, 1)
while not any("->" in line and f" {pid} " in line for line in open("/proc/locks")):
    time.sleep(0.001)  # until it waits for the lock
do(fcntl.lockf, fd, fcntl.LOCK_EX, 1, 1)
fcntl.lockf(fd, fcntl.LOCK_UN)
ended(pid)
END

same "OFD locks belong to the open file" <<'END'
make("f", b"x" * 10)
a, b = os.open("f", O_RDWR), os.open("f", O_RDWR)
GET, SET, WAIT = 36, 37, 38
def lk(kind, s=0, n=0): return struct.pack("hhqqi4x", kind, 0, s, n, 0)
do(lambda: fcntl.fcntl(a, SET, lk(fcntl.F_WRLCK, 0, 5)) and None)
do(lambda: fcntl.fcntl(b, SET, lk(fcntl.F_WRLCK, 4, 5)) and None)
do(lambda: fcntl.fcntl(b, SET, lk(fcntl.F_WRLCK, 5, 5)) and None)
print(struct.unpack("hhqqi4x", fcntl.fcntl(b, GET, lk(fcntl.F_RDLCK))))
os.close(os.open("f", O_RDWR))
do(lambda: fcntl.fcntl(b, SET, lk(fcntl.F_RDLCK, 0, 1)) and None)
d = os.dup(a)
os.close(a); do(lambda: fcntl.fcntl(b, SET, lk(fcntl.F_RDLCK, 0, 1)) and None)
os.close(d); do(lambda: fcntl.fcntl(b, SET, lk(fcntl.F_RDLCK, 0, 1)) and None)
do(fcntl.lockf, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
END

same "flock and fcntl do not see each other" <<'END'
make("f")
a, b = os.open("f", O_RDWR), os.open("f", O_RDWR)
fcntl.flock(a, fcntl.LOCK_EX)
ended(child(lambda: do(fcntl.lockf, b, fcntl.LOCK_EX | fcntl.LOCK_NB)))
END

same "twenty processes count under a lock" <<'END'
make("n", b"0")
def add(how):
    for i in range(10):
        fd = os.open("n", O_RDWR)
        how(fd, fcntl.LOCK_EX)
        n = int(os.pread(fd, 9, 0)) + 1
        os.pwrite(fd, b"%d" % n, 0); os.close(fd)
for p in [child(add, fcntl.lockf if i % 2 else fcntl.lockf) for i in range(20)]:
    ended(p)
print(content("n"))
for p in [child(add, fcntl.flock) for i in range(20)]: ended(p)
print(content("n"))
END

same "leases: taken, refused, broken" <<'END'
make("f")
signal.signal(signal.SIGIO, lambda *a: print("SIGIO"))
F = fcntl
r = os.open("f", O_RDONLY)
do(F.fcntl, r, F.F_SETLEASE, F.F_RDLCK); do(F.fcntl, r, F.F_GETLEASE)
do(os.open, "f", O_WRONLY | O_NONBLOCK); do(F.fcntl, r, F.F_SETLEASE, F.F_UNLCK)
do(F.fcntl, r, F.F_SETLEASE, F.F_WRLCK); do(F.fcntl, r, F.F_GETLEASE)
do(os.open, "f", O_RDONLY | O_NONBLOCK); do(F.fcntl, r, F.F_SETLEASE, F.F_UNLCK)
w = os.open("f", O_WRONLY)
do(F.fcntl, r, F.F_SETLEASE, F.F_RDLCK); do(F.fcntl, w, F.F_SETLEASE, F.F_WRLCK)
do(F.fcntl, os.open(".", O_RDONLY), F.F_SETLEASE, F.F_RDLCK)
END

same "inotify and dnotify tell what happened" <<'END'
os.mkdir("d"); make("d/f", b"x")
i = c.inotify_init1(0x800)
wd = c.inotify_add_watch(i, "d", 0xfff)
wf = c.inotify_add_watch(i, "d/f", 0xfff)
def events():
    b, how = outcome(os.read, i, 65536)
    while b:
        w, mask, cookie, n = struct.unpack_from("iIII", b)
        print(" ", "df"[w - 1], hex(mask), cookie > 0, b[16:16 + n].rstrip(b"\0"))
        b = b[16 + n:]
    print(how)
for f in (lambda: make("d/g", b"y"), lambda: content("d/f"), lambda: os.chmod("d/f", 0o600),
          lambda: os.rename("d/g", "d/h"), lambda: os.rename("d/h", "d/f"),
          lambda: os.mkdir("d/s"), lambda: os.rmdir("d/s"), lambda: os.link("d/f", "d/k"),
          lambda: os.truncate("d/k", 5), lambda: os.symlink("a", "d/l"),
          lambda: os.unlink("d/l"), lambda: os.utime("d/k"), lambda: ls("d"),
          lambda: os.rename("d/k", "out"), lambda: os.rename("out", "d/in"),
          lambda: [os.unlink("d/" + n) for n in ls("d")], lambda: os.rmdir("d")):
    f()
    events()
os.mkdir("e")
fd = os.open("e", O_RDONLY)
signal.signal(signal.SIGIO, lambda *a: print("dnotify"))
do(fcntl.fcntl, fd, fcntl.F_NOTIFY, fcntl.DN_CREATE); make("e/x")
END

same "inotify sees an unlinked file's end" <<'END'
make("f")
i = c.inotify_init1(0x800)
c.inotify_add_watch(i, "f", 0xfff)
fd = os.open("f", O_RDWR)
os.unlink("f"); os.write(fd, b"x"); os.close(fd)
b = os.read(i, 9999)
print([hex(struct.unpack_from("iI", b, k)[1]) for k in range(0, len(b), 16)])
END

compared
finish
