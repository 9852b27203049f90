#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files that are made without a name (O_TMPFILE), as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "made without a name, used, gone with its last descriptor" <<'END'
os.mkdir("d")
for flags in (O_RDWR, O_WRONLY, O_RDONLY, O_RDWR | O_EXCL, O_RDWR | O_CREAT, O_RDWR | O_APPEND,
              O_RDWR | O_TRUNC, O_WRONLY | O_SYNC):
    for p in "d", ".", "none", "d/none":
        fd = do(os.open, p, O_TMPFILE | flags, 0o6751)
        if fd:
            show(fd, fields="mode nlink uid gid size blocks")
            print(hex(fcntl.fcntl(fd, fcntl.F_GETFL)), outcome(os.write, fd, b"bytes")[1],
                  outcome(os.pread, fd, 9, 0))
            os.close(fd)
make("f"); do(os.open, "f", O_TMPFILE | O_RDWR); do(os.open, "f/", O_TMPFILE | O_RDWR)
os.symlink("d", "l"); do(os.open, "l", O_TMPFILE | O_RDWR)
do(os.open, "l", O_TMPFILE | O_RDWR | O_NOFOLLOW); tree()
END

same "given a name by linkat: once, twice, not with O_EXCL, not over another" <<'END'
os.mkdir("d"); make("taken"); os.link("taken", "taken2")
fd = os.open("d", O_TMPFILE | O_RDWR, 0o640)
os.write(fd, b"content")
p = f"/proc/self/fd/{fd}"
do(linkat, AT_FDCWD, p, "taken", AT_SYMLINK_FOLLOW)
do(linkat, AT_FDCWD, p, "a", AT_SYMLINK_FOLLOW); show(fd, "a")
do(linkat, fd, "", "d/b", AT_EMPTY_PATH); show(fd); do(os.link, "a", "d/c"); tree()
os.write(fd, b" more"); print(content("d/b")); os.fchmod(fd, 0o600)
[os.unlink(n) for n in ("a", "d/b", "d/c")]
show(fd); do(linkat, fd, "", "again", AT_EMPTY_PATH)
do(linkat, AT_FDCWD, p, "again", AT_SYMLINK_FOLLOW)
x = os.open("d", O_TMPFILE | O_RDWR | O_EXCL)
do(linkat, AT_FDCWD, f"/proc/self/fd/{x}", "x", AT_SYMLINK_FOLLOW)
do(linkat, x, "", "x", AT_EMPTY_PATH); show(x); tree()
END

same "large, sparse, mapped, truncated, reopened, shared: a file like others" <<'END'
fd = os.open(".", O_TMPFILE | O_RDWR)
os.write(fd, b"x" * 300000); os.pwrite(fd, b"y", 1000000); show(fd)
os.ftruncate(fd, 500000)
m = mmap.mmap(fd, 500000)
m[5:8] = b"map"
print(hashlib.md5(os.pread(fd, 600000, 0)).hexdigest())
a = os.open(f"/proc/self/fd/{fd}", O_RDWR | O_APPEND)
os.write(a, b"end"); show(fd); os.fsync(fd); do(os.utime, fd, ns=(5, 6))
do(os.fchown, fd, 3, 4); do(os.fchmod, fd, 0o604)
show(fd, a, fields="mode nlink uid gid mtime_ns")
linkat(fd, "", "named", AT_EMPTY_PATH)
del m
os.close(fd); os.close(a); show("named", fields="mode nlink uid gid size")
print(hashlib.md5(content("named")).hexdigest())
print(os.copy_file_range(os.open("named", O_RDONLY), os.open("copy", O_CREAT | O_RDWR),
                         1 << 20))
print(content("copy") == content("named"))
END

same "umask, set-gid directories, owners, permission" <<'END'
os.chmod(".", 0o777); os.mkdir("g"); os.chown("g", 0, 7); os.chmod("g", 0o2777)
os.mkdir("no"); os.mkdir("x"); os.chmod("x", 0o711)
def f():
    for d in ".", "g", "no", "x":
        for mode in 0o666, 0o7777, 0:
            fd = do(os.open, d, O_TMPFILE | O_RDWR, mode)
            if fd:
                show(fd)
                n = f"{os.getuid()}-{mode:o}"
                do(linkat, AT_FDCWD, f"/proc/self/fd/{fd}", f"{d}/{n}", AT_SYMLINK_FOLLOW)
                show(f"{d}/{n}")
f()
as_user(NOBODY, f)
os.umask(0o077)
f()
END

same "which times move, and of what" <<'END'
os.mkdir("d"); moved(lambda: os.open("d", O_TMPFILE | O_RDWR), "d")
fd = os.open("d", O_TMPFILE | O_RDWR)
moved(lambda: os.write(fd, b"x"), fd, "d")
moved(lambda: linkat(fd, "", "d/n", AT_EMPTY_PATH), fd, "d")
moved(lambda: os.unlink("d/n"), fd, "d")
END

same "in a directory that goes: the file stays, and may be named elsewhere" <<'END'
os.mkdir("d")
fd = os.open("d", O_TMPFILE | O_RDWR)
os.write(fd, b"x"); os.rmdir("d"); show(fd); do(linkat, fd, "", "named", AT_EMPTY_PATH)
tree(); do(os.rename, "named", "n2"); show(fd)
END

same "many at once" <<'END'
fds = [os.open(".", O_TMPFILE | O_RDWR) for _ in range(300)]
[os.write(fd, b"%d" % i) for i, fd in enumerate(fds)]
print(all(os.pread(fd, 9, 0) == b"%d" % i for i, fd in enumerate(fds)),
      len({os.fstat(fd).st_ino for fd in fds}), ls())
for i in range(0, 300, 3): linkat(fds[i], "", f"{i}", AT_EMPTY_PATH)
print(len(ls()), sum(os.fstat(fd).st_nlink for fd in fds))
END

compared
finish
