#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mount -o remount, by mount(8) with and without its helper, and by the system call alone: what it
# says holds, and the daemon knows.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
with_helpers
"$TALLY" init "$S"
mount8 -o ctl_mode=0640,threads=3
echo text >"$M/main/f"
ln -s f "$M/main/link"
mkdir "$M/main/d"
cp -p /bin/true "$M/main/true"
flags() { awk -v m="$M" '$5 == m { at = "," $6 ",;," $NF "," } END { print at }' /proc/self/mountinfo; }
has_flag() { [[ $(flags) == *",$1,"* ]]; }
state() { sed -n 's/^mounted *//p' "$M/.tally/status"; }
state_is() { [[ $(state) == "$1" ]]; }
stats() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$M/.tally/stats.json" "$1"; }
# moved PATH COMMAND… - does the command move the access time?
moved() {
    local path=$1 before
    shift
    before=$(stat -c %x "$path")
    "$@" >"$W/out"
    [[ $(stat -c %x "$path") != "$before" ]]
}
# All that changes something; each must fail so.
refused_with() {
    eq "$(errno_of 'open(argv[0], "w")' "$M/main/f")" "$1"
    eq "$(errno_of 'open(argv[0], "w")' "$M/main/new")" "$1"
    eq "$(errno_of 'os.mkdir(argv[0])' "$M/main/new")" "$1"
    eq "$(errno_of 'os.mkdir(argv[0])' "$M/new")" "$1"
    eq "$(errno_of 'os.unlink(argv[0])' "$M/main/f")" "$1"
    eq "$(errno_of 'os.rename(argv[0], argv[0] + "x")' "$M/main/f")" "$1"
    eq "$(errno_of 'os.setxattr(argv[0], "user.a", b"")' "$M/main/f")" "$1"
    eq "$(errno_of 'os.chmod(argv[0], 0o600)' "$M/main/f")" "$1"
    eq "$(errno_of 'os.open(argv[0], os.O_RDWR)' "$M/.tally/control")" "$1"
}

claim "it is rw, as it was mounted"
eq "$(state)" rw,relatime

claim "ro: nothing changes any more, reading moves no time, all is on disk"
echo more >>"$M/main/f"
mount -o remount,ro "$M"
has_flag ro
eq "$(state)" ro,relatime
matches "$("$TALLY" -C "$M" status)" 'mounted +ro,relatime' # though it takes no commands
fails "$TALLY" -C "$M" drain
matches "$(<"$W/said")" 'is mounted ro and takes no commands'
refused_with EROFS
! moved "$M/main/f" cat "$M/main/f" || fail "a reading moved the access time"
! moved "$M/main/d" ls "$M/main/d" || fail "a listing moved the access time"
eq "$(stats durable_seq)" "$(stats seq)"
eq "$(errno_of 'os.mkdir(argv[0])' "$M/main/d")" EEXIST # as generic/294 wants it

claim "again ro, and rw: as before"
mount -o remount,ro "$M"
mount -o remount,rw "$M"
eq "$(state)" rw,relatime
echo again >>"$M/main/f"
moved "$M/main/f" cat "$M/main/f"
"$TALLY" -C "$M" drain >/dev/null

claim "with a file open for writing it is busy, and stays rw"
exec 8>>"$M/main/open"
fails mount -o remount,ro "$M"
matches "$(<"$W/said")" 'busy'
echo more >&8
exec 8>&-
eq "$(state)" rw,relatime
echo text >>"$M/main/f"

claim "each other option, to and fro; the rest stays"
mount -o remount,nosuid "$M"
mount -o remount,noexec "$M"
eq "$(errno_of 'os.execv(argv[0], ["true"])' "$M/main/true")" EACCES
mount -o remount,nodev,nosymfollow "$M"
eq "$(errno_of 'open(argv[0])' "$M/main/link")" ELOOP
for word in nosuid noexec nodev nosymfollow; do
    has_flag "$word" || fail "$word is not in $(flags)"
