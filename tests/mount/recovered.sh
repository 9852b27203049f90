#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# After a daemon was killed: what check, mount and status say of the changes that wait in the log.
# And words for who mounts at the wrong place, or puts an option at one.
set -euo pipefail
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
! grep -q '^recovered' "$M/.tally/status"
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
mount_store
finish
