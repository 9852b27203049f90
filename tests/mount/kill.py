#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill: writers at work on a mount whose daemon is killed at random moments, and what is there then.

    kill.py TALLY STORE MNT DIR KILLS SEED [gentle] [beside] [threads|uring|both]

Each writer has a directory of its own in the namespace main and writes down in DIR, outside of the
mount, what it is about to do and, when the call has returned, that it has. So for each there is a
history whose every call but the last is known to have returned. One more process makes, branches,
renames and drops namespaces, through mkdir and the control file. After each SIGKILL (or, gentle,
SIGTERM) the store is mounted again, and all must be there with exactly those bytes: names, contents,
link counts, modes, extended attributes. The call that was in flight may have happened or not, not by
half (of a write see halfway()). Some writes go through a shared mapping: they have returned when
msync has, or when close has and the daemon is alive after it. (A kernel that cannot send a dirty
page any more drops it, and close says nothing of that.) A branch must be its source at one instant between the call and its
return: some prefix of each writer's history. Every now and then the store is unmounted and checked;
with `beside`, where others use the mount, too, it is killed and checked. Requests come as `auto` has
it, or as the last argument says; for uring and both the kernel's switch is on while a mount begins.
Prints what it did; the first thing that is wrong ends it with exit code 1.
"""
import errno
import fcntl
import json
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time

TALLY, STORE, MNT, DIR = sys.argv[1:5]
KILLS, SEED = int(sys.argv[5]), int(sys.argv[6])
GENTLE = "gentle" in sys.argv[7:]
BESIDE = "beside" in sys.argv[7:]
TRANSPORT = next((a for a in sys.argv[7:] if a in ("threads", "uring", "both")), "auto")
SWITCH = "/sys/module/fuse/parameters/enable_uring"
WRITERS = 4
FILES_MAX, BYTES_MAX = 40, 6 << 20
LARGE = 128 << 10  # above, bytes are in a slot, which is written in place
PAGE = 4096
# What a call says when the daemon is gone.
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENODEV, errno.ESHUTDOWN, errno.EINTR,
        errno.ECANCELED)  # by io_uring


def gone(error):
    """The daemon is. While it ends, requests in its rings may end with any errno."""
    if error.errno in GONE:
        return True
    try:
        os.statvfs(".")
    except OSError as e:
        return e.errno in GONE
    return False


class Wrong(Exception):
    """Something is not as it must be: a sentence."""


def pattern(seed, n, length):
    return random.Random(f"{seed}.{n}").randbytes(length)


# ---- what a writer's directory must be ----

class File:
    """Immutable: a change makes a new one."""
    __slots__ = ("data", "mode", "xattrs")

    def __init__(self, data=b"", mode=0o644, xattrs=()):
        self.data, self.mode, self.xattrs = data, mode, tuple(xattrs)

    def key(self):
        return (self.data, self.mode, self.xattrs)


class Tree:
    """names: path -> inode number | "dir" | ("link", target); files: inode number -> File."""

    def __init__(self):
        self.names, self.files, self.next = {}, {}, 1

    def copy(self):
        t = Tree()
        t.names, t.files, t.next = dict(self.names), dict(self.files), self.next
        return t

    def paths(self, kind):
        return [p for p, v in self.names.items() if
                (isinstance(v, int) if kind == "file" else v == "dir" if kind == "dir"
                 else isinstance(v, tuple))]

    def bytes(self):
        return sum(len(f.data) for f in self.files.values())

    def forget(self, path):
        v = self.names.pop(path, None)
        if isinstance(v, int) and v not in self.names.values():
            del self.files[v]

    def change(self, path, **what):
        f = self.files[self.names[path]]
        fields = {"data": f.data, "mode": f.mode, "xattrs": f.xattrs}
        fields.update(what)
        self.files[self.names[path]] = File(**fields)

    def apply(self, op):
        verb, a = op["op"], op
        if verb == "create":
            self.names[a["path"]] = self.next
            self.files[self.next] = File(mode=a["mode"])
            self.next += 1
        elif verb == "write":
            data, new = self.files[self.names[a["path"]]].data, pattern(SEED, a["key"], a["len"])
            off = len(data) if a["off"] < 0 else a["off"]
            data = data.ljust(off, b"\0")
            self.change(a["path"], data=data[:off] + new + data[off + len(new):])
        elif verb == "map":
            data, new = self.files[self.names[a["path"]]].data, pattern(SEED, a["key"], a["len"])
            self.change(a["path"], data=data[:a["off"]] + new + data[a["off"] + a["len"]:])
        elif verb == "truncate":
            data = self.files[self.names[a["path"]]].data
            self.change(a["path"], data=data[:a["len"]].ljust(a["len"], b"\0"))
        elif verb == "rename":
            if a["path"] != a["to"] and self.names[a["path"]] != self.names.get(a["to"], None):
                moved = self.names[a["path"]]
                self.forget(a["to"])
                del self.names[a["path"]]
                self.names[a["to"]] = moved
        elif verb == "unlink":
            self.forget(a["path"])
        elif verb == "mkdir":
            self.names[a["path"]] = "dir"
        elif verb == "rmdir":
            del self.names[a["path"]]
        elif verb == "link":
            self.names[a["to"]] = self.names[a["path"]]
        elif verb == "symlink":
            self.names[a["path"]] = ("link", a["to"])
        elif verb == "chmod":
            self.change(a["path"], mode=a["mode"])
        elif verb == "setxattr":
            f = self.files[self.names[a["path"]]]
            x = dict(f.xattrs)
            x["user.k"] = pattern(SEED, a["key"], a["len"])
            self.change(a["path"], xattrs=sorted(x.items()))
        elif verb != "fsync":
            raise AssertionError(verb)

    def facts(self):
        """What look() finds."""
        links = {}
        for v in self.names.values():
            links[v] = links.get(v, 0) + 1
        return {p: (self.files[v].key() + (links[v],)) if isinstance(v, int) else v
                for p, v in self.names.items()}


def look(top):
    """A directory as it is."""
    found = {}
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(where, name)
            rel = os.path.relpath(path, top)
            st = os.lstat(path)
            if stat.S_ISDIR(st.st_mode):
                found[rel] = "dir"
            elif stat.S_ISLNK(st.st_mode):
                found[rel] = ("link", os.readlink(path))
            else:
                with open(path, "rb") as f:
                    data = f.read()
                if len(data) != st.st_size:
                    raise Wrong(f"{path}: {st.st_size} bytes, of which {len(data)} can be read")
                xattrs = tuple(sorted((n, os.getxattr(path, n)) for n in os.listxattr(path)))
                found[rel] = (data, stat.S_IMODE(st.st_mode), xattrs, st.st_nlink)
    return found


def ranges(want, got):
    """Where two contents differ: byte ranges of whole pages, but for the first and the last byte."""
    size, said = max(len(want), len(got)), []
    at = 0
    while at < size:
        end = min(size, (at // PAGE + 1) * PAGE)
        bad = [i for i in range(at, end) if want[i:i + 1] != got[i:i + 1]]
        if bad:
            zeros = not any(got[bad[0]:bad[-1] + 1])
            if said and said[-1][1] == at and said[-1][2] == zeros:
                said[-1][1] = bad[-1] + 1
            else:
                said.append([bad[0], bad[-1] + 1, zeros])
        at = end
    return ", ".join(f"{a} to {b - 1}{' (zeros)' if z else ''}" for a, b, z in said)


def recent(calls, path):
    """The calls of this round that changed the file which has this name at their end."""
    names, ret = {path}, []
    for op in reversed(calls):
        if op["op"] in ("rename", "link") and op["to"] in names:
            names.add(op["path"])
        if op["op"] != "fsync" and (op.get("path") in names or op.get("to") in names):
            ret.append(" ".join(f"{k}={v}" for k, v in op.items()))
        if op["op"] == "create" and op["path"] in names:
            break
    return "".join(f"\n    {line}" for line in reversed(ret)) or " none"


def difference(want, got):
    for p in sorted(set(want) | set(got)):
        w, g = want.get(p), got.get(p)
        if w == g:
            continue
        if w is None or g is None or isinstance(w, str) or isinstance(g, str) or len(w) != len(g) \
                or len(w) == 2:
            def short(v):
                return "missing" if v is None else f"{len(v[0])} bytes" if len(v) == 4 else repr(v)
            return f"{p}: {short(g)}, not {short(w)}"
        if w[0] != g[0]:
            return f"{p}: {len(g[0])} bytes, not {len(w[0])}; they differ in {ranges(w[0], g[0])}"
        return f"{p}: {g[1:]} and not {w[1:]}"
    return ""


# ---- writers ----

class History:
    """A writer's file of intents and returns."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC)

    def add(self, record):
        line = (json.dumps(record) + "\n").encode()
        if os.write(self.fd, line) != len(line):
            raise AssertionError("a short write outside of the mount")

    def call(self, op, fn):
        """False: the daemon is gone."""
        self.add(op)
        try:
            fn()
        except OSError as e:
            if not gone(e):
                self.add({"wrong": f"{op}: {e}"})
                raise
            return False
        self.add({"done": 1})
        return True


