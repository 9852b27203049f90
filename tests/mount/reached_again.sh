#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that dies with its mount namespace, as a killed container does: the store is reached by
# another mount of the same filesystem, whose page cache has all that was acknowledged.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs findmnt nsenter unshare
small_disk 96M
S=$D/store
[[ $(errno_of 'fcntl.ioctl(os.open(argv[0], os.O_RDONLY), 0x80811501, bytes(129))' "$D") == OK ]] ||
    skip "the kernel does not tell mounted filesystems apart"
begin
rule() { "$TALLY" log "$S" | tail -n 1; }
# lines FILE [COMMAND…] - writes it, by that command.
lines() {
    "${@:2}" python3 -c 'import sys; open(sys.argv[1], "w").writelines(f"{i}\n" for i in range(2000))' "$M/main/$1"
}
unmount_store

claim "a daemon is killed with its mount namespace: nothing is lost that was acknowledged"
mkdir "$W/inner"
# shellcheck disable=SC2016 # the inner shell expands it
ASAN_OPTIONS=$DAEMON_ASAN unshare -m --propagation private sh -c 'mount --bind "$2" "$3" && umount "$2" && exec "$1" mount -f "$3/store" "$4"' \
    sh "$TALLY" "$D" "$W/inner" "$M" </dev/null >>"$W/log" 2>&1 &
daemon=$!
pids+=("$daemon")
inside() { nsenter -t "$daemon" -m "$@"; }
wait_until inside mountpoint -q "$M"
inside "$TALLY" -C "$M" set flush_interval 1h >/dev/null
lines inner inside
want=$(inside cat "$M/main/inner" | sha256sum)
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
matches "$(rule)" 'every whole frame counts'
mount_store
eq "$(sha256sum <"$M/main/inner")" "$want"

# What is killed is reached by another mount, and then by one of the filesystem mounted anew.
reached() {
    local device
    device=$(findmnt -no SOURCE "$D")
    "$TALLY" -C "$M" set flush_interval 1h >/dev/null
    lines outer
    kill_daemon
    matches "$(rule)" 'every whole frame counts'
    mount --bind "$D" "$W/inner"
    umount "$D"
    S=$W/inner/store
    matches "$(rule)" 'every whole frame counts'
    exec 9<"$device" # so it stays the loop device of that image
    umount "$W/inner"
    S=$D/store
    mount "$device" "$D"
    exec 9<&-
    matches "$(rule)" 'up to the last sync, since .* mounted anew'
    mount_store
}

claim "after the filesystem was mounted anew, on the same device, only what was synced counts"
reached
eq "$(sha256sum <"$M/main/inner")" "$want"

for fs in btrfs xfs; do
    command -v "mkfs.$fs" >"$W/said" || continue
    truncate -s 400M "$W/$fs.img"
    "mkfs.$fs" "$W/$fs.img" >"$W/said" 2>&1
    mount "$W/$fs.img" -o loop "$W/inner" 2>"$W/said" || continue # the kernel may lack it
    claim "the same on $fs"
    unmount_store
    umount "$D"
    mount --bind "$W/inner" "$D"
    umount "$W/inner"
    "$TALLY" init "$S"
    mount_store
    reached
done
finish
