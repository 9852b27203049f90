#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# chmod, chown, truncate and utimensat as on ext4: values, who may, what they clear.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "every mode bit, on files, directories, fifos and through links" <<'END'
make("f"); os.mkdir("d"); os.mkfifo("p"); os.symlink("f", "l")
os.symlink("none", "dangling")
for mode in 0, 0o777, 0o7777, 0o4755, 0o2755, 0o2745, 0o1644, 0o100644, 0o170000, 0o37777:
    for p in "f", "d", "p", "l", "dangling": do(os.chmod, p, mode)
    show("f", "d", "p", "l")
fd = os.open("f", O_RDONLY)
do(os.fchmod, fd, 0o604); show("f")
path = os.open("f", O_PATH)
do(os.fchmod, path, 0o600); do(os.chmod, f"/proc/self/fd/{path}", 0o611); show("f")
do(c.fchmodat, AT_FDCWD, "l", 0o600, AT_SYMLINK_NOFOLLOW); show("l", "f")
END

same "umask on everything that is made" <<'END'
for mask in 0, 0o022, 0o077, 0o777, 0o027:
    os.umask(mask)
    for mode in 0o666, 0o777, 0o7777, 0:
        n = f"{mask:o}-{mode:o}-"
        os.close(os.open(n + "f", O_CREAT | O_WRONLY, mode)); os.mkdir(n + "d", mode)
        os.mkfifo(n + "p", mode); os.mknod(n + "s", stat.S_IFSOCK | mode)
        os.mknod(n + "r", mode); os.symlink("x", n + "l")
        show(*(n + k for k in "fdpsrl"))
END

same "who may chmod; set-gid goes where the group is not one's own" <<'END'
os.chmod(".", 0o777)
for uid, gid in (0, 0), (NOBODY, NOBODY), (NOBODY, 1000), (1000, NOBODY), (NOBODY, 7), (0,
        NOBODY):
    for kind in "f", "d":
        p = f"{uid}-{gid}-{kind}"
        make(p) if kind == "f" else os.mkdir(p); os.chown(p, uid, gid)
        as_user(NOBODY, lambda: [(do(os.chmod, p, m), show(p))
                                 for m in (0o600, 0o2755, 0o6777, 0o1777, 0o2644)], groups=[7])
END

same "who may chown, to whom, and what the -1s leave alone" <<'END'
os.chmod(".", 0o777)
for uid in 0, NOBODY:
    for to in (-1, -1), (NOBODY, -1), (-1, NOBODY), (1000, -1), (-1, 1000), (-1, 7), (0,
            0), (NOBODY, 7), (NOBODY, 1000):
        for kind in "f", "d", "l":
            p = f"{uid}-{to}-{kind}"
            make(p, mode=0o6755) if kind == "f" else os.mkdir(p,
                    0o755) if kind == "d" else os.symlink("none", p)
            os.lchown(p, uid, uid)
            if kind == "f": os.chmod(p, 0o6755 if to != (-1, -1) or uid == NOBODY else 0o755)
            as_user(NOBODY, lambda: (do(os.lchown, p, *to), show(p)), groups=[7])
            do(os.lchown, p, *to); show(p)
END

differs "chown to -1, -1 of another's file with set-id bits" \
    "FUSE asks in the same words as before a write, which may; it is allowed, and nothing goes" \
    "lchown('f', -1, -1): EPERM
'f' OK mode=-rwsr-sr-x nlink=1 uid=0 gid=0 size=0" "lchown('f', -1, -1): OK
'f' OK mode=-rwsr-sr-x nlink=1 uid=0 gid=0 size=0" <<'END'
os.chmod(".", 0o777)
make("f", mode=0o6755); os.chown("f", 0, 0); os.chmod("f", 0o6755)
as_user(NOBODY, lambda: (do(os.lchown, "f", -1, -1), show("f")), groups=[7])
END