def read_history(path):
    """The calls, and how many of them are known to have returned: all, or all but the last."""
    calls, done = [], 0
    with open(path) as f:
        for line in f:
            r = json.loads(line)
            if "wrong" in r:
                raise Wrong(f"a call failed: {r['wrong']}")
            if "done" in r:
                done += 1
            else:
                calls.append(r)
    if done not in (len(calls), len(calls) - 1):
        raise AssertionError(path)
    return calls, done


def choose(rng, tree, number):
    """A call that must succeed."""
    files, dirs, links = tree.paths("file"), tree.paths("dir"), tree.paths("link")

    def fresh():
        where = rng.choice(dirs) + "/" if dirs and rng.random() < 0.6 else ""
        return f"{where}n{number}"
    dice = rng.random()
    room = len(files) < FILES_MAX and tree.bytes() < BYTES_MAX
    if not files or (dice < 0.18 and room):
        return {"op": "create", "path": fresh(), "mode": rng.choice((0o644, 0o600, 0o755))}
    path = rng.choice(files)
    if dice < 0.50 and tree.bytes() < BYTES_MAX:
        size = len(tree.files[tree.names[path]].data)
        length = rng.choice((1, 100, 3000, 4096, 20000, 70000) + ((300000,) if dice < 0.2 else ()))
        off = -1 if rng.random() < 0.5 else rng.randrange(size + 5000)
        return {"op": "write", "path": path, "off": off, "len": length, "key": number}
    if dice < 0.53:
        size = len(tree.files[tree.names[path]].data)
        return {"op": "truncate", "path": path, "len": rng.randrange(size + 100)}
    if dice < 0.57:
        size = len(tree.files[tree.names[path]].data)
        if size > 0:
            off = rng.randrange(size)
            return {"op": "map", "path": path, "off": off, "key": number,
                    "len": min(size - off, rng.choice((1, 5000, 40000))),
                    "sync": rng.random() < 0.5}
    if dice < 0.68:
        to = rng.choice(files) if rng.random() < 0.6 else fresh()
        return {"op": "rename", "path": path, "to": to}
    if dice < 0.78:
        return {"op": "unlink", "path": rng.choice(files + links)}
    if dice < 0.82 and len(dirs) < 6:
        return {"op": "mkdir", "path": f"d{number}"}
    if dice < 0.84:
        empty = [d for d in dirs if not any(p.startswith(d + "/") for p in tree.names)]
        if empty:
            return {"op": "rmdir", "path": empty[0]}
    if dice < 0.88 and room:
        return {"op": "link", "path": path, "to": fresh()}
    if dice < 0.90 and len(links) < 10:
        return {"op": "symlink", "path": fresh(), "to": f"to/{number}"}
    if dice < 0.93:
        return {"op": "chmod", "path": path, "mode": rng.choice((0o644, 0o640, 0o700))}
    if dice < 0.97:
        return {"op": "setxattr", "path": path, "key": number, "len": rng.choice((3, 200, 3000))}
    return {"op": "fsync", "path": path}


