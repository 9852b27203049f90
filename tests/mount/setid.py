#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Set-id programs that another may write: whoever changes their bytes must not run with their rights.

    setid.py DIRECTORY        as root; DIRECTORY is on the filesystem that is tried

Each way of changing a file is tried as an ordinary user, who then executes it at once: a stat before
would have the kernel look at the mode anew, and hide that it had not.
"""
import ctypes
import mmap
import os
import struct
import sys

CAPABILITY = bytes.fromhex("0100000280000000000000000000000000000000")  # cap_setuid, effective
USER, GROUP, OWN_GROUP = 1000, 2000, 2001
# Mode, owner, group: others may write it; the user's group may; it is the user's own, not the
# group.
KINDS = ((0o4777, 0, 0), (0o2777, 0, GROUP), (0o6775, 0, OWN_GROUP), (0o2755, USER, GROUP))
PROGRAM = open("/usr/bin/id", "rb").read()
OTHER = PROGRAM + b"\0"  # runs as well
FALLOC_KEEP, FALLOC_PUNCH, FALLOC_ZERO = 1, 2, 16
libc = ctypes.CDLL(None, use_errno=True)


def checked(r):
    if r < 0:
        raise OSError(ctypes.get_errno(), "")
    return r


def fallocate(fd, mode, off, length):
    checked(libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)))


def write_all(fd, data=OTHER):
    os.lseek(fd, 0, os.SEEK_SET)
    while data:
        data = data[os.write(fd, data):]


def opened(flags, write=write_all):
    def way(path):
        fd = os.open(path, flags)
        write(fd)
        os.close(fd)
    return way


def write_direct(fd):
    size = len(OTHER) & ~4095
    with mmap.mmap(-1, size) as buf:
        buf.write(OTHER[:size])
        os.pwrite(fd, buf, 0)


def reopen(path):
    fd = os.open(path, os.O_RDONLY)
    opened(os.O_WRONLY | os.O_TRUNC)(f"/proc/self/fd/{fd}")
    os.close(fd)


def copy_range(fd):
    src = os.open("source", os.O_RDONLY)
    while os.copy_file_range(src, fd, 1 << 20):
        pass
    os.close(src)


def send_file(fd):
    src = os.open("source", os.O_RDONLY)
    while os.sendfile(fd, src, None, 1 << 20):
        pass
    os.close(src)


def truncate(path):
    os.truncate(path, len(PROGRAM) + 1)


def two_handles(path):
    first, second = os.open(path, os.O_WRONLY), os.open(path, os.O_RDWR)
    write_all(first)
    os.close(first)
    write_all(second)
    os.close(second)


def creat(path):
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
    write_all(fd)
    os.close(fd)


W, RW, T = os.O_WRONLY, os.O_RDWR, os.O_TRUNC
WAYS = {
    "open(O_WRONLY|O_TRUNC)": opened(W | T),
    "open(O_RDWR|O_TRUNC)": opened(RW | T),
    "open(O_WRONLY|O_TRUNC|O_APPEND)": opened(W | T | os.O_APPEND),
    "open(O_WRONLY|O_TRUNC|O_SYNC)": opened(W | T | os.O_SYNC),
    "open(O_CREAT|O_TRUNC)": creat,
    "open(O_WRONLY|O_TRUNC) of /proc/self/fd": reopen,
    "open(O_TRUNC), nothing written": opened(W | T, lambda fd: None),
    "write": opened(W),
    "write, read-write": opened(RW),
    "write(O_APPEND)": opened(W | os.O_APPEND, lambda fd: os.write(fd, b"\0")),
    "write(O_DIRECT)": opened(W | os.O_DIRECT, write_direct),
    "write(O_SYNC)": opened(W | os.O_SYNC),
    "write by two handles": two_handles,
    "pwritev": opened(W, lambda fd: os.pwritev(fd, [OTHER[:100], OTHER[100:]], 0)),
    "truncate": truncate,
    "ftruncate": opened(W, lambda fd: os.ftruncate(fd, len(PROGRAM) + 1)),
    "fallocate": opened(W, lambda fd: fallocate(fd, 0, 0, len(PROGRAM) + 4096)),
    "fallocate(KEEP_SIZE)": opened(W, lambda fd: fallocate(fd, FALLOC_KEEP, 1 << 20, 4096)),
    "fallocate(PUNCH_HOLE)": opened(W, lambda fd: fallocate(
        fd, FALLOC_KEEP | FALLOC_PUNCH, 1 << 20, 4096)),
    "fallocate(ZERO_RANGE)": opened(W, lambda fd: fallocate(
        fd, FALLOC_KEEP | FALLOC_ZERO, 1 << 20, 4096)),
    "copy_file_range": opened(W, copy_range),
    "copy_file_range into nothing": opened(W | T, copy_range),
    "sendfile": opened(W, send_file),
}


def in_child(function):
    """The text that a child process writes: it calls function(into), which writes there, and ends."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            function(into)
        finally:
            os._exit(1)
    os.close(into)
    with open(out, "rb") as f:
        said = f.read().decode()
    os.waitpid(pid, 0)
    return said


