#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What was done to namespaces is listed with who did it, also after a crash; and it is undone by number.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
keeps=yes # read by lib.sh
tally() { "$TALLY" "$@"; }
# newest [NS] - the line of the newest operation.
newest() { tally -C "$M" history -n 1 "$@" | sed 1d; }
seq_of() { sed 's/^seq=\([0-9]*\) .*/\1/' <<<"$1"; }
begin
cd "$M"

claim "an operation is listed with its number, time, user, process and operands"
mkdir x
matches "$(newest)" "seq=[0-9]+ time=20[0-9T:-]+Z uid=0 by=mkdir op=create ns=x state=done"
mv x y
matches "$(newest)" "by=mv op=rename ns=x to=y state=done"
tally branch main dev >/dev/null
branched=$(seq_of "$(newest)")
matches "$(newest)" "by=tally op=branch ns=dev from=main state=done"
rmdir y
matches "$(newest)" "by=rmdir op=remove ns=y state=final"
eq "$(tally history | head -1)" "operations=5"
eq "$(tally history --last 2 | sed 1d | wc -l)" 2

claim "an import says the number by which it is taken back, and where it is then"
mkdir "$W/some"
echo some >"$W/some/file"
said=$(tally import "$W/some" new)
said=${said##*seq=}
eq "${said%% *}" "$(seq_of "$(newest)")"
matches "$(tally undo "${said%% *}")" "^seq=[0-9]+ kept=new@dropped-[0-9]+ of=${said%% *} op=import ns=new"
tally redo >/dev/null
eq "$(cat "$M/new/file")" some
tally undo >/dev/null

claim "only of one namespace, also of one that is gone"
eq "$(tally history y | sed 1d | grep -c "ns=[xy]")" 2
eq "$(tally history dev | sed 1d | wc -l)" 1
fails tally history nothing
matches "$(cat "$W/said")" "there is no namespace nothing"

claim "undo without a number takes back the newest, and no older one if that cannot be; redo does it again"
echo one >dev/a
fails tally undo
matches "$(cat "$W/said")" "change [0-9]+ .remove. cannot be undone; .tally undo SEQ. takes back an older one"
[[ -e dev/a ]]
tally undo "$branched" >/dev/null
tally redo >/dev/null
tally branch main other >/dev/null
matches "$(tally undo)" "op=branch ns=other"
matches "$(tally undo "$branched")" "of=$branched op=branch ns=dev"
[[ ! -e dev ]]
matches "$(newest)" "op=undo of=$branched did=drop ns=dev"
matches "$(tally history dev)" "op=branch ns=dev from=main state=undone"
tally redo >/dev/null
eq "$(cat dev/a)" one
matches "$(newest)" "op=redo of=$branched did=undrop ns=dev"

claim "a merge is undone by its number, though it is not the newest"
tally commit dev >/dev/null
first=$(seq_of "$(newest)")
echo two >dev/b
tally commit dev >/dev/null
echo later >>main/b
tally undo "$first" >/dev/null
[[ ! -e main/a ]]
eq "$(tr '\n' ' ' <main/b)" "two later "
fails tally undo "$first"
matches "$(cat "$W/said")" "change $first is undone already"
fails tally undo # the second one: main/b was written since
matches "$(cat "$W/said")" "1 conflict; nothing was changed"
tally redo "$first" >/dev/null
eq "$(cat main/a)" one
tally undo main --conflicts theirs >/dev/null

claim "of a namespace whose name is a number"
tally branch main 70000 >/dev/null
tally branch 70000 from7 >/dev/null
echo seven >from7/seven
tally commit from7 >/dev/null
fails tally undo 70000
matches "$(cat "$W/said")" "there is no change 70000 in the history"
tally undo --ns 70000 >/dev/null
[[ ! -e 70000/seven ]]

claim "a drop is undone until the trash is empty, and then the sentence has the time"
tally drop from7 >/dev/null
dropped=$(seq_of "$(newest)")
tally undo "$dropped" >/dev/null
eq "$(ls from7 | grep seven)" seven
tally redo "$dropped" >/dev/null
tally trash empty >/dev/null
fails tally redo "$branched"
fails tally undo "$dropped"
matches "$(cat "$W/said")" "change $dropped cannot be undone any more: what that needs went at 20[0-9T:-]+Z"

claim "a snapshot is removed by its number, and a held one is not"
tally snapshot main s >/dev/null
snapped=$(seq_of "$(newest)")
tally hold main@s >/dev/null
fails tally undo
matches "$(cat "$W/said")" "deleted for good: .tally undo $snapped. does that"
fails tally undo "$snapped"
matches "$(cat "$W/said")" "held"
tally unhold main@s >/dev/null
tally undo "$snapped" >/dev/null
fails ls .tally/snapshots/main/s
fails tally redo "$snapped"
matches "$(cat "$W/said")" "cannot be done again"

claim "--json is one object with the lines"
tally history --json -n 2 | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["ok"] and r["operations"] == 2 and len(r["lines"]) == 2 and "op=undo" in r["lines"][0], r
assert r["items"][0]["op"] == "undo" and r["items"][0]["uid"] == 0 and r["items"][1]["op"] == "snapshot", r'
tally snapshot main t >/dev/null
tally undo --json "$(seq_of "$(newest)")" | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["ok"] and r["op"] == "snapshot" and r["ns"] == "main" and r["snapshot"] == "t" and r["seq"] > r["of"], r'

claim "what the program did by itself says so, and is passed over"
tally set flush_interval 100ms >/dev/null
tally branch main short --ttl 200ms >/dev/null
wait_until test ! -e short
matches "$(newest short)" "by=tallyfs op=expire ns=short state=done"
tally branch main stays >/dev/null
matches "$(tally undo)" "op=branch ns=stays"

claim "after the death of the daemon the history is the same"
tally history | sed 's/ state=.*//' >"$W/before"
cd /
kill_daemon
may_log 'recovered'
mount_store
cd "$M"
tally history | sed 's/ state=.*//' >"$W/after"
cmp "$W/before" "$W/after"

finish
