#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spoil a store in many ways, and see what check, check --repair and a mount make of it.

    mutations.py TALLY MUTATE WORKDIR COUNT [SEED [MODE...]]     modes: those of mutate.c

Two stores are made, with a bit of everything: one was unmounted, the daemon of the other killed.
Each mutation is of a copy. Then nothing may end by a signal, say a sanitizer's words, or take
longer than it can; and a file that reads without an error has the bytes it had. That last does not
count for mutations with right checksums, for a loss that check --repair was told to accept, and for
bytes of a large file that is not sealed yet, which have no checksums. Prints what failed, with
the command that does it again; exit code 1 then. TALLY should be a build with sanitizers.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

MODES = "flip page value frame record cut text".split()
RIGHT_SUMS = {"value", "frame", "record"}
UNSUMMED = {"main/slot"}  # a slot's bytes, until it is sealed
LIMIT = 200  # seconds for any step
ENV = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:handle_sigill=1:abort_on_error=1:allocator_may_return_null=1",
           UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:abort_on_error=1")

# What is asked of a mount; run by another process, since any of it might hang.
USE = r"""
import os, sys
mnt = sys.argv[1]
for top, dirs, names in os.walk(mnt):
    for name in names + dirs:
        path = os.path.join(top, name)
        try:
            for x in os.listxattr(path, follow_symlinks=False):
                os.getxattr(path, x, follow_symlinks=False)
            os.path.islink(path) and os.readlink(path)
        except OSError:
            pass
try:
    open(mnt + "/main/new", "wb").write(os.urandom(50000))
except OSError:
    pass
for verb in ("rebuild wait", "gc grace=0s wait", "scrub wait", "compact wait", "sweep wait", "du",
             "shard list", "log list main", "branch main zz", "drop dev force", "drain 10s"):
    try:
        fd = os.open(mnt + "/.tally/control", os.O_RDWR)
    except OSError:
        break
    try:
        os.write(fd, verb.encode() + b"\n")
        os.read(fd, 100000)
    except OSError:
        pass
    os.close(fd)
for name in ("status", "stats.json", "metrics", "refcounts", "ghosts", "nodes", "gc-history"):
    try:
        open(mnt + "/.tally/" + name, "rb").read()
    except OSError:
        pass
"""
READ = r"""
import json, os, stat, sys, hashlib
out = {}
for top, dirs, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(top, name)
        try:
            st = os.lstat(path)
            if stat.S_ISREG(st.st_mode) and st.st_size < 1 << 24 and "/.tally" not in path:
                with open(path, "rb") as f:
                    out[os.path.relpath(path, sys.argv[1])] = hashlib.sha256(f.read()).hexdigest()
        except OSError:
            pass
json.dump(out, sys.stdout)
"""


class Late(Exception):
    pass


def run(*argv, limit=LIMIT):
    try:
        return subprocess.run(argv, capture_output=True, timeout=limit, env=ENV, text=True,
                              errors="replace", check=False)
    except subprocess.TimeoutExpired as e:
        raise Late(" ".join(argv[1:3])) from e


def mounted(mnt):
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return any(line.split()[1] == mnt for line in f)


