#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which times of what move at which call: mtime and ctime exactly as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "making and removing names" <<'END'
make("f"); os.mkdir("d"); os.mkdir("e")
for what, act in (("creat", lambda: os.close(os.open("d/f", O_CREAT | O_EXCL))),
                  ("open", lambda: os.close(os.open("d/f", O_CREAT))),
                  ("mkdir", lambda: os.mkdir("d/s")), ("mkfifo", lambda: os.mkfifo("d/p")),
                  ("symlink", lambda: os.symlink("x", "d/l")),
                  ("link", lambda: os.link("f", "d/h")), ("unlink h", lambda: os.unlink("d/h")),
                  ("exists", lambda: os.mkdir("d/s")), ("in s", lambda: make("d/s/x")),
                  ("not empty", lambda: os.rmdir("d/s")), ("rm x", lambda: os.unlink("d/s/x")),
                  ("rmdir", lambda: os.rmdir("d/s")), ("rm l", lambda: os.unlink("d/l")),
                  ("none", lambda: os.unlink("d/none")), ("lookup", lambda: os.stat("d/f")),
                  ("bind", lambda: socket.socket(socket.AF_UNIX).bind("d/sock"))):
    print(what, end=" "); moved(act, ".", "d", "f")
s = os.open("d/f", O_RDONLY)
moved(lambda: os.unlink("d/f"), s, "d"); os.mknod("new")
a = os.stat("new")
print(a.st_mtime_ns == a.st_ctime_ns == a.st_atime_ns)
END

claim "times that 64 bits of nanoseconds do not hold are the nearest, also when the kernel has forgotten them"
python3 - "$M/main" <<"END"
import ctypes, os, sys
os.chdir(sys.argv[1])
open("far", "w").close()
least, most = -1 << 63, (1 << 63) - 1
for asked in (most, most + 1, 1 << 64, 253402300799 * 10**9, least, least - 1, -14831769600 * 10**9, -1, -10**9):
    os.utime("far", ns=(asked, asked))
    for forget in (False, True):
        if forget:
            with open("/proc/sys/vm/drop_caches", "w") as f:
                f.write("2")
        st = os.stat("far")
        want = min(max(asked, least), most)
        assert (st.st_atime_ns, st.st_mtime_ns) == (want, want), (asked, st.st_atime_ns, st.st_mtime_ns)
    open("far").read()
END

same "writing and truncating" <<'END'
make("f", b"0123456789")
fd = os.open("f", O_RDWR)
ap = os.open("f", O_WRONLY | O_APPEND)
m = mmap.mmap(-1, 4096)
dr = os.open("f", O_RDWR | O_DIRECT)
for what, act in (("write", lambda: os.write(fd, b"x")),
                  ("same bytes", lambda: os.pwrite(fd, b"x", 0)),
                  ("nothing", lambda: os.write(fd, b"")),
                  ("append", lambda: os.write(ap, b"y")),
                  ("beyond", lambda: os.pwrite(fd, b"z", 50)),
                  ("direct", lambda: os.pwritev(dr, [m], 0)),
                  ("truncate", lambda: os.truncate("f", 5)),
                  ("same size", lambda: os.truncate("f", 5)),
                  ("longer", lambda: os.truncate("f", 9)),
                  ("ftruncate", lambda: os.ftruncate(fd, 3)),
                  ("fsame", lambda: os.ftruncate(fd, 3)),
                  ("O_TRUNC", lambda: os.close(os.open("f", O_WRONLY | O_TRUNC))),
                  ("O_TRUNC of nothing", lambda: os.close(os.open("f", O_WRONLY | O_TRUNC))),
                  ("to nothing", lambda: os.truncate("f", 0)),
                  ("open for writing", lambda: os.close(os.open("f", O_WRONLY))),
                  ("O_CREAT", lambda: os.close(os.open("f", O_WRONLY | O_CREAT))),
                  ("fsync", lambda: os.fsync(fd)), ("refused", lambda: os.truncate("f", -1))):
    print(what, end=" "); moved(act, "f", ".")
