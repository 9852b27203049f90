#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What has lost its last name and is still in use: open files, directories one is in, fifos.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "an unlinked file that is open is a file still" <<'END'
make("f", b"0123456789")
fd = os.open("f", O_RDWR)
os.unlink("f"); show(fd); print(os.read(fd, 4)); os.pwrite(fd, b"ABC", 8); show(fd)
print(os.pread(fd, 99, 0)); do(os.ftruncate, fd, 3); show(fd)
do(os.ftruncate, fd, 300000); show(fd); do(os.fchmod, fd, 0o640); do(os.fchown, fd, 5, 6)
os.utime(fd, ns=(7, 8)); show(fd, fields="mode nlink uid gid size mtime_ns"); os.fsync(fd)
os.pwrite(fd, b"x" * 200000, 100000)
print(hashlib.md5(os.pread(fd, 400000, 0)).hexdigest())
m = mmap.mmap(fd, 300000)
m[5:8] = b"map"
m.flush()
print(os.pread(fd, 9, 0)); make("f", b"another"); print(content("f"), os.pread(fd, 3, 5))
show(fd, "f"); print(os.copy_file_range(fd, os.open("copy", O_RDWR | O_CREAT), 8, 0))
print(content("copy"))
END

same "reopening through /proc/self/fd, linking, and what it is called" <<'END'
make("f", b"0123456789")
fd = os.open("f", O_RDWR)
path = os.open("f", O_PATH)
os.unlink("f")
p = f"/proc/self/fd/{fd}"
print(os.readlink(p))
a = do(os.open, p, O_RDWR)
print(os.read(a, 9))
os.pwrite(a, b"##", 0)
print(os.pread(fd, 9, 0)); show(a, fd, path)
b = do(os.open, p, O_WRONLY | O_TRUNC)
show(fd, a); os.write(b, b"new"); print(os.pread(a, 9, 0))
do(os.open, p, O_CREAT | O_EXCL); do(os.truncate, p, 1); show(a); do(os.stat, p)
do(os.chmod, p, 0o600); show(fd); do(os.link, p, "again")
do(linkat, AT_FDCWD, p, "again", AT_SYMLINK_FOLLOW)
do(linkat, fd, "", "again", AT_EMPTY_PATH); os.chmod(p, 0o400); os.fchown(fd, 0, 0)
pid = child(lambda: (os.setuid(NOBODY), do(os.open, p, O_RDONLY), do(os.open, p, O_WRONLY)))
ended(pid); tree()
END

same "the other names of it live on; the link count goes down to 0" <<'END'
make("a", b"x"); os.link("a", "b"); os.link("a", "c")
fd = os.open("b", O_RDWR)
for n in "abc":
    os.unlink(n); show(fd); tree()
make("a", b"x"); os.link("a", "b")
fd = os.open("b", O_RDWR)
make("over"); os.rename("over", "b"); show(fd, "a", "b"); os.rename("b", "a"); show(fd)
print(os.pread(fd, 9, 0))
END

same "a removed directory that is open or the working directory" <<'END'
os.mkdir("d")
fd = os.open("d", O_RDONLY)
path = os.open("d", O_PATH)
os.chdir("d"); os.rmdir("../d"); show(fd, path, "."); do(os.getcwd); do(ls, ".")
do(ls, fd); do(lambda: list(os.scandir("."))); do(os.open, "f", O_CREAT | O_WRONLY)
do(os.open, "f", O_RDONLY); do(os.mkdir, "x"); do(os.symlink, "a", "b")
do(os.mkfifo, "p"); do(os.stat, "x"); do(os.open, "f", O_CREAT | O_WRONLY, dir_fd=fd)
do(os.open, ".", O_RDONLY); do(os.open, f"/proc/self/fd/{fd}", O_RDONLY)
do(os.access, ".", os.R_OK); do(os.fchmod, fd, 0o711); show(fd); do(os.fchown, fd, 1, 2)
os.utime(fd, ns=(1, 2)); show(fd, fields="mode uid gid mtime_ns"); do(os.fsync, fd)
do(os.rename, ".", "x"); do(os.rmdir, "."); do(os.chdir, "."); do(os.chmod, ".", 0o700)
show("."); do(os.access, ".", os.W_OK); do(os.stat, ".."); show("..", fields="mode")
do(os.listdir, ".."); do(os.mkdir, "../d"); do(os.open, "f", O_CREAT | O_WRONLY)
show("../d", "."); do(os.chdir, ".."); print(os.path.basename(os.getcwd()) != "")
END

