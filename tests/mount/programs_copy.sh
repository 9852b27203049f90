#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# rsync, cp, tar, cpio and zip onto a mount and off it again: hard links, symlinks, fifos, devices,
# sparse files, owners, modes, nanoseconds, extended attributes, ACLs; and a second rsync finds nothing to do.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs rsync cpio zip unzip setfattr setfacl
mkdir "$W/plain" "$W/back"

# A tree with one of everything.
plant() {
    mkdir -p "$1/d/empty" "$1/d/deep/er"
    cd "$1"
    local i
    for i in {1..300}; do echo "file $i" >"d/deep/f$i"; done
    head -c 3000000 /dev/urandom >large
    head -c 100000 /dev/urandom >d/middle
    : >nothing
    ln large d/hard
    ln d/deep/f1 hard1
    ln -s d/deep link
    ln -s /nowhere/at/all dangling
    ln -s "$(printf '%0200d' 7)" longlink
    mkfifo fifo
    mknod device c 1 3
    ln -s x ./-
    echo odd >"$(printf 'a \n\\"b\xff')"
    truncate -s 8M sparse
    echo middle | dd of=sparse bs=1M seek=4 conv=notrunc status=none
    chown 1000:2000 d/deep/f2
    chmod 4755 d/deep/f3
    chmod 0 d/deep/f4
    chmod 2775 d/empty
    chmod 1777 d/deep/er
    chown -h 5:6 link
    setfattr -n user.note -v "a note" d/middle
    setfattr -n trusted.note -v "another" d/empty
    setfacl -m u:1000:rw,g:2000:r d/deep/f6
    setfacl -d -m u:1000:rwx d/deep/er
    touch -d '2001-02-03 04:05:06.123456789' d/deep/f5
    touch -d '2003-03-03 03:03:03.000000003' large # rsync looks at seconds for what has changed
    touch -h -d '1999-12-31 23:59:59.987654321' link
    touch -h -d "2002-02-02 02:02:02.000000002" ./- device fifo longlink dangling d/empty d/deep/er d/deep d
}
# Everything of a tree that copying keeps (cpio and zip keep seconds only, zip no owners).
facts() {
    (cd "$1" && find . -mindepth 1 -printf "${2:-%P %y %n %s %m %U %G %T@ %l}\n" | sort)
}
tar() { command tar --format=posix "$@"; } # which keeps nanoseconds
# The same tree there and here, contents and all; $3: the format of facts.
same() {
    facts "$1" "${3:-}" >"$W/one"
    facts "$2" "${3:-}" >"$W/two"
    diff "$W/one" "$W/two"
    eq "$(tree_digest "$1")" "$(tree_digest "$2")"
}
# Extended attributes and ACLs.
more() {
    cd "$1"
    find . -print0 | sort -z | xargs -0 getfattr -h -d -m 'user|trusted' | sed '/^user\.tally/d'
    find . ! -type l -print0 | sort -z | xargs -0 getfacl -n -p
}
same_more() { diff <(more "$1") <(more "$2"); }
# Files that share an inode, as groups of names.
links() { (cd "$1" && find . -type f -links +1 -printf '%i %P\n' | sort | awk '{g[$1] = g[$1] " " $2} END {for (i in g) print g[i]}' | sort); }

(plant "$W/plain/t")
cd "$W"

claim "rsync -aHAX --sparse onto the mount: the same tree; a second one transfers nothing"
rsync -aHAX --sparse plain/t/ "$M/main/rsync/"
same plain/t "$M/main/rsync"
eq "$(links "$M/main/rsync")" "$(links plain/t)"
same_more plain/t "$M/main/rsync"
eq "$(rsync -aHAX --itemize-changes plain/t/ "$M/main/rsync/")" ""
eq "$(rsync -aHAX --checksum --itemize-changes plain/t/ "$M/main/rsync/")" ""

claim "rsync: one changed file is one transfer, --inplace and --delete, too; then nothing again"
echo more >>"$M/main/rsync/d/deep/f9"
touch "$M/main/rsync/extra"
eq "$(rsync -aHAX --delete --itemize-changes plain/t/ "$M/main/rsync/" | grep -avc '^\.d')" 2
printf X | dd of="$M/main/rsync/large" bs=1 seek=1500000 conv=notrunc status=none
rsync -aHAX --inplace --no-whole-file plain/t/ "$M/main/rsync/"
same plain/t "$M/main/rsync"
eq "$(rsync -aHAX --delete --itemize-changes plain/t/ "$M/main/rsync/")" ""

