#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a branch, a commit, an undo, a snapshot and a drop cost, beside git(1) and overlayfs.
#
#     TALLY=build-release/tools/tally tests/bench/branches.sh WORKDIR [FILES]
#
# A namespace has FILES small files (100,000). Each row is the median of several rounds, in ms, of one
# command to the control file: 10 changed paths committed to an untouched parent, and 1,000 to one
# that has moved. Then `git worktree add` of the same files in a repository on the disk of WORKDIR,
# and an overlay mount over them. It needs root.
set -euo pipefail
export LC_ALL=C.UTF-8
TALLY=$(realpath "${TALLY:?is the tally program that is measured}")
W=$(mktemp -d "${1:?is a directory with room}/tally-bench-branches-XXXXXX")
files=${2:-100000}
M=$W/mnt
cleanup() {
    if mountpoint -q "$M"; then
        "$TALLY" umount "$M"
    fi
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT

mkdir "$M"
"$TALLY" mount --create "$W/store" "$M"
cat >"$W/measure.py" <<'END'
import os, random, shutil, statistics, subprocess, sys, time
work, mnt, files = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(1)
fd = os.open(mnt + "/.tally/control", os.O_RDWR)

def ask(line):
    begun = time.perf_counter()
    os.write(fd, line.encode() + b"\n")
    took = (time.perf_counter() - begun) * 1000
    text = os.read(fd, 1 << 20)
    assert text.startswith(b"ok"), text
    return took

def fill(top):
    for d in range(files // 100):
        os.makedirs(f"{top}/d{d}", exist_ok=True)
        for f in range(100):
            with open(f"{top}/d{d}/f{f}", "w") as out:
                out.write(f"file {f} of directory {d}\n")

def change(top, count, text):
    for n in random.sample(range(files), count):
        with open(f"{top}/d{n // 100}/f{n % 100}", "w") as out:
            out.write(text)

def row(what, times):
    print(f"{what:52} {statistics.median(times):10.3f} ({min(times):.3f} to {max(times):.3f})", flush=True)

print(f"{files} files, load {os.getloadavg()[0]:.1f}; ms")
fill(mnt + "/main")
ask("drain")
times = {}
def note(what, took):
    times.setdefault(what, []).append(took)
for i in range(15):
    note("branch", ask(f"branch main b{i}"))
    change(f"{mnt}/b{i}", 10, f"round {i}\n")
    note("diff of 10 changed paths", ask(f"diff b{i}"))
    note("commit of 10 changed paths, parent untouched", ask(f"commit b{i}"))
    note("undo of it", ask("undo main"))
    note("snapshot", ask(f"snapshot main s{i}"))
    note("drop into the trash", ask(f"drop b{i}"))
    note("undrop", ask(f"undrop b{i}"))
    ask(f"drop b{i} now")
for i in range(5):
    ask(f"branch main c{i}")
    os.mkdir(f"{mnt}/main/new{i}")
    with open(f"{mnt}/main/new{i}/f", "w") as out:
        out.write("moved on\n")
    change(f"{mnt}/c{i}", 1000, f"many {i}\n")
    note("commit of 1,000 changed paths, parent moved", ask(f"commit c{i}"))
for what, took in times.items():
    row(what, took)

def run(*argv, cwd=None):
    begun = time.perf_counter()
    subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000

plain = work + "/plain"
fill(plain)
row("cp -a", [run("cp", "-a", plain, f"{work}/copy{i}") for i in range(3)])
run("git", "init", "-q", cwd=plain)
run("git", "add", "-A", cwd=plain)
run("git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x", cwd=plain)
row("git worktree add", [run("git", "worktree", "add", "--detach", f"{work}/tree{i}", cwd=plain) for i in range(3)])
overlays = []
for i in range(5):
    parts = [f"{work}/o{i}{x}" for x in ("up", "work", "mnt")]
    for part in parts:
        os.mkdir(part)
    overlays.append(run("mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={plain},upperdir={parts[0]},workdir={parts[1]}", parts[2]))
    run("umount", parts[2])
row("mount of an overlay", overlays)
END
python3 "$W/measure.py" "$W" "$M" "$files"
