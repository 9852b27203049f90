#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Access times under relatime as on ext4: what sets them, and what does not. Times of birth.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare
"$TALLY" -C "$M" set flush_interval 1h >/dev/null # a read in the instant of a flush moves no access time

same "reading sets it when it is not newer than the last change, and then not again" <<'END'
make("f", b"x" * 10000)
tick()
for what, act in (("read", lambda: content("f")), ("again", lambda: content("f")),
                  ("chmod", lambda: os.chmod("f", 0o600)),
                  ("read after it", lambda: content("f")), ("again", lambda: content("f")),
                  ("write", lambda: os.pwrite(os.open("f", O_WRONLY), b"y", 0)),
                  ("read after it", lambda: content("f")), ("again", lambda: content("f")),
                  ("truncate", lambda: os.truncate("f", 20)), ("read", lambda: content("f")),
                  ("again", lambda: content("f"))):
    print(what, end=" "); moved(act, "f", of="amc")
END

same "each way of reading" <<'END'
ways = {"read": "os.read(fd, 5)", "pread": "os.pread(fd, 5, 0)", "nothing": "os.read(fd, 0)",
        "preadv": "os.preadv(fd, [bytearray(5)], 9)", "listxattr": "os.listxattr(n)",
        "mmap": "mmap.mmap(fd, 5, prot=mmap.PROT_READ)[0]", "stat": "os.stat(n)",
        "private": "mmap.mmap(fd, 5, flags=mmap.MAP_PRIVATE)[0]", "open": "os.open(n, O_RDWR)",
        "sendfile": "os.sendfile(os.open('/dev/null', O_WRONLY), fd, 0, 5)",
        "splice": "os.splice(fd, os.pipe()[1], 5, 0)", "exec": "subprocess.run(['./' + n])",
        "O_DIRECT": "os.preadv(os.open(n, O_RDONLY | O_DIRECT), [mmap.mmap(-1, 4096)], 0)",
        "O_NOATIME": "os.read(os.open(n, O_RDONLY | O_NOATIME), 5)",
        "flock": "fcntl.flock(fd, fcntl.LOCK_SH)", "lseek": "os.lseek(fd, 0, os.SEEK_DATA)"}
for i, (what, code) in enumerate(ways.items()):
    n = f"f{i}"
    make(n, b"#!/bin/true\n" * 1000, 0o755)
    tick()
    fd = os.open(n, O_RDONLY)
    print(what, end=" "); moved(lambda: eval(code) and None, n, of="amc")
END

differs "reading nothing, at the end of a file; a mapping that nobody touches; copy_file_range" \
    "the kernel's FUSE asks for no bytes then; what is copied by reference is not read" \
    "moved: OK 'f'=a
moved: OK 'g'=a
moved: OK 'h'=a" "moved: OK 'f'=-
moved: OK 'g'=-
moved: OK 'h'=-" <<'END'
for n in "fgh": make(n, b"x")
tick()
f, g, h = (os.open(n, O_RDONLY) for n in "fgh")
moved(lambda: os.pread(f, 5, 1000), "f", of="amc")
moved(lambda: mmap.mmap(g, 1, prot=mmap.PROT_READ), "g", of="amc")
moved(lambda: os.copy_file_range(h, os.open("copy", O_WRONLY | O_CREAT), 9), "h", of="amc")
END

differs "reading what the kernel has cached, by a descriptor from before the last change" \
    "the kernel answers without telling; what is opened after the change is seen" \
    "moved: OK 'f'=a" "moved: OK 'f'=-" <<'END'
make("f", b"x")
fd = os.open("f", O_RDWR)
os.read(fd, 1); os.pwrite(fd, b"y", 0)
tick()
moved(lambda: os.pread(fd, 1, 0), "f", of="amc")
END

same "directories, symlinks, fifos" <<'END'
os.mkdir("d"); make("d/f"); os.symlink("d", "l"); os.mkfifo("p")
tick()
for what, act in (("list", lambda: ls("d")), ("again", lambda: ls("d")),
                  ("lookup", lambda: os.stat("d/f")), ("readlink", lambda: os.readlink("l")),
                  ("again", lambda: os.readlink("l")), ("make", lambda: make("d/g")),
                  ("list", lambda: ls("d")), ("again", lambda: ls("d")),
                  ("chmod", lambda: os.chmod("d", 0o700)),
                  ("list", lambda: ls("d")), ("again", lambda: ls("d")),
                  ("older", lambda: os.utime("d", (5, os.stat("d").st_mtime))),
                  ("list", lambda: ls("d")), ("again", lambda: ls("d")),
                  ("opendir", lambda: os.close(os.open("d", O_RDONLY))),
                  ("chdir", lambda: (os.chdir("d"), os.chdir(".."))),
                  ("glob", lambda: list(os.scandir(".")))):
    print(what, end=" "); moved(act, "d", "l", "d/f", ".", of="amc")
END

same "following a symlink" <<'END'
make("f", b"x"); os.symlink("f", "l")
tick()
moved(lambda: content("l"), "l", "f", of="amc"); os.symlink("f", "k")
tick()
moved(lambda: os.stat("k"), "k", of="amc")
END

same "a time far in the past is renewed after a day, one in the future stays" <<'END'
make("f", b"x")
fd = os.open("f", O_RDONLY)
now = time.time()
for a, m in ((now - 3600, now - 7200), (now - 90000, now - 99999), (now + 1000, now), (0, 0),
             (5, 4), (4, 5)):
    os.utime("f", (a, m))
    s = os.stat("f")
    content("f")
    t = os.stat("f")
    print(t.st_atime_ns != s.st_atime_ns, abs(t.st_atime - time.time()) < 60,
          t.st_mtime_ns == s.st_mtime_ns, t.st_ctime_ns == s.st_ctime_ns)
END

same "it lasts: over close, and what others see" <<'END'
make("f", b"x"); os.utime("f", ns=(5, 6))
content("f")
a = os.stat("f").st_atime_ns
print(a > 10**18)
content("f")
print(os.stat("f").st_atime_ns == a); os.link("f", "g")
print(os.stat("g").st_atime_ns == a); os.rename("g", "h")
print(os.stat("h").st_atime_ns == a)
END

same "statx gives the time of birth" <<'END'
class Statx(ctypes.Structure):
    _fields_ = [("mask", ctypes.c_uint32), ("pad", ctypes.c_uint8 * 76),
                ("btime", ctypes.c_int64), ("bnsec", ctypes.c_uint32),
                ("rest", ctypes.c_uint8 * 168)]
def birth(p):
    s = Statx()
    c.statx(AT_FDCWD, p, AT_SYMLINK_NOFOLLOW, 0xfff, ctypes.byref(s))
    return s.btime * 10**9 + s.bnsec if s.mask & 0x800 else None
os.mknod("f"); os.mkdir("d"); os.symlink("x", "l")
print(*(birth(p) is not None and birth(p) == os.lstat(p).st_ctime_ns for p in "fdl"))
b = birth("f")
tick()
make("f", b"x"); os.utime("f", (1, 2)); os.rename("f", "g"); os.link("g", "h")
print(birth("g") == b, birth("h") == b)
END

compared
finish
