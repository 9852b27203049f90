#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who waits for something on the control file and gives it a time is answered then, also while the
# disk does not answer at all.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
bad_disk "$W/under" threads
S=$D/store
begin
may_log '^tally: warning: .*(slow|waits)'

claim "a store where nothing is pending is drained at once, whatever the time"
drain
for _ in {1..10}; do
    "$TALLY" -C "$M" drain 0ms >/dev/null
    "$TALLY" -C "$M" drain 1ms >/dev/null
    "$TALLY" -C "$M" drain --idle 0ms >/dev/null
done

# late COMMAND… - it fails soon: it has a second at most, and the machine may be busy.
late() { fails timeout 20 "$@"; }

claim "a drain, a wait for a ticket and one for a job keep their time while the disk is frozen"
"$TALLY" -C "$M" set flush_interval 1h >/dev/null
drain
fault "sync STALL"
echo hello >"$M/main/a"
late "$TALLY" -C "$M" drain 1s
matches "$(<"$W/said")" 'not all was durable in time; by now seq='
late "$TALLY" -C "$M" drain 0ms
late "$TALLY" -C "$M" drain --idle 1s
ticket=$(timeout 20 "$TALLY" -C "$M" flush | sed -n 's/.*ticket=\([0-9]*\).*/\1/p')
matches "$ticket" '^[0-9]+$'
late "$TALLY" -C "$M" wait ticket "$ticket" 1s
"$TALLY" -C "$M" drain >/dev/null & # has no time, and runs until the disk answers
drain=$!
pids+=("$drain")
running() { grep -l '^state=running' "$M"/.tally/jobs/* >"$W/running"; }
wait_until running
job=$(basename "$(<"$W/running")")
matches "$job" '^[0-9]+$'
late "$TALLY" -C "$M" wait "$job" 1s

claim "drains end by themselves when the disk answers again"
fault ""
wait "$drain"
"$TALLY" -C "$M" drain "${limit}s" >/dev/null
grep -h '^state=' "$M"/.tally/jobs/* >"$W/states"
[[ $(<"$W/states") != *running* ]] || fail "a job runs"
"$TALLY" -C "$M" drain 0ms >/dev/null

claim "whatever it is that the disk does not do: the status is given, and a drain keeps its time"
for what in sync write name; do
    echo "$what" >"$M/main/a"
    head -c 300000 /dev/urandom >"$M/main/large"
    fault "$what STALL"
    "$TALLY" -C "$M" flush >/dev/null & # holds what it holds
    flush=$!
    pids+=("$flush")
    late "$TALLY" -C "$M" drain 1s
    matches "$(<"$W/said")" 'not all was durable in time; by now seq='
    for view in status stats.json metrics; do
        timeout 20 cat "$M/.tally/$view" >"$W/view" || fail "$view, where each $what waits"
        grep -q seq "$W/view"
    done
    fault ""
    wait "$flush"
done
drain
finish
