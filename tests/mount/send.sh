#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# send and receive: namespaces go from one store to another, whole, as differences, and interrupted.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs setfattr setfacl setpriv
begin
cd "$W"
M2=$W/mnt2
mkdir "$M2"
"$TALLY" mount -f --create "$W/store2" "$M2" </dev/null >>"$W/log" 2>&1 &
pids+=($!)
second=$!
wait_until mountpoint -q "$M2"
t() { "$TALLY" -C "$M" "$@"; }
u() { "$TALLY" -C "$M2" "$@"; }
# What stat and the attributes say of each file of a tree; times with ns.
describe() (
    cd "$1"
    find . -printf '%P %y %m %U %G %n %T@ %l ' \( -type f -printf '%s' -o -true \) -printf '\n' | sort
    getfattr -R -h -d -m '^(user|security|trusted)\.|^system' . 2>/dev/null | sort
    find . -mindepth 1 ! -type l -print0 | sort -z | xargs -0r getfacl -n -p
)
digest_of() { # STORE'S-FUNCTION NS
    local said
    said=$("$1" digest "$2" --wait)
    said=${said#digest=}
    echo "${said%% *}"
}
same_tree() { # of the first store, and of the second
    diff <(describe "$M/$1") <(describe "$M2/$2") >"$W/differ" || fail "$1 and $2: $(head -5 "$W/differ")"
    eq "$(tree_digest "$M/$1")" "$(tree_digest "$M2/$2")"
    eq "$(digest_of t "$1")" "$(digest_of u "$2")"
}
word() { # KEY TEXT
    sed -nE "s/(^|.* )$1=([^ ]*).*/\\2/p" <<<"$2"
}

cd "$M/main"
mkdir -p dir/sub empty moved/deep
echo some text >dir/file
head -c 300000 /dev/urandom >dir/large
head -c 5000000 /dev/urandom >larger
cp dir/large copy
ln dir/file hard
ln dir/file dir/sub/harder
ln -s dir/file soft
ln -s /nowhere/at/all dangling
mkfifo pipe
mknod null c 1 3
mknod disk b 259 70000
touch -d '1999-12-31 12:00:00.123456789 UTC' dir/file
touch -d '1901-12-31 12:00:00 UTC' null
chmod 4751 larger
chmod 1777 empty
chown 12345:54321 dir/file empty
chown -h 7:8 soft
truncate -s 9M sparse
printf 'in between' | dd of=sparse bs=1 seek=4000000 conv=notrunc status=none
truncate -s 1M hole
setfattr -n user.short -v value dir/file
setfattr -n user.long -v "$(head -c 3000 /dev/zero | tr '\0' x)" dir
setfattr -n trusted.some -v thing dir/file
setfacl -m u:5:r,g:6:rw dir/large
setfacl -d -m u:5:r dir
python3 - <<'END2'
import os
for name in b"\xff\xfe\x80", b"n" * 255, b"a\nb", b" ", b"...", b"-rf", b"*":
    open(b"moved/deep/" + name, "wb").write(name)
END2
touch -d '2020-02-02 02:02:02.020202020' dir .
cd "$W"

claim "a namespace comes as it is: types, modes, owners, times, links, holes, attributes, ACLs, names"
t snapshot main one >/dev/null
said=$(t send main@one --to whole)
eq "$(word digest "$said")" "$(digest_of t main@one)"
said=$(u receive first --from whole)
matches "$said" '^ns=first inodes=[0-9]+ files=[0-9]+ bytes=[0-9]+ stored=[0-9]+ seq=[0-9]+ digest=[0-9a-f]{64} arrived=[0-9]+$'
same_tree main first
[[ $(stat -c %b "$M2/first/sparse") -lt 64 ]]
eq "$(stat -c %b "$M2/first/hole")" 0

claim "a content that several files have is in the stream once"
[[ $(stat -c %s whole) -lt 5400000 ]] || fail "$(stat -c %s whole) bytes"

claim "what is received stays the base of the next difference, also when it is changed afterwards"
eq "$(names "$M2/.tally/snapshots/first")" "received "
rm -r "$M2/first/dir"

claim "a difference brings what was changed, and no more bytes than that"
cd "$M/main"
echo other text >dir/file
mv moved other
mv other/deep deeper
cp larger other/copy-of-larger
printf patch | dd of=larger bs=1 seek=2500000 conv=notrunc status=none
rm copy pipe
rmdir empty
ln dir/large another-name
mkdir new
echo new >new/file
setfattr -x user.long dir
setfattr -n user.second -v 2 dir
setfacl -b dir/large
chown 9 null
mv dangling was-dangling
mv soft dangling
mv was-dangling soft
cd "$W"
t snapshot main two >/dev/null
said=$(t send main@one..two --to difference)
[[ $(word bytes "$said") -lt 20000 ]] || fail "$said"
u receive second --from difference >/dev/null
same_tree main second

claim "a difference up to now, through a pipe"
echo newer >"$M/main/new/file"
t send main@two.. | u receive third >/dev/null
same_tree main third

claim "a difference whose base is not here is refused with its digest, and nothing is there"
before=$(names "$M2")
t snapshot main three >/dev/null
echo newest >"$M/main/new/file"
t send main@three.. --to later >/dev/null
touch "$M/main"
t snapshot main four >/dev/null
echo last >"$M/main/new/file"
t send main@four.. --to latest >/dev/null
fails u receive refused --from latest
matches "$(cat said)" "has the digest of its base, $(digest_of t main@four)"
fails u receive refused --from latest --base first
matches "$(cat said)" "first has the digest [0-9a-f]{64}, and the base of the stream $(digest_of t main@four)"
fails u receive refused --from latest --base nowhere
eq "$(names "$M2")" "$before"

claim "--base names one that has the digest"
u receive by-name --from later --base third@received >/dev/null
eq "$(cat "$M2/by-name/new/file")" newest

claim "the other side says what it has, and that is not sent"
u receive --have >have
matches "$(cat have)" "digest $(digest_of t main@two) second@received"
said=$(t send main --have have --to small)
[[ $(word bytes "$said") -lt 5000 ]] || fail "$said"
u receive fourth --from small >/dev/null
same_tree main fourth

claim "what arrived of an interrupted stream is not sent again"
mkdir "$M/mass"
head -c 20000000 /dev/urandom >"$M/mass/a"
for i in {1..500}; do echo "$i" >"$M/mass/f$i"; done
t snapshot mass one >/dev/null
all=$(word bytes "$(t send mass@one --to all)")
fails u receive mass --from <(head -c 15000000 all)
matches "$(cat said)" 'the stream ended too early; what arrived is kept for an hour'
[[ ! -e $M2/mass ]] || fail "a part of it is seen"
u receive --have >have
matches "$(grep ^partial have)" '^partial mass [0-9]+ [0-9a-f]{16} "mass@one '
taken=$(sed -n 's/^partial mass \([0-9]*\) .*/\1/p' have)
[[ $taken -gt 13000000 && $taken -le 15000000 ]]
said=$(t send mass@one --have have --to rest)
eq "$(word skipped "$said")" "$taken"
eq "$(word bytes "$said")" $((all - taken + 24))
said=$(u receive mass --from rest --json)
same_tree mass mass
eq "$(u receive --have | grep -c ^partial || true)" 0

claim "the rest of what is not kept any more is refused, and so is a stream that is damaged or none"
fails u receive again --from rest
matches "$(cat said)" 'not kept any more: send it from the beginning'
fails u receive again --from have
matches "$(cat said)" 'the stream is damaged'
python3 - <<'END2'
data = bytearray(open("all", "rb").read())
data[1000] ^= 1
open("damaged", "wb").write(data)
END2
fails u receive again --from damaged
matches "$(cat said)" 'the stream is damaged'
fails u receive first --from all
matches "$(cat said)" 'first exists already'
[[ ! -e $M2/again ]]

claim "what arrived is given up by a cancel, by a new beginning, and by the end of the mount"
fails u receive again --from <(head -c 9000000 all)
u cancel "$(grep -l '^verb=keep' "$M2"/.tally/jobs/* | xargs -n1 basename | tail -1)" >/dev/null
wait_until eval '! u receive --have | grep -q ^partial'
fails u receive again --from <(head -c 9000000 all)
u receive again --from all >/dev/null
eq "$(u receive --have | grep -c ^partial || true)" 0
fails u receive rest --from <(head -c 9000000 all)

claim "a stream of import is none of send, and the other way round"
tar -C "$M/mass" -cf mass.tar f1
fails u import whole imported
matches "$(cat said)" 'archive'
fails t send nowhere --to none
matches "$(cat said)" 'there is no namespace nowhere'
fails t send main@nothing..two --to none
[[ ! -e none ]]

claim "an ordinary user may not read a namespace so"
fails setpriv --reuid 54321 --clear-groups "$TALLY" -C "$M" send main
matches "$(cat said)" 'export: Permission denied'

claim "both stores are sound, also after another mount"
"$TALLY" umount "$M2"
wait "$second"
"$TALLY" check "$W/store2" >/dev/null
"$TALLY" mount -f "$W/store2" "$M2" </dev/null >>"$W/log" 2>&1 &
pids+=($!)
second=$!
wait_until mountpoint -q "$M2"
same_tree mass mass
matches "$(u receive --have)" 'mass@received'
"$TALLY" umount "$M2"
wait "$second"
finish
