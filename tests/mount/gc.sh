#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GC cycles as people see them: what was left behind goes in the second run and not in the first,
# whatever is in use stays, and everything goes on meanwhile.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"
gc() { "$TALLY" gc "$@"; }
two_cycles() { [[ $(wc -l <"$W/cycles") -ge 2 ]]; }
id=abababababababababababababababab
orphan=$S/objects/ab/$id.0000000000000001
slot=$S/slots/0000000000000001
pack=$S/packs/0000000000000001
# Numbers 1 … that were given and are nobody's any more, and a pack that is gone.
burn() {
    for i in {1..20}; do echo "burnt $i" >"main/burnt$i"; done
    "$TALLY" drain >/dev/null
    rm main/burnt*
    "$TALLY" drain --idle >/dev/null
    [[ ! -e $pack ]]
}
plant() {
    head -c 200000 /dev/urandom >"$orphan"
    echo sums >"$orphan.sums"
    echo slot >"$slot"
    echo pack >"$pack"
}

claim "a sound store: nothing is found, and objects are counted"
burn
for i in {1..30}; do echo "$i" >"main/f$i"; done
head -c 500000 /dev/urandom >main/large
cp main/large "$W/large"
"$TALLY" drain >/dev/null
matches "$(gc --wait)" '^cycle=1 marked=0 collected=0 active=31 pinned=0 kept_grace=0 .* stale_nodes=0 job=[0-9]+$'
"$TALLY" pin main/f1 >/dev/null
matches "$(gc --wait)" '^cycle=2 marked=0 collected=0 active=30 pinned=1 '
eq "$(cat .tally/gc-history)" ""

claim "what was left behind is marked by one run, and goes in the next"
plant
said=$(gc --dry-run --grace 0 --wait)
matches "$said" '^cycle=3 marked=3 collected=0 .*slots/0000000000000001'
job=$(grep -o 'job=[0-9]*' <<<"$said" | cut -d= -f2)
eq "$("$TALLY" jobs "$job" | grep -c '^would_collect ')" 3
eq "$("$TALLY" jobs "$job" --json |
    python3 -c 'import json, sys; print(len(json.load(sys.stdin)["would_collect"]))')" 3
matches "$("$TALLY" status)" 'gc +cycles=2 leaks=3 leaked_bytes=[1-9]'
matches "$(gc --wait)" 'cycle=3 marked=0 collected=0 .* kept_grace=3 '
matches "$("$TALLY" object $id)" 'state=unreferenced since=20'
matches "$(gc --grace 0s --wait)" 'cycle=4 marked=3 collected=0 .* kept_new_mark=3 '
[[ -e $orphan && -e $slot && -e $pack ]]
matches "$("$TALLY" object $id)" 'state=marked since=20'
matches "$(cat .tally/gc-history)" '^cycle=4 time=20[0-9T:-]+Z eligible=3 collected=0 preserved=31 nodes=1'
matches "$(cat .tally/gc-history)" 'objects/ab/ab'
matches "$(gc --wait)" 'cycle=5 marked=0 collected=3 '
[[ ! -e $orphan && ! -e $orphan.sums && ! -e $slot && ! -e $pack ]]
matches "$("$TALLY" object $id)" 'state=none since=never'
matches "$("$TALLY" status)" 'gc +cycles=5 leaks=0 leaked_bytes=0 collected=3'
python3 -c 'import json; s = json.load(open(".tally/stats.json")); assert s["gc_collected"] == 3 and s["leaks"] == 0'
grep -q '^tallyfs_gc_collected_total 3$' .tally/metrics

