#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A small disk under the store, filled by every kind of operation: ENOSPC and nothing else, nothing
# lost, and all the room comes back.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
small_disk 64M
S=$D/store
begin
model() { python3 "${test_file%/*}/disk_full.py" "$1" "$M/main" "$W/model" "${@:2}"; }
# Also what the log keeps: a segment or two, each at most a sixteenth of the disk.
free() { echo $(($(df -k --output=avail "$D" | tail -n 1) + $(du -sk "$S/log" 2>/dev/null | cut -f1))); }
# What the last round of files leaves when it is removed with all that branched from it.
empty() {
    local ns
    for ns in "$M"/b*/; do
        [[ ! -d $ns ]] || "$TALLY" -C "$M" drop "$(basename "$ns")" >/dev/null
    done
    find "$M/main" -mindepth 1 -delete
    rm -f "$W/model"
    drain
}
drop_branches() {
    for ns in "$M"/b*/; do
        [[ ! -d $ns ]] || "$TALLY" -C "$M" drop "$(basename "$ns")" >/dev/null
    done
}

echo old >"$M/main/old"
echo saved >"$M/main/saved"
echo x >"$M/main/gone"

claim "filled: each operation succeeds or says ENOSPC, and all is there and right"
model fill 1
model check
[[ $(free) -le 20000 ]]

claim "full, everything can be read, renamed over, cut and removed; what is removed can be written again"
fails sh -c "head -c 2000000 /dev/urandom >$M/main/more"
matches "$(cat "$W/said")" "[Nn]o space left on"
rm -f "$M/main/more"
chmod 600 "$M/main/old"
mv "$M/main/saved" "$M/main/old"
eq "$(cat "$M/main/old")" saved
truncate -s 2 "$M/main/old"
rm "$M/main/gone"
model thin 1
drop_branches
drain
model check
[[ $(free) -ge 20000 ]]
head -c 5000000 /dev/urandom >"$M/main/more"
sync "$M/main/more"
rm "$M/main/more"

claim "after the death of the daemon on a full disk, what fsync had acknowledged is there and right"
rm -f "$W/model"
find "$M/main" -mindepth 1 -delete
drain
model fill 2
sync "$M/main"
model fill 3
kill_daemon
check_clean
mount_store
model check durable

claim "a full store can be unmounted, checked and mounted"
unmount_store
check_clean
mount_store
model check

claim "filled and emptied five times, no room is lost"
empty
first=$(free)
for round in 1 2 3 4 5; do
    model fill "$((10 + round))"
    model thin 1
    model check
    empty
    now=$(free)
    echo "round $round: $now KiB free"
    [[ $now -ge $((first - 3000)) ]] || fail "$((first - now)) KiB are gone"
done

claim "when another program takes the room, commits wait for it, and nothing is lost"
"$TALLY" -C "$M" set flush_interval 1h >/dev/null # only who asks commits
echo kept >"$M/main/kept"
sync "$M/main/kept"
python3 - "$M/main/waiting" <<'END'
import os, sys
os.mkdir(sys.argv[1])
for i in range(100): # small enough to wait in memory
    open(f"{sys.argv[1]}/f{i}", "wb").write(os.urandom(30000))
END
want=$(tree_digest "$M/main")
dd if=/dev/zero of="$D/hog" bs=4k status=none 2>/dev/null || true
sync "$M/main/waiting" # the log has had its room before
fails sh -c "echo more >$M/main/more"
eq "$(tree_digest "$M/main")" "$want"
fails "$TALLY" -C "$M" drain
matches "$(cat "$W/said")" "[Nn]o space left on"
rm "$D/hog"
sync "$M/main/waiting"
kill_daemon
mount_store
rm -f "$M/main/more"
eq "$(tree_digest "$M/main")" "$want"

claim "names alone need room for their commit, too: it waits, and the store does not turn read-only"
"$TALLY" -C "$M" set flush_interval 1h >/dev/null
mkdir "$M/main/names"
python3 - "$M/main/names" <<'END'
import os, sys
for i in range(3000):
    os.symlink("x" * 300, f"{sys.argv[1]}/a-name-of-some-length-{i}")
END
want=$(tree_digest "$M/main")
dd if=/dev/zero of="$D/hog" bs=1k status=none 2>/dev/null || true
fails "$TALLY" -C "$M" drain
matches "$(cat "$W/said")" "[Nn]o space left on"
matches "$("$TALLY" -C "$M" status)" "state  *degraded: the last commit failed .*No space"
eq "$(tree_digest "$M/main")" "$want"
rm "$D/hog"
drain
matches "$("$TALLY" -C "$M" status)" "result=ok"
kill_daemon
mount_store
eq "$(tree_digest "$M/main")" "$want"
finish
