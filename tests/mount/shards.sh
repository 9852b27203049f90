#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two disks of their own: what is cold moves to the second, is read there, comes home; the second is
# taken away, comes back, is another, read-only, full; the daemon dies in the middle of it.
#
#     TALLY=… bash shards.sh [KILLS]
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
needs cmp getfattr losetup mkfs.ext4 sha256sum
kills=${1:-3}

# disk NAME SIZE - an ext4 of its own, whose device is ${loop[NAME]}; attach NAME mounts it at $W/NAME.
declare -A loop
disk() {
    truncate -s "$2" "$W/$1.img"
    mkfs.ext4 -q -F -m 0 "$W/$1.img"
    mkdir "$W/$1"
    loop[$1]=$(losetup -f --show "$W/$1.img" 2>"$W/said") || skip "no loop device: $(<"$W/said")"
    attach "$1"
}
attach() { mount "${@:2}" "${loop[$1]}" "$W/$1"; }
detach() { umount -l "$W/$1"; }
end_loops() {
    local l
    cleanup
    for l in "${loop[@]}"; do losetup -d "$l" 2>/dev/null; done
}
trap end_loops EXIT

available() { df -k --output=avail "$1" | tail -n 1 | tr -d ' '; }
t() { "$TALLY" -C "$M" "$@"; }
shard_is() { t shard list | grep -E "^(shard=)?$1 .*$2" >/dev/null; }
object() { getfattr --absolute-names --only-values -n user.tally.object "$1"; }
# Names of bytes on a shard, but for those that say whose it is.
bytes_there() { find "$1" -type f \( -path '*/packs/*' -o -path '*/objects/*' \) | wc -l; }
cycles() {
    drain
    t gc --grace 0s --wait >/dev/null
    t gc --grace 0s --wait >/dev/null
    drain
}
reads() { cmp -s "$1" "$2"; }
same_tree() { [[ $(tree_digest "$M/main/tree" 2>/dev/null) == "$want" ]]; }

disk one 600M
disk two 300M
S=$W/one/store
# shellcheck disable=SC2119
begin
cd "$W"

claim "a second disk is a shard"
mkdir "$W/two/cold"
t shard add 1 "dir:$W/two/cold" >/dev/null
shard_is 1 ok
eq "$(names "$W/two")" "cold lost+found "
fails t shard add 1 "dir:$W/two/other"
fails t shard add 2 "dir:$W/two/cold"

claim "a tree moves there: the digests are equal, and its room here comes back"
mkdir "$M/main/tree"
for i in {1..300}; do head -c $((2000 + i * 17)) /dev/urandom >"$M/main/tree/s$i"; done
for i in 1 2 3; do head -c $((8000000 + i)) /dev/urandom >"$M/main/tree/l$i"; done
echo here >"$M/main/here"
drain
want=$(tree_digest "$M/main/tree")
before=$(available "$W/one")
t move main/tree 1 --wait >"$W/moved"
drain
after=$(available "$W/one")
[[ $((after - before)) -gt 22000 ]] || fail "$before KiB before, $after after"
same_tree
[[ $(bytes_there "$W/two") -lt 30 ]] || fail "a file for each"
matches "$(t resolve "$(object "$M/main/tree/l1")")" '1'
matches "$(t resolve "$(object "$M/main/here")")" '0|home'

claim "a branch, a link and a copy keep it there; writing to one copies up"
t branch main side >/dev/null
ln "$M/main/tree/l2" "$M/side/linked"
cp --reflink=auto "$M/main/tree/l3" "$M/main/copied"
drain
[[ $(available "$W/one") -gt $((after - 3000)) ]] || fail "a copy came home"
printf changed | dd of="$M/side/tree/l1" bs=1 seek=7000000 conv=notrunc status=none
printf changed | dd of="$M/side/tree/s1" bs=1 seek=5 conv=notrunc status=none
same_tree
eq "$(dd if="$M/side/tree/l1" bs=1 skip=7000000 count=7 status=none)" changed
cmp -n 7000000 "$M/side/tree/l1" "$M/main/tree/l1"
t drop side >/dev/null
rm "$M/main/copied"
drain

claim "what the last name goes of, goes there, too"
there=$(du -sk "$W/two/cold" | cut -f1)
room_came_back() { [[ $(du -sk "$W/two/cold" | cut -f1) -lt $((there - 7500)) ]]; }
cp "$M/main/tree/l3" "$W/l3"
rm "$M/main/tree/l3"
drain
wait_until room_came_back
cp "$W/l3" "$M/main/tree/l3"
touch -r "$W/l3" "$M/main/tree/l3"
drain
want=$(tree_digest "$M/main/tree")

claim "a sweep finds all of it, and a dry run says the same"
matches "$(t sweep --wait)" 'checked=[1-9][0-9]* .*lost=0'
matches "$(t sweep --dry-run --wait)" 'lost=0'

claim "the second disk is taken away: its files say EIO, all others are as ever"
sha256sum "$M"/main/tree/s* >"$W/sums"
detach two
sync "$M/main/here"
errors() { [[ $(errno_of 'open(argv[0], "rb").read()' "$M/main/tree/$1") == EIO ]]; }
gone() { echo 3 >/proc/sys/vm/drop_caches && errors s200 && errors l2; }
wait_until gone
eq "$(cat "$M/main/here")" here
echo new >"$M/main/new"
cp "$W/l3" "$M/main/l3.again"
sync "$M/main/new"
drain
cmp "$W/l3" "$M/main/l3.again"
shard_is 1 unreachable
matches "$(t sweep --wait)" 'purged=0 .*lost=0'
t branch main away >/dev/null
rm "$M/away/tree/l1" "$M/main/tree/s300"
drain
t drop away >/dev/null
may_log 'shard 1'

