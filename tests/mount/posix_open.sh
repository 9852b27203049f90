#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# open(2) with all its flags, and reads and writes at their edges, as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "every flag on every type" <<'END'
def fresh():
    make("f", b"0123456789"); os.chmod("f", 0o644)
    for n, g in (("d", os.mkdir), ("p", os.mkfifo), ("l", lambda n: os.symlink("f", n)),
                 ("ld", lambda n: os.symlink("d", n)),
                 ("dangling", lambda n: os.symlink("none", n))):
        if not os.path.lexists(n): g(n)
    if os.path.exists("none"): os.unlink("none")
    if os.path.exists("new"): os.unlink("new")
names = [n for n in dir(os) if n.startswith("O_")]
flags = {"RD": O_RDONLY, "WR": O_WRONLY, "RW": O_RDWR, "3": 3}
extra = {"": 0, "CREAT": O_CREAT, "EXCL": O_CREAT | O_EXCL, "excl alone": O_EXCL,
         "TRUNC": O_TRUNC, "CREAT|TRUNC": O_CREAT | O_TRUNC, "APPEND": O_APPEND,
         "APPEND|TRUNC": O_APPEND | O_TRUNC, "DIR": O_DIRECTORY,
         "DIR|CREAT": O_DIRECTORY | O_CREAT, "NOFOLLOW": O_NOFOLLOW,
         "NOFOLLOW|CREAT": O_NOFOLLOW | O_CREAT, "PATH": O_PATH, "PATH|CREAT": O_PATH | O_CREAT,
         "PATH|NOFOLLOW": O_PATH | O_NOFOLLOW, "PATH|DIR": O_PATH | O_DIRECTORY, "SYNC": O_SYNC,
         "DSYNC": O_DSYNC, "NOATIME": O_NOATIME, "NONBLOCK": O_NONBLOCK, "NOCTTY": O_NOCTTY,
         "CLOEXEC": O_CLOEXEC, "ASYNC": O_ASYNC}
for k, v in extra.items():
    for a, b in flags.items():
        for p in ("f", "d", "p", "l", "ld", "dangling", "none", "new", "f/", "d/", "l/", "new/",
                  "."):
            fresh()
            fd, how = outcome(os.open, p, v | b | O_NONBLOCK if p == "p" else v | b, 0o640)
            s = os.fstat(fd) if fd is not None else None
            print(a, k, p, how, (stat.filemode(s.st_mode),
                                 s.st_size if stat.S_ISREG(s.st_mode) else "-") if s else "",
                  os.path.getsize("f"), os.path.exists("none"), os.path.exists("new"),
                  hex(fcntl.fcntl(fd, fcntl.F_GETFL)) if s else "")
            if s: os.close(fd)
END

same "what each kind of descriptor may do" <<'END'
make("f", b"0123456789"); os.mkdir("d")
for name, fd in (("RD", os.open("f", O_RDONLY)), ("WR", os.open("f", O_WRONLY)),
                 ("RW", os.open("f", O_RDWR)), ("AP", os.open("f", O_WRONLY | O_APPEND)),
                 ("PATH", os.open("f", O_PATH)), ("DIR", os.open("d", O_RDONLY)),
                 ("DPATH", os.open("d", O_PATH))):
    for what, g in (("read", lambda: os.read(fd, 3)), ("pread", lambda: os.pread(fd, 3, 1)),
                    ("write", lambda: os.write(fd, b"ab")),
                    ("pwrite", lambda: os.pwrite(fd, b"z", 0)),
                    ("lseek", lambda: os.lseek(fd, 5, 0)),
                    ("trunc", lambda: os.ftruncate(fd, 10)),
                    ("fchmod", lambda: os.fchmod(fd, 0o755)),
                    ("fchown", lambda: os.fchown(fd, -1, -1)), ("fsync", lambda: os.fsync(fd)),
                    ("fdatasync", lambda: os.fdatasync(fd)), ("futimens", lambda: os.utime(fd)),
                    ("mmap", lambda: mmap.mmap(fd, 4).close()),
                    ("mmapro", lambda: mmap.mmap(fd, 4, prot=mmap.PROT_READ).close()),
                    ("flock", lambda: fcntl.flock(fd, fcntl.LOCK_SH)),
                    ("getdents", lambda: ls(fd)),
                    ("fallocate", lambda: c.fallocate(fd, 1, 0, 10)),
                    ("fadvise", lambda: os.posix_fadvise(fd, 0, 0, 0)),
                    ("fgetxattr", lambda: os.getxattr(fd, "user.n")),
                    ("fchdir", lambda: (os.fchdir(fd), os.chdir("..")) and None),
                    ("dup", lambda: os.close(os.dup(fd))),
                    ("readahead", lambda: c.readahead(fd, 0, 10)),
                    ("sync_file_range", lambda: c.sync_file_range(fd, 0, 0, 7)),
                    ("syncfs", lambda: c.syncfs(fd)),
                    ("fstatvfs", lambda: os.fstatvfs(fd).f_namemax)):
        r, how = outcome(g)
        print(name, what, how, "" if r is None else r, end="; ")
    print()
