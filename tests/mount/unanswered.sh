#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A request that no operation answers is answered all the same: FORGET, when the kernel sends it as
# a request that somebody waits for, and what a fault would leave. What waits is shown.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
: "${FORGETFUL:?is the program forgetful, of the same build}"
begin
find_transports
mkdir "$W/forgetful"

claim "status tells how many requests wait, and all that are answered are counted off"
cp -r /usr/include/linux "$M/main/some"
sync -d "$M"/main/some/*.h
find "$M/main" -type f -exec cat {} + >/dev/null
rm -r "$M/main/some"
drain
nobody_waits() { grep -q '^waiting  *0$' "$M/.tally/status"; }
wait_until nobody_waits
eq "$(python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))
print(s["waiting_requests"], s["longest_wait_seconds"])' "$M/.tally/stats.json")" "0 0.0"
matches "$(<"$M/.tally/metrics")" 'tallyfs_longest_wait_seconds 0'

# bounded COMMAND… - it must end by itself.
bounded() {
    "$@" >"$W/out" 2>&1 &
    bounded=$!
    pids+=("$bounded")
    wait_until ended "$bounded"
    wait "$bounded"
}

for by in "${transports[@]}"; do
    claim "by $by: who lists a directory whose entries the kernel cannot take comes back"
    "$FORGETFUL" "$by" "$W/forgetful" >"$W/forgotten" 2>"$W/faults" &
    server=$!
    pids+=("$server")
    wait_until mountpoint -q "$W/forgetful"
    bounded python3 -c 'import os, sys
try:
    os.listdir(sys.argv[1])
except OSError:
    pass' "$W/forgetful"

    claim "by $by: a request that an operation left unanswered fails with EIO"
    bounded python3 -c 'import os, sys
try:
    os.getxattr(sys.argv[1], "user.a")
except OSError as e:
    print(e.errno)' "$W/forgetful"
    eq "$(<"$W/out")" 5
    umount "$W/forgetful"
    wait "$server"
    [[ $by == threads ]] || eq "$(<"$W/forgotten")" "forgotten 3"
done
finish
