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
echo "root:precious" >"$W/precious"
"$HOSTILE" "$W/hostile" "$W/precious" &
server=$!
pids+=("$server")
wait_until 10 mountpoint -q "$W/hostile"

claim "nothing is written through a symlink in the place of the control file"
for verb in "umount $W/hostile" "-C $W/hostile drain" "mount -o remount,ro /nowhere $W/hostile" \
    "mount $S $W/hostile"; do
    # shellcheck disable=SC2086
    fails timeout 20 "$TALLY" $verb
    eq "$(<"$W/precious")" root:precious "after $verb"
done
mountpoint -q "$W/hostile"

claim "--force unmounts it all the same"
timeout 20 "$TALLY" umount --force "$W/hostile"
eq "$(<"$W/precious")" root:precious
wait_until 10 ended "$server"

claim "a name says nothing to the terminal"
fails "$TALLY" check "$W/"$'a\e]0;b'
! grep -q $'\e' "$W/said" || fail "said: $(cat -v "$W/said")"
finish
