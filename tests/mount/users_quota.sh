#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An ordinary user's store on a disk with quotas: df tells what the quota leaves, and the room that
# commits need is kept of it, so that removing goes on. Few kernels have quotas compiled in, so what
# quotactl_fd(2) answers the daemon is made by strace.
set -euo pipefail
# In a mount namespace of its own, where /dev/fuse may be opened by all, as on any Debian.
if [[ $(id -u) -eq 0 && -z ${TALLY_TEST_UNSHARED:-} ]]; then
    TALLY_TEST_UNSHARED=yes exec unshare -m --propagation private bash "$0"
fi
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs setpriv fusermount3 unshare strace python3
mknod -m 666 "$W/fuse" c 10 229
mount --bind "$W/fuse" /dev/fuse
user=1000
as() { HOME=$W setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
install -m 755 "$TALLY" "$W/tally"
mkdir "$W/home" "$W/home/mnt"
chown -R "$user:$user" "$W/home"
S=$W/home/store M=$W/home/mnt
as "$W/tally" init "$S" >/dev/null

# mount_quota LIMIT USED (MiB) - a daemon to which that is told.
mount_quota() {
    local answer
    answer=$(python3 -c 'import struct, sys
print(struct.pack("<8QI4x", int(sys.argv[1]) << 10, 0, int(sys.argv[2]) << 20, 0, 0, 0, 0, 0, 1).hex())' "$@")
    # The sanitizer's search for leaks cannot be done to who is traced.
    ASAN_OPTIONS=detect_leaks=0 HOME=$W strace -f -qq -o "$W/trace" -e trace=quotactl_fd \
        -e "inject=quotactl_fd:retval=0:poke_exit=@arg4=$answer" \
        setpriv --reuid "$user" --regid "$user" --clear-groups "$W/tally" mount -f "$S" "$M" \
        </dev/null >>"$W/log" 2>&1 &
    daemon=$!
    pids+=("$daemon")
    wait_until sh -c "grep -q ' $M fuse' /proc/self/mounts || ! kill -0 $daemon 2>/dev/null"
    grep -q " $M fuse" /proc/self/mounts
}
unmount_quota() {
    as "$W/tally" umount "$M"
    wait_until ended "$daemon"
    wait "$daemon"
    quiet_log
}
# As that user, but Python itself need not be the user's to run.
errno_as_user() {
    errno_of "os.setgroups([]); os.setresgid($user, $user, $user); os.setresuid($user, $user, $user)
$1"
}

claim "df tells of the quota, and there is room"
mount_quota 400 100
eq "$(as df -m --output=size,avail "$M/main" | tail -n 1 | tr -s ' ')" " 400 284" # without the room that is kept
eq "$(errno_as_user "open('$M/main/f', 'wb').write(os.urandom(3000000))")" OK
eq "$(errno_as_user "os.posix_fallocate(os.open('$M/main/g', os.O_CREAT | os.O_WRONLY), 0, 310 << 20)")" EDQUOT
grep -q 'quotactl_fd(' "$W/trace"
unmount_quota

claim "used up but for what commits need: EDQUOT for what is new, and removing goes on"
mount_quota 400 390
eq "$(errno_as_user "open('$M/main/new', 'wb').write(b'x')")" EDQUOT
eq "$(errno_as_user "os.mkdir('$M/main/d')")" EDQUOT
eq "$(errno_as_user "os.stat('$M/main/f'); open('$M/main/f', 'rb').read()")" OK
as rm "$M/main/f"
as "$W/tally" -C "$M" drain >/dev/null
eq "$(find "$S/objects" -type f | wc -l)" 0
unmount_quota

claim "more is used than allowed: nothing is left, and nothing breaks"
mount_quota 400 900
eq "$(as df -m --output=avail "$M/main" | tail -n 1 | tr -d ' ')" 0
eq "$(errno_as_user "open('$M/main/new', 'wb').write(b'x')")" EDQUOT
unmount_quota

claim "without a limit the disk's own room counts"
mount_quota 0 900
eq "$(errno_as_user "open('$M/main/new', 'wb').write(b'x')")" OK
unmount_quota
as "$W/tally" check "$S" >/dev/null
claim "all of ${test_file##*/}"
