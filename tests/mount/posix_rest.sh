#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Calls beside the usual ones: ioctls, handles, mounts over it, limits; and what FUSE has not.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "ioctls that both answer, or neither knows" <<'END'
make("f", b"x" * 100)
for name, n in (("FIGETBSZ", 2), ("FIBMAP", 1), ("FIONREAD", 0x541B), ("FIONBIO", 0x5421),
                ("FIOCLEX", 0x5451), ("FIOQSIZE", 0x5460), ("FICLONE", 0x40049409),
                ("FICLONERANGE", 0x4020940D), ("FIDEDUPERANGE", 0xC0189436), ("TCGETS", 0x5401),
                ("nothing", 0x1234)):
    for p in "f", ".":
        print(name, p, outcome(fcntl.ioctl, os.open(p, O_RDONLY), n, b"\0" * 64)[1])
END

differs "ioctls for flags (chattr), extents (filefrag), labels and trimming" \
    "a file has none of these; programs go on without" \
    "GETFLAGS OK
SETFLAGS OK
GETVERSION OK
FSGETXATTR OK
FSSETXATTR OK
GETFSLABEL OK
GETFSUUID OK
FITRIM EINVAL
FIEMAP EINVAL" "GETFLAGS ENOTTY
SETFLAGS ENOTTY
GETVERSION ENOTTY
FSGETXATTR ENOTTY
FSSETXATTR ENOTTY
GETFSLABEL ENOTTY
GETFSUUID ENOTTY
FITRIM ENOTTY
FIEMAP ENOTSUP" <<'END'
make("f", b"x")
flags = bytearray(256) # set as they are: without the flag of extents ext4 would convert the file, or not
for name, n in (("GETFLAGS", 0x80086601), ("SETFLAGS", 0x40086602), ("GETVERSION", 0x80087601),
                ("FSGETXATTR", 0x801C581F), ("FSSETXATTR", 0x401C5820),
                ("GETFSLABEL", 0x81009431), ("GETFSUUID", 0x80111500), ("FITRIM", 0xC0185879),
                ("FIEMAP", 0xC020660B)):
    arg = flags if name.endswith("FLAGS") else b"\0" * 256
    print(name, outcome(fcntl.ioctl, os.open("f", O_RDONLY), n, arg)[1])
END

differs "epoll on a file" \
    "the kernel's FUSE has poll for every file: always ready, as poll(2) says" \
    "register(5): EPERM" "register(5): OK" <<'END'
import select
make("f"); do(select.epoll().register, os.open("f", O_RDONLY))
END

same "name_to_handle_at and open_by_handle_at" <<'END'
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("h", ctypes.c_ubyte * 128)]
make("f", b"by handle"); os.mkdir("d"); os.symlink("f", "l")
mnt = ctypes.c_int()
top = os.open(".", O_RDONLY)
for p in "f", "d", "l", ".":
    h = Handle(128)
    do(lambda: c.name_to_handle_at(AT_FDCWD, p, ctypes.byref(h), ctypes.byref(mnt), 0))
    fd = do(lambda: c.open_by_handle_at(top, ctypes.byref(h), O_RDONLY) > 0)
h = Handle(0)
do(lambda: c.name_to_handle_at(AT_FDCWD, "f", ctypes.byref(h), ctypes.byref(mnt), 0))
END

same "quotas, swap, pivots: refused alike" <<'END'
make("s", b"\0" * 65536, 0o600); do(c.swapon, "s", 0); do(c.acct, "none/x"); make("f")
os.mkdir("d"); do(os.chroot, "f")
END

same "a mount over a directory, a bind mount of a file, and moves between the two mounts" <<'END'
os.mkdir("a"); os.mkdir("b"); make("a/f", b"in a"); make("g", b"g"); make("over")
MS_BIND = 4096
c.mount(os.path.abspath("a"), os.path.abspath("b"), "none", MS_BIND, 0)
print(content("b/f"), ino("a/f") == ino("b/f")); do(os.rename, "a/f", "b/g")
do(os.link, "a/f", "b/g"); do(os.rename, "b/f", "b/g"); print(ls("a")); do(os.rmdir, "b")
do(os.rename, "b", "c")
c.mount(os.path.abspath("g"), os.path.abspath("over"), "none", MS_BIND, 0)
print(content("over")); do(os.unlink, "over"); do(os.rename, "g", "over")
do(os.rename, "g", "g2"); make("g2", b"new"); print(content("over"))
c.umount(os.path.abspath("over"))
c.umount(os.path.abspath("b"))
do(os.unlink, "over"); do(os.rmdir, "b"); tree()
END

