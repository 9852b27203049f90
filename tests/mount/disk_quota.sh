#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A quota that nothing tells of (as those of btrfs): the disk says EDQUOT, although statfs shows
# room.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
small_disk 96M
plain=$D
fallocate -l 24M "$plain/others" # gone, it is more quota
bad_disk "$plain"
fault quota # from now on the small disk's ENOSPC is EDQUOT, and df shows a hundred times as much
S=$D/store
begin
may_log "tally: warning: slot [0-9]+ cannot be sealed \(Disk quota exceeded\).*"
model() { ALSO=EDQUOT python3 "${test_file%/*}/disk_full.py" "$1" "$M/main" "$W/model" "${@:2}"; }

claim "EDQUOT comes through as EDQUOT; what was acknowledged is there and right, and can be read"
[[ $(df -k --output=avail "$M" | tail -n 1) -gt 1000000 ]]
python3 - "$M/main" <<'END'
import errno, os, sys
os.chdir(sys.argv[1])
kept = {}
try:
    for i in range(1000):
        name = f"big{i}"
        fd = os.open(name, os.O_CREAT | os.O_WRONLY)
        data = bytes([i]) * 700000 + os.urandom(1000000)
        at = 0
        while at < len(data):
            at += os.write(fd, data[at:])
        os.fsync(fd)
        os.close(fd)
        kept[name] = data
except OSError as e:
    assert e.errno == errno.EDQUOT, e
assert len(kept) > 20
for name, data in kept.items():
    assert open(name, "rb").read() == data, name
END
eq "$(errno_of 'open(argv[0], "wb").write(os.urandom(30000000))' "$M/main/more")" EDQUOT
rm "$M"/main/*

claim "used up by every kind of operation: EDQUOT, and nothing is lost"
drain
model fill 1
model check
fails "$TALLY" -C "$M" drain
matches "$(cat "$W/said")" 'Disk quota exceeded.*nothing is lost'
matches "$("$TALLY" -C "$M" status)" 'state +degraded: the last commit failed .*[Qq]uota'

claim "with more quota all goes on, and what waited is on disk"
rm "$plain/others"
drain
kill_daemon
check_clean
mount_store
model check
head -c 10000000 /dev/urandom >"$M/main/after"
sync "$M/main/after"

claim "what is removed comes back"
model thin 1
drain
model check
finish