def write_mapped(fd, op):
    """Closes fd: what a mapping has made dirty the kernel writes at msync, or at a close. That close
    is the first: a mapping of Python's has a descriptor of its own, and says nothing of its errors.
    A close says nothing when there is no daemon any more, so the daemon is asked for something."""
    try:
        m = mmap.mmap(fd, 0)
        m[op["off"]:op["off"] + op["len"]] = pattern(SEED, op["key"], op["len"])
        if op["sync"]:
            m.flush()
    finally:
        os.close(fd)
    m.close()
    if not op["sync"]:
        os.statvfs(".")


def perform(op, fds):
    """Opened before the intent is written down (fds), so that it is one call."""
    verb, path = op["op"], op["path"]
    if verb == "create":
        fds.append(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, op["mode"]))
    elif verb == "write":
        data = pattern(SEED, op["key"], op["len"])
        n = os.write(fds[0], data) if op["off"] < 0 else os.pwrite(fds[0], data, op["off"])
        if n != len(data):
            raise OSError(errno.EIO, "short write")
    elif verb == "map":
        write_mapped(fds.pop(), op)
    elif verb == "truncate":
        os.truncate(path, op["len"])
    elif verb == "rename":
        os.rename(path, op["to"])
    elif verb == "unlink":
        os.unlink(path)
    elif verb == "mkdir":
        os.mkdir(path)
    elif verb == "rmdir":
        os.rmdir(path)
    elif verb == "link":
        os.link(path, op["to"])
    elif verb == "symlink":
        os.symlink(op["to"], path)
    elif verb == "chmod":
        os.chmod(path, op["mode"])
    elif verb == "setxattr":
        os.setxattr(path, "user.k", pattern(SEED, op["key"], op["len"]))
    elif verb == "fsync":
        os.fsync(fds[0])