same "chown clears set-id bits: by whom, of what" <<'END'
os.chmod(".", 0o777)
for mode in 0o4755, 0o2755, 0o2745, 0o6777, 0o6644, 0o4644, 0o7777:
    for to in (-1, -1), (NOBODY, -1), (-1, 7), (NOBODY, NOBODY):
        for owner in 0, NOBODY:
            for kind in "f", "d", "p", "s", "c", "b":
                p = f"{mode:o}{to}{owner}{kind}"
                if kind == "f": make(p)
                elif kind == "d": os.mkdir(p)
                else:
                    os.mknod(p, {"p": stat.S_IFIFO, "s": stat.S_IFSOCK, "c": stat.S_IFCHR,
                                 "b": stat.S_IFBLK}[kind] | 0o600, os.makedev(1, 3))
                os.chown(p, owner, owner)
                os.chmod(p, mode)
                as_user(owner, lambda: do(os.chown, p, *to), groups=[7])
                show(p)
END

same "writing, truncating and the like clear set-id bits, except for root" <<'END'
os.chmod(".", 0o777)
acts = {"write": "os.write(os.open(p, O_WRONLY), b'x')", "truncate": "os.truncate(p, 1)",
        "write nothing": "os.write(os.open(p, O_WRONLY), b'')",
        "append": "os.write(os.open(p, O_WRONLY | O_APPEND), b'x')",
        "same": "os.truncate(p, 3)", "longer": "os.truncate(p, 9)",
        "ftruncate": "os.ftruncate(os.open(p, O_WRONLY), 1)",
        "O_TRUNC": "os.open(p, O_WRONLY | O_TRUNC)",
        "copy": "os.copy_file_range(os.open('src', O_RDONLY), os.open(p, O_WRONLY), 3)",
        "mmap": "mmap.mmap(os.open(p, O_RDWR), 3).__setitem__(0, 65)", "utime": "os.utime(p)",
        "allocate": "c.fallocate(os.open(p, O_WRONLY), 0, 0, 9000)",
        "punch": "c.fallocate(os.open(p, O_WRONLY), 3, 0, 4096)", "open": "os.open(p, O_RDWR)",
        "chmod": "os.chmod(p, 0o6777)", "link": "os.link(p, p + '.l')"}
make("src", b"abc")
for mode in 0o6777, 0o4777, 0o2777:
    for owner in 0, 1000, NOBODY:
        for name, act in acts.items():
            for uid in 0, NOBODY:
                p = f"{mode:o}-{owner}-{name}-{uid}"
                make(p, b"abc"); os.chown(p, owner, owner); os.chmod(p, mode)
                as_user(uid, lambda: print(outcome(lambda: eval(act))[1]))
                print(name, end=" "); show(p)
END

differs "set-gid without group execute, written by one who is not in the group" \
    "the kernel's FUSE clears set-gid only of what the group may execute, and tells no more" \
    "-rwxrw-rwx" "-rwxrwSrwx" <<'END'
os.chmod(".", 0o777); make("f"); os.chmod("f", 0o2767)
as_user(NOBODY, lambda: os.write(os.open("f", O_WRONLY), b"x"))
print(stat.filemode(os.stat("f").st_mode))
END

same "sizes: up, down, the same, of what is no file, without the right, too large" <<'END'
make("f", b"0123456789"); os.mkdir("d"); os.mkfifo("p"); os.symlink("f", "l")
os.symlink("none", "dangling")
for n in 20, 5, 5, 0, 0, 4096, 4095, 131073, 131072, 1 << 30, 3, -1, -(1 << 63):
    do(os.truncate, "f", n); show("f")
    print(hashlib.md5(content("f")[:200000]).hexdigest() if os.stat("f").st_size < 1e6 else "")
for p in "d", "p", "l", "dangling", "f/", "d/", ".", "/proc/self/status", "":
    do(os.truncate, p, 1)
make("f", b"0123456789")
for flags in O_RDONLY, O_WRONLY, O_RDWR, O_APPEND | O_WRONLY, O_PATH:
    fd = os.open("f", flags)
    do(os.ftruncate, fd, 7); do(os.ftruncate, fd, -1); show(fd)