print(content("f"))
END

same "opening by permission: owner, group, others, root; what is made with mode 0" <<'END'
os.chmod(".", 0o777)
for mode in 0, 0o400, 0o200, 0o600, 0o040, 0o004, 0o002, 0o444, 0o222, 0o666, 0o111:
    for owner in 0, NOBODY:
        n = f"{mode:o}-{owner}"
        make(n, b"x", mode); os.chown(n, owner, owner)
        f = lambda: print(n, *(outcome(os.open, n, fl)[1]
                               for fl in (O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC,
                                          O_RDONLY | O_NOATIME, O_CREAT | O_WRONLY, 3, O_PATH)))
        as_user(NOBODY, f)
        f()
def g():
    fd = do(os.open, "made", O_CREAT | O_EXCL | O_RDWR, 0)
    print(os.write(fd, b"still"), os.pread(fd, 9, 0)); do(os.open, "made", O_RDONLY)
    do(os.open, "made", O_RDWR | O_CREAT, 0o666); show("made")
as_user(NOBODY, g)
END

same "sticky directories of others: O_CREAT as fs.protected_regular says" <<'END'
os.chmod(".", 0o1777); make("f", b"x", 0o666); os.mkfifo("p"); os.chmod("p", 0o666)
make("mine", b"y", 0o666); os.chown("mine", NOBODY, NOBODY)
as_user(1000, lambda: [do(os.open, n, fl | O_NONBLOCK) for n in ("f", "p", "mine")
                       for fl in (O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_TRUNC)])
do(os.open, "mine", O_RDWR | O_CREAT)
END

same "reading: at the end, over it, nothing, at strange offsets" <<'END'
make("f", b"0123456789")
fd = os.open("f", O_RDWR)
for n, off in (3, 0), (0, 0), (99, 5), (5, 10), (5, 11), (5, 1 << 40), (5, 1 << 43), (1,
        -1), (0, -1), (0, 100):
    do(os.pread, fd, n, off)
for off, how in (0, 2), (5, 2), (-3, 2), (-11, 2), (-1, 0), (1 << 40, 0), (1 << 43, 0), (1,
        1), (3, 0), (0, 1), (-2, 1), (0, 9):
    do(os.lseek, fd, off, how)
os.lseek(fd, 8, 0); do(os.read, fd, 99); do(os.read, fd, 99); do(os.read, fd, 0)
os.lseek(fd, 50, 0); do(os.read, fd, 9); do(os.write, fd, b"x"); show(fd)
print(content("f"))
do(lambda: os.preadv(fd, [bytearray(0), bytearray(3), bytearray(0)], 1))
do(lambda: os.preadv(fd, [], 0)); do(lambda: os.pwritev(fd, [b"", b"ab", b"", b"c"], 1))
print(content("f"))
END

same "a bad buffer is EFAULT and harms nothing" <<'END'
make("f", b"0123456789")
fd = os.open("f", O_RDWR)
for n in 1, 5000:
    do(c.pread, fd, ctypes.c_void_p(8), ctypes.c_size_t(n), 0)
    do(c.pwrite, fd, ctypes.c_void_p(8), ctypes.c_size_t(n), 0)
print(content("f")); show(fd)
END

same "writing: beyond the end, nothing, and to the limits" <<'END'
fd = os.open("f", O_RDWR | O_CREAT)
for n, off in (3, 0), (0, 100), (2, 10), (1, 70000), (1, 140000), (0, 0), (5, 139998):
    do(os.pwrite, fd, b"x" * n, off); show(fd)
print(hashlib.md5(content("f")).hexdigest()); do(os.pwrite, fd, b"x", -1)
do(os.pwrite, fd, b"", -1); do(os.pwrite, fd, b"xy", (1 << 63) - 1)
do(os.pwrite, fd, b"x", (1 << 63) - 1); show(fd); do(os.write, fd, b""); show(fd)
END

