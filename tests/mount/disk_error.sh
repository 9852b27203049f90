#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A disk under the store that cannot be read, written or synced: EIO where it must be, no word that
# is not true, and what was acknowledged is there when the disk is well again.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
bad_disk "$W/under"
S=$D/store
begin
"$TALLY" -C "$M" set flush_interval 1h >/dev/null # only who asks meets the disk
# Files that are in packs, and large ones that are files of the store's own.
for i in {1..60}; do head -c 20000 /dev/urandom >"$M/main/small$i"; done
for i in 1 2 3; do head -c 2000000 /dev/urandom >"$M/main/large$i"; done
mkdir "$M/main/many" && (cd "$M/main/many" && seq -f 'a-longer-name-of-an-empty-file-%g' 4000 | xargs touch)
drain
want=$(tree_digest "$M/main")
# Nothing of what the store has is in the kernel's memory any more.
cold_mount() {
    unmount_store
    fault "$@"
    replace_disk
    mount_store
}
# The names below main that give EIO; any other error fails.
broken() {
    python3 - "$M/main" "$1" <<'END'
import errno, glob, os, sys
for path in sorted(glob.glob(os.path.join(sys.argv[1], sys.argv[2]))):
    try:
        os.path.isdir(path) or open(path, "rb").read()
    except OSError as e:
        assert e.errno == errno.EIO, e
        print(os.path.basename(path))
END
}
# fsyncs X [errno] - write a new file X and fsync it; what that says.
fsyncs() {
    errno_of 'fd = os.open(argv[0], os.O_CREAT | os.O_WRONLY); os.write(fd, os.urandom(5000)); os.fsync(fd)' \
        "$M/main/$1"
}

claim "what the disk cannot read is EIO for the files that are there, and for no other"
may_log 'tally: (warning|ALARM): .*(cannot be read|damaged|Input/output)'
cold_mount "read EIO packs 400000 100000"
few=$(broken 'small*' | wc -l)
[[ $few -ge 3 && $few -le 10 ]] || fail "$few files cannot be read"
eq "$(names "$M/main" | wc -w)" 64
fault "read EIO objects"
eq "$(broken 'large*' | wc -l)" 3
fault "read EIO packs 400000 100000"
eq "$(broken 'large*')" ""
fault "" # the disk is well: nothing need be mounted anew
eq "$(broken '*')" ""
eq "$(tree_digest "$M/main")" "$want"

claim "metadata that the disk cannot read is EIO for who asks for it; the daemon goes on"
cold_mount "" # then the mount itself has read what it needs
fault "read EIO kv/data.mdb 8192"
python3 - "$M/main/many" >"$W/said" <<'END'
import collections, errno, os, sys
seen = collections.Counter()
for i in range(1, 4001, 13):
    try:
        os.stat(f"{sys.argv[1]}/a-longer-name-of-an-empty-file-{i}")
        seen["OK"] += 1
    except OSError as e:
        seen[errno.errorcode[e.errno]] += 1
assert seen["EIO"] > 0 and set(seen) <= {"OK", "EIO"}, seen
print(dict(seen))
END
cat "$W/said"
ended "$daemon" && fail "the daemon has ended"
fault ""
eq "$(tree_digest "$M/main")" "$want"

check_all() {
    eq "$(cd "$M/main" && rm -f new* && tree_digest .)" "$want" "$1"
}

claim "what finds no place in a pack is kept as a slot; a write that the disk refuses there is EIO"
may_log 'tally: warning: slot [0-9]* cannot be sealed \(Input/output error\): it stays as it is, .*'
fault "write EIO packs"
eq "$(fsyncs new-packs)" OK "one that cannot be sealed harms no commit"
eq "$(stat -c %s "$M/main/new-packs")" 5000
fault ""
eq "$(fsyncs new3)" OK
fault "write EIO slots/" # large ones go to the disk at once
eq "$(errno_of 'open(argv[0], "wb").write(os.urandom(1000000))' "$M/main/new2")" EIO
fault ""
eq "$(fsyncs new3)" OK
[[ $(stat -c %s "$M/main/new-packs") -eq 5000 ]]
digest=$(digest "$M/main/new-packs")
kill_daemon
mount_store
eq "$(digest "$M/main/new-packs")" "$digest"
check_all "afterwards"

