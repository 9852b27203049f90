#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What root does to a mount that only looks like one of ours, of somebody who means ill, leads
# nowhere out of it.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
: "${HOSTILE:?is the program hostile, of the same build}"
begin
mkdir "$W/hostile"
echo "root=precious" >"$W/precious"
"$HOSTILE" "$W/hostile" "$W/precious" &
server=$!
pids+=("$server")
wait_until mountpoint -q "$W/hostile"

claim "nothing is written through a symlink in the place of the control file"
for verb in "umount $W/hostile" "-C $W/hostile drain" "mount -o remount,ro /nowhere $W/hostile" \
    "mount $S $W/hostile"; do
    # shellcheck disable=SC2086
    fails timeout "$limit" "$TALLY" $verb
    eq "$(<"$W/precious")" root=precious "after $verb"
done
mountpoint -q "$W/hostile"

claim "nor is a job read through a symlink, or waited for where it is a FIFO"
for words in "jobs 1" "jobs 2"; do
    # shellcheck disable=SC2086
    fails timeout "$limit" "$TALLY" -C "$W/hostile" $words
    matches "$(<"$W/said")" "Structure needs cleaning"
done
eq "$(timeout "$limit" "$TALLY" -C "$W/hostile" jobs)" ""

claim "--force unmounts it all the same"
timeout "$limit" "$TALLY" umount --force "$W/hostile"
eq "$(<"$W/precious")" root=precious
wait_until ended "$server"

claim "root unmounts what a user mounted without asking who answers there"
install -d -o 1000 -g 1000 "$W/users"
mkdir "$W/again"
mknod -m 666 "$W/fuse" c 10 229
echo user_allow_other >"$W/fuse.conf"
cat >"$W/as-user" <<'EOF'
mount --bind "$1/fuse" /dev/fuse && mount --bind "$1/fuse.conf" /etc/fuse.conf || exit 1
setpriv --reuid 1000 --regid 1000 --clear-groups "$HOSTILE" "$1/users" &
until mountpoint -q "$1/users"; do sleep 0.1; done
mount --rbind "$1/users" "$1/again" && kill -STOP $!
timeout -s KILL "$2" "$TALLY" umount "$1/again" && timeout -s KILL "$2" "$TALLY" umount "$1/users"
ok=$?
kill -CONT $!
[[ $ok -eq 0 ]] && wait
EOF
[[ -e /etc/fuse.conf ]] || skip "there is no /etc/fuse.conf"
TALLY=$TALLY HOSTILE=$(realpath "$HOSTILE") timeout "$limit" unshare -m bash "$W/as-user" "$W" $((limit / 2))

claim "nor where its source lies in another mount of theirs, nor to know whether it is ours"
install -d -o 1000 -g 1000 "$W/within" "$W/plain" "$W/users"
cat >"$W/as-user" <<'EOF'
mount --bind "$1/fuse" /dev/fuse && mount --bind "$1/fuse.conf" /etc/fuse.conf || exit 1
serve() {
    setpriv --reuid 1000 --regid 1000 --clear-groups "$HOSTILE" "$@" &
    until mountpoint -q "$1"; do sleep 0.1; done
}
serve "$1/users"
serve "$1/within" "" "fsname=$1/users/store,subtype=tally,allow_other"
serve "$1/plain" "" "fsname=/nowhere,allow_other"
bad=0 half=$2
try() { # CODE WORD… - what tally says, and exits with; 137: it waits for the user's daemon
    local code=0
    timeout -s KILL "$half" "$TALLY" "${@:2}" || code=$?
    [[ $code -eq $1 ]] || { bad=1; echo "$code, not $1: $*" >&2; }
}
try 0 mount -o remount,noatime /nowhere "$1/within"
try 1 mount -o remount,ro /nowhere "$1/within"
try 1 mount -o remount,threads=3 /nowhere "$1/within"
kill -STOP %3
try 1 umount "$1/plain"
ln -s "$1/plain/x" "$1/through"
ln -s "$1/through/y" "$1/twice"
try 1 -C "$1/through" status
try 1 -C "$1/twice" drain
kill -CONT %3
try 0 umount "$1/within"
umount -i "$1/plain"
umount -i "$1/users"
wait
exit "$bad"
EOF
TALLY=$TALLY HOSTILE=$(realpath "$HOSTILE") timeout "$limit" unshare -m bash "$W/as-user" "$W" $((limit / 2))

claim "a name says nothing to the terminal"
fails "$TALLY" check "$W/"$'a\e]0;b'
! grep -q $'\e' "$W/said" || fail "said: $(cat -v "$W/said")"
claim "what a user puts at the mount point while root mounts there keeps nosuid and nodev"
needs strace
mkdir -p "$W/way/mnt" "$W/other/mnt"
mount -t tmpfs -o nosuid,nodev none "$W/other/mnt"
ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o "$W/trace" -e trace=mount_setattr \
    -e inject=mount_setattr:delay_enter=2000000 \
    "$TALLY" mount -f --create -o nodiratime "$W/swapped" "$W/way/mnt" </dev/null >>"$W/log" 2>&1 &
tracer=$!
pids+=("$tracer")
wait_until grep -q "$W/way/mnt" /proc/self/mountinfo
mv "$W/way" "$W/away"
mv "$W/other" "$W/way"
wait_until grep -q DELAYED "$W/trace"
matches "$(grep "$W/way/mnt" /proc/self/mountinfo)" nosuid,nodev
umount "$W/way/mnt"
umount -i "$W/away/mnt"
wait "$tracer"

claim "the same where root remounts"
mkdir -p "$W/next/mnt"
mount -t tmpfs -o nosuid,nodev none "$W/next/mnt"
"$TALLY" mount -o rw "$W/swapped" "$W/away/mnt"
ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o "$W/trace" -e trace=mount -e inject=mount:delay_enter=2000000 \
    "$TALLY" mount -o remount,noatime "$W/swapped" "$W/away/mnt" &
tracer=$!
pids+=("$tracer")
# Of x86-64; on a busy machine it may be over before it is seen.
in_mount() { grep -q '^165 ' "/proc/$(pgrep -P "$tracer")/syscall" || ended "$tracer"; }
[[ $(uname -m) != x86_64 ]] || wait_until in_mount
mv "$W/away" "$W/gone"
mv "$W/next" "$W/away"
wait "$tracer"
matches "$(grep "$W/away/mnt" /proc/self/mountinfo)" nosuid,nodev
matches "$(grep "$W/gone/mnt" /proc/self/mountinfo)" noatime
umount "$W/away/mnt"
"$TALLY" umount "$W/gone/mnt"
finish