same "RLIMIT_FSIZE: a short write, then EFBIG and SIGXFSZ" <<'END'
signal.signal(signal.SIGXFSZ, lambda *a: print("SIGXFSZ"))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
fd = os.open("f", O_RDWR | O_CREAT)
do(os.write, fd, b"x" * 90); do(os.write, fd, b"y" * 90); show(fd); do(os.write, fd, b"z")
do(os.ftruncate, fd, 100); do(os.ftruncate, fd, 101); do(os.truncate, "f", 200)
do(os.pwrite, fd, b"x", 100); do(os.pwrite, fd, b"x", 99); do(c.fallocate, fd, 0, 0, 200)
show(fd); do(os.ftruncate, fd, 10); show(fd)
do(os.copy_file_range, os.open("f", O_RDONLY), fd, 10, 0, 95); show(fd)
END

same "O_APPEND: every write at the end, pwrite too; RWF_APPEND and other flags" <<'END'
make("f", b"start.")
a, b = os.open("f", O_RDWR | O_APPEND), os.open("f", O_RDWR | O_APPEND)
for i in range(5):
    os.write(a, b"a%d" % i); os.write(b, b"b%d" % i)
do(os.pwrite, a, b"P", 0); os.lseek(b, 0, 0); do(os.write, b, b"L"); do(os.lseek, b, 0, 1)
print(content("f"))
w = os.open("f", O_RDWR)
do(os.ftruncate, a, 3)
os.write(a, b"#")
print(content("f"))
fcntl.fcntl(w, fcntl.F_SETFL, O_APPEND)
os.write(w, b"late"); print(content("f"))
fcntl.fcntl(w, fcntl.F_SETFL, 0)
os.write(w, b"?"); print(content("f"))
for flag in 0, os.RWF_DSYNC, os.RWF_SYNC, os.RWF_APPEND, os.RWF_HIPRI:
    do(os.pwritev, w, [b"v"], 0, flag)
print(content("f")); do(os.preadv, w, [bytearray(3)], 0, os.RWF_HIPRI)
do(os.pwritev, w, [b"v"], 0, 0x1000000); do(os.pwritev, w, [b"-1"], -1, 0)
print(content("f"))
END

same "openat2 with what it may resolve" <<'END'
os.makedirs("d/e"); make("d/f", b"x"); os.symlink("../d/f", "d/out")
os.symlink("f", "d/in"); os.symlink("/etc", "d/abs")
fd = os.open("d", O_PATH)
for resolve in 0, 1, 2, 4, 8, 16, 32:
    for p in "f", "e/../f", "../d/f", "out", "in", "abs", "none", "/etc/passwd", "..":
        if resolve == 32 and os.path.islink(os.path.join("d", p)):
            continue # EAGAIN as long as reading a link would move its access time
        how = struct.pack("QQQ", O_RDONLY, 0, resolve)
        print(resolve, p, outcome(c.syscall, 437, fd, p, how, ctypes.c_size_t(24))[1])
END

same "several writers append and nothing is lost or torn" <<'END'
def writer(k):
    fd = os.open("f", O_WRONLY | O_APPEND | O_CREAT)
    for i in range(200): os.write(fd, b"%d" % k * (50 + 37 * k + i % 7) + b"\n")
pids = [child(writer, k) for k in range(4)]
for p in pids: ended(p)
lines = content("f").split(b"\n")
print(len(lines), all(len(set(l)) <= 1 for l in lines))
print(sorted((l[:1], len(l)) for l in lines)[::97])
END

same "sendfile, splice, tee, vmsplice and copy_file_range, in and out" <<'END'
make("a", bytes(range(256)) * 400)
a = os.open("a", O_RDONLY)
b = os.open("b", O_RDWR | O_CREAT)
do(os.sendfile, b, a, 0, 70000); do(os.sendfile, b, a, 70000, 99999)
print(content("a") == content("b"))
r, w = os.pipe()
do(os.splice, a, w, 5000, 10); print(hashlib.md5(os.read(r, 9999)).hexdigest())
os.write(w, b"in the pipe"); do(os.splice, r, b, 11, None, 3); print(content("b")[:20])
os.lseek(a, 0, 0); do(os.copy_file_range, a, b, 1000, 50, 7)
do(os.copy_file_range, a, b, 1 << 20, 0, 0); do(os.copy_file_range, a, b, 10, 102400, 0)
do(os.copy_file_range, a, a, 10, 0, 5)
do(os.copy_file_range, a, b, 10, 0, 1 << 40) if False else None
s = os.open("a", O_RDWR)
do(os.copy_file_range, s, s, 100, 0, 50); do(os.copy_file_range, s, s, 100, 0, 5000)
do(os.copy_file_range, b, a, 10); do(os.copy_file_range, os.open(".", O_RDONLY), b, 10)
print(hashlib.md5(content("a")).hexdigest(), hashlib.md5(content("b")).hexdigest())
p = os.open("b", O_WRONLY | O_APPEND)
do(os.copy_file_range, s, p, 10); do(os.sendfile, p, s, 0, 10)
n = os.open("/dev/null", O_RDWR)
do(os.copy_file_range, s, n, 10); do(os.copy_file_range, n, b, 10)
c2 = os.open("c", O_RDWR | O_CREAT)
do(os.copy_file_range, s, c2, 1 << 30, 0, 0); print(content("c") == content("a"))
do(os.copy_file_range, s, c2, 100000, 1, 200000); show(c2)
END

