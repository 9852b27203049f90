#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An ordinary user with a store and a mount of its own, through fusermount3: what it can do, and what
# root and others see of it.
set -euo pipefail
# In a mount namespace of its own, where /dev/fuse may be opened by all, as on any Debian (not in every
# container), and /etc/fuse.conf is this test's.
if [[ $(id -u) -eq 0 && -z ${TALLY_TEST_UNSHARED:-} ]]; then
    TALLY_TEST_UNSHARED=yes exec unshare -m --propagation private bash "$0"
fi
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs setpriv fusermount3 unshare python3
mknod -m 666 "$W/fuse" c 10 229
mount --bind "$W/fuse" /dev/fuse
: >"$W/fuse.conf"
[[ -e /etc/fuse.conf ]] || skip "there is no /etc/fuse.conf to put another one over"
mount --bind "$W/fuse.conf" /etc/fuse.conf
user=1000 other=65534
as() { HOME=$W setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
denied() {
    fails "$@"
    matches "$(cat "$W/said")" '[Pp]ermission denied|[Nn]ot permitted'
}
# The program where any user can run it, and a place that is the user's.
install -m 755 "$TALLY" "$W/tally"
mkdir "$W/home" "$W/home/mnt"
chown -R "$user:$user" "$W/home"
S=$W/home/store M=$W/home/mnt
: >"$W/log"
chmod 666 "$W/log"

mount_own() { # OPTIONS…
    as "$user" "$W/tally" mount -f ${MOUNT_OPTIONS:+-o "$MOUNT_OPTIONS"} "$@" "$S" "$M" </dev/null >>"$W/log" 2>&1 &
    daemon=$!
    pids+=("$daemon")
    wait_until sh -c "grep -q ' $M fuse' /proc/self/mounts || ! kill -0 $daemon 2>/dev/null"
    grep -q " $M fuse" /proc/self/mounts
}
daemon_ended() {
    wait_until ended "$daemon"
    wait "$daemon"
    quiet_log
}

claim "a user makes a store and mounts it"
as "$user" "$W/tally" init "$S" >/dev/null
eq "$(stat -c '%u %g %a' "$S")" "$user $user 700"
mount_own
as "$user" sh -ec "cd '$M/main' && echo mine >f && mkdir -m 755 d && ln f d/hard && ln -s f l && echo x >d/x && mv d/x d/y"
eq "$(as "$user" stat -c '%u %g %a %h' "$M/main/f" "$M/main" | tr '\n' ,)" "$user $user 644 2,$user $user 755 3,"
as "$user" "$W/tally" -C "$M" branch main dev >/dev/null
eq "$(as "$user" cat "$M/dev/d/hard" "$M/main/l")" "$(printf 'mine\nmine')"
head -c 3000000 /dev/urandom >"$W/large"
as "$user" cp "$W/large" "$M/main/large"
as "$user" cmp "$W/large" "$M/main/large"
as "$user" "$W/tally" -C "$M" drain >/dev/null

claim "the kernel does not read large files by itself for a user: the daemon does, and says so once"
passthrough=$(as "$user" sed -n 's/^passthrough *//p' "$M/.tally/status")
matches "$passthrough" '^no: (needs root|the kernel does not offer it)$'
eq "$(grep -cF "large files are not read by the kernel itself (passthrough $passthrough)" "$W/log")" 1
as "$user" chmod 444 "$M/main/large"
as "$user" cmp "$W/large" "$M/main/large"
as "$user" sh -ec "exec 5<'$M/main/large'; chmod 644 '$M/main/large'; printf x >>'$M/main/large'; cat <&5 >'$W/home/got'"
eq "$(as "$user" stat -c %s "$W/home/got")" 3000001
as "$user" truncate -s 3000000 "$M/main/large"
as "$user" cmp "$W/large" "$M/main/large"

claim "others, root among them, do not get in without allow_other"
for who in 0 "$other"; do
    denied as "$who" ls "$M"
    denied as "$who" cat "$M/main/f"
    denied as "$who" stat "$M/main"
    denied as "$who" cat "$M/.tally/status"
done
grep " $M " /proc/self/mounts | grep -q "user_id=$user" || fail "whose is it?"

claim "the user gives nothing away: no chown, no devices, no set-id that counts"
denied as "$user" chown 0 "$M/main/f"
denied as "$user" chgrp 0 "$M/main/f"
denied as "$user" mknod "$M/main/null" c 1 3
grep " $M " /proc/self/mounts | grep nosuid | grep -q nodev

claim "the user unmounts it: tally umount waits for the daemon"
as "$user" "$W/tally" umount "$M"
daemon_ended
fails grep -q " $M fuse" /proc/self/mounts
as "$user" "$W/tally" check "$S" >/dev/null

claim "and so does fusermount3 -u; all is there at the next mount"
mount_own
eq "$(as "$user" cat "$M/main/d/y")" x
as "$user" fusermount3 -u "$M"
daemon_ended
mount_own
as "$user" cmp "$W/large" "$M/main/large"

claim "another user cannot unmount it, nor mount its store or over its directory"
for command in "$W/tally umount $M" "fusermount3 -u $M" "$W/tally mount $S $W/home" "$W/tally check $S"; do
    # shellcheck disable=SC2086
    fails as "$other" $command
done
as "$user" test -e "$M/main/f"

claim "root may unmount it"
"$W/tally" umount "$M"
daemon_ended

claim "allow_other: refused by fusermount3 without user_allow_other in fuse.conf, with it others come in"
fails as "$user" "$W/tally" mount -o allow_other "$S" "$M"
matches "$(cat "$W/said")" 'user_allow_other'
echo user_allow_other >"$W/fuse.conf"
mount_own -o allow_other
as "$user" sh -ec "cd $M/main && chmod 600 f && echo open >public && chmod 1777 ."
eq "$(as "$other" cat "$M/main/public")" open
denied as "$other" cat "$M/main/f"
as "$other" sh -ec "echo theirs >$M/main/theirs && chmod 600 $M/main/theirs"
eq "$(stat -c '%u %a' "$M/main/theirs")" "$other 600"
denied as "$user" cat "$M/main/theirs"
denied as "$other" ls "$M/.tally"
eq "$(cat "$M/main/f")" mine "root reads"
echo root >"$M/main/root"
eq "$(stat -c %u "$M/main/root")" 0
as "$user" "$W/tally" umount "$M"
daemon_ended

claim "the store on disk stays the user's, whoever has written"
eq "$(find "$S" ! -uid "$user" -o -perm /077 ! -name tally-store)" ""
as "$user" "$W/tally" check "$S" >/dev/null
claim "all of ${test_file##*/}"