def run(path):
    """What the program at `path` says of who runs it; empty if it cannot be executed."""
    def execute(into):
        os.dup2(into, 1)
        os.execv(path, [path])
    return in_child(execute)


def as_user(function):
    """The text that function() returns, called as the user."""
    def call(into):
        try:
            os.setgroups([OWN_GROUP])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            os.write(into, function().encode())
        except BaseException as e:
            os.write(into, f"failed: {e!r}".encode())
    return in_child(call)


def prepare(path, mode, owner, group):
    """A program with these rights, of which the kernel knows, as it is executed once."""
    with open(path, "wb") as f:
        f.write(PROGRAM)
    os.chown(path, owner, group)
    os.chmod(path, mode)
    said = as_user(lambda: run(path))
    assert ("euid=0" in said) == bool(mode & 0o4000), said
    assert (f"egid={group}" in said) == bool(mode & 0o2000), said


def harmless(name, said):
    if said.startswith("failed") or "euid=" in said or "egid=" in said:
        print(f"{name}: {said.strip()}")
        return False
    return True


def kept_mode(path):
    """The mode by which the kernel would execute it just now: what it has, without asking."""
    buf = ctypes.create_string_buffer(256)
    checked(libc.statx(-100, path.encode(), 0x4000, 2, buf))  # AT_STATX_DONT_SYNC, STATX_MODE
    return struct.unpack_from("<H", buf, 28)[0] & 0o7777


def changed(path, way):
    """Change it, and execute it at once."""
    way(path)
    kept = kept_mode(path)
    said = run(path)
    return said if kept & 0o6000 == 0 else f"failed: the kernel has {kept:o}; {said}"


def attack(path, way):
    return as_user(lambda: changed(path, way))


def lose_capability(way_name, way):
    """A capability of the file goes as well, for anybody's change."""
    good = True
    for user in False, True:
        prepare("victim", 0o777, 0, 0)
        os.setxattr("victim", "security.capability", CAPABILITY)
        said = as_user(lambda: way("victim") or "") if user else way("victim") or ""
        if "security.capability" in os.listxattr("victim") or said:
            print(f"{way_name}: the capability stays; {said}")
            good = False
    return good


def tries(way_name, way):
    """Every kind of set-id file; also by another of its names."""
    good = True
    for mode, owner, group in KINDS:
        prepare("victim", mode, owner, group)
        good &= harmless(f"{way_name}, {mode:o}", attack("victim", way))
    prepare("victim", 0o4777, 0, 0)
    os.link("victim", "name")

    def by_name():
        way("name")
        return run("victim")
    good &= harmless(f"{way_name}, by another name", as_user(by_name))
    os.unlink("name")
    return good & lose_capability(way_name, way)


def main():
    os.chdir(sys.argv[1])
    os.chmod(".", 0o777)
    with open("source", "wb") as f:
        f.write(OTHER)
    os.chmod("source", 0o644)
    good = [tries(*item) for item in WAYS.items()]
    sys.exit(not all(good))


main()
