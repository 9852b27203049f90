#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is not kept of an archive goes, by hand and with plain tools. The clock of the store goes on
# by days between two mounts; what was put long ago is a matter of touch(1).
#
#     TALLY=… CLOCK_AHEAD=… bash prune.sh
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
: "${CLOCK_AHEAD:?is what clock_ahead.c became}"

t() { "$TALLY" -C "$M" "$@"; }
log() { "$TALLY" log "$@"; }
ship() { t archive ship 100s >/dev/null; }
# mount_at DAYS - the clock of the mount is so many days behind
mount_at() { LD_PRELOAD=$CLOCK_AHEAD SECONDS_AHEAD=$((-86400 * $1)) mount_store; }
# change_of NS - the last change of it that was shipped
change_of() { t durable "$1" | sed -n 's/^archive=.* seq=\([0-9]*\).*/\1/p'; }

# shellcheck disable=SC2119
begin
unmount_store
cd "$W"
A=$W/archive
mkdir "$A"

# Each day main changes once, a namespace comes and goes, and another one stays.
declare -A main
for days in 9 6 3; do
    mount_at "$days"
    [[ $days -ne 9 ]] || t archive add "dir:$A" >/dev/null
    echo "$days" >"$M/main/file"
    ship
    main[$days]=$(change_of main)
    t branch main brief >/dev/null
    for i in 1 2 3; do
        echo "$i" >"$M/brief/file"
        ship
    done
    [[ $days -ne 9 ]] || brief=$(change_of brief)
    t drop brief --now >/dev/null
    t branch main "day$days" >/dev/null
    ship
    unmount_store
done
mount_store
echo now >"$M/main/file"
ship

claim "nothing is given up that the settings keep"
t set archive_keep 30d >/dev/null
t archive prune --wait >"$W/out"
grep -q 'catalogue=0 .*oldest=all deleted=0 .*marked=0 ' "$W/out"
log list --archive dir:archive --until "$brief" brief >"$W/out"
key=$(sed -n '1s/^key=\([^ ]*\).*/\1/p' "$W/out")

claim "what they do not keep is marked, and deleted when the grace is over"
t set archive_keep 60s >/dev/null
t set archive_keep_hourly 0s >/dev/null
t archive prune --wait >"$W/out"
grep -q 'catalogue=1 .* deleted=0 .* marked=[1-9][0-9]* .* wait=[1-9]' "$W/out"
log fetch --index --archive dir:archive "$key" >"$W/out" 2>"$W/said"
grep -q "does not keep $key any more: the nearest segments that it keeps are l/.* and l/" "$W/said"
touch -d '2 days ago' "$A"/l/*/kept/*
t archive prune --wait >"$W/out"
grep -q ' deleted=[1-9]' "$W/out"
fails log fetch --index --archive dir:archive "$key"
grep -q "does not keep $key any more: the nearest" "$W/said"
t archive check --read 100 --wait | grep -q '^found=0 '

claim "a list has the states that are kept, and each comes back by the number that it says"
for ns in main day6 day3; do
    log list --archive dir:archive "$ns" >"$W/list"
    [[ -s $W/list ]]
    while read -r line; do
        seq=$(sed 's/.* seq=\([0-9]*\) .*/\1/' <<<"$line")
        t restore --dry-run "$ns@$seq" | grep -q " from_seq=$seq "
        log find --archive dir:archive "$ns" "$seq" | grep -q "seq=$seq "
    done <"$W/list"
done

claim "a moment that is given up is the last kept state before it, and the log says so"
t restore "main@$((main[6] - 1))" back --wait >"$W/out"
grep -q "^ns=back lineage=1 from_seq=${main[9]} time=" "$W/out"
eq "$(<"$M/back/file")" 9
log find --archive dir:archive main "$((main[6] - 1))" >"$W/out" 2>"$W/said"
grep -q "seq=${main[9]} " "$W/out"
grep -q 'what was shipped between change [0-9]*, of 20.*Z, and change [0-9]*, of 20.*Z, is given up' "$W/said"

claim "before the oldest kept state that one is named"
fails t restore main@2001-01-01T00:00:00Z never --wait
grep -q 'the archive has nothing of that moment: the oldest state of lineage 1 that it keeps is that of change ' \
    "$W/said"

claim "pins are listed, and end"
"$TALLY" clone dir:archive "$W/clone" main >/dev/null
t archive pins >"$W/out"
grep -q ' pins=1$' "$W/out"
token=$(sed -n 's/^pin=\([0-9a-f]*\) lineage=1 segment=[0-9]*-[0-9]* time=.*/\1/p' "$W/out")
fails t archive unpin "${token:0:8}"
grep -q 'is not the token of a pin' "$W/said"
mkdir "$W/there"
"$TALLY" mount "$W/clone" "$W/there"
fails "$TALLY" -C "$W/there" archive unpin "$token"
grep -q 'this store has put that pin, and uses contents that it keeps' "$W/said"
"$TALLY" umount "$W/there"
t archive unpin "$token" >/dev/null
t archive pins | grep -q ' pins=0$'
fails t archive unpin 00112233445566778899aabbccddeeff
grep -q 'there is no such pin: `archive pins` lists them' "$W/said"
finish
