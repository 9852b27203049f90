#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Contents that all have one id, which somebody makes on purpose: they cost what others cost.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# collide.sh [pool]
bytes=$S
if [[ ${1:-} == pool ]]; then
    begin --pool "dir:$W/pool"
    bytes=$W/pool
else
    begin
fi
collide() { "${test_file%/*}/collide.py" "$1" "$S" "$M/$2" "$3" "$4"; }
pack_bytes() { find "$bytes/packs" -type f -printf '%s\n' | awk '{n += $1} END {print n + 0}'; }
grown() { [[ $(pack_bytes) -gt $before ]]; }
ids() { find "$M/.tally/objects" -type f | wc -l; }
# Seconds that a command may take: some times what it takes for files of other ids, sanitized.
within() { timeout "$limit" "${@:2}" || fail "$1 took more than $limit s"; }
may_log '^tally: warning: more than 16 contents have the id [0-9a-f]{32}, which is no chance'
empty=$(store_kib)

claim "2,000 contents of one id are sealed, each under an id of its own"
collide make main 0 2000
within "a drain" "$TALLY" -C "$M" drain
eq "$(ids)" 2000
collide same main 0 2000

claim "the same contents again: the 16 that were first share their bytes"
mkdir "$M/again"
collide make again 0 2000
within "a drain" "$TALLY" -C "$M" drain
eq "$(ids)" 3984
collide same again 0 2000

claim "scrub finds them sound, compaction and a branch keep them"
"$TALLY" -C "$M" scrub --wait >"$W/scrub"
matches "$(<"$W/scrub")" ' 0 (damaged|problems)|damaged=0|sound'
"$TALLY" -C "$M" branch main twig
rm -r "$M/again"
within "a compaction" "$TALLY" -C "$M" compact --wait
collide same twig 0 2000

claim "they move to another disk and come back"
mkdir "$W/two"
"$TALLY" -C "$M" shard add 1 "dir:$W/two" >/dev/null
within "a move" "$TALLY" -C "$M" move --larger 100 1 --wait
drain
collide same main 0 2000
[[ $(find "$W/two" -path '*/packs/*' -type f | wc -l) -gt 0 ]]
within "the way back" "$TALLY" -C "$M" shard drain 1 --wait
collide same main 0 2000
drain
eq "$(find "$W/two" -path '*/packs/*' -type f | wc -l)" 0
"$TALLY" -C "$M" shard remove 1 >/dev/null

claim "killed before anything is sealed, it is mounted again with all of them"
"$TALLY" -C "$M" set flush_interval 1h
collide make main 2000 2000
kill_daemon
within "check --repair" "$TALLY" check --repair "$S" >"$W/check"
mount_store
collide same main 0 4000
echo other >"$M/main/other"
sync "$M/main/other"
within "a drain" "$TALLY" -C "$M" drain

claim "killed while they are sealed, likewise"
collide make main 4000 2000
before=$(pack_bytes)
"$TALLY" -C "$M" flush >/dev/null 2>&1 &
flush=$!
wait_until grown
kill_daemon
rc=0
wait "$flush" || rc=$?
[[ $rc -le 1 ]] || fail "exit code $rc of the flush whose daemon was killed"
mount_store
collide same main 0 6000
unmount_store
check_clean
mount_store

claim "removed, they leave nothing"
"$TALLY" -C "$M" drop twig 2>/dev/null || rm -rf "$M/twig"
rm -r "$M"/main/*
within "a drain" "$TALLY" -C "$M" drain
eq "$(ids)" 0
within "a compaction" "$TALLY" -C "$M" compact --wait
drain
for _ in 1 2; do "$TALLY" -C "$M" gc --grace 0s --wait; done
eq "$(find "$bytes/packs" "$bytes/objects" -type f | wc -l)" 0
now=$(store_kib)
[[ $now -lt $((empty + 8192)) ]] || fail "$now KiB, before $empty"

finish
