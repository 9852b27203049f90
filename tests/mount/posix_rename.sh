#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# rename(2) as on ext4: every pair of types, the flags, places it must refuse.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "every pair of types, with every flag" <<'END'
def thing(kind, name):
    if kind == "file": make(name, name.encode())
    elif kind == "empty": os.mkdir(name)
    elif kind == "full":
        os.mkdir(name); os.mkdir(name + "/d"); make(name + "/f")
    elif kind == "symlink": os.symlink("nowhere", name)
    elif kind == "fifo": os.mkfifo(name)
kinds = "file", "empty", "full", "symlink", "fifo", "none"
for flags in (0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE,
              RENAME_WHITEOUT, RENAME_WHITEOUT | RENAME_NOREPLACE,
              RENAME_WHITEOUT | RENAME_EXCHANGE, 8):
    for old in kinds:
        for new in kinds:
            d = f"{flags}-{old}-{new}"
            os.mkdir(d); os.chdir(d)
            thing(old, "old")
            thing(new, "new")
            do(rename2, "old", "new", flags); tree(); show("."); os.chdir("..")
END

same "what a whiteout is, who may leave one, and which times it moves" <<'END'
make("f"); os.mkdir("d"); os.chmod(".", 0o777)
moved(lambda: rename2("f", "d/g", RENAME_WHITEOUT), ".", "d")
show("f", "d", fields="mode nlink uid gid size rdev blocks"); do(os.unlink, "f"); tree()
make("h"); os.chown("h", NOBODY, NOBODY); os.chmod("d", 0o777)
as_user(NOBODY, lambda: do(rename2, "h", "d/h", RENAME_WHITEOUT))
do(rename2, "h", "d/h", RENAME_WHITEOUT); do(rename2, "h", "h2", 0); do(os.open, "h2", O_RDONLY)
show("h", "h2", fields="mode nlink rdev uid gid")
os.chown("d", 5, 7); os.chmod("d", 0o2777)
as_user(NOBODY, lambda: do(rename2, "d/h", "d/i", RENAME_WHITEOUT))
show("d/h", fields="mode uid gid")
END

same "from one directory to another: links and .. follow" <<'END'
for flags in 0, RENAME_EXCHANGE:
    for old in "d", "f":
        for new in "d", "f", None:
            t = f"{flags}-{old}-{new}"
            os.makedirs(t + "/a"); os.mkdir(t + "/b"); os.chdir(t)
            os.mkdir("a/x") if old == "d" else make("a/x")
            if new: os.mkdir("b/y") if new == "d" else make("b/y")
            do(rename2, "a/x", "b/y", flags); show("a", "b"); tree()
            for p in "a/x", "b/y":
                if os.path.isdir(p): print(p, ino(p + "/.."), ino("a"), ino("b"))
            os.chdir("..")
END

same "into its own subdirectory, onto itself, onto a hard link of itself" <<'END'
os.makedirs("d/e/f"); make("x"); os.link("x", "y"); os.mkdir("z"); make("z/g")
for flags in 0, RENAME_NOREPLACE, RENAME_EXCHANGE:
    for old, new in (("d", "d/e/new"), ("d", "d/e/f"), ("d", "d/new"), ("d", "d"), ("x", "x"),
                     ("x", "y"), ("d/e", "d"), ("d/e/f", "d"), ("z", "z/g"), ("z/g", "z"),
                     ("x", "x/y"), ("x", "d/e/../../x")):
        do(rename2, old, new, flags); tree()
END

same "trailing slashes, dots and the empty name" <<'END'
os.mkdir("d"); make("f"); os.symlink("d", "link"); os.symlink("nowhere", "dangling")
os.symlink("f", "flink")
for a in ("f/", "d/", "d/.", "d/..", ".", "..", "/", "", "link/", "dangling/", "flink/", "new/",
          "d/new/", "new/.", "link/.", "f/..", "d//"):
    for b in "other", "f", "d", "new/":
        for flags in 0, RENAME_NOREPLACE, RENAME_EXCHANGE:
            do(rename2, a, b, flags); do(rename2, b, a, flags)
    tree()
END

