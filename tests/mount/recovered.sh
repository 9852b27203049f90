#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# After a daemon was killed: what check, mount and status say of the changes that wait in the log.
# And words for who mounts at the wrong place, or puts an option at one.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
said_has() { grep -qE "$1" "$W/said" || { cat "$W/said" && fail "nothing is like /$1/"; }; }
said_lacks() { ! grep -qE "$1" "$W/said" || { cat "$W/said" && fail "something is like /$1/"; }; }

"$TALLY" -C "$M" set flush_interval 1h >/dev/null
echo small >"$M/main/small"
head -c 300000 /dev/urandom >"$M/main/large"
ls "$M/.tally/objects" >/dev/null # seals it: its file is there, and in no commit
want=$(tree_digest "$M")
kill_daemon

claim "check tells how much waits in the log, and takes nothing of it for a leak"
"$TALLY" check "$S" >"$W/said"
said_lacks leak
said_has '^note files: [0-9]+ files are not in the last commit'
said_has '^this is what commit number [0-9]+ has; [0-9]+ changes in the log wait for the next mount$'
"$TALLY" check --json "$S" >"$W/said"
python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); assert v["waiting"] > 3, v' "$W/said"

claim "repair --dry-run says that it would replay the log, and does not"
"$TALLY" check --repair --dry-run "$S" >"$W/said"
said_has '^would repair log behind number [0-9]+: [0-9]+ changes are replayed$'
"$TALLY" check "$S" >"$W/said"
said_has 'changes in the log wait'

claim "a mount in the background says on the terminal what it recovered, and status goes on to"
"$TALLY" mount "$S" "$M" 2>"$W/said"
daemon=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$M/.tally/stats.json")
pids+=("$daemon")
said_has '^tally: note: recovered [0-9]+ changes from the log: numbers [0-9]+ to [0-9]+, [0-9]+ bytes, in [0-9]+ ms$'
grep -qE '^recovered   changes=[0-9]+ first=[0-9]+ last=[0-9]+ bytes=[0-9]{6}' "$M/.tally/status"
eq "$(tree_digest "$M")" "$want"
"$TALLY" umount "$M"

claim "after an unmount there is nothing to recover, and nothing is said"
"$TALLY" mount "$S" "$M" 2>"$W/said"
pids+=("$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$M/.tally/stats.json")")
eq "$(<"$W/said")" ""
status=$(<"$M/.tally/status")
matches "$status" 'state +ok'
[[ $status != *$'\n'recovered* ]] || fail "the status says that something was recovered"
"$TALLY" umount "$M"
"$TALLY" check "$S" >"$W/said"
said_lacks 'wait'

claim "a mount at the store, in it, or above it is refused"
mkdir "$S/sub"
for at in "$S" "$S/sub" "$S/../store/sub"; do
    fails "$TALLY" mount "$S" "$at"
    said_has 'is the store itself or lies in it'
done
rmdir "$S/sub"
fails "$TALLY" mount "$S" "$W"
said_has 'lies in .* and would be hidden'
ln -s "$W" "$W/link"
fails "$TALLY" mount "$S" "$W/link"
said_has 'lies in .* and would be hidden'

claim "an option before its verb is told where it goes"
fails "$TALLY" --json status
said_has 'goes behind the verb: tally VERB --json'

claim "the help of log and check fits a terminal"
for verb in log check; do
    "$TALLY" "$verb" --help | sed 1d >"$W/said"
    said_lacks '.{81}'
done

claim "a few flipped bytes in the log of a killed daemon are refused, with all that they would cost"
mount_store
"$TALLY" -C "$M" set flush_interval 1h >/dev/null
"$TALLY" -C "$M" drain >/dev/null
for i in {1..200}; do echo "$i" >"$M/main/many$i"; done
kill_daemon
"$TALLY" log --json "$S" >"$W/frames"
at=$(python3 - "$W/frames" <<'EOF'
import json, sys
frames = [f for f in map(json.loads, open(sys.argv[1])) if f["type"] == "frame" and f["state"] == "pending"]
middle = frames[len(frames) // 2]
print(middle["segment"], middle["offset"], middle["seq"], frames[-1]["seq"], len(frames))
EOF
)
read -r segment offset seq last count <<<"$at"
file=$(printf '%s/log/%016x' "$S" "$segment")
printf '\xff\xff' | dd of="$file" bs=1 seek=$((offset + 44)) conv=notrunc status=none
what="changes $seq to $last \\($((last - seq)) of them are whole, but behind the damage\\)"
fails "$TALLY" mount "$S" "$M"
said_has "^tally: ALARM: the log is damaged in segment $segment at offset $offset: a mount would give up $what; nothing was changed"
! "$TALLY" check "$S" >"$W/said" || fail "that is damage"
said_has "^log segment $segment offset $offset: it is damaged: a mount would give up $what$"
fails "$TALLY" mount "$S" "$M"

claim "check --repair accepts that, keeps the segments, and what came before is there"
fails "$TALLY" check --repair --dry-run "$S"
said_has "^would repair log segment $segment offset $offset: [0-9]+ changes are replayed, given up are $what; "
fails "$TALLY" mount "$S" "$M"
"$TALLY" check --repair "$S" >"$W/said"
said_has "^repaired log segment $segment offset $offset: [0-9]+ changes are replayed, given up are $what; the segments are kept as log/damaged"
[[ -s $(printf '%s/log/damaged.%016x' "$S" "$segment") ]] || fail "the segment is not kept"
"$TALLY" check "$S" >/dev/null
mount_store
eq "$(<"$M/main/many50")" 50
[[ $(find "$M/main" -name 'many*' | wc -l) -lt 150 ]] || fail "what was given up is there"
finish
