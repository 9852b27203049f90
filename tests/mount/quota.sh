#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The limits of a namespace, for ordinary tools: how many bytes and files it may have. (What a disk
# refuses, also by a quota of a user there, is in disk_quota.sh and users_quota.sh.)
keeps=yes
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs dd fallocate
begin

t() { "$TALLY" -C "$M" "$@"; }
MIB=1048576
# usage NAME KEY - a number of .tally/namespaces/NAME/usage.
usage() { sed -n "s/^$2=//p" "$M/.tally/namespaces/$1/usage"; }
# used NAME - bytes, with those of deleted files that are open; files NAME likewise.
used() { echo $(($(usage "$1" bytes) + $(usage "$1" unlinked_bytes))); }
files() { echo $(($(usage "$1" inodes) + $(usage "$1" unlinked_inodes))); }
limit() { t set "ns:$1.$2" "$3" >/dev/null; }

claim "a limit is a setting, and is shown beside what is used"
mkdir "$M/q"
limit q quota 4M
limit q quota_files 20
eq "$(t get ns:q.quota | grep -o 'ns:q.quota=[^ ]*')" ns:q.quota=4M
eq "$(usage q quota)" $((4 * MIB))
eq "$(usage q quota_files)" 20
eq "$(usage main quota)" off
cd "$M/q"

claim "dd writes up to the limit, and is told when it is there"
fails dd if=/dev/zero of=big bs=64K count=128 status=none
matches "$(<"$W/said")" 'Disk quota exceeded'
eq "$(used q)" $((4 * MIB))
eq "$(stat -c %s big)" $((4 * MIB))
eq "$(errno_of 'os.write(os.open(argv[0], os.O_WRONLY | os.O_APPEND), b"x")' big)" EDQUOT
dd if=/dev/zero of=big bs=64K count=8 conv=notrunc status=none # writing over is no growth

claim "copies and links from elsewhere are refused, and leave no file"
head -c 2M /dev/urandom >"$M/main/source"
sync "$M/main/source"
fails ln "$M/main/source" linked
matches "$(<"$W/said")" 'Disk quota exceeded'
[[ ! -e linked ]]
fails cp "$M/main/source" copied
rm -f copied
rm big
ln "$M/main/source" linked
eq "$(used q)" $((2 * MIB))
cp linked copied
eq "$(used q)" $((4 * MIB))
fails cp linked again
rm again copied

claim "fallocate says whether there is room"
touch f
fails fallocate -l 3M f
matches "$(<"$W/said")" 'Disk quota exceeded'
fallocate -l 2M f
rm f

claim "df shows the limit as the size, and what is left of it as free"
df -k --output=size,used,avail . | tail -1 >"$W/df"
read -r size taken free <"$W/df"
eq "$size $taken $free" "4096 2048 2048"
df --output=itotal,iavail . | tail -1 >"$W/df"
read -r size free <"$W/df"
eq "$size $free" "20 18"
[[ $(df -k --output=size "$M/main" | tail -1) -ne 4096 ]]

claim "a deleted file counts while it is open"
dd if=/dev/zero of=gone bs=1M count=2 status=none
exec 8<gone
rm gone
eq "$(used q)" $((4 * MIB))
eq "$(usage q unlinked_bytes)" $((2 * MIB))
fails dd if=/dev/zero of=more bs=4K count=1 status=none
rm more
exec 8<&-
freed() { [[ $(used q) -eq $((2 * MIB)) ]]; } # the kernel reports a close after close(2)
wait_until freed