same "O_DIRECT, aligned: what is written is read, whichever way" <<'END'
m = mmap.mmap(-1, 65536)
m[:] = bytes(range(256)) * 256
d = do(os.open, "f", O_RDWR | O_CREAT | O_DIRECT)
w = os.open("f", O_RDWR)
do(lambda: os.pwritev(d, [m], 0)); print(content("f") == m[:])
os.pwrite(w, b"cached", 4096)
b = mmap.mmap(-1, 8192)
do(lambda: os.preadv(d, [b], 4096)); print(b[:6]); do(lambda: os.preadv(d, [b], 61440))
do(lambda: os.preadv(d, [b], 65536)); do(lambda: os.preadv(d, [b], 1 << 30))
do(lambda: os.pwritev(d, [b], 131072)); show(d); print(os.pread(w, 10, 100000))
os.ftruncate(w, 5000); do(lambda: os.preadv(d, [b], 4096)); show(d)
mm = mmap.mmap(w, 4096)
mm[0:3] = b"map"
do(lambda: os.preadv(d, [b], 0)); print(b[:3])
do(lambda: os.pwritev(d, [memoryview(m)[:4096]], 0)); print(mm[:4])
f = fcntl.fcntl(d, fcntl.F_GETFL) & ~O_DIRECT
do(fcntl.fcntl, d, fcntl.F_SETFL, f); do(os.pread, d, 3, 1)
do(fcntl.fcntl, d, fcntl.F_SETFL, f | O_DIRECT)
END

differs "O_DIRECT, not aligned" \
    "there are no blocks to be aligned to: it is done, as on NFS" \
    "pread(4, 3, 1): EINVAL
pwrite(4, b'xyz', 1): EINVAL" "pread(4, 3, 1): OK b'123'
pwrite(4, b'xyz', 1): OK 3" <<'END'
make("f", b"0123456789")
d = os.open("f", O_RDWR | O_DIRECT)
do(os.pread, d, 3, 1); do(os.pwrite, d, b"xyz", 1)
END

same "executing: what is open for writing is busy, what runs is not written" <<'END'
import shutil
shutil.copy("/bin/sleep", "s")
os.chmod("s", 0o755)
fd = os.open("s", O_WRONLY)
do(lambda: subprocess.run(["./s", "0"])); os.close(fd)
do(lambda: subprocess.run(["./s", "0"]).returncode)
p = subprocess.Popen(["./s", "100"])
do(os.open, "s", O_WRONLY); do(os.open, "s", O_RDWR | O_TRUNC); do(os.truncate, "s", 0)
do(os.chmod, "s", 0o700); do(os.unlink, "s"); print(p.poll())
p.kill()
p.wait()
make("script", b"#!/bin/sh\nexit 3\n", 0o755)
do(lambda: subprocess.run(["./script"]).returncode); os.chmod("script", 0o644)
do(lambda: subprocess.run(["./script"])); os.mkdir("d"); do(os.execv, "./d", ["d"])
make("empty", b"", 0o755); do(os.execv, "./empty", ["x"])
make("none", b"#!/nowhere/sh\n", 0o755)
do(os.execv, "./none", ["x"])
make("x", b"#!/bin/sh\nexit 4\n", 0o111)
os.chmod(".", 0o755)
as_user(NOBODY, lambda: do(lambda: subprocess.run(["./x"]).returncode))
END

same "descriptor offsets are shared by dup and fork, not by open" <<'END'
make("f", b"0123456789")
a = os.open("f", O_RDONLY)
b = os.dup(a)
k = os.open("f", O_RDONLY)
ended(child(lambda: os.read(a, 3))); print(os.read(a, 2), os.read(b, 2), os.read(k, 2))
END

compared
finish
