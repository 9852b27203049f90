#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a mode lets whom do: the same on ext4 and on the mount.

    users_modes.py SEED EXT4_DIRECTORY MOUNT_DIRECTORY

For each mode of a file and of the directory it is in, and for each kind of user (owner, member of
the group, member by a supplementary group, other), every operation is tried in both places: what it
says, and what the file is afterwards, must be equal. Modes with set-id, sticky and the corners are
all there; of the others SEED picks some.
"""
import errno, os, random, stat, sys

OWNER, GROUP = 1000, 2000
USERS = {
    "owner": (OWNER, OWNER, []),
    "group": (1001, GROUP, []),
    "supplementary": (1002, 1002, [3000, GROUP]),
    "other": (1003, 1003, [3000]),
    "owner in the group": (OWNER, OWNER, [GROUP]),
}


def read(d, f): return open(f).read()
def write(d, f): open(f, "r+").write("W")
def append(d, f): open(f, "a").write("A")
def cut(d, f): open(f, "w").close()
def truncate(d, f): os.truncate(f, 3)
def execute(d, f): return os.access(f, os.X_OK)
def listing(d, f): return sorted(os.listdir(d))
def search(d, f): return os.stat(f).st_size
def create(d, f): open(os.path.join(d, "new"), "x").close()
def makedir(d, f): os.mkdir(os.path.join(d, "newdir"), 0o777)
def unlink(d, f): os.unlink(f)
def rename(d, f): os.rename(f, os.path.join(d, "renamed"))
def replace(d, f): os.rename(os.path.join(d, "second"), f)
def link(d, f): os.link(f, os.path.join(d, "linked"))
def symlink(d, f): os.symlink("x", os.path.join(d, "sym"))
def chmod(d, f): os.chmod(f, 0o6755)
def chmod_dir(d, f): os.chmod(d, 0o2777)
def chown(d, f): os.chown(f, 1003, -1)
def chgrp(d, f): os.chown(f, -1, GROUP)
def chgrp_same(d, f):
    if not os.lstat(f).st_mode & 0o6000: # with set-id bits: posix_setattr.sh, "differs"
        os.chown(f, -1, -1)
def utimes(d, f): os.utime(f, (5, 6))
def touch(d, f): os.utime(f)
def set_xattr(d, f): os.setxattr(f, "user.x", b"1")
def get_xattr(d, f): return os.getxattr(f, "user.y")
def opens(d, f):
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_PATH):
        os.close(os.open(f, flags))
def nameless(d, f): os.close(os.open(d, os.O_TMPFILE | os.O_WRONLY, 0o600))


OPERATIONS = [read, write, append, cut, truncate, execute, listing, search, create, makedir, unlink,
              rename, replace, link, symlink, chmod, chmod_dir, chown, chgrp, chgrp_same, utimes,
              touch, set_xattr, get_xattr, opens, nameless]


def plant(place, dir_mode, file_mode):
    """A directory d with the files f and second, all the owner's and the group's."""
    d = os.path.join(place, "d")
    os.mkdir(d)
    for name in ("f", "second"):
        with open(os.path.join(d, name), "w") as f:
            f.write("0123456789")
        os.setxattr(os.path.join(d, name), "user.y", b"y")
        os.chown(os.path.join(d, name), OWNER, GROUP)
        os.chmod(os.path.join(d, name), file_mode)
    os.chown(d, OWNER, GROUP)
    os.chmod(d, dir_mode)
    return d


def left(place):
    """All there is afterwards, without times that differ by nature."""
    out = []
    for at, dirs, files in os.walk(place):
        for name in sorted(dirs + files):
            path = os.path.join(at, name)
            st = os.lstat(path)
            out.append((name, oct(st.st_mode), st.st_uid, st.st_gid, st.st_nlink,
                        0 if stat.S_ISDIR(st.st_mode) else st.st_size, int(st.st_mtime) < 10))
    return sorted(out)


def remove(place):
    for at, dirs, files in os.walk(place, topdown=False):
        for name in files:
            os.unlink(os.path.join(at, name))
        for name in dirs:
            path = os.path.join(at, name)
            os.unlink(path) if os.path.islink(path) else os.rmdir(path)


def attempts(place, user):
    """Runs as `user`, in a child: what each operation says, one after the other."""
    uid, gid, groups = USERS[user]
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.umask(0o022)
        os.chdir("/")
        said = []
        for op in ORDER:
            try:
                said.append(f"{op.__name__}={op(place + '/d', place + '/d/f')!r}")
            except OSError as e:
                said.append(f"{op.__name__}={errno.errorcode[e.errno]}")
        os.write(w, " ".join(said).encode())
        os._exit(0)
    os.close(w)
    said = b""
    while data := os.read(r, 65536):
        said += data
    os.close(r)
    os.waitpid(pid, 0)
    return said.decode().split(" ")


def one(place, user, dir_mode, file_mode):
    plant(place, dir_mode, file_mode)
    said = attempts(place, user)
    result = said, left(place)
    remove(place)
    return result


seed, ext4, mount = int(sys.argv[1]), sys.argv[2], sys.argv[3]
rng = random.Random(seed)
print("seed", seed)
CORNERS = [0, 0o777, 0o700, 0o070, 0o007, 0o077, 0o707, 0o400, 0o040, 0o004, 0o200, 0o020, 0o002]


def file_mode():
    """Not set-gid without x for the group: the kernel's FUSE never clears that (fs/fuse/dir.c), ext4
    does where the writer is not in the group. Nobody gains from it: such a file runs as nobody."""
    mode = rng.randrange(0o10000)
    return mode if mode & 0o2010 != 0o2000 else mode | 0o10


cases = [(d, 0o644) for d in CORNERS + [0o1777, 0o2777, 0o3775, 0o1770, 0o2070]]
cases += [(0o777, f) for f in CORNERS + [0o6777, 0o4755, 0o2755, 0o1644]]
cases += [(rng.randrange(0o10000), file_mode()) for _ in range(40)]
bad = done = 0
for dir_mode, mode in cases:
    for user in USERS:
        ORDER = rng.sample(OPERATIONS, 7)
        a, b = one(ext4, user, dir_mode, mode), one(mount, user, dir_mode, mode)
        done += 2 * len(ORDER)
        if a == b:
            continue
        bad += 1
        print(f"{user}, directory {dir_mode:o}, file {mode:o}:")
        print("  ext4 ", *a[0], "\n  tally", *b[0])
        for x in set(a[1]) ^ set(b[1]):
            print("  left on", "ext4" if x in a[1] else "tally", x)
print(f"{done} operations, {bad} differences")
sys.exit(bad > 0)
