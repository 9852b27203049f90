# SPDX-License-Identifier: Apache-2.0
"""calls: what the snippets of the comparison with ext4 (compare.py) can use without an import.

They print results, never what differs by nature: inode numbers become ordinals (ino), times "moved
or not" (moved). Text goes to standard output in the order of the calls.
"""
# pylint: disable=unused-import
import array
import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import traceback

globals().update((k, v) for k, v in vars(os).items() if k.startswith("O_"))
NOBODY = 65534
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x400, 0x1000
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
CLOCK_REALTIME_COARSE = 5
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


# ---- calling ----


class Libc:
    """Any function of the C library: c.renameat2(…) raises OSError where it gives -1."""

    LONG = {"copy_file_range", "splice", "tee", "vmsplice", "lseek", "readlinkat", "syscall"}

    def __init__(self):
        self.lib = ctypes.CDLL(None, use_errno=True)

    def __getattr__(self, name):
        function = getattr(self.lib, name)
        function.restype = ctypes.c_long if name in self.LONG else ctypes.c_int

        def call(*args):
            r = function(*[self.convert(a) for a in args])
            if r == -1:
                raise OSError(ctypes.get_errno(), name)
            return r

        call.__name__ = name
        return call

    @staticmethod
    def convert(a):
        if isinstance(a, str):
            return ctypes.c_char_p(os.fsencode(a))
        if isinstance(a, bytes):
            return ctypes.c_char_p(a)
        return ctypes.c_long(a) if isinstance(a, int) else a


c = Libc()


def word(x):
    """A value as it is printed: short, and the same on both sides."""
    if isinstance(x, (str, bytes)) and len(x) > 100:
        return f"<{len(x)} of {x[:8]!r}>"
    if isinstance(x, os.stat_result):
        return stat.filemode(x.st_mode)
    return getattr(x, "__name__", repr(x)) if callable(x) else repr(x)


def outcome(f, *args, **kw):
    """(what it gave, "OK" or the errno's name)"""
    try:
        return f(*args, **kw), "OK"
    except OSError as e:
        return None, errno.errorcode.get(e.errno, str(e))


def do(f, *args, **kw):
    """Call it, print what came of it, and give it back (None after an error)."""
    r, how = outcome(f, *args, **kw)
    words = [word(a) for a in args] + [f"{k}={word(v)}" for k, v in kw.items()]
    got = "" if r is None else f" {word(r)}"
    print(f"{getattr(f, '__name__', 'it')}({', '.join(words)}): {how}{got}")
    return r


def rename2(old, new, flags):
    c.renameat2(AT_FDCWD, old, AT_FDCWD, new, flags)


def linkat(fd, old, new, flags):
    c.linkat(fd, old, AT_FDCWD, new, flags)


def make(path, data=b"", mode=0o644):
    """A file with bytes in it."""
    fd = os.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    os.fchmod(fd, mode)
    os.write(fd, data)
    os.close(fd)


def content(path):
    with open(path, "rb") as f:
        return f.read()


def ls(path="."):
    """Names in a fixed order: each filesystem lists them in its own."""
    return sorted(os.listdir(path))


# ---- printing ----

_inodes = {}


def ino(path):
    """The inode number as an ordinal: the first one that was asked for is 0."""
    s = os.fstat(path) if isinstance(path, int) else os.lstat(path)
    return _inodes.setdefault(s.st_ino, len(_inodes))


def show(*paths, fields="mode nlink uid gid size"):
    """Print these fields of what the paths, or descriptors, are (links are not followed)."""
    for path in paths:
        s, how = outcome(os.fstat if isinstance(path, int) else os.lstat, path)
        words = [how]
        for field in fields.split() if s else ():
            value = getattr(s, f"st_{field}")
            if field == "mode":
                value = stat.filemode(value)
            elif field == "ino":
                value = ino(path)
            elif field == "size" and stat.S_ISDIR(s.st_mode):
                value = "-"
            words.append(f"{field}={value}")
        print(word(path), *words)


def tree(top="."):
    """Print every name below, with type, links, which inode, and the content."""
    for name in sorted(os.listdir(os.fsencode(top))):
        path = os.path.join(os.fsencode(top), name)
        s = os.lstat(path)
        what = ""
        if stat.S_ISREG(s.st_mode):
            what = word(content(path))
        elif stat.S_ISLNK(s.st_mode):
            what = word(os.readlink(path))
        print(path, stat.filemode(s.st_mode), s.st_nlink, f"#{ino(path)}", what)
        if stat.S_ISDIR(s.st_mode):
            tree(path)


# ---- times ----


def times(path):
    s = os.fstat(path) if isinstance(path, int) else os.lstat(path)
    return s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns


def tick():
    """Wait until a time stamp taken now is later than all before: a kernel's clock is coarse."""
    start = time.clock_gettime_ns(time.CLOCK_REALTIME)
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= start:
        time.sleep(0.001)


def moved(change, *paths, of="mc"):
    """Print which times of the paths move by a change: "m", "c"; "a" where atime is the subject."""
    before = [times(p) for p in paths]
    tick()
    _, how = outcome(change)
    after = [outcome(times, p)[0] for p in paths]
    words = []
    for path, old, new in zip(paths, before, after):
        if new is None:
            words.append(f"{word(path)}=gone")
            continue
        went = "".join(k for k, x, y in zip("amc", old, new) if k in of and x != y)
        if any(y < x for x, y in zip(old, new)):
            went += " (back)"
        words.append(f"{word(path)}={went or '-'}")
    print("moved:", how, *words)


# ---- other users, other processes ----


def child(f, *args):
    """Run it in a process of its own, which prints, too. Gives the pid: see ended()."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        f(*args)
    except OSError as e:
        print("child:", errno.errorcode.get(e.errno, e))
    except BaseException:  # pylint: disable=broad-exception-caught
        traceback.print_exc(limit=-2, file=sys.stdout)  # compare.py takes it for a mistake
    sys.stdout.flush()
    os._exit(0)


def ended(pid):
    _, status = os.waitpid(pid, 0)
    if status:
        print("a child ended with", status)


def as_user(uid, f, *args, gid=None, groups=()):
    """Run it as another user."""

    def other():
        os.setgroups(list(groups))
        os.setgid(uid if gid is None else gid)
        os.setuid(uid)
        f(*args)

    ended(child(other))
