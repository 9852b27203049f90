#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tally log: the frames of a store that nobody has mounted.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs python3
PLANT=$(realpath "${PLANT_LOG:?is the program that writes a log}")

claim "a new store has an empty log"
"$TALLY" init "$S"
eq "$("$TALLY" log "$S")" "the log is empty"
matches "$("$TALLY" log --json "$S")" '"type":"end","state":"whole"'

claim "each frame is a line: where it is, its number, its state, whose it is, what it does"
"$PLANT" "$S"
"$TALLY" log "$S" >"$W/out"
matches "$(sed -n 1p "$W/out")" '^segment 1: epoch 1, [0-9]+ bytes$'
matches "$(sed -n 2p "$W/out")" '^ +4096  [0-9]+  20[0-9-]+T[0-9:.]+Z  pending +main: delete inode 12$'
matches "$(sed -n 3p "$W/out")" 'pending +main: write 7 bytes at 0 of content 77$'
matches "$(sed -n 4p "$W/out")" 'pending +sync: durable up to [0-9]+$'
matches "$(sed -n 5p "$W/out")" 'pending +root: pin object 5$'
matches "$(sed -n 7p "$W/out")" 'pending +#99: drop namespace 99$'
matches "$(sed -n 8p "$W/out")" '^ends at segment 1, offset [0-9]+: every whole frame counts'

claim "--json is one object a line"
"$TALLY" log --json "$S" | python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
assert [l["type"] for l in lines] == "segment frame frame sync frame sync frame end".split(), lines
frames = [l for l in lines if l["type"] == "frame"]
assert all(f["request"] == 0 for f in frames), frames
assert frames[0]["ns"] == "main" and frames[3]["ns"] is None and frames[3]["namespace"] == 99
assert [f["seq"] for f in frames] == list(range(frames[0]["seq"], frames[0]["seq"] + 4))
assert frames[1]["operations"] == [{"kind": "content-write", "text": "write 7 bytes at 0 of content 77"}]
assert lines[-1]["state"] == "whole" and lines[-1]["seq"] == frames[-1]["seq"]
'

claim "a damaged log is told, with its place"
rm "$S"/log/*
"$PLANT" "$S" spoil
! "$TALLY" log "$S" >"$W/out" 2>"$W/said" || fail "that is damage"
matches "$(cat "$W/said")" 'the log is damaged at segment 1, offset 4096'
! "$TALLY" log --json "$S" >"$W/out" 2>"$W/said" || fail "that is damage"
matches "$(tail -n 1 "$W/out")" '"state":"damaged","segment":1,"offset":4096'

claim "a segment that was never used says so, and other files are none"
rm "$S"/log/*
truncate -s 1M "$S/log/0000000000000001"
touch "$S/log/other"
eq "$("$TALLY" log "$S" | head -n 1)" "segment 1: not used yet, 1048576 bytes"

claim "list and find ask a mount"
rm -r "$S"
begin
T=("$TALLY" -C "$M")
mkdir "$M/main/dir"
matches "$("${T[@]}" log list main)" '^frames=[0-9]+ shown=[0-9]+'
matches "$("${T[@]}" log list main | tail -n 1)" ' request [1-9][0-9]*, (.*, )?put ' # made by mkdir
matches "$("${T[@]}" log list --json --until 5 main/)" '"verb": "log"'
matches "$("$TALLY" log list -C "$M" main)" '^frames='
! "${T[@]}" log find main 0 2>"$W/said" || fail "there is no such change"
matches "$(cat "$W/said")" 'the log has no change of that namespace up to 0'
! "${T[@]}" log list nobody 2>"$W/said" || fail "there is no such namespace"
matches "$(cat "$W/said")" 'there is no namespace nobody'
! "${T[@]}" log list --until x main 2>"$W/said" || fail "that is no number"
matches "$(cat "$W/said")" 'x is not a sequence number'
! "$TALLY" log "$M" 2>"$W/said" || fail "that is a mount"
matches "$(cat "$W/said")" 'is a mount, of the store'
! "$TALLY" log "$S" 2>"$W/said" || fail "somebody has it mounted"
finish
