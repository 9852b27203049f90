#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mount -o ns=NAME: one namespace as a mount of its own, several at a time and beside the whole, by
# mount(8), an fstab and the program; how they end, and how the verbs work in them.
# shellcheck disable=SC2016 # the ways to unmount are expanded where they are run
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
with_helpers
needs findmnt setpriv
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
A="$W/home of a" B=$W/b C=$W/c
mkdir "$A" "$B" "$C" "$M"
"$TALLY" init "$S"

is_up() { mountpoint -q "$1"; }
is_down() { ! mountpoint -q "$1" || fail "$1 is still mounted"; }
ns() { mount -t fuse.tally "$@"; }
# The daemon of this store, as its lock file says.
note_daemon() {
    daemon=$(sed -n 's/^pid=\([0-9]*\) .*/\1/p' "$S/lock")
    pids+=("$daemon")
}
at_rest() {
    wait_until ended "$daemon" || fail "the daemon goes on"
    ! grep "$W.* - fuse.tally" /proc/self/mountinfo >"$W/said" || fail "left: $(<"$W/said")"
    ! compgen -G "/run/tallyfs-*" >"$W/said" || fail "left: $(<"$W/said")"
    check_clean
}
# in_chroot DIR PROGRAM… - chroot(8) itself is hidden by our helpers.
in_chroot() {
    python3 -c 'import os, sys
os.chroot(sys.argv[1])
os.chdir("/")
os.execv(sys.argv[2], sys.argv[2:])' "$@"
}
root_of() { findmnt -n -o FSROOT "$1"; }

claim "a namespace that is missing is named, and --create makes it, a store too"
fails ns -o ns=home "$S" "$A"
matches "$(<"$W/said")" "no namespace 'home' in .*--create makes it"
is_down "$A"
for name in .tally a/b . ''; do
    fails "$TALLY" mount -o "ns=$name" "$S" "$A"
    matches "$(<"$W/said")" 'ns is the name of a namespace'
done
"$TALLY" mount --create "$W/new store" "$A" -o 'ns=a b'
eq "$(root_of "$A")" '/a b'
"$TALLY" umount "$A"
"$TALLY" check "$W/new store" >/dev/null
"$TALLY" mount --create "$S" "$A" -o ns=home
note_daemon
umount "$A"
at_rest

