#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What mount(8) notes of a mount in its utab is gone when the mount is, whichever way it ended;
# lines of others stay, and its lock is respected.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
with_helpers
needs python3 flock
S="$W/a store,\\odd" M="$W/mount point"
"$TALLY" init "$S"
utab=$W/run/utab
other='SRC=/dev/other TARGET=/mnt ROOT=/ OPTS=x-none'
echo "$other" >"$utab"

# umount2 PATH FLAGS - the system call alone.
umount2() {
    python3 -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.umount2(os.fsencode(sys.argv[1]), int(sys.argv[2])) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))' "$1" "$2"
}
is_unmounted() { ! grep -q "${W##*/}.* - fuse.tally" /proc/self/mountinfo; }
no_line() { eq "$(<"$utab")" "$other" "$1"; }
up() {
    mount8
    matches "$(<"$utab")" 'TARGET=[^ ]*mount\\040point .*uhelper=fuse.tally'
}
nobody_unmounts() { ! pgrep -f "umount .*${W##*/}" >"$W/said"; }
over() {
    wait_until ended "$daemon" || fail "the daemon does not end"
    # umount(8) unmounts then, and outlives the daemon. If it finds that the daemon had unmounted, and
    # was forced to end before it got to the line, the line stays until the next mount.
    if [[ $1 == *TERM*INT* ]]; then
        wait_until nobody_unmounts || fail "umount does not end: $(<"$W/said")"
        is_unmounted || fail "it is still mounted"
        up
        umount2 "$M" 0
        wait_until ended "$daemon" || fail "the next daemon does not end"
    fi
    is_unmounted || fail "dead mounts are left: $(<"/proc/self/mountinfo")"
    no_line "$1"
}

ways=('umount "$M"' 'umount -l "$M"' 'umount -i "$M"' 'umount2 "$M" 0' 'umount2 "$M" 2'
    'fusermount3 -u "$M"' '"$TALLY" umount "$M"' '"$TALLY" umount -f "$M"' '"$TALLY" umount -l "$M"'
    'kill -TERM "$daemon"' 'kill -INT "$daemon"'
    'kill -STOP "$daemon"; kill -TERM "$daemon"; kill -INT "$daemon"; kill -CONT "$daemon"'
    'kill -KILL "$daemon"; "$TALLY" umount "$M" 2>"$W/said"'
    'mount --move "$M" "$W/elsewhere"; kill -TERM "$daemon"'
    'mount --move "$M" "$W/elsewhere"; umount2 "$W/elsewhere" 0'
    'mount --bind "$M/main" "$W/elsewhere"; kill -TERM "$daemon"'
    'mount --bind "$M" "$W/elsewhere"; mount --bind "$M/main" "$W/elsewhere"; kill -TERM "$daemon"')
mkdir "$W/elsewhere"
for way in "${ways[@]}"; do
    claim "after: $way"
    up
    eval "$way"
    over "$way"
done

claim "a daemon that was killed, and a mount that nobody told it of: the next one clears up"
up
kill -KILL "$daemon"
wait_until ended "$daemon"
umount2 "$M" 2
M="$W/other place"
mount8
eq "$(grep -c fuse.tally "$utab")" 1
umount2 "$M" 0
over "the next mount"
M="$W/mount point"

claim "the line stays as long as it is mounted, also when another mount of it goes"
up
mkdir "$W/bind"
mount --bind "$M/main" "$W/bind"
umount2 "$W/bind" 0
matches "$(<"$utab")" 'uhelper=fuse.tally'
umount2 "$M" 0
over "a bind mount"

claim "whoever has the lock is waited for; but not for ever"
up
exec 9<"$W/run/utab.lock"
flock 9
echo "$other" >"$W/expected"
cp "$utab" "$W/before"
umount2 "$M" 0
wait_until ended "$daemon" || fail "the daemon waits for the lock"
cmp "$utab" "$W/before"
exec 9<&-
up
eq "$(grep -c fuse.tally "$utab")" 1
umount2 "$M" 0
over "the lock was given up"
# The daemon waits two seconds, and on a busy machine that may be over before the lock is let go.
let_go_in_time() {
    up || fail "not mounted"
    exec 9<"$W/run/utab.lock"
    flock 9
    umount2 "$M" 0 || fail "not unmounted"
    wait_until is_unmounted || fail "it is still mounted"
    exec 9<&-
    wait_until ended "$daemon" || fail "the daemon does not end"
    [[ $(<"$utab") == "$other" ]]
}
wait_until let_go_in_time || fail "nobody waits for the lock"
eq "$(find "$W/run" -mindepth 1 -printf '%f ')" "$(find "$W/run" \( -name utab -o -name utab.lock \) -printf '%f ')"
eq "$(stat -c '%a %U' "$utab")" '644 root'
check_clean
claim "all of ${test_file##*/}"