claim "the grammar, the job, the node"
fails gc now
fails gc --grace soon
matches "$(cat "$W/said")" 'soon is not a duration'
matches "$(gc)" '^job=[0-9]+$'
matches "$("$TALLY" wait "$(names .tally/jobs | tr ' ' '\n' | sort -n | tail -n 1)")" 'cycle=6 '
matches "$("$TALLY" node list)" '^nodes=1' # and its line
matches "$(cat .tally/nodes)" '^node=[0-9]+ state=reporting serial=[0-9]+ ack=[0-9]+ .* own=yes reported=20'
fails "$TALLY" node retire 7
matches "$(cat "$W/said")" 'there is no node 7'
eq "$("$TALLY" node prune)" "retired=0"
matches "$("$TALLY" get grace_period)" 'grace_period=300s default=300s min=0s'
matches "$("$TALLY" get stale_policy)" 'stale_policy=retain '
"$TALLY" set min_nodes_reporting 2 >/dev/null
matches "$(gc --wait)" 'active=0 pinned=0 .* below_minimum=1'
"$TALLY" set min_nodes_reporting 1 >/dev/null

claim "whatever is in use stays, with cycles beside it all the time"
"$TALLY" set grace_period 0s >/dev/null
exec 7<main/large
rm main/large
exec 8>main/open
head -c 400000 "$W/large" >&8
(while [[ ! -e $W/stop ]]; do gc --wait >>"$W/cycles"; done) &
cycles=$!
pids+=("$cycles")
for round in {1..8}; do
    for i in {1..20}; do echo "round $round, $((i % 7))" >"main/w$i"; done
    head -c $((150000 + round)) "$W/large" >"main/big$round"
    cp "main/big$round" "main/copy$round" # equal bytes
    "$TALLY" branch main "b$round" >/dev/null
    object=$(getfattr --only-values -n user.tally.object "main/f$round" 2>/dev/null)
    ln ".tally/objects/${object:0:2}/$object" "main/linked$round"
    rm "main/w3" "main/big$round"
    [[ $round -lt 3 ]] || "$TALLY" drop "b$((round - 2))" >/dev/null
done
wait_until two_cycles
touch "$W/stop"
wait "$cycles"
eq "$(grep -v ' marked=0 collected=0 ' "$W/cycles" || true)" ""
cmp - "$W/large" <&7
exec 7<&- 8>&-
cmp -n 400000 main/open "$W/large"
for round in {1..8}; do
    cmp -n $((150000 + round)) "main/copy$round" "$W/large"
    eq "$(cat "main/linked$round")" "$round"
done
eq "$(cat b8/w3)" "round 8, 3"

claim "half of a tree goes: compaction gives its space back, and less than 5 % is dead"
mkdir main/tree
for i in {1..600}; do head -c $((3000 + i)) /dev/urandom >"main/tree/f$i"; done
"$TALLY" drop b7 >/dev/null
"$TALLY" drop b8 >/dev/null
(cd main/tree && sha256sum f*[02468]) >"$W/sums"
"$TALLY" drain >/dev/null
before=$(du -sk "$S/packs" | cut -f1)
rm main/tree/f*[13579]
"$TALLY" drain >/dev/null
matches "$("$TALLY" compact --wait)" '^packs=[1-9][0-9]* moved=[1-9][0-9]* moved_bytes=[0-9]+ freed_bytes=[1-9][0-9]* job='
after=$(du -sk "$S/packs" | cut -f1)
[[ $after -lt $((before * 60 / 100)) ]] || fail "$before KiB before, $after after"
matches "$("$TALLY" status)" 'garbage +dead_records_bytes='
python3 -c 'import json; s = json.load(open(".tally/stats.json")); assert s["pack_dead_bytes"] * 20 < s["pack_file_bytes"], s'
(cd main/tree && sha256sum --quiet -c "$W/sums")
matches "$("$TALLY" compact --wait)" '^packs=0 moved=0 '
matches "$("$TALLY" get compact_below)" '^compact_below=50% default=50%'

claim "after the end the store is sound, and nothing is left"
cd /
finish
"$TALLY" check "$S" >"$W/checked"
if grep -q leak "$W/checked"; then fail "$(cat "$W/checked")"; fi