claim "a file without a name counts, and so does what is written to it"
eq "$(errno_of '
fd = os.open(argv[0], os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(fd, b"x" * (2 << 20))
os.write(fd, b"x")' .)" EDQUOT
wait_until freed

claim "what a mapping adds is refused when it is written back"
eq "$(errno_of '
fd = os.open(argv[0], os.O_CREAT | os.O_RDWR, 0o600)
os.ftruncate(fd, 4 << 20)
m = mmap.mmap(fd, 4 << 20)
for at in range(0, 4 << 20, 4096):
    m[at] = 1
os.fsync(fd)' mapped)" EDQUOT
[[ $(used q) -le $((4 * MIB)) ]]
rm mapped
wait_until freed

claim "as many files, directories and links can be made as the limit allows"
eq "$(files q)" 2
for i in {1..6}; do
    touch "f$i"
    mkdir "d$i"
    ln -s to "l$i"
done
eq "$(files q)" 20
eq "$(errno_of 'os.mkdir("no")')" EDQUOT
eq "$(errno_of 'os.symlink("to", "no")')" EDQUOT
eq "$(errno_of 'os.mkfifo("no")')" EDQUOT
eq "$(errno_of 'os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)')" EDQUOT
ln f1 f1.again # no new inode
mv f2 f2.again
rm -r d? l? f*
limit q quota_files off

claim "several processes that write at once do not exceed it together, and reach it exactly"
for i in {1..6}; do
    dd if=/dev/zero of="race$i" bs=4K count=1000 status=none 2>/dev/null &
    racers[i]=$!
done
refused=0
for i in {1..6}; do
    wait "${racers[i]}" || refused=$((refused + 1))
done
[[ $refused -ge 5 ]]
eq "$(used q)" $((4 * MIB))
rm race?

claim "a limit that is lowered or raised counts at once"
limit q quota 1M
eq "$(used q)" $((2 * MIB))
fails dd if=/dev/zero of=small bs=4K count=1 status=none
rm small
truncate -s 512K linked
dd if=/dev/zero of=small bs=4K count=1 status=none
limit q quota 8M
dd if=/dev/zero of=big bs=1M count=7 status=none
rm big small
df -k --output=size . | tail -1 >"$W/df"
eq "$(tr -d ' ' <"$W/df")" 8192

claim "where the namespace alone is mounted it is the same"
mkdir "$W/alone"
"$TALLY" mount -o ns=q "$S" "$W/alone"
df -k --output=size "$W/alone" | tail -1 >"$W/df"
eq "$(tr -d ' ' <"$W/df")" 8192
fails dd if=/dev/zero of="$W/alone/big" bs=1M count=9 status=none
eq "$(used q)" $((8 * MIB))
rm "$W/alone/big"
"$TALLY" umount "$W/alone"

claim "a branch begins with what its origin takes, and with its limits"
dd if=/dev/zero of=big bs=1M count=2 status=none
cd /
t branch q q2 >/dev/null
eq "$(used q2)" "$(used q)"
eq "$(usage q2 quota)" $((8 * MIB))
fails dd if=/dev/zero of="$M/q2/much" bs=1M count=7 status=none
rm "$M/q2/much"

claim "a commit that would exceed it is refused in words, and changes nothing"
limit q2 quota off
dd if=/dev/urandom of="$M/q2/much" bs=1M count=7 status=none
before=$(tree_digest "$M/q") bytes=$(used q)
fails "$TALLY" -C "$M" commit q2
matches "$(<"$W/said")" "q would have [0-9]+ bytes, and its quota is 8M; nothing was changed"
eq "$(tree_digest "$M/q") $(used q)" "$before $bytes"
limit q quota 10M
t commit q2 >/dev/null
eq "$(used q)" "$(used q2)"
t undo q >/dev/null
eq "$(used q)" "$bytes"
limit q quota 9M
fails "$TALLY" -C "$M" redo q
matches "$(<"$W/said")" "its quota is 9M"
eq "$(used q)" "$bytes"

claim "du dates what a drop would give back"
eq "$(usage q2 frees)" ""
t du q2 >/dev/null
matches "$(usage q2 frees)" '^[0-9]+$'
matches "$(usage q2 frees_at)" '^20..-..-..T'

claim "status, stats.json and metrics show limits"
limit q quota $((bytes + 1))
matches "$(t status --porcelain)" "name=q [^"$'\n'"]*bytes=$bytes quota=$((bytes + 1)) nearly_full=1"
matches "$(<"$M/.tally/metrics")" "tallyfs_namespace_quota_bytes\{namespace=\"q\"\} $((bytes + 1))"
python3 -IS -c '
import json, sys
s = json.load(open(sys.argv[1]))
assert s["namespace_used_bytes"] == {"q": int(sys.argv[2])}, s["namespace_used_bytes"]' "$M/.tally/stats.json" "$bytes"

claim "the same numbers are there after an unmount, and after the death of the daemon"
limit q quota 9M
numbers=$(cat "$M"/.tally/namespaces/{q,q2}/usage | grep -v '^frees')
unmount_store
mount_store
eq "$(cat "$M"/.tally/namespaces/{q,q2}/usage)" "$numbers"
exec 8>"$M/q/open"
dd if=/dev/zero bs=1M count=1 status=none >&8
rm "$M/q/open"
kill_daemon
exec 8>&-
mount_store
eq "$(cat "$M"/.tally/namespaces/{q,q2}/usage)" "$numbers"
fails dd if=/dev/zero of="$M/q/big2" bs=1M count=9 status=none
eq "$(used q)" $((9 * MIB))
finish
