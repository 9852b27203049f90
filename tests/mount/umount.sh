#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What umount waits for, and what it says of the end: a daemon whose process id is of another pid
# namespace, one whose last drain fails, a path that changes, and a mount namespace by -N.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
with_helpers
bad_disk "$W/under"
S=$D/store
begin

claim "the process id that a daemon in another pid namespace shows is not waited for"
unmount_store
unshare --pid --fork --kill-child "$TALLY" mount -f "$S" "$M" >>"$W/log" 2>&1 &
pids+=($!)
wait_until mountpoint -q "$M"
eq "$(daemon_of "$M")" 1
echo text >"$M/main/f"
timeout -s KILL $((limit / 2)) "$TALLY" umount "$M" 2>"$W/said" || fail "$(<"$W/said")"
matches "$(<"$W/said")" 'its daemon cannot be seen from here'
wait "${pids[-1]}"
check_clean

claim "an umount whose daemon could not write the rest says so and fails; the next mount has it"
may_log '^tally: ALARM: .* failed \(Input/output error\): the store is read-only now'
may_log '^tally mount: '
mount_store
"$TALLY" -C "$M" set flush_interval 1h >/dev/null
mkdir "$M/main/sub" "$W/part" # not the top directory of a namespace, by which a drain could be commanded
echo text >"$M/main/sub/f"
drain
mount --bind "$M/main/sub" "$W/part"
umount -i "$M" # the daemon of a part drains after the unmount
echo more >>"$W/part/f"
sync "$W/part/f"
fault "sync EIO kv/data.mdb"
fails "$TALLY" umount "$W/part"
matches "$(<"$W/said")" "part is unmounted, but its daemon did not write everything.*log of $S"
wait "$daemon" && fail "the daemon ended well"
fault ""
replace_disk
mount_store
eq "$(cat "$M/main/sub/f")" "text
more"
"$TALLY" -C "$M" set flush_interval 5s >/dev/null
unmount_store

claim "an ancestor of the mount point that becomes a symlink leads umount to no other mount"
mkdir -p "$W/theirs/a/mnt" "$W/roots/mnt"
mount -t tmpfs precious "$W/roots/mnt"
M=$W/theirs/a/mnt
mount_store
drains() { ls -l "/proc/$1/fd" | grep -qF "$M/.tally/control"; }
echo y >>"$M/main/f"
fault "sync STALL kv/data.mdb"
"$TALLY" umount --force "$M" 2>"$W/said" &
umount=$!
pids+=("$umount")
wait_until drains "$umount" # by now it knows the mount, and has not unmounted it
mv "$W/theirs/a" "$W/theirs/b"
ln -s "$W/roots" "$W/theirs/a"
fault ""
wait "$umount" && fail "it unmounted another mount, or says so"
matches "$(<"$W/said")" "cannot unmount $M: Not a directory"
mountpoint -q "$W/roots/mnt" || fail "another mount is gone"
rm "$W/theirs/a"
mv "$W/theirs/b" "$W/theirs/a"
unmount_store
umount "$W/roots/mnt"

claim "mount -N and umount -N act in that mount namespace"
M=$W/mnt
unshare -m --propagation private sleep 1000 &
there=$!
pids+=("$there")
is_there() { [[ $(tr '\0' ' ' <"/proc/$there/cmdline") == 'sleep 1000 ' ]]; }
wait_until is_there
mount -N "$there" -t fuse.tally "$S" "$M" 2>>"$W/log"
mountpoint -q "$M" && fail "it is mounted here"
daemon=$(daemon_of "/proc/$there/root$M")
pids+=("$daemon")
umount -N "$there" "$M"
ended "$daemon" || fail "the daemon is still there"
! grep -qF "$M" "/proc/$there/mounts" || fail "it is still mounted there"
for verb in mount "umount"; do
    fails "$W/sbin/$verb.fuse.tally" "$S" "$M" -N "$W/no-namespace"
    matches "$(<"$W/said")" "cannot enter the mount namespace $W/no-namespace: No such file"
done
check_clean
kill "$there"
quiet_log
claim "all of ${test_file##*/}"
