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
device=$(findmnt -no SOURCE "$D")
begin
rule() { "$TALLY" log "$S" | tail -n 1; }
lines() { "$@" python3 -c 'import sys; open(sys.argv[1], "w").writelines(f"{i}\n" for i in range(2000))' "$M/main/$file"; }
unmount_store

claim "a daemon is killed with its mount namespace: nothing is lost that was acknowledged"
mkdir "$W/inner"
ASAN_OPTIONS=$DAEMON_ASAN unshare -m --propagation private sh -c 'mount --bind "$2" "$3" && umount "$2" && exec "$1" mount -f "$3/store" "$4"' \
    sh "$TALLY" "$D" "$W/inner" "$M" </dev/null >>"$W/log" 2>&1 &
daemon=$!
pids+=("$daemon")
inside() { nsenter -t "$daemon" -m "$@"; }
wait_until inside mountpoint -q "$M"
inside "$TALLY" -C "$M" set flush_interval 1h >/dev/null
file=inner lines inside
want=$(inside cat "$M/main/inner" | sha256sum)
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
matches "$(rule)" 'every whole frame counts'
mount_store
eq "$(sha256sum <"$M/main/inner")" "$want"

claim "after the filesystem was mounted anew, on the same device, only what was synced counts"
"$TALLY" -C "$M" set flush_interval 1h >/dev/null
file=outer lines
kill_daemon
matches "$(rule)" 'every whole frame counts'
mount --bind "$D" "$W/inner"
umount "$D"
S=$W/inner/store
matches "$(rule)" 'every whole frame counts'
umount "$W/inner"
S=$D/store
mount "$W/disk.img" -o loop "$D"
eq "$(findmnt -no SOURCE "$D")" "$device"
matches "$(rule)" 'up to the last sync, since .* mounted anew'
mount_store
eq "$(sha256sum <"$M/main/inner")" "$want"
finish