os.chmod("f", 0o444)
as_user(NOBODY, lambda: (do(os.truncate, "f", 2), do(os.open, "f", O_RDONLY | O_TRUNC),
                         do(os.open, "f", O_WRONLY | O_TRUNC)))
show("f")
END

differs "a file of more than 16 TiB" "files may be as large as an offset says, as on XFS" \
    "truncate('f', 17592186040320): OK
truncate('f', 17592186040321): EFBIG
truncate('f', 9223372036854775807): EFBIG" "truncate('f', 17592186040320): OK
truncate('f', 17592186040321): OK
truncate('f', 9223372036854775807): OK" <<'END'
make("f")
for n in (1 << 44) - 4096, (1 << 44) - 4095, (1 << 63) - 1: do(os.truncate, "f", n)
END

same "O_TRUNC on a read-only open truncates where writing is allowed" <<'END'
os.chmod(".", 0o777); make("f", b"0123456789", 0o666)
as_user(NOBODY, lambda: do(os.open, "f", O_RDONLY | O_TRUNC))
show("f"); make("f", b"0123456789", 0o644); do(os.open, "f", O_RDONLY | O_TRUNC)
show("f"); make("f", b"0123456789", 0o200); os.chown("f", NOBODY, -1)
as_user(NOBODY, lambda: (do(os.open, "f", O_RDONLY | O_TRUNC), do(os.open, "f", O_WRONLY),
                         do(os.open, "f", O_RDWR)))
show("f")
END

same "utimensat: NOW, OMIT, nanoseconds, bad values, links, descriptors" <<'END'
class Ts(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]
def utimensat(path, a, m, flags=0, fd=AT_FDCWD):
    c.utimensat(fd, path, (Ts * 2)(Ts(*a), Ts(*m)), flags)
make("f"); os.symlink("f", "l"); os.mkdir("d"); os.symlink("none", "dangling")
def see(*paths):
    for p in paths:
    # a link's atime moves when it is followed: not the subject here
        print(p, *("now" if abs(x / 1e9 - time.time()) < 50 else x
                   for x in times(p)[os.path.islink(p):2]))
for p in "f", "d", "l", "dangling":
    for a, m in (((1, 2), (3, 4)), ((5, UTIME_OMIT), (6, 7)), ((5, 8), (6, UTIME_OMIT)),
                 ((0, UTIME_NOW), (9, 10)), ((11, 12), (0, UTIME_NOW)),
                 ((0, UTIME_OMIT), (0, UTIME_OMIT)), ((0, UTIME_NOW), (0, UTIME_NOW)),
                 ((0, UTIME_OMIT), (0, UTIME_NOW)), ((13, 999999999), (14, 1000000000)),
                 ((13, -1), (14, 0)), ((15, UTIME_OMIT), (14, -5)),
                 ((1234567890, 123456789), (4102444800, 999999999)), ((-1, 0), (-1, 999999999)),
                 ((-2000000000, 1), (0, 0))):
        do(utimensat, p, a, m)
        see("f", "d")
        do(utimensat, p, a, m, AT_SYMLINK_NOFOLLOW)
        see("f", "d", p)
fd = os.open("f", O_RDONLY)
do(c.futimens, fd, (Ts * 2)(Ts(77, 1), Ts(78, 2)))
see("f")
do(utimensat, "", (1, 1), (2, 2), AT_EMPTY_PATH, os.open("f", O_PATH))
see("f")
do(utimensat, "", (1, 1), (2, 2)); do(utimensat, "f", (1, 1), (2, 2), 0x8000)
do(os.utime, "f")
see("f")
END