def open_for(op):
    flags = {"write": os.O_WRONLY | (os.O_APPEND if op.get("off", 0) < 0 else 0),
             "map": os.O_RDWR, "fsync": os.O_RDONLY}.get(op["op"])
    return [] if flags is None else [os.open(op["path"], flags)]


def write_for_ever(w, tree, base, history):
    """A writer's life, in its directory: until the daemon is gone."""
    rng = random.Random(f"{SEED}.{base}.{w}")
    os.umask(0)
    for number in range(base, base + 10**6):
        op = choose(rng, tree, number * WRITERS + w)
        try:
            fds = open_for(op)
        except OSError as e:
            if gone(e):
                return
            raise
        alive = history.call(op, lambda: perform(op, fds))
        for fd in fds:
            try:
                os.close(fd)
            except OSError:  # gone
                alive = False
        if not alive:
            return
        tree.apply(op)


# ---- namespaces ----

def control(line):
    """In the mount that one is in, also when it is none any more."""
    fd = os.open(".tally/control", os.O_RDWR)
    try:
        os.write(fd, line.encode() + b"\n")
    finally:
        os.close(fd)


def counts(histories):
    """Of each writer: calls begun, calls that have returned."""
    ret = []
    for h in histories:
        with open(h, "rb") as f:
            lines = f.read().split(b"\n")[:-1]
        done = sum(line == b'{"done": 1}' for line in lines)
        ret.append((len(lines) - done, done))
    return ret


def rule_for_ever(names, base, history, histories):
    """The life of the one who makes namespaces, in the mount's root."""
    rng = random.Random(f"{SEED}.{base}.ns")
    for number in range(base, base + 10**6):
        time.sleep(rng.random() * 0.05)
        dice, name = rng.random(), f"x{number}"
        if dice < 0.5 and len(names) < 5:
            op = {"op": "branch", "name": name, "from": [done for _, done in counts(histories)]}
            fn = lambda: control(f"branch main {name}")
        elif dice < 0.65 and len(names) < 5:
            op, fn = {"op": "mkns", "name": name}, lambda: os.mkdir(name)
        elif not names:
            op = {"op": "set", "name": ""}
            fn = lambda: control(f"set flush_interval {rng.choice((100, 300, 5000))}ms")
        elif dice < 0.8:
            old = rng.choice(names)
            op, fn = {"op": "mvns", "name": name, "old": old}, lambda: os.rename(old, name)
        else:
            name = rng.choice(names)
            op, fn = {"op": "drop", "name": name}, lambda: control(f"drop {name}")
        if not history.call(op, fn):
            return
        if op["op"] == "branch":  # it was made by now
            history.add({"op": "until", "name": name, "to": [n for n, _ in counts(histories)]})
            history.add({"done": 1})
        if op["op"] in ("branch", "mkns", "mvns"):
            names.append(name)
        if op["op"] in ("drop", "mvns"):
            names.remove(op.get("old", name))


