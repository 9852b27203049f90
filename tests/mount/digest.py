#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The digest of a tree, made by walking it: digest.py DIRECTORY. It is written from the words of
core/digest/digest.h alone, and knows nothing of the program."""
import hashlib
import os
import stat
import struct
import sys

seen = {}


def text(b):
    return struct.pack("<I", len(b)) + b


def xattrs(path):
    names = sorted(os.fsencode(n) for n in os.listxattr(path, follow_symlinks=False))
    out = struct.pack("<I", len(names))
    for n in names:
        out += text(n) + text(os.getxattr(path, n, follow_symlinks=False))
    return out


def body(path, inside, st):
    if stat.S_ISDIR(st.st_mode):
        return b""
    key = (st.st_dev, st.st_ino)
    if key in seen:
        return b"H" + text(seen[key])
    seen[key] = inside
    if stat.S_ISREG(st.st_mode):
        h = hashlib.sha256()
        with open(path, "rb") as f:
            while piece := f.read(1 << 20):
                h.update(piece)
        return b"F" + struct.pack("<Q", st.st_size) + h.digest()
    if stat.S_ISLNK(st.st_mode):
        return b"L" + text(os.readlink(path))
    if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        return b"D" + struct.pack("<II", os.major(st.st_rdev), os.minor(st.st_rdev))
    return b""


def nodes(top, inside):
    """Each node below, a directory before its entries, which come in the order of their bytes."""
    yield inside
    path = os.path.join(top, inside) if inside else top
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for name in sorted(os.listdir(path)):
            yield from nodes(top, inside + b"/" + name if inside else name)


def main():
    top = os.fsencode(sys.argv[1])
    h = hashlib.sha256(b"tallyfs digest 1\n")
    for inside in nodes(top, b""):
        path = os.path.join(top, inside) if inside else top
        st = os.lstat(path)
        h.update(text(inside))
        h.update(struct.pack("<IIIq", st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns))
        h.update(xattrs(path))
        h.update(body(path, inside, st))
    print(h.hexdigest())


main()
