#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The units of systemd: it accepts them, their documentation is there, and what they run does its work on a mount.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
# shellcheck source=tests/packages/install_lib.sh
. "$(dirname "$0")/install_lib.sh"
needs systemd-analyze systemd-escape meson
keeps=yes
begin
prefix=$(prefix)
install_into "$W/dest"
units=$W/dest/lib/systemd/system
# They name programs where these will be; here they are below $W/dest.
grep -rlIE "$prefix/(bin|libexec)" "$W/dest/lib" "$W/dest$prefix/libexec" |
    xargs sed -i "s#$prefix/\(bin\|libexec\)#$W/dest$prefix/\1#g"

# work NAME [VARIABLE=VALUE] - the command of the unit tally-NAME@.service for $M, as systemd would run it.
work() {
    local command
    command=$(sed -n 's/^ExecStart=//p' "$units/tally-$1@.service")
    (
        # shellcheck disable=SC2046  # a value is several words
        export NOTHING='' $(sed -n 's/^Environment=//p' "$units/tally-$1@.service") "${@:2}"
        eval "${command//%f/$M}"
    )
}

claim "systemd-analyze has nothing to say"
for unit in "$units"/*; do
    eq "$(systemd-analyze --man=no verify "$unit" 2>&1)" "" "${unit##*/}"
done

claim "each names a page that there is"
pages=$(sed -n 's/^Documentation=//p' "$units"/* | tr ' ' '\n' | sed -n 's/^man:\(.*\)(\(.\))$/\1.\2/p' | sort -u)
[[ $(wc -w <<<"$pages") -ge 5 ]]
for page in $pages; do
    [[ -s $top/tools/man/$page ]] || fail "there is no page $page"
done

claim "each timer has its service, and is for one mount"
timers=("$units"/*.timer)
eq "${#timers[@]}" 5
for timer in "${timers[@]}"; do
    [[ -s ${timer%.timer}.service && $timer == *@.timer ]] || fail "$timer"
    systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "$timer")" >/dev/null
done

claim "a scrub tells what it read, and leaves a sound mount alone"
echo text >"$M/main/file"
drain
matches "$(work scrub)" $'\nstate=done\n.*\ndamaged=0'

claim "a garbage collection"
matches "$(work gc)" $'verb=gc\n.*\nstate=done\n'

claim "snapshots of each namespace, once a day; the old ones of that form go, others and held ones stay"
mkdir "$M/a b" "$M/-x"
"$TALLY" -C "$M" snapshot main day-2020-01-01 >/dev/null
"$TALLY" -C "$M" snapshot main day-2020-01-02 >/dev/null
"$TALLY" -C "$M" hold main@day-2020-01-02 >/dev/null
"$TALLY" -C "$M" snapshot main 1999-mine >/dev/null
work snapshot >/dev/null
work snapshot >/dev/null
today=day-$(date +%F)
eq "$(names "$M/.tally/snapshots/main")" "1999-mine day-2020-01-02 $today "
eq "$(names "$M/.tally/snapshots/a b")$(names "$M/.tally/snapshots/-x")" "$today $today "
"$TALLY" -C "$M" unhold main@day-2020-01-02 >/dev/null
work snapshot KEEP_DAYS=99999 >/dev/null
[[ -d $M/.tally/snapshots/main/day-2020-01-02 ]]
fails work snapshot KEEP_DAYS=many
matches "$(<"$W/said")" 'KEEP_DAYS is "many"'

claim "pruning and a drill fail without an archive, and work with one of several"
fails work prune
matches "$(<"$W/said")" 'the store has no archive'
mkdir "$W/one" "$W/two"
"$TALLY" -C "$M" archive add "dir:$W/one" >/dev/null
"$TALLY" -C "$M" archive add "dir:$W/two" >/dev/null
"$TALLY" -C "$M" archive ship "dir:$W/one" >/dev/null
"$TALLY" -C "$M" archive ship "dir:$W/two" >/dev/null
matches "$(work prune "ARCHIVE=dir:$W/one")" $'\nstate=done\n'
matches "$(work drill "OPTIONS=--archive dir:$W/two")" $'\nstate=done\n.*\nnamespaces=3'

claim "who ends the service of a job cancels the job"
head -c 30000000 /dev/urandom >"$M/main/large"
drain
"$TALLY" -C "$M" set scrub_rate 1M/s >/dev/null
"$W/dest$prefix/libexec/tallyfs/job" "$M" scrub >"$W/said" 2>&1 &
pid=$!
pids+=("$pid")
running() { grep -l '^state=running' "$M"/.tally/jobs/* >/dev/null; }
wait_until running
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
eq "$rc" 1
"$TALLY" -C "$M" set scrub_rate 1G/s >/dev/null
stopped() { ! running; }
wait_until stopped
grep -q '^state=cancelled' "$M"/.tally/jobs/* || fail "the job went on"

claim "a scrub that finds damage fails"
"$TALLY" -C "$M" drain archive >/dev/null # which would say that it cannot read what is damaged below
# What a flush met while the file was written is one object, what came later are others; and none is there before
# the kernel has reported the close. The largest will do.
stored() {
    drain
    object=$(cd "$S" && find objects -type f -size +1000k -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
    [[ -n $object ]]
}
wait_until stored
printf X | dd of="$S/$object" bs=1 seek=5000 conv=notrunc status=none
may_log 'damaged|is used by'
fails work scrub
matches "$(<"$W/said")" $'\nstate=done\n.*\ndamaged=1'
cd /
unmount_store
claim "all of units.sh"