same "names that are too long, or of strange bytes" <<'END'
make("f")
for n in ("x" * 255, "y" * 256, b"\xff\xfe\x80", "é" * 127, "é" * 128, "a\nb", " ", "-", "...",
          "\\", "*"):
    do(os.rename, "f", n); print(ls(b".")); do(os.rename, n, "f")
END

same "open files and directories go with the name" <<'END'
make("a", b"of a"); make("b", b"of b"); os.mkdir("d"); os.mkdir("e"); make("d/in")
make("e/too")
fa, fb = os.open("a", O_RDWR), os.open("b", O_RDWR)
dd, de = os.open("d", O_RDONLY), os.open("e", O_RDONLY)
do(rename2, "a", "b", RENAME_EXCHANGE); do(rename2, "d", "e", RENAME_EXCHANGE)
print(os.read(fa, 9), os.read(fb, 9), content("a"), content("b"))
print(ls(dd), ls(de), ls("d"), ls("e")); print(ino(fa) == ino("b"), ino(dd) == ino("e"))
os.write(fa, b"+"); print(content("b")); do(rename2, "a", "d/up", 0); os.write(fb, b"-")
print(content("d/up")); do(rename2, "b", "d/up", 0); show(fa, fb)
print(os.pread(fb, 9, 0), content("d/up")); do(rename2, "d", "e/sub", 0)
do(rename2, "e/sub/up", "e/sub/up2", RENAME_NOREPLACE); print(ls(dd), ls(de))
os.chdir("e/sub"); print(os.getcwd())
rename2("../../e", "../../g", 0)
print(os.getcwd())
END

same "permissions: both directories, the sticky bit, directories of others" <<'END'
os.chmod(".", 0o777)
for mode in 0o755, 0o777, 0o1777:
    for owner in 0, NOBODY:
        for what in 0, NOBODY:
            d = f"{mode:o}-{owner}-{what}"
            os.mkdir(d); os.mkdir(d + "/sub"); make(d + "/f"); make(d + "/g")
            os.mkdir(d + "/to")
            for p in "", "/sub", "/f", "/g":
                os.chown(d + p, owner if p == "" else what, -1)
            os.chmod(d, mode); os.chmod(d + "/to", 0o777)
            def f():
                os.chdir(d); do(os.rename, "f", "h"); do(os.rename, "f", "g")
                do(os.rename, "sub", "sub2"); do(os.rename, "sub", "to/sub")
                do(rename2, "g", "sub", RENAME_EXCHANGE); do(os.unlink, "g")
                do(os.rmdir, "sub"); do(os.link, "f", "to/l")
            as_user(NOBODY, f)
            print(sorted(ls(d)), ls(d + "/to"))
END

same "which times move" <<'END'
make("a"); make("b"); os.mkdir("d"); os.mkdir("d2"); make("d/f"); os.mkdir("d/sub")
a, b, f, sub = (os.open(p, O_RDONLY) for p in ("a", "b", "d/f", "d/sub"))
moved(lambda: os.rename("a", "a2"), a, ".", b)
moved(lambda: os.rename("a2", "d/a"), a, ".", "d")
moved(lambda: os.rename("d/sub", "sub"), sub, ".", "d")
moved(lambda: os.rename("sub", "d2/sub"), sub, ".", "d", "d2")
moved(lambda: os.rename("d/a", "b"), a, b, ".", "d")
moved(lambda: rename2("b", "d/f", RENAME_EXCHANGE), a, b, f, ".", "d")
moved(lambda: rename2("b", "d2/sub", RENAME_EXCHANGE), a, b, f, sub, ".", "d", "d2")
moved(lambda: rename2("b", "nothing", RENAME_EXCHANGE), sub, ".")
moved(lambda: os.rename("b", "b"), sub, "."); os.link("d/f", "c")
moved(lambda: os.rename("d/f", "c"), "c", ".", "d")
moved(lambda: rename2("d/f", "c", RENAME_NOREPLACE), "c", ".", "d")
END

same "another filesystem is EXDEV" <<'END'
make("f"); os.mkdir("d")
for p in "f", "d":
    do(os.rename, p, "/dev/shm/not-made"); do(os.rename, p, "/dev/shm/none/x")
    do(rename2, p, "/dev/shm", RENAME_EXCHANGE)
do(os.link, "f", "/dev/shm/not-made")
END

compared
finish
