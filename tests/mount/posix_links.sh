#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hard links, symlinks, fifos, sockets and devices as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "hard links of every type, over every type" <<'END'
make("f", b"f"); os.mkdir("d"); os.symlink("f", "l"); os.mkfifo("p")
os.mknod("s", stat.S_IFSOCK | 0o600)
os.mknod("c", stat.S_IFCHR | 0o600, os.makedev(1, 3)); os.symlink("none", "dangling")
os.symlink("d", "dl")
kinds = "f", "d", "l", "p", "s", "c", "dangling", "dl"
for old in kinds:
    for flags in 0, AT_SYMLINK_FOLLOW, 0x8000:
        do(linkat, AT_FDCWD, old, f"{old}-{flags}", flags)
    for new in kinds: do(linkat, AT_FDCWD, old, new, 0)
    do(linkat, AT_FDCWD, old, f"d/{old}", 0)
tree(); show(*kinds)
END

same "links through strange paths" <<'END'
make("f", b"f"); os.mkdir("d")
for a, b in (("f/", "g"), ("f", "g/"), ("d/", "g"), ("none", "g"), ("none", "f"),
             ("f", "none/g"), ("f", "f/g"), ("", "g"), ("f", ""), ("f", "."), ("f", ".."),
             ("f", "d/."), (".", "g"), ("f", "x" * 256), ("f", "/dev/shm/not-made"),
             ("/dev/null", "g"), ("/proc/self/exe", "g")):
    do(linkat, AT_FDCWD, a, b, 0)
tree()
END

same "links to what is open, by descriptor and by /proc" <<'END'
make("f", b"f")
fd = os.open("f", O_RDWR)
path = os.open("f", O_PATH)
do(linkat, fd, "", "a", AT_EMPTY_PATH); do(linkat, path, "", "b", AT_EMPTY_PATH)
do(linkat, AT_FDCWD, f"/proc/self/fd/{fd}", "c", AT_SYMLINK_FOLLOW)
do(linkat, AT_FDCWD, f"/proc/self/fd/{path}", "d", AT_SYMLINK_FOLLOW); tree()
for n in "abcdf": os.unlink(n)
show(fd); do(linkat, fd, "", "a", AT_EMPTY_PATH)
do(linkat, AT_FDCWD, f"/proc/self/fd/{fd}", "c", AT_SYMLINK_FOLLOW); tree()
END

same "each link is the file: content, mode, owner, times; the last name takes it away" <<'END'
make("f", b"one"); os.mkdir("d"); os.link("f", "d/g"); os.link("d/g", "h")
os.chmod("h", 0o751); os.chown("f", 3, 4); os.utime("d/g", ns=(5, 6))
for p in "f", "d/g", "h":
    show(p, fields="mode nlink uid gid size mtime_ns ino"); print(content(p))
make("h", b"two!"); print(content("f"), content("d/g"))
fd = os.open("f", O_RDONLY)
for p in "f", "h", "d/g":
    os.unlink(p); show(fd)
print(os.read(fd, 9))
END

same "others' files may be linked only as fs.protected_hardlinks says" <<'END'
os.chmod(".", 0o777)
for mode in 0o644, 0o666, 0o4777, 0o600, 0o2777:
    make(f"{mode:o}", mode=mode); os.chmod(f"{mode:o}", mode)
    as_user(NOBODY, lambda: do(os.link, f"{mode:o}", f"{mode:o}l"))
tree()
END

same "symlinks: any bytes, dangling, empty, long; what readlink and lstat say" <<'END'
for i, t in enumerate(("a", "", ".", "..", "/", "/nowhere", b"\xff\xfe", "x" * 255, "a\nb",
                       "y/" * 127, "z" * 59, "z" * 60, "z" * 61, "é" * 100, "q" * 4095,
                       "q" * 4096, "r" * 5000, "w/" * 2000)):
    do(os.symlink, t, f"l{i}"); do(os.readlink, f"l{i}")
    show(f"l{i}", fields="mode nlink size")
    do(os.stat, f"l{i}") if i not in (2, 3, 4) else 0
    do(os.open, f"l{i}", O_RDONLY | O_NOFOLLOW)
    do(os.open, f"l{i}", O_RDONLY | O_CREAT | O_EXCL)
