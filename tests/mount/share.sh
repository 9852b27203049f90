#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies share: what cp and copy_file_range write to the store's disk.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs du
cd "$M"
kib() { store_kib; }
t() { "$TALLY" -C "$M" "$@"; }
written() { awk '/^write_bytes/ { print $2 }' "/proc/$daemon/io"; }

claim "cp of 200 MB adds less than 1 MiB to the store, and writes as little"
head -c 200000000 /dev/urandom >main/a
drain
kib=$(kib) written=$(written)
cp main/a main/b
drain
[[ $(($(kib) - kib)) -lt 1024 ]] || fail "$(($(kib) - kib)) KiB more"
[[ $(($(written) - written)) -lt 1048576 ]] || fail "$(($(written) - written)) bytes written"
cmp main/a main/b
eq "$(find .tally/objects -type f -printf '%n ')" "2 "

claim "copy_file_range of a whole file, and across namespaces"
mkdir dev
python3 - <<'END'
import os
src = os.open("main/a", os.O_RDONLY)
dst = os.open("dev/c", os.O_CREAT | os.O_WRONLY)
left = os.fstat(src).st_size
while left > 0:
    n = os.copy_file_range(src, dst, left)
    assert n > 0
    left -= n
END
drain
[[ $(($(kib) - kib)) -lt 1024 ]]
cmp main/a dev/c
eq "$(find .tally/objects -type f -printf '%n ')" "3 "

claim "copy_file_range of parts, also unaligned and within one file, is right"
python3 - <<'END'
import os, random
rng = random.Random(3)
want = rng.randbytes(3000000)
open("main/p", "wb").write(want)
fd = os.open("main/p", os.O_RDWR)
want = bytearray(want)
for _ in range(60):
    n = rng.choice((1, 4096, 100000, 700000))
    a = rng.randrange(len(want) - n); b = rng.randrange(len(want) - n)
    if abs(a - b) < n:
        continue
    left, x, y = n, a, b
    while left:
        got = os.copy_file_range(fd, fd, left, x, y)
        assert got > 0
        left -= got; x += got; y += got
    want[b:b + n] = want[a:a + n]
assert os.pread(fd, 4000000, 0) == bytes(want)
assert os.copy_file_range(fd, fd, 100, 3000000, 0) == 0
END

claim "the copies part when one is changed"
want=$(digest main/a)
printf changed | dd of=main/b bs=1 seek=100000000 conv=notrunc status=none
eq "$(digest main/a)" "$want"
eq "$(digest dev/c)" "$want"
[[ $(digest main/b) != "$want" ]]
drain
[[ $(($(kib) - kib)) -lt 8192 ]] || fail "$(($(kib) - kib)) KiB more"

claim "the same bytes from outside become the same object; a copied tree is shared"
cp main/a "$W/a"
cat "$W/a" >dev/d
mkdir tree
for i in {1..200}; do echo "$i" >"tree/$i"; done
drain
kib=$(kib)
cp -a tree main/tree
drain
[[ $(($(kib) - kib)) -lt 512 ]] || fail "$(($(kib) - kib)) KiB more"
eq "$(tree_digest main/tree)" "$(tree_digest tree)"
eq "$(find .tally/objects -type f -size +150M -printf '%n ')" "4 " "a, c, d, and what b changed is laid over"

claim "tally du tells what a branch shares and what comes back with it, and that comes back"
object_bytes() { find .tally/objects -type f -printf '%s\n' | awk '{n += $1} END {print n + 0}'; }
mkdir base
head -c 3000000 /dev/urandom >base/large
echo small >base/small
t branch base twin >/dev/null
drain
eq "$(t du twin)" "ns=twin logical=3000006 shared=3000006 frees=0 tree=0"
head -c 1000000 /dev/urandom >twin/own
rm twin/large
drain
matches "$(t du twin/)" '^ns=twin logical=1000006 shared=6 frees=1000000 tree=[1-9][0-9]*$'
eq "$(t du | wc -l)" 6 "a line for each of five, after their number"
matches "$(t du --json base twin)" '"namespaces": 2'
matches "$(t du --json twin)" '"frees": 1000000'
bytes=$(object_bytes)
t drop twin >/dev/null
drain
eq "$(object_bytes)" "$((bytes - 1000000))"
eq "$(t du base)" "$(t du base | sed 's/shared=.* tree/shared=0 frees=3000006 tree/')" "all of it is its own again"
finish