done
mount -o remount,exec "$M"
"$M/main/true"
mount -o remount,noatime "$M"
eq "$(state)" rw,noatime
touch "$M/main/f"
! moved "$M/main/f" cat "$M/main/f" || fail "a reading moved the access time"
mount -o remount,strictatime "$M"
eq "$(state)" rw,strictatime
moved "$M/main/f" cat "$M/main/f"
moved "$M/main/f" cat "$M/main/f"
moved "$M/main/d" ls "$M/main/d"
mount -o remount,relatime,nodiratime "$M"
eq "$(state)" rw,relatime,nodiratime
touch "$M/main/d"
! moved "$M/main/d" ls "$M/main/d" || fail "a listing moved the access time"
mount -o remount,diratime,sync,suid,dev "$M"
has_flag sync
! has_flag nosuid || fail "nosuid is in $(flags)"

claim "what was given at the mount may stand there again; other options of ours are refused"
mount -o remount,rw,ctl_mode=0640,threads=3 "$M"
for option in ctl_mode=0600 threads=4 transport=threads passthrough=all nlink=refs showctl noxattr; do
    fails mount -o "remount,$option" "$M"
    matches "$(<"$W/said")" "$option: only ro, rw"
done
fails mount -o remount,colour=blue "$M"
matches "$(<"$W/said")" "no mount option 'colour=blue'"
fails "$TALLY" mount -o remount,ro "$S" "$W"
matches "$(<"$W/said")" 'is not a tally mount'

claim "a line of the fstab"
echo "$S $M fuse.tally nosuid,ctl_mode=0640,threads=3,nofail,x-a=b 0 0" >"$W/fstab"
mount -T "$W/fstab" -o remount,ro "$M"
has_flag nosuid
! has_flag nodiratime || fail "nodiratime is in $(flags)"
eq "$(state)" ro,relatime
mount -T "$W/fstab" -o remount "$M"
eq "$(state)" rw,relatime

claim "without the helper, and with both source and mount point: the daemon sees it all the same"
for way in "-i -o remount,ro $M" "-o remount,ro $S $M" "-i -o remount,bind,ro $M"; do
    touch "$M/main/f"
    # shellcheck disable=SC2086
    mount $way
    wait_until state_is ro,relatime || fail "the daemon says $(state)"
    eq "$(errno_of 'open(argv[0], "w")' "$M/main/f")" EROFS
    ! moved "$M/main/f" cat "$M/main/f" || fail "a reading moved the access time"
    mount -i -o remount,rw "$M"
    mount -i -o remount,bind,rw "$M"
    wait_until state_is rw,relatime || fail "the daemon says $(state)"
done

claim "mounted ro, then rw; a bind mount of a part turns read-only by itself"
umount "$M"
mount8 -o ro
eq "$(state)" ro,relatime
refused_with EROFS
mount -o remount,rw,relatime "$M"
eq "$(state)" rw,relatime
echo text >"$M/main/f"
mkdir "$W/bind"
mount --bind "$M/main" "$W/bind"
mount -o remount,bind,ro "$W/bind"
eq "$(errno_of 'open(argv[0], "w")' "$W/bind/f")" EROFS
echo text >"$M/main/f"
eq "$(state)" rw,relatime
mount -o remount,ro "$M"
umount "$W/bind"

claim "a mount that became read-only ends as any, and one that is remounted all the time, too"
umount "$M"
ended "$daemon" || fail "the daemon is still there"
check_clean
mount8
for i in {1..20}; do
    mount -i -o remount,ro "$M"
    mount -i -o remount,rw "$M"
    echo "$i" >"$M/main/f"
done
kill -TERM "$daemon"
wait_until ended "$daemon"
check_clean

claim "what an ordinary user mounted stays nosuid and nodev, whatever root says"
install -d -o 1000 -g 1000 "$W/users" "$W/users/mnt"
mknod -m 666 "$W/fuse" c 10 229
cat >"$W/as-user" <<'EOF'
mount --bind "$1/fuse" /dev/fuse
setpriv --reuid 1000 --regid 1000 --clear-groups \
    "$TALLY" mount --create "$1/users/store" "$1/users/mnt"
"$TALLY" mount -o remount,rw,suid "$1/users/store" "$1/users/mnt" || exit 1
awk -v m="$1/users/mnt" '$5 == m { print $6 }' /proc/self/mountinfo
"$TALLY" umount "$1/users/mnt"
EOF
options=$(TALLY=$TALLY unshare -m bash "$W/as-user" "$W" 2>"$W/said") || fail "said: $(<"$W/said")"
[[ ,$options, == *,nosuid,* && ,$options, == *,nodev,* ]] || fail "it is $options"
claim "all of ${test_file##*/}"