make("g", b"0123456789" * 1000)
g = os.open("g", O_RDWR)
r, w = os.pipe()
os.write(w, b"pipe")
for what, act in (("copy_file_range", lambda: os.copy_file_range(g, fd, 100, 0, 0)),
                  ("of nothing", lambda: os.copy_file_range(g, fd, 0, 0, 0)),
                  ("at the end", lambda: os.copy_file_range(g, fd, 10, 10000, 0)),
                  ("sendfile", lambda: os.sendfile(fd, g, 0, 10)),
                  ("splice", lambda: os.splice(r, fd, 4)),
                  ("whole", lambda: os.copy_file_range(g, os.open("whole", O_RDWR | O_CREAT),
        1 << 20))):
    print(what, end=" "); moved(act, "f", "g", ".")
END

same "changing attributes" <<'END'
make("f"); os.mkdir("d"); os.symlink("f", "l"); os.mkfifo("p")
for p in "f", "d", "p":
    for what, act in (("chmod", lambda: os.chmod(p, 0o700)),
                      ("the same", lambda: os.chmod(p, 0o700)),
                      ("chown", lambda: os.chown(p, 1, 2)),
                      ("the same", lambda: os.chown(p, 1, 2)),
                      ("to nobody", lambda: os.chown(p, -1, -1)),
                      ("utime", lambda: os.utime(p, (1, 2))),
                      ("utime now", lambda: os.utime(p))):
        print(p, what, end=" "); moved(act, p, ".")
moved(lambda: os.lchown("l", 1, 2), "l", "f")
moved(lambda: os.utime("l", (3, 4), follow_symlinks=False), "l", "f")
moved(lambda: os.chmod("l", 0o640), "l", "f")
END

same "allocating and punching" <<'END'
make("f", b"x" * 10000)
fd = os.open("f", O_RDWR)
KEEP, PUNCH, ZERO = 1, 2, 16
for mode, at, n in ((0, 0, 5000), (0, 0, 20000), (KEEP, 0, 50000), (PUNCH | KEEP, 4096, 4096),
                    (PUNCH | KEEP, 1 << 20, 4096), (ZERO, 0, 100), (ZERO | KEEP, 0, 1 << 17)):
    print(mode, at, n, end=" "); moved(lambda: c.fallocate(fd, mode, at, n), "f")
    show(fd)
END

same "extended attributes" <<'END'
make("f")
for code in ("os.setxattr('f', 'user.a', b'1')", "os.setxattr('f', 'user.a', b'1')",
             "os.setxattr('f', 'user.a', b'2')", "os.getxattr('f', 'user.a')",
             "os.removexattr('f', 'user.a')", "os.removexattr('f', 'user.a')"):
    print(code, end=" "); moved(lambda: eval(code), "f", ".")
END

same "what moves no time: opening, reading, locking, statting" <<'END'
make("f", b"x"); os.mkdir("d"); os.symlink("f", "l"); os.mkfifo("p")
fd = os.open("f", O_RDWR)
for what, act in (("read", lambda: content("f")), ("list", lambda: ls("d")),
                  ("readlink", lambda: os.readlink("l")), ("stat", lambda: os.stat("l")),
                  ("access", lambda: os.access("f", 7)), ("flock", lambda: fcntl.flock(fd, 2)),
                  ("lseek", lambda: os.lseek(fd, 5, 0)), ("statvfs", lambda: os.statvfs("f")),
                  ("mmap", lambda: mmap.mmap(fd, 1).close()),
                  ("fifo", lambda: os.write(os.open("p", O_RDWR), b"x") and None),
                  ("chdir", lambda: (os.chdir("d"), os.chdir(".."))),
                  ("getxattr", lambda: os.getxattr("f", "user.none")),
                  ("listxattr", lambda: os.listxattr("f"))):
    print(what, end=" "); moved(act, "f", "d", "l", ".")
END

same "what is written later is not earlier" <<'END'
last, bad = 0, 0
for i in range(200):
    make(f"{i}", b"x")
    bad += os.stat(f"{i}").st_mtime_ns < last
    last = os.stat(f"{i}").st_mtime_ns
print(bad, abs(time.time() - last / 1e9) < 60)
END

same "a time set by utimensat stays over close, fsync and later reads" <<'END'
make("f")
fd = os.open("f", O_RDWR)
os.write(fd, b"x" * 10000); os.utime(fd, ns=(5, 7)); os.close(fd)
print(os.stat("f").st_mtime_ns); os.fsync(os.open("f", O_RDONLY))
content("f")
print(os.stat("f").st_mtime_ns)
m = mmap.mmap(os.open("f", O_RDWR), 10)
m[0] = 65
m.flush()
os.utime("f", ns=(5, 8))
del m
print(os.stat("f").st_mtime_ns)
END

compared
finish
