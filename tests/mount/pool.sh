#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two stores in one pool, a daemon each: what both have is there once, what one lets go of the other
# keeps, and who is not a node of the pool that is there is told so and changes nothing.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs cmp getfattr sha256sum
P=$W/pool
declare -A daemons
# use one|two - $S, $M and $daemon are that one's from now on.
use() {
    node=$1 S=$W/store.$1 M=$W/mnt.$1 daemon=${daemons[$1]:-}
}
# A store that was just mounted reports by itself, at any moment: only then the test goes on.
started() {
    daemons[$1]=$daemon
    wait_until has_reported "$1"
}
has_reported() { "$TALLY" -C "$W/mnt.$1" status | grep -Eq '^ *report=[1-9]'; }
start() {
    use "$1"
    mount_store
    started "$1"
}
stop() {
    use "$1"
    unmount_store
    unset "daemons[$1]"
}
# What there is is sealed, and the others know of it when they seal next: a cycle begins with a report.
told() {
    "$TALLY" -C "$W/mnt.$1" drain >/dev/null
    "$TALLY" -C "$W/mnt.$1" gc --dry-run --wait >/dev/null
}
object() { getfattr --absolute-names --only-values -n user.tally.object "$1"; }
objects() { find "$P/objects" -type f ! -name '*.sums' | wc -l; }
pack_bytes() { find "$P/packs" -type f -regex '.*/[0-9a-f]+' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }
# All that is there, but for locks.
pool_digest() { (cd "$P" && find . -type f ! -name lock -print0 | sort -z | xargs -0 sha256sum | sha256sum); }
# The same when those that are mounted have nothing left to do: they drain, and it changes no more.
settled_digest() {
    local i
    for i in "${!daemons[@]}"; do "$TALLY" -C "$W/mnt.$i" drain --idle >/dev/null; done
    rm -f "$W/digest"
    wait_until unchanged
    cat "$W/digest"
}
unchanged() {
    local was
    was=$(cat "$W/digest" 2>/dev/null || true)
    pool_digest >"$W/digest" 2>/dev/null && [[ $(<"$W/digest") == "$was" ]]
}
# refused REGEX STORE - it cannot be mounted, and says so; the pool stays as it is.
refused() {
    local before
    before=$(settled_digest)
    mkdir -p "$W/nowhere"
    fails "$TALLY" mount -f "$2" "$W/nowhere"
    matches "$(<"$W/said")" "$1"
    fails "$TALLY" check "$2"
    matches "$(<"$W/said")" "$1"
    eq "$(pool_digest)" "$before"
}

# A cycle without grace, as it was.
gc() { "$TALLY" -C "$W/mnt.$1" gc --grace 0s --wait; }
# collected FILE [one] - cycles of both, or of that one, until it is gone.
collected() {
    local i
    for i in ${2:-one two}; do gc "$i" >/dev/null; done
    [[ ! -e $1 ]]
}
retired() {
    gc one >/dev/null
    "$TALLY" -C "$W/mnt.one" node retire "$1" >/dev/null 2>&1
}
empty() {
    gc one >/dev/null
    [[ -z $(find "$P/objects" "$P/packs" -type f) ]]
}

use one
begin --pool "dir:$P"
started one
use two
"$TALLY" init --pool "dir:$P" "$S"
start two
# Their cycles begin with a report; nobody writes one into the pool while a test looks whether it stays
# as it is.
for i in one two; do "$TALLY" -C "$W/mnt.$i" set report_interval 1h >/dev/null; done
head -c 3000000 /dev/urandom >"$W/large"
head -c 40000 /dev/urandom >"$W/small"
head -c 2000000 /dev/urandom >"$W/other"

claim "a store alone makes no pool of what it finds, and a full directory is none"
mkdir "$W/full"
echo mine >"$W/full/file"
fails "$TALLY" init --pool "dir:$W/full" "$W/store.three"
matches "$(<"$W/said")" 'it is not empty and no pool'
eq "$(names "$W/full")" "file "
fails "$TALLY" init --pool "$P" "$W/store.three"
matches "$(<"$W/said")" 'a pool is dir:PATH'
[[ ! -e $W/store.three ]]

claim "what both write is stored once"
cp "$W/large" "$W/small" "$W/mnt.one/main"
told one
eq "$(objects)" 1
bytes=$(pack_bytes)
cp "$W/large" "$W/small" "$W/mnt.two/main"
told two
eq "$(objects)" 1
eq "$(pack_bytes)" "$bytes"
for m in one two; do
    cmp "$W/large" "$W/mnt.$m/main/large"
    cmp "$W/small" "$W/mnt.$m/main/small"
done
[[ -z $(names "$P/nodes/0001/slots") && -z $(names "$P/nodes/0002/slots") ]]

claim "and in the other direction"
cp "$W/other" "$W/mnt.two/main"
told two
cp "$W/other" "$W/mnt.one/main"
"$TALLY" -C "$W/mnt.one" drain >/dev/null
eq "$(objects)" 2

