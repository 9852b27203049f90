#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Archives on a real Ceph and on a real server of S3 (radosgw): a store ships there, dies, and another
# machine has what was shipped; a second one follows, and takes over; servers are away.
#
#     TALLY=… bash engines_archive.sh
set -euo pipefail
# shellcheck source=tests/engine/engines_lib.sh
. "$(dirname "$0")/engines_lib.sh"

engines_begin
# shellcheck disable=SC2119
begin

# both COMMAND… - with the URL of each of the two archives behind it.
both() {
    "$@" "$rados_archive"
    "$@" "$s3_archive"
}
ship() { t archive ship "$1" "${2:-100s}" >/dev/null 2>&1; }
add() { t archive add "$1" >/dev/null; }
# A busy engine may take longer than shard_patience, so what is to succeed is tried until it does.
# has_all URL - a machine that has only the archive gets the tree from it.
is_same() { [[ $(tree_digest "$1/main/tree" 2>/dev/null) == "$want" ]]; }
cloned() {
    rm -rf "$W/elsewhere"
    "$TALLY" clone "$1" "$W/elsewhere" main >"$W/said" 2>&1
}
has_all() {
    wait_until cloned "$1"
    mkdir -p "$W/there"
    "$TALLY" mount "$W/elsewhere" "$W/there"
    wait_until is_same "$W/there" || fail "$1 has another tree"
    "$TALLY" umount "$W/there"
}
rados_archive="rados:tally/archive?conf=$CONF&id=tallytest" s3_archive="s3://tally/archive?$s3_at"

claim "a store ships to RADOS and to S3: its daemon dies, and another machine has from either what was shipped"
both add
mkdir "$M/main/tree"
cp -r /usr/include/linux "$M/main/tree/"
head -c 20000000 /dev/urandom >"$M/main/tree/large"
both wait_until ship
want=$(tree_digest "$M/main/tree")
kill_daemon
both has_all

claim "servers that are away hold nobody up, and when they are back they get what they lack"
may_log 'archive (s3:|rados:|6553[0-9] is )'
mount_store
t set shard_patience 6s >/dev/null
ceph_kill rgw
ceph_kill osd
mv "$M/main/tree/linux" "$M/main/tree/moved"
echo later >"$M/main/tree/later"
head -c 3000000 /dev/urandom | dd of="$M/main/tree/large" bs=1M seek=7 conv=notrunc status=none
fails ship "$s3_archive" 1s
fails ship "$rados_archive" 1s
ceph_start rgw
ceph_restart_osd
wait_until rgw_answers
both wait_until ship
want=$(tree_digest "$M/main/tree")
kill_daemon
both has_all

claim "a second store follows each of them, while programs read it"
F=$W/follower
f() { "$TALLY" -C "$F" "$@"; }
reads() { [[ $(cat "$1" 2>/dev/null) == "$2" ]]; }
# follow URL - $F is the mount of a store that is made for that.
follow() {
    mkdir -p "$F"
    rm -rf "$W/second"
    "$TALLY" mount -o "follow=$1" "$W/second" "$F"
    f set follow_interval 100ms >/dev/null
}
end_follower() {
    "$TALLY" umount "$F"
    "$TALLY" check "$W/second" >"$W/said"
}
follows() {
    follow "$1"
    for i in {1..5}; do
        echo "text $i" >"$M/main/tree/followed"
        mv "$M/main/tree/moved" "$M/main/tree/again"
        mv "$M/main/tree/again" "$M/main/tree/moved"
        wait_until ship "$1"
        wait_until reads "$F/main/tree/followed" "text $i"
    done
    want=$(tree_digest "$M/main/tree")
    wait_until is_same "$F"
    end_follower
}
mount_store
both follows

claim "and takes over: it has all that was shipped, and the writer is fenced"
may_log 'another store, or another mount of this one, ships there now'
refuses() { t archive status | grep -F "$1" | grep -q 'state=refused'; }
takes_over() {
    echo "last of $1" >"$M/main/tree/followed"
    wait_until ship "$1"
    follow "$1"
    f promote >"$W/said"
    matches "$(<"$W/said")" 'lineage=2 parent=1'
    eq "$(<"$F/main/tree/followed")" "last of $1"
    echo "late $1" >"$M/main/tree/late"
    wait_until refuses "$1"
    echo new >"$F/main/new"
    f archive ship "$1" 100s >/dev/null
    [[ ! -e $F/main/tree/late ]]
    rm "$M/main/tree/late"
    end_follower
}
both takes_over
finish
