#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Listing a large directory while it changes, and from cookies.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
mkdir "$M/main/d"
cd "$M/main/d"
seq -f 'name-%05.0f' 1 5000 | xargs touch

claim "5,000 names are listed once each"
mapfile -t listed < <(ls -f)
eq "${#listed[@]}" 5002 "with . and .."
eq "$(printf '%s\n' "${listed[@]}" | sort -u | wc -l)" 5002

claim "while every second one is deleted, those that stay are listed exactly once"
python3 - <<'END'
import os
seen = []
with os.scandir(".") as entries:
    for n, e in enumerate(entries):
        seen.append(e.name)
        i = 2 * (n * 7919 % 2500 + 1)  # some before, some after where the listing stands
        try:
            os.unlink(f"name-{i:05d}")
        except FileNotFoundError:
            pass
left = set(os.listdir("."))
assert len(seen) == len(set(seen)), "listed twice"
assert left <= set(seen), sorted(left - set(seen))[:5]
assert left == {f"name-{i:05d}" for i in range(1, 5001, 2)}, len(left)
END

claim "while names are added, none of the old ones is lost or listed twice"
python3 - <<'END'
import os
old = set(os.listdir("."))
seen = []
with os.scandir(".") as entries:
    for n, e in enumerate(entries):
        seen.append(e.name)
        if n % 10 == 0:
            open(f"later-{n}", "w").close()
assert len(seen) == len(set(seen))
assert old <= set(seen)
END

claim "telldir and seekdir come back to the same place"
python3 - <<'END'
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_ushort),
                ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(dirent)
libc.readdir.argtypes = libc.rewinddir.argtypes = [ctypes.c_void_p]
libc.telldir.argtypes = [ctypes.c_void_p]; libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
d = libc.opendir(b".")
names, places = [], []
while True:
    places.append(libc.telldir(d))
    e = libc.readdir(d)
    if not e: break
    names.append(e.contents.name)
for i in list(range(0, len(names), 97)) + [len(names) - 1]:
    libc.seekdir(d, places[i])
    assert libc.readdir(d).contents.name == names[i], i
libc.rewinddir(d)
assert libc.readdir(d).contents.name == names[0]
END

claim "d_type and d_ino of a listing are those of stat"
mkdir sub
ln -s x sym
python3 - <<'END'
import os
for e in os.scandir("."):
    st = os.lstat(e.name)
    assert e.inode() == st.st_ino, e.name
    assert e.is_dir(follow_symlinks=False) == (e.name == "sub")
    assert e.is_symlink() == (e.name == "sym")
END

claim "the .. of a directory that was listed is its parent, also after it is moved and exchanged"
mkdir -p one/x two/y
python3 - <<'END'
import ctypes, os, time
libc = ctypes.CDLL(None)
class Entry(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_ushort),
                ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Entry)
libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
def listed(path):
    d = libc.opendir(path.encode())
    seen = {}
    while e := libc.readdir(d):
        seen[e.contents.name] = e.contents.ino
    libc.closedir(d)
    return seen
def is_right(path):
    return listed(path)[b".."] == os.stat(os.path.dirname(path)).st_ino
# A rename waits a short time for the kernel to drop the old listing, which a busy machine may exceed.
def check(path):
    end = time.monotonic() + 60
    while not is_right(path):
        assert time.monotonic() < end, path
    assert is_right(path), "the kernel keeps it"
check("one/x")
check("two/y")
os.rename("one/x", "two/x")
check("two/x")
os.rename("two/x", "one/x")
assert libc.renameat2(-100, b"one/x", -100, b"two/y", 2) == 0
check("one/x")
check("two/y")
END

claim "rm -r of it all"
cd "$M/main"
rm -r d
eq "$(ls -A)" ""
finish