claim "the mount point below is never written to"
eq "$(names "$W/two")" ""
fails t move main/l3.again 1 --wait
eq "$(names "$W/two")" ""

claim "it comes back, and all is well by itself"
attach two
rm "$M/main/l3.again" "$M/main/new"
sed -i '/s300$/d' "$W/sums"
healed() { sha256sum --quiet -c "$W/sums" >/dev/null 2>&1 && shard_is 1 ok; }
wait_until healed
want=$(tree_digest "$M/main/tree")

claim "mounted without it, the store is there, and so are its other files"
unmount_store
umount "$W/two"
mount_store
eq "$(cat "$M/main/here")" here
errors s100
errors l1
eq "$(find "$M/main/tree" -type f | wc -l)" 302
attach two
wait_until same_tree

claim "another disk in its place is recognised, and never written to"
unmount_store
umount "$W/two"
disk three 20M
umount "$W/three"
other=$W/other
"$TALLY" init --label test/other "$W/other.store"
mkdir -p "$other"
"$TALLY" mount -f "$W/other.store" "$other" </dev/null >>"$W/log" 2>&1 &
other_daemon=$!
pids+=("$other_daemon")
wait_until mountpoint -q "$other"
mount "${loop[three]}" "$W/two"
mkdir "$W/two/cold"
"$TALLY" -C "$other" shard add 1 "dir:$W/two/cold" >/dev/null
"$TALLY" umount "$other"
wait "$other_daemon"
swapped=$(cd "$W/two" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
mount_store
errors s100
fails t move main/here 1 --wait
shard_is 1 wrong
matches "$(t sweep --wait)" 'purged=0 .*lost=0'
t gc --grace 0s --wait >/dev/null
eq "$(cd "$W/two" && find . -type f -print0 | sort -z | xargs -0 sha256sum)" "$swapped"
detach two
attach two
wait_until same_tree

claim "read-only, it is read, and what is to go there stays here"
mount -o remount,ro "$W/two"
same_tree
fails t move main/here 1 --wait
matches "$(cat "$W/said")" 'is readonly'
eq "$(cat "$M/main/here")" here
rm "$M/main/tree/s299"
drain
want=$(tree_digest "$M/main/tree")
shard_is 1 readonly
mount -o remount,rw "$W/two"
wait_until shard_is 1 ok
same_tree

claim "a full one takes what there is room for, and nothing is lost"
mount "${loop[three]}" "$W/three"
rm -rf "$W/three/cold"
mkdir "$W/three/cold"
t shard add 2 "dir:$W/three/cold" >/dev/null
fails t move main/tree 2 --wait
matches "$(cat "$W/said")" 'is full'
same_tree
may_log 'shard 2|No space'

claim "drained, nothing lives there, and it can be removed"
fails t shard remove 2
t shard drain 2 --wait >/dev/null
cycles
same_tree
eq "$(bytes_there "$W/three")" 0
t shard remove 2 >/dev/null
eq "$(names "$W/three")" "cold lost+found "

claim "killed in the middle of moves and recalls, everything is there once"
drain
begun=$(available "$W/one")
for ((i = 1; i <= kills; i++)); do
    t move main/tree 1 >/dev/null
    sleep "0.$((i * 37 % 10 / 2))"
    kill_daemon
    mount_store
    same_tree
    t recall main/tree >/dev/null
    sleep "0.$((i * 53 % 10 / 2))"
    kill_daemon
    mount_store
    same_tree
done
t recall main/tree --wait >/dev/null
cycles
same_tree
eq "$(bytes_there "$W/two")" 0 "on the shard, when all is home"
t move main/tree 1 --wait >/dev/null
cycles
same_tree
[[ $(available "$W/one") -ge $((begun - 2000)) ]] || fail "room is missing here"
unmount_store
check_clean
if grep -q leak "$W/check"; then fail "$(cat "$W/check")"; fi

claim "a copy of the store: the second one is told, and writes nothing there"
cp -a "$S" "$W/one/copy"
mount_store
t move main/here 1 --wait >/dev/null
drain
held=$(cd "$W/two" && find . -type f | sort)
S2=$W/one/copy M2=$W/mnt2
mkdir "$M2"
"$TALLY" mount -f "$S2" "$M2" </dev/null >>"$W/log" 2>&1 &
second=$!
pids+=("$second")
wait_until mountpoint -q "$M2"
eq "$(tree_digest "$M2/main/tree")" "$want"
"$TALLY" -C "$M2" recall main/tree/l2 main/tree/s7 --wait >/dev/null
eq "$(tree_digest "$M2/main/tree")" "$want"
rm -r "$M2/main/tree"
"$TALLY" -C "$M2" drain >/dev/null
"$TALLY" -C "$M2" gc --grace 0s --wait >/dev/null
"$TALLY" -C "$M2" gc --grace 0s --wait >/dev/null
"$TALLY" -C "$M2" shard list | grep -q foreign
eq "$(cd "$W/two" && find . -type f | sort)" "$held"
same_tree
"$TALLY" umount "$M2"
wait "$second"

claim "all comes home, and the shard is one no more"
t recall main/tree main/here --wait >/dev/null
drain
same_tree
t shard drain 1 --wait >/dev/null
cycles
t shard remove 1 >/dev/null
eq "$(find "$W/two/cold" -type f 2>/dev/null | wc -l)" 0
finish
