# SPDX-License-Identifier: Apache-2.0
"""random_calls: calls drawn by a seed, over few names, so that they meet in all ways.

play(seed, count) makes them and prints each with what came of it; of the tree they make, all that
both filesystems must have in common is printed now and then. Some calls are another user's.
"""
import os
import random
import stat

from calls import (AT_EMPTY_PATH, NOBODY, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW,
                   O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_TRUNC, O_WRONLY, as_user, c, do, linkat,
                   outcome, rename2, word)

NAMES = "a", "b", "c"
FLAGS = (O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_EXCL,
         O_RDWR | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC, O_WRONLY | O_APPEND | O_CREAT,
         O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW, O_PATH | O_DIRECTORY)
MODES = 0o644, 0o600, 0o755, 0o777, 0o1777, 0o2775, 0o6777, 0o4711, 0o444, 0o000
TARGETS = "a", "b/c", "../a", ".", "..", "none", "c/../b"


class Player:
    """The open descriptors, by small numbers that are the same on both sides."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.fds = {}

    def path(self):
        depth = self.r.choices((1, 2, 3, 4), (5, 6, 3, 1))[0]
        path = "/".join(self.r.choice(NAMES) for _ in range(depth))
        return path + self.r.choices(("", "/", "/.", "/.."), (40, 2, 1, 1))[0]

    def keep(self, fd):
        """Remember a descriptor that a call has given, at most eight of them."""
        if fd is None:
            return
        slot = self.r.randrange(8)
        if slot in self.fds:
            os.close(self.fds[slot])
        self.fds[slot] = os.dup2(fd, 100 + slot)
        os.close(fd)

    def any(self):
        """A path, or now and then a descriptor."""
        if self.fds and self.r.random() < 0.3:
            return self.fds[self.r.choice(sorted(self.fds))]
        return self.path()

    def fd(self):
        return self.fds[self.r.choice(sorted(self.fds))] if self.fds else 99

    def off(self):
        return self.r.choice((0, 1, 100, 4095, 4096, 5000, 131071, 131072, 140000, 300000))

    def open(self):
        flags = self.r.choice(FLAGS) | os.O_NONBLOCK  # a fifo would wait
        self.keep(do(os.open, self.path(), flags, self.r.choice(MODES)))

    def tmpfile(self):
        self.keep(do(os.open, self.path(), O_TMPFILE | O_RDWR, self.r.choice(MODES)))

    def close(self):
        if self.fds:
            slot = self.r.choice(sorted(self.fds))
            do(os.close, self.fds.pop(slot))

    def mkdir(self):
        do(os.mkdir, self.path(), self.r.choice(MODES))

    def rmdir(self):
        do(os.rmdir, self.path())

    def unlink(self):
        do(c.unlinkat, -100, self.path(), 0)

    def mknod(self):
        kind = self.r.choice((stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR))
        do(os.mknod, self.path(), kind | self.r.choice(MODES), 0)

    def symlink(self):
        do(os.symlink, self.r.choice(TARGETS), self.path())

    def link(self):
        do(linkat, -100, self.path(), self.path(), self.r.choice((0, 0, 0x400)))

    def link_fd(self):
        do(linkat, self.fd(), "", self.path(), AT_EMPTY_PATH)

    def rename(self):
        do(rename2, self.path(), self.path(), self.r.choice((0, 0, 0, 1, 2, 2, 4)))

    def chmod(self):
        do(os.chmod, self.any(), self.r.choice(MODES))

    def chown(self):
        ids = self.r.choice(((0, 0), (NOBODY, -1), (-1, 7), (NOBODY, NOBODY), (-1, -1)))
        do(os.lchown if self.r.random() < 0.3 else os.chown, self.path(), *ids)

    def truncate(self):
        do(os.truncate, self.any(), self.off())

    def allocate(self):
        mode = self.r.choice((0, 1, 3, 16, 17))
        do(c.fallocate, self.fd(), mode, self.off(), self.r.choice((0, 1, 4096, 140000)))

    def utime(self):
        do(os.utime, self.any(), (self.r.randrange(10**9), self.r.randrange(10**9)))

    def write(self):
        data = bytes([65 + self.r.randrange(26)]) * self.r.choice((0, 1, 100, 4096, 5000, 140000))
        do(os.pwrite, self.fd(), data, self.off())

    def read(self):
        do(os.pread, self.fd(), self.r.choice((0, 1, 100, 4096, 200000)), self.off())

    def copy(self):
        do(os.copy_file_range, self.fd(), self.fd(), self.r.choice((1, 4096, 1 << 20)), 0, 0)

    def setxattr(self):
        do(os.setxattr, self.path(), "user.x", b"v" * self.r.choice((0, 1, 300)),
           self.r.choice((0, 0, os.XATTR_CREATE, os.XATTR_REPLACE)))

    def removexattr(self):
        do(os.removexattr, self.path(), "user.x")

    def stat(self):
        s = do(os.stat, self.any())
        if s:
            print("  ", *facts(s))

    def list(self):
        names, how = outcome(os.listdir, self.path())
        print("list", sorted(names) if names else names, how)


def facts(s):
    size = "-" if stat.S_ISDIR(s.st_mode) else s.st_size
    return stat.filemode(s.st_mode), s.st_nlink, s.st_uid, s.st_gid, size


def survey(top, inodes=None):
    """All that is below, printed."""
    inodes = {} if inodes is None else inodes
    for name in sorted(os.listdir(top)):
        path = f"{top}/{name}"
        s = os.lstat(path)
        print(path, *facts(s), f"#{inodes.setdefault(s.st_ino, len(inodes))}", end=" ")
        if stat.S_ISREG(s.st_mode):
            with open(path, "rb") as f:
                print(word(f.read()), end="")
        if not stat.S_ISLNK(s.st_mode):
            print("", os.listxattr(path))
        else:
            print(os.readlink(path))
        if stat.S_ISDIR(s.st_mode):
            survey(path, inodes)


def play(seed, count):
    p = Player(seed)
    deep = "/".join("12345678")  # so deep that ".." after ".." stays in here
    os.makedirs(deep)
    top = os.getcwd()
    os.chdir(deep)
    os.chmod(".", 0o777)
    weights = {"open": 20, "mkdir": 12, "rmdir": 5, "unlink": 8, "rename": 14, "link": 8,
               "symlink": 5, "mknod": 3, "chmod": 5, "chown": 5, "truncate": 5, "allocate": 4,
               "utime": 2,
               "write": 15, "read": 8, "copy": 3, "setxattr": 3, "removexattr": 1, "stat": 10,
               "list": 3, "close": 3, "tmpfile": 3, "link_fd": 3}
    for i in range(count):
        name = p.r.choices(list(weights), list(weights.values()))[0]
        print(i, end=" ")
        if name not in ("open", "tmpfile", "close") and p.r.random() < 0.15:
            state = p.r.getstate()
            as_user(NOBODY, getattr(p, name))
            p.r.setstate(state)
            p.r.random()
        else:
            getattr(p, name)()
        if i % 200 == 199:
            survey(top)
    survey(top)
