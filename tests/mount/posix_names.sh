#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Names and paths as on ext4: what may be one, how deep, which error where.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "names of 255 and 256 bytes, for every call that makes or takes one" <<'END'
makers = {"creat": lambda n: os.close(os.open(n, O_CREAT | O_EXCL | O_WRONLY)),
          "mkdir": os.mkdir, "mkfifo": os.mkfifo, "symlink": lambda n: os.symlink("t", n),
          "link": lambda n: os.link("base", n), "rename": lambda n: os.rename("moved", n),
          "mknod": os.mknod, "bind": lambda n: socket.socket(socket.AF_UNIX).bind(n)}
takers = {"stat": os.lstat, "open": lambda n: os.close(os.open(n, O_RDONLY)),
          "unlink": os.unlink, "rmdir": os.rmdir, "from": lambda n: os.rename(n, "moved"),
          "chmod": lambda n: os.chmod(n, 0o700), "access": lambda n: os.access(n, os.F_OK),
          "readlink": os.readlink, "truncate": lambda n: os.truncate(n, 0), "utime": os.utime,
          "chdir": lambda n: (os.chdir(n), os.chdir("..")), "listdir": os.listdir,
          "through": lambda n: os.stat(n + "/x"), "exec": lambda n: subprocess.run(["./" + n])}
make("base"); make("moved")
for n in "a" * 255, "b" * 256, "c" * 1000, "é" * 127 + "x", "é" * 128, "d" * 4096:
    for how, f in {**makers, **takers}.items():
        print(len(os.fsencode(n)), how, outcome(f, n)[1], end="; ")
        if how in makers:
            gone = outcome(os.rename if how == "rename" else lambda a,
                           b: os.rmdir(a) if os.path.isdir(a) else os.unlink(a), n, "moved")
    print(); tree()
END

same "any byte but / and NUL is a name" <<'END'
for i in range(1, 256):
    n = bytes([i])
    if n not in (b"/", b"."): make(n, n)
for n in (b"\xff" * 255, b"..a", b"...", b" ", b"a ", b"\xc3", b"\xed\xa0\x80", b"-rf", b"a\xcc\x81",
          b"\xc3\xa1", b"CON", b"a", b"A"):
    do(make, n, n)
tree(); do(os.open, b"a\0b", O_CREAT) if False else None
END

same "names differ by case and by composition; many alike in one directory" <<'END'
for i in range(300):
    make(f"{'x' * 200}{i:03}"); os.mkdir(f"{i:03}{'y' * 200}")
print(len(os.listdir(".")))
for i in range(0, 300, 2):
    os.unlink(f"{'x' * 200}{i:03}"); os.rename(f"{i:03}{'y' * 200}", f"{i:03}{'z' * 200}")
print(hashlib.md5("".join(ls(".")).encode()).hexdigest(), len(os.listdir(".")))
END

same "deeper than PATH_MAX, by steps" <<'END'
top = os.open(".", O_RDONLY)
n = "n" * 200
for i in range(60):
    os.mkdir(n); os.chdir(n)
make("f", b"deep"); os.symlink("f", "l"); os.link("f", "h"); print(content("l")); tree()
print(len(os.getcwd()) > 12000)
moved_to = os.open(".", O_RDONLY)
for i in range(60):
    os.chdir(".."); do(os.rmdir, n) if i in (0, 59) else None
print(ino(".") == ino(top)); os.fchdir(moved_to); print(content("f"))
for p in "f", "l", "h": os.unlink(p)
for i in range(60):
    os.chdir(".."); os.rmdir(n)
do(ls, ".")
END