claim "what one lets go of the other reads, also when both were mounted anew"
rm "$W/mnt.one/main/large" "$W/mnt.one/main/small"
"$TALLY" -C "$W/mnt.one" drain >/dev/null
cmp "$W/large" "$W/mnt.two/main/large"
stop one
stop two
check_clean
use one
check_clean
start one
start two
cmp "$W/large" "$W/mnt.two/main/large"
cmp "$W/small" "$W/mnt.two/main/small"
cmp "$W/other" "$W/mnt.one/main/other"
eq "$(names "$W/mnt.one/main")" "other "

claim "what is wanted again is taken from the other one"
told two
cp "$W/large" "$W/small" "$W/mnt.one/main"
"$TALLY" -C "$W/mnt.one" drain >/dev/null
eq "$(objects)" 2
eq "$(pack_bytes)" "$bytes"
cmp "$W/small" "$W/mnt.one/main/small"

claim "the death of one daemon is no concern of the other, and loses nothing"
head -c 700000 /dev/urandom >"$W/unsynced"
cp "$W/unsynced" "$W/mnt.one/main/unsynced"
echo tiny >"$W/mnt.one/main/tiny"
use one
kill_daemon
unset "daemons[one]"
cp "$W/unsynced" "$W/mnt.two/main/alike"
told two
cmp "$W/unsynced" "$W/mnt.two/main/alike"
start one
cmp "$W/unsynced" "$W/mnt.one/main/unsynced"
eq "$(cat "$W/mnt.one/main/tiny")" tiny
cmp "$W/large" "$W/mnt.one/main/large"

claim "scrub finds all of it sound"
matches "$("$TALLY" -C "$W/mnt.one" scrub --wait)" 'damaged=0'
matches "$("$TALLY" -C "$W/mnt.two" scrub --wait)" 'damaged=0'

claim "a copy of a store in use is told so"
refused_busy=$(settled_digest)
cp -a "$W/store.two" "$W/copy.now"
mkdir -p "$W/nowhere"
fails "$TALLY" mount -f "$W/copy.now" "$W/nowhere"
matches "$(<"$W/said")" 'a copy of the store .* is in use as node 2 of the pool'
eq "$(pool_digest)" "$refused_busy"

claim "a copy is refused once the store went on"
stop two
cp -a "$W/store.two" "$W/copy"
start two
refused 'copy is a copy, or was restored from a backup: .* goes on as node 2' "$W/copy"
stop two
refused 'is a copy, or was restored from a backup' "$W/copy"
start two
cmp "$W/large" "$W/mnt.two/main/large"

claim "a pool that is missing, empty, or another one is named and left alone"
stop one
stop two
mv "$P" "$W/away"
use one
fails "$TALLY" mount -f "$S" "$M"
matches "$(<"$W/said")" "the pool $P of the store $S is missing; is its disk mounted\\?"
[[ ! -e $P ]]
mkdir "$P"
fails "$TALLY" mount -f "$S" "$M"
matches "$(<"$W/said")" "is not at $P: it is no pool: it has no file tally-pool"
eq "$(names "$P")" ""
rmdir "$P"
"$TALLY" init --pool "dir:$P" "$W/stranger"
refused 'is another one than that of the store' "$S"
rm -r "$P"
mv "$W/away" "$P"
start one
start two
cmp "$W/large" "$W/mnt.one/main/large"

claim "what nobody needs goes in the second cycle at the earliest, what the other one needs never"
head -c 900000 /dev/urandom >"$W/mnt.one/main/lone"
told one
lone=$(find "$P/objects" -name "$(object "$W/mnt.one/main/lone").*" ! -name '*.sums')
[[ -s $lone ]]
rm "$W/mnt.one/main/lone" "$W/mnt.one/main/large" "$W/mnt.one/main/small"
"$TALLY" -C "$W/mnt.one" drain --idle >/dev/null
matches "$(gc one)" 'marked=[1-9][0-9]* collected=0 '
[[ -s $lone && -s $lone.sums ]]
wait_until collected "$lone"
[[ ! -e $lone.sums ]]
cmp "$W/large" "$W/mnt.two/main/large"
cmp "$W/small" "$W/mnt.two/main/small"
cmp "$W/other" "$W/mnt.one/main/other"
kept=$(objects)
cp "$W/large" "$W/mnt.one/main/again"
told one
eq "$(objects)" "$kept"

claim "a node that comes back no more is retired: what it alone needed goes, and it is refused"
head -c 600000 /dev/urandom >"$W/mnt.two/main/last"
told two
last=$(find "$P/objects" -name "$(object "$W/mnt.two/main/last").*" ! -name '*.sums')
stop two
"$TALLY" -C "$W/mnt.one" set stale_report_threshold 1s >/dev/null
wait_until retired 2
refused 'was retired as node 2 of the pool' "$W/store.two"
wait_until collected "$last" one
cmp "$W/large" "$W/mnt.one/main/again"
cmp "$W/other" "$W/mnt.one/main/other"

claim "when nothing is left nothing is left of the bytes"
rm "$W"/mnt.one/main/*
"$TALLY" -C "$W/mnt.one" drain --idle >/dev/null
wait_until empty
eq "$(find "$P/objects" "$P/packs" -type f)" ""

claim "the daemon ends well and leaves a sound store"
cd /
stop one
check_clean
