#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two stores in a pool on a real Ceph, and on a real server of S3 (radosgw).
#
#     TALLY=… CLOCK_AHEAD=… bash engines_pool.sh
set -euo pipefail
# shellcheck source=tests/engine/engines_lib.sh
. "$(dirname "$0")/engines_lib.sh"
: "${CLOCK_AHEAD:?is what clock_ahead.c became}"

engines_begin

# in_pool - how many files with contents the pool has.
in_pool() {
    rados -c "$CONF" --log-file=/dev/null -p tally -N shared ls | grep -cE '^(objects|packs)/.*[0-9a-f]$' || true
}
s3_in_pool() {
    s3_curl GET '/tally?list-type=2&max-keys=1000&prefix=shared%2F' >/dev/null
    grep -oE '<Key>shared/(objects|packs)/[^<]*[0-9a-f]</Key>' "$W/said" | grep -c . || true
}
# use one|two
use() {
    S=$W/store.$1 M=$W/mnt.$1 daemon=${daemons[$1]:-}
}
# When the store reported last, by its own clock.
reported_at() { sed -nE 's/.*"last_report_seconds": *([0-9]+).*/\1/p' "$1/.tally/stats.json" | head -n 1; }
reported() { "$TALLY" -C "$1" status | grep -Eq '^ *report=[1-9]'; }
# A busy engine may take longer than shard_patience, so what is to succeed is tried until it does.
tell() { "$TALLY" -C "$1" drain >/dev/null && "$TALLY" -C "$1" gc --dry-run --wait >/dev/null 2>&1; }
told() { wait_until tell "$1"; }
two_has_all() { [[ $(tree_digest "$W/mnt.two/main" 2>/dev/null) == "$want" ]]; }
collected() {
    "$TALLY" -C "$W/mnt.one" gc --grace 0s --wait >/dev/null
    "$TALLY" -C "$W/mnt.two" gc --grace 0s --wait >/dev/null
    [[ $($1) -le $2 ]]
}
declare -A daemons

# A GC cycle of the pool begins, and the only OSD dies.
osd_dies_in_a_cycle() {
    "$TALLY" -C "$W/mnt.one" set shard_patience 6s >/dev/null
    "$TALLY" -C "$W/mnt.two" set shard_patience 6s >/dev/null
    "$TALLY" -C "$W/mnt.one" gc --grace 0s >/dev/null
    ceph_kill osd
    fails "$TALLY" -C "$W/mnt.one" gc --grace 0s --wait
    "$TALLY" -C "$W/mnt.one" set shard_patience 30s >/dev/null
    "$TALLY" -C "$W/mnt.two" set shard_patience 30s >/dev/null
    ceph_restart_osd
}

# share URL COUNT_FUNCTION [FAULT]: the clocks of both stores differ by 1,000 s
share() {
    local url=$1 count=$2 fault=${3:-true} both node ahead dates
    for node in one two; do
        use "$node"
        rm -rf "$S"
        "$TALLY" init --pool "$url" "$S" >/dev/null
        ahead=$([[ $node == one ]] && echo 500 || echo -500)
        LD_PRELOAD=$CLOCK_AHEAD SECONDS_AHEAD=$ahead mount_store
        daemons[$node]=$daemon
        wait_until reported "$M"
    done
    use one
    small_files "$M/main/tree"
    head -c 10000000 /dev/urandom >"$M/main/large"
    told "$M"
    told "$W/mnt.two"
    both=$($count)
    cp "$M/main/large" "$W/mnt.two/main/large"
    cp -r "$M/main/tree" "$W/mnt.two/main"
    told "$W/mnt.two"
    [[ $($count) -le $((both + 1)) ]] || fail "the pool has $($count) files, and had $both"
    want=$(tree_digest "$M/main")
    echo 3 >/proc/sys/vm/drop_caches
    wait_until two_has_all
    rm -r "$M/main/tree" "$M/main/large"
    told "$M"
    "$fault"
    collected "$count" 100000 || true
    wait_until two_has_all || fail "what one store let go of, the other does not have"
    rm -r "$W/mnt.two/main/tree" "$W/mnt.two/main/large"
    matches "$(<"$M/.tally/status")" 'requests: puts=[1-9][0-9]* gets=[1-9]'
    told "$W/mnt.two"
    wait_until collected "$count" 0
    dates=$(("$(reported_at "$W/mnt.one")" - "$(reported_at "$W/mnt.two")"))
    [[ $dates -gt 900 ]] || fail "the clocks differ by $dates s"
    for node in one two; do
        use "$node"
        unmount_store
        check_clean
    done
}

may_log 'gc: '
may_log 'reporting to the pool failed'
claim "two stores in a pool on RADOS have what both have there once, and what nobody has goes"
# and that the only OSD dies in a cycle, and that their clocks differ, changes nothing of that
share "rados:tally/shared?conf=$CONF&id=tallytest" in_pool osd_dies_in_a_cycle
claim "and so on S3"
share "s3://tally/shared?$s3_at" s3_in_pool
claim "all of ${test_file##*/}"