# ---- the store ----

class Switch:
    """The kernel's switch for io_uring: on while a mount begins, then again as it was. Others that
    care lock the file, too (ring.sh)."""

    def __init__(self):
        self.fd, self.before = -1, ""

    def on(self):
        self.fd = os.open(SWITCH, os.O_RDWR)
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        self.before = os.pread(self.fd, 1, 0)
        os.pwrite(self.fd, b"Y", 0)

    def back(self):
        if self.fd >= 0:
            os.pwrite(self.fd, self.before, 0)
            os.close(self.fd)
            self.fd = -1


class Mount:
    def __init__(self, rng):
        self.daemon, self.rng, self.switch = None, rng, Switch()
        self.began = {"auto": 0, "threads": 0, "uring": 0}

    def start(self):
        """True, or False: it ended before it had mounted."""
        how = self.rng.choice(("threads", "uring")) if TRANSPORT == "both" else TRANSPORT
        self.began[how] += 1
        if how == "uring":
            self.switch.on()
        with open(f"{DIR}/log", "ab") as log:
            self.daemon = subprocess.Popen(
                [TALLY, "mount", "-f", "-o", f"transport={how}", STORE, MNT],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @staticmethod
    def answers():
        """Mounted, and what it begins with agreed with the kernel."""
        return os.path.ismount(MNT) and os.path.isdir(f"{MNT}/main")

    def wait_mounted(self):
        for _ in range(20000):
            if self.daemon.poll() is not None:
                raise Wrong(f"the daemon ended instead of mounting: {self.daemon.returncode}")
            if self.answers():
                self.switch.back()
                return
            time.sleep(0.01)
        raise Wrong("it does not mount")

    def kill(self):
        if self.daemon is None:
            return
        self.switch.back()
        self.daemon.send_signal(signal.SIGTERM if GENTLE else signal.SIGKILL)
        try:
            self.daemon.wait(200)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            raise Wrong("the daemon does not end") from None
        self.daemon = None
        self.clear()

    @staticmethod
    def clear():
        while subprocess.run(["umount", "-l", MNT], capture_output=True).returncode == 0:
            pass

    def unmount(self):
        if subprocess.run([TALLY, "umount", MNT]).returncode != 0:
            raise Wrong("tally umount failed")
        if self.daemon.wait(200) != 0:
            raise Wrong(f"the daemon ended with {self.daemon.returncode}")
        self.daemon = None

    def leave(self):
        """Those who are beside us keep it busy: then it is killed."""
        if BESIDE:
            self.kill()
        else:
            self.unmount()

    @staticmethod
    def check():
        r = subprocess.run([TALLY, "check", STORE], capture_output=True, text=True)
        if r.returncode != 0:
            raise Wrong(f"tally check: {r.stdout}{r.stderr}")


# ---- verifying ----

def halfway(op, before, found):
    """The tree amid a write in flight, if that is what is found; or None. The kernel sends a write
    that begins within a page it does not have as two, cut at the end of that page; and the bytes of
    a large file go to their place one page after the other. A mapping's pages go one by one, and any
    of them while it is being written to."""
    if op["op"] not in ("write", "truncate", "map") or op["path"] not in found:
        return None
    after = before.copy()
    after.apply(op)
    old = before.files[before.names[op["path"]]].data
    new = after.files[after.names[op["path"]]].data
    data = found[op["path"]][0]
    size = len(data)
    if max(len(old), len(new)) > LARGE or op["op"] == "map":
        a, b = old.ljust(size, b"\0"), new.ljust(size, b"\0")
        right = min(len(old), len(new)) <= size <= max(len(old), len(new)) and \
            all(data[i] in (a[i], b[i]) for i in range(size))
    else:
        off = len(old) if op.get("off", 0) < 0 else op.get("off", 0)
        cut = (off // PAGE + 1) * PAGE
        right = op["op"] == "write" and cut < off + op["len"] and data == new[:cut] + old[cut:]
    if not right:
        return None
    t = before.copy()
    t.change(op["path"], data=data)
    return t if t.facts() == found else None


def settle(top, calls, done, tree):
    """The tree after a history, as far as it was known to have returned, is what is found in `top`;
    or that and the call in flight. Returns it."""
    for op in calls[:done]:
        tree.apply(op)
    found = look(top)
    if tree.facts() == found:
        return tree
    said = difference(tree.facts(), found)
    if done == len(calls):
        raise Wrong(f"{top}: {said}; all calls had returned. Its calls since the last start:"
                    f"{recent(calls, said.split(':')[0])}")
    after = tree.copy()
    after.apply(calls[done])
    if after.facts() == found:
        return after
    t = halfway(calls[done], tree, found)
    if t is not None:
        return t
    raise Wrong(f"{top}: {said}; or, after {calls[done]}: {difference(after.facts(), found)}. Its calls "
                f"since the last start:{recent(calls, said.split(':')[0])}")


class World:
    """What must be in the mount."""

    def __init__(self):
        self.trees = [Tree() for _ in range(WRITERS)]
        self.spaces = {}  # name -> the facts of each writer's directory, [] of an empty one
        self.calls = self.branches = self.in_flight = 0

    def verify_branch(self, name, since, until, histories, before):
        """It is each writer's directory after some number of its calls."""
        facts = []
        for w, (calls, _) in enumerate(histories):
            found, tree = look(f"{MNT}/{name}/w{w}"), before[w].copy()
            said, right = "", False
            for n, op in enumerate((calls + [None])[:until[w] + 1]):
                if n >= since[w]:
                    right = tree.facts() == found or \
                        (op and n < until[w] and halfway(op, tree, found) is not None)
                    said += f"; after {n} calls {difference(tree.facts(), found)}"
                if right:
                    break
                if op:
                    tree.apply(op)
            if not right:
                raise Wrong(f"the branch {name} is at none of the calls {since[w]} to {until[w]} of "
                            f"writer {w}{said}")
            facts.append(found)
        self.branches += 1
        return facts

    def take(self, op, happened, later, histories, before):
        """One call about namespaces: what it makes of self.spaces."""
        name, verb = op["name"], op["op"]
        if not happened or verb in ("until", "set"):
            return
        if verb == "mkns":
            self.spaces[name] = []
        elif verb == "drop":
            del self.spaces[name]
        elif verb == "mvns":
            self.spaces[name] = self.spaces.pop(op["old"])
        else:
            until = next((u["to"] for u in later if u["op"] == "until" and u["name"] == name),
                         [len(calls) for calls, _ in histories])
            now = name  # it may have been renamed or dropped since
            for u in later:
                if u["op"] == "mvns" and u["old"] == now and os.path.exists(f"{MNT}/{u['name']}"):
                    now = u["name"]
                elif u["op"] == "mvns" and u["old"] == now and not os.path.exists(f"{MNT}/{now}"):
                    now = u["name"]
            self.spaces[name] = self.verify_branch(now, op["from"], until, histories, before) \
                if os.path.exists(f"{MNT}/{now}") else None

    def verify(self):
        histories = [read_history(f"{DIR}/h{w}") for w in range(WRITERS)]
        calls, done = read_history(f"{DIR}/hns")
        before = [t.copy() for t in self.trees]
        for w, (c, d) in enumerate(histories):
            self.trees[w] = settle(f"{MNT}/main/w{w}", c, d, self.trees[w])
            self.calls += d
            self.in_flight += len(c) - d
        there = {n for n in os.listdir(MNT) if n != "main"}
        for i, op in enumerate(calls):
            happened = i < done
            if not happened:  # in flight: the listing tells
                happened = {"branch": op["name"] in there, "mkns": op["name"] in there,
                            "mvns": op["name"] in there,
                            "drop": op["name"] not in there}.get(op["op"], False)
                self.in_flight += 1
            self.take(op, happened, calls[i + 1:], histories, before)
        self.calls += done
        if there != set(self.spaces):
            raise Wrong(f"the namespaces are {sorted(there)}, not {sorted(self.spaces)}")
        for name, facts in self.spaces.items():
            for w, want in enumerate(facts or []):
                found = look(f"{MNT}/{name}/w{w}")
                if found != want:
                    raise Wrong(f"the namespace {name}, w{w}: {difference(want, found)}")
            if facts == [] and os.listdir(f"{MNT}/{name}"):
                raise Wrong(f"the new namespace {name} is not empty")


def in_child(where, fn, *args):
    os.chdir(where)  # here: a child that comes late would find another directory there
    pid = os.fork()
    if pid:
        os.chdir("/")
        return pid
    code = 1
    try:
        fn(*args)
        code = 0
    except BaseException as e:  # pylint: disable=broad-except
        print(f"a writer: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
    os._exit(code)


def reap(pids):
    deadline = time.monotonic() + 200
    for pid in pids:
        while True:
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                break
            if time.monotonic() > deadline:
                raise Wrong("a writer hangs although the daemon is gone")
            time.sleep(0.005)
        # The page that a mapping wants comes no more: that is a SIGBUS.
        if status != 0 and os.waitstatus_to_exitcode(status) != -signal.SIGBUS:
            raise Wrong(f"a writer ended with {os.waitstatus_to_exitcode(status)}")


def one_round(mount, world, base, rng):
    histories = [f"{DIR}/h{w}" for w in range(WRITERS)]
    open_histories = [History(h) for h in histories]
    ns_history = History(f"{DIR}/hns")
    pids = [in_child(f"{MNT}/main/w{w}", write_for_ever, w, world.trees[w].copy(), base,
                     open_histories[w]) for w in range(WRITERS)]
    pids.append(in_child(MNT, rule_for_ever, list(world.spaces), base, ns_history, histories))
    for h in open_histories + [ns_history]:
        os.close(h.fd)
    try:
        time.sleep(rng.choice((0.05, 0.2, 0.6, 1.2)) * (0.5 + rng.random()))
        for pid in pids:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                raise Wrong("a writer ended before the daemon did")
        mount.kill()
    finally:
        if mount.daemon is not None:
            mount.daemon.kill()
        reap(pids)


def remount(mount, rng):
    """Sometimes killed while it recovers, too."""
    again = 0
    while not GENTLE and again < 3 and rng.random() < 0.25:
        mount.start()
        time.sleep(rng.random() * 0.2)
        mount.kill()
        again += 1
    mount.start()
    mount.wait_mounted()
    return again


def main():
    rng = random.Random(SEED)
    mount, world, kills, base = Mount(random.Random(f"{SEED}.mount")), World(), 0, 0
    start = time.monotonic()
    try:
        mount.start()
        mount.wait_mounted()
        for w in range(WRITERS):
            os.mkdir(f"{MNT}/main/w{w}")
        while kills < KILLS:
            one_round(mount, world, base, rng)
            kills += 1 + remount(mount, rng)
            world.verify()
            base += 10**6
            if rng.random() < 0.2 or kills >= KILLS:
                mount.leave()
                mount.check()
                mount.start()
                mount.wait_mounted()
                for w in range(WRITERS):
                    if look(f"{MNT}/main/w{w}") != world.trees[w].facts():
                        raise Wrong(f"after a check w{w} is another one")
        mount.leave()
    except Wrong as e:
        shutil.copytree(STORE, f"{DIR}/store.bad", ignore_dangling_symlinks=True)
        print(f"kill.py: seed {SEED}, after {kills} kills: {e}", file=sys.stderr)
        return 1
    finally:
        if mount.daemon is not None:
            mount.daemon.kill()
            mount.daemon.wait()
        mount.switch.back()
        mount.clear()
    began = ", ".join(f"{n} by {how}" for how, n in mount.began.items() if n > 0)
    print(f"{kills} kills, {began}, {world.calls} calls verified, {world.in_flight} in flight, "
          f"{world.branches} branches, seed {SEED}, "
          f"{time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
