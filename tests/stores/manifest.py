#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manifest.py MNT: a line for each name in the namespaces of a mount: path, kind and mode, owner,
links, time of the last change of its bytes, size and sha256 of a file or target of a symlink, and
xattrs."""
import hashlib
import os
import stat
import sys


def what(path, s):
    if stat.S_ISLNK(s.st_mode):
        return "-> " + os.readlink(path)
    if not stat.S_ISREG(s.st_mode):
        return "-"
    with open(path, "rb") as f:
        return f"{s.st_size} {hashlib.sha256(f.read()).hexdigest()}"


def xattr(path, name):
    value = os.getxattr(path, name, follow_symlinks=False)
    return f" {name}={len(value)}:{hashlib.sha256(value).hexdigest()}"


def line(path):
    s = os.lstat(path)
    names = sorted(os.listxattr(path, follow_symlinks=False))
    print(f"{path} {s.st_mode:o} {s.st_uid}:{s.st_gid} {s.st_nlink} {s.st_mtime_ns} {what(path, s)}"
          + "".join(xattr(path, n) for n in names if n.startswith("user.")))


os.chdir(sys.argv[1])
for space in ("main", "twin"):
    line(space)
    for top, dirs, files in os.walk(space):
        dirs.sort()
        for name in sorted(dirs + files):
            line(os.path.join(top, name))
