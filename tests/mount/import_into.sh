#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# import into a namespace that is there: merged at one instant, and nothing outside of the target.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs bsdtar setfattr
begin
cd "$W"
t() { "$TALLY" -C "$M" "$@"; }
make_tar() { # make_tar FILE PYTHON: add(name, type=…, linkname=…, data=…)
    python3 -c '
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as t:
    def add(name, data=b"", **more):
        i = tarfile.TarInfo(name)
        i.size = len(data)
        for k, v in more.items():
            setattr(i, k, v)
        t.addfile(i, io.BytesIO(data))
    DIR, SYM, LNK, CHR = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
    exec(sys.argv[2])' "$1" "$2"
}
sum() { t digest --wait "$1" | sed -n 's/^digest=\([0-9a-f]\{64\}\).*/\1/p'; }
files() (cd "$1" && find . -mindepth 1 | sort | tr '\n' ' ')
refused() { # refused SOURCE TARGET REGEX [OPTION]: fails with that sentence, and root is as it was
    local before
    before=$(sum root)
    fails t import ${4:+"$4"} "$1" "$2"
    matches "$(cat said)" "$3"
    eq "$(sum root)" "$before"
}

mkdir -p rootfs/usr/bin rootfs/etc/conf.d rootfs/var/cache/deep
echo sh >rootfs/usr/bin/sh
echo ls >rootfs/usr/bin/ls
ln -s usr/bin rootfs/bin
ln -s /etc rootfs/outside
echo old >rootfs/etc/passwd
ln rootfs/etc/passwd rootfs/etc/passwd.linked
for i in 1 2 3; do
    echo "$i" >"rootfs/var/cache/$i"
    echo "$i" >"rootfs/var/cache/deep/$i"
done
chmod 750 rootfs/etc
setfattr -n user.mine -v own rootfs/etc
t import rootfs root >/dev/null
mkdir "$M/other"
echo untouched >"$M/other/file"

claim "NS/PATH that is not there becomes a directory, as the source is"
said=$(t import rootfs/usr root/opt)
matches "$said" '^ns=root inodes=3 files=2 '
eq "$(files "$M/root/opt")" "./bin ./bin/ls ./bin/sh "
t import --json rootfs/usr root/opt/deeper >/dev/null
eq "$(tree_digest "$M/root/opt/deeper")" "$(tree_digest rootfs/usr)"

claim "what tar -x does to a tree, an import of the same archive does: GNU tar and bsdtar"
mkdir -p src/etc/conf.d src/new/dir src/usr/bin
echo new >src/etc/passwd
echo more >src/etc/conf.d/more
echo ls2 >src/usr/bin/ls
echo x >src/new/dir/x
ln src/new/dir/x src/new/hard
ln -s dir/x src/new/soft
truncate -s 3M src/new/sparse
printf data | dd of=src/new/sparse bs=1 seek=2000000 conv=notrunc status=none
chmod 711 src/etc
touch -d '2001-01-01' src/etc src/usr/bin
for with in gnu bsd; do
    rm -rf want
    cp -a rootfs want
    t branch root "$with" >/dev/null
    rm -r "$M/$with/opt"
    touch -r rootfs "$M/$with"
    if [[ $with = gnu ]]; then
        tar -C src --format=posix -S -cf "$with.tar" etc new usr
    else
        bsdtar -C src --format pax -cf "$with.tar" etc new usr
    fi
    tar -C want -xf "$with.tar"
    t import "$with.tar" "$with" >/dev/null
    setfattr -x user.mine want/etc # the archive says which attributes a directory has
    touch -r "$M/$with" want
    diff <(cd want && find . -printf '%P %y %m %U %G %n %T@ %l %s\n' | grep -v ' d .* [0-9]*$' | sort) \
        <(cd "$M/$with" && find . -printf '%P %y %m %U %G %n %T@ %l %s\n' | grep -v ' d .* [0-9]*$' | sort)
    diff -r want "$M/$with"
    eq "$(stat -c '%a %Y' "$M/$with/etc" "$M/$with/usr/bin")" "$(stat -c '%a %Y' want/etc want/usr/bin)"
    eq "$(cat "$M/$with/etc/passwd.linked")" old
done

claim "a directory that an archive only implies keeps its attributes"
make_tar a.tar 'add("etc/only", b"x")'
t import a.tar root >/dev/null
eq "$(stat -c %a "$M/root/etc") $(getfattr --only-values -n user.mine "$M/root/etc" 2>/dev/null)" "750 own"

claim "a layer goes onto a root file system: whiteouts delete what they name, opaque directories all that was in them"
make_tar a.tar '
add("etc", type=DIR, mode=0o755); add("etc/.wh.conf.d"); add("etc/.wh.nothing")
add("var/cache/.wh..wh..opq"); add("var/cache/new", b"n"); add("var/cache/deep/new", b"n")
add("usr/bin/.wh.ls"); add("usr/bin/cat", b"cat"); add("outside", b"a file now")'
t branch root layered >/dev/null
t import --oci a.tar layered >/dev/null
[[ ! -e $M/layered/etc/conf.d && ! -e $M/layered/usr/bin/ls && ! -L $M/layered/outside ]]
eq "$(files "$M/layered/var/cache")" "./deep ./deep/new ./new "
eq "$(cat "$M/layered/bin/sh") $(cat "$M/layered/bin/cat")" "sh cat"
[[ -z $(find "$M/layered" -name '.wh.*') ]]