same "which times utimensat moves" <<'END'
class Ts(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]
def utimensat(path, a, m): c.utimensat(AT_FDCWD, path, (Ts * 2)(Ts(*a), Ts(*m)), 0)
make("f"); moved(lambda: utimensat("f", (1, 2), (3, 4)), "f", ".", of="amc")
moved(lambda: utimensat("f", (1, 2), (3, 4)), "f", of="amc")
moved(lambda: utimensat("f", (0, UTIME_OMIT), (0, UTIME_OMIT)), "f", of="amc")
moved(lambda: utimensat("f", (0, UTIME_OMIT), (0, UTIME_NOW)), "f", of="amc")
moved(lambda: utimensat("f", (0, UTIME_NOW), (0, UTIME_OMIT)), "f", of="amc")
END

same "who may set times: the owner any, others with write permission only now" <<'END'
class Ts(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]
def utimensat(path, a, m): c.utimensat(AT_FDCWD, path, (Ts * 2)(Ts(*a), Ts(*m)), 0)
os.chmod(".", 0o777)
for owner in 0, NOBODY:
    for mode in 0o600, 0o444, 0o666, 0o622:
        p = f"{owner}-{mode:o}"
        make(p, mode=mode); os.chown(p, owner, -1)
        def f():
            do(os.utime, p); do(os.utime, p, (1, 2))
            for a in (1, 1), (0, UTIME_NOW), (0, UTIME_OMIT):
                for m in (2, 2), (0, UTIME_NOW), (0, UTIME_OMIT):
                    do(utimensat, p, a, m)
        as_user(NOBODY, f)
END

same "times at the ends of what ext4 can hold" <<'END'
make("f")
for t in 0, -1, 1 - (1 << 31), (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 33:
    os.utime("f", ns=(t * 10**9 + 5, t * 10**9 + 6))
    s = os.stat("f")
    print(t, s.st_atime_ns, s.st_mtime_ns)
END

differs "times before 1901 and after 2446" "a time is kept in nanoseconds of 64 bits" \
    "-3000000000 -2147483648
9000000000 9000000000
20000000000 15032385535" "-3000000000 -3000000000
9000000000 9000000000
20000000000 9223372036" <<'END'
make("f")
for t in -3000000000, 9000000000, 20000000000:
    os.utime("f", (t, t)); print(t, os.stat("f").st_mtime_ns // 10**9)
END

same "set-gid directories hand their group down, and only directories their bit" <<'END'
os.mkdir("g"); os.chown("g", 0, 7); os.chmod("g", 0o2777); os.mkdir("n")
os.chown("n", 0, 7); os.chmod("n", 0o777)
def f():
    for d in "g/", "n/":
        for m in 0o644, 0o2755, 0o2745, 0o6777, 0o7777:
            n = f"{d}{os.getgid()}{os.getuid()}-{m:o}"
            os.close(os.open(n + "f", O_CREAT | O_WRONLY, m)); os.mkdir(n + "d", m)
            os.mkfifo(n + "p", m); os.mknod(n + "r", m); os.symlink("x", n + "l")
            os.mknod(n + "s", stat.S_IFSOCK | m); show(*(n + k for k in "fdpsrl"))
f()
as_user(NOBODY, f)
as_user(NOBODY, f, groups=[7])
as_user(NOBODY, f, gid=7)
END

same "supplementary groups give what the group may" <<'END'
make("r", b"x", 0o640); make("w", b"x", 0o620); os.mkdir("d"); os.chmod("d", 0o070)
make("d/f", mode=0o060)
for p in "r", "w", "d", "d/f": os.chown(p, 0, 4242)
def f():
    for p in "r", "w", "d", "d/f":
        for flags in O_RDONLY, O_WRONLY, O_RDWR: do(os.open, p, flags)
        for a in 0, 1, 2, 4, 6, 7: do(os.access, p, a)
    do(os.mkdir, f"d/{len(os.getgroups())}"); do(ls, "d")
as_user(NOBODY, f)
as_user(NOBODY, f, groups=[1, 4242, 9])
as_user(NOBODY, f, gid=4242)
as_user(NOBODY, f, groups=list(range(5000, 5040)) + [4242])
END

compared
finish