same "paths of 4095 and 4096 bytes" <<'END'
os.mkdir("d"); make("d/f", b"x")
for n in 4094, 4095, 4096, 5000:
    for tail in "d/f", "d":
        p = "./" * ((n - len(tail)) // 2)
        p += "/" * (n - len(p) - len(tail)) + tail
        print(len(p), outcome(os.stat, p)[1], outcome(os.open, p, O_RDONLY)[1],
              outcome(os.mkdir, p + "x")[1])
END

same "the errors of a path: missing, not a directory, not allowed, empty" <<'END'
make("f", b"x"); os.mkdir("d"); make("d/g"); os.mkdir("no"); make("no/f")
os.chmod("no", 0o600); os.mkdir("r"); make("r/f"); os.chmod("r", 0o755)
os.symlink("f", "lf"); os.symlink("d", "ld"); os.symlink("none", "dangling")
os.symlink("loop", "loop")
paths = ("none", "none/x", "f/", "f/x", "f/.", "f/..", "d/none", "d/none/x", "d", "d/", "d/.",
         "d/..", "no/f", "no/none", "no", "r/f", "r/new", "", ".", "..", "./", "lf", "lf/",
         "lf/x", "ld", "ld/", "ld/g", "dangling", "dangling/", "dangling/x", "loop", "loop/x",
         "/proc/self/none", "d//g", "d/../f", "none/../f", "f/../f")
calls = {"stat": os.stat, "lstat": os.lstat,
         "chmod": lambda p: os.chmod(p, 0o644 if os.path.isfile(p) else 0o755),
         "chown": lambda p: os.chown(p, -1, -1), "utime": os.utime,
         "truncate": lambda p: os.truncate(p, 1), "access": lambda p: c.access(p, 7),
         "readlink": os.readlink, "listdir": ls,
         "chdir": lambda p: (os.chdir(p), os.fchdir(here)) and None,
         "read": lambda p: os.close(os.open(p, O_RDONLY)),
         "write": lambda p: os.close(os.open(p, O_WRONLY)),
         "excl": lambda p: os.close(os.open(p, O_CREAT | O_EXCL)),
         "dir": lambda p: os.close(os.open(p, O_RDONLY | O_DIRECTORY)),
         "nofollow": lambda p: os.close(os.open(p, O_RDONLY | O_NOFOLLOW)),
         "path": lambda p: os.close(os.open(p, O_PATH)), "mkdir": os.mkdir, "mkfifo": os.mkfifo,
         "symlink": lambda p: os.symlink("t", p), "link to": lambda p: os.link("f", p),
         "link of": lambda p: os.link(p, "f"), "rename to": lambda p: os.rename("none", p),
         "rename of": lambda p: os.rename(p, "none/x"),
         "statvfs": lambda p: os.statvfs(p) and None, "exec": lambda p: os.execv(p, ["x"]),
         "getxattr": lambda p: os.getxattr(p, "user.none"),
         "listxattr": lambda p: os.listxattr(p) and None}
here = os.open(".", O_RDONLY)
def f():
    for p in paths: print(p, *(f"{k}={outcome(g, p)[1]}" for k, g in calls.items()))
f()
os.chmod(".", 0o755)
as_user(NOBODY, f)
tree()
END

same "removing: unlink, rmdir and remove of everything" <<'END'
make("f"); os.mkdir("d"); os.mkdir("full"); make("full/f"); os.symlink("d", "ld")
os.symlink("f", "lf"); os.mkfifo("p"); os.symlink("none", "dangling"); os.mkdir("hid")
make("hid/.h")
for p in ("none", "none/x", "f/", "f/x", "lf/", "ld/", "d/.", "d/..", ".", "..", "/", "", "d/",
          "full", "full/", "hid", "ld", "lf", "f", "p", "dangling", "dangling/", "d", "full/..",
          "full/.", "/proc", "/dev/null/x"):
    if p: do(os.rmdir, p)
    do(c.unlinkat, AT_FDCWD, p, 0) if p != "/" else None
    do(c.unlinkat, AT_FDCWD, p, 0x4000) if p.startswith(("d/", "full")) else None
tree()
END

same "mount points: EBUSY" <<'END'
os.mkdir("m"); make("f"); os.mkdir("other")
c.mount("none", os.path.abspath("m"), "tmpfs", 0, "size=64k")
do(os.rmdir, "m"); do(os.rename, "m", "n"); do(os.rename, "other", "m")
do(rename2, "m", "other", RENAME_EXCHANGE); do(os.unlink, "m"); do(os.rename, "f", "m/f")
do(os.link, "f", "m/f"); print(ino("m") == ino("."))
c.umount("m")
do(os.rmdir, "m")
END

same "mkdir and its modes, parents, existing names" <<'END'
make("f"); os.symlink("d2", "l"); os.mkdir("d"); os.symlink("d", "ld")
for p in ("d", "d/", "f", "f/", "f/x", "l", "l/", "ld", "ld/x", "new/", "new2//", "none/x", ".", "..",
          "/", "", "d/.", "d/new/.", "d/.."):
    do(os.mkdir, p)
tree()
END

compared
finish
