#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# send and receive: a whole tree, and a few files that changed, beside btrfs send where there is one.
#
#     TALLY=build/tools/tally tests/bench/send.sh [FILES] [CHANGED] [BYTES] [DIR]
#
# FILES (100000) of BYTES (4096) each in directories of 1000, of which CHANGED (100) get other bytes.
# DIR (/dev/shm) needs three times their size. Judges nothing: prints seconds, the bytes of the
# streams, and their ratio to the bytes of the files that changed.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
TALLY=$(realpath "${TALLY:?is the tally program}")
files=${1:-100000} changed=${2:-100} bytes=${3:-4096}
W=$(mktemp -d "${4:-/dev/shm}/tally-send-XXXXXX")

cleanup() {
    cd /
    "$TALLY" umount "$W/a" >/dev/null 2>&1 || true
    "$TALLY" umount "$W/b" >/dev/null 2>&1 || true
    umount -q "$W/btrfs" "$W/btrfs2" || true
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT

make_files() { # DIRECTORY
    python3 - "$1" "$files" "$bytes" <<'PYTHON'
import os, random, sys
top, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(1)
for i in range(count):
    d = f"{top}/d{i // 1000}"
    if i % 1000 == 0:
        os.mkdir(d)
    with open(f"{d}/file-{i}", "wb") as f:
        f.write(rng.randbytes(size))
PYTHON
}
change_files() { # DIRECTORY
    python3 - "$1" "$files" "$changed" "$bytes" <<'PYTHON'
import random, sys
top, count, changed, size = sys.argv[1], *map(int, sys.argv[2:])
rng = random.Random(2)
for i in rng.sample(range(count), changed):
    with open(f"{top}/d{i // 1000}/file-{i}", "r+b") as f:
        f.write(rng.randbytes(size))
PYTHON
}
measure() { # NAME COMMAND…
    local name=$1 out
    shift
    out=$({ TIMEFORMAT=%R; time "$@" >"$W/said"; } 2>&1 | tail -1)
    printf '%-34s %8.2f s\n' "$name" "$out"
}
size() { # NAME FILE
    awk -v n="$1" -v s="$(stat -c %s "$2")" -v c="$((changed * bytes))" \
        'BEGIN { printf "%-34s %8.2f MiB, %.3f of the changed files\n", n, s / 1048576, s / c }'
}

mkdir "$W/a" "$W/b" "$W/tree"
"$TALLY" mount --create "$W/store-a" "$W/a"
"$TALLY" mount --create "$W/store-b" "$W/b"
make_files "$W/tree"
"$TALLY" -C "$W/a" import "$W/tree" tree >/dev/null
rm -r "$W/tree"
"$TALLY" -C "$W/a" snapshot tree one >/dev/null
measure "send, whole" "$TALLY" -C "$W/a" send tree@one --to "$W/whole"
measure "send, whole, digest known" "$TALLY" -C "$W/a" send tree@one --to "$W/whole"
measure "receive, whole" "$TALLY" -C "$W/b" receive one --from "$W/whole"
rm "$W/whole"
change_files "$W/a/tree"
"$TALLY" -C "$W/a" drain >/dev/null
"$TALLY" -C "$W/a" snapshot tree two >/dev/null
measure "send, difference" "$TALLY" -C "$W/a" send tree@one..two --to "$W/part"
measure "send, difference, digests known" "$TALLY" -C "$W/a" send tree@one..two --to "$W/part"
size "difference" "$W/part"
measure "receive, difference" "$TALLY" -C "$W/b" receive two --from "$W/part"
"$TALLY" umount "$W/a"
"$TALLY" umount "$W/b"
rm -rf "$W/store-a" "$W/store-b"

if ! command -v mkfs.btrfs >/dev/null || ! { modprobe -q btrfs || grep -qw btrfs /proc/filesystems; }; then
    echo "there is no btrfs here"
    exit 0
fi
for name in btrfs btrfs2; do
    truncate -s $((files * (bytes + 4096) * 2 + 2000000000)) "$W/$name.img"
    mkfs.btrfs -q "$W/$name.img"
    mkdir "$W/$name"
    mount -o loop "$W/$name.img" "$W/$name"
done
btrfs -q subvolume create "$W/btrfs/tree"
make_files "$W/btrfs/tree"
btrfs -q subvolume snapshot -r "$W/btrfs/tree" "$W/btrfs/one"
change_files "$W/btrfs/tree"
btrfs -q subvolume snapshot -r "$W/btrfs/tree" "$W/btrfs/two"
sync -f "$W/btrfs"
measure "btrfs send, whole" btrfs -q send -f "$W/whole" "$W/btrfs/one"
measure "btrfs receive, whole" btrfs -q receive -f "$W/whole" "$W/btrfs2"
measure "btrfs send, difference" btrfs -q send -p "$W/btrfs/one" -f "$W/part" "$W/btrfs/two"
size "btrfs difference" "$W/part"
measure "btrfs receive, difference" btrfs -q receive -f "$W/part" "$W/btrfs2"