same "another user in a removed directory" <<'END'
os.mkdir("d"); os.chmod("d", 0o777); os.mkdir("e"); os.chmod("e", 0o700)
d, e = os.open("d", O_RDONLY), os.open("e", O_RDONLY)
os.rmdir("d"); os.rmdir("e")
def f():
    for fd in d, e:
        do(os.fchdir, fd); show("."); do(os.open, "f", O_CREAT); do(os.open, ".", O_RDONLY)
        do(os.open, "f", O_RDONLY); do(os.access, ".", 7); do(os.chmod, ".", 0o755); do(ls)
        do(os.listxattr, fd); do(os.getxattr, fd, "user.a")
as_user(NOBODY, f)
END

same "a directory that was read half when it went" <<'END'
os.mkdir("d")
[make(f"d/{i}") for i in range(2000)]
it = os.scandir("d")
n = [next(it).name for _ in range(3)]
for i in range(2000): os.unlink(f"d/{i}")
os.rmdir("d")
rest = list(it)
print(len(rest) < 2000)
END

same "a directory that is replaced while it is open or the working directory" <<'END'
os.mkdir("a"); os.mkdir("b"); make("a/f")
top = os.getcwd()
fd = os.open("b", O_RDONLY)
os.chdir("b"); do(os.rename, top + "/a", top + "/b"); show(fd, "."); do(ls, fd)
do(os.getcwd); do(os.mkdir, "x"); do(os.open, "f", O_CREAT | O_WRONLY)
do(os.open, "f", O_RDONLY); do(ls, ".."); print(os.listdir("../b"))
END

same "in a directory that is gone nothing is made; in one that has moved, it is" <<'END'
os.makedirs("a/b"); make("a/b/f")
d = os.open("a/b", O_RDONLY)
os.rename("a/b", "moved"); do(os.rename, "f", "g", src_dir_fd=d, dst_dir_fd=d); tree()
show(d); os.unlink("moved/g"); os.rmdir("moved"); show(d); make("x")
do(os.rename, "x", "y", dst_dir_fd=d); do(os.rename, "y", "x", src_dir_fd=d)
do(os.link, "x", "y", dst_dir_fd=d); do(os.symlink, "t", "y", dir_fd=d)
do(os.mkfifo, "y", dir_fd=d); do(os.mkdir, "y", dir_fd=d); do(os.unlink, "y", dir_fd=d)
do(os.rmdir, "y", dir_fd=d)
END

same "fifos, sockets and links that are in use when their name goes" <<'END'
os.mkfifo("p"); os.symlink("t", "l"); os.mknod("s", stat.S_IFSOCK | 0o600)
make("f", b"f")
fds = [os.open("p", O_RDWR)] + [os.open(n, O_PATH | O_NOFOLLOW) for n in "plsf"]
show(*fds)
for n in "plsf": os.unlink(n)
show(*fds); os.write(fds[0], b"on"); print(os.read(fds[0], 5))
do(os.fchmod, fds[0], 0o604); show(fds[0]); do(os.open, f"/proc/self/fd/{fds[1]}", O_RDWR)
END

differs "new extended attributes for a directory without a name" "they go with its name" \
    "setxattr(4, 'user.a', b'x'): OK" "setxattr(4, 'user.a', b'x'): ESTALE" <<'END'
os.mkdir("d"); fd = os.open("d", O_RDONLY); os.rmdir("d"); do(os.setxattr, fd, "user.a", b"x")
END

differs "what an O_PATH descriptor says of a file once it is unlinked and closed elsewhere" \
    "what has no name goes with its last open descriptor, and the kernel opens none for O_PATH" \
    "-rw-r--r--" "ESTALE" <<'END'
make("f"); fd, path = os.open("f", O_RDWR), os.open("f", O_PATH); os.unlink("f"); os.close(fd)
for _ in range(1000):  # the kernel tells of the close some time later
    s, how = outcome(os.fstat, path)
    if s is None: break
    time.sleep(0.01)
print(stat.filemode(s.st_mode) if s else how)
END

differs "where a symlink without a name points to" "its target goes with its name" \
    "readlink('', dir_fd=4): OK 't'" "readlink('', dir_fd=4): ESTALE" <<'END'
os.symlink("t", "l")
fd = os.open("l", O_PATH | O_NOFOLLOW)
os.unlink("l"); do(os.readlink, "", dir_fd=fd)
END

same "what was replaced by a rename and is in use" <<'END'
os.mkfifo("p"); make("f", b"f")
fp, ff, fo = os.open("p", O_RDWR), os.open("f", O_PATH), os.open("f", O_RDWR)
make("x"); os.rename("x", "p"); make("y"); os.rename("y", "f"); show(fp, ff, fo, "p", "f")
print(os.read(fo, 3))
END

same "a file made, opened, and gone again many times leaves nothing" <<'END'
for i in range(200):
    fd = os.open("f", O_CREAT | O_EXCL | O_RDWR)
    os.unlink("f"); os.write(fd, b"%d" % i)
    print(os.pread(fd, 9, 0), os.fstat(fd).st_nlink, end=" "); os.close(fd)
print(os.listdir("."))
END

compared
finish
