#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A shard, or an archive, on a mount that never answers: who reads there gets EIO after a while, nobody else notices,
# the store is unmounted and mounted again meanwhile, and nothing is lost.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
bad_disk "$W/under" threads
# What waits for it in the kernel is let go first: umount(8) would wait, too.
end_disk() {
    kill -KILL "$disk" 2>/dev/null || true
    wait "$disk" 2>/dev/null || true
    cleanup
}
trap end_disk EXIT
may_log '^tally: warning: shard 1 is unreachable: it does not answer$'
may_log '^tally: warning: shard 1 did not answer to the end: dir:'
may_log '^tally: note: shard 1 is ok$'

t() { timeout "$limit" "$TALLY" -C "$M" "$@"; }
reads() { timeout "$limit" python3 -c '
import errno, sys
try:
    open(sys.argv[1], "rb").read()
    print("OK")
except OSError as e:
    print(errno.errorcode[e.errno])' "$M/main/$1"; }
# In bounded time, with a sentence that names the shard, and a store that is closed.
unmounts() {
    timeout "$limit" "$@" "$M" 2>"$W/said" || fail "no unmount: $(<"$W/said")"
    matches "$(<"$W/said")" "its store is closed; the shard dir:$D/cold did not answer"
    ! mountpoint -q "$M" || fail "it is mounted"
    [[ -z $(ls "$S/log") ]] || fail "a log is left"
    quiet_log
}
others_go_on() {
    eq "$(<"$M/main/here")" here
    eq "$(digest "$M/main/there")" "$there"
    echo "$1" >"$M/main/$1"
    sync "$M/main/$1"
    eq "$(reads cold)" EIO
    eq "$(reads cold)" EIO
    matches "$(t shard list)" '1 .*unreachable'
    matches "$(t shard list)" '2 .*ok'
    matches "$(t status)" 'it does not answer'
}

# A thread of the disk that was about to take a request may take it although it was sent the signal. Then
# nothing ends who waits for that request. So no request is made before all threads stand.
stands() { ! cat "/proc/$disk/task"/*/status | grep '^State:' | grep -qv 'T (stopped)'; }
stop_disk() {
    kill -STOP "$disk"
    wait_until stands
}

begin
mkdir "$D/cold" "$W/warm"
t shard add 1 "dir:$D/cold" >/dev/null
t shard add 2 "dir:$W/warm" >/dev/null
t set shard_patience 10s >/dev/null # the other shard, which is well, answers in this time
for name in cold moves there; do head -c 3000000 /dev/urandom >"$M/main/$name"; done
echo here >"$M/main/here"
cold=$(digest "$M/main/cold") moves=$(digest "$M/main/moves") there=$(digest "$M/main/there")
t drain >/dev/null
t move main/cold 1 --wait >/dev/null
t move main/there 2 --wait >/dev/null
unmount_store

claim "a read that never comes back is EIO, and all else is as ever"
mount_store
fault "read STALL"
others_go_on one
fails t move main/moves 1 --wait
t sweep >/dev/null

claim "the mount ends, and its daemon"
unmounts "$TALLY" umount
wait "$daemon"

claim "the store can be mounted meanwhile, with everything in it"
mount_store
eq "$(<"$M/main/one")" one
eq "$(digest "$M/main/moves")" "$moves"
others_go_on two
ln -s "$TALLY" "$W/umount.fuse.tally"
unmounts "$W/umount.fuse.tally"
wait "$daemon"

claim "a call that the kernel waits for, whatever happens: the process stays, and the store is free"
fault "sync STALL"
mount_store
fails t move main/moves 1 --wait
others_go_on three
unmounts "$TALLY" umount
stuck=$daemon
! ended "$stuck" || fail "the kernel ended it"
mount_store
eq "$(<"$M/main/two")" two
eq "$(<"$M/main/three")" three
eq "$(digest "$M/main/cold")" "$cold"
eq "$(digest "$M/main/moves")" "$moves"
unmount_store
check_clean

claim "it answers again: that process ends, and the shard is as it was"
fault ""
wait_until ended "$stuck"
wait "$stuck"
mount_store
eq "$(digest "$M/main/cold")" "$cold"
t move main/moves 1 --wait >/dev/null
eq "$(digest "$M/main/moves")" "$moves"
t sweep --wait >/dev/null

claim "its server is stopped while files are read there: the same"
unmount_store
mount_store
stop_disk
others_go_on four
unmounts "$TALLY" umount
# A request that the server has taken when it is stopped keeps the daemon in the kernel until it is
# answered; one that it has not taken does not.
kill -CONT "$disk"
wait "$daemon"
mount_store
eq "$(<"$M/main/four")" four
eq "$(digest "$M/main/cold")" "$cold"

claim "back while it is mounted, it is seen as back"
stop_disk
unseen() { [[ $(reads cold) == EIO ]]; }
echo 3 >/proc/sys/vm/drop_caches
wait_until unseen
kill -CONT "$disk"
back() { [[ $(t shard list) =~ 1\ .*ok ]]; }
wait_until back
eq "$(digest "$M/main/cold")" "$cold"

claim "an archive that never answers: all else goes on, the mount ends, and the next one ships"
may_log '^tally: warning: (archive|shard) (65535|dir:[^ ]*/arch)\b'
may_log '^tally: warning: shard 65535 did not answer to the end: dir:'
mkdir "$D/arch"
t archive add "dir:$D/arch" >/dev/null
t archive ship >/dev/null
fault "write STALL arch"
echo five >"$M/main/five"
sync "$M/main/five"
behind() { [[ $(t archive status) =~ state=failing ]]; }
wait_until behind
eq "$(<"$M/main/five")" five
t status >/dev/null
t gc --wait >/dev/null
matches "$(<"$M/.tally/metrics")" 'tallyfs_stuck_requests 0'
timeout "$limit" "$TALLY" umount "$M" 2>"$W/said" || fail "no unmount: $(<"$W/said")"
matches "$(<"$W/said")" "the shard dir:$D/arch did not answer"
fault ""
wait "$daemon"
mount_store
eq "$(<"$M/main/five")" five
shipped() { [[ $(t durable) =~ behind=0 ]]; }
wait_until shipped
finish
