#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What it costs to say what differs between two large trees of which few files differ:
#
#     TALLY=build-rel/tools/tally FILL=build-rel/tests/bench/bench-fill \
#         tests/bench/diff.sh WORKDIR [FILES [CHANGED [ORDER]]]
#
# FILES (1000000) small files in 1000 directories are in a store, with a branch, and CHANGED (100) of
# them are changed in the branch, first where they are, then by writing beside and renaming over. Then
# the mount is asked what differs, by a command to its control file and by the program. With ORDER
# `by-dir` (the default) the files of a directory were made one after the other, as programs do that
# copy; with `mixed` in turn with those of all others, which is the worst case for finding names.
#
# With EXT4=N also N files lie on the disk of WORKDIR twice, CHANGED of them changed, and diff(1) and
# git(1) are asked. Each row is the median of several rounds, in ms. It needs root, some 2 GiB for a
# million files in the store and 10 GiB for as many on ext4, and a release build.
set -euo pipefail
export LC_ALL=C.UTF-8
TALLY=$(realpath "${TALLY:?is the tally program that is measured}")
FILL=$(realpath "${FILL:?is the program bench-fill of that build}")
W=$(mktemp -d "${1:?is a directory with room}/tally-bench-diff-XXXXXX")
files=${2:-1000000} changed=${3:-100} order=${4:-by-dir} ext4=${EXT4:-0}
M=$W/mnt
cleanup() {
    if mountpoint -q "$M"; then
        "$TALLY" umount "$M"
    fi
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT

"$TALLY" init "$W/store" >/dev/null
args=("$W/store" x 1000 "$files" 32 1)
[[ $order == mixed ]] || args+=(by-dir)
"$FILL" "${args[@]}"
mkdir "$M"
"$TALLY" mount "$W/store" "$M"
"$TALLY" -C "$M" branch x dev >/dev/null
if [[ $ext4 -gt 0 ]]; then
    python3 - "$W/a" "$ext4" <<'END'
import os, sys
top, files = sys.argv[1], int(sys.argv[2])
os.mkdir(top)
for d in range(1000):
    os.mkdir(f"{top}/d{d}")
    for f in range(files // 1000):
        with open(f"{top}/d{d}/f{f}", "w") as out:
            out.write(f"file {f} of directory {d}\n")
END
    cp -a "$W/a" "$W/b"
fi

cat >"$W/measure.py" <<'END'
import os, random, statistics, subprocess, sys, time
work, mnt, tally = sys.argv[1:4]
files, changed, ext4, order = int(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]), sys.argv[7]
random.seed(1)

def choose(count):
    return [f"d{n % 1000}/f{n // 1000}" for n in random.sample(range(count), changed)]

def ask():
    fd = os.open(mnt + "/.tally/control", os.O_RDWR)
    os.write(fd, b"diff x dev\n")
    text = b""
    while piece := os.read(fd, 65536):
        text += piece
    os.close(fd)
    return text.count(b"\n| M ")

def run(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.count(b"\n")

def row(what, fn, rounds):
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        found = fn()
        times.append((time.perf_counter() - begun) * 1000)
    print(f"{what:46} {statistics.median(times):10.2f} ({min(times):.2f} to {max(times):.2f}), {found} found", flush=True)

def table(title):
    subprocess.run([tally, "-C", mnt, "drain"], check=True, stdout=subprocess.DEVNULL)
    row(title + ": a command to the control file", ask, 21)
    row(title + ": tally diff x dev", lambda: run(tally, "-C", mnt, "diff", "x", "dev"), 9)

def change(top, paths):
    for path in paths:
        with open(f"{top}/{path}", "a") as out:
            out.write("more\n")

print(f"{files} files in 1000 directories ({order}), {changed} changed; load {os.getloadavg()[0]:.1f}; ms")
chosen = choose(files)
table("no change")
change(mnt + "/dev", chosen)
table("in place")
for path in chosen:
    with open(f"{mnt}/dev/{path}.new", "w") as out:
        out.write("another\n")
    os.rename(f"{mnt}/dev/{path}.new", f"{mnt}/dev/{path}")
table("renamed over")
if ext4:
    change(work + "/b", choose(ext4))
    a, b = work + "/a", work + "/b"
    print(f"{ext4} files on ext4")
    row("diff -rq", lambda: run("diff", "-rq", a, b), 3)
    row("git diff --no-index --name-status", lambda: run("git", "diff", "--no-index", "--name-status", a, b), 3)
END
python3 "$W/measure.py" "$W" "$M" "$TALLY" "$files" "$changed" "$ext4" "$order"