claim "of a layer a file takes the place of a directory with all that is in it; of another archive it does not"
make_tar a.tar 'add("var", b"a file")'
refused a.tar root "'var' is a directory there"
t import --oci a.tar layered >/dev/null
eq "$(cat "$M/layered/var")" "a file"

claim "nothing is written through a symlink, in the source or in the target"
make_tar a.tar 'add("bin/evil", b"x")'
refused a.tar root "'bin' is no directory there"
make_tar a.tar 'add("outside/evil", b"x")'
refused a.tar root "'outside' is no directory there"
make_tar a.tar 'add("l", type=SYM, linkname="/etc"); add("l/evil", b"x")'
refused a.tar root "'l' is no directory"
for path in outside outside/x bin bin/x; do
    refused src "root/$path" "symlink, and none is followed"
done
[[ ! -e /etc/evil ]]

claim "no path leads out of the namespace, or through what is not there"
refused src root/../other "'\.\.'"
refused src root/etc/../../other "'\.\.'"
refused src root/etc/passwd 'etc/passwd is no directory'
refused src root/no/where 'no is not there: make it first'
refused src root/.tally 'is a name of tallyfs at the top'
mkdir -p with/.tally
refused with root 'is a name of tallyfs at the top'
rm -r with
refused src nowhere/x 'nowhere is no namespace'
refused src root@before-import/x '.'
make_tar a.tar 'add("ok", b"x"); add("../other/file", b"evil")'
refused a.tar root/etc "a name with '\.\.'"
make_tar a.tar 'add("ok", b"x"); add("h", type=LNK, linkname="passwd")'
refused a.tar root/etc 'h is a hard link to passwd, which is not there'
eq "$(files "$M/other")$(cat "$M/other/file")" "./file untouched"

claim "absolute names go below the target"
make_tar a.tar 'add("/etc/passwd", b"below")'
t import a.tar root/chroot >/dev/null
eq "$(cat "$M/root/chroot/etc/passwd") $(cat "$M/root/etc/passwd")" "below old"

claim "names are bytes in a target, too: not UTF-8, 255 bytes long, with newlines"
mkdir odd
python3 - <<'END'
import os
for name in b"\xff\xfe\x80", b"n" * 255, b"a\nb", b"-rf":
    open(b"odd/" + name, "wb").write(name)
END
tar -C odd -cf odd.tar .
odd=$(printf 'root/\xff odd')
t import odd.tar "$odd" >/dev/null
eq "$(tree_digest "$M/$odd")" "$(tree_digest odd)"
refused odd.tar "root/$(printf 'n%.0s' {1..256})" 'at most 255 bytes'

claim "archives that are cut or damaged leave the target as it was"
head -c 3000 gnu.tar >cut.tar
refused cut.tar root/etc 'the archive cannot be read'
head -c 100000 /dev/urandom >noise
refused noise root/etc 'the archive cannot be read'

claim "a frozen namespace is refused"
t set ns:root.frozen yes >/dev/null
refused src root/etc 'root is frozen'
t set ns:root.frozen no >/dev/null

claim "an import is undone, and done again"
before=$(sum root)
t import gnu.tar root >/dev/null
after=$(sum root)
matches "$(t history -n 1 root)" "uid=0 by=tally op=import ns=root state=done"
t undo root >/dev/null
eq "$(sum root)" "$before"
t redo root >/dev/null
matches "$(t undo)" "op=import ns=root"
eq "$(sum root)" "$before"
t redo >/dev/null
eq "$(sum root)" "$after"

claim "a cancelled import changes nothing"
before=$(sum root)
mkfifo slow
"$TALLY" -C "$M" import - root/etc <slow >said 2>&1 &
tool=$!
pids+=("$tool")
exec 4>slow
head -c 5000 gnu.tar >&4
running() { grep -l '^state.*running' "$M"/.tally/jobs/* 2>/dev/null || true; }
is_running() { [[ -n $(running) ]]; }
wait_until is_running
t cancel "$(basename "$(running)")" >/dev/null
tail -c +5001 gnu.tar >&4 || true
exec 4>&-
rc=0
wait "$tool" || rc=$?
[[ $rc -ne 0 ]]
matches "$(cat said)" 'cancelled'
eq "$(sum root)" "$before"

claim "30,000 files come into a directory, and are there after the death of the daemon"
python3 - <<'END'
import io, tarfile
with tarfile.open("many.tar", "w") as t:
    for i in range(30000):
        f = tarfile.TarInfo(f"f{i}")
        f.size = i % 7
        t.addfile(f, io.BytesIO(b"x" * f.size))
END
t import many.tar root/many >/dev/null
eq "$(find "$M/root/many" -type f | wc -l)" 30000
digest=$(sum root)
kill_daemon
mount_store
eq "$(sum root)" "$digest"

claim "an import whose daemon is killed in the middle leaves nothing, and the store is sound"
"$TALLY" -C "$M" import - root/etc <slow >said 2>&1 &
tool=$!
pids+=("$tool")
exec 4>slow
head -c 5000 gnu.tar >&4
t flush >/dev/null
kill_daemon
exec 4>&-
wait "$tool" || true
check_clean
mount_store
eq "$(sum root)" "$digest"
finish
