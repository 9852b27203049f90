#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much the kernel asks, and that what it keeps of directories is true.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin

claim "each operation takes as many requests as it did"
python3 "${test_file%/*}/requests.py" "$M"

claim "a listing that the kernel keeps follows each change of the directory"
mkdir "$M/main/k"
cd "$M/main/k"
python3 - <<'END'
import os, subprocess
want = set()
fd = os.open(".", os.O_RDONLY)
def check(what, add=(), gone=()):
    want.update(add); want.difference_update(gone)
    for listed in (os.listdir("."), os.listdir(fd), os.listdir(".")):
        assert sorted(listed) == sorted(want), (what, sorted(set(listed) ^ want))
check("empty")
os.close(os.open("a", os.O_CREAT | os.O_WRONLY)); check("create", "a")
os.mkdir("d"); check("mkdir", "d")
os.symlink("x", "s"); check("symlink", "s")
os.mkfifo("p"); check("mkfifo", "p")
os.link("a", "b"); check("link", "b")
os.rename("a", "c"); check("rename", "c", "a")
os.rename("c", "d/c"); check("out of it", (), "c")
os.rename("d/c", "b"); check("nothing: both are one file")
os.rename("d/c", "e"); check("into it", "e")
os.mknod("o"); os.rename("o", "b"); check("over another")
t = os.open(".", os.O_TMPFILE | os.O_RDWR); check("without a name")
subprocess.run(["ln", "-L", f"/proc/self/fd/{t}", "t"], pass_fds=[t], check=True); check("named later", "t")
os.unlink("b"); check("unlink", (), "b")
os.rmdir("d"); check("rmdir", (), "d")
for i in range(2000):
    os.symlink("x", f"{i}")
check("many", map(str, range(2000)))
for i in range(0, 2000, 3):
    os.unlink(f"{i}")
check("fewer", (), map(str, range(0, 2000, 3)))
END

claim "the names of the root are those of now, whatever made them, also for who listed before"
cd "$M"
exec 4<.
list_both() { python3 -c 'import os
a, b = sorted(os.listdir(".")), sorted(os.listdir(4))
assert a == b, (a, b)
print(*a)'; }
eq "$(list_both)" main
for i in 1 2 3; do
    "$TALLY" branch main "by-command$i" >/dev/null
    eq "$(list_both)" "by-command$i main"
    mkdir "made$i"
    eq "$(list_both)" "by-command$i made$i main"
    "$TALLY" drop "by-command$i" >/dev/null
    eq "$(list_both)" "made$i main"
    mv "made$i" "named$i"
    rmdir "named$i"
    eq "$(list_both)" main
done
exec 4<&-

claim "who stands in a namespace that is dropped reads no names of it, however deep"
"$TALLY" branch main gone >/dev/null
python3 - "$TALLY" "$M" <<'END'
import errno, os, subprocess, sys
fd = os.open("gone/k", os.O_RDONLY)
os.chdir("gone/k")
for i in range(2):
    assert len(os.listdir(".")) == len(os.listdir(fd)) > 1000
subprocess.run([sys.argv[1], "-C", sys.argv[2], "drop", "gone"], cwd="/", check=True, stdout=2)
for where in (fd, ".", fd):
    try:
        print("it was listed:", len(os.listdir(where)))
        sys.exit(1)
    except OSError as e:
        assert e.errno in (errno.ESTALE, errno.ENOENT), e
END

claim "what is below .tally is listed as it is now, whole, also in small pieces"
mkdir main/o
for i in {1..300}; do echo "$i" >"main/o/$i"; done
python3 - <<'END'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
buf = ctypes.create_string_buffer(120)
def pieces(path):
    fd, names = os.open(path, os.O_RDONLY), []
    while (n := libc.syscall(217, fd, buf, len(buf))) > 0:  # getdents64
        at = 0
        while at < n:
            size = int.from_bytes(buf.raw[at + 16:at + 18], "little")
            names.append(buf.raw[at + 19:at + size].split(b"\0")[0].decode())
            at += size
    assert n == 0, ctypes.get_errno()
    os.close(fd)
    assert len(names) == len(set(names)), names
    return sorted(set(names) - {".", ".."})
def same(path):
    assert pieces(path) == sorted(os.listdir(path)), path
    return pieces(path)
t = ".tally"
count = lambda: sum(len(same(f"{t}/objects/{d}")) for d in same(f"{t}/objects"))
assert count() >= 300, count()
before = count()
open("main/o/new", "w").write("a text of its own")
assert count() == before + 1
os.unlink("main/o/new")
assert count() == before
for i in range(50):
    os.mkdir(f"ns{i}")
assert same(f"{t}/namespaces") == sorted(["main"] + [f"ns{i}" for i in range(50)])
for i in range(50):
    os.rmdir(f"ns{i}")
    assert f"ns{i}" not in os.listdir(f"{t}/namespaces")
assert same(f"{t}/namespaces") == ["main"]
same(f"{t}/jobs"); same(f"{t}/namespaces/main"); same(t)
END
claim "-o noxattr: no extended attributes and ACLs, and no request for them"
cd /
rm -r "$M"/main/*
unmount_store
mount_with -o noxattr
python3 "${test_file%/*}/requests.py" "$M" noxattr
touch "$M/main/f"
eq "$(errno_of 'os.setxattr(argv[0], "user.a", b"b")' "$M/main/f")" ENOTSUP
eq "$(errno_of 'os.getxattr(argv[0], "user.tally.refs")' "$M/main/f")" ENOTSUP
finish
