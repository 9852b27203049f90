#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A second store follows an archive, while programs read it; and takes over.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

t() { "$TALLY" -C "$M" "$@"; }
f() { "$TALLY" -C "$F" "$@"; }
ship() { t archive ship 100s >/dev/null; }
has_applied() { f archive status --json | grep -q "\"from_seq\": *$1"; }
seq_now() { t archive status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["seq"])'; }
reads() { [[ $(cat "$1" 2>/dev/null) == "$2" ]]; }
is_gone() { [[ ! -e $1 ]]; }
is_false() { ! "$@"; }
is_refused() { t archive status | grep -q 'state=refused'; }
unmount_follower() {
    "$TALLY" umount "$F"
}

# shellcheck disable=SC2119
begin
cd "$W"
A=$W/archive F=$W/follower
mkdir "$A" "$F"
t archive add "dir:$A" >/dev/null
t set archive_interval 100ms >/dev/null
mkdir "$M/main/d"
echo one >"$M/main/d/file"
cp /bin/true "$M/main/program"
ship

claim "a store that is missing is made, and has what the archive has"
"$TALLY" mount -o "follow=dir:$A" "$W/second" "$F"
f set follow_interval 100ms >/dev/null
eq "$(<"$F/main/d/file")" one
grep -q '^follows     following=65535 state=ok' "$F/.tally/status"
grep -q '^tallyfs_follow_failing 0' "$F/.tally/metrics"

claim "a reader sees new bytes and names, and what it has open goes on"
exec 3<"$F/main/d/file"
cd "$F/main/d"
"$F/main/program"
for i in {1..5}; do
    echo "text $i" >"$M/main/d/file"
    echo "$i" >"$M/main/d/new$i"
    ship
    wait_until reads "$F/main/d/file" "text $i"
    wait_until reads "new$i" "$i"
done
eq "$(cat <&3)" one
exec 3<&-
eq "$PWD" "$F/main/d"
rm "$M/main/d/new1"
mv "$M/main/d/new2" "$M/main/moved"
ship
wait_until is_gone "$F/main/d/new1"
wait_until reads "$F/main/moved" 2
cp /bin/false "$M/main/program.new"
mv "$M/main/program.new" "$M/main/program"
ship
wait_until is_false "$F/main/program"

claim "namespaces come, get other names, and go"
t branch main side >/dev/null
echo side >"$M/side/x"
ship
wait_until reads "$F/side/x" side
mv "$M/side" "$M/other"
ship
wait_until reads "$F/other/x" side
t drop other >/dev/null
ship
wait_until is_gone "$F/other"
is_gone "$F/side"

claim "nobody else changes anything"
fails touch "$F/main/x"
grep -q 'Read-only file system' "$W/said"
fails mkdir "$F/new"
fails f branch main side
grep -q 'the store follows an archive' "$W/said"
fails f archive add "dir:$W/elsewhere"
grep -q 'a follower ships nothing' "$W/said"

claim "a mount goes on where the last one ended; without the option it stays as it is"
cd "$W"
unmount_follower
echo later >"$M/main/d/file"
ship
"$TALLY" mount "$W/second" "$F"
eq "$(<"$F/main/d/file")" "text 5"
fails touch "$F/main/x"
grep -q 'state=idle' "$F/.tally/status"
unmount_follower
fails "$TALLY" mount -o "follow=dir:$W/elsewhere" "$W/second" "$F"
grep -q 'it follows the archive' "$W/said"
fails "$TALLY" mount -o follow "$S" "$F"
"$TALLY" mount -o follow "$W/second" "$F"
wait_until reads "$F/main/d/file" later

claim "a take-over has all that was shipped, and fences the writer"
echo last >"$M/main/d/file"
ship
f promote >"$W/out"
grep -q 'lineage=2 parent=1' "$W/out"
eq "$(<"$F/main/d/file")" last
may_log 'archive dir:.*: another store, or another mount of this one, ships there now'
echo late >"$M/main/late"
wait_until is_refused
echo new >"$F/main/new"
f archive ship 100s >/dev/null
is_gone "$F/main/late"
fails f promote
grep -q 'follows no archive' "$W/said"

claim "the store that has taken over is as any other, and a third one follows it"
unmount_follower
"$TALLY" check "$W/second" >"$W/out"
"$TALLY" mount "$W/second" "$F"
echo again >"$F/main/again"
f archive ship 100s >/dev/null
mkdir "$W/m3"
fails "$TALLY" mount -o "follow=dir:$A" "$W/third" "$W/m3"
grep -q 'it has several histories' "$W/said"
"$TALLY" mount -o "follow=dir:$A,follow_lineage=2" "$W/third" "$W/m3"
eq "$(<"$W/m3/main/again")" again
"$TALLY" umount "$W/m3"
"$TALLY" check "$W/third" >"$W/out"
unmount_follower
finish
