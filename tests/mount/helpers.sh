#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mount.fuse.tally and umount.fuse.tally: called as mount(8) does, and by mount(8), umount(8) and an
# fstab. These look in /sbin only, so that runs in a mount namespace of its own, where /sbin and
# /run/mount are others; nothing of it stays.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs unshare mount umount
echo text >"$M/main/f"
unmount_store
mkdir "$W/sbin"
ln -s "$TALLY" "$W/sbin/mount.fuse.tally"
ln -s "$TALLY" "$W/sbin/umount.fuse.tally"
pid_of_mount() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1] + "/.tally/stats.json"))["pid"])' "$1"; }

claim "by the helper's name: the call that mount(8) makes, with its options"
"$W/sbin/mount.fuse.tally" "$S" "$M" -o rw,nofail,_netdev,x-systemd.automount,nosuid,nodev
pid=$(pid_of_mount "$M")
pids+=("$pid")
eq "$(cat "$M/main/f")" text
matches "$(grep "$M " /proc/self/mounts)" "^$S $M fuse.tally rw,nosuid,nodev"
"$W/sbin/umount.fuse.tally" "$M"
ended "$pid" || fail "the daemon is still there"
check_clean

claim "unknown options are refused, with -s left out; -f does nothing"
fails "$W/sbin/mount.fuse.tally" "$S" "$M" -o colour=blue
matches "$(cat "$W/said")" "no mount option 'colour=blue'"
fails "$W/sbin/mount.fuse.tally" "$S" "$M" -o remount
matches "$(cat "$W/said")" 'is not a tally mount'
"$W/sbin/mount.fuse.tally" "$S" "$M" -f
mountpoint -q "$M" && fail "mounted in spite of -f"
"$W/sbin/mount.fuse.tally" "$S" "$M" -s -o colour=blue
pid=$(pid_of_mount "$M")
pids+=("$pid")
"$W/sbin/umount.fuse.tally" "$M" -n
ended "$pid" || fail "the daemon is still there"
fails "$W/sbin/umount.fuse.tally" "$M"
matches "$(cat "$W/said")" 'is not a tally mount'

claim "mount -t fuse.tally, plain umount which waits, and an fstab line"
mkdir "$W/run"
cat >"$W/fstab" <<END
$S $M fuse.tally defaults,nofail 0 0
END
cat >"$W/inner" <<'END'
set -euo pipefail
sbin=$1 run=$2 store=$3 mnt=$4 fstab=$5 python=$6
mkdir -p /run/mount
mount --bind "$run" /run/mount
mount --bind "$sbin" "$(realpath /sbin)"
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"; }
round() {
    "${@}"
    pid=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1] + "/.tally/stats.json"))["pid"])' "$mnt")
    echo "$pid" >>"$run/pids"
    [[ $(cat "$mnt/main/f") == text ]]
    head -c 30000000 /dev/urandom >"$mnt/main/big"
    umount "$mnt"
    gone "$pid" || { echo "umount came back before the daemon had ended"; exit 1; }
    ! mountpoint -q "$mnt"
}
round mount -t fuse.tally "$store" "$mnt"
round mount -T "$fstab" "$mnt"
END
rc=0
if ! mountpoint -q /; then # in a chroot there is no root mount to make private
    echo "not here: / is not a mount point"
    mount_store
    finish
    exit 0
fi
unshare -m --propagation private bash "$W/inner" "$W/sbin" "$W/run" "$S" "$M" "$W/fstab" \
    "$(command -v python3)" >"$W/said" 2>&1 || rc=$?
[[ ! -f $W/run/pids ]] || mapfile -t -O "${#pids[@]}" pids <"$W/run/pids"
eq "$rc" 0 "$(cat "$W/said")"
check_clean
[[ ! -e /run/mount/utab ]] || ! grep -q "$W" /run/mount/utab || fail "umount(8) still knows it"
mount_store
finish