claim "names that cannot be made: EIO, and nothing is lost"
fault "name EIO slots"
eq "$(errno_of 'open(argv[0], "wb").write(os.urandom(1000000))' "$M/main/new4")" EIO
fault "name EIO objects"
head -c 3000000 /dev/urandom >"$M/main/new5"
digest=$(digest "$M/main/new5")
drain # it stays where it is
eq "$(digest "$M/main/new5")" "$digest"
fault ""
drain
eq "$(digest "$M/main/new5")" "$digest"
check_all "afterwards"

# What was written and not acknowledged may be lost, and the store takes nothing more until it is
# mounted again; what was acknowledged is there, and can be read all the time.
may_log 'tally: ALARM: .* failed \(Input/output error\): the store is read-only now'
may_log 'tally mount: the last flush failed, so its changes are in the log at most: [a-z].* \(Input/output error\)(; it is used by .*)?; the store is read-only now, and what is not durable is in memory and in the log'
for what in "sync EIO packs" "sync EIO packs/" "sync EIO kv/data.mdb" "write EIO kv/data.mdb" "sync EIO slots/" \
    "sync EIO log/"; do
    claim "$what: the store says aloud that it is read-only now, and keeps what it had acknowledged"
    : >"$W/log"
    fault "$what"
    if [[ $what == *slots/ ]]; then
        eq "$(errno_of 'f = open(argv[0], "wb"); f.write(os.urandom(1000000)); os.fsync(f.fileno())' "$M/main/new6")" EIO
    elif [[ $what == *log/ ]]; then
        eq "$(fsyncs new6)" EIO
    else # the log has it, a commit fails
        eq "$(fsyncs new6)" OK
        fails "$TALLY" -C "$M" drain
    fi
    eq "$(fsyncs new7)" EROFS
    matches "$(cat "$W/log")" 'ALARM: .* failed \(Input/output error\): the store is read-only now'
    matches "$("$TALLY" -C "$M" status)" 'read-only'
    eq "$(broken 'small*')" ""
    fails "$TALLY" umount "$M"
    matches "$(cat "$W/said")" '--force'
    fault ""
    eq "$(fsyncs new7)" EROFS "it does not trust the disk again by itself"
    "$TALLY" umount --force "$M" 2>/dev/null
    rc=0
    wait "$daemon" || rc=$?
    eq "$rc" 1 "the daemon that was forced"
    replace_disk
    check_clean
    mount_store
    [[ $what == *[gs]/ && $what != *packs/ || $(stat -c %s "$M/main/new6") -eq 5000 ]]
    check_all "after a mount"
    eq "$(fsyncs new8)" OK
    drain
done

claim "with on_fatal exit that ends the mount, too"
is_unmounted() { ! mountpoint -q "$M"; }
"$TALLY" -C "$M" set on_fatal exit >/dev/null
drain
: >"$W/log"
may_log 'tally mount: background work did not end: .*'
fault "sync EIO kv/data.mdb"
echo x >"$M/main/new9"
fails "$TALLY" -C "$M" drain
wait_until ended "$daemon" || fail "the daemon goes on"
rc=0
wait "$daemon" || rc=$?
eq "$rc" 1
wait_until is_unmounted || fail "it is still mounted"
matches "$(cat "$W/log")" 'ALARM: .* failed \(Input/output error\): the store is read-only now'
fault ""
replace_disk
check_clean
mount_store
eq "$("$TALLY" -C "$M" get on_fatal | grep -o '^on_fatal=[a-z]*')" on_fatal=exit
"$TALLY" -C "$M" set on_fatal readonly >/dev/null
check_all "after a mount"
drain

claim "when the metadata cannot be read while it is written, the daemon says so and ends"
unmount_store
cp -a "$under/store" "$W/copy"
mount_store
chmod 700 "$M/main/small1" # a change that needs nothing but what is in memory, and a commit
truncate -s 8192 "$S/kv/data.mdb" # to who has it mapped the same as a disk that cannot be read
: >"$W/log"
fails "$TALLY" -C "$M" drain
wait_until ended "$daemon"
rc=0
wait "$daemon" || rc=$?
eq "$rc" 1
matches "$(cat "$W/log")" "ALARM: the disk cannot read $S/kv/data.mdb at byte [0-9]+: the daemon ends"
: >"$W/log"
umount -l "$M"
fails "$TALLY" check "$S"
matches "$(cat "$W/said")" 'kv/data.mdb|could not be finished|cannot open'
rm -r "$under/store"
cp -a "$W/copy" "$under/store"
replace_disk
check_clean
mount_store
check_all "what was durable"
finish
