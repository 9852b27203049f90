#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A soak of some seconds: that it runs, with each of its faults, says what it measured, goes on where it was
# ended, and leaves nothing. What grows in so short a time is not judged.
set -euo pipefail
: "${TALLY:?is the tally program}"
[[ $(id -u) -eq 0 ]] || { echo "skipped: not root" && exit 77; }
(exec 3<>/dev/fuse) 2>/dev/null || { echo "skipped: /dev/fuse does not open" && exit 77; }
here=$(dirname "$0")
W=$(mktemp -d "${TMPDIR:-/tmp}/tally-soak-XXXXXX")
cleanup() {
    umount -l "$W/d/mnt" 2>/dev/null || true
    umount "$W/d/disk" 2>/dev/null || true
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT
soak() {
    local rc=0
    timeout -k 10 250 python3 -B "$here/soak" --tally "$TALLY" --other-build "$TALLY" --dir "$W/d" --disk 1G \
        --rate 30 --workers 2 --sample 2s "$@" >"$W/out" 2>&1 || rc=$?
    [[ $rc -eq 0 || $rc -eq 2 ]] || { cat "$W/out" && exit 1; }
    grep -q '^rss_kib ' "$W/out" || [[ $(grep -c '^objects ' "$W/out") -eq 1 ]] || { cat "$W/out" && exit 1; }
    ! mountpoint -q "$W/d/mnt" && ! mountpoint -q "$W/d/disk"
}
soak --seed 1 --duration 15 --kill 4s --restart 8s --full 0 --check 0
soak --seed 2 --duration 30 --kill 0 --restart 0 --full 6s --check 8s --resume
[[ $(wc -l <"$W/d/samples.csv") -ge 4 ]]
