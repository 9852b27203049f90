#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# import and export beside tar on ext4: the same tree, in one run, on two ext4 in memory.
#
#     TALLY=build/tools/tally tests/bench/import.sh TREE.tar [DIR]
#
# DIR (/dev/shm) needs four times the size of the archive. The ratios are of wall time: above 1 tally
# is faster. CPU seconds are of both sides of tally, the program and the daemon.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
TALLY=$(realpath "${TALLY:?is the tally program}")
tar=$(realpath "${1:?is the archive, not compressed}")
W=$(mktemp -d "${2:-/dev/shm}/tally-import-XXXXXX")
daemon=

cleanup() {
    cd /
    [[ -z $daemon ]] || "$TALLY" umount "$W/mnt" >/dev/null 2>&1 || true
    umount -q "$W/ext4" "$W/disk" || true
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT

kib=$(($(stat -c %s "$tar") / 512 + 200000)) # twice the archive, and some
for name in ext4 disk; do
    truncate -s "${kib}K" "$W/$name.img"
    mkfs.ext4 -q -F -m 0 "$W/$name.img"
    mkdir "$W/$name"
    mount -o loop "$W/$name.img" "$W/$name"
done
mkdir "$W/mnt" "$W/disk/store" "$W/ext4/tree"
"$TALLY" mount --create "$W/disk/store" "$W/mnt"
daemon=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' \
    "$W/mnt/.tally/stats.json")

# measure NAME COMMAND… - prints its seconds and CPU seconds; wall_NAME is kept.
cpu_of_daemon() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$daemon/stat"; }
measure() {
    local name=$1 before after out
    shift
    before=$(cpu_of_daemon)
    out=$({ TIMEFORMAT='%R %U %S'; time "$@" >"$W/said"; } 2>&1 | tail -1)
    after=$(cpu_of_daemon)
    read -r wall user sys <<<"$out"
    printf -v "wall_$name" %s "$wall"
    awk -v n="$name" -v w="$wall" -v u="$user" -v s="$sys" -v d="$(awk -v a="$after" -v b="$before" 'BEGIN { print a - b }')" \
        'BEGIN { printf "%-14s %7.2f s wall %7.2f s cpu\n", n, w, u + s + d }'
}
ratio() { awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%-28s %.2f\n", n, a / b }'; }

cat "$tar" >/dev/null
measure untar tar -xf "$tar" -C "$W/ext4/tree"
measure import "$TALLY" -C "$W/mnt" import "$tar" one
measure again "$TALLY" -C "$W/mnt" import "$tar" two
measure tar tar -cf "$W/out.tar" -C "$W/ext4/tree" .
rm "$W/out.tar"
measure export "$TALLY" -C "$W/mnt" export one "$W/out.tar"
rm "$W/out.tar"
measure export_warm "$TALLY" -C "$W/mnt" export one "$W/out.tar"
rm "$W/out.tar"
# shellcheck disable=SC2154  # measure sets them
{
    ratio "import / tar -x" "$wall_untar" "$wall_import"
    ratio "second import / first" "$wall_import" "$wall_again"
    ratio "second import / tar -x" "$wall_untar" "$wall_again"
    ratio "export / tar -c" "$wall_tar" "$wall_export"
    ratio "export, warm / tar -c" "$wall_tar" "$wall_export_warm"
}