same "a read-only bind mount is EROFS" <<'END'
os.mkdir("a"); os.mkdir("b"); make("a/f", b"x")
c.mount(os.path.abspath("a"), os.path.abspath("b"), "none", 4096, 0)
c.mount("none", os.path.abspath("b"), "none", 4096 | 32 | 1, 0)
for f in (lambda: make("b/f"), lambda: os.mkdir("b/d"), lambda: os.unlink("b/f"),
          lambda: os.chmod("b/f", 0o600), lambda: os.rename("b/f", "b/g"),
          lambda: os.link("b/f", "b/g"), lambda: os.symlink("x", "b/l"),
          lambda: os.utime("b/f"), lambda: os.truncate("b/f", 0),
          lambda: os.open("b/f", O_RDWR), lambda: os.open("b/f", O_RDONLY | O_TRUNC),
          lambda: os.open("b/new", O_CREAT), lambda: os.access("b/f", os.W_OK) or None,
          lambda: os.open("b", O_TMPFILE | O_RDWR), lambda: os.setxattr("b/f", "user.x", b"y")):
    print(outcome(f)[1], end=" ")
print(content("b/f"))
c.umount(os.path.abspath("b"))
END

same "a filesystem in a file, mounted by a loop device" <<'END'
def sh(command):
    print(command, subprocess.run(command, shell=True, capture_output=True).returncode)
make("i"); os.truncate("i", 8 << 20); os.mkdir("m")
sh("mkfs.ext4 -q i"); sh("mount -o loop i m"); make("m/f", b"inside" * 10000); sh("umount m")
sh("e2fsck -fn i"); sh("mount -o loop i m"); print(word(content("m/f"))); sh("umount m")
END

same "overlayfs with its upper directory here" <<'END'
for d in "low", "up", "work", "m": os.mkdir(d)
make("low/f", b"below"); make("low/gone"); os.mkdir("low/d"); make("low/d/x", b"x")
t = os.getcwd()
do(lambda: c.mount("overlay", f"{t}/m", "overlay", 0,
                   f"lowerdir={t}/low,upperdir={t}/up,workdir={t}/work") and None)
for f in (lambda: make("m/new", b"n"), lambda: os.unlink("m/gone"),
          lambda: make("m/f", b"changed"), lambda: os.rename("m/new", "m/d/new"),
          lambda: os.chmod("m/d/x", 0o600), lambda: os.rename("m/d", "m/e"),
          lambda: os.mkdir("m/h"), lambda: os.rmdir("m/h"), lambda: os.link("m/f", "m/f2")):
    print(outcome(f)[1], end=" ")
os.chdir("m"); tree(); os.chdir(".."); do(lambda: c.umount(f"{t}/m") and None); tree("up")
show("up/gone", fields="mode rdev"); print(content("low/f"))
END

same "posix_fadvise, readahead, sync_file_range, syncfs, madvise" <<'END'
make("f", b"x" * 100000)
fd = os.open("f", O_RDWR)
for a in range(8): do(os.posix_fadvise, fd, 0, 0, a)
do(c.readahead, fd, 0, 5000); do(c.sync_file_range, fd, 0, 0, 7); do(c.syncfs, fd)
os.sync()
m = mmap.mmap(fd, 100000)
for a in ("NORMAL", "RANDOM", "SEQUENTIAL", "WILLNEED", "DONTNEED", "DONTFORK", "DOFORK",
          "HUGEPAGE", "NOHUGEPAGE", "DONTDUMP", "FREE", "REMOVE", "MERGEABLE"):
    if hasattr(mmap, f"MADV_{a}") and a != "REMOVE":
        do(m.madvise, getattr(mmap, f"MADV_{a}"))
print(hashlib.md5(content("f")).hexdigest())
END

same "poll and select on files and directories" <<'END'
import select
make("f")
fd, d = os.open("f", O_RDWR), os.open(".", O_RDONLY)
print([len(x) for x in select.select([fd, d], [fd], [fd], 0)])
p = select.poll()
p.register(fd)
p.register(d)
print(sorted(e for _, e in p.poll(0)))
END

compared
finish
