#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files that cannot be made objects, for whatever reason, harm no other file: commits, fsync, drains
# and branches go on, and who asks is told which files they are.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
bad_disk "$W/under"
S=$D/store
begin
may_log 'tally: warning: slot [0-9]+ cannot be sealed \(.*\): it stays as it is, and is tried again'
"$TALLY" -C "$M" set flush_interval 1h >/dev/null # only who asks meets the disk
fsyncs() {
    errno_of 'fd = os.open(argv[0], os.O_CREAT | os.O_WRONLY); os.write(fd, b"other"); os.fsync(fd)' \
        "$M/main/$1"
}
state() { "$TALLY" -C "$M" status | sed -n 's/^state  *//p'; }
durable() { "$TALLY" -C "$M" status | sed -n 's/^changes .* durable=\([0-9]*\) .*/\1/p'; }
# What others do: their changes are committed, and are there after a kill.
others_go_on() {
    local before after
    before=$(durable)
    eq "$(fsyncs "other-$1")" OK
    "$TALLY" -C "$M" flush >/dev/null
    "$TALLY" -C "$M" branch main "branch-$1" >/dev/null
    timeout "$limit" "$TALLY" -C "$M" drain >/dev/null || fail "no drain"
    after=$(durable)
    [[ $after -gt $before ]] || fail "durable $before, then $after"
    eq "$(<"$M/branch-$1/other-$1")" other
}

claim "one file: the disk makes no name for its object"
fault "name EIO objects"
head -c 300000 /dev/urandom >"$M/main/large"
want=$(digest "$M/main/large")
others_go_on 1
eq "$(digest "$M/main/large")" "$want"
matches "$("$TALLY" -C "$M" status)" 'what cannot be sealed \(Input/output error\) is used by main/large'
matches "$(state)" '^degraded: some files cannot be sealed'
fails "$TALLY" -C "$M" drain --idle "${limit}s"
matches "$(<"$W/said")" 'is used by main/large'

claim "its own bytes cannot be read"
fault "read EIO slots/" "name EIO objects"
others_go_on 2

claim "many small ones that find no place in a pack: each is a slot, more than may be open"
fault "write EIO packs" "name EIO objects"
python3 - "$M/main" <<'END'
import os, sys
for i in range(700):
    with open(f"{sys.argv[1]}/small{i}", "wb") as f:
        f.write(b"%d " % i * 50)
END
before=$(durable)
fault "write EIO packs" "name EIO objects"
timeout "$limit" "$TALLY" -C "$M" drain >/dev/null || fail "no drain"
[[ $(durable) -gt $before ]]
eq "$(fsyncs another)" OK
small() {
    python3 - "$M/main" <<'END'
import sys
for i in range(700):
    assert open(f"{sys.argv[1]}/small{i}", "rb").read() == b"%d " % i * 50, i
END
}
small
matches "$("$TALLY" -C "$M" status)" 'unsealable  contents=70[0-9] in_slots=70[0-9]'

claim "killed meanwhile, it is mounted again on that disk, with all of them"
kill_daemon
mount_store
small
eq "$(digest "$M/main/large")" "$want"
others_go_on 3

claim "one that finds a place neither in a pack nor in a slot: the commit keeps it"
may_log 'tally: warning: content [0-9]+ cannot be sealed \(.*\): the metadata keeps its bytes, and it is tried again'
fault "write EIO packs" "name EIO objects" "name EIO slots"
echo poor >"$M/main/poor"
others_go_on 4
eq "$(<"$M/main/poor")" poor
matches "$("$TALLY" -C "$M" status)" 'unsealable  contents='
kill_daemon
mount_store
eq "$(<"$M/main/poor")" poor
others_go_on 5
fault "write EIO packs" "name EIO objects"

claim "with few files that may be open it can at least be read, and says so"
kill_daemon
may_log 'tally: (ALARM|warning): the slots of files that are not sealed cannot all be opened .*'
bash -c 'ulimit -n 300; exec "$@"' _ "$TALLY" mount -f "$S" "$M" </dev/null >>"$W/log" 2>&1 &
daemon=$!
pids+=("$daemon")
wait_until mounted_or_ended
mountpoint -q "$M" || fail "it is not mounted"
eq "$(<"$M/main/other-1")" other
matches "$(state)" 'not all slots can be opened yet, which is tried again: Too many open files'
eq "$(fsyncs more)" EMFILE
kill_daemon
mount_store
small

claim "where the disk is well again they become objects, and nothing is left of it"
fault ""
drain
small
eq "$(digest "$M/main/large")" "$want"
eq "$(<"$M/main/poor")" poor
eq "$(state)" ok
[[ $("$TALLY" -C "$M" status) != *unsealable* ]]
eq "$(find "$S/slots" -type f | wc -l)" 0

finish