claim "rsync to a branch of the mount, and off the mount: nothing to do, and the same tree"
"$TALLY" -C "$M" branch main dev >/dev/null
eq "$(rsync -aHAX --delete --itemize-changes plain/t/ "$M/dev/rsync/")" ""
eq "$(rsync -aHAX --delete --itemize-changes "$M/main/rsync/" "$M/dev/rsync/")" ""
rsync -aHAX "$M/dev/rsync/" back/rsync/
same plain/t back/rsync

claim "cp -a onto the mount, within it and off it; hard links, sparse files and times are kept"
cp -a plain/t "$M/main/cp"
same plain/t "$M/main/cp"
eq "$(links "$M/main/cp")" "$(links plain/t)"
cp -a "$M/main/cp" "$M/main/cp2"
same plain/t "$M/main/cp2"
cp -a "$M/main/cp2" back/cp
same plain/t back/cp
same_more plain/t back/cp
cp -al "$M/main/cp" "$M/main/cpl"
eq "$(stat -c %h "$M/main/cpl/nothing")" 2
rm -r "$M/main/cpl" "$M/main/cp2"

claim "tar: made on the mount of what is on the mount, and unpacked there"
keep=(--xattrs --xattrs-include='*' --acls --numeric-owner)
tar -C "$M/main/cp" --sparse "${keep[@]}" -cf "$M/main/t.tar" .
[[ $(stat -c %s "$M/main/t.tar") -lt 5000000 ]]
mkdir "$M/main/tar"
tar -C "$M/main/tar" "${keep[@]}" -xpf "$M/main/t.tar"
same plain/t "$M/main/tar"
same_more plain/t "$M/main/tar"
eq "$(links "$M/main/tar")" "$(links plain/t)"
tar -C "$M/main/cp" --numeric-owner -df "$M/main/t.tar" 2>"$W/said" || fail "tar -d found a difference: $(cat "$W/said")"
tar -C plain -cz t | tar -C "$M/main/tar" -xz
same plain/t "$M/main/tar/t"

claim "tar --listed-incremental sees what changed since, by times and inode numbers"
tar -C "$M/main" -g "$W/snar" -cf "$W/full.tar" tar
echo new >"$M/main/tar/d/new"
eq "$(tar -C "$M/main" -g "$W/snar" -cvf "$W/inc.tar" tar | grep -v '/$')" tar/d/new
rm "$M/main/tar/d/new"

claim "cpio -pdm and an archive through a pipe"
(cd plain/t && find . -depth -print0 | cpio -0 --quiet -pdm "$M/main/cpio")
facts plain/t '%P %y %n %s %m %U %G %l' >"$W/one"
facts "$M/main/cpio" '%P %y %n %s %m %U %G %l' | diff "$W/one" -
eq "$(links "$M/main/cpio")" "$(links plain/t)"
mkdir "$M/main/cpio2"
(cd "$M/main/cpio" && find . -depth -print0 | cpio -0 --quiet -o -H newc) | (cd "$M/main/cpio2" && cpio --quiet -idm)
eq "$(tree_digest "$M/main/cpio2")" "$(tree_digest plain/t)"

claim "zip and unzip, symlinks as symlinks"
(cd "$M/main/cp/d" && zip -qry "$M/main/z.zip" .)
mkdir "$M/main/zip"
unzip -qK "$M/main/z.zip" -d "$M/main/zip"
eq "$(tree_digest "$M/main/zip")" "$(tree_digest plain/t/d)"

claim "find -inum and du find what is shared; one copy of the bytes is in the store"
ino=$(stat -c %i "$M/main/cp/large")
eq "$(find "$M/main/cp" -inum "$ino" -printf '%P\n' | sort | tr '\n' ' ')" "d/hard large "
drain # who asks waits a while for what is not sealed, not for ever
object=$(getfattr --absolute-names --only-values -n user.tally.object "$M/main/cp/large")
eq "$(getfattr --absolute-names --only-values -n user.tally.object "$M/main/cpio/d/hard")" "$object"

claim "all of it is the same after a remount"
cd /
unmount_store
mount_store
for copy in rsync cp tar/t; do
    same "$W/plain/t" "$M/main/$copy"
done
eq "$(rsync -aHAX --delete --itemize-changes "$W/plain/t/" "$M/main/rsync/")" ""
finish
