# SPDX-License-Identifier: Apache-2.0
"""zoo: a tree with everything in it that a copy can lose, and how to tell whether it did."""
import hashlib
import os
import stat
import subprocess

from calls import content, make


def sh(command):
    """Run it, and print all it says."""
    r = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    print(command, r.returncode)
    print((r.stdout + r.stderr).decode(errors="backslashreplace"), end="")


def below(top):
    """Every path below, as bytes, sorted."""
    top = os.fsencode(top)
    return sorted(os.path.join(d, n) for d, ds, fs in os.walk(top) for n in ds + fs)


def zoo(top):
    os.makedirs(f"{top}/d/e/f")
    os.chmod(f"{top}/d", 0o1777)
    os.chown(f"{top}/d/e", 1, 2)
    os.chmod(f"{top}/d/e", 0o2750)
    make(f"{top}/a", b"a" * 3000)
    os.link(f"{top}/a", f"{top}/d/a2")
    os.link(f"{top}/a", f"{top}/d/e/a3")
    os.chown(f"{top}/a", 3, 4)
    os.chmod(f"{top}/a", 0o6711)
    os.symlink("../a", f"{top}/d/l")
    os.link(f"{top}/d/l", f"{top}/d/l2", follow_symlinks=False)
    os.lchown(f"{top}/d/l", 5, 6)
    os.symlink("none", f"{top}/dangling")
    os.mkfifo(f"{top}/p")
    os.link(f"{top}/p", f"{top}/d/p2")
    os.mknod(f"{top}/c", stat.S_IFCHR | 0o620, os.makedev(5, 1))
    os.mknod(f"{top}/s", stat.S_IFSOCK | 0o600)
    make(f"{top}/empty")
    make(f"{top}/big", b"0123456789" * 50000)
    make(os.fsencode(top) + b"/\xff\xfe", b"x")
    make(f"{top}/{'n' * 255}")
    for i, path in enumerate(below(top)):
        os.utime(path, ns=(10**18 + i, 10**18 + i * 12345), follow_symlinks=False)
    os.utime(top, ns=(10**18, 10**18))


def see(top):
    """Print all of it that must be the same in a copy, hard links by all their names."""
    paths = below(top)
    names = {}
    for path in paths:
        name = path[len(os.fsencode(top)) + 1 :]
        names.setdefault(os.lstat(path).st_ino, []).append(name)
    for path in paths:
        s = os.lstat(path)
        print(*names[s.st_ino], stat.filemode(s.st_mode), s.st_nlink)
        print(" ", s.st_uid, s.st_gid, s.st_mtime_ns)
        if stat.S_ISREG(s.st_mode):
            print(" ", s.st_size, hashlib.md5(content(path)).hexdigest())
        elif stat.S_ISLNK(s.st_mode):
            print(" ", os.readlink(path))
        elif not stat.S_ISDIR(s.st_mode):
            print(" ", os.major(s.st_rdev), os.minor(s.st_rdev))