do(os.symlink, "t", "l0"); do(os.symlink, "t", "none/l"); do(os.symlink, "t", "new/")
do(os.symlink, "t", "."); do(os.symlink, "t", "n" * 256); make("f"); os.mkdir("d")
do(os.readlink, "f"); do(os.readlink, "d"); do(os.readlink, "none")
do(os.readlink, "l0/"); do(os.readlink, "f/")
END

same "readlink cuts at the buffer" <<'END'
os.symlink("0123456789", "l")
for n in 1, 5, 10, 11, 100:
    b = ctypes.create_string_buffer(b"#" * 20, 21)
    do(lambda: c.readlinkat(AT_FDCWD, "l", b, n)); print(b.raw[:12])
do(c.readlinkat, AT_FDCWD, "l", ctypes.create_string_buffer(3), 0)
path = os.open("l", O_PATH | O_NOFOLLOW)
b = ctypes.create_string_buffer(20)
do(lambda: c.readlinkat(path, "", b, 20)); print(b.value)
show(path, fields="mode nlink size")
END

same "loops, chains and the limit of forty" <<'END'
os.symlink("b", "a"); os.symlink("a", "b"); os.symlink("self", "self")
os.symlink("self/x", "under"); make("end", b"!")
for p in "a", "b", "self", "under", "self/x":
    do(os.stat, p); do(os.open, p, O_RDONLY); do(os.open, p, O_CREAT | O_WRONLY)
    do(os.chmod, p, 0); do(os.truncate, p, 0); do(os.mkdir, p); do(os.listdir, p)
prev = "end"
for i in range(45):
    os.symlink(prev, f"c{i}")
    prev = f"c{i}"
for i in 10, 38, 39, 40, 41, 44: do(content, f"c{i}")
os.mkdir("d"); os.symlink(".", "d/dot"); do(os.lstat, "d" + "/dot" * 41)
print(outcome(os.lstat, "d" + "/dot" * 40)[1], outcome(os.lstat, "d" + "/dot" * 39)[1])
END

same "through a link: made, not over; mkdir, unlink, rmdir, rename take the link itself" <<'END'
os.symlink("target", "l"); os.mkdir("d"); os.symlink("d", "dl"); make("f", b"f")
os.symlink("f", "fl"); do(os.mkdir, "l"); do(os.mkfifo, "l"); do(os.mknod, "l")
do(os.open, "l", O_CREAT | O_EXCL | O_WRONLY); tree()
do(os.open, "l", O_CREAT | O_WRONLY, 0o640); show("l", "target"); do(os.rmdir, "dl")
do(os.rmdir, "dl/"); do(os.unlink, "dl/"); do(os.unlink, "fl/"); make("dl/in", b"in")
do(os.rename, "fl", "dl/moved"); do(os.unlink, "dl"); tree(); do(os.lchown, "l", 8, 9)
show("l", "target"); do(os.chown, "l", 1, 2); show("l", "target")
END

same "a link's permissions do not matter, those of its directory do" <<'END'
os.mkdir("d"); make("d/f", b"x"); os.symlink("f", "d/l"); os.symlink("d/l", "l")
os.chmod("d", 0o700); os.lchown("l", 1, 1)
f = lambda: (do(os.readlink, "l"), do(os.readlink, "d/l"), do(content, "l"), do(os.stat, "l"),
             do(os.lstat, "d/l"))
as_user(NOBODY, f)
os.chmod("d", 0o711)
as_user(NOBODY, lambda: (do(os.readlink, "d/l"), do(content, "l"), do(ls, "d")))
END

same "mknod: types, device numbers, who may" <<'END'
os.chmod(".", 0o777)
devices = (0, os.makedev(1, 3), os.makedev(255, 255), os.makedev(256, 0),
           os.makedev(4095, 1048575), os.makedev(1, 256), os.makedev(8, 1048575))
