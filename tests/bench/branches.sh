#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a branch, a commit, an undo, a snapshot and a drop cost, beside git(1), btrfs and overlayfs.
#
#     TALLY=build-release/tools/tally tests/bench/branches.sh WORKDIR [FILES]
#
# A namespace has FILES small files (100,000). Each row is the median of several rounds, in ms, of one
# command to the control file: 10 changed paths committed to an untouched parent, and 1,000 to one
# that has moved. Then all FILES paths are changed in a branch and committed, twice, while another
# process makes files in the parent: how long that takes, and the longest time that one of these
# files took. Then `git worktree add` of the same files in a repository on the disk of WORKDIR,
# and an overlay mount over them, alone and in the place of the files for one command, beside `tally
# exec`. Then the same files on a btrfs in a file of WORKDIR, by a loop device: a snapshot, its
# deletion, and what `btrfs send` makes of 100 changed files; left out, with the reason, where the
# kernel or btrfs-progs lacks. It needs root.
set -euo pipefail
export LC_ALL=C.UTF-8
TALLY=$(realpath "${TALLY:?is the tally program that is measured}")
W=$(mktemp -d "${1:?is a directory with room}/tally-bench-branches-XXXXXX")
files=${2:-100000}
M=$W/mnt
loop=
cleanup() {
    if mountpoint -q "$M"; then
        "$TALLY" umount "$M"
    fi
    if mountpoint -q "$W/btrfs"; then
        umount "$W/btrfs"
    fi
    if [[ $loop ]]; then
        losetup -d "$loop"
    fi
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT

# Mounts a new btrfs at $W/btrfs. False: it cannot, and says why.
make_btrfs() {
    modprobe btrfs 2>/dev/null || true
    if ! grep -qw btrfs /proc/filesystems; then
        echo "no btrfs: the kernel does not have it"
    elif ! { command -v mkfs.btrfs && command -v btrfs; } >/dev/null; then
        echo "no btrfs: apt-get install btrfs-progs"
    elif ! { truncate -s 8G "$W/image" && loop=$(losetup --find --show "$W/image"); }; then
        echo "no btrfs: there is no loop device"
    elif ! { mkfs.btrfs -q "$loop" >/dev/null && mkdir "$W/btrfs" && mount "$loop" "$W/btrfs"; }; then
        echo "no btrfs: it cannot be made"
    else
        return 0
    fi
    return 1
}

mkdir "$M"
"$TALLY" mount --create "$W/store" "$M"
cat >"$W/measure.py" <<'END'
import os, random, shutil, statistics, subprocess, sys, time
work, mnt, files = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(1)

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

def run(*argv, cwd=None):
    begun = time.perf_counter()
    subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000

# ---- btrfs: mnt is one ----

def btrfs():
    def sub(*argv):
        return run("btrfs", "subvolume", *argv)
    sub("create", mnt + "/main")
    fill(mnt + "/main")
    os.sync()
    row("btrfs: snapshot", [sub("snapshot", mnt + "/main", f"{mnt}/b{i}") for i in range(15)])
    row("btrfs: deletion of a snapshot", [sub("delete", f"{mnt}/b{i}") for i in range(15)])
    sub("snapshot", "-r", mnt + "/main", mnt + "/s")
    sent, sizes = [], []
    for i in range(5):
        sub("snapshot", mnt + "/main", f"{mnt}/c{i}")
        change(f"{mnt}/c{i}", 100, f"sent {i}\n")
        sub("snapshot", "-r", f"{mnt}/c{i}", f"{mnt}/r{i}")
        sent.append(run("btrfs", "send", "-q", "-p", mnt + "/s", "-f", work + "/stream", f"{mnt}/r{i}"))
        sizes.append(os.path.getsize(work + "/stream"))
    row(f"btrfs: send of 100 changed files, {max(sizes)} bytes", sent)

if sys.argv[4:] == ["btrfs"]:
    btrfs()
    sys.exit()

# ---- tallyfs ----

fd = os.open(mnt + "/.tally/control", os.O_RDWR)
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

# Makes files in main until its input ends, and prints the longest time that one took, in ms.
writer = """
import os, select, sys, time
longest, n = 0, 0
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    begun = time.perf_counter()
    with open(f"{sys.argv[1]}/w{n}", "w") as out:
        out.write("x")
    longest = max(longest, time.perf_counter() - begun)
    n += 1
print(longest * 1000, n)
"""

def beside(line):
    top = f"{mnt}/main/beside{len(os.listdir(mnt + '/main'))}"
    os.mkdir(top)
    p = subprocess.Popen([sys.executable, "-c", writer, top], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    time.sleep(0.2)
    took = ask(line)
    longest, made = p.communicate("")[0].split()
    return took, float(longest), int(made)

took = []
for i in range(2):
    ask(f"branch main l{i}")
    change(f"{mnt}/l{i}", files, f"all {i}\n")
    took.append(beside(f"commit l{i}"))
row(f"commit of {files} changed paths, beside a writer", [t[0] for t in took])
row("... the longest time that the writer waited", [t[1] for t in took])
print("... files that it made meanwhile: " + ", ".join(str(t[2]) for t in took), flush=True)

# ---- git, overlayfs, and exec ----

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
script = f"mount -t overlay overlay -o lowerdir={plain},upperdir=$0/up,workdir=$0/work {plain} && true"
commands = []
for i in range(5):
    top = f"{work}/e{i}"
    for part in ("up", "work"):
        os.makedirs(f"{top}/{part}")
    commands.append(run("unshare", "-m", "sh", "-c", script, top))
    shutil.rmtree(top)
row("a command where an overlay stands (unshare -m)", commands)
row("tally exec main --discard -- true",
    [run(os.environ["TALLY"], "-C", mnt, "exec", "main", "--discard", "--", "true") for i in range(5)])
END
export TALLY
python3 "$W/measure.py" "$W" "$M" "$files"
if make_btrfs; then
    python3 "$W/measure.py" "$W" "$W/btrfs" "$files" btrfs
fi
