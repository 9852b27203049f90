#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One sum of a tree: equal for a copy in another store, and another one for each thing that enters.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs setfacl setfattr setcap tar
cd "$M"
t() { "$TALLY" -C "$M" "$@"; }
sum() { t digest --wait "$1" | sed -n 's/^digest=\([0-9a-f]\{64\}\).*/\1/p'; }
walked() { "${test_file%/*}/digest.py" "$1"; }
mkdir -p main/d/e "main/a-b" main/a main/empty
for i in {1..300}; do echo "$i" >"main/d/$i"; done
echo x >main/a/x
head -c 3000000 /dev/urandom >main/large
truncate -s 5M main/holes
printf end | dd of=main/holes bs=1 seek=2000000 conv=notrunc status=none
: >main/nothing
ln main/d/1 main/zz-hard
ln main/d/1 main/d/0-hard
ln -s d/2 main/soft
ln main/soft main/soft2
mkfifo main/fifo
mknod main/null c 1 3
mknod main/block b 259 70000
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("main/socket")'
touch $'main/\xff\n"'
setfattr -n user.colour -v red main/d
setfattr -n trusted.t -v 1 main/large
setfattr -n user.b -v 2 main/large
setfattr -n user.a -v 1 main/large
setfacl -m u:1000:r main/large
setfacl -d -m g:1000:rx main/d
cp /bin/true main/program
setcap cap_net_raw+ep main/program
chmod 4750 main/d/5
chown 1000:2000 main/d/6
touch -d '1969-12-31 23:59:58.5' main/d/7
touch -h -d '2001-02-03 04:05:06.789' main/soft

claim "a program that walks the mount, and knows only the words of the header, gets the same sum"
want=$(sum main)
matches "$want" '^[0-9a-f]{64}$'
eq "$(walked main)" "$want"
eq "$(sum main/d)" "$(walked main/d)"
for f in large holes nothing soft fifo null program; do
    eq "$(sum "main/$f")" "$(walked "main/$f")" "$f"
done

claim "it says how much it has read, and is a job"
matches "$(t digest --wait main)" "^digest=$want inodes=[0-9]+ bytes=[0-9]+ job=[0-9]+$"
eq "$(t digest --wait main | sed 's/.*inodes=\([0-9]*\).*/\1/')" \
    "$(find main -printf '%i\n' | sort -u | wc -l)"
matches "$(t digest main)" '^job=[0-9]+$'
matches "$(ctl 'digest main wait\n')" "OK"$'\n'"ok digest=$want inodes="

claim "reading changes nothing: the sum, the access times and the last change of the namespace stay"
touch -a -d 2001-01-01 main/large main/d
at=$(stat -c %X main/large main/d)
seq=$(cat .tally/namespaces/main/seq)
eq "$(sum main)" "$want"
eq "$(cat .tally/namespaces/main/seq)" "$seq"
eq "$(stat -c %X main/large main/d)" "$at"

claim "a snapshot, a branch, and a tree under another name have the sum"
t snapshot main s >/dev/null
t branch main dev >/dev/null
eq "$(sum main@s)" "$want"
eq "$(sum main@s/d)" "$(sum main/d)"
eq "$(sum dev)" "$want"
mv dev other
eq "$(sum other)" "$want"
eq "$(walked .tally/snapshots/main/s)" "$want"

claim "each single thing that enters gives another sum, and taking it back the first"
differs_by() { # WHAT, COMMAND, UNDO - the times of what is around stay
    eval "$2"
    [[ $(sum other) != "$want" ]] || fail "$1 does not enter"
    eq "$(sum other)" "$(walked other)" "$1"
    eval "$3"
    eq "$(sum other)" "$want" "$1"
}
keep_time() { # FILE COMMAND…
    local time
    time=$(stat -c %.9Y "$1")
    "${@:2}"
    touch -h -d "@$time" "$1"
}
differs_by "a mode" "chmod 600 other/d/9" "chmod 644 other/d/9"
differs_by "a set-id bit" "chmod 750 other/d/5" "chmod 4750 other/d/5"
differs_by "an owner" "chown 7 other/d/9" "chown 0 other/d/9"
differs_by "a group" "chgrp 7 other/d/9" "chgrp 0 other/d/9"
differs_by "an attribute" "setfattr -n user.x -v 1 other/d/9" "setfattr -x user.x other/d/9"
differs_by "the value of an attribute" "setfattr -n user.a -v 3 other/large" \
    "setfattr -n user.a -v 1 other/large"
differs_by "an ACL" "setfacl -m u:1000:rw other/large" "setfacl -m u:1000:r other/large"
differs_by "a capability" "setcap cap_chown+ep other/program" "setcap cap_net_raw+ep other/program"
keep=$(stat -c %.9Y other/d/9)
differs_by "a time of change" "touch -d '2001-01-01 00:00:00.000000001' other/d/9" \
    "touch -d @$keep other/d/9"
differs_by "one byte" "keep_time other/d/9 sh -c 'echo 8 >other/d/9'" \
    "keep_time other/d/9 sh -c 'echo 9 >other/d/9'"
differs_by "a zero more at the end" "keep_time other/holes truncate -s 5242881 other/holes" \
    "keep_time other/holes truncate -s 5M other/holes"
differs_by "a name" "keep_time other/d mv other/d/9 other/d/9x" "keep_time other/d mv other/d/9x other/d/9"
differs_by "a name less" "keep_time other rm other/zz-hard" "keep_time other ln other/d/1 other/zz-hard"
copy_of_hard() { rm other/zz-hard && cp -a other/d/1 other/zz-hard; }
link_of_hard() { ln -f other/d/1 other/zz-hard; }
differs_by "that two names are of one file" "keep_time other copy_of_hard" "keep_time other link_of_hard"
keep=$(stat -c %.9Y other/soft)
relink() { ln -sfn "$1" other/soft && touch -h -d "@$keep" other/soft && ln -f other/soft other/soft2; }
differs_by "the target of a symlink" "keep_time other relink d/3" "keep_time other relink d/2"

claim "what does not enter does not: holes or zeros, inode numbers, how bytes are stored, access times"
keep_time other/holes cp --sparse=never other/holes "$W/zeros"
keep_time other/holes sh -c "cat '$W/zeros' >other/holes"
drain
touch -a other/d/9
eq "$(sum other)" "$want"

claim "cp -a and tar into another store give the same sum there"
packed=$W/packed.tar
tar -C main --format=posix --xattrs --xattrs-include='*' --acls -cf "$packed" --exclude=socket .
keep_time main rm main/socket
want=$(sum main)
here=$M first=$daemon
cd "$W"
M=$W/mnt2 S=$W/store2
"$TALLY" init --label other/store "$S"
mount_store
mkdir "$M/unpacked"
cp -a "$here/main/." "$M/main"
tar -C "$M/unpacked" --xattrs --xattrs-include='*' --acls --warning=no-timestamp -xf "$packed"
touch -d "@$(stat -c %.9Y "$here/main")" "$M/unpacked"
eq "$(sum main)" "$want"
eq "$(sum unpacked)" "$want"
cd /
unmount_store
check_clean
M=$here S=$W/store daemon=$first

claim "what is not there is named"
cd "$M"
for what in nobody main/nobody nobody/main main@nobody main/large/x; do
    eq "$(first_line "$(ctl "digest $what\n")")" ENOENT "$what"
done
eq "$(first_line "$(ctl 'digest main/../x\n')")" EINVAL
eq "$(first_line "$(ctl 'digest\n')")" EINVAL

finish