claim "an fstab has several at a time, and names with blanks; they are mounted in parallel"
"$TALLY" mount "$S" "$M"
mkdir "$M/two words" "$M/other"
"$TALLY" umount "$M"
cat >"$W/fstab" <<END
$S ${A// /\\040} fuse.tally ns=home,nofail,nosuid 0 0
$S $B fuse.tally ns=two\\040words,ro 0 0
$S $C fuse.tally ns=other,nodev 0 0
END
started=()
for at in "$A" "$B" "$C"; do
    mount -T "$W/fstab" "$at" &
    started+=("$!")
done
wait_all "${started[@]}"
note_daemon
eq "$(root_of "$A"):$(root_of "$B"):$(root_of "$C")" '/home:/two words:/other'
matches "$(findmnt -n -o VFS-OPTIONS "$A")" '^rw,nosuid,relatime'
matches "$(findmnt -n -o VFS-OPTIONS "$B")" '^ro,relatime'
matches "$(findmnt -n -o VFS-OPTIONS "$C")" '^rw,nodev,relatime'
eq "$(stat -c %d "$A")" "$(stat -c %d "$C")" "two superblocks"

claim "ro is about one mount; another of the same namespace is rw"
echo text >"$A/f"
eq "$(errno_of 'open(argv[0], "w")' "$B/f")" EROFS
mkdir "$W/b2"
"$TALLY" mount "$S" "$W/b2" -o 'ns=two words'
echo text >"$W/b2/f"
eq "$(cat "$B/f")" text
mount -o remount,rw,ns=two\ words "$B"
echo more >"$B/g"
mount -o remount,ro "$B"
eq "$(errno_of 'open(argv[0], "w")' "$B/f")" EROFS
echo most >"$W/b2/g"
echo text >"$A/g"
"$TALLY" umount "$W/b2"

claim "the whole joins, too, but once; what one mount changes the others show"
"$TALLY" mount "$S" "$M"
eq "$(names "$M")" 'home main other two words '
echo new >"$M/home/f"
eq "$(cat "$A/f")" new
exec 8>>"$A/log"
echo line >&8
eq "$(cat "$M/home/log")" line
exec 8>&-
fails "$TALLY" mount "$S" "$W/b2"
matches "$(<"$W/said")" 'in use: mounted at'
fails "$TALLY" mount "$S" "$A" -o ns=other
matches "$(<"$W/said")" 'is a tally mount already'

claim "an option of tally that the daemon lacks is refused"
fails "$TALLY" mount "$S" "$W/b2" -o ns=other,noxattr
matches "$(<"$W/said")" 'noxattr: the daemon that serves .* was started without it'

claim "a hard link or a rename from one mount to another is EXDEV, as with bind mounts"
eq "$(errno_of 'os.link(argv[0], argv[1])' "$A/f" "$C/f")" EXDEV
eq "$(errno_of 'os.link(argv[0], argv[1])' "$A/f" "$M/home/f2")" EXDEV
eq "$(errno_of 'os.rename(argv[0], argv[1])' "$A/f" "$C/f")" EXDEV
mv "$A/g" "$C/g"
eq "$(cat "$C/g")" text

claim ".. at its top is outside, and df and stat know it as a mount"
eq "$(realpath "$A/..")" "$W"
eq "$(df --output=source,target "$A" | tail -n 1 | tr -s ' ')" "$S $A"
eq "$(stat -c %m "$A/f")" "$A"

claim "the verbs find their store from within, and what its files are called"
umount "$M"
is_down "$M"
cd "$A"
matches "$("$TALLY" status)" 'state=ok'
eq "$("$TALLY" refs f)" "$("$TALLY" refs home/f)"
eq "$("$TALLY" -C "$C" refs g)" "$("$TALLY" refs other/g)"
"$TALLY" drain >/dev/null
"$TALLY" branch other "an other" >/dev/null
"$TALLY" jobs >/dev/null
"$TALLY" scrub --wait >/dev/null
eq "$(names .tally/jobs)" "$(names "$C/.tally/jobs")"
"$TALLY" drop "an other" >/dev/null
matches "$("$TALLY" -C "$B" status)" 'mounted +rw' # ro: it reads the status
cd "$W"

claim "in a chroot, too, where nothing else can be seen"
mkdir "$A/proc"
cp "$TALLY" "$A/tally"
ldd "$TALLY" | grep -oE '/[^ ]+' | xargs cp --parents -t "$A"
mount --rbind /proc "$A/proc"
matches "$(in_chroot "$A" /tally -C / status)" 'state=ok'
eq "$(in_chroot "$A" /tally -C / refs /f)" "$("$TALLY" -C "$C" refs home/f)"
fails in_chroot "$A" /tally -C / exec home --discard -- /tally --version
matches "$(<"$W/said")" "'home' is the root directory of this process"
umount -l "$A/proc"

claim "a branch has what was written through a shared mapping, though the first mount is gone"
"$TALLY" mount "$S" "$W/b2" -o ns=home
umount "$A"
python3 - "$W/b2" <<'END'
import mmap, os, sys
fd = os.open(sys.argv[1] + "/mapped", os.O_RDWR | os.O_CREAT)
os.write(fd, bytes(100000))
m = mmap.mmap(fd, 100000)
os.close(fd)
m[4096] = 5
with open(sys.argv[1] + "/.tally/control", "r+b", buffering=0) as c:
    c.write(b"branch home mapped\n")
m[4096] = 6
END
"$TALLY" mount "$S" "$A" -o ns=mapped
eq "$(od -An -tu1 -j4096 -N1 "$A/mapped" | tr -d ' ')" 5
umount "$A"
"$TALLY" mount "$S" "$A" -o ns=home,nosuid
umount "$W/b2"
"$TALLY" -C "$A" drop mapped >/dev/null

claim "the door is in no listing, cannot be made or removed, and a name of a user stays"
eq "$(names "$C")" 'g '
eq "$(stat -c %a "$C/.tally")" 700
for call in 'os.mkdir(argv[0])' 'os.symlink("x", argv[0])' 'os.link(argv[1], argv[0])'; do
    eq "$(errno_of "$call" "$C/.tally" "$C/g")" EEXIST "$call"
done
eq "$(errno_of 'os.rmdir(argv[0])' "$C/.tally")" EPERM
eq "$(errno_of 'os.rename(argv[0], argv[0] + "x")' "$C/.tally")" EPERM
mkdir "$C/d"
eq "$(errno_of 'os.rename(argv[1], argv[0])' "$C/.tally" "$C/d")" EPERM
eq "$(errno_of 'os.mkdir(argv[0])' "$C/d/.tally")" OK "deeper it is a name as any other"
rm -r "$C/d"
eq "$(names "$C/.tally")" 'control export flushes gc-history ghosts import jobs metrics nodes refcounts snapshots stats.json status '
for dir in .tally .tally/jobs .tally/snapshots; do
    [[ $(stat -c %i "$C/$dir") != $(stat -c %i "$A/$dir") ]] || fail "one directory has two parents: $dir"
done

claim "behind the door are the snapshots of that namespace alone"
"$TALLY" -C "$A" snapshot other one >/dev/null
"$TALLY" -C "$A" snapshot home two >/dev/null
eq "$(names "$C/.tally/snapshots")" "one "
eq "$(names "$C/.tally/snapshots/one")" "g "
eq "$(names "$A/.tally/snapshots")" "two "
eq "$(errno_of 'os.stat(argv[0])' "$C/.tally/snapshots/two")" ENOENT
eq "$(cd "$C/.tally/snapshots/one" && pwd -P)" "$C/.tally/snapshots/one"
"$TALLY" -C "$A" drop other@one >/dev/null
"$TALLY" -C "$A" drop home@two >/dev/null

claim "a mount that is in use is busy; each is drained when it goes, and the last one ends the daemon"
"$TALLY" -C "$A" set flush_interval 1h >/dev/null
umount "$A" "$B" "$C"
at_rest
for way in 'umount "$1"' '"$TALLY" umount "$1"'; do
    for order in "A B C" "C B A"; do
        ns -o ns=home "$S" "$A"
        ns -o 'ns=two words' "$S" "$B"
        ns -o ns=other "$S" "$C"
        note_daemon
        for which in $order; do
            at=${!which}
            is_up "$at" || fail "$at went with another"
            head -c 100000 /dev/urandom >"$at/data"
            exec 8<"$at/data"
            set -- "$at"
            ! eval "$way" 2>"$W/said" || fail "it was not busy"
            exec 8<&-
            last=${order##* }
            eval "$way"
            is_down "$at"
            [[ $which == "$last" ]] || eq "$("$TALLY" -C "${!last}" status --json |
                python3 -c 'import json, sys; s = json.load(sys.stdin); print(s["seq"] - s["durable"])')" 0 "not drained"
        done
        ended "$daemon" || fail "it was not waited for: $way, $order"
        at_rest
    done
done

claim "umount -i of the last one ends the daemon as well; a bind mount of a mount keeps it"
ns -o ns=home "$S" "$A"
note_daemon
mount --bind "$A" "$B"
umount -i "$A"
eq "$(cat "$B/f")" new
umount -i "$B"
at_rest

claim "the first mount may be ro, and those that join it rw; access times move there"
ns -o ns=home,ro "$S" "$A"
ns -o ns=other "$S" "$C"
note_daemon
eq "$(errno_of 'open(argv[0], "w")' "$A/new")" EROFS
echo text >"$C/f"
touch -a -d 2001-01-01 "$C/f"
cat "$C/f" >"$W/out"
[[ $(stat -c %x "$C/f") != 2001* ]] || fail "the access time did not move"

claim "a signal unmounts all of them"
kill -TERM "$daemon"
at_rest

claim "a second signal forces the end, and what is mounted by now at the place of the first one stays"
ns -o ns=home "$S" "$A"
ns -o ns=other "$S" "$C"
note_daemon
umount "$A"
fails "$TALLY" umount "$S"
matches "$(<"$W/said")" "is a store, and not where it is mounted: .tally umount $C"
mount -t tmpfs none "$A"
kill -STOP "$daemon"
kill -TERM "$daemon"
kill -INT "$daemon"
kill -CONT "$daemon"
wait_until ended "$daemon" || fail "the daemon goes on"
is_unmounted() { ! grep -q "$W.* - fuse.tally" /proc/self/mountinfo; }
wait_until is_unmounted || fail "$C is still mounted"
is_up "$A" || fail "the daemon unmounted what is not its own"
umount "$A"
"$TALLY" mount "$S" "$A" -o ns=home
note_daemon
"$TALLY" umount "$A"
at_rest

claim "in the foreground it is a child of whoever began it, and says nothing"
"$TALLY" mount -f -o ns=home "$S" "$A" </dev/null >>"$W/log" 2>&1 &
daemon=$!
pids+=("$daemon")
wait_until is_up "$A"
kill -TERM "$daemon"
wait "$daemon"
quiet_log
at_rest
fails "$TALLY" mount -f -o ns=none "$S" "$A"
matches "$(<"$W/said")" "no namespace 'none'"

claim "whoever called mount may be killed meanwhile: once the daemon has the store it is mounted"
owned() { [[ -s $S/lock ]]; }
for _ in 1 2 3; do
    "$TALLY" mount -o ns=home "$S" "$A" &
    pid=$!
    pids+=("$pid")
    until owned || ended "$pid"; do :; done # the sooner the better: wait_until takes a nap
    kill -KILL "$pid" 2>"$W/said" || true
    wait "$pid" 2>"$W/said" || true
    note_daemon
    wait_until is_up "$A"
    "$TALLY" umount "$A"
    at_rest
done

claim "a daemon that was killed leaves dead mounts, which umount clears; the next one goes on"
ns -o ns=home "$S" "$A"
ns -o ns=other "$S" "$C"
note_daemon
echo kept >"$A/kept"
kill -KILL "$daemon"
wait_until ended "$daemon"
matches "$(errno_of 'os.stat(argv[0])' "$A/kept")" '^(ENOTCONN|ECONNABORTED)$'
ns -o ns=home "$S" "$B"
note_daemon
eq "$(cat "$B/kept")" kept
"$TALLY" umount "$A" 2>"$W/said"
umount "$C" 2>"$W/said"
is_up "$B"
eq "$(cat "$B/kept")" kept
umount "$B"
at_rest

claim "a namespace that is renamed stays mounted; of one that is dropped the calls are ESTALE"
"$TALLY" mount "$S" "$M"
ns -o ns=home "$S" "$A"
note_daemon
mv "$M/home" "$M/house"
eq "$(cat "$A/f")" new
eq "$(root_of "$A")" /house
mv "$M/house" "$M/home"
ns -o ns=other "$S" "$C"
fails "$TALLY" -C "$M" drop other
matches "$(<"$W/said")" "other is mounted at $C"
"$TALLY" -C "$M" drop --force --now other >/dev/null
eq "$(errno_of 'os.stat(argv[0])' "$C/g")" ESTALE
umount "$C"
umount "$A"
umount "$M"
at_rest

claim "nocontrol: there is no way from a namespace to the store, and a user may have the name"
ns -o ns=home,nocontrol "$S" "$A"
ns -o 'ns=two words,nocontrol' "$S" "$B"
note_daemon
eq "$(errno_of 'os.stat(argv[0])' "$A/.tally")" ENOENT
fails "$TALLY" -C "$A" status
matches "$(<"$W/said")" 'only home of the mount of .*/store can be seen here'
mkdir "$A/.tally"
echo mine >"$A/.tally/control"
"$TALLY" umount "$B"
"$TALLY" umount "$A"
ended "$daemon" || fail "it was not waited for"
at_rest

claim "a name of a user from before stays what it is, and is not taken for the control file"
ns -o ns=home "$S" "$A"
note_daemon
eq "$(cat "$A/.tally/control")" mine
fails "$TALLY" -C "$A" drain
eq "$(cat "$A/.tally/control")" mine
ns -o 'ns=two words' "$S" "$B"
matches "$("$TALLY" -C "$A" status)" 'state=ok' # by the door of the other one
rm -r "$A/.tally"
matches "$(cat "$A/.tally/status")" 'state +ok'
umount "$A" "$B"
at_rest

claim "a daemon that was unmounted lazily, and is still in use, is waited for as long as without ns="
ns -o ns=home "$S" "$A"
note_daemon
echo held >"$A/held"
exec 8<"$A/held"
umount -il "$A"
fails timeout 40 "$TALLY" mount "$S" "$B" -o ns=home # 10 s, and 60 more for one that only begins
matches "$(<"$W/said")" 'in use: mounted at'
exec 8<&-
at_rest

claim "an ordinary user is told that only root can"
fails setpriv --reuid 1000 --regid 1000 --clear-groups "$TALLY" mount "$S" "$A" -o ns=home
matches "$(<"$W/said")" 'only root can mount one namespace'
claim "all of ${test_file##*/}"
