#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# import and export beside tar on ext4: the same tree, in one run, on two ext4 in memory.
#
#     TALLY=build/tools/tally tests/bench/import.sh TREE.tar [DIR [ROUNDS]]
#
# DIR (/dev/shm) needs four times the size of the archive. Printed are medians of ROUNDS (5). The
# ratios are of wall time: above 1 tally is faster. CPU seconds are of both sides of tally, the program and the daemon.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
TALLY=$(realpath "${TALLY:?is the tally program}")
tar=$(realpath "${1:?is the archive, not compressed}")
W=$(mktemp -d "${2:-/dev/shm}/tally-import-XXXXXX")
rounds=${3:-5}
daemon=

cleanup() {
    cd /
    [[ -z $daemon ]] || "$TALLY" umount "$W/mnt" >/dev/null 2>&1 || true
    umount -q "$W/ext4" "$W/disk" || true
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT

kib=$(($(stat -c %s "$tar") / 512 + 200000)) # twice the archive, and some
cat "$tar" >/dev/null

# cpu_of_daemon, measure NAME COMMAND… - adds its seconds and CPU seconds to the results.
cpu_of_daemon() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$daemon/stat"; }
measure() {
    local name=$1 before after out
    shift
    before=$(cpu_of_daemon)
    out=$({ TIMEFORMAT='%R %U %S'; time "$@" >"$W/said"; } 2>&1 | tail -1)
    after=$(cpu_of_daemon)
    echo "$name $out $before $after" >>"$W/results"
}

# One round: two empty ext4, a new store.
round() {
    local name
    for name in ext4 disk; do
        truncate -s "${kib}K" "$W/$name.img"
        mkfs.ext4 -q -F -m 0 "$W/$name.img"
        mkdir -p "$W/$name"
        mount -o loop "$W/$name.img" "$W/$name"
    done
    mkdir -p "$W/mnt" "$W/disk/store" "$W/ext4/tree"
    "$TALLY" mount --create "$W/disk/store" "$W/mnt"
    daemon=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' \
        "$W/mnt/.tally/stats.json")
    measure untar tar -xf "$tar" -C "$W/ext4/tree"
    measure import "$TALLY" -C "$W/mnt" import "$tar" one
    measure again "$TALLY" -C "$W/mnt" import "$tar" two
    measure tar tar -cf "$W/out.tar" -C "$W/ext4/tree" .
    rm "$W/out.tar"
    measure export "$TALLY" -C "$W/mnt" export one "$W/out.tar"
    rm "$W/out.tar"
    measure export_warm "$TALLY" -C "$W/mnt" export one "$W/out.tar"
    rm "$W/out.tar"
    "$TALLY" umount "$W/mnt" >/dev/null
    daemon=
    umount "$W/ext4" "$W/disk"
    rm "$W/ext4.img" "$W/disk.img"
}
for ((i = 0; i < rounds; i++)); do
    round
done
python3 - "$W/results" <<'END'
import statistics, sys
wall, cpu = {}, {}
for line in open(sys.argv[1]):
    name, real, user, system, before, after = line.split()
    wall.setdefault(name, []).append(float(real))
    cpu.setdefault(name, []).append(float(user) + float(system) + float(after) - float(before))
for name in wall:
    print(f"{name:14} {statistics.median(wall[name]):7.2f} s wall ({min(wall[name]):.2f} to {max(wall[name]):.2f})"
          f" {statistics.median(cpu[name]):7.2f} s cpu")
# A ratio is the median of those of the rounds: what slows the machine slows both sides of one.
for a, b, what in (("untar", "import", "import / tar -x"), ("import", "again", "second import / first"),
                   ("untar", "again", "second import / tar -x"), ("tar", "export", "export / tar -c"),
                   ("tar", "export_warm", "export, warm / tar -c")):
    ratios = [x / y for x, y in zip(wall[a], wall[b])]
    print(f"{what:28} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
END