for kind in (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR,
             stat.S_IFLNK, 0o110000):
    for dev in devices:
        n = f"{kind:o}-{dev}"
        do(os.mknod, n, kind | 0o604, dev); show(n, fields="mode nlink rdev size blocks")
    as_user(NOBODY, lambda: do(os.mknod, f"{kind:o}-nobody", kind | 0o600, devices[1]))
for n in "0-0", "none/x", "new/", "", ".", "..":
    do(os.mknod, n, 0o600); do(os.mkfifo, n)
END

same "a fifo carries bytes, whoever opens it how" <<'END'
os.mkfifo("p"); os.link("p", "q"); do(os.open, "p", O_WRONLY | O_NONBLOCK)
r = os.open("p", O_RDONLY | O_NONBLOCK)
do(os.read, r, 5)
w = os.open("q", O_WRONLY)
os.write(w, b"through"); print(os.read(r, 99)); do(os.read, r, 5); os.close(w)
do(os.read, r, 5); os.close(r)
pid = child(lambda: print(os.read(os.open("p", O_RDONLY), 99)))
w = os.open("p", O_WRONLY)
os.write(w, b"to the child"); os.close(w); ended(pid)
rw = do(os.open, "p", O_RDWR)
os.write(rw, b"both"); print(os.read(rw, 9)); do(os.lseek, rw, 0, 0)
do(os.ftruncate, rw, 0); do(os.pread, rw, 1, 0); do(os.fsync, rw); show(rw, "p")
os.unlink("p"); show("q"); print(os.write(rw, b"z"))
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
os.mkfifo("e")
r = os.open("e", O_RDONLY | O_NONBLOCK)
w = os.open("e", O_WRONLY)
os.close(r); do(os.write, w, b"x")
END

same "a unix socket lives at its name" <<'END'
s = socket.socket(socket.AF_UNIX)
do(s.connect, "s"); do(s.bind, "s"); show("s")
do(socket.socket(socket.AF_UNIX).bind, "s")
do(socket.socket(socket.AF_UNIX).connect, "s")
s.listen()
def client():
    k = socket.socket(socket.AF_UNIX)
    k.connect("s")
    k.sendall(b"hello")
pid = child(client)
k, _ = s.accept()
print(k.recv(9)); ended(pid); do(os.open, "s", O_RDONLY); do(os.open, "s", O_WRONLY)
do(os.open, "s", O_RDONLY | O_NONBLOCK); os.close(os.open("s", O_PATH))
do(os.truncate, "s", 0); os.chmod("s", 0o600)
as_user(NOBODY, lambda: do(socket.socket(socket.AF_UNIX).connect, "s"))
os.rename("s", "t")
socket.socket(socket.AF_UNIX).connect("t")
do(socket.socket(socket.AF_UNIX).connect, "s"); make("f")
do(socket.socket(socket.AF_UNIX).connect, "f")
d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
do(d.bind, "x" * 90); do(d.connect, "t"); os.unlink("t")
s.close()
END

compared
unmount_store
mount_with -o dev
same "device nodes work on a mount with dev" <<'END'
for n, dev in (("null", os.makedev(1, 3)), ("zero", os.makedev(1, 5)),
               ("full", os.makedev(1, 7)), ("none", os.makedev(241, 99))):
    os.mknod(n, stat.S_IFCHR | 0o666, dev)
os.mknod("blk", stat.S_IFBLK | 0o666, os.makedev(241, 99))
fd = do(os.open, "null", O_RDWR)
print(os.write(fd, b"gone"), os.read(fd, 5)); show(fd, fields="mode rdev size")
print(os.read(os.open("zero", O_RDONLY), 4))
do(os.write, os.open("full", O_WRONLY), b"x"); do(os.open, "none", O_RDONLY)
do(os.open, "blk", O_RDONLY); do(os.truncate, "null", 0)
do(os.open, "null", O_WRONLY | O_TRUNC | O_CREAT); os.chmod("null", 0)
as_user(NOBODY, lambda: do(os.open, "null", O_RDONLY))
END

compared
finish
