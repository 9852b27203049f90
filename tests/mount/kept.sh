#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a person does with branches: look at them, bring them back, take them back; and what is kept.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
keeps=yes # read by lib.sh
tally() { "$TALLY" "$@"; }
begin
cd "$M"

claim "a branch is compared, committed, and the commit undone and done again"
mkdir main/src
echo one >main/src/a
tally branch main try >/dev/null
echo two >try/src/a
echo new >try/src/b
eq "$(tally diff try | tr '\t\n' '  ')" "M src/a A src/b "
matches "$(tally diff --patch try)" "[+]two"
matches "$(tally commit try)" "into=main seq="
eq "$(cat main/src/a main/src/b | tr '\n' ' ')" "two new "
echo later >main/src/c
tally undo main >/dev/null
eq "$(cat main/src/* | tr '\n' ' ')" "one later "
tally redo main >/dev/null
eq "$(cat main/src/* | tr '\n' ' ')" "two new later "

claim "the kernel forgets what it knew of names and bytes that a commit changed"
echo three >try/src/a
rm try/src/b
mkdir try/dir
echo x >try/dir/x
cat main/src/a main/src/b >/dev/null
fails ls main/dir
tally commit try >"$W/out" || { cat "$W/out"; false; }
eq "$(cat main/src/a)" three
fails cat main/src/b
eq "$(cat main/dir/x)" x
eq "$(stat -c %s main/src/a)" 6

claim "a shell that stands in a directory of the origin goes on there"
cd main/dir
echo y >"$M/try/dir/y"
tally commit try >"$W/out" || { cat "$W/out"; false; }
eq "$(ls | tr '\n' ' ')" "x y "
cd "$M"

claim "a conflict changes nothing, is listed, and the exit code is 1"
echo ours >main/src/a
echo theirs >try/src/a
fails tally commit try
matches "$(cat "$W/said")" "content path=src/a"
matches "$(cat "$W/said")" "1 conflict; nothing was changed"
eq "$(cat main/src/a)" ours
tally commit --conflicts theirs try >/dev/null
eq "$(cat main/src/a)" theirs

claim "a namespace that was dropped comes back as it was"
node=$(stat -c %i try/src/a)
matches "$(tally drop try)" "kept=try@dropped-"
fails ls try
matches "$(tally trash list)" "dropped=1"
tally undrop try >/dev/null
eq "$(stat -c %i try/src/a)" "$node"
eq "$(cat try/src/a)" theirs

claim "a drop says how many paths are in no other namespace, and so does the trash"
mkdir try/own
echo x >try/own/x
echo y >try/own/y
matches "$(tally drop try)" " only_here=3$"
matches "$(tally trash list)" "try@dropped-[^|]* only_here=3"
tally undrop try >/dev/null
tally branch try other >/dev/null
matches "$(tally drop --json try | tr -d ' ')" '"only_here":0'
tally undrop try >/dev/null
tally drop --now other >/dev/null
rm -r try/own

claim "a file that was open goes on to be read while its namespace is in the trash"
exec 4<try/src/a
fails tally drop try
tally drop --force try >/dev/null
eq "$(cat <&4)" theirs
exec 4<&-
tally undrop --as again try >/dev/null
eq "$(cat again/src/a)" theirs

claim "a snapshot is read as NS@NAME, and a branch of it is what it was"
tally snapshot main v1 >/dev/null
echo four >main/src/a
tally branch main@v1 old >/dev/null
eq "$(cat old/src/a)" theirs
matches "$(tally diff main@v1 main)" "src/a"
tally hold main@v1
fails tally drop main@v1
tally unhold main@v1
tally drop main@v1 >/dev/null

claim "drop --now deletes, and so does an empty trash"
head -c 300000 /dev/urandom >again/big
tally drop --now again >/dev/null
tally drop old >/dev/null
matches "$(tally trash empty)" "dropped=1 busy=0"
tally drain >/dev/null
matches "$(tally trash list)" "dropped=0"

claim "df counts what only the trash holds as free, and a shorter time says what will go"
tally set flush_interval 100ms >/dev/null
head -c 3000000 /dev/urandom >main/src/large
tally branch main heavy >/dev/null
head -c 3000000 /dev/urandom >heavy/src/heavy
tally drain >/dev/null
tally drop heavy >/dev/null
is_weighed() { echo x >main/src/x; tally trash list | grep -q 'trash_frees=3000000 weighed=2'; }
wait_until is_weighed
matches "$(tally du)" " trash_frees=3000000"
matches "$(tally status)" "kept .*trash_frees=3000000"
matches "$(tally set trash_keep 2d)" "trash_keep=2d due=0$"
tally set flush_interval 1h >/dev/null
matches "$(tally set trash_keep 0)" "due=[1-9]"
tally set trash_keep 1d >/dev/null
tally undrop heavy >/dev/null
matches "$(tally du)" " trash_frees=0"
tally drop --now heavy >/dev/null
rm main/src/large main/src/x
tally set flush_interval 5s >/dev/null

claim "rmdir of an empty namespace keeps nothing"
mkdir gone
rmdir gone
matches "$(tally trash list)" "dropped=0"

claim "all of it is there after the daemon was killed"
tally branch main last >/dev/null
echo last >last/src/a
tally snapshot main v2 >/dev/null
tally drop last >/dev/null
cd /
kill_daemon
mount_store
cd "$M"
tally undrop last >/dev/null
eq "$(cat last/src/a)" last
matches "$(tally snapshot list main)" "main@v2"
matches "$(tally commit last)" "into=main"
eq "$(cat main/src/a)" last

claim "a commit of many files has what others wrote meanwhile, also after the daemon was killed"
tally branch main many >/dev/null
mkdir many/m main/beside
for ((i = 0; i < 6000; i++)); do
    echo "$i" >"many/m/$i"
done
echo many >many/src/a
cat main/src/a >/dev/null
tally commit many >"$W/out" &
commit=$!
made=0
until ended "$commit"; do
    echo "$made" >"main/beside/$made"
    made=$((made + 1))
done
wait "$commit" || { cat "$W/out"; false; }
matches "$(<"$W/out")" "into=main seq=.* names=6001 inodes=600[1-9]"
eq "$(cat main/src/a)" many
for round in before after; do
    eq "$(find main/m -type f | wc -l)" 6000
    eq "$(cat main/m/5999 main/src/a | tr '\n' ' ')" "5999 many "
    for ((i = 0; i < made; i++)); do
        eq "$(<"main/beside/$i")" "$i"
    done
    [[ $round == before ]] || break
    cd /
    kill_daemon
    mount_store
    cd "$M"
done
tally undo main >/dev/null
fails ls main/m
eq "$(cat main/src/a main/beside/0 | tr '\n' ' ')" "last 0 "
finish