def wait_for(condition, limit=LIMIT):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def contents(mnt):
    r = run(sys.executable, "-c", READ, mnt)
    return json.loads(r.stdout) if r.returncode == 0 and r.stdout else {}


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def make_store(tally, where, killed):
    """What every file reads as. A bit of everything is in it."""
    store, mnt, shard, r = f"{where}/store", f"{where}/mnt", f"{where}/shard", random.Random(5)
    os.makedirs(mnt)
    os.makedirs(shard)
    must = lambda *argv: run(tally, *argv).returncode == 0 or sys.exit(f"fails: {argv}")
    verb = lambda *argv: must("-C", mnt, *argv)
    must("mount", "--create", store, mnt)
    verb("set", "log_segment", "1M")
    verb("set", "pack_size", "1M")
    verb("set", "seal_delay", "0s")
    must("umount", mnt)
    must("mount", store, mnt)
    main = f"{mnt}/main"
    for i in range(90):
        os.makedirs(f"{main}/d{i % 7}", exist_ok=True)
        write(f"{main}/d{i % 7}/f{i}", r.randbytes(r.choice([10, 500, 5000])))
    for i in range(3):
        write(f"{main}/large{i}", r.randbytes(400000))
    os.symlink("x" * 3000, f"{main}/link")
    os.link(f"{main}/d0/f0", f"{main}/hard")
    os.mkfifo(f"{main}/fifo")
    os.setxattr(f"{main}/d0/f0", "user.big", r.randbytes(9000))
    verb("drain")
    verb("branch", "main", "dev")
    with open(f"{main}/large0", "r+b") as f:
        for at in (5, 140000, 262000):
            f.seek(at)
            f.write(b"changed")
    os.truncate(f"{main}/large1", 500000)
    verb("shard", "add", "1", f"dir:{shard}")
    verb("move", "main/d2", "1", "--wait")
    verb("pin", "main/d0/f7")
    for i in range(0, 90, 3):
        os.unlink(f"{main}/d{i % 7}/f{i}")
    verb("drain")
    write(f"{main}/late", r.randbytes(30000))
    if not killed:
        good = contents(mnt)
        must("umount", mnt)
        return good
    verb("set", "flush_interval", "1h")
    with open(f"{mnt}/.tally/stats.json", encoding="utf-8") as f:
        pid = json.load(f)["pid"]
    for i in range(30):
        write(f"{main}/d1/l{i}", r.randbytes(r.choice([10, 3000])))
    write(f"{main}/slot", r.randbytes(200000))
    good = contents(mnt)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in
             open(f"/proc/{pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()[0])
    run("umount", "-l", mnt)
    return good


class Trial:
    """One mutation of a copy: what was wrong is in `found`."""

    def __init__(self, tally, where, killed):
        self.tally, self.store, self.mnt = tally, f"{where}/store", f"{where}/mnt"
        self.log, self.found, self.accepted, self.killed = f"{where}/log", [], False, killed

    def judge(self, what, code, said):
        for word in ("AddressSanitizer", "runtime error"):
            if word in said:
                self.found.append(f"sanitizer: {what}: {said[said.find(word):][:1500]}")
                return
        if code < 0 or code >= 128:
            self.found.append(f"signal: {what} ended with {code}: {said[-600:]}")

    def check(self, *options):
        try:
            r = run(self.tally, "check", *options, self.store)
        except Late as late:
            self.found.append(f"hang: {late}")
            return
        self.judge(f"check {' '.join(options)}", r.returncode, r.stdout + r.stderr)
        self.accepted |= "kept as log/damaged" in r.stdout

    def use(self, daemon, good):
        got = {}
        try:
            got = contents(self.mnt)
            run(sys.executable, "-c", USE, self.mnt)
        except Late:
            self.found.append("hang: using the mount")
            daemon.kill()
        for name, was in (good or {}).items():
            if got.get(name, was) != was and not self.accepted and name not in UNSUMMED:
                self.found.append(f"wrong bytes: {name}")
        if daemon.poll() is None:
            try:
                run(self.tally, "umount", "--force", self.mnt)
            except Late:
                self.found.append("hang: umount")
                daemon.kill()

    def mount(self, good):
        with open(self.log, "wb") as log:
            daemon = subprocess.Popen([self.tally, "mount", "-f", self.store, self.mnt],
                                      stdout=log, stderr=log, env=ENV)
        wait_for(lambda: mounted(self.mnt) or daemon.poll() is not None)
        if daemon.poll() is None and not mounted(self.mnt):
            self.found.append("hang: mount")
            daemon.kill()
        elif daemon.poll() is None:
            self.use(daemon, good)
        try:
            code = daemon.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.found.append("hang: the end of the mount")
            daemon.kill()
            code = daemon.wait()
        if mounted(self.mnt):
            run("umount", "-l", self.mnt)
        with open(self.log, encoding="utf-8", errors="replace") as f:
            self.judge("mount", 0 if code == -signal.SIGKILL and self.found else code, f.read())


def one(tally, mutate, work, stores, seed, mode):
    r = random.Random(seed)
    killed = r.random() < (0.9 if mode == "frame" else 0.5)
    where, good = stores[killed]
    copy = f"{work}/copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(where, copy, symlinks=True)
    t = Trial(tally, copy, killed)
    did = run(mutate, t.store, mode, str(seed))
    if did.returncode != 0:
        return [f"mutate: {did.stderr}"], did.stdout
    t.check()
    if r.random() < 0.5:
        t.check("--repair")
    t.mount(None if mode in RIGHT_SUMS else good)
    return t.found, did.stdout.strip()


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    tally, mutate, work = map(os.path.realpath, sys.argv[1:4])
    count, seed = int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 1
    modes = sys.argv[6:] or MODES
    stores, bad, tried = {}, 0, dict.fromkeys(modes, 0)
    for killed in (False, True):
        where = f"{work}/base{int(killed)}"
        os.makedirs(where)
        stores[killed] = where, make_store(tally, where, killed)
    kinds = {}
    for i in range(seed * 1000000, seed * 1000000 + count):
        mode = modes[i % len(modes)]
        tried[mode] += 1
        found, did = one(tally, mutate, work, stores, i, mode)
        for f in found:
            kinds[f.split(":")[0]] = kinds.get(f.split(":")[0], 0) + 1
            print(f"{mode} {i} ({did}): {f}", flush=True)
        if found:
            bad += 1
            print(f"    again: {mutate} STORE {mode} {i}", flush=True)
    print(f"mutations {tried}: {bad} bad {kinds}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
